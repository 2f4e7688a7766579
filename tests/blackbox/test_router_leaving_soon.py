"""How soon a client that leaves is noticed, wherever its call is, and that one who only sends no
more is not taken for one that left."""

import contextlib
import http.client
import json
import os
import pathlib
import socket
import time

import pytest
from harness import SOON
from openai_scenarios import scenario
from router_chain import total
from router_service import MASTER_KEY, MESSAGES, read

SOON = 0.05  # seconds
TRIES = 20  # of which the quickest counts: a machine may be slow, but not always


@scenario("words-then-hang")
def words_then_hang(turn):
    turn.begin_text("some ")
    turn.conn.wait(600)


def is_soon(once):
    """`once` returns how long it took. Stops at the first that is soon enough."""
    took = []
    while len(took) < TRIES:
        took.append(once())
        if took[-1] <= SOON:
            return
    raise AssertionError(f"never within {SOON} s: {took}")


def until(condition, limit=30):
    """The instant at which it was true."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "never"
        time.sleep(0.0005)
    return time.monotonic()


def leaving(router, up, stream, seen):
    """Leaves when `seen(sock)` returns; how long until the upstream's connection was closed."""
    gone = len(up.disconnects)
    with router.open(stream=stream) as sock:
        until(lambda: len(up.requests) > gone)
        seen(sock)
        begin = time.monotonic()
        sock.close()
        until(lambda: len(up.disconnects) > gone)
    return up.disconnects[-1].left - begin


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_before_the_first_byte(router, up, stream):
    router.start({"free": ["hang"]})
    is_soon(lambda: leaving(router, up, stream, lambda sock: None))


def test_within_a_stream(router, up):
    router.start({"free": ["words-then-hang"]})

    def seen(sock):
        got = b""
        while b"some " not in got:
            got += sock.recv(65536)
    is_soon(lambda: leaving(router, up, True, seen))


def test_while_the_answer_is_held(router, up):
    router.start({"free": ["hang-comments"]})
    is_soon(lambda: leaving(router, up, True, lambda sock: None))


def in_flight(router):
    return total(router.metrics(), "litellm_in_flight_requests")


def test_in_the_queue(router, up):
    router.start({"free": [router.deployment("echo", rpm=1)]})
    assert router.ask().status == 200

    def once():
        with router.open() as sock:
            until(lambda: in_flight(router) == 1)
            begin = time.monotonic()
            sock.close()
            return until(lambda: in_flight(router) == 0) - begin
    is_soon(once)
    assert len(up.requests) == 1


def connecting(port):
    """How many sockets here are about to connect to this port."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in map(str.split, lines)
               if line[2].endswith(f":{port:04X}") and line[3] == "02")


def sockets(router):
    """How many it has open; cheaper to ask often than the table of all connections."""
    folder, found = f"/proc/{router.process.popen.pid}/fd", 0
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
    return found


def test_while_connecting(router):
    """To one that does not answer: its queue is full, and what more comes is dropped."""
    with socket.socket() as hole, socket.socket() as first, socket.socket() as second:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        until(lambda: connecting(port) == 1)  # the second one waits as well
        router.start({"free": [router.deployment("echo", api_base=f"http://127.0.0.1:{port}/v1")]})

        def once():
            with router.open(stream=False) as sock:
                until(lambda: connecting(port) == 2)
                before = sockets(router)
                begin = time.monotonic()
                sock.close()
                return until(lambda: sockets(router) <= before - 2) - begin  # both ends are gone
        is_soon(once)


def test_by_whom_who_died_is_noticed_too(router, up):
    """A process that is killed leaves like one that ends: its kernel says goodbye for it."""
    router.start({"free": ["hang"]})
    with router.open() as sock:
        assert up.wait_for(lambda: up.requests)
        sock.shutdown(socket.SHUT_RDWR)
        assert up.wait_for(lambda: up.disconnects)


# -- sending no more ------------------------------------------------------------------------------

def rest_of(sock):
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_who_only_sends_no_more_is_answered(router, up, stream):
    """RFC 9110 lets a client discard a 100 that it did not ask for, and all of them do."""
    router.start({"free": ["hold-first"]})
    with router.open(stream=stream, headers={"x-litellm-call-id": "half"}) as sock:
        assert up.wait_for(lambda: up.requests)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        up.release.set()
        response = http.client.HTTPResponse(sock)
        response.begin()
        answer = read(response)
        assert answer.status == 200 and answer.text == "echo: hello" and not answer.cut
        assert rest_of(sock) == b"", "an orderly end"
    assert not router.attempts("half")[0]["cancelled"] and not up.disconnects


def test_who_sends_no_more_within_a_stream_gets_its_rest(router, up):
    router.start({"free": ["hold"]})
    with router.open() as sock:
        got = b""
        while b"held " not in got:
            got += sock.recv(65536)
        sock.shutdown(socket.SHUT_WR)
        while b"\n:\n\n" not in got:
            got += sock.recv(65536)
        up.release.set()
        got += rest_of(sock)
    assert b"released" in got and b"data: [DONE]\n\n" in got and got.endswith(b"0\r\n\r\n")
    assert not up.disconnects


def test_who_sends_no_more_and_then_leaves_is_noticed(router, up):
    """As those do who come through a tunnel: of the second goodbye nothing is heard, so it is asked
    again whether anybody is there."""
    router.start({"free": ["hang"]})
    with router.open() as sock:
        assert up.wait_for(lambda: up.requests)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert up.wait_for(lambda: up.disconnects)


def test_who_still_reads_is_asked_a_few_times_only(router, up):
    router.start({"free": ["hang"]}, own={"first_content_timeout": 8})
    with router.open(stream=True) as sock:
        assert up.wait_for(lambda: up.requests)
        sock.shutdown(socket.SHUT_WR)
        got = rest_of(sock)
    assert 1 <= got.count(b"HTTP/1.1 100 Continue\r\n\r\n") <= 4
    assert b"HTTP/1.1 408 " in got, got


def test_an_old_client_that_sends_no_more_is_gone(router, up):
    """HTTP/1.0 knows no interim answer, so nothing can be asked."""
    router.start({"free": ["hang"]})
    body = json.dumps({"model": "free", "messages": MESSAGES}).encode()
    with socket.create_connection(("127.0.0.1", router.port), timeout=60) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer "
                     + MASTER_KEY.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert up.wait_for(lambda: up.requests)
        sock.shutdown(socket.SHUT_WR)
        assert rest_of(sock) == b"", "and no reset"
        assert up.wait_for(lambda: up.disconnects)
