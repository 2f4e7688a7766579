"""Hermes as a server of the Model Context Protocol: over its standard streams, by itself and
through the hermes that runs in the home, and at /mcp of the admin listener."""

import base64
import http.client
import json
import signal
import socket
import threading

import pytest

from harness import comes_true
from mcp_client import INITIALIZE, Http, Stdio, call, lines, request, text_of
from mcp_fakes import servers, wait_ready  # noqa: F401  servers is a fixture

KEY = "admin-key-of-the-test"


@pytest.fixture
def owned(hermes, up, service):
    """owned("echo"): a `hermes run` with that model; its face over HTTP."""
    def start(model="echo", config=""):
        hermes.use(up, model)
        hermes.mkdir(hermes.workspace)
        hermes.put("config.yaml", config)
        running = service(env={"HERMES_ADMIN_KEY": KEY})
        return running, Http(running.port, KEY)
    return start


@pytest.fixture(params=["alone", "owned"])
def client(request, hermes, up, owned):
    """client("echo", config): `hermes mcp serve`, which answers itself, or asks the owner."""
    started = []

    def start(model="echo", config=""):
        if request.param == "owned":
            owned(model, config)
        else:
            hermes.use(up, model)
            hermes.mkdir(hermes.workspace)
            hermes.put("config.yaml", config)
        started.append(Stdio(hermes))
        return started[-1]
    yield start
    for one in started:
        one.process.kill()


# -- over the standard streams --------------------------------------------------------------------

def test_lines_from_a_pipe(hermes, up):
    hermes.use(up, "echo")
    hermes.mkdir(hermes.workspace)
    result = hermes.run("mcp", "serve", stdin=lines(
        request(1, "initialize", modern=False, **INITIALIZE),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        call(2, "ask", modern=False, question="is anybody there?"))).ok()
    first, second = map(json.loads, result.text.splitlines())
    assert first["result"]["protocolVersion"] == "2025-11-25"
    assert first["result"]["serverInfo"]["name"] == "hermes"
    assert second["id"] == 2 and text_of(second) == "echo: is anybody there?"


def test_a_pipe_of_legacy_lines_through_the_owner(hermes, owned):
    """What follows initialize waits for the session that it begins."""
    owned()
    messages = [request(1, "initialize", modern=False, **INITIALIZE),
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                *[call(n, "ask", modern=False, question=f"question {n}") for n in range(2, 8)]]
    result = hermes.run("mcp", "serve", stdin=lines(*messages)).ok()
    answers = {answer["id"]: answer for answer in map(json.loads, result.text.splitlines())}
    assert {n: text_of(answers[n]) for n in range(2, 8)} == \
        {n: f"echo: question {n}" for n in range(2, 8)}


def test_its_tools_only_read(client):
    tools = {tool["name"]: tool for tool in client().ask("tools/list")["result"]["tools"]}
    assert {"ask", "read_file", "list_files", "search_files"} <= set(tools)
    for name in ("terminal", "write_file", "patch", "web_fetch", "memory", "find_tools",
                 "call_tool"):
        assert name not in tools
    for tool in tools.values():
        assert tool["inputSchema"]["type"] == "object" and tool["description"]
        assert tool["annotations"]["readOnlyHint"] == (tool["name"] != "ask")


def test_a_tool(client, hermes):
    one = client()
    hermes.put("notes.txt", "a line\n", base=hermes.workspace)
    assert "a line" in text_of(one.call("read_file", path="notes.txt"))
    refused = one.call("read_file", path="../config.yaml")
    assert refused["result"]["isError"]
    assert one.call("terminal", command="id")["error"]["code"] == -32602
    assert one.call("call_tool", name="terminal", arguments={"command": "id"})["error"]


def test_what_the_owner_lists_is_offered(client, hermes):
    one = client(config="mcp:\n  serve:\n    tools: [write_file, terminal]\n")
    tools = [tool["name"] for tool in one.ask("tools/list")["result"]["tools"]]
    assert sorted(tools) == ["terminal", "write_file"]
    assert one.call("ask", question="hi")["error"]["code"] == -32602
    assert "isError" not in one.call("write_file", path="made", content="x")["result"]
    assert (hermes.workspace / "made").read_text() == "x"


def test_approvals_hold(client, hermes):
    """Of a tool that is called, and of one that the agent calls in a turn of ask."""
    one = client("two-steps", "mcp:\n  serve:\n    tools: [terminal, ask]\n")
    hermes.put("kept/file", "x", base=hermes.workspace)
    command = {"command": "rm -rf kept"}
    refused = one.call("terminal", **command)
    assert refused["result"]["isError"] and "approval" in text_of(refused)
    turn = one.call("ask", question=f"call terminal {json.dumps(command)}")
    assert "callers of the API are not asked" in text_of(turn)
    assert (hermes.workspace / "kept/file").exists()


def test_a_question_is_no_command(client):
    one = client()
    for question in ("/approve", " /stop", "/new"):
        answer = one.call("ask", question=question)
        assert answer["result"]["isError"] and "no command" in text_of(answer)
    assert "echo: /etc/hosts is empty" in text_of(one.call("ask", question="/etc/hosts is empty"))


@pytest.mark.parametrize("arguments", [{}, {"question": ""}, {"question": 7}, {"question": " "},
                                       {"question": "x", "conversation": "a b"},
                                       {"question": "x", "conversation": "../x"}])
def test_a_question_that_is_none(client, arguments):
    assert client().call("ask", **arguments)["result"]["isError"]


def test_a_conversation_goes_on(client):
    one = client("history")
    one.call("ask", question="first", conversation="c")
    assert text_of(one.call("ask", question="second", conversation="c")) == \
        "system user assistant user"
    assert text_of(one.call("ask", question="third")) == "system user"


def test_a_cancelled_question_ends(client, hermes, up):
    one = client("hang-mid")
    one.send(call(7, "ask", question="for ever"))
    comes_true(lambda: up.count("hang-mid") == 1)
    one.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})
    one.ask("server/discover")
    result = one.close()
    assert b'"id":7' not in result.out


def test_resources(client, hermes):
    hermes.put("memories/MEMORY.md", "likes tea\n")
    one = client()
    one.call("ask", question="a first question")
    listed = {r["uri"]: r for r in one.ask("resources/list")["result"]["resources"]}
    session, = [uri for uri in listed if uri.startswith("hermes://sessions/")]
    memory = one.ask("resources/read", uri="hermes://memories/MEMORY.md")
    assert memory["result"]["contents"][0]["text"] == "likes tea\n"
    content = one.ask("resources/read", uri=session)["result"]["contents"][0]
    told = json.loads(content["text"])
    assert "a first question" in [message["content"] for message in told["messages"]]
    found = text_of(one.call("session_search", query="question"))
    assert "a first question" in found
    for uri in ("hermes://memories/../config.yaml", "hermes://memories/", "hermes://sessions/",
                "hermes://sessions/zzz", "hermes://sessions/../status", "file:///etc/passwd", "x"):
        answer = one.ask("resources/read", uri=uri)
        assert answer["error"]["code"] == -32602 and answer["error"]["data"]["uri"] == uri


def test_ugly_lines(client):
    one = client()
    for line in (b"\n", b"{\n", b"[]\n", b"\xff\xfe\n", b'{"jsonrpc":"2.0"}\n', b"null\n",
                 b"[" * 1000 + b"\n", b"x" * (5 << 20) + b"\n"):
        one.send(line)
    assert one.ask("server/discover")["result"]["supportedVersions"][0] == "2026-07-28"
    one.send(b'{"jsonrpc":"2.0","id":"last","method":"ping"')  # and no more
    result = one.close()
    assert result.out.count(b'"error"') >= 7


def test_two_clients_of_one_home(hermes, up):
    """The second finds the first one's hermes."""
    hermes.use(up, "echo")
    first, second = Stdio(hermes), None
    first.ask("server/discover")
    second = Stdio(hermes)
    assert text_of(second.call("ask", question="a")) == "echo: a"
    assert text_of(first.call("ask", question="b")) == "echo: b"
    first.close()
    answer = second.call("ask", question="c")
    assert "has ended" in answer["error"]["message"]
    second.close()


def test_a_session_outlives_a_restart_of_the_owner(hermes, owned):
    """A client need not know that somebody else answers."""
    running, _ = owned()
    one = Stdio(hermes)
    one.send(request(1, "initialize", modern=False, **INITIALIZE))
    one.answer(1)
    running.stop()
    one.send(call(2, "ask", modern=False, question="while nobody is there"))
    assert "has ended" in one.answer(2)["error"]["message"]
    running.restart()
    for number in (3, 4):
        one.send(call(number, "ask", modern=False, question=f"question {number}"))
    assert [text_of(one.answer(n)) for n in (3, 4)] == ["echo: question 3", "echo: question 4"]
    one.send(request(5, "no/such"))  # which is 404 over HTTP as well
    assert one.answer(5)["error"]["code"] == -32601
    result = one.close()
    assert result.out.count(b"protocolVersion") == 1


def test_misused(hermes):
    for words in (("nonsense",), ("serve", "more")):
        hermes.run("mcp", *words).exits(2).sentence()


# -- over HTTP ------------------------------------------------------------------------------------

def test_only_with_the_key(owned):
    running, _ = owned()
    for key in ("", "wrong"):
        assert Http(running.port, key).ask(request(1, "tools/list"))[0] == 401


@pytest.mark.parametrize("host,origin,status", [
    ("evil.example.com", None, 403), ("evil.example.com", "http://evil.example.com", 403),
    ("localhost", "http://evil.example.com", 403), ("127.0.0.1", "null", 403),
    ("127.0.0.1", "http://192.0.2.1", 403), ("localhost:1", "http://localhost:6274", 200),
    ("192.0.2.1:9119", None, 200), ("[::1]:9119", None, 200), ("localhost.", None, 403),
    ("hermes.example", None, 200), ("HERMES.example:80", "https://hermes.example", 200),
    ("x.hermes.example", None, 403)])
def test_host_and_origin(owned, host, origin, status):
    _, face = owned(config="mcp:\n  serve:\n    hosts: [hermes.example]\n")
    answer = face.ask(request(1, "tools/list"), host=host, Origin=origin)
    assert answer[0] == status, answer


def test_headers_say_what_the_body_says(owned, hermes):
    _, face = owned()
    hermes.put("é.txt", "found\n", base=hermes.workspace)
    message = call(1, "list_files")
    encoded = base64.b64encode(b"list_files").decode()
    for more in ({"Mcp_Method": "tools/list"}, {"Mcp_Method": None}, {"Mcp_Name": None},
                 {"Mcp_Name": "other"}, {"MCP_Protocol_Version": None},
                 {"MCP_Protocol_Version": "2025-11-25"}, {"Mcp_Name": f"=?base64?{encoded}"},
                 {"Mcp_Name": "=?base64?!!!!?="}, {"Mcp_Name": f"=?base64?{encoded[:-1]}?="}):
        status, _, answer = face.ask(message, **more)
        assert (status, answer["error"]["code"], answer["id"]) == (400, -32020, 1), more
    assert face.ask(message, Mcp_Name=f"=?base64?{encoded}?=")[0] == 200
    status, _, answer = face.ask(request(2, "no/such"))
    assert (status, answer["error"]["code"]) == (404, -32601)
    assert face.ask({"jsonrpc": "2.0", "method": "notifications/any"})[0] == 202


def test_bodies_that_are_no_message(owned):
    _, face = owned()
    assert face.ask(request(1, "tools/list"), Content_Type="text/plain")[0] == 415
    assert face.ask(b"{", modern=False)[2]["error"]["code"] == -32700
    assert face.ask(b"[]", modern=False)[2]["error"]["code"] == -32600
    assert face.ask(b"x" * (5 << 20), modern=False)[0] == 413
    assert face.ask(b"", method="PUT", modern=False)[0] == 405


def test_sessions(owned):
    _, face = owned()

    def begin():
        status, headers, _ = face.ask(request(1, "initialize", modern=False, **INITIALIZE),
                                      modern=False)
        assert status == 200
        return {"Mcp_Session_Id": headers["Mcp-Session-Id"]}
    listing = request(2, "tools/list", modern=False)
    session = begin()
    assert face.ask(listing, modern=False, **session)[0] == 200
    assert face.ask(listing, modern=False)[0] == 400
    assert face.ask(listing, modern=False, Mcp_Session_Id="f" * 32)[0] == 404
    assert face.ask(listing, modern=False, MCP_Protocol_Version="1999-01-01", **session)[0] == 400
    assert face.ask(b"", method="GET", modern=False)[0] == 405
    there, stream = face.open(b"", method="GET", modern=False, **session)
    assert stream.status == 200 and stream.headers.get_content_type() == "text/event-stream"
    assert face.ask(b"", method="GET", modern=False, **session)[0] == 409
    for _ in range(40):  # and this one stays, since it is in use
        last = begin()
    assert face.ask(listing, modern=False, **session)[0] == 200
    there.close()
    assert face.ask(b"", method="DELETE", modern=False, **last)[0] == 204
    assert face.ask(listing, modern=False, **last)[0] == 404
    assert face.ask(b"", method="DELETE", modern=False, **last)[0] == 404


def test_whoever_leaves_has_cancelled(owned, up):
    running, face = owned("hang-mid")
    message = call(1, "ask", question="for ever")
    body = json.dumps(message).encode()
    with socket.create_connection(("127.0.0.1", running.port)) as there:
        there.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                      + KEY.encode() + b"\r\nContent-Type: application/json\r\n"
                      b"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n"
                      b"Mcp-Name: ask\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        comes_true(lambda: up.count("hang-mid") == 1)
    comes_true(lambda: [e["state"] for e in running.events("turn.end")] == ["cancelled"])
    begin, = running.events("turn.begin")
    assert begin["source"] == "api"


def test_a_stop_in_the_middle_of_a_question(owned, up):
    running, face = owned("hang-mid", "agent:\n  restart_drain_timeout: 1s\n")
    done = []

    def ask():
        try:
            done.append(face.ask(call(1, "ask", question="for ever")))
        except (OSError, http.client.HTTPException) as problem:  # it is cut
            done.append(problem)
    thread = threading.Thread(target=ask)
    thread.start()
    comes_true(lambda: up.count("hang-mid") == 1)
    running.stop()
    thread.join(20)
    assert done


@pytest.mark.parametrize("modern", [True, False])
def test_clients_hear_of_other_tools(owned, servers, hermes, modern):  # noqa: F811
    """A reload that changes nothing is none of their affair; a source that goes is."""
    servers.use()
    config = (hermes.home / "config.yaml").read_text().replace("model: {default: offline}\n", "")
    serve = "mcp: {serve: {tools: [ask, mcp__fake__echo]}}\n"
    running, _ = owned(config=config + serve)
    wait_ready(hermes)
    client = Stdio(hermes)
    if modern:
        client.send(request(1, "subscriptions/listen", notifications={"toolsListChanged": True}))
    else:
        client.send(request(1, "initialize", modern=False, **INITIALIZE))
        client.answer(1)
        client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def names():
        client.number += 1
        client.send(request(client.number, "tools/list", modern=modern))
        return [t["name"] for t in client.answer(client.number)["result"]["tools"]]

    def reload(running):
        seen = running.process.err.count(b"was reloaded")
        running.process.signal(signal.SIGHUP)
        assert comes_true(lambda: running.process.err.count(b"was reloaded") > seen)

    def told():
        return client.process.out.count(b"notifications/tools/list_changed")
    client.number = 1
    assert names() == ["mcp__fake__echo", "ask"]
    reload(running)
    assert told() == 0
    hermes.put("config.yaml", config[:config.index("mcp_servers")] + serve)
    reload(running)
    assert comes_true(lambda: told() == 1), client.process.out
    assert names() == ["ask"]
    client.close()
