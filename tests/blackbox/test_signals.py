"""How a run ends when it is told to."""

import signal
import subprocess
import time

import pytest
from harness import SOON

pytestmark = [pytest.mark.qemu_user, pytest.mark.release]


def test_ctrl_c_of_a_question_is_130(hermes, up):
    with hermes.use(up, "drip").start("chat", "-q", "hi") as process:
        assert up.wait_for(lambda: up.requests)
        time.sleep(0.2)
        begin = time.monotonic()
        process.signal(signal.SIGINT)
        result = process.finish().exits(130)
        assert time.monotonic() - begin < SOON and len(result.err.splitlines()) <= 3
    assert up.wait_for(lambda: up.disconnects)


@pytest.mark.parametrize("model", ["drip", "hang", "hang-first-byte", "hang-mid"])
def test_sigterm_ends_soon(hermes, up, model):
    with hermes.use(up, model).start("chat", "-q", "hi") as process:
        assert up.wait_for(lambda: up.requests)
        time.sleep(0.1)
        begin = time.monotonic()
        process.signal(signal.SIGTERM)
        process.finish().exits(143)
        assert time.monotonic() - begin < SOON
    assert up.wait_for(lambda: up.disconnects)


@pytest.mark.native
def test_sigterm_while_a_tool_runs(hermes, up):
    hermes.put("workspace/a.txt", ("ab" * 40 + "!\n") * 100_000)  # a second's work and more
    text = "call search_files " + '{"pattern":"(a|b|ab)+(ba|a)+$"}'
    with hermes.use(up, "tools").start("chat", "-q", text) as process:
        assert up.wait_for(lambda: subprocess.run(["pgrep", "-P", str(process.pid)],
                                                  stdout=subprocess.DEVNULL).returncode == 0)
        process.signal(signal.SIGTERM)
        process.finish(limit=SOON).exits(143)


def test_what_was_said_before_the_end_is_kept(hermes, up):
    """A cancelled turn does not damage the home."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with hermes.use(up, "drip").start("chat", "-q", "hi") as process:
            assert up.wait_for(lambda: up.requests and not up.requests[-1].ended)
            time.sleep(0.2)
            process.signal(number)
            process.finish()
    hermes.use(up, "tools").chat('call remember {"content":"the gate"}').ok()
    assert "the gate" in hermes.chat('call recall {"query":"gate"}').ok().text


def test_a_stopped_program_goes_on(hermes, up, terminal):
    hermes.use(up, "drip", stale=30, read=30)
    with terminal("chat") as chat:
        chat.say("hi").expect("word1 ")
        chat.signal(signal.SIGSTOP)
        time.sleep(0.5)
        chat.signal(signal.SIGCONT)
        chat.expect("word12 ")
        chat.send("\x03").ready()
