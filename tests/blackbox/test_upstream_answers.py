"""Right answers of every dialect, streamed and whole: the client must understand them all."""

import json
import re

import pytest

pytestmark = pytest.mark.qemu_user
WAYS = pytest.mark.parametrize("way", [(), ("--no-stream",)], ids=["stream", "whole"])


def ask(hermes, up, model, text, way=(), **more):
    return hermes.use(up, model).chat(text, *way, **more)


def tool_messages(request):
    return [m for m in request.messages if m["role"] == "tool"]


# -- the request ----------------------------------------------------------------------------------

@WAYS
def test_the_request(hermes, up, way):
    ask(hermes, up, "echo", "hi", way).ok()
    request = up.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {up.api_key}"
    assert request.headers["host"] == f"127.0.0.1:{up.port}"
    assert request.json.get("stream", False) == (way == ())
    assert len([n for n, _ in request.fields if n.lower() == "content-type"]) == 1
    assert request.messages[-1] == {"role": "user", "content": "hi"}


def test_every_tool_is_offered_and_described(hermes, up):
    ask(hermes, up, "echo", "hi").ok()
    tools = {t["function"]["name"]: t["function"] for t in up.requests[0].json["tools"]}
    assert set(tools) >= {"read_file", "write_file", "search_files", "terminal", "memory",
                          "find_tools", "call_tool"}
    for name, tool in tools.items():
        assert tool["description"], name
        for key, part in tool["parameters"].get("properties", {}).items():
            assert part.get("description"), f"{name}.{key} is not described"
    assert set(tools["read_file"]["parameters"]["properties"]) == {"path", "offset", "limit"}
    assert set(tools["search_files"]["parameters"]["properties"]) == {
        "pattern", "target", "path", "file_glob", "limit", "context"}


def test_a_first_hi_costs_at_most_4_kilobytes(hermes, up):
    ask(hermes, up, "echo", "hi").ok()
    assert len(up.requests[0].body) <= 4096, len(up.requests[0].body)


def test_the_same_question_is_the_same_request(hermes, up):
    """What is stable comes first and stays: otherwise no provider's cache ever hits."""
    bodies = []
    for _ in range(2):
        ask(hermes, up, "echo", "hi").ok()
        bodies.append(json.dumps([up.requests[-1].messages[0], up.requests[-1].json["tools"]]))
    assert bodies[0] == bodies[1]


# -- answers --------------------------------------------------------------------------------------

@WAYS
@pytest.mark.parametrize("model,text", [
    ("echo", "echo: hi"), ("openrouter/echo", "echo: hi"), ("ollama", "echo: hi"),
    ("ollama-old", "echo: hi"), ("llamacpp", "echo: hi"), ("litellm", "echo: hi"),
    ("deepseek", "echo: hi"), ("gemini", "echo: hi"), ("no-done", "complete without a marker"),
    ("no-usage", "no numbers"), ("comments", "after the comments"),
    ("crlf", "line ends of the other kind"), ("reasoning", "42"), ("split-utf8", "Grüße, 世界 🌍!"),
    ("escapes", "Grüße \U0001f30d \"\\/"), ("weird-usage", "counted"),
    ("json-for-stream", "whole in spite of the question")])
def test_it_is_understood(hermes, up, way, model, text):
    result = ask(hermes, up, model, "hi", way).ok()
    assert result.text.startswith(text) and result.text.endswith("\n")
    assert "the user wants" not in result.text and "Nothing to think" not in result.text
    assert len(up.requests) == 1 and not up.disconnects


@pytest.mark.parametrize("model,text", [("sse-forms", "all forms"), ("usage-on-last", "counted")])
def test_a_stream_of_another_form(hermes, up, model, text):
    assert ask(hermes, up, model, "hi").ok().text == text + "\n"


def test_comments_are_signs_of_life(hermes, up):
    """They come for longer than silence may last."""
    hermes.limits(stale=3, read=3)
    assert ask(hermes, up, "slow-comments:4", "hi").ok().text == "at last\n"


def test_a_stream_that_nobody_asked_for(hermes, up):
    """It is said; an empty answer it is not."""
    result = ask(hermes, up, "stream-for-json", "hi", ("--no-stream",)).failed("stream.*base URL")
    assert result.out == b""


@WAYS
def test_an_answer_cut_by_the_limit_says_so(hermes, up, way):
    result = ask(hermes, up, "length", "hi", way).ok().sentence("token limit", lines=1)
    assert result.text == "this answer was cut by the token li\n"


@WAYS
def test_an_answer_cut_by_a_filter_says_so(hermes, up, way):
    result = ask(hermes, up, "content-filter", "hi", way).ok()
    result.sentence("content filter", lines=1)
    assert result.text == "I was about to say\n"


def test_text_appears_while_it_is_written(hermes, up):
    with hermes.use(up, "drip").start("chat", "-q", "hi") as process:
        process.wait_for_output(b"word3")
        assert process.popen.poll() is None


# -- tools ----------------------------------------------------------------------------------------

@WAYS
@pytest.mark.parametrize("model", ["tools", "text-and-tools", "parallel-tools", "slow-tools",
                                   "null-content", "ollama", "ollama-old", "llamacpp", "litellm",
                                   "deepseek", "gemini", "legacy-id", "empty-id", "same-id"])
def test_two_tools_of_every_dialect(hermes, up, way, model):
    hermes.chat("remember the alpha fact & remember the beta fact").ok()
    text = 'call recall {"query":"beta"}\ncall recall {"query":"alpha"}'
    result = ask(hermes, up, model, text, way).ok()
    if model != "null-content" or way:
        assert result.text.index("the beta fact") < result.text.index("the alpha fact")
    assert "the beta fact" in result.text and len(up.requests) == 2
    for sent in up.requests[1].messages[-3].get("tool_calls", []):
        assert "index" not in sent or model in ("gemini", "deepseek")


@pytest.mark.native
def test_ten_calls_at_once_keep_their_order(hermes, up):
    for number in range(10):
        hermes.put(f"workspace/{number}.txt", f"<{number}>")
    text = "\n".join(f'call read_file {{"path":"{n}.txt"}}' for n in reversed(range(10)))
    result = ask(hermes, up, "parallel-tools", text).ok()
    assert re.findall(r"<(\d)>", result.text) == list("9876543210")
    assert [m["tool_call_id"] for m in tool_messages(up.requests[1])] == \
        [c["id"] for c in up.requests[1].messages[-11]["tool_calls"]]


@pytest.mark.native
def test_one_step_after_another(hermes, up):
    text = ('call write_file {"path":"n.txt","content":"written by a tool"}\n'
            'call read_file {"path":"n.txt"}\ncall list_files {"path":"."}')
    result = ask(hermes, up, "two-steps", text).ok()
    assert "written by a tool" in result.text and "n.txt" in result.text
    assert len(up.requests) == 4 and up.connections == 1, "one connection is enough"


@WAYS
def test_large_integers_come_back_to_the_byte(hermes, up, way):
    assert ask(hermes, up, "big-int", "go", way).ok().text == "exact\n"


@pytest.mark.parametrize("arguments", [
    '{"path":"a.txt"}', '{ "path" : "a.txt" }', '{"path":"a\\u002etxt"}',
    '{"path":"a.txt","offset":1e0}', '{"path":"a.txt","unknown":{"deep":[1,2,{}]}}',
    '{"path":"a.txt","limit":18446744073709551615}'])
def test_arguments_travel_as_the_models_own_bytes(hermes, up, arguments):
    hermes.put("workspace/a.txt", "contents of a\n")
    ask(hermes, up, "tools", f"call read_file {arguments}").ok()
    sent = up.requests[1].messages[-2]["tool_calls"][0]["function"]["arguments"]
    assert sent == arguments


@WAYS
def test_the_provider_gets_back_what_it_attached(hermes, up, way):
    """Without its thought signature Gemini refuses the next request, without its reasoning
    DeepSeek does: the fake does as they do."""
    for model in ("gemini", "deepseek"):
        result = ask(hermes, up, model, 'call current_time {}', way).ok()
        assert re.search(r"\d{4}", result.text)


def test_a_conversation_carries_its_history(hermes, up, terminal):
    hermes.use(up, "history")
    with terminal("chat") as chat:
        chat.say("one").expect("system user\n")
        chat.say("two").expect("system user assistant user\n")
        chat.say("three").expect("system user assistant user assistant user\n")


# -- tool calls that are wrong --------------------------------------------------------------------

@WAYS
@pytest.mark.parametrize("model,words", [
    ("bad-arguments", "JSON|parse"), ("array-arguments", "object|argument"),
    pytest.param("wrong-type-arguments", "path|string|type", marks=pytest.mark.native),
    ("unknown-tool", "launch_rockets"),
    ("bad-name", "unknown|no such|no tool|name"), ("long-name", "unknown|no such|no tool|name")])
def test_the_model_is_told_what_was_wrong(hermes, up, way, model, words):
    """Not the turn fails but the call: the model reads why and can do better."""
    result = ask(hermes, up, model, "go", way)
    if model in ("bad-name", "long-name") and result.code == 1:
        result.failed("name|tool")
        return
    assert result.ok() and re.search(words, tool_messages(up.requests[1])[0]["content"], re.I)
    assert len(tool_messages(up.requests[1])[0]["content"]) < 1000


@WAYS
def test_empty_arguments_are_none(hermes, up, way):
    assert re.search(r"\d{4}-\d\d-\d\d", ask(hermes, up, "empty-arguments", "go", way).ok().text)


@pytest.mark.native
@WAYS
def test_arguments_as_an_object(hermes, up, way):
    hermes.put("workspace/a.txt", "contents of a\n")
    assert "contents of a" in ask(hermes, up, "object-arguments", "go", way).ok().text


@pytest.mark.release
def test_wild_indexes_cost_no_memory(hermes, up):
    result = ask(hermes, up, "wild-index", "go").ok()
    assert len(result.text.splitlines()) == 3, "each of the three calls is carried out"
    hermes.memory_below(result, 32 * 1024)


@pytest.mark.release
def test_too_many_tools_at_once(hermes, up):
    result = ask(hermes, up, "many-tools:2000", "go")
    result.failed("more than 64 tool calls at once")
    assert len(up.requests) == 1, "none of them was carried out"
    hermes.memory_below(result, 48 * 1024)


@pytest.mark.parametrize("model", ["loop-tools", "same-tools"])
def test_a_model_that_never_stops_is_stopped(hermes, up, model):
    result = hermes.use(up, model).chat("go", env={"HERMES_MAX_ITERATIONS": 6})
    assert result.code == 1 and len(up.requests) <= 7
    assert re.search("iteration|step|repeat|same|max_turns|HERMES_MAX", result.notes, re.I), result
    if model == "same-tools":
        assert len(up.requests) <= 4, "the same call with the same result, three times"
