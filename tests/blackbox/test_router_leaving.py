"""Clients that leave, that do not read, that are too many; and a router that is told to change or
to go while they are there."""

import contextlib
import http.client
import json
import pathlib
import signal
import socket
import struct
import threading

import home_socket
import openai_wire as wire
import pytest
from openai_scenarios import scenario
from router_service import MESSAGES, Router, read

MEGABYTE = 1 << 20
SLOW = 20  # readers that do not read


@scenario("half-of-ten-megabytes")
def half_of_ten_megabytes(turn):
    """Half of an answer of ten, and the rest when the test sets `upstream.release`."""
    data = wire.compact(turn.dialect.whole(wire.Answer("x" * 10000000))).encode()
    turn.conn.head(200, [("Content-Type", "application/json"), ("Content-Length", len(data))])
    turn.conn.write(data[:len(data) // 2])
    turn.conn.wait(600, turn.upstream.release)
    turn.conn.write(data[len(data) // 2:])


@scenario("endless-event")
def endless_event(turn):
    """One event of almost four megabytes, whose end does not come; `:1` is 200 KB behind a word."""
    turn.begin_text(*(["one "] if turn.argument else []))
    turn.conn.send(b"data: " + b"x" * 200000)
    for _ in range(0 if turn.argument else 56):
        turn.conn.send(b"x" * 65536)
    turn.conn.wait(600, turn.upstream.release)


class Later:
    """An answer that is asked for in a thread of its own."""

    def __init__(self, ask, *args, **more):
        self.answer = self.problem = None
        self.thread = threading.Thread(target=self._run, args=(ask, args, more), daemon=True)
        self.thread.start()

    def _run(self, ask, args, more):
        try:
            self.answer = ask(*args, **more)
        except Exception as problem:
            self.problem = problem

    def wait(self):
        self.thread.join(60)
        assert self.answer is not None, f"no answer: {self.problem!r}"
        return self.answer


def reset(sock):
    """What is left of a client whose machine was switched off."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def answer_of(sock):
    response = http.client.HTTPResponse(sock)
    response.begin()
    return read(response)


# -- leaving --------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", [socket.socket.close, reset])
def test_a_client_that_leaves_before_the_first_byte(router, up, stream, end):
    """The upstream hangs for ten minutes: that it is left at all is because of the client."""
    router.start({"free": ["hang"]})
    with router.open(stream=stream, headers={"x-litellm-call-id": "gone"}) as sock:
        assert up.wait_for(lambda: up.requests)
        end(sock)
        assert up.wait_for(lambda: up.disconnects), "the upstream call goes on"
    row, = router.attempts("gone")
    assert row["cancelled"] and row["first_byte_ms"] is None


@pytest.mark.parametrize("end", [socket.socket.close, reset])
def test_a_client_that_leaves_in_mid_stream(router, up, end):
    router.start({"free": ["drip"]})
    with router.open(headers={"x-litellm-call-id": "gone"}) as sock:
        sock.recv(1000)
        end(sock)
        assert up.wait_for(lambda: up.disconnects), "the upstream call goes on"
    row, = router.attempts("gone")
    assert row["cancelled"] and row["bytes_out"] > 0


def test_a_client_that_leaves_while_its_answer_is_held(router, up):
    """Comments, but no content yet: nothing was passed on, and there is much to be left."""
    router.start({"free": ["hang-comments"]})
    with router.open(headers={"x-litellm-call-id": "gone"}):
        assert up.wait_for(lambda: up.requests)
    assert up.wait_for(lambda: up.disconnects)
    assert router.attempts("gone")[0]["cancelled"]


def test_a_client_that_leaves_while_it_does_not_read(router, up):
    router.start({"free": ["endless"]})
    with router.open(headers={"x-litellm-call-id": "gone"}) as sock:
        sock.recv(1000)
        stalled(up, 1)
        reset(sock)
        assert up.wait_for(lambda: up.disconnects)
    assert router.attempts("gone")[0]["cancelled"]


def test_a_client_that_leaves_the_queue_is_not_asked_for(router, up):
    """One request a minute is let through: the second waits, leaves, and costs nothing."""
    router.start({"free": [router.deployment("echo", rpm=1)]})
    assert router.ask().status == 200
    with router.open():
        assert up.wait_for(lambda: in_flight(router) == 1)
    assert up.wait_for(lambda: in_flight(router) == 0)
    assert len(up.requests) == 1


def test_a_client_that_leaves_before_a_retry_is_not_asked_for_again(router, up):
    """The upstream wants a second of patience, and the client has none."""
    router.start({"free": ["429"]}, num_retries=3)
    with router.open():
        assert up.wait_for(lambda: up.requests)
    assert up.wait_for(lambda: in_flight(router) == 0)
    assert len(up.requests) == 1


def test_who_left_is_not_replaced_by_a_fallback(router, up):
    router.start({"free": ["hang"], "cheap": ["echo"]}, fallbacks=[{"free": ["cheap"]}])
    with router.open(headers={"x-litellm-call-id": "gone"}):
        assert up.wait_for(lambda: up.requests)
    assert up.wait_for(lambda: up.disconnects)
    assert len(router.attempts("gone")) == len(up.requests) == 1


def test_a_deployment_is_not_blamed_for_those_who_left(router, up):
    router.start({"free": ["hang"]}, allowed_fails=0)
    for number in range(5):
        with router.open():
            assert up.wait_for(lambda: len(up.requests) > number)
        assert up.wait_for(lambda: len(up.disconnects) > number)
    assert router.request("GET", "/health").json["unhealthy_count"] == 0


def test_two_hundred_leave_and_nothing_of_them_stays(router, up):
    router.start({"free": ["hang"], "cheap": ["echo"]})
    with contextlib.ExitStack() as clients:
        for _ in range(200):
            clients.enter_context(router.open())
        assert up.wait_for(lambda: len(up.requests) == 200, 60)
    assert up.wait_for(lambda: len(up.disconnects) == 200, 60)
    assert up.wait_for(lambda: in_flight(router) == 0)
    assert router.ask(model="cheap").text == "echo: hello"


def in_flight(router):
    found = [value for name, value in router.metrics().items()
             if name.startswith("litellm_in_flight_requests")]
    assert found, router.metrics()
    return sum(found)


# -- not reading ----------------------------------------------------------------------------------

def stalled(up, count):
    """Until the upstream cannot get rid of its bytes on so many connections, and stays so. Where
    other tests connect meanwhile, the kernel may show a connection twice."""
    seen = [0]

    def still():
        lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
        full = {line[2] for line in map(str.split, lines)
                if line[1].endswith(f":{up.port:04X}") and int(line[4].split(":")[0], 16) > 0}
        seen[0] = seen[0] + 1 if len(full) == count else 0
        return seen[0] >= 20
    return up.wait_for(still, 180)


def grown(router, hermes, before):
    """By how many bytes the router's peak is above `before` KiB; a sanitizer's share is left out:
    what it keeps of freed memory, and its red zones."""
    kib = router.process.rss_kib - before
    return (kib - 16 * 1024 if hermes.binary.sanitized else kib) * 1024


def warm(router):
    """The peak after everything was used once."""
    for stream in (False, True):
        router.ask(model="cheap", stream=stream)
    router.metrics()
    return router.process.rss_kib


@pytest.mark.release
@pytest.mark.parametrize("scenario", ["endless", "million-deltas:10000000", "ten-megabytes:1000"])
def test_one_who_does_not_read_costs_little(router, hermes, up, scenario):
    """An answer of a gigabyte and more, of which nothing is taken."""
    router.start({"free": [scenario], "cheap": ["echo"]})
    before = warm(router)
    with router.open():
        assert stalled(up, 1), "the upstream gets rid of all it has"
        assert router.ask(model="cheap").text == "echo: hello"
        assert grown(router, hermes, before) < 4 * MEGABYTE


@pytest.mark.release
def test_twenty_who_do_not_read_cost_little_and_keep_nobody_waiting(router, hermes, up):
    router.start({"free": ["endless"], "cheap": ["echo"]})
    before = warm(router)
    with contextlib.ExitStack() as clients:
        for _ in range(SLOW):
            clients.enter_context(router.open())
        assert stalled(up, SLOW), "the upstream gets rid of all it has"
        for _ in range(20):
            assert router.ask(model="cheap", stream=True).whole
        assert grown(router, hermes, before) < 16 * MEGABYTE
    assert up.wait_for(lambda: len(up.disconnects) == SLOW)


def test_who_reads_again_gets_everything(router, up):
    """A pause is no loss: all the bytes come, in their order."""
    router.start({"free": ["ten-megabytes:20"]})
    with router.open() as sock:
        stalled(up, 1)
        answer = answer_of(sock)
    assert answer.whole
    assert answer.text == ("0123456789" * 99 + "abcdefghi\n") * 20000


# -- all that is kept at once ---------------------------------------------------------------------

def test_requests_beyond_what_is_kept_at_once_are_told_to_come_again(router, up):
    router.start({"free": ["hold"], "cheap": ["echo"]}, own={"buffers": "1Mi"})
    with router.open(user="x" * 400000):
        assert up.wait_for(lambda: up.requests)
        answer = router.ask(model="cheap", user="x" * 660000)
        assert answer.status == 503 and answer.error["code"] == "503"
        assert int(answer.headers["retry-after"]) >= 1
        assert router.ask(model="cheap").status == 200, "a small one still fits"
    assert up.wait_for(lambda: router.ask(model="cheap", user="x" * 660000).status == 200)


def test_answers_beyond_what_is_kept_at_once_are_not_kept(router, up):
    """They must be whole before their first byte goes out, and one of them fits."""
    router.start({"free": ["half-of-ten-megabytes"], "cheap": ["echo"]}, own={"buffers": "16Mi"})
    running = [Later(router.ask) for _ in range(8)]
    assert up.wait_for(lambda: any(one.answer for one in running), 60)
    up.release.set()
    answers = [one.wait() for one in running]
    assert {answer.status for answer in answers} == {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)
    assert router.ask().status == 200
    assert router.request("GET", "/health").json["unhealthy_count"] == 0


@pytest.mark.parametrize("scenario", ["endless-event", "endless-event:1"])
def test_events_without_an_end_count_as_kept(router, up, scenario):
    """What waits of them for their end is as good as an answer that is held."""
    small = scenario == "endless-event:1"
    router.start({"free": [scenario], "cheap": ["echo"]},
                 own={"buffers": "1Mi" if small else "8Mi"})
    held = []  # at each look, as all of them may have been given up at the last

    def most_given_up():
        held.append(router.metrics()["hermes_router_held_bytes"])
        return in_flight(router) <= (10 if small else 5)

    with contextlib.ExitStack() as clients:
        for _ in range(20):
            clients.enter_context(router.open())
            most_given_up()
        assert up.wait_for(most_given_up, 60)
    assert max(held) < 14 * MEGABYTE, "those that go on hold more than they may"
    assert max(held) > 128 * 1024, "what waits in them is not counted"
    assert up.wait_for(lambda: in_flight(router) == 0)
    assert router.ask(model="cheap", stream=True).whole
    assert router.metrics()["hermes_router_held_bytes"] < 128 * 1024


def test_a_stream_of_which_no_more_can_be_kept_says_so(router):
    router.start({"free": ["endless-event:1"]}, own={"buffers": "128Ki"})
    answer = router.ask(stream=True)
    assert answer.status == 200 and answer.text == "one "
    assert "[DONE]" not in answer.events and answer.events[-1]["error"]["code"] == "503"
    assert router.request("GET", "/health").json["unhealthy_count"] == 0, "it is not to blame"


def test_whole_answers_that_nobody_takes_count_as_kept(router, up):
    """Clients ask and do not read: others hear that there is no room, until they leave. How many it
    takes depends on what the kernel keeps for each."""
    router.start({"free": ["ten-megabytes:10"], "cheap": ["echo"]}, own={"buffers": "16Mi"})
    with contextlib.ExitStack() as clients:
        for _ in range(40):
            if router.ask().status == 503:
                break
            clients.enter_context(router.open(stream=False))
        else:
            assert up.wait_for(lambda: router.ask().status == 503, 60)
    assert up.wait_for(lambda: in_flight(router) == 0)
    assert router.ask().text.count("0123456789") == 99 * 10000


@pytest.mark.release
def test_a_whole_answer_too_large_to_be_kept_is_passed_on(router, hermes, up):
    """Neither refused nor kept: two hundred megabytes pass, and cost what is kept at most."""
    router.start({"free": ["huge-json:200"], "cheap": ["echo"]})
    before = warm(router)
    answer = router.ask()
    assert answer.status == 200 and not answer.cut
    assert len(answer.json["choices"][0]["message"]["content"]) == 200 * MEGABYTE
    assert grown(router, hermes, before) < 96 * MEGABYTE


@pytest.mark.release
def test_a_whole_answer_too_large_to_be_kept_waits_for_its_reader(router, hermes, up):
    router.start({"free": ["huge-json:1000"], "cheap": ["echo"]})
    before = warm(router)
    with router.open(stream=False) as sock:
        sock.recv(1000)
        assert stalled(up, 1), "the upstream gets rid of all it has"
        assert grown(router, hermes, before) < 96 * MEGABYTE
    assert up.wait_for(lambda: up.disconnects)


# -- going and changing ---------------------------------------------------------------------------

def test_a_stop_lets_running_calls_end(router, up):
    router.start({"free": ["hold"]})
    running = Later(router.ask, stream=True)
    assert up.wait_for(lambda: up.requests)
    router.process.signal(signal.SIGTERM)
    router.process.wait_for_output(b"stopping", "err")
    up.release.set()
    assert running.wait().text == "held released" and running.answer.whole
    router.process.finish(20).exits(0)


def test_a_stop_takes_nobody_new(router, up):
    router.start({"free": ["hold"]})
    running = Later(router.ask, stream=True)
    assert up.wait_for(lambda: up.requests)
    router.process.signal(signal.SIGTERM)
    router.process.wait_for_output(b"stopping", "err")
    with pytest.raises(OSError):
        router.ask()
    up.release.set()
    running.wait()
    router.process.finish(20).exits(0)


def test_a_second_stop_does_not_wait(router, up):
    router.start({"free": ["hold"]})
    running = Later(router.ask, stream=True)
    assert up.wait_for(lambda: up.requests)
    router.process.signal(signal.SIGTERM)
    router.process.wait_for_output(b"stopping", "err")
    router.process.signal(signal.SIGTERM)
    router.process.finish(20).exits(0)
    running.thread.join(20)
    assert running.answer is None or running.answer.cut, "a cut answer looks like a whole one"


def test_a_stop_with_a_kept_connection_does_not_wait_for_it(router):
    router.start({"free": ["echo"]})
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=60)
    connection.request("POST", "/v1/chat/completions",
                       json.dumps({"model": "free", "messages": MESSAGES}), router.headers())
    assert read(connection.getresponse()).status == 200
    router.stop()


def by_socket(router):
    status, told = home_socket.ask(router.hermes.home, "POST", "/reload")
    assert status == 200, told


@pytest.mark.parametrize("reload", [Router.reload, by_socket])
def test_a_reload_brings_another_list(router, hermes, reload):
    router.start({"free": ["echo"]})
    router.write({"free": ["fixed"], "cheap": ["echo"]})
    reload(router)
    assert router.ask().text == "ok"
    assert router.ask(model="cheap").text == "echo: hello"


def test_a_reload_leaves_running_calls_alone(router, hermes, up):
    """Also when their model is gone from the list."""
    router.start({"free": ["hold"]})
    running = Later(router.ask, stream=True)
    assert up.wait_for(lambda: up.requests)
    router.write({"cheap": ["echo"]})
    router.reload()
    assert router.ask().status == 400 and router.ask(model="cheap").status == 200
    up.release.set()
    assert running.wait().text == "held released" and running.answer.whole


def test_a_reload_that_is_a_mistake_changes_nothing(router, hermes):
    router.start({"free": ["echo"]})
    hermes.put("router.yaml", "model_list: [")
    router.process.signal(signal.SIGHUP)
    router.process.wait_for_output(b"was not reloaded", "err")
    assert router.ask().text == "echo: hello"


def test_fifty_reloads_under_calls(router, hermes, up):
    router.start({"free": ["echo"]})
    answers = []
    for number in range(50):
        later = [Later(router.ask, stream=bool(number % 2)) for _ in range(4)]
        by_socket(router)
        answers += [one.wait() for one in later]
    assert {answer.status for answer in answers} == {200}
    assert {answer.text for answer in answers} == {"echo: hello"}
