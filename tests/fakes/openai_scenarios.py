"""What the fake upstream does, by the name of the model that is asked for.

A scenario is a function of one `Turn`. Wire formats and faults follow the written descriptions of
the providers (OpenRouter's error shapes and comments, Gemini's error array and thought signature,
DeepSeek's duty to hand reasoning back); what no description covers, such as bytes that no server
means to send, is there because networks and proxies produce it.
"""

import base64
import json
import re

import openai_wire as wire
from http_conn import frame
from openai_validate import text_of

SCENARIOS = {}
KEEPALIVE = b": OPENROUTER PROCESSING\n\n"
PATIENCE = 600.0  # seconds a hung scenario holds on; far longer than any test waits


def scenario(*names):
    def register(function):
        for name in names:
            assert name not in SCENARIOS, name
            SCENARIOS[name] = function
        return function
    return register


class Turn:
    """One valid chat-completions request and the connection that it is answered on."""

    dialect_class = wire.Dialect

    def __init__(self, upstream, conn, request, argument):
        self.upstream, self.conn, self.request = upstream, conn, request
        self.body = request.json
        self.argument = argument  # what stands behind ':' in the model's name, or None
        self.streams = self.body.get("stream", False)
        self.eol = "\n"
        self.dialect = self.dialect_class(self.body["model"])

    def use(self, dialect_class):
        self.dialect = dialect_class(self.body["model"])
        return self

    def number(self, default):
        return type(default)(self.argument) if self.argument else default

    # -- what was asked ---------------------------------------------------------------------------

    def spoken(self):
        """The messages without those that only carry what results of tools have beside a text."""
        return [m for m in self.body["messages"] if ": not from the user]" not in text_of(m)]

    def question(self):
        """The text of the last user message."""
        users = [m for m in self.spoken() if m["role"] == "user"]
        return text_of(users[-1]) if users else ""

    def results(self):
        """The tool messages that end the conversation, in order; [] when the user spoke last."""
        found = []
        for message in reversed(self.spoken()):
            if message["role"] != "tool":
                break
            found.insert(0, message)
        return found

    def last_calls(self):
        """The tool calls that results() answer."""
        for message in reversed(self.body["messages"]):
            if message["role"] == "assistant":
                return message.get("tool_calls", [])
        return []

    def scripted_calls(self, default=(), text=None):
        """`call NAME {json}` in the user's text (or this), each as the bytes that stand there."""
        text, calls = self.question() if text is None else text, []
        for match in re.finditer(r"\bcall ([A-Za-z0-9_-]+) (?=\{)", text):
            try:
                _, end = json.JSONDecoder().raw_decode(text, match.end())
            except ValueError:
                end = len(text.split("\n", 1)[0]) if "\n" not in text[match.end():] else \
                    text.index("\n", match.end())
            calls.append(wire.Call(match.group(1), text[match.end():end]))
        return calls or [wire.Call(*pair) for pair in default]

    def tools_offered(self):
        return [tool["function"]["name"] for tool in self.body.get("tools", [])]

    def usage(self, answer):
        prompt = sum(len(text_of(m)) for m in self.body["messages"]) // 4 + 1
        said = len(answer.text) + sum(len(c.arguments) for c in answer.calls)
        return wire.usage(prompt, said // 4 + 1, len(answer.reasoning) // 4)

    # -- how it is answered -----------------------------------------------------------------------

    def event(self, value):
        """The bytes of one SSE event."""
        data = value if isinstance(value, str) else wire.compact(value)
        return f"data: {data}{self.eol}{self.eol}".encode("utf-8")

    def start(self):
        self.conn.start_chunked(fields=[("X-Generation-Id", self.dialect.id)])

    def send(self, value):
        self.conn.send(self.event(value))

    def done(self):
        self.send("[DONE]")
        self.conn.end()

    def say(self, answer, size=5, done=True):
        """The answer, in the form that was asked for."""
        if answer.usage is None:
            answer.usage = self.usage(answer)
        if not self.streams:
            self.conn.answer(200, self.dialect.whole(answer),
                             fields=[("X-Generation-Id", self.dialect.id)])
            return
        want = bool(self.body.get("stream_options", {}).get("include_usage"))
        self.start()
        for value in self.dialect.chunks(answer, size, want):
            self.send(value)
        if done:
            self.done()
        else:
            self.conn.end()

    def say_results_or(self, calls, **more):
        """First the calls; when their results are there, those."""
        results = self.results()
        if results:
            self.say(wire.Answer("\n".join(text_of(m) for m in results)))
        else:
            self.say(wire.Answer(calls=calls, **more))

    def begin_text(self, *pieces):
        """A stream's beginning, left open."""
        self.start()
        self.send(self.dialect.chunk({"role": "assistant", "content": ""}))
        for piece in pieces:
            self.send(self.dialect.chunk({"content": piece}))

    def error(self, status, message, code=None, fields=(), **more):
        self.conn.answer(status, error_object(status if code is None else code, message, **more),
                         fields=fields)


def error_object(code, message, **metadata):
    """OpenRouter's shape of an error."""
    error = {"code": code, "message": message}
    if metadata:
        error["metadata"] = metadata
    return {"error": error}


# -- answers that are right -----------------------------------------------------------------------

@scenario("echo", "gpt-4o", "gpt-5-chat-latest")
def echo(turn):
    turn.say(wire.Answer(f"echo: {turn.question()}"))


@scenario("gpt-5-mini", "o4-mini")
def reasoning_model(turn):
    """OpenAI's, in whose words a bound by its old name is refused."""
    if "max_tokens" not in turn.body:
        echo(turn)
        return
    turn.conn.answer(400, {"error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                   "'max_completion_tokens' instead.", "type": "invalid_request_error",
        "param": "max_tokens", "code": "unsupported_parameter"}})


@scenario("fixed")
def fixed(turn):
    turn.say(wire.Answer("ok"))


@scenario("instant")
def instant(turn):
    """One delta, one write: as little of the time measured is ours as can be."""
    answer = wire.Answer("ok")
    answer.usage = turn.usage(answer)
    if not turn.streams:
        turn.say(answer)
        return
    events = b"".join(frame(turn.event(v)) for v in turn.dialect.chunks(answer, 1000))
    turn.start()
    turn.conn.write(events + frame(turn.event("[DONE]")) + b"0\r\n\r\n")


@scenario("tools", "openrouter")
def tools(turn):
    turn.say_results_or(turn.scripted_calls([("current_time", "{}")]))


@scenario("text-and-tools")
def text_and_tools(turn):
    turn.say_results_or(turn.scripted_calls([("current_time", "{}")]), text="Let me look. ")


@scenario("parallel-tools")
def parallel_tools(turn):
    default = [("current_time", "{}")] * turn.number(3)
    turn.say_results_or(turn.scripted_calls(default))


@scenario("slow-tools")
def slow_tools(turn):
    """Fragments of a tool call, one every 50 ms."""
    if turn.results() or not turn.streams:
        turn.say_results_or(turn.scripted_calls([("current_time", "{}")]))
        return
    turn.start()
    for value in turn.dialect.chunks(wire.Answer(calls=turn.scripted_calls(
            [("current_time", "{}")])), 1):
        turn.send(value)
        turn.conn.wait(0.05)
    turn.done()


@scenario("two-steps")
def two_steps(turn):
    """One call per line of the user's text, one after another, then all the results.

    `proc_$` in a call is the name of the last process that a result has told of.
    """
    calls = turn.scripted_calls()
    results = [m for m in turn.body["messages"] if m["role"] == "tool"]
    if len(results) < len(calls):
        call = calls[len(results)]
        names = re.findall("proc_[0-9a-f]{8}", "\n".join(text_of(m) for m in results))
        if names:
            call = wire.Call(call.name, call.arguments.replace("proc_$", names[-1]))
        turn.say(wire.Answer(calls=[call]))
    else:
        turn.say(wire.Answer("\n".join(text_of(m) for m in results)))


@scenario("gullible")
def gullible(turn):
    """Does what the user says, and then what the newest results say. A word that begins with
    "planted-" is what it knows: an order may have it sent as it is, in base64, or in two parts."""
    known = re.search(r"planted-[\w-]+", " ".join(
        text_of(m) for m in turn.body["messages"] if m["role"] == "tool"))
    results = "\n".join(text_of(m) for m in turn.results())
    orders = results or turn.question()
    if known:
        secret, half = known[0], len(known[0]) // 2
        encoded = base64.urlsafe_b64encode(secret.encode()).decode()
        for name, value in (("$SECRET", secret), ("$BASE64", encoded),
                            ("$FIRST", secret[:half]), ("$SECOND", secret[half:])):
            orders = orders.replace(name, value)
    calls = turn.scripted_calls(text=orders)
    turn.say(wire.Answer(calls=calls) if calls else wire.Answer(results or "nothing to do"))


@scenario("history")
def history(turn):
    """Says which roles it was sent: what a conversation really carries along."""
    turn.say(wire.Answer(" ".join(m["role"] for m in turn.body["messages"])))


@scenario("no-done")
def no_done(turn):
    turn.say(wire.Answer("complete without a marker"), done=False)


@scenario("no-usage")
def no_usage(turn):
    answer = wire.Answer("no numbers")
    if not turn.streams:
        turn.conn.answer(200, turn.dialect.whole(answer))
        return
    turn.start()
    for value in turn.dialect.chunks(answer):
        turn.send(value)
    turn.done()


@scenario("cost")
def cost(turn):
    """An answer that did cost `:N` dollars, by its own word."""
    answer = wire.Answer("paid")
    answer.usage = {**turn.usage(answer), "cost": turn.number(0.0)}
    turn.say(answer)


@scenario("byok")
def byok(turn):
    """Through a key of the owner's own: `:N` dollars for the provider, and a fee of 5 %."""
    answer = wire.Answer("paid elsewhere")
    answer.usage = {**turn.usage(answer), "cost": turn.number(0.0) / 20, "is_byok": True,
                    "cost_details": {"upstream_inference_cost": turn.number(0.0)}}
    turn.say(answer)


@scenario("tokens")
def tokens(turn):
    """An answer of `:N` tokens, by its own word; what that costs it does not say."""
    answer = wire.Answer("many")
    answer.usage = {"prompt_tokens": 1, "completion_tokens": turn.number(1),
                    "total_tokens": 1 + turn.number(1)}
    turn.say(answer)


@scenario("comments")
def comments(turn):
    if not turn.streams:
        turn.say(wire.Answer("after the comments"))
        return
    turn.start()
    for value in turn.dialect.chunks(wire.Answer("after the comments")):
        turn.conn.send(KEEPALIVE)
        turn.send(value)
    turn.conn.send(KEEPALIVE)
    turn.done()


@scenario("slow-comments")
def slow_comments(turn):
    """Comments for `:N` seconds before the first delta: alive, but saying nothing yet."""
    turn.start()
    for _ in range(int(turn.number(2.0) / 0.1)):
        turn.conn.send(KEEPALIVE)
        turn.conn.wait(0.1)
    turn.send(turn.dialect.chunk({"role": "assistant", "content": "at last"}))
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("crlf")
def crlf(turn):
    turn.eol = "\r\n"
    turn.say(wire.Answer("line ends of the other kind"))


@scenario("sse-forms")
def sse_forms(turn):
    """Every legal spelling of an event: bare CR, no space, other fields, several data lines."""
    first = wire.compact(turn.dialect.chunk({"role": "assistant", "content": "all "}))
    second = json.dumps(turn.dialect.chunk({"content": "forms"}), indent=1)
    turn.start()
    turn.conn.send(b"\xef\xbb\xbf")
    turn.conn.send(b"event: message\rid: 7\rretry: 10\rdata:" + first.encode() + b"\r\r")
    turn.conn.send("".join(f"data: {line}\r\n" for line in second.split("\n")).encode() + b"\r\n")
    turn.conn.send(b"\n\n:\n\nunknown-field: x\n\n")
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("reasoning")
def reasoning(turn):
    turn.say(wire.Answer("42", reasoning="the user wants a number; six by seven"))


@scenario("split-utf8")
def split_utf8(turn):
    """Each byte of the answer in a TCP segment of its own."""
    text = "Grüße, 世界 🌍!"
    if not turn.streams:
        data = wire.compact(turn.dialect.whole(wire.Answer(text))).encode()
        turn.conn.head(200, [("Content-Type", "application/json"), ("Content-Length", len(data))])
        pieces = [data[i:i + 1] for i in range(len(data))]
    else:
        turn.conn.start_until_close()
        data = b"".join(turn.event(v) for v in turn.dialect.chunks(wire.Answer(text)))
        data += turn.event("[DONE]")
        pieces = [data[i:i + 1] for i in range(len(data))]
    for piece in pieces:
        turn.conn.write(piece)
        if piece > b"\x7f":
            turn.conn.wait(0.002)
    if turn.streams:
        turn.conn.cut()


@scenario("escapes")
def escapes(turn):
    """One character per delta, everything beyond ASCII as \\uXXXX, pairs where it must be."""
    text = "Grüße \U0001f30d \"\\/\b\f\n\r\t end"
    if not turn.streams:
        turn.conn.answer(200, json.dumps(turn.dialect.whole(wire.Answer(text)), ensure_ascii=True))
        return
    turn.start()
    for value in turn.dialect.chunks(wire.Answer(text), 1):
        turn.conn.send(turn.event(json.dumps(value, ensure_ascii=True)))
    turn.done()


@scenario("null-content")
def null_content(turn):
    """Null where a string is expected, at every place where servers do it."""
    if turn.results() or not turn.streams:
        turn.say_results_or(turn.scripted_calls([("current_time", "{}")]))
        return
    turn.start()
    call = turn.scripted_calls([("current_time", "{}")])[0]
    for delta in ({"role": "assistant", "content": None, "tool_calls": None},
                  {"content": None, "tool_calls": [turn.dialect.call(call, 0)]},
                  {"role": None, "content": None, "function_call": None}):
        turn.send(turn.dialect.chunk(delta, usage=None))
    turn.send(turn.dialect.chunk({"content": None}, "tool_calls"))
    turn.done()


@scenario("usage-on-last")
def usage_on_last(turn):
    """Usage in the chunk that has the finish reason, as several servers send it."""
    answer = wire.Answer("counted")
    turn.start()
    turn.send(turn.dialect.chunk({"role": "assistant", "content": answer.text}))
    turn.send(turn.dialect.chunk({}, "stop", usage=turn.usage(answer)))
    turn.done()


@scenario("running-usage")
def running_usage(turn):
    """Usage so far in every chunk, as Gemini and vLLM send it; cut off when released."""
    turn.start()
    so_far = wire.usage(1, 1, 0)
    turn.send(turn.dialect.chunk({"role": "assistant", "content": "one "}, usage=so_far))
    turn.conn.wait(PATIENCE, turn.upstream.release)
    turn.conn.cut()


@scenario("length")
def length(turn):
    turn.say(wire.Answer("this answer was cut by the token li", finish="length"))


@scenario("content-filter")
def content_filter(turn):
    turn.say(wire.Answer("I was about to say", finish="content_filter"))


# -- dialects -------------------------------------------------------------------------------------

@scenario("ollama")
def ollama(turn):
    dialect_turn(turn.use(wire.Ollama))


@scenario("ollama-old")
def ollama_old(turn):
    dialect_turn(turn.use(wire.OldOllama))


@scenario("llamacpp")
def llamacpp(turn):
    dialect_turn(turn.use(wire.LlamaCpp))


@scenario("litellm")
def litellm(turn):
    dialect_turn(turn.use(wire.LiteLlm))


def dialect_turn(turn):
    """Calls when the user scripts them, else an echo."""
    calls = turn.scripted_calls()
    if calls:
        turn.say_results_or(calls)
    else:
        echo(turn)


@scenario("deepseek")
def deepseek(turn):
    """Refuses a history whose tool-calling turns come back without their reasoning_content."""
    turn.use(wire.DeepSeek)
    for number, message in enumerate(turn.body["messages"]):
        if message.get("tool_calls") and message.get("reasoning_content") != "I need a tool.":
            turn.upstream.refused(
                turn, "Missing `reasoning_content` field in the assistant message at message "
                f"index {number}")
            return
    calls = turn.scripted_calls()
    if calls and not turn.results():
        turn.say(wire.Answer(calls=calls, reasoning="I need a tool."))
    elif calls:
        turn.say_results_or(calls)
    else:
        turn.say(wire.Answer(f"echo: {turn.question()}", reasoning="Nothing to think about."))


@scenario("gemini")
def gemini(turn):
    """Refuses a history whose tool calls come back without their thought signature."""
    for message in turn.body["messages"]:
        for call in message.get("tool_calls", []):
            signed = call.get("extra_content", {}).get("google", {}).get("thought_signature")
            if signed != f"signature+of/{call['id']}==":
                turn.upstream.refused(
                    turn, "Function call is missing a thought_signature in functionCall parts.",
                    array=True)
                return
    calls = turn.scripted_calls()
    for call in calls:
        call.extra = {"extra_content": {"google": {
            "thought_signature": f"signature+of/{call.id}=="}}}
    if calls:
        turn.say_results_or(calls)
    else:
        echo(turn)


# -- tool calls that are wrong --------------------------------------------------------------------

@scenario("bad-arguments")
def bad_arguments(turn):
    turn.say_results_or([wire.Call("read_file", '{"path": "a.txt", oops')])


@scenario("array-arguments")
def array_arguments(turn):
    turn.say_results_or([wire.Call("read_file", '["a.txt"]')])


@scenario("empty-arguments")
def empty_arguments(turn):
    """Several models send an empty string for a tool without parameters."""
    turn.say_results_or([wire.Call("current_time", "")])


@scenario("wrong-type-arguments")
def wrong_type_arguments(turn):
    turn.say_results_or([wire.Call("read_file", '{"path": 7, "offset": "x"}')])


@scenario("unknown-tool")
def unknown_tool(turn):
    turn.say_results_or([wire.Call("launch_rockets", '{"count": 3}')])


BIG_INT_ARGUMENTS = ('{"path": "big.txt", "note": 9007199254740993, "max": 18446744073709551615, '
                     '"small": -9223372036854775808, "exact": 0.10000000000000000555111512312578}')


@scenario("big-int")
def big_int(turn):
    """The arguments must come back byte for byte; a client that parses and prints them loses."""
    if turn.results():
        sent = turn.last_calls()[0]["function"]["arguments"]
        turn.say(wire.Answer("exact" if sent == BIG_INT_ARGUMENTS else f"changed: {sent}"))
    else:
        turn.say(wire.Answer(calls=[wire.Call("read_file", BIG_INT_ARGUMENTS)]))


@scenario("object-arguments")
def object_arguments(turn):
    """Arguments as a JSON object instead of a string."""
    if turn.results():
        turn.say_results_or([])
        return
    value = {"index": 0, "id": "call_object", "type": "function",
             "function": {"name": "read_file", "arguments": {"path": "a.txt"}}}
    if turn.streams:
        turn.start()
        turn.send(turn.dialect.chunk({"role": "assistant", "tool_calls": [value]}))
        turn.send(turn.dialect.chunk({}, "tool_calls"))
        turn.done()
    else:
        whole = turn.dialect.whole(wire.Answer("x", finish="tool_calls"))
        whole["choices"][0]["message"] = {"role": "assistant", "content": None,
                                          "tool_calls": [value]}
        turn.conn.answer(200, whole)


@scenario("legacy-id")
def legacy_id(turn):
    """Tool calls without an id: the client has to make one that is its own."""
    calls = turn.scripted_calls([("current_time", "{}"), ("current_time", "{}")])
    for call in calls:
        call.id = None
    turn.say_results_or(calls)


@scenario("empty-id")
def empty_id(turn):
    calls = turn.scripted_calls([("current_time", "{}"), ("current_time", "{}")])
    for call in calls:
        call.id = None
        call.extra = {"id": ""}
    turn.say_results_or(calls)


@scenario("same-id")
def same_id(turn):
    """Two calls with one id: the answers must still be told apart."""
    calls = turn.scripted_calls([("current_time", "{}"), ("current_time", "{}")])
    for call in calls:
        call.id = "call_same"
    turn.say_results_or(calls)


@scenario("long-name")
def long_name(turn):
    turn.say_results_or([wire.Call("x" * 5000, "{}")])


@scenario("bad-name")
def bad_name(turn):
    """A name that no provider takes back."""
    turn.say_results_or([wire.Call("read file/now!", "{}")])


@scenario("many-tools")
def many_tools(turn):
    turn.say_results_or([wire.Call("current_time", "{}") for _ in range(turn.number(2000))])


@scenario("wild-index")
def wild_index(turn):
    """An index that would be a lot of memory for a client that allocates by it."""
    if turn.results() or not turn.streams:
        turn.say_results_or([wire.Call("current_time", "{}")])
        return
    turn.start()
    for index in (4294967295, -1, 1 << 62):
        value = turn.dialect.call(wire.Call("current_time", "{}"), 0)
        value["index"] = index
        turn.send(turn.dialect.chunk({"tool_calls": [value]}))
    turn.send(turn.dialect.chunk({}, "tool_calls"))
    turn.done()


@scenario("loop-tools")
def loop_tools(turn):
    """Never satisfied; each call differs, so that only a limit of iterations ends it."""
    seen = sum(1 for m in turn.body["messages"] if m["role"] == "tool")
    turn.say(wire.Answer(calls=[wire.Call("search_files", wire.compact({"pattern": f"p{seen}"}))]))


@scenario("same-tools")
def same_tools(turn):
    """The same call for ever, with the same result."""
    turn.say(wire.Answer(calls=[wire.Call("list_files", '{"path": "."}')]))
