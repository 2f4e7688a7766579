"""What is said to `hermes chat`: arguments, pipes, and what nobody should pipe in."""

import os
import subprocess
import threading

import pytest

pytestmark = pytest.mark.qemu_user
MEBIBYTE = 1 << 20


def asked(up):
    """The last user message that arrived."""
    return [m for m in up.requests[-1].messages if m["role"] == "user"][-1]["content"]


def test_a_question_as_an_argument(hermes, up):
    hermes.use(up, "echo").chat("  two\nlines  and ünïcode ").ok()
    assert "two\nlines  and ünïcode" in asked(up)


def test_the_whole_pipe_is_one_message(hermes, up):
    result = hermes.use(up, "echo").run("chat", stdin="first line\nsecond line\n").ok()
    assert "first line\nsecond line" in asked(up) and len(up.requests) == 1
    assert result.text.startswith("echo: first line\nsecond line")


def test_question_and_pipe_together(hermes, up):
    hermes.use(up, "echo").run("chat", "-q", "summarise", stdin="long text\n").ok()
    assert "summarise\n\nlong text" in asked(up)


def test_question_and_an_empty_pipe(hermes, up):
    hermes.use(up, "echo").run("chat", "-q", "alone", stdin="").ok()
    assert asked(up).strip() == "alone"


@pytest.mark.parametrize("args,stdin", [
    (("chat", "-q", ""), None), (("chat", "-q", "  \n "), None), (("chat",), ""),
    (("chat",), "\n\n  \n"), (("chat",), None)])
def test_nothing_said_is_said_back(hermes, up, args, stdin):
    result = hermes.use(up, "echo").run(*args, stdin=stdin).exits(2).sentence("message is empty")
    assert result.out == b"", result
    assert not up.requests, "nothing is worth a request"


@pytest.mark.parametrize("data,asks", [
    (b"caf\xe9\n", "caf\ufffd"), (b"ok \xed\xa0\x80 end", "ok \ufffd\ufffd\ufffd end"),
    (b"cut \xe4\xb8", "cut \ufffd"), (b"\xc0\xaf", "\ufffd\ufffd"),
    (b"\xf5\x80\x80\x80", "\ufffd" * 4)])
def test_invalid_utf8_in_the_pipe(hermes, up, data, asks):
    """It is replaced, and that is said."""
    result = hermes.use(up, "echo").run("chat", stdin=data).ok()
    result.sentence("not all UTF-8.*replaced", lines=1)
    assert asked(up).strip() == asks and result.text == f"echo: {asks}\n"


@pytest.mark.parametrize("data", [b"a\x00b\n", b"\x00" * 100, b"\xff\xfe\x00h\x00i"],
                         ids=["nul", "nuls", "utf-16"])
def test_nuls_in_the_pipe(hermes, up, data):
    hermes.use(up, "echo").run("chat", stdin=data).exits(2).sentence("NUL byte")
    assert not up.requests


def test_control_bytes_in_the_pipe(hermes, up):
    """They are a part of the question; into a file, the answer comes as it is."""
    result = hermes.use(up, "echo").run("chat", stdin=b"\x1b[2J\x07text\x7f").ok()
    assert asked(up).strip() == "\x1b[2J\x07text\x7f" and result.err == b""


@pytest.mark.release
def test_a_mebibyte_less_a_little_is_taken(hermes, up):
    text = "0123456789abcde\n" * (MEBIBYTE // 16 - 4)
    result = hermes.use(up, "fixed").run("chat", stdin=text).ok()
    assert asked(up).strip() == text.strip() and result.text == "ok\n"
    hermes.memory_below(result, 32 * 1024)


@pytest.mark.release
@pytest.mark.parametrize("size", [MEBIBYTE + 1, 20 * MEBIBYTE])
@pytest.mark.parametrize("args", [("chat",), ("chat", "-q", "summarise")])
def test_more_is_refused_not_cut(hermes, up, args, size):
    result = hermes.use(up, "echo").run(*args, stdin=b"x" * size)
    result.exits(2).sentence("larger than 1024 KiB")
    assert not up.requests, "half a message is worse than none"
    hermes.memory_below(result, 32 * 1024)


def test_a_pipe_that_never_ends(hermes, up):
    """`yes | hermes chat` ends by itself."""
    def forever(pipe):
        while True:
            pipe.write(b"y\n" * 30000)

    result = hermes.use(up, "echo").run("chat", stdin=forever, limit=20)
    result.exits(2).sentence("larger than 1024 KiB")
    assert not up.requests


def test_a_slow_pipe_is_waited_for(hermes, up):
    def slowly(pipe):
        for word in (b"one ", b"two ", b"thr\xc3", b"\xa9e"):
            pipe.write(word)
            threading.Event().wait(0.2)

    hermes.use(up, "echo").run("chat", stdin=slowly).ok()
    assert "one two thrée" in asked(up)


def test_a_file_as_standard_input(hermes, up):
    path = hermes.put("q.txt", "from a file\n", base=hermes.directory)
    with path.open("rb") as file:
        process = hermes.use(up, "echo").start(
            "chat", stdio=(file, subprocess.PIPE, subprocess.PIPE))
        process.finish().ok()
    assert "from a file" in asked(up)


def test_a_directory_as_standard_input(hermes, up):
    handle = os.open("/", os.O_RDONLY)
    try:
        process = hermes.use(up, "echo").start(
            "chat", stdio=(handle, subprocess.PIPE, subprocess.PIPE))
        result = process.finish()
    finally:
        os.close(handle)
    result.exits(2).sentence("standard input: Is a directory")
    assert not up.requests


def test_a_closed_standard_input(hermes, up):
    process = hermes.use(up, "echo").start(
        "chat", "-q", "hi", before_exec=lambda: os.close(0),
        stdio=(subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE))
    assert process.finish().ok().text == "echo: hi\n"
