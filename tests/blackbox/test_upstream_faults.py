"""Every way an upstream fails ends in an answer or one clear sentence, within the limit.

The sentence says what failed, and what to do. The limits are set small, so that a test that takes
long is a limit that does not hold.
"""

import os
import re
import socket

import pytest
from harness import SOON
from openai_upstream import Upstream
from ports import free_port

pytestmark = pytest.mark.qemu_user
WAYS = pytest.mark.parametrize("way", [(), ("--no-stream",)], ids=["stream", "whole"])
ADVICE = (r"check|try|set |wait|raise|add |choose|start|see |\buse |again|later|shorten|free |"
          r"top up|\bask |remove|HERMES_|OPENAI_|OPENROUTER_|--")
STREAM_ONLY = {"hang-mid", "hang-after-finish", "cut-stream", "rst-stream", "cut-stream-clean",
               "cut-stream-close", "cut-tools", "stream-error", "stream-error-string",
               "stream-error-bare", "stream-error-event", "empty-stream", "no-events",
               "chunk-garbage", "chunk-huge", "hang-first-byte", "hang-comments", "huge-line",
               "endless", "huge-arguments"}


def ask(hermes, up, model, way=(), limit=15, **limits):
    limits = {"api": 8, "stale": 3, "read": 3, "connect": 3, **limits}
    return hermes.use(up, model, **limits).chat("hi", *way, limit=limit)


FAULTS = {  # model: what the sentence names
    "401": r"401|key", "402": r"402|credit|pay", "403": r"403|refus|forbid|flagged",
    "404": r"404|model|endpoint", "408": r"408|time", "413": r"413|large|long",
    "422": r"422|reject|unprocess", "500-html": r"500", "500-empty": r"500", "502": r"502",
    "503": r"503|overload|provider", "504": r"504|time", "529": r"529|overload",
    "429-forever": r"429|rate|slow", "429-long": r"429|rate|slow",
    "400-context": r"context|long", "400-long": r"400|reject|bad",
    "400-string": r"model is required",
    "400-detail": r"400|field required", "gemini-array": r"valid role",
    "200-error": r"provider|502", "200-limit": r"429|rate|slow", "choice-error": r"broke off|502",
    "stream-error": r"disconnected|502", "stream-error-string": r"disconnected|server_error",
    "stream-error-bare": r"overloaded", "stream-error-event": r"it broke",
    "empty-stream": r"empty|nothing|no answer", "no-events": r"empty|nothing|no answer|ended|cut",
    "empty-answer": r"empty|nothing|no answer", "empty-choices": r"empty|nothing|no answer|choice",
    "empty-body": r"empty|nothing|no answer|JSON",
    "not-sse": r"html|page|neither|not (an|the|a)|unexpected",
    "cut-before-headers": r"closed|cut|ended|connection|empty",
    "cut-json": r"cut|closed|ended|end|JSON",
    "cut-headers": r"closed|cut|ended|connection|HTTP|empty",
    "cut-json-clean": r"cut|incomplete|ended|JSON|end", "cut-utf8": r"cut|closed|ended|end|JSON",
    "cut-stream": r"cut|closed|ended|broke", "rst-stream": r"cut|closed|reset|ended|broke",
    "cut-stream-clean": r"cut|ended|incomplete|without",
    "cut-stream-close": r"cut|ended|incomplete|without",
    "chunk-garbage": r"cut|closed|ended|broke|HTTP|chunk|connection",
    "chunk-huge": r"cut|closed|ended|broke|HTTP|chunk|connection",
    "not-http": r"HTTP", "huge-length": r"cut|large|closed|ended|end|broke|big",
    "huge-header": r"header|large|HTTP|broke", "many-headers": r"header|large|HTTP|broke",
    "wrong-types": r"empty|nothing|no answer|not|understand|unexpected",
    "not-an-object": r"empty|nothing|no answer|not|understand|unexpected|JSON",
    "deep-json": r"deep|JSON|nest|empty|not", "deep-object": r"deep|JSON|nest|empty|not",
    "gzip-bomb": r"not|JSON|compress|encod|understand|large",
    "redirect": r"redirect|302|moved",
}


@WAYS
@pytest.mark.parametrize("model", FAULTS)
def test_one_clear_sentence(hermes, up, way, model):
    if model in STREAM_ONLY and way:
        way = ()  # the same fault once more, harmlessly: these have no other form
    result = ask(hermes, up, model, way).failed(FAULTS[model])
    assert result.seconds < SOON
    assert "{" not in result.notes or model == "400-detail", f"raw JSON is not a sentence: {result}"
    if not model.startswith(("cut-s", "rst", "stream-error-", "stream-error", "choice", "chunk",
                             "cut-json", "cut-utf8")):
        assert result.out == b"", result


@pytest.mark.parametrize("model", FAULTS)
def test_the_sentence_says_what_to_do(hermes, up, model):
    way = ("--no-stream",) if model in ("empty-body", "200-error") else ()
    ask(hermes, up, model, way).failed(ADVICE)


@WAYS
@pytest.mark.parametrize("model", ["429", "429-date", "429-nonsense", "500-once"])
def test_a_passing_failure_is_answered_or_said(hermes, up, way, model):
    result = ask(hermes, up, model, way)
    if result.code == 0:
        assert result.text == "answered at the second try\n"
        if model == "429":
            assert up.requests[1].time - up.requests[0].time >= 0.95, "Retry-After was not honoured"
    else:
        result.failed("429|rate|slow|500|provider")


def test_requests_are_not_hammered(hermes, up):
    ask(hermes, up, "429-forever")
    assert len(up.requests) <= 6


def test_retry_after_a_day_is_not_waited_for(hermes, up):
    assert ask(hermes, up, "429-long").failed("429|rate|slow").seconds < SOON


def test_what_came_before_the_cut_is_shown(hermes, up):
    result = ask(hermes, up, "cut-stream").failed()
    assert result.text.startswith("one two three")


@WAYS
def test_half_a_tool_call_is_not_carried_out(hermes, up, way):
    ask(hermes, up, "cut-tools").failed("cut|ended|incomplete|without")
    assert not (hermes.workspace / "half.txt").exists()
    assert len(up.requests) == 1


# -- silence --------------------------------------------------------------------------------------

@pytest.mark.parametrize("model,way,limits,least", [
    ("hang", (), {"stale": 1}, 1), ("hang", ("--no-stream",), {"stale": 1}, 1),
    ("hang-first-byte", (), {"stale": 1}, 1), ("hang-mid", (), {"read": 1}, 1),
    ("hang-comments", (), {"api": 1.5}, 1.5), ("drip", (), {"api": 1.5}, 1.5),
    ("hang", (), {"api": 1, "stale": 60}, 1), ("hang-mid", (), {"api": 1, "read": 60}, 1)])
def test_silence_ends_at_its_limit(hermes, up, model, way, limits, least):
    result = ask(hermes, up, model, way, **limits)
    result.failed(r"time|no answer|silen|within|second|waited")
    assert least <= result.seconds < least + SOON, result
    assert re.search(r"\b(1|1\.5|2)\b|HERMES_", result.notes), f"which limit? {result}"
    assert up.wait_for(lambda: up.disconnects), "the connection must be closed"


def test_all_was_said_is_the_end(hermes, up):
    """After [DONE] nobody waits for the connection to be closed."""
    result = ask(hermes, up, "hang-after-finish", read=30, stale=30).ok()
    assert result.text == "all said\n" and result.seconds < SOON


def test_an_answer_within_the_limit_is_awaited(hermes, up):
    result = ask(hermes, up, "hang:1.2", stale=5).ok()
    assert result.text == "echo: hi\n" and result.seconds >= 1.2


def test_refused(hermes):
    port = free_port()
    hermes.environment.update(OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1", HERMES_MODEL="echo",
                              OPENAI_API_KEY="sk-refused-0123456789")
    result = hermes.chat("hi").failed(rf"127\.0\.0\.1:{port}", "refused|reach|connect")
    assert result.seconds < SOON


def test_a_listener_that_never_accepts(hermes):
    """A full backlog: packets are dropped, nothing is refused."""
    hermes.limits(connect=1, stale=2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            waiting.append(sock)
        hermes.environment.update(OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1",
                                  HERMES_MODEL="echo", OPENAI_API_KEY="sk-full-0123456789")
        result = hermes.chat("hi").failed("time|connect|reach|answer")
        for sock in waiting:
            sock.close()
    assert 0.9 <= result.seconds < SOON


@pytest.mark.parametrize("url,words", [
    ("http://no-such-host.invalid/v1", "no-such-host.invalid"), ("ftp://127.0.0.1/v1", "ftp|http"),
    ("127.0.0.1:9/v1", "http|URL"), ("http://", "URL|host"), ("http://[::1", "URL|host"),
    ("http://127.0.0.1:99999/v1", "URL|port"), ("file:///etc/passwd", "http|URL"),
    ("http://127.0.0.1/v1\r\nX-Evil: 1", "URL|character"), ("not a url", "URL|http")])
def test_a_base_url_that_cannot_work(hermes, url, words):
    hermes.limits(connect=3, stale=3)
    result = hermes.chat("hi", env={"OPENAI_BASE_URL": url, "HERMES_MODEL": "echo",
                                    "OPENAI_API_KEY": "sk-url-0123456789"}, limit=12)
    assert result.code in (1, 2)
    result.sentence(words)
    assert "root:" not in result.text


@pytest.mark.parametrize("suffix", ["", "/", "//"])
def test_a_base_url_with_slashes(hermes, up, suffix):
    hermes.use(up, "echo").environment["OPENAI_BASE_URL"] += suffix
    assert hermes.chat("hi").ok().text == "echo: hi\n"


@pytest.mark.parametrize("model", ["redirect"])
def test_a_redirect_does_not_carry_the_key_away(hermes, up, model):
    with Upstream() as stranger:
        up.redirect_to = stranger.base_url + "/chat/completions"
        ask(hermes, up, model).failed("redirect|302|moved")
        assert stranger.connections == 0


# -- too much -------------------------------------------------------------------------------------

@pytest.mark.release
@WAYS
def test_ten_megabytes(hermes, up, way):
    result = ask(hermes, up, "ten-megabytes", way, limit=60, api=50)
    assert result.ok() and len(result.out) in (10000000, 10000001)
    hermes.memory_below(result, 64 * 1024)


@pytest.mark.release
def test_a_million_deltas(hermes, up):
    count = 100000 if hermes.binary.emulated else 1000000
    result = ask(hermes, up, f"million-deltas:{count}", limit=240, api=230)
    assert result.ok().text == "x" * count + "\n"
    hermes.memory_below(result, 32 * 1024)


@pytest.mark.release
@pytest.mark.parametrize("model,kib", [
    ("huge-line", 64), ("endless", 64), ("huge-arguments", 64), ("huge-json", 64),
    ("deep-json", 32),
    ("deep-object", 32), ("huge-header", 32), ("many-headers", 32), ("huge-length", 32),
    ("gzip-bomb", 32), ("400-long", 32)])
@WAYS
def test_memory_is_bounded(hermes, up, way, model, kib):
    if model in STREAM_ONLY and way or model == "huge-json" and not way:
        way = ("--no-stream",) if model == "huge-json" else ()
    result = ask(hermes, up, model, way, limit=60, api=50, stale=20, read=20)
    assert result.code in (0, 1), result
    if result.code == 1:
        result.sentence()
    hermes.memory_below(result, kib * 1024)


# -- bytes that nobody means to send --------------------------------------------------------------

@WAYS
@pytest.mark.parametrize("model,begin,end", [("nul-bytes", "before", "after"),
                                             ("bad-utf8", "abc", ""), ("lone-surrogate", "a", "b")])
def test_odd_characters_do_no_harm(hermes, up, way, model, begin, end):
    result = ask(hermes, up, model, way)
    if result.code == 0:
        text = result.text.rstrip("\n")  # decodes, so it is UTF-8
        assert text.startswith(begin) and text.endswith(end) and "\0" not in text
    else:
        result.failed()


@WAYS
@pytest.mark.parametrize("model", ["raw-nul"])
def test_odd_json_is_refused_or_read(hermes, up, way, model):
    result = ask(hermes, up, model, way)
    assert result.code in (0, 1)
    if result.code == 1:
        result.failed()


def test_an_answer_does_not_operate_the_terminal(hermes, up, terminal):
    hermes.use(up, "terminal-escapes")
    with terminal("chat") as chat:
        chat.say("hi").expect("safe")
        chat.expect("text")
        for evil in (b"\x1b[2J", b"\x1b]0;", b"\x1b]52", b"\x9b31m", b"\x07text"):
            assert evil not in chat.raw, chat.raw


def test_an_error_does_not_operate_the_terminal(hermes, up, terminal):
    hermes.use(up, "400-long")
    with terminal("chat") as chat:
        chat.say("hi").expect("400|reject|bad")
        chat.quiet()
        assert b"\x1b[2J" not in chat.raw and b"\x1b]0;" not in chat.raw


# -- after a failure ------------------------------------------------------------------------------

@pytest.mark.parametrize("model", ["500-html", "cut-stream", "stream-error", "empty-stream", "401",
                                   "deep-json"])
def test_a_conversation_survives_failures_and_leaks_nothing(hermes, up, terminal, model):
    """Twelve failed turns in one process: as many descriptors as after two."""
    hermes.use(up, model, api=8, stale=3, read=3)
    counts = []
    with terminal("chat") as chat:
        for number in range(12):
            chat.say(f"question {number}").expect(r"\nhermes: [^\n]+\n> ")
            counts.append(len(os.listdir(f"/proc/{chat.pid}/fd")))
        chat.send("\x04")
        assert chat.ends() == 0
    assert max(counts[2:]) <= counts[1] + 1, counts
    roles = [m["role"] for m in up.requests[-1].messages]
    assert roles[-1] == "user", "a failed turn leaves a history that providers still take"
