"""A conversation on a terminal: editing, cancelling, leaving."""

import json
import os
import re
import signal
import time

import pytest
from harness import SOON

pytestmark = [pytest.mark.qemu_user, pytest.mark.release]


def test_a_newcomer_sees_what_to_set(hermes, terminal):
    with terminal("chat") as chat:
        chat.expect("not a language model")
        assert re.search("OPENROUTER_API_KEY|OPENAI_BASE_URL", chat.screen)
        chat.ready()
        notices = chat.screen.count("OPENROUTER_API_KEY")
        chat.say("what is the meaning of life").ready()
        chat.say("and of death").ready()
        assert notices == 1 and chat.screen.count("this is the built-in") == 1


def test_a_bare_hermes_is_a_conversation_or_help(hermes, terminal):
    with terminal() as shown:
        shown.quiet(1)
        assert shown.screen.strip()


def test_a_long_argument_is_cut_between_characters(hermes, up, terminal):
    hermes.use(up, "tools")
    for path in ("x" * n + "€" * 60 for n in range(3)):
        text = "call read_file " + json.dumps({"path": path}, ensure_ascii=False)
        with terminal("chat", "-q", text) as chat:
            chat.expect("· read_file .*€…\\s")
            chat.ends()
            assert "\ufffd" not in chat.screen


def test_a_conversation(hermes, up, terminal):
    hermes.use(up, "echo")
    with terminal("chat") as chat:
        chat.say("first question").expect("echo: first question")
        chat.say("zweite Frage mit ünïcode 🌍").expect("echo: zweite Frage mit ünïcode 🌍")
        chat.ready().send("\x04")
        assert chat.ends() == 0
    assert [m["role"] for m in up.requests[1].messages] == ["system", "user", "assistant", "user"]


def test_text_is_streamed(hermes, up, terminal):
    hermes.use(up, "hold")
    with terminal("chat") as chat:
        chat.say("hi").expect("held")
        up.release.set()
        chat.expect("released")


@pytest.mark.parametrize("keys,sent", [
    ("abc\x7f\x7fxy", "axy"), ("world\x01hello ", "hello world"), ("abc\x1b[D\x1b[DX", "aXbc"),
    ("wrong\x15right", "right"), ("one two\x17three", "one three"), ("ab\x01\x04", "b"),
    ("abcdef\x01\x0bnew", "new"), ("gr\u00fc\x7fuen", "gruen"), ("a\u754c\x7fb", "ab"),
    ("ac\x1b[Db\x05d", "abcd"), ("bc\x1b[Ha\x1b[Fd", "abcd"), ("\tx", "x")])
def test_line_editing(hermes, up, terminal, keys, sent):
    hermes.use(up, "echo")
    with terminal("chat") as chat:
        chat.say(keys).expect(f"echo: .*{re.escape(sent)}")
        assert up.requests[0].messages[-1]["content"].strip() == sent


def test_the_history_comes_back_with_the_arrow(hermes, up, terminal):
    hermes.use(up, "echo")
    with terminal("chat") as chat:
        chat.say("a first line").expect("echo: a first line")
        chat.say("a second line").expect("echo: a second line")
        chat.ready().send("\x1b[A\x1b[A\r").expect("echo: a first line")
    assert up.requests[2].messages[-1]["content"] == "a first line"


def test_a_pasted_block_is_one_message(hermes, up, terminal):
    hermes.use(up, "echo")
    with terminal("chat") as chat:
        chat.ready().send("\x1b[200~line one\nline two\nline three\x1b[201~\r")
        chat.expect("echo: line one")
        chat.ready()
    assert up.requests[0].messages[-1]["content"] == "line one\nline two\nline three"
    assert len(up.requests) == 1


def test_a_line_longer_than_the_terminal(hermes, up, terminal):
    hermes.use(up, "fixed")
    text = "word " * 100 + "end"
    with terminal("chat", columns=40) as chat:
        chat.say(text).expect("ok")
    assert up.requests[0].messages[-1]["content"] == text


def test_empty_lines_ask_nothing(hermes, up, terminal):
    hermes.use(up, "echo")
    with terminal("chat") as chat:
        chat.say("").ready()
        chat.say("   ").ready()
        chat.say("now").expect("echo: now")
    assert len(up.requests) == 1


def test_odd_keys_do_no_harm(hermes, up, terminal):
    hermes.use(up, "echo")
    with terminal("chat") as chat:
        chat.ready().send(b"\x1b[999;999H\x1bOP\x1b[15~\x00\xff\xfe\x1b\x1b[\x1b[200~\x1b[201~")
        chat.quiet()
        chat.send("\x15").say("still here").expect("still here")
        assert chat.popen.poll() is None


def test_a_resize_in_mid_line(hermes, up, terminal):
    hermes.use(up, "echo")
    with terminal("chat") as chat:
        chat.ready().send("before the resize")
        chat.resize(10, 20)
        os.kill(chat.pid, signal.SIGWINCH)
        chat.quiet().send(" and after\r").expect("echo: before")
    assert up.requests[0].messages[-1]["content"] == "before the resize and after"


# -- Ctrl-C ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("model,shown", [("drip", "word3"), ("hang-mid", "three"), ("hang", None),
                                         ("hang-first-byte", None)])
def test_ctrl_c_cancels_the_turn_and_not_the_program(hermes, up, terminal, model, shown):
    hermes.use(up, model)
    with terminal("chat") as chat:
        chat.say("hi")
        if shown:
            chat.expect(shown)
        assert up.wait_for(lambda: up.requests)
        time.sleep(0.1)
        chat.send("\x03").expect("(?i)cancel|stopp|interrupt", SOON)
        assert up.wait_for(lambda: up.disconnects), "the upstream was left"
        chat.say("again")
        assert up.wait_for(lambda: len(up.requests) == 2), "the next turn works"
        chat.send("\x03")
        chat.ready().send("\x04")
        assert chat.ends() == 0
    assert up.requests[1].messages[-1]["content"] == "again"


def test_ctrl_c_at_the_prompt_clears_the_line(hermes, up, terminal):
    hermes.use(up, "echo")
    with terminal("chat") as chat:
        chat.ready().send("half a thou").quiet(0.2)
        chat.send("\x03").quiet(0.3)
        assert chat.popen.poll() is None, "one Ctrl-C never ends the program"
        chat.say("whole").expect("echo: whole")
    assert up.requests[0].messages[-1]["content"] == "whole"


def test_the_terminal_is_left_as_it_was_found(hermes, up, terminal):
    import termios
    hermes.use(up, "drip")
    for end in ("\x04", signal.SIGTERM, signal.SIGHUP):
        with terminal("chat") as chat:
            chat.ready()
            if isinstance(end, str):
                chat.send(end)
            else:
                os.kill(chat.pid, end)
            chat.ends()
            assert termios.tcgetattr(chat.master)[:4] == chat.initial[:4]


def test_a_hang_up_ends_the_program(hermes, up, terminal):
    hermes.use(up, "drip")
    with terminal("chat") as chat:
        chat.say("hi").expect("word1")
        os.close(chat.master)
        chat.master = -1
        until = time.monotonic() + 5
        while chat.popen.poll() is None:
            assert time.monotonic() < until, "goes on without a terminal"
            time.sleep(0.02)


@pytest.mark.native
def test_waiting_costs_nothing(hermes, terminal):
    with terminal("chat") as chat:
        chat.ready()
        assert chat.fewest_wake_ups(seconds=3) <= 6
