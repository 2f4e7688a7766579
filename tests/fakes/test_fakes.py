"""The fakes have tests of their own: a fault that is not really there proves nothing.

Each fault is looked at from the client's side of the wire, with a client that adds nothing.
"""

import base64
import http.client
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import openai_scenarios  # noqa: E402
from name_server import SERVFAIL, SILENT, NameServer, Truncated  # noqa: E402
from openai_upstream import SCENARIOS, Upstream  # noqa: E402
from own_network import LOST_V4, LOST_V6, V4, V6, Network  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = [{"type": "function", "function": {
    "name": name, "description": "d", "parameters": {
        "type": "object", "properties": {"path": {"type": "string"}}, "required": []}}}
    for name in ("read_file", "current_time", "list_files")]
UNENDING = {"hang", "hang-first-byte", "hang-mid", "hang-after-finish", "hang-comments", "drip",
            "hold", "hold-first", "endless", "running-usage", "201-cut", "201-error"}
SMALL = {"million-deltas": ":2000", "ten-megabytes": ":1", "huge-line": ":2", "huge-json": ":2",
         "huge-header": ":2", "many-headers": ":1000", "huge-arguments": ":1", "many-tools": ":20",
         "slow-comments": ":0.2"}
BROKEN_HTTP = {"cut-before-headers", "cut-headers", "cut-json", "cut-utf8", "cut-stream",
               "rst-stream", "huge-length", "huge-header", "many-headers", "chunk-garbage",
               "chunk-huge", "not-http"}
PYTHON_FORGIVES = {"cut-headers", "chunk-huge", "huge-length"}  # looked at as bytes instead


@pytest.fixture
def up():
    with Upstream() as upstream:
        yield upstream


def body(model, text="hi", stream=False, **more):
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}],
            **more}


def post(up, value, timeout=20, key=None, raw=None, headers=None, path="chat/completions"):
    """(status, headers, bytes) of one call."""
    conn = http.client.HTTPConnection("127.0.0.1", up.port, timeout=timeout)
    try:
        data = raw if raw is not None else json.dumps(value).encode()
        conn.request("POST", f"/v1/{path}", data, {
            "Content-Type": "application/json", "Authorization": f"Bearer {key or up.api_key}",
            **(headers or {})})
        answer = conn.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        conn.close()


def events(data):
    """The parsed events of a stream without the [DONE]."""
    found = [line[6:] for line in data.decode().replace("\r\n", "\n").split("\n")
             if line.startswith("data: ")]
    return [json.loads(line) for line in found if line != "[DONE]"]


def assembled(chunks):
    """(text, calls, finish) as the simplest right client puts them together."""
    text, calls, finish = "", {}, None
    for chunk in chunks:
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
            for part in choice["delta"].get("tool_calls") or []:
                call = calls.setdefault(part["index"], {"id": None, "name": "", "arguments": ""})
                call["id"] = part.get("id", call["id"])
                call["name"] += part["function"].get("name", "")
                call["arguments"] += part["function"].get("arguments", "")
    return text, [calls[key] for key in sorted(calls)], finish


def raw_exchange(up, model, stream=True, wait=0.3):
    """Every byte that comes back within `wait` seconds of silence, and whether it ended."""
    data = json.dumps(body(model, stream=stream)).encode()
    with socket.create_connection(("127.0.0.1", up.port)) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                     + up.api_key.encode() + b"\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        sock.settimeout(wait)
        got = b""
        while True:
            try:
                part = sock.recv(1 << 16)
            except TimeoutError:
                return got, "silent"
            except ConnectionResetError:
                return got, "reset"
            if not part:
                return got, "closed"
            got += part


# -- right answers --------------------------------------------------------------------------------

def test_echo_whole_and_streamed_are_the_same(up):
    _, _, whole = post(up, body("echo", "Grüße 🌍"))
    _, _, stream = post(up, body("echo", "Grüße 🌍", True))
    assert json.loads(whole)["choices"][0]["message"]["content"] == "echo: Grüße 🌍"
    assert assembled(events(stream)) == ("echo: Grüße 🌍", [], "stop")
    assert events(stream)[-1]["usage"]["cost"] > 0
    assert stream.endswith(b"data: [DONE]\n\n")
    assert [r.model for r in up.requests] == ["echo", "echo"] and not up.rejected


def test_models_and_key_are_listed(up):
    conn = http.client.HTTPConnection("127.0.0.1", up.port)
    for path in ("/v1/models", "/v1/key"):
        conn.request("GET", path, headers={"Authorization": f"Bearer {up.api_key}"})
        assert json.loads(conn.getresponse().read())["data"]
    assert up.connections == 1, "keep-alive works"


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_result_is_answered(up, stream):
    first = body("tools", 'call read_file {"path":"a.txt"}', stream, tools=TOOLS)
    _, _, data = post(up, first)
    if stream:
        _, calls, finish = assembled(events(data))
    else:
        choice = json.loads(data)["choices"][0]
        finish = choice["finish_reason"]
        calls = [{"id": c["id"], **c["function"]} for c in choice["message"]["tool_calls"]]
    assert finish == "tool_calls" and calls[0]["arguments"] == '{"path":"a.txt"}'
    first["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [{
            "id": calls[0]["id"], "type": "function",
            "function": {"name": "read_file", "arguments": calls[0]["arguments"]}}]},
        {"role": "tool", "tool_call_id": calls[0]["id"], "content": "contents"}]
    _, _, data = post(up, first)
    text = assembled(events(data))[0] if stream else \
        json.loads(data)["choices"][0]["message"]["content"]
    assert text == "contents" and not up.rejected


def test_parallel_fragments_are_interleaved(up):
    text = 'call read_file {"path":"one.txt"}\ncall list_files {"path":"two"}'
    chunks = events(post(up, body("parallel-tools", text, True, tools=TOOLS))[2])
    order = [part["index"] for chunk in chunks for choice in chunk["choices"]
             for part in choice["delta"].get("tool_calls", [])]
    assert order[:6] == [0, 1, 0, 1, 0, 1]
    assert [c["arguments"] for c in assembled(chunks)[1]] == ['{"path":"one.txt"}',
                                                              '{"path":"two"}']


def test_a_script_may_hold_broken_json(up):
    chunks = events(post(up, body("tools", 'call read_file {"path": oops', True, tools=TOOLS))[2])
    assert assembled(chunks)[1][0]["arguments"] == '{"path": oops'


def test_dialects_differ_where_the_servers_do(up):
    text = 'call read_file {"path":"a"}\ncall read_file {"path":"b"}'

    def parts(model):
        chunks = events(post(up, body(model, text, True, tools=TOOLS))[2])
        return [p for c in chunks for ch in c["choices"]
                for p in ch["delta"].get("tool_calls") or []], chunks

    ollama, chunks = parts("ollama")
    assert [p["index"] for p in ollama] == [0, 0] and len({p["id"] for p in ollama}) == 2
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("index" not in p for p in parts("ollama-old")[0])
    assert "timings" in parts("llamacpp")[1][-2]
    assert any(c["choices"] and c["choices"][0]["delta"].get("reasoning_content")
               for c in parts("deepseek")[1])
    assert parts("gemini")[0][0]["extra_content"]["google"]["thought_signature"]


@pytest.mark.parametrize("model,lost", [("deepseek", "reasoning_content"),
                                        ("gemini", "extra_content")])
def test_what_must_come_back_is_asked_for(up, model, lost):
    first = body(model, 'call read_file {"path":"a"}', tools=TOOLS)
    message = json.loads(post(up, first)[2])["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "r"}
    del message["refusal"]
    good = {**first, "messages": [*first["messages"], message, result]}
    assert post(up, good)[0] == 200
    (message if lost in message else message["tool_calls"][0]).pop(lost)
    assert post(up, good)[0] == 400 and len(up.rejected) == 1


# -- the picky provider ---------------------------------------------------------------------------

CALL = {"id": "c1", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}
USER = {"role": "user", "content": "hi"}


def asks(*calls):
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def tells(id_):
    return {"role": "tool", "tool_call_id": id_, "content": "x"}


BAD_REQUESTS = {
    "no messages": {"messages": []},
    "no such role": {"messages": [{"role": "robot", "content": "x"}]},
    "empty user text": {"messages": [{"role": "user", "content": ""}]},
    "late system": {"messages": [USER, {"role": "system", "content": "x"}, USER]},
    "assistant first": {"messages": [{"role": "assistant", "content": "x"}, USER]},
    "assistant last": {"messages": [USER, {"role": "assistant", "content": "x"}]},
    "assistant without anything": {"messages": [USER, {"role": "assistant", "content": ""}, USER]},
    "tool without a call": {"messages": [USER, tells("c1")]},
    "call without an answer": {"messages": [USER, asks(CALL), USER]},
    "half the answers": {"messages": [USER, asks(CALL, {**CALL, "id": "c2"}), tells("c1"), USER]},
    "wrong id": {"messages": [USER, asks(CALL), tells("c9")]},
    "answered twice": {"messages": [USER, asks(CALL), tells("c1"), tells("c1")]},
    "same ids": {"messages": [USER, asks(CALL, CALL), tells("c1"), tells("c1")]},
    "no tool_calls in the list": {"messages": [USER, asks(), USER]},
    "null tool result": {"messages": [USER, asks(CALL), {**tells("c1"), "content": None}]},
    "arguments no JSON": {"messages": [USER, asks({**CALL, "function": {
        "name": "read_file", "arguments": "{oops"}}), tells("c1")]},
    "arguments an object": {"messages": [USER, asks({**CALL, "function": {
        "name": "read_file", "arguments": {}}}), tells("c1")]},
    "arguments a list": {"messages": [USER, asks({**CALL, "function": {
        "name": "read_file", "arguments": "[]"}}), tells("c1")]},
    "bad tool name": {"messages": [USER, asks({**CALL, "function": {
        "name": "read file", "arguments": "{}"}}), tells("c1")]},
    "empty tools": {"tools": []},
    "tool twice": {"tools": [TOOLS[0], TOOLS[0]]},
    "no such type": {"tools": [{"type": "function", "function": {
        "name": "x", "parameters": {"type": "object", "properties": {"a": {"type": "str"}}}}}]},
    "required unknown": {"tools": [{"type": "function", "function": {
        "name": "x", "parameters": {"type": "object", "properties": {}, "required": ["a"]}}}]},
    "array without items": {"tools": [{"type": "function", "function": {
        "name": "x", "parameters": {"type": "object", "properties": {"a": {"type": "array"}}}}}]},
    "parameters no object": {"tools": [{"type": "function", "function": {
        "name": "x", "parameters": {"type": "string"}}}]},
    "tool_choice alone": {"tool_choice": "auto"},
    "stream_options alone": {"stream_options": {"include_usage": True}},
    "unknown field": {"frobnicate": 1},
    "zero tokens": {"max_tokens": 0},
    "model no string": {"model": 5},
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_is_refused(up, name):
    status, _, data = post(up, {**body("echo"), **BAD_REQUESTS[name]})
    assert status == 400 and json.loads(data)["error"]["message"] and len(up.rejected) == 1


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b'{"model":"echo","model":"echo","messages":[]}', b'{"a":NaN}',
    b'{"model":"echo","messages":[{"role":"user","content":"\xff"}]}',
    b'{"model":"echo","messages":[{"role":"user","content":"\\ud83c"}]}',
    b'\xef\xbb\xbf{"model":"echo","messages":[{"role":"user","content":"x"}]}'])
def test_bad_bytes_are_refused(up, raw):
    assert post(up, None, raw=raw)[0] == 400 and len(up.rejected) == 1


def test_good_forms_are_taken(up):
    for messages in ([{"role": "system", "content": "s"}, USER],
                     [USER, asks(CALL, {**CALL, "id": "c2"}), tells("c2"), tells("c1")],
                     [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
                     [USER, {"role": "assistant", "content": "a"}, USER]):
        assert post(up, {**body("fixed"), "messages": messages, "tools": TOOLS})[0] == 200
    assert not up.rejected


def test_key_type_and_path_are_checked(up):
    assert post(up, body("echo"), key="other")[0] == 401
    assert post(up, body("echo"), headers={"Content-Type": "text/plain"})[0] == 400
    assert post(up, body("no-such-model"))[0] == 404


# -- faults ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - UNENDING - BROKEN_HTTP - {"gzip-bomb"}))
def test_a_scenario_speaks_whole_http(up, name, stream):
    status, _, _ = post(up, body(name + SMALL.get(name, ""), stream=stream, tools=TOOLS))
    expected = name[:3] if name[:3].isdigit() else {
        "redirect": "302", "gemini-array": "400"}.get(name, "200")
    assert str(status) == expected
    assert not up.rejected and not up.disconnects


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", sorted(BROKEN_HTTP - PYTHON_FORGIVES))
def test_a_broken_scenario_breaks(up, name, stream):
    with pytest.raises((http.client.HTTPException, OSError, ValueError)):
        if name in ("huge-header", "many-headers"):
            post(up, body(name + SMALL[name], stream=stream))
        else:
            post(up, body(name, stream=stream))


@pytest.mark.parametrize("name,begin,end", [
    ("hang", 0, "silent"), ("hang-first-byte", b"\r\n\r\n", "silent"),
    ("hang-mid", b"three ", "silent"), ("hang-after-finish", b"[DONE]", "silent"),
    ("cut-stream", b"three ", "closed"), ("rst-stream", b"three ", "reset"),
    ("cut-stream-clean", b"0\r\n\r\n", "closed"), ("cut-stream-close", b"three ", "closed"),
    ("chunk-garbage", b"ZZZZ", "closed"), ("chunk-huge", b"ffffffffffffffffff", "closed"),
    ("cut-headers", b"text/ev", "closed"), ("huge-length", b"1152921504606846976", "closed"),
    ("cut-json", b"data: {", "closed")])
def test_where_a_stream_stops(up, name, begin, end):
    got, how = raw_exchange(up, name)
    if name == "cut-stream-clean":
        how = "closed" if how == "silent" else how  # a kept connection is silent, not cut
    assert how == end
    assert got == b"" if begin == 0 else begin in got
    assert (b"[DONE]" in got) == (name == "hang-after-finish")


def test_cut_utf8_ends_inside_a_character(up):
    got, _ = raw_exchange(up, "cut-utf8")
    with pytest.raises(UnicodeDecodeError):
        got.decode()


@pytest.mark.parametrize("name", ["hang", "hang-first-byte", "hang-mid", "drip", "endless"])
def test_a_client_that_leaves_is_noticed(up, name):
    raw_exchange(up, name, wait=0.2) if name not in ("drip", "endless") else leave(up, name)
    assert up.wait_for(lambda: up.disconnects, 2)
    assert up.disconnects[0].left and not up.disconnects[0].ended


def leave(up, name):
    data = json.dumps(body(name, stream=True)).encode()
    with socket.create_connection(("127.0.0.1", up.port)) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer "
                     + up.api_key.encode() + b"\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        sock.recv(1000)


def test_429_is_given_once(up):
    status, headers, _ = post(up, body("429:3"))
    assert (status, headers["Retry-After"]) == (429, "3")
    assert post(up, body("429:3"))[0] == 200
    assert [post(up, body("429-forever"))[0] for _ in range(3)] == [429] * 3


def test_hold_waits_for_the_test(up):
    up.release.set()
    assert b"released" in post(up, body("hold", stream=True))[2]
    assert b"echo: " in post(up, body("hold-first"))[2]


def test_big_int_knows_whether_it_came_back(up):
    first = body("big-int", tools=TOOLS)
    call = json.loads(post(up, first)[2])["choices"][0]["message"]["tool_calls"][0]
    for text, expected in ((openai_scenarios.BIG_INT_ARGUMENTS, "exact"), ("{}", "changed: {}")):
        sent = {**call, "function": {"name": "read_file", "arguments": text}}
        del sent["index"]
        value = {**first, "messages": [*first["messages"], asks(sent), tells(call["id"])]}
        assert json.loads(post(up, value)[2])["choices"][0]["message"]["content"] == expected


def test_a_million_deltas_are_made_fast(up):
    begin = time.monotonic()
    _, _, data = post(up, body("million-deltas", stream=True), timeout=120)
    assert data.count(b"data: ") == 1000000 + 3
    assert time.monotonic() - begin < 60


# -- the other paths ------------------------------------------------------------------------------

def test_a_completion_whole_and_streamed_is_the_same(up):
    asked = {"model": "echo", "prompt": "Grüße"}
    whole = json.loads(post(up, asked, path="completions")[2])
    chunks = events(post(up, {**asked, "stream": True}, path="completions")[2])
    assert whole["object"] == chunks[0]["object"] == "text_completion"
    assert whole["choices"][0]["text"] == "echo: Grüße" and whole["usage"]["cost"] > 0
    assert "".join(c["text"] for chunk in chunks for c in chunk["choices"]) == "echo: Grüße"
    assert not up.rejected


def test_embeddings_as_numbers_and_as_bytes_are_the_same(up):
    asked = {"model": "fixed", "input": ["one", "two"]}
    numbers = json.loads(post(up, asked, path="embeddings")[2])
    packed = json.loads(post(up, {**asked, "encoding_format": "base64"}, path="embeddings")[2])
    for one, other in zip(numbers["data"], packed["data"], strict=True):
        data = base64.b64decode(other["embedding"])
        assert one["embedding"] == list(struct.unpack(f"<{len(data) // 4}f", data))
    assert numbers["data"][0]["embedding"] != numbers["data"][1]["embedding"]
    assert numbers["usage"]["prompt_tokens"] > 0 and not up.rejected


@pytest.mark.parametrize("path,value", [
    ("completions", {"model": "echo"}),
    ("completions", {"model": "echo", "prompt": "x", "messages": []}),
    ("completions", {"model": "echo", "prompt": "x", "n": 2, "best_of": 1}),
    ("embeddings", {"model": "echo", "input": []}),
    ("embeddings", {"model": "echo", "input": "x", "stream": True}),
    ("embeddings", {"model": "echo", "input": "x", "encoding_format": "hex"})])
def test_the_other_paths_are_picky_too(up, path, value):
    assert post(up, value, path=path)[0] == 400
    assert len(up.rejected) == 1


@pytest.mark.parametrize("path,value", [("completions", {"prompt": "x"}),
                                        ("embeddings", {"input": "x"})])
def test_the_other_paths_fail_as_chats_do(up, path, value):
    assert [post(up, {"model": "429", **value}, path=path)[0] for _ in range(2)] == [429, 200]
    assert post(up, {"model": "500-html", **value}, path=path)[0] == 500


# -- TLS ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind,name,fine", [
    ("good", "127.0.0.1", True), ("good", "localhost", True), ("good", "fake.test", True),
    ("good", "other.test", False), ("expired", "localhost", False),
    ("wrong-host", "localhost", False), ("self-signed", "localhost", False)])
def test_certificates(kind, name, fine):
    with Upstream(tls=kind) as up:
        context = ssl.create_default_context(cafile=up.ca_file)
        with socket.create_connection(("127.0.0.1", up.port)) as sock:
            if fine:
                with context.wrap_socket(sock, server_hostname=name) as tls:
                    assert tls.version() in ("TLSv1.2", "TLSv1.3")
            else:
                with pytest.raises(ssl.SSLCertVerificationError):
                    context.wrap_socket(sock, server_hostname=name)


def test_a_tls_client_that_leaves_is_noticed():
    with Upstream(tls=True) as up:
        context = ssl.create_default_context(cafile=up.ca_file)
        conn = http.client.HTTPSConnection("127.0.0.1", up.port, context=context, timeout=5)
        conn.request("POST", "/v1/chat/completions", json.dumps(body("hang-mid", stream=True)), {
            "Content-Type": "application/json", "Authorization": f"Bearer {up.api_key}"})
        assert conn.getresponse().status == 200
        conn.sock.shutdown(socket.SHUT_RDWR)
        assert up.wait_for(lambda: up.disconnects, 2)


# -- programs -------------------------------------------------------------------------------------

def test_the_upstream_runs_as_a_program():
    child = subprocess.Popen([sys.executable, HERE / "openai_upstream.py", "--tls"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [child.stdout.readline().strip() for _ in range(3)]
    child.terminate()
    assert child.wait(10) == 0
    assert lines[0].startswith("OPENAI_BASE_URL=https://127.0.0.1:")
    assert lines[1].startswith("OPENAI_API_KEY=sk-") and lines[2].startswith("SSL_CERT_FILE=/")


def resolves(network, name):
    """What the machine's own resolver makes of a name; None when it waits for ever."""
    code = (f"import socket, signal; signal.alarm(3)\n"
            f"for entry in socket.getaddrinfo('{name}', 443, type=socket.SOCK_STREAM):\n"
            f"    print(entry[4][0])")
    done = subprocess.run([*network.enter(), sys.executable, "-c", code], capture_output=True,
                          text=True, timeout=30)
    return None if done.returncode < 0 else sorted(done.stdout.split())


def test_the_name_server_knows_and_swallows():
    """Looked at with another program: otherwise what the binary makes of it proves nothing."""
    known = {"both.test": [V4, V6], "dead.test": SILENT, "long.test": Truncated([V4]),
             "broken.test": SERVFAIL}
    with Network() as network, NameServer(network, known) as names:
        assert resolves(network, "both.test") == sorted([V4, V6])
        assert {("both.test", "A"), ("both.test", "AAAA")} <= set(names.questions)
        assert resolves(network, "long.test") == [V4] and "long.test" in names.over_tcp
        assert resolves(network, "broken.test") == resolves(network, "unknown.test") == []
        assert resolves(network, "dead.test") is None and names.asked("dead.test")


@pytest.mark.parametrize("missing,lost,unreachable", [
    ("ipv4", LOST_V6, V4), ("ipv6", LOST_V4, V6), (None, LOST_V6, "2001:db8::2")])
def test_the_network_loses_what_it_should(missing, lost, unreachable):
    """For as long as a kernel looks for a neighbour, and twice: it remembers failures."""
    with Network(**({missing: False} if missing else {})) as network:
        assert resolves(network, "localhost")
        for address, silent in ((lost, True), (lost, True), (unreachable, False)):
            code = f"import socket\nsocket.create_connection(('{address}', 80), 4)"
            done = subprocess.run([*network.enter(), sys.executable, "-c", code],
                                  capture_output=True, text=True, timeout=30)
            assert ("TimeoutError" in done.stderr) == silent and done.returncode, done.stderr
