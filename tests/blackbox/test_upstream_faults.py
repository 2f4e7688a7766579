"""Every way an upstream fails ends in an answer or one clear sentence, within the limit.

The sentence says what failed, in the provider's own words where it had some, and what to do. How
often it is asked is part of it: what passes is asked again, what cannot pass is not. The limits
are set small, so that a test that takes long is a limit that does not hold.
"""

import socket
from dataclasses import dataclass

import pytest
from harness import SOON, comes_true, descriptors
from openai_excess import BIDI
from openai_upstream import Upstream
from ports import free_port

pytestmark = pytest.mark.qemu_user
WAYS = pytest.mark.parametrize("way", [(), ("--no-stream",)], ids=["stream", "whole"])
ONCE, THRICE = 1, 3  # a failure that a retry cannot help, and one that it can


def ask(hermes, up, model, way=(), limit=15, **limits):
    limits = {"api": 8, "stale": 3, "read": 3, "connect": 3, **limits}
    return hermes.use(up, model, **limits).chat("hi", *way, limit=limit)


@dataclass
class Fault:
    """How a turn fails: what the sentence names, what it advises, how often the model was asked."""
    names: str
    advises: str
    asked: int
    out: bytes = b""
    kib: int = 0  # the memory that it may take, where the fault is a matter of size

    def holds(self, result, up):
        result.failed(self.names, self.advises)
        assert len(up.requests) == self.asked, (len(up.requests), result)
        assert result.out == self.out, result
        return result


KEY, TOP_UP = r"OPENROUTER_API_KEY.*OPENAI_API_KEY", r"top up.*another model"
OTHER_MODEL, LATER = r"; [^;]*another model$", r"; [^;]*again later.*another model$"
SETTINGS, TIMEOUT = r"; [^;]*hermes config show", r"; [^;]*timeout.*hermes config keys"
URL, NETWORK = r"; [^;]*base URL", r"; [^;]*base URL.*network.*hermes doctor"
AGAIN, SHORTER = r"; try again$", r"; [^;]*new conversation.*larger context"
HERE = r"127\.0\.0\.1:\d+"

FAULTS = {  # model: what it comes to, however it is asked
    "401": Fault(r"HTTP 401\): .*platform\.example\.test/account/api-keys", KEY, ONCE),
    "402": Fault(r"HTTP 402\): .*openrouter\.test/credits", TOP_UP, ONCE),
    "403": Fault(r"HTTP 403\): Your input was flagged", OTHER_MODEL, ONCE),
    "404": Fault(r"HTTP 404\): No endpoints found for 404", r"HERMES_MODEL.*base URL", ONCE),
    "408": Fault(r"HTTP 408\): Request timed out", TIMEOUT, THRICE),
    "413": Fault(r"HTTP 413\): Payload too large", SHORTER, ONCE),
    "422": Fault(r"HTTP 422\): Unprocessable", SETTINGS, ONCE),
    "500-html": Fault(r"HTTP 500\): [^<]*web page", LATER, THRICE),
    "500-empty": Fault(r"HTTP 500\)", LATER, THRICE),
    "502": Fault(r"HTTP 502\): Provider returned error", LATER, THRICE),
    "503": Fault(r"overloaded.*HTTP 503\): No provider meets", LATER, THRICE),
    "504": Fault(r"HTTP 504\): Gateway timeout", TIMEOUT, THRICE),
    "529": Fault(r"overloaded.*HTTP 529\): Overloaded", LATER, THRICE),
    "429-forever": Fault(r"HTTP 429\): .*free-models-per-day.*\b1 s\b", r"wait.*another model",
                         THRICE),
    "429-long": Fault(r"HTTP 429\): .*free-models-per-day.*\b3600 s\b", r"wait.*another model",
                      ONCE),
    "429-nonsense": Fault(r"HTTP 429\): slow down;", r"wait.*another model", ONCE),
    "400-context": Fault(r"HTTP 400\): .*maximum context length is 8192", SHORTER, ONCE),
    "400-long": Fault(r"HTTP 400\)", SETTINGS, ONCE, kib=32 * 1024),
    "400-string": Fault(r"HTTP 400\): model is required", SETTINGS, ONCE),
    "400-detail": Fault(r"HTTP 400\): .*field required", SETTINGS, ONCE),
    "gemini-array": Fault(r"HTTP 400\): Please use a valid role: user, model", SETTINGS, ONCE),
    "redirect": Fault(r"HTTP 302\).*set the base URL", URL, ONCE),
    "200-error": Fault(r"HTTP 502\): Provider returned error", LATER, THRICE),
    "200-limit": Fault(r"HTTP 429\): Rate limit exceeded", r"wait.*another model", ONCE),
    "choice-error": Fault(r"HTTP 502\): Upstream broke off", LATER, THRICE),
    "stream-error": Fault(r"HTTP 502\): Provider disconnected", LATER, THRICE),
    "stream-error-string": Fault(r"HTTP 500\): Provider disconnected", LATER, THRICE),
    "stream-error-bare": Fault(r"HTTP 503\): overloaded", LATER, THRICE),
    "stream-error-event": Fault(r"HTTP 500\): it broke", LATER, THRICE),
    "empty-stream": Fault(r"empty answer", LATER, THRICE),
    "no-events": Fault(r"empty answer", LATER, THRICE),
    "empty-answer": Fault(r"empty answer", LATER, THRICE),
    "empty-choices": Fault(r"empty answer", LATER, THRICE),
    "empty-body": Fault(r"empty answer", LATER, THRICE),
    "wrong-types": Fault(r"empty answer", LATER, THRICE),
    "not-sse": Fault(r"web page", URL, THRICE),
    "cut-before-headers": Fault(rf"{HERE} .*closed without an answer", NETWORK, THRICE),
    "cut-headers": Fault(rf"{HERE} .*closed within the header", NETWORK, THRICE),
    "not-http": Fault(rf"{HERE} .*not .*HTTP", NETWORK, THRICE),
    "huge-header": Fault(rf"{HERE} .*64 KiB", NETWORK, THRICE, kib=32 * 1024),
    "many-headers": Fault(rf"{HERE} .*64 KiB", NETWORK, THRICE, kib=32 * 1024),
    "huge-length": Fault(rf"{HERE} .*closed before the answer ended", AGAIN, THRICE,
                         kib=32 * 1024),
    "deep-json": Fault(r"not JSON", URL, THRICE, kib=32 * 1024),
    "deep-object": Fault(r"not JSON", URL, THRICE, kib=32 * 1024),
    "raw-nul": Fault(r"not JSON", URL, THRICE),
    "gzip-bomb": Fault(r"neither JSON nor an event stream", URL, THRICE, kib=32 * 1024),
}
CUT = rf"cut off: .*{HERE} .*closed before the answer ended"
STREAMED = {
    "not-an-object": Fault(r"JSON that is not an answer", URL, THRICE),
    "cut-json": Fault(CUT, AGAIN, ONCE, b"the first part \n"),
    "cut-json-clean": Fault(r"cut off before its end", AGAIN, ONCE, b"the first part \n"),
    "cut-utf8": Fault(CUT, AGAIN, ONCE, b"Gr\n"),
    "cut-stream": Fault(CUT, AGAIN, ONCE, b"one two three \n"),
    "rst-stream": Fault(rf"cut off: .*{HERE} .*reset", AGAIN, ONCE, b"one two three \n"),
    "cut-stream-clean": Fault(r"cut off before its end", AGAIN, ONCE, b"one two three \n"),
    "cut-stream-close": Fault(r"cut off before its end", AGAIN, ONCE, b"one two three \n"),
    "cut-tools": Fault(r"cut off before its end", AGAIN, ONCE),
    "chunk-garbage": Fault(rf"cut off: .*{HERE} .*chunked", AGAIN, ONCE, b"one \n"),
    "chunk-huge": Fault(rf"cut off: .*{HERE} .*chunked", AGAIN, ONCE, b"one \n"),
    "huge-line": Fault(r"event that is too large", OTHER_MODEL, THRICE, kib=64 * 1024),
    "huge-arguments": Fault(r"tool call that is too large", OTHER_MODEL, ONCE, kib=64 * 1024),
    "huge-json": Fault(r"no stream", OTHER_MODEL, THRICE, kib=64 * 1024),
}
UNWANTED = Fault(r"an unwanted stream", URL, THRICE)
WHOLE = {
    "not-an-object": Fault(r"neither JSON nor an event stream", URL, THRICE),
    "cut-json": Fault(rf"{HERE} .*closed before the answer ended", AGAIN, THRICE),
    "cut-json-clean": Fault(r"cut off before its end", AGAIN, THRICE),
    "cut-utf8": Fault(rf"{HERE} .*closed before the answer ended", AGAIN, THRICE),
    "huge-json": Fault(r"24 MiB", OTHER_MODEL, ONCE, kib=64 * 1024),
    # A server that streams to a client that asked for one piece of JSON.
    "cut-stream": UNWANTED, "rst-stream": UNWANTED, "cut-tools": UNWANTED,
    "chunk-garbage": UNWANTED, "huge-line": UNWANTED, "endless": UNWANTED,
}
CASES = {**{("stream", model): fault for model, fault in {**FAULTS, **STREAMED}.items()},
         **{("whole", model): fault for model, fault in {**FAULTS, **WHOLE}.items()}}


@pytest.mark.release
@pytest.mark.parametrize("way,model", CASES)
def test_one_clear_sentence(hermes, up, way, model):
    fault = CASES[way, model]
    result = ask(hermes, up, model, ("--no-stream",) if way == "whole" else ())
    fault.holds(result, up)
    assert result.seconds < SOON
    assert "{" not in result.notes or model == "400-detail", f"raw JSON is not a sentence: {result}"
    if fault.kib:
        hermes.memory_below(result, fault.kib)


@WAYS
@pytest.mark.parametrize("model,pause", [("429", 0.95), ("429-date", 0), ("500-once", 0)])
def test_a_passing_failure_is_not_seen(hermes, up, way, model, pause):
    """A `Retry-After` is waited for, and is over where it names a moment of the past."""
    result = ask(hermes, up, model, way).ok()
    assert result.text == "answered at the second try\n" and result.err == b""
    assert len(up.requests) == 2
    assert up.requests[1].time - up.requests[0].time >= pause, "Retry-After was not honoured"


def test_requests_are_not_hammered(hermes, up):
    ask(hermes, up, "429-forever").failed("HTTP 429")
    first, second, third = (request.time for request in up.requests)
    assert second - first >= 0.95 and third - second >= 0.95


@WAYS
def test_half_a_tool_call_is_not_carried_out(hermes, up, way):
    ask(hermes, up, "cut-tools", way).failed()
    assert not (hermes.workspace / "half.txt").exists()
    assert all(message["role"] != "tool" for request in up.requests for message in request.messages)


# -- silence --------------------------------------------------------------------------------------

@pytest.mark.parametrize("model,way,limits,which,least", [
    ("hang", (), {"stale": 1}, "first-byte", 1),
    ("hang", ("--no-stream",), {"stale": 1}, "first-byte", 1),
    ("hang-first-byte", (), {"stale": 1}, "first-byte", 1),
    ("hang-mid", (), {"read": 1}, "idle", 1),
    ("hang-comments", (), {"api": 1.5}, "total", 1.5), ("drip", (), {"api": 1.5}, "total", 1.5),
    ("hang", (), {"api": 1, "stale": 60}, "total", 1),
    ("hang-mid", (), {"api": 1, "read": 60}, "total", 1)])
def test_silence_ends_at_its_limit(hermes, up, model, way, limits, which, least):
    result = ask(hermes, up, model, way, **limits)
    result.failed(rf"{HERE}.*\({which} timeout\)", TIMEOUT)
    assert least <= result.seconds < least + SOON, result
    assert len(up.requests) == 1, "once was long enough"
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
    result = hermes.chat("hi").failed(rf"127\.0\.0\.1:{port}: Connection refused", NETWORK)
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
        result = hermes.chat("hi").failed(rf"127\.0\.0\.1:{port}.*\(connect timeout\)", TIMEOUT)
        for sock in waiting:
            sock.close()
    assert 0.9 <= result.seconds < SOON


@pytest.mark.parametrize("url,words", [
    ("ftp://127.0.0.1/v1", "http:// or https://"), ("127.0.0.1:9/v1", "http:// or https://"),
    ("http://", "no host"), ("http://[::1", r"IPv6.*\[ and \]"),
    ("http://127.0.0.1:99999/v1", "port.*1 to 65535"),
    ("file:///etc/passwd", "http:// or https://"),
    ("http://127.0.0.1/v1\r\nX-Evil: 1", r"0x0d \(byte 19\)"),
    ("not a url", r"0x20 \(byte 3\)")])
def test_a_base_url_that_cannot_work(hermes, url, words):
    result = hermes.chat("hi", env={"OPENAI_BASE_URL": url, "HERMES_MODEL": "echo",
                                    "OPENAI_API_KEY": "sk-url-0123456789"})
    result.failed(rf"OPENAI_BASE_URL.*{words}")
    assert result.out == b""


def test_a_host_that_nobody_knows(hermes):
    hermes.limits(connect=3, stale=3)
    hermes.chat("hi", limit=12, env={"OPENAI_BASE_URL": "http://no-such-host.invalid/v1",
                                     "HERMES_MODEL": "echo", "OPENAI_API_KEY": "sk-url-0123456789"}
                ).failed(r"resolve.*no-such-host\.invalid", NETWORK)


@pytest.mark.parametrize("suffix", ["", "/", "//"])
def test_a_base_url_with_slashes(hermes, up, suffix):
    hermes.use(up, "echo").environment["OPENAI_BASE_URL"] += suffix
    assert hermes.chat("hi").ok().text == "echo: hi\n"


def test_a_redirect_does_not_carry_the_key_away(hermes, up):
    with Upstream() as stranger:
        up.redirect_to = stranger.base_url + "/chat/completions"
        FAULTS["redirect"].holds(ask(hermes, up, "redirect"), up)
        assert stranger.connections == 0


# -- too much -------------------------------------------------------------------------------------

@pytest.mark.release
@WAYS
def test_ten_megabytes(hermes, up, way):
    result = ask(hermes, up, "ten-megabytes", way, limit=60, api=50)
    assert len(result.ok().out) == 10000000  # its own line end included
    hermes.memory_below(result, 64 * 1024)


@pytest.mark.release
def test_a_million_deltas(hermes, up):
    """The sanitized binary gets fewer, and still more than a reply of a daemon may hold: its memory
    is for the most part the sanitizer's."""
    count = 100000 if hermes.binary.emulated else 300000 if hermes.binary.sanitized else 1000000
    result = ask(hermes, up, f"million-deltas:{count}", limit=240, api=230)
    assert result.ok().text == "x" * count + "\n"
    hermes.memory_below(result, 32 * 1024)


@pytest.mark.release
def test_an_answer_without_an_end(hermes, up):
    """It is shown as far as it is taken, and then ends."""
    result = ask(hermes, up, "endless", limit=60, api=50, stale=20, read=20)
    result.failed("12 MiB", OTHER_MODEL)
    assert len(up.requests) == 1
    assert set(result.out) == set(b"x\n") and 11 << 20 < len(result.out) <= (12 << 20) + 1
    hermes.memory_below(result, 64 * 1024)


# -- bytes that nobody means to send --------------------------------------------------------------

@WAYS
@pytest.mark.parametrize("model,shown", [
    ("nul-bytes", "before after\n"), ("lone-surrogate", "a\ufffdb\n"),
    ("bad-utf8", "abc\ufffd\ufffd\ufffd(\ufffd\ufffd\ufffd\n")])
def test_odd_characters_do_no_harm(hermes, up, way, model, shown):
    result = ask(hermes, up, model, way).ok()
    assert result.text == shown and result.err == b"" and len(up.requests) == 1


def test_an_answer_does_not_operate_the_terminal(hermes, up, terminal):
    hermes.use(up, "terminal-escapes")
    with terminal("chat") as chat:
        chat.say("hi").expect("safe")
        chat.expect("text")
        chat.expect("a" + "b".join("\ufffd" * len(BIDI)) + "c the end")
        for evil in (b"\x1b[2J", b"\x1b]0;", b"\x1b]52", b"\x9b31m", b"\x07text"):
            assert evil not in chat.raw, chat.raw
        assert not set(BIDI) & set(chat.screen)


def test_a_pipe_gets_an_answer_as_it_is(hermes, up):
    assert BIDI[0] in ask(hermes, up, "terminal-escapes").ok().text


def test_an_error_does_not_operate_the_terminal(hermes, up, terminal):
    hermes.use(up, "400-long")
    with terminal("chat") as chat:
        chat.say("hi").expect("HTTP 400")
        chat.quiet()
        assert b"\x1b[2J" not in chat.raw and b"\x1b]0;" not in chat.raw


# -- after a failure ------------------------------------------------------------------------------

@pytest.mark.parametrize("model", ["500-html", "cut-stream", "stream-error", "empty-stream", "401",
                                   "deep-json"])
def test_a_conversation_survives_failures_and_leaks_nothing(hermes, up, terminal, model):
    """Twelve failed turns in one process: as many descriptors as after two."""
    hermes.use(up, model, api=8, stale=3, read=3)
    with terminal("chat") as chat:
        for number in range(12):
            chat.say(f"question {number}").expect(r"\nhermes: [^\n]+\n> ")
            if number == 1:
                before = descriptors(chat.pid)
        assert comes_true(lambda: descriptors(chat.pid) <= before + 1)
        chat.send("\x04")
        assert chat.ends() == 0
    roles = [m["role"] for m in up.requests[-1].messages]
    assert roles[-1] == "user", "a failed turn leaves a history that providers still take"
