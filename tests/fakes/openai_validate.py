"""What a picky provider refuses, as one function over the bytes of a request.

Each rule is one that some provider behind an OpenAI-compatible door enforces. A client that passes
all of them passes everywhere; a client that fails one fails for some user who cannot tell why.
"""

import base64
import json
import re

ROLES = ("system", "developer", "user", "assistant", "tool")
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
SCHEMA_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}
KNOWN_FIELDS = set(
    "model messages stream stream_options tools tool_choice parallel_tool_calls max_tokens "
    "max_completion_tokens temperature top_p n stop seed user metadata store logprobs top_logprobs "
    "logit_bias presence_penalty frequency_penalty response_format reasoning_effort service_tier "
    "prompt_cache_key safety_identifier verbosity modalities prediction "
    # OpenRouter's
    "models route provider plugins transforms reasoning usage include_reasoning top_k min_p top_a "
    "repetition_penalty session_id debug".split())


class Refused(Exception):
    """The request is not one a picky provider accepts."""

    def __init__(self, message, param=None):
        super().__init__(message)
        self.param = param


def require(condition, message, param=None):
    if not condition:
        raise Refused(message, param)


def _no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    require(len(keys) == len(set(keys)), f"duplicate key in JSON object: {keys}")
    return dict(pairs)


def _no_constant(name):
    raise Refused(f"{name} is not JSON")


def parse_json(text, what):
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as problem:
        raise Refused(f"{what} is not valid JSON: {problem}") from problem
    return value


def check_schema(schema, where):
    """The part of JSON Schema that providers check before they compile a grammar of it."""
    require(isinstance(schema, dict), f"{where} must be an object", where)
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        require(kind is None or kind in SCHEMA_TYPES, f"{where}: no such type {kind!r}", where)
    if "properties" in schema:
        require(isinstance(schema["properties"], dict), f"{where}.properties is no object", where)
        for name, part in schema["properties"].items():
            check_schema(part, f"{where}.properties.{name}")
    if "required" in schema:
        require(isinstance(schema["required"], list), f"{where}.required is no array", where)
        for name in schema["required"]:
            require(name in schema.get("properties", {}), f"{where}: required {name!r} unknown")
    if kinds == "array":
        require("items" in schema, f"{where}: array schema missing items", where)
    if "items" in schema:
        check_schema(schema["items"], f"{where}.items")
    if "enum" in schema:
        require(isinstance(schema["enum"], list) and schema["enum"], f"{where}.enum is empty")
    if "additionalProperties" in schema and not isinstance(schema["additionalProperties"], bool):
        check_schema(schema["additionalProperties"], f"{where}.additionalProperties")


def check_tools(body):
    if "tools" not in body:
        for field in ("tool_choice", "parallel_tool_calls"):
            require(field not in body, f"'{field}' is only allowed when 'tools' are given", field)
        return
    tools = body["tools"]
    require(isinstance(tools, list) and tools, "[] is too short - 'tools'", "tools")
    names = set()
    for number, tool in enumerate(tools):
        where = f"tools[{number}]"
        require(isinstance(tool, dict) and tool.get("type") == "function", f"{where}.type", where)
        function = tool.get("function")
        require(isinstance(function, dict), f"{where}.function is missing", where)
        name = function.get("name")
        require(isinstance(name, str) and TOOL_NAME.match(name), f"{where}: bad name {name!r}")
        require(name not in names, f"{where}: tool {name} is listed twice", where)
        names.add(name)
        description = function.get("description", "")
        require(isinstance(description, str) and len(description) <= 1024,
                f"{where}.function.description is no string of at most 1024", where)
        parameters = function.get("parameters", {"type": "object", "properties": {}})
        check_schema(parameters, f"{where}.function.parameters")
        require(parameters.get("type") == "object", f"{where}.function.parameters is no object")


def text_of(message):
    """The text of a message's content in any of its legal forms."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content or ""


MEDIA = ("image_url", "input_audio")
SOUNDS = ("wav", "mp3", "ogg", "flac")


def check_media(part, where):
    """Bytes that are what is said of them, as providers find out when they decode an image."""
    given = part.get(part["type"])
    require(isinstance(given, dict), f"{where}: no {part['type']}", where)
    if part["type"] == "image_url":
        url = re.fullmatch("data:image/(png|jpeg|gif|webp);base64,(.*)", given.get("url", ""), re.S)
        require(url or given.get("url", "").startswith("https://"), f"{where}: no image", where)
        kind, data = url.groups() if url else (None, "")
    else:
        kind, data = given.get("format"), given.get("data", "")
        require(kind in SOUNDS, f"{where}: no such format {kind!r}", where)
    try:
        decoded = base64.b64decode(data, validate=True)
    except ValueError as problem:
        raise Refused(f"{where}: {problem}") from problem
    begins = {"png": b"\x89PNG", "jpeg": b"\xff\xd8", "gif": b"GIF8", "webp": b"RIFF",
              "wav": b"RIFF", "ogg": b"OggS", "flac": b"fLaC", "mp3": b""}
    require(not kind or decoded.startswith(begins[kind]), f"{where}: it is no {kind}", where)


def check_content(message, where):
    content = message.get("content")
    if isinstance(content, list):
        require(content, f"{where}.content is an empty array", where)
        for part in content:
            require(isinstance(part, dict) and part.get("type") in ("text", *MEDIA),
                    f"{where}.content: bad part {part!r}", where)
            require(part["type"] == "text" or message["role"] == "user",
                    f"{where}.content: {part['type']} is only allowed in a user's message", where)
            if part["type"] == "text":
                require(isinstance(part.get("text"), str), f"{where}.content: no text", where)
            else:
                check_media(part, f"{where}.content")
    else:
        require(content is None or isinstance(content, str), f"{where}.content has no legal type")
    if message["role"] in ("user", "system", "developer"):
        require(text_of(message) or isinstance(content, list), f"{where}.content is empty", where)
    if message["role"] == "tool":
        require(content is not None, f"{where}.content of a tool message is null", where)


def check_tool_calls(calls, where):
    require(isinstance(calls, list) and calls, f"{where}.tool_calls is empty", where)
    ids = []
    for number, call in enumerate(calls):
        here = f"{where}.tool_calls[{number}]"
        require(isinstance(call, dict), f"{here} is no object", here)
        require(isinstance(call.get("id"), str) and call["id"], f"{here}.id is missing", here)
        require(call.get("type") == "function", f"{here}.type is not 'function'", here)
        function = call.get("function")
        require(isinstance(function, dict), f"{here}.function is missing", here)
        name = function.get("name")
        require(isinstance(name, str) and TOOL_NAME.match(name), f"{here}: bad name {name!r}")
        arguments = function.get("arguments")
        require(isinstance(arguments, str), f"{here}.function.arguments is not a string", here)
        require(isinstance(parse_json(arguments, f"{here}.function.arguments"), dict),
                f"{here}.function.arguments is not a JSON object", here)
        ids.append(call["id"])
    require(len(ids) == len(set(ids)), f"{where}.tool_calls: ids repeat: {ids}", where)
    return ids


def check_messages(messages):
    require(isinstance(messages, list) and messages, "'messages' is missing or empty", "messages")
    waiting = []  # ids of tool calls that must be answered before anything else is said
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        require(isinstance(message, dict), f"{where} is no object", where)
        role = message.get("role")
        require(role in ROLES, f"{where}: no such role {role!r}", where)
        check_content(message, where)
        if role == "tool":
            require(message.get("tool_call_id") in waiting,
                    f"{where}: a message with role 'tool' must answer a preceding tool_call "
                    f"({message.get('tool_call_id')!r} is none of {waiting})", where)
            waiting.remove(message["tool_call_id"])
            continue
        require(not waiting, f"{where}: tool_call_ids without an answer: {waiting}", where)
        require(role not in ("system", "developer") or number == 0,
                f"{where}: a system message must come first", where)
        if role == "assistant":
            require(number > 0 and messages[number - 1]["role"] != "assistant",
                    f"{where}: an assistant message cannot come first or twice in a row", where)
            if "tool_calls" in message:
                waiting = check_tool_calls(message["tool_calls"], where)
            else:
                require(text_of(message), f"{where}: assistant without content or tool_calls")
    require(not waiting, f"tool_call_ids without an answer: {waiting}", "messages")
    require(messages[-1]["role"] in ("user", "tool"), "the last message is nobody's question")


def check_numbers(body):
    for field in ("max_tokens", "max_completion_tokens", "n"):
        value = body.get(field, 1)
        require(isinstance(value, int) and not isinstance(value, bool) and value > 0,
                f"{field} must be a positive integer", field)
    require(not ("max_tokens" in body and "max_completion_tokens" in body),
            "max_tokens and max_completion_tokens exclude each other", "max_tokens")
    temperature = body.get("temperature", 1)
    require(isinstance(temperature, (int, float)) and 0 <= temperature <= 2, "temperature")


def open_request(raw, headers, known):
    """The parsed body with what every path wants of it. `headers` has lower-case names."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    require(kind == "application/json", f"Content-Type is {kind!r}, not application/json")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise Refused(f"the body is not UTF-8: {problem}") from problem
    body = parse_json(text, "the body")
    require(isinstance(body, dict), "the body is no JSON object")
    unknown = sorted(set(body) - known)
    require(not unknown, f"Unrecognized request arguments supplied: {', '.join(unknown)}")
    require(isinstance(body.get("model"), str) and body["model"], "'model' is missing", "model")
    stream = body.get("stream", False)
    require(isinstance(stream, bool), "'stream' is no boolean", "stream")
    if "stream_options" in body:
        require(stream, "'stream_options' is only allowed when 'stream' is true")
        require(isinstance(body["stream_options"], dict), "'stream_options' is no object")
    return body


def check_request(raw, headers):
    """The parsed body of a chat, or Refused."""
    body = open_request(raw, headers, KNOWN_FIELDS)
    check_numbers(body)
    check_tools(body)
    check_messages(body.get("messages"))
    return body
