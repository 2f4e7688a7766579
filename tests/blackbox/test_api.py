"""The agent's API: OpenAI's chat completions, who is let in, and which conversation goes on."""

import json
import socket
import threading

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from api_client import KEY, Api, text_of, text_of_chunks
from harness import comes_true

WRITE = 'call write_file {"path": "a.txt", "content": "by the agent"}'


@pytest.fixture
def api(hermes, up, service):
    """api("echo"): a `hermes run` with that model and an API."""
    def start(model="echo", config="", env=None):
        hermes.use(up, model)
        hermes.mkdir(hermes.workspace)
        hermes.put("config.yaml", config)
        start.running = service(env={"API_SERVER_KEY": KEY, "API_SERVER_PORT": "0",
                                     **(env or {})})
        return Api(start.running)
    return start


def sessions(hermes):
    return json.loads(hermes.run("sessions", "list", "--json").ok().text)["sessions"]


# -- who is let in --------------------------------------------------------------------------------

@pytest.mark.qemu_user
def test_health_needs_no_key(api):
    asked = api()
    asked.key = None
    assert asked.get("/health").ok()["status"] == "ok"
    assert asked.get("/v1/health").ok()["status"] == "ok"


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], KEY + "x"])
def test_a_wrong_key(api, key):
    asked = api()
    asked.key = key
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions"),
                         ("GET", "/api/sessions"), ("GET", "/nowhere")):
        error = asked.ask(method, path, {} if method == "POST" else None).refused(401, "key")
        assert error["code"] == "invalid_api_key"


def test_without_a_key_nothing_is_opened(hermes, up, service):
    hermes.use(up, "echo")
    running = service(env={"API_SERVER_PORT": "0", "API_SERVER_ENABLED": "true"})
    assert b"api:" not in running.process.out


def test_a_short_key_is_refused(hermes, up):
    hermes.use(up, "echo")
    hermes.run("run", "--port", "0", env={"API_SERVER_KEY": "short"}).failed(
        "API_SERVER_KEY", "8 char")


def test_switched_off(hermes, up, service):
    hermes.use(up, "echo")
    running = service(env={"API_SERVER_KEY": KEY, "API_SERVER_ENABLED": "false"})
    assert b"api:" not in running.process.out


@pytest.mark.parametrize("config", [
    f"gateway: {{api_server: {{key: {KEY}, port: 0, model_name: ada}}}}",
    f"platforms: {{api_server: {{enabled: true, extra: {{key: {KEY}, port: 0, model_name: ada}}}}}}"
])
def test_both_places_of_the_configuration(api, config):
    asked = api(config=config, env={"API_SERVER_KEY": None, "API_SERVER_PORT": None})
    model, = asked.get("/v1/models").ok()["data"]
    assert model["id"] == "ada" and model["object"] == "model"


def test_pages_of_others(api):
    asked = api(env={"API_SERVER_CORS_ORIGINS": "https://chat.example"})
    asked.get("/v1/models", Origin="https://evil.example").refused(403, "origin")
    answer = asked.get("/v1/models", Origin="https://chat.example")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://chat.example"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    asked.key = None  # as browsers ask before
    answer = asked.ask("OPTIONS", "/v1/chat/completions", Origin="https://chat.example")
    assert answer.status == 204
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


# -- what is not understood -----------------------------------------------------------------------

@pytest.mark.parametrize("body, sentence", [
    (b"", "JSON"), (b"{", "JSON"), (b"[]", "object"), (b"\xff\xfe", "JSON"),
    (b'{"messages": "hi"}', "messages"), (b'{"messages": []}', "last message"),
    (b'{"messages": [7]}', "role"), (b'{"messages": [{"role": "king", "content": "hi"}]}', "role"),
    (b'{"messages": [{"role": "user", "content": " "}]}', "empty"),
    (b'{"messages": [{"role": "user", "content": "a\\u0000b"}]}', "JSON"),
    (b'{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}',
     "last message"),
    (b'{"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}', "file"),
    (b"[" * 100000, "JSON"),
])
def test_bodies_that_are_not_understood(api, body, sentence):
    asked = api()
    asked.post("/v1/chat/completions", body).refused(400, sentence)


def test_limits(api):
    asked = api()
    asked.chat("x" * (1 << 20) + "x").refused(413, "1 MiB")
    asked.post("/v1/chat/completions", b" " * (13 << 20)).refused(413)
    assert text_of(asked.chat("still there?")) == "echo: still there?"


def test_paths_and_methods(api):
    asked = api()
    asked.get("/v1/nothing").refused(404, "docs/api.md")
    assert asked.get("/v1/chat/completions").status == 405
    asked.chat("x", session="no/slash").refused(400, "id of a session")
    asked.chat("x", session="s" * 64).refused(400, "63")


# -- answers --------------------------------------------------------------------------------------

@pytest.mark.qemu_user
def test_an_answer(hermes, api):
    answer = api().chat("is anybody there?", model="whatever")
    assert text_of(answer) == "echo: is anybody there?"
    told = answer.json
    assert told["object"] == "chat.completion" and told["model"] == "whatever"
    usage = told["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    session, = sessions(hermes)
    assert (session["id"], session["channel"]) == (answer.session, "api")


@pytest.mark.qemu_user
def test_a_stream(api):
    with api().stream("/v1/chat/completions",
                      {"messages": [{"role": "user", "content": "is anybody there?"}],
                       "stream_options": {"include_usage": True}}) as stream:
        assert stream.session
        events = stream.events()
    assert events[-1] == ("", "[DONE]")
    assert text_of_chunks(events) == "echo: is anybody there?"
    first, *_, finish, usage = [chunk for _, chunk in events[:-1]]
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == [] and usage["usage"]["total_tokens"] > 0
    assert len({chunk["id"] for _, chunk in events[:-1]}) == 1


def test_tools_are_used_and_told_of(hermes, api):
    with api("chain").stream("/v1/chat/completions", {"messages": [
            {"role": "user", "content": "a file\n" + WRITE}]}) as stream:
        events = stream.events()
    told = [data for kind, data in events if kind == "hermes.tool.progress"]
    assert [(one["tool"], one["status"]) for one in told] == [
        ("write_file", "running"), ("write_file", "completed")]
    assert told[0]["toolCallId"] == told[1]["toolCallId"] and not told[1]["failed"]
    assert text_of_chunks(events) == "done with a file"
    assert (hermes.workspace / "a.txt").read_text() == "by the agent"


def test_text_before_a_tool_and_behind_it(api):
    with api("text-and-tools").stream("/v1/chat/completions", {"messages": [
            {"role": "user", "content": "what time is it?"}]}) as stream:
        text = text_of_chunks(stream.events())
    assert text.startswith("Let me look. \n\n2")


def test_the_instructions_of_the_client_come_on_top(up, api):
    asked = api()
    text_of(asked.chat({"role": "system", "content": "Speak like a pirate."},
                       {"role": "user", "content": [{"type": "text", "text": "hi"}]}))
    system = up.requests[-1].messages[0]
    assert system["role"] == "system" and system["content"].endswith("Speak like a pirate.")
    assert "Hermes" in system["content"]


def test_what_looks_like_a_command_is_none(api):
    assert text_of(api().chat("/new begin")) == "echo: /new begin"


def test_a_turn_that_fails(api):
    asked = api("502")
    answer = asked.chat("hi")
    answer.refused(500, "502")
    assert answer.headers["x-should-retry"] == "false"
    with asked.stream("/v1/chat/completions",
                      {"messages": [{"role": "user", "content": "hi"}]}) as stream:
        events = stream.events()
    assert "error" in events[-1][1] and "502" in events[-1][1]["error"]["message"]


# -- whose conversation ---------------------------------------------------------------------------

def test_a_session_by_its_id(hermes, api):
    asked = api("history")
    assert text_of(asked.chat("one", session="mine")) == "system user"
    answer = asked.chat("two", session="mine")
    assert text_of(answer) == "system user assistant user" and answer.session == "mine"
    api.running.stop()
    asked = api("history")
    assert text_of(asked.chat("three", session="mine")) == \
        "system user assistant user assistant user"
    session, = sessions(hermes)
    assert session["id"] == "mine" and session["messages"] == 6


def test_a_session_of_another_channel(hermes, api):
    asked = api()
    hermes.chat("from the terminal").ok()
    session, = sessions(hermes)
    asked.chat("mine?", session=session["id"]).refused(409, "another channel")
    assert sessions(hermes)[0]["messages"] == 2


def test_a_conversation_that_the_client_tells_goes_on(hermes, up, api):
    """As web interfaces do it: all of it, each time, and no id."""
    asked = api("text-and-tools")
    with asked.stream("/v1/chat/completions",
                      {"messages": [{"role": "user", "content": "what time?"}]}) as stream:
        first, session = text_of_chunks(stream.events()), stream.session
    answer = asked.chat("what time?", first, "and now?")
    second = text_of(answer)
    third = asked.chat("what time?", first, "and now?", second, "and then?")
    assert answer.session == session == third.session
    assert len(sessions(hermes)) == 1
    roles = [m["role"] for m in up.requests[-1].messages]
    assert roles.count("tool") == 3  # which the client never saw


def test_two_that_begin_alike(hermes, api):
    asked = api()
    one, other = asked.chat("hi"), asked.chat("hi")
    assert one.session != other.session and len(sessions(hermes)) == 2
    assert text_of(asked.chat("hi", "echo: hi", "go on")) == "echo: go on"


def test_a_history_that_nobody_knows_is_tainted(hermes, up, api):
    """Its answers may be anybody's, and what they say must not move tools."""
    asked = api("history")
    answer = asked.chat("one", "an answer of somebody", "two")
    assert text_of(answer) == "system user assistant user"
    told = [m for m in up.requests[-1].messages if m["role"] == "assistant"]
    assert told[0]["content"] == "an answer of somebody"
    shown = json.loads(hermes.run("sessions", "show", answer.session, "--json").ok().text)
    assert [m.get("tainted", False) for m in shown["messages"]] == [False, True, False, True]
    again = asked.chat("one", "an answer of somebody", "two", text_of(answer), "three")
    assert again.session == answer.session
    assert text_of(again) == "system user assistant user assistant user"


def test_an_answer_that_is_asked_for_again_is_not_tainted(hermes, api):
    asked = api("history")
    first = text_of(asked.chat("one"))
    asked.chat("one", first, "two").ok()
    again = asked.chat("one", first, "two, in other words")
    assert text_of(again) == "system user assistant user"
    shown = json.loads(hermes.run("sessions", "show", again.session, "--json").ok().text)
    assert not any(m.get("tainted") for m in shown["messages"])


def test_a_title_is_written_without_tools_and_leaves_nothing(hermes, up, api):
    """Open WebUI asks for titles, tags and follow-ups beside the conversation."""
    asked = api()
    task = "### Task:\nGenerate a title.\n<chat_history>\nUSER: hi\n</chat_history>"
    assert text_of(asked.chat(task, stream=False)) == f"echo: {task}"
    assert not json.loads(up.requests[-1].body).get("tools")
    assert comes_true(lambda: not sessions(hermes))


# -- sent twice -----------------------------------------------------------------------------------

def test_a_request_with_a_key_runs_once(up, api):
    asked = api()
    ask = {"messages": [{"role": "user", "content": "one"}]}
    chat, key = "/v1/chat/completions", {"Idempotency_Key": "k 1"}
    first = asked.post(chat, ask, **key)
    again = asked.post(chat, ask, **key)
    assert first.ok() == again.ok() and first.session == again.session and len(up.requests) == 1
    other = asked.post(chat, {"messages": [{"role": "user", "content": "two"}]}, **key)
    assert other.ok()["id"] != first.json["id"] and len(up.requests) == 2
    asked.post(chat, ask, **key, X_Hermes_Session_Id="else").ok()
    asked.post(chat, ask, Idempotency_Key="k 2").ok()
    asked.post(chat, ask).ok()
    assert len(up.requests) == 5
    run = {"input": "three"}
    ids = {asked.post("/v1/runs", run, **key).ok(202)["run_id"] for _ in range(3)}
    asked.until(f"/v1/runs/{ids.pop()}", "completed")
    assert not ids and len(up.requests) == 6
    response = [asked.post("/v1/responses", run, **key).ok()["id"] for _ in range(2)]
    assert response[0] == response[1] and len(up.requests) == 7
    for number in range(32):
        asked.post(chat, {"messages": []}, Idempotency_Key=str(number)).refused(400)
    assert asked.post(chat, ask, **key).ok()["id"] != first.json["id"]


def test_a_key_in_use_and_one_whose_request_was_left(up, api):
    asked = api("gate")
    ask = {"messages": [{"role": "user", "content": "one"}]}
    chat, key = "/v1/chat/completions", {"Idempotency_Key": "k"}
    with asked.stream(chat, ask, **key) as stream:
        stream.until("begun")
        answer = asked.post(chat, {**ask, "stream": True}, **key)
        assert answer.refused(409, "still being")["code"] == "idempotency_key_in_use"
    up.release.set()

    def runs_anew():
        return asked.post(chat, {**ask, "stream": True}, **key).status == 200
    assert comes_true(runs_anew)


# -- two at once, and who leaves ------------------------------------------------------------------

def test_two_at_once_in_one_session(up, api):
    asked = api("gate")
    with asked.stream("/v1/chat/completions", {"messages": [{"role": "user", "content": "one"}]},
                      X_Hermes_Session_Id="mine") as stream:
        stream.until("begun")
        answer = asked.chat("two", session="mine")
        assert answer.refused(409, "already")["code"] == "session_busy"
        up.release.set()
        assert stream.events()[-1] == ("", "[DONE]")


def test_more_than_may_run(up, api):
    asked = api("gate", config="gateway: {api_server: {max_concurrent_runs: 1}}")
    with asked.stream("/v1/chat/completions",
                      {"messages": [{"role": "user", "content": "one"}]}) as stream:
        stream.until("begun")
        answer = asked.chat("two")
        answer.refused(429, "at once")
        assert int(answer.headers["Retry-After"]) > 0
        up.release.set()
        stream.events()
    assert text_of(asked.chat("three")).startswith("answer to three")


@pytest.mark.parametrize("streams", [True, False])
def test_who_leaves_ends_the_answer(api, streams):
    asked = api("gate")
    body = {"messages": [{"role": "user", "content": "long"}]}
    if streams:
        with asked.stream("/v1/chat/completions", body) as stream:
            stream.until("begun")
    else:
        text = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", asked.port)) as sock:
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                         + KEY.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
            api.running.wait_event("turn.begin")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert api.running.wait_event("turn.end")["state"] == "cancelled"


def test_a_reader_that_takes_nothing(api):
    """Ten megabytes for somebody who does not read: it is cut off, and nobody else notices."""
    asked = api("ten-megabytes")
    with asked.stream("/v1/chat/completions",
                      {"messages": [{"role": "user", "content": "much"}]}) as stream:
        stream.response.readline()
        api.running.wait_event("turn.end")
    assert asked.get("/v1/models").ok()


def test_many_at_once(api):
    asked, texts = api(), {}

    def one(n):
        texts[n] = text_of(asked.chat(f"number {n}"))
    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {n: f"echo: number {n}" for n in range(8)}


def test_a_kill_in_mid_answer(hermes, up, api):
    """Nobody gets that answer any more; the conversation goes on behind it."""
    asked = api("gate")
    with asked.stream("/v1/chat/completions", {"messages": [{"role": "user", "content": "one"}]},
                      X_Hermes_Session_Id="mine") as stream:
        stream.until("begun")
        api.running.kill()
    up.release.set()
    asked = api("history")
    answer = asked.chat("two", session="mine")
    while answer.status in (503, 409):  # the file is checked, the old answer given up
        assert int(answer.headers["Retry-After"]) > 0
        answer = asked.chat("two", session="mine")
    assert text_of(answer).endswith("assistant user")
