"""What clients and those in between see of the router besides answers: refusals before a call has
begun, signs of life while nothing can be told, streams that were asked for and came as one piece,
and the corners of HTTP that real clients have."""

import gzip
import http.client
import json
import re
import socket

import pytest
from openai_scenarios import scenario
from ports import free_port
from router_chain import BOTH, rows, total
from router_service import MASTER_KEY, MESSAGES, read

ALIVE = 0.3  # seconds of silence after which a stream gets a sign of life, here
ASKED = json.dumps({"model": "free", "messages": MESSAGES}).encode()


@scenario("json-tools")
def json_tools(turn):
    """As one piece, whatever was asked for: two calls, and bytes that a parser would lose."""
    call = '{"id":"c%d","type":"function","function":{"name":"f","arguments":"{\\"id\\": %s}"}}'
    calls = ",".join(call % (n, 9007199254740993 + n) for n in range(2))
    turn.conn.answer(200, '{"id":"x","object":"chat.completion","created":1,"model":"m",\n "zz":'
                     '18446744073709551617,"choices":[{"index":0,"message":{"role":"assistant",'
                     f'"content":null,"tool_calls":[{calls}]}},"finish_reason":"tool_calls"}}],\n'
                     '"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}')


def head_of(router, method="POST", path="/v1/chat/completions", *more, version="HTTP/1.1"):
    lines = [f"{method} {path} {version}", "Host: x", f"Authorization: Bearer {MASTER_KEY}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def connect(router):
    return socket.create_connection(("127.0.0.1", router.port), timeout=60)


def everything(sock):
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def answers(data):
    """(status, body) of each answer with a length, one after the other; interim ones, too."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        size = re.search(rb"(?im)^content-length: *(\d+)", head)
        size = int(size.group(1)) if size else 0
        found.append((int(head.split()[1]), data[:size]))
        data = data[size:]
    return found


def is_litellms(status, body):
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    assert error["code"] == str(status)


# -- refused before there is a call ---------------------------------------------------------------

EARLY = {
    "nonsense": (400, b"nonsense\r\n\r\n"),
    "two-lengths": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                         b"Content-Length: 2\r\n\r\n"),
    "escape": (400, b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    "large": (413, b"POST /completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                   b"api-key: " + MASTER_KEY.encode() + b"\r\nContent-Length: 99999\r\n\r\n"),
    "target": (414, b"GET /" + b"x" * 40000),
    "expects": (417, b"POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\nx"),
    "head": (431, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40000 + b"\r\n\r\n"),
    "method": (501, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "version": (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
}


@pytest.mark.parametrize("case", EARLY)
def test_what_is_refused_early_has_litellms_shape(router, case):
    status, sent = EARLY[case]
    router.start({"free": ["echo"]}, own={"max_body": "10Ki"})
    with connect(router) as sock:
        sock.sendall(sent)
        answer = read(answer_to(sock))
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    is_litellms(status, answer.body)


def answer_to(sock):
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response


def test_bodies_that_do_not_fit_have_litellms_shape(router, up):
    """More than all bytes that are kept at once, though one body may have so many."""
    router.start({"free": ["hold"]}, own={"buffers": "64Ki", "max_body": "1Mi"})
    answer = router.request("POST", "/v1/chat/completions", b"x" * 100000)
    assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
    is_litellms(503, answer.body)


def test_other_faces_keep_plain_text(service):
    with socket.create_connection(("127.0.0.1", service().port), timeout=60) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        assert b"text/plain" in everything(sock)


# -- a sign of life -------------------------------------------------------------------------------

@scenario("hold-then-500")
def hold_then_500(turn):
    turn.conn.wait(600, turn.upstream.release)
    turn.conn.answer(500, {"error": {"message": "no", "code": 500}})


def until_waiting(sock):
    got = b""
    while b": waiting\n\n" not in got:
        got += sock.recv(1)
    return got


def said(got):
    chunks = [json.loads(found) for found in re.findall(rb"data: (\{.*\})\n\n", got)]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)


def test_a_silent_stream_gets_a_sign_of_life_and_then_its_answer(router, up):
    router.start({"free": ["hold-first"]}, own={"keep_alive": ALIVE})
    with router.open(headers={"x-litellm-call-id": "mine"}) as sock:
        got = until_waiting(sock)
        assert got.startswith(b"HTTP/1.1 200 OK") and b"x-litellm-call-id: mine" in got
        assert b"text/event-stream" in got and got.count(b": waiting") == 1
        up.release.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += sock.recv(65536)
    assert said(got) == "echo: hello"
    assert b"data: [DONE]\n\n" in got and b'"error"' not in got
    assert router.attempts("mine")[0]["status"] == 200


def test_the_comments_go_on(router, up):
    """One that came before the head would be a status; those behind it are a line each."""
    router.start({"free": ["hang"]}, own={"keep_alive": ALIVE})
    with router.open() as sock:
        got = until_waiting(sock)
        while got.count(b"\n:\n\n") < 3:
            got += sock.recv(65536)
    assert up.wait_for(lambda: up.disconnects)


def test_after_a_sign_of_life_a_fallback_still_answers(router, up):
    router.start({"free": ["hold-then-500"], "cheap": ["echo"]}, fallbacks=[{"free": ["cheap"]}],
                 own={"keep_alive": ALIVE})
    with router.open(headers={"x-litellm-call-id": "mended"}) as sock:
        got = until_waiting(sock)
        up.release.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += sock.recv(65536)
    assert said(got) == "echo: hello"
    assert b"data: [DONE]\n\n" in got and b'"error"' not in got
    assert [row["status"] for row in router.attempts("mended")] == [500, 200]


def test_after_a_sign_of_life_a_failure_is_told_in_band(router, up):
    router.start({"free": ["hold-then-500"]}, own={"keep_alive": ALIVE})
    with router.open(headers={"x-litellm-call-id": "failed"}) as sock:
        got = until_waiting(sock)
        up.release.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += sock.recv(65536)
    event, = re.findall(rb"data: (\{.*\})\n\n", got)
    error = json.loads(event)["error"]
    assert error["code"] == "500" and error["message"].startswith("litellm.InternalServerError")
    assert b"[DONE]" not in got
    found = total(router.metrics(), "litellm_proxy_total_requests_metric_total", status_code="200")
    assert found == 1, "the status that the client saw"


def test_before_that_a_failure_has_its_status(router):
    router.start({"free": ["500-html"]}, own={"keep_alive": 60})
    assert router.ask(stream=True).status == 500


def test_who_waits_in_the_queue_gets_a_sign_of_life(router, up):
    router.start({"free": [router.deployment("echo", rpm=1)]}, own={"keep_alive": ALIVE})
    assert router.ask().status == 200
    with router.open() as sock:
        until_waiting(sock)
    assert len(up.requests) == 1


def test_who_asked_for_no_stream_gets_no_sign(router, up):
    """There is no comment in JSON: a whole answer is as late as it is."""
    router.start({"free": ["hold-first"], "cheap": ["hang"]}, own={"keep_alive": ALIVE})
    with router.open(stream=False) as sock, router.open("cheap") as other:
        until_waiting(other)
        up.release.set()
        answer = read(answer_to(sock))
    assert answer.status == 200 and answer.text == "echo: hello"


# -- one piece for a stream -----------------------------------------------------------------------

def test_one_piece_becomes_the_stream_that_was_asked_for(router):
    router.start({"free": ["json-for-stream"]})
    answer = router.ask(stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.whole and answer.text == "whole in spite of the question"
    chunks = answer.events[:-1]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, "stop"]
    assert rows(router, answer)[0]["completion_tokens"] > 0


def test_one_piece_with_the_usage_that_was_asked_for(router):
    router.start({"free": ["json-tools"]})
    answer = router.ask(stream=True, stream_options={"include_usage": True})
    *_, usage, done = answer.events
    assert usage["choices"] == [] and usage["usage"]["total_tokens"] == 7 and done == "[DONE]"
    assert b'"zz":18446744073709551617' in answer.body
    assert b'"arguments":"{\\"id\\": 9007199254740994}"' in answer.body
    calls = answer.events[0]["choices"][0]["delta"]["tool_calls"]
    assert [call["index"] for call in calls] == [0, 1]


def test_one_piece_that_is_too_large_to_be_made_a_stream_goes_elsewhere(router):
    router.start({"free": ["huge-json:6"], "cheap": ["echo"]}, fallbacks=[{"free": ["cheap"]}])
    answer = router.ask(stream=True)
    assert answer.whole and answer.text == "echo: hello"


def test_one_piece_for_a_text_completion(router):
    router.start({"free": ["json-for-stream"]})
    answer = router.request("POST", "/v1/completions", json.dumps(
        {"model": "free", "prompt": "x", "stream": True}))
    assert answer.whole and answer.events[0]["object"] == "text_completion"
    assert answer.events[0]["choices"][0]["text"] == "whole in spite of the question"


# -- corners of HTTP ------------------------------------------------------------------------------

def test_a_client_that_waits_for_leave_to_send(router, up):
    router.start({"free": ["echo"]})
    with connect(router) as sock:
        sock.sendall(head_of(router, "POST", "/v1/chat/completions", "Expect: 100-continue",
                             f"Content-Length: {len(ASKED)}"))
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(ASKED)
        assert read(answer_to(sock)).text == "echo: hello"


def test_requests_in_one_breath_are_answered_in_their_order(router, up):
    router.start({"free": ["hold-first"], "cheap": ["fixed"]})
    other = ASKED.replace(b"free", b"cheap")
    with connect(router) as sock:
        sock.sendall(b"".join(
            head_of(router, "POST", "/v1/chat/completions", f"Content-Length: {len(body)}", *more)
            + body for body, more in ((ASKED, ()), (other, ("Connection: close",)))))
        assert up.wait_for(lambda: up.requests)
        up.release.set()
        found = answers(everything(sock))
    assert [status for status, _ in found] == [200, 200]
    assert [json.loads(body)["choices"][0]["message"]["content"] for _, body in found] == [
        "echo: hello", "ok"]


def test_an_old_client_is_answered_and_its_connection_closed(router):
    router.start({"free": ["echo"]})
    with connect(router) as sock:
        sock.sendall(head_of(router, "POST", "/v1/chat/completions",
                             f"Content-Length: {len(ASKED)}", version="HTTP/1.0") + ASKED)
        (status, body), = answers(everything(sock))
    assert status == 200 and b"echo: hello" in body


def test_an_old_client_gets_a_stream_that_ends_with_the_connection(router):
    router.start({"free": ["echo"]})
    body = ASKED.replace(b"{", b'{"stream":true,', 1)
    with connect(router) as sock:
        sock.sendall(head_of(router, "POST", "/v1/chat/completions",
                             f"Content-Length: {len(body)}", version="HTTP/1.0") + body)
        got = everything(sock)
    assert b"Transfer-Encoding" not in got and got.endswith(b"data: [DONE]\n\n")


def test_a_body_in_chunks(router, up):
    router.start({"free": ["echo"]})
    with connect(router) as sock:
        sock.sendall(head_of(router, "POST", "/v1/chat/completions", "Transfer-Encoding: chunked"))
        for at in range(0, len(ASKED), 7):
            piece = ASKED[at:at + 7]
            sock.sendall(b"%x;x=y\r\n%s\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\nT: x\r\n\r\n")
        assert read(answer_to(sock)).text == "echo: hello"
    assert up.requests[0].body == ASKED.replace(b'"free"', b'"echo"')


def test_a_body_that_drips_in(router):
    router.start({"free": ["echo"]})
    with connect(router) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head_of(router, "POST", "/v1/chat/completions",
                            f"Content-Length: {len(ASKED)}") + ASKED:
            sock.sendall(bytes([byte]))
        assert read(answer_to(sock)).text == "echo: hello"


@pytest.mark.parametrize("path", ["/v1/models", "/health/liveliness", "/metrics"])
def test_head_is_get_without_its_body(router, path):
    router.start({"free": ["echo"]})
    answer = router.request("HEAD", path)
    assert answer.status == 200 and answer.body == b""
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_the_case_of_headers_does_not_matter(router, case):
    router.start({"free": ["echo"]})
    headers = {case("Authorization"): f"BEARER {MASTER_KEY}", case("x-litellm-call-id"): "mine"}
    answer = router.request("POST", "/v1/chat/completions", ASKED, headers)
    assert answer.status == 200 and answer.headers["x-litellm-call-id"] == "mine"


def test_a_packed_body_is_refused_with_what_to_do(router, up):
    router.start({"free": ["echo"]})
    answer = router.request("POST", "/v1/chat/completions", gzip.compress(ASKED),
                            router.headers(**{"Content-Encoding": "gzip"}))
    assert answer.status == 415 and answer.headers["accept-encoding"] == "identity"
    is_litellms(415, answer.body)
    assert not up.requests
    plain = router.request("POST", "/v1/chat/completions", ASKED,
                           router.headers(**{"Content-Encoding": "identity"}))
    assert plain.status == 200


# -- pages in browsers ----------------------------------------------------------------------------

PAGE = {"Origin": "http://page.test"}


def test_a_page_may_ask_whether_it_may_ask(router):
    """The browser's question, which shows no key."""
    router.start({"free": ["echo"]})
    answer = router.request("OPTIONS", "/v1/chat/completions", headers={
        **PAGE, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os"})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == \
        "authorization, content-type, x-stainless-os"
    assert "access-control-allow-credentials" not in answer.headers


@BOTH
def test_a_page_may_read_the_answer(router, stream):
    router.start({"free": ["echo"]})
    answer = router.ask(stream=stream, headers=PAGE)
    assert answer.text == "echo: hello"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "*"


def test_a_page_without_the_key_is_told_so(router):
    router.start({"free": ["echo"]})
    answer = router.request("POST", "/v1/chat/completions", ASKED, PAGE)
    assert answer.status == 401 and answer.headers["access-control-allow-origin"] == "*"


def test_without_a_page_there_is_no_word_of_it(router):
    router.start({"free": ["echo"]})
    assert not [name for name in router.ask().headers if name.startswith("access-control")]
    assert router.request("OPTIONS", "/v1/chat/completions").status == 405


# -- where it listens -----------------------------------------------------------------------------

def test_the_port_from_the_environment_as_litellm_takes_it(hermes, router):
    port = free_port()
    router.write({"free": ["echo"]}, own={"port": 1})
    router.process = hermes.start("router", "--config", hermes.home / "router.yaml",
                                  env={"PORT": str(port)}, limit=600)
    router.process.wait_for_output(f"router: http://127.0.0.1:{port}\n".encode())


@pytest.mark.parametrize("port", ["http", "65536", "-1"])
def test_a_port_from_the_environment_that_is_none(hermes, router, port):
    router.write({"free": ["echo"]})
    done = hermes.run("router", "--config", hermes.home / "router.yaml", env={"PORT": port})
    assert f'PORT: "{port}" is not a port number'.encode() in done.exits(1).err


# -- kept connections to upstreams ----------------------------------------------------------------

def test_a_request_that_an_upstream_has_read_is_not_sent_twice_behind_the_ledgers_back(router, up):
    """It may have cost money: what comes next is an attempt of its own."""
    router.start({"free": ["cut-before-headers"], "cheap": ["echo"]},
                 fallbacks=[{"free": ["cheap"]}])
    for number in (1, 2):
        assert router.ask(model="cheap").status == 200  # leaves a connection that is kept
        answer = router.ask(headers={"x-litellm-call-id": f"cut{number}"})
        assert answer.text == "echo: hello"
        assert len(router.attempts(f"cut{number}")) == 2
    assert up.count("cut-before-headers") == 2
    assert router.metrics()["hermes_http_repeats_total"] == 0


# -- many models behind one name ------------------------------------------------------------------

def test_a_limit_of_one_model_behind_a_wildcard_keeps_the_others_open(router, up):
    router.start({"any/*": [router.deployment("*", cooldown_time=600)]}, allowed_fails=0)
    assert router.ask(model="any/429-forever").status == 429
    assert router.ask(model="any/429-forever").status == 429
    assert up.count("429-forever") == 1, "its circuit is open"
    assert router.ask(model="any/echo").text == "echo: hello"


def test_a_refused_key_behind_a_wildcard_closes_it(router, up):
    router.start({"any/*": [router.deployment("*", api_key="sk-wrong")]}, cooldown_time=600)
    for model in ("echo", "fixed", "echo"):
        assert router.ask(model=f"any/{model}").status in (401, 429)
    assert len(up.requests) == 1
