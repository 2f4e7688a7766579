"""The openai client from npm, as it is, in front of the router.

Most programs that ask a model ask through this client or a port of it: what it reads of an answer,
how it names a failure and how it leaves are what a server of this format has to get right.
"""

import json
import pathlib
import subprocess
import time

import pytest
from openai_others import DIMENSIONS, vector_of
from openai_scenarios import BIG_INT_ARGUMENTS, scenario
from openai_upstream import Upstream
from router_service import MASTER_KEY, Router

HERE = pathlib.Path(__file__).resolve().parent
HELLO = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {
    "name": name, "description": "d",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}
    for name in ("read_file", "list_files", "current_time")]
NEVER_AGAIN = {"maxRetries": 0}  # else the client itself repeats what failed


@scenario("json-calls")
def json_calls(turn):
    """As one piece, whatever was asked for."""
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": text}}
             for n, (name, text) in enumerate([("read_file", '{"id": 9007199254740993}'),
                                               ("list_files", "{}")])]
    turn.conn.answer(200, {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": calls},
             "finish_reason": "tool_calls"}]})


class Problem(Exception):
    """What the client threw."""

    def __init__(self, told):
        super().__init__(f"{told['name']}: {told.get('message')}")
        self.told = told

    def __getattr__(self, name):
        return self.told.get(name)


class Client:
    def __init__(self, packages, port, key):
        self.child = subprocess.Popen(
            ["node", HERE / "openai_bridge.mjs", packages / "node_modules",
             f"http://127.0.0.1:{port}/v1", key],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert json.loads(self.child.stdout.readline())["ready"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.kill()
        self.child.wait()

    def ask(self, op, model=None, options=None, **params):
        if op in ("chat", "stream", "final", "start"):
            params = {"messages": HELLO, **params}
        self.child.stdin.write(json.dumps({
            "op": op, "params": {"model": model, **params}, "options": options or {},
            "count": params.get("count")}) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        if "problem" in answer:
            raise Problem(answer["problem"])
        return answer["result"]

    def fails(self, op, model, options=None, **params):
        with pytest.raises(Problem) as caught:
            self.ask(op, model, {**NEVER_AGAIN, **(options or {})}, **params)
        return caught.value


@pytest.fixture
def up():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def router(hermes, up):
    made = Router(hermes, up)
    yield made
    made.kill()


@pytest.fixture
def client(packages, router):
    """client("echo", "429") starts a router with a group of that name for each scenario."""
    opened = []

    def start(*scenarios, key=MASTER_KEY, **more):
        router.start({name: [name] for name in scenarios}, **more)
        opened.append(Client(packages, router.port, key))
        return opened[-1]
    yield start
    for one in opened:
        one.__exit__()


def calls_of(completion):
    return [(call["function"]["name"], call["function"]["arguments"])
            for call in completion["choices"][0]["message"]["tool_calls"]]


# -- answers --------------------------------------------------------------------------------------

def test_a_plain_answer_and_its_headers(client):
    answer = client("echo").ask("chat", "echo")
    assert answer["data"]["choices"][0]["message"]["content"] == "echo: hello"
    assert answer["data"]["usage"]["total_tokens"] > 0
    assert answer["headers"]["x-litellm-model-group"] == "echo"


def test_a_streamed_answer(client):
    chunks = client("echo").ask("stream", "echo")["data"]
    assert "".join(choice["delta"].get("content") or ""
                   for chunk in chunks for choice in chunk["choices"]) == "echo: hello"
    assert all(chunk["choices"] for chunk in chunks), "a chunk of usage that nobody asked for"


def test_a_stream_with_the_usage_that_was_asked_for(client):
    chunks = client("echo").ask("stream", "echo", stream_options={"include_usage": True})["data"]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] > 0


def test_the_clients_own_assembly_of_a_stream(client):
    final = client("echo").ask("final", "echo")["data"]
    assert final["choices"][0]["message"]["content"] == "echo: hello"
    assert final["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("op", ["chat", "final"])
def test_a_tool_call_and_its_result(client, up, op):
    asks = client("tools")
    question = [{"role": "user", "content": 'call read_file {"path": "a.txt"}'}]
    first = asks.ask(op, "tools", messages=question, tools=TOOLS)["data"]
    assert calls_of(first) == [("read_file", '{"path": "a.txt"}')]
    message = first["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "the text"}
    message = {name: message[name] for name in ("role", "content", "tool_calls")}
    second = asks.ask(op, "tools", messages=[*question, message, result], tools=TOOLS)["data"]
    assert second["choices"][0]["message"]["content"] == "the text"
    assert not up.rejected


@pytest.mark.parametrize("op", ["chat", "final"])
def test_parallel_tool_calls(client, op):
    text = 'call read_file {"path":"one.txt"}\ncall list_files {"path":"two"}'
    done = client("parallel-tools").ask(op, "parallel-tools", tools=TOOLS,
                                        messages=[{"role": "user", "content": text}])["data"]
    assert calls_of(done) == [("read_file", '{"path":"one.txt"}'), ("list_files", '{"path":"two"}')]


@pytest.mark.parametrize("op", ["chat", "final"])
def test_arguments_arrive_as_the_model_wrote_them(client, op):
    done = client("big-int").ask(op, "big-int", tools=TOOLS)["data"]
    assert calls_of(done) == [("read_file", BIG_INT_ARGUMENTS)]


@pytest.mark.parametrize("encoding", [None, "float"])
def test_embeddings(client, encoding):
    """Without an encoding the client asks for base64, and unpacks it."""
    params = {"encoding_format": encoding} if encoding else {}
    answer = client("fixed").ask("embedding", "fixed", input=["one", "two"], **params)["data"]
    assert [item["embedding"] for item in answer["data"]] == [
        vector_of(text, DIMENSIONS) for text in ("one", "two")]
    assert answer["usage"]["prompt_tokens"] > 0


def test_a_text_completion(client):
    answer = client("echo").ask("completion", "echo", prompt="hello")["data"]
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"] == "echo: hello"


def test_a_streamed_text_completion(client):
    chunks = client("echo").ask("completion_stream", "echo", prompt="hello")["data"]
    assert "".join(c["text"] for chunk in chunks for c in chunk["choices"]) == "echo: hello"


def test_the_list_of_models(client):
    listed = client("echo", "tools").ask("models")["data"]
    assert [model["id"] for model in listed] == ["echo", "tools"]
    assert {model["object"] for model in listed} == {"model"}


# -- a stream that was asked for, and came as one piece --------------------------------------------

@pytest.mark.parametrize("op", ["stream", "final"])
def test_one_piece_is_a_stream_for_the_client(client, op):
    """Without that the client reads no event, and takes it for an empty answer."""
    told = client("json-for-stream").ask(op, "json-for-stream")["data"]
    if op == "stream":
        text = "".join(choice["delta"].get("content") or ""
                       for chunk in told for choice in chunk["choices"])
    else:
        text = told["choices"][0]["message"]["content"]
        assert told["choices"][0]["finish_reason"] == "stop"
    assert text == "whole in spite of the question"


def test_tool_calls_in_one_piece(client):
    done = client("json-calls").ask("final", "json-calls", tools=TOOLS)["data"]
    assert calls_of(done) == [("read_file", '{"id": 9007199254740993}'), ("list_files", "{}")]


# -- a sign of life --------------------------------------------------------------------------------

def test_a_stream_that_is_silent_for_long_has_its_answer(client, up):
    asks = client("hold-first", own={"keep_alive": 0.2})
    asks.ask("start", "hold-first")
    assert up.wait_for(lambda: up.requests)
    time.sleep(1)  # long enough for some comments, and if it were not, the same must come
    up.release.set()
    chunks = asks.ask("read", count=3)["data"]
    assert "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


def test_a_failure_after_a_sign_of_life_is_thrown(client, up):
    """The status has gone out; what the client throws comes from the event."""
    asks = client("hang", own={"keep_alive": 0.2, "first_content_timeout": 2})
    problem = asks.fails("stream", "hang")
    assert problem.name in ("APIError", "APIConnectionError", "APIConnectionTimeoutError")
    assert "litellm.Timeout" in problem.message


# -- failures, by the classes that programs catch -------------------------------------------------

@pytest.mark.parametrize("op", ["chat", "stream"])
@pytest.mark.parametrize("scenario,name,status", [
    ("400-context", "BadRequestError", 400), ("401", "AuthenticationError", 401),
    ("403", "PermissionDeniedError", 403), ("404", "NotFoundError", 404),
    ("429-forever", "RateLimitError", 429), ("500-html", "InternalServerError", 500),
    ("503", "InternalServerError", 503), ("200-limit", "RateLimitError", 429)])
def test_an_upstreams_failure_has_its_class(client, op, scenario, name, status):
    """LiteLLM's, that is."""
    problem = client(scenario).fails(op, scenario)
    assert (problem.name, problem.status, problem.code) == (name, status, str(status))


def test_a_wrong_key(client, up):
    problem = client("echo", key="sk-wrong").fails("chat", "echo")
    assert (problem.name, problem.status) == ("AuthenticationError", 401)
    assert problem.type == "auth_error" and not up.requests


def test_a_model_that_does_not_exist(client, up):
    problem = client("echo").fails("chat", "gpt-none")
    assert (problem.name, problem.status) == ("BadRequestError", 400)
    assert "gpt-none" in problem.message and not up.requests


def test_the_client_waits_as_long_as_it_is_told(client):
    problem = client("429-forever").fails("chat", "429-forever")
    assert int(problem.headers["retry-after"]) >= 1


def test_the_clients_own_retries_find_the_answer(client, up):
    """Refused once, and the client asks again by itself: the deployment must be let back in."""
    answer = client("429").ask("chat", "429", {"maxRetries": 5})
    assert answer["data"]["choices"][0]["message"]["content"] == "answered at the second try"
    assert up.count("429") == 2


def test_a_stream_that_breaks_is_an_error_and_no_short_answer(client):
    problem = client("cut-stream").fails("stream", "cut-stream")
    assert problem.name in ("APIError", "APIConnectionError", "InternalServerError")


# -- leaving --------------------------------------------------------------------------------------

def test_abort_before_the_first_byte(client, router, up):
    asks = client("hang")
    asks.ask("start", "hang", {"headers": {"x-litellm-call-id": "left-early"}})
    assert up.wait_for(lambda: up.requests)
    with pytest.raises(Problem) as caught:
        asks.ask("abort")
    assert caught.value.name == "APIUserAbortError"
    assert up.wait_for(lambda: up.disconnects), "the upstream call goes on"
    assert [row["cancelled"] for row in router.attempts("left-early")] == [True]


def test_abort_in_mid_stream(client, router, up):
    asks = client("drip")
    asks.ask("start", "drip", {"headers": {"x-litellm-call-id": "left-late"}})
    asks.ask("read", count=3)
    asks.ask("abort")
    assert up.wait_for(lambda: up.disconnects), "the upstream call goes on"
    row, = router.attempts("left-late")
    assert row["cancelled"] and row["bytes_out"] > 0


def test_after_an_abort_the_client_goes_on(client):
    asks = client("drip", "echo")
    asks.ask("start", "drip")
    asks.ask("read", count=1)
    asks.ask("abort")
    assert asks.ask("chat", "echo")["data"]["choices"][0]["message"]["content"] == "echo: hello"
