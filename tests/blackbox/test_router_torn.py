"""Faults after the first content: the client has seen a part, so nobody else can answer any more.
It is told in the stream, and no stream that was cut ends as if it were whole."""

import http.client
import json

import openai_wire as wire
import pytest
from openai_faults import PATIENCE
from openai_scenarios import KEEPALIVE, scenario
from router_chain import rows
from router_service import read

ERROR = {"error": {"code": 502, "message": "Provider disconnected unexpectedly"}}


# Each begins to speak, waits until the test has seen it, and goes wrong.

def cut(turn):
    turn.conn.cut()


def reset(turn):
    turn.conn.reset()


def end(turn):
    turn.conn.end()


def half_event(turn):
    event = turn.event(turn.dialect.chunk({"content": "never complete"}))
    turn.conn.send(event[:len(event) // 2])
    turn.conn.cut()


def half_event_and_end(turn):
    event = turn.event(turn.dialect.chunk({"content": "never complete"}))
    turn.conn.send(event[:len(event) // 2])
    turn.conn.end()


def half_character(turn):
    event = turn.event(turn.dialect.chunk({"content": "世界"}))
    turn.conn.send(event[:event.index("世".encode()) + 1])
    turn.conn.cut()


def half_tool_call(turn):
    call = turn.dialect.call(wire.Call("write_file", '{"path":"half.txt"}'), 0)
    turn.send(turn.dialect.chunk({"tool_calls": [call]}))
    turn.conn.end()


def chunk_garbage(turn):
    turn.conn.write(b"ZZZZ\r\nthis is no chunk\r\n0\r\n\r\n")
    turn.conn.cut()


def error_chunk(turn):
    turn.send({**turn.dialect.chunk({"content": ""}, "error"), **ERROR})
    turn.conn.end()


def error_bare(turn):
    turn.send(ERROR)
    turn.done()


def error_string(turn):
    turn.send({"error": {"code": "server_error", "message": "it broke"}})
    turn.conn.end()


def error_in_choice(turn):
    chunk = turn.dialect.chunk({"content": ""}, "error")
    chunk["choices"][0]["error"] = ERROR["error"]
    turn.send(chunk)
    turn.conn.end()


def error_event(turn):
    turn.conn.send(b'event: error\ndata: {"error":{"message":"it broke","code":500}}\n\n')
    turn.conn.end()


def finish_error(turn):
    turn.send(turn.dialect.chunk({}, "error"))
    turn.done()


def silence(turn):
    turn.conn.wait(PATIENCE)


def only_comments(turn):
    for _ in range(int(PATIENCE / 0.1)):
        turn.conn.send(KEEPALIVE)
        turn.conn.wait(0.1)


ENDS = {function.__name__.replace("_", "-"): function for function in (
    cut, reset, end, half_event, half_event_and_end, half_character, half_tool_call, chunk_garbage,
    error_chunk, error_bare, error_string, error_in_choice, error_event, finish_error, silence,
    only_comments)}
SLOW = ("silence", "only-comments")


@scenario("torn")
def torn(turn):
    """`:N` is the place of its end in ENDS."""
    turn.begin_text("one ")
    turn.conn.wait(PATIENCE, turn.upstream.release)
    list(ENDS.values())[int(turn.argument)](turn)


@scenario("two-choices")
def two_choices(turn):
    """The first ends, the second is cut off; with `:1` that ends as well."""
    def say(index, *chunk):
        value = turn.dialect.chunk(*chunk)
        value["choices"][0]["index"] = index
        turn.send(value)
    turn.start()
    say(0, {"role": "assistant", "content": "one "})
    say(1, {"role": "assistant", "content": "half a "})
    say(0, {}, "stop")
    say(1, {"content": "sentence"})
    if turn.argument:
        say(1, {}, "stop")
    turn.conn.cut()


def start(router, how):
    more = {"timeout": 4} if how in SLOW else {}
    bad = router.deployment(f"torn:{list(ENDS).index(how)}", model_info={"id": "bad"}, **more)
    return router.start({"free": [bad], "free2": ["echo"]}, fallbacks=[{"free": ["free2"]}])


def ask(router):
    """The answer to a stream that went wrong as soon as its first word was here."""
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=60)
    body = {"model": "free", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), router.headers())
    response = connection.getresponse()
    seen = b""
    while b"one " not in seen:
        part = response.read1(65536)
        assert part, f"it ended before its first word: {seen!r}"
        seen += part
    router.up.release.set()
    answer = read(response)
    answer.body = seen + answer.body
    connection.close()
    return answer


@pytest.mark.parametrize("how", ENDS)
def test_a_stream_that_breaks_says_so(router, how):
    """The part that came, one error in LiteLLM's shape or the provider's own, and no [DONE]."""
    start(router, how)
    answer = ask(router)
    assert answer.status == 200 and answer.text == "one "
    assert "[DONE]" not in answer.events
    errors = [event["error"] for event in answer.events if "error" in event]
    assert len(errors) == 1 and errors[0]["message"] and errors[0]["code"]
    assert "error" in answer.events[-1]
    assert answer.headers["x-litellm-model-id"] == "bad"
    assert len(router.up.requests) == 1, "half an answer was followed by another's"


@pytest.mark.parametrize("how", ["cut", "error-chunk"])
def test_ledger_and_metrics_know_that_it_broke(router, how):
    """A call that was answered with 200 and is none the less no success."""
    start(router, how)
    row, = rows(router, ask(router))
    error = {"cut": "APIConnectionError", "error-chunk": "BadGatewayError"}[how]
    assert (row["deployment"], row["status"], row["error"]) == ("bad", 200, error)
    assert row["cost_source"] == "unknown", "nobody said what half an answer costs"
    failed = [series for series, value in router.metrics().items() if value == 1 and
              f'exception_class="{error}"' in series]
    assert {series.partition("{")[0] for series in failed} >= {
        "litellm_deployment_failure_responses_total", "litellm_proxy_failed_requests_metric_total"}


def test_a_stream_whose_end_hangs_is_whole(router):
    """All was said, [DONE] too: a server that does not close costs nobody his answer."""
    router.start({"free": ["hang-after-finish"]})
    answer = router.ask(stream=True)
    assert answer.whole and answer.text == "all said"


def test_a_stream_without_done_is_whole_when_it_said_why_it_ended(router):
    """Some servers never send [DONE]; a finish_reason is as good."""
    router.start({"free": ["no-done"]})
    answer = router.ask(stream=True)
    assert answer.text == "complete without a marker"
    assert not any("error" in event for event in answer.events)


def test_one_choice_that_has_ended_says_nothing_of_the_other(router):
    """Of two, asked for with n, the second is cut off in the middle of its sentence."""
    router.start({"free": ["two-choices"], "cheap": ["two-choices:1"]})
    answer = router.ask(stream=True, n=2)
    assert answer.text == "one half a sentence"
    assert not answer.whole and "error" in answer.events[-1]
    answer = router.ask(model="cheap", stream=True, n=2)
    assert "error" not in answer.events[-1], "each said that it had ended"


def test_a_reader_that_leaves_a_torn_stream_leaves_nothing_behind(router):
    """It went before the fault: the upstream is left, and there is nobody to tell."""
    start(router, "silence")
    with router.open("free") as sock:
        while b"one " not in sock.recv(65536):
            pass
    assert router.up.wait_for(lambda: router.up.disconnects)
    assert router.stop()
