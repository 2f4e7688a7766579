"""`hermes chat` through the hermes that runs in the home, and the socket between them."""

import os
import re
import signal
import socket
import stat
import time

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import IS_ROOT, SOON
from home_socket import ask

STRANGER = 54322


@pytest.fixture
def daemon(hermes, up, service):
    def start(model="echo", config="", **more):
        hermes.use(up, model)
        if config:
            hermes.put("config.yaml", config)
        return service(**more)
    return start


def ended(running, state):
    """Waits for a turn that ended like this."""
    until = time.monotonic() + 10
    while not any(e["state"] == state for e in running.events("turn.end")):
        assert time.monotonic() < until, running.log_text[-2000:]
        time.sleep(0.02)


# -- one question ---------------------------------------------------------------------------------

@pytest.mark.qemu_user
def test_the_daemon_answers(hermes, up, daemon):
    running = daemon()
    result = hermes.chat("is anybody there?", env={"OPENAI_API_KEY": None, "HERMES_MODEL": None})
    assert result.ok().text == "echo: is anybody there?\n" and not result.err
    assert up.count("echo") == 1
    begin, = running.events("turn.begin")
    assert begin["source"] == "console" and begin["model"] == "echo"


@pytest.mark.qemu_user
def test_a_pipe_is_the_question(hermes, daemon):
    daemon()
    assert hermes.run("chat", stdin="from a pipe").ok().text == "echo: from a pipe\n"
    result = hermes.chat("what is this?", stdin="a log line")
    assert result.ok().text == "echo: what is this?\n\na log line\n"


def test_options_that_the_daemon_does_not_take(hermes, daemon):
    daemon()
    result = hermes.chat("hi", "--model", "fixed", "--no-stream").ok()
    assert result.text == "echo: hi\n"
    result.sentence("the hermes running in this home answers",
                    "ignored: --model --no-stream")


def test_tools_are_shown_and_used(hermes, daemon):
    daemon("chain")
    result = hermes.chat('a file\ncall write_file {"path": "a.txt", "content": "by the daemon"}')
    assert result.ok().text == "done with a file\n"
    assert (hermes.workspace / "a.txt").read_text() == "by the daemon"


def test_a_failed_answer_is_a_failed_chat(hermes, daemon):
    daemon("502")
    hermes.chat("hi").failed("502")


def test_a_long_answer_comes_whole(hermes, daemon):
    daemon("ten-megabytes")
    result = hermes.chat("much, please", limit=60)
    alone = hermes.chat("much, please", limit=60, env={"HERMES_HOME": hermes.directory / "alone"})
    assert (result.code, result.out) == (alone.code, alone.out) and len(result.out) > 1 << 20


def test_a_reader_that_leaves(hermes, daemon):
    """`hermes chat -q … | head`: the client ends, and the daemon goes on."""
    running = daemon("ten-megabytes")
    reading, writing = os.pipe()
    with hermes.start("chat", "-q", "much", stdio=(None, writing, None)) as chat:
        os.close(writing)
        os.read(reading, 100)
        os.close(reading)
        chat.finish(20)
    assert running.get("/healthz")[0] == 200


# -- its end --------------------------------------------------------------------------------------

def test_ctrl_c_ends_the_answer_of_the_daemon(hermes, daemon):
    running = daemon("gate")
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
        chat.signal(signal.SIGINT)
        result = chat.finish(SOON).exits(130)
    assert "cancelled" in result.notes
    ended(running, "cancelled")


def test_a_client_that_is_killed_ends_its_answer(hermes, daemon):
    running = daemon("gate")
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
    ended(running, "cancelled")


@pytest.mark.qemu_user
def test_the_daemon_is_killed_in_mid_answer(hermes, up, daemon):
    running = daemon("gate")
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
        running.kill()
        result = chat.finish(SOON)
    result.failed("the running hermes ended in the middle of the answer", "kept in its home")
    up.release.set()
    running.start()  # and check the database first
    assert up.wait_for(lambda: "long" in hermes.run("sessions", "list").text)


def test_sigterm_parks_and_says_so(hermes, daemon):
    running = daemon("gate", "agent:\n  restart_drain_timeout: 300ms\n")
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
        running.stop()
        chat.finish(SOON).failed("ended in the middle of the answer")


def test_sigterm_lets_a_short_answer_end(hermes, up, daemon):
    running = daemon("gate", "agent:\n  restart_drain_timeout: 10s\n")
    with hermes.start("chat", "-q", "short") as chat:
        chat.wait_for_output(b"begun")
        running.process.signal(signal.SIGTERM)
        running.process.wait_for_output(b"stopping on signal", "err")
        hermes.chat("one more?").failed("stopping|ended")
        up.release.set()
        assert chat.finish(SOON).ok().text == "answer to short: begun and finished\n"
    running.process.finish(SOON).exits(0)


# -- two at once ----------------------------------------------------------------------------------

def test_two_chats_do_not_wait_for_each_other(hermes, up, daemon):
    daemon("gate")
    with hermes.start("chat", "-q", "first") as first, \
            hermes.start("chat", "-q", "second") as second:
        first.wait_for_output(b"answer to first: begun")
        second.wait_for_output(b"answer to second: begun")
        up.release.set()
        assert first.finish(SOON).ok().text == "answer to first: begun and finished\n"
        assert second.finish(SOON).ok().text == "answer to second: begun and finished\n"


def test_chats_do_not_know_each_other(hermes, daemon):
    daemon("recount")
    for _ in range(2):
        assert hermes.chat("hello").ok().text.startswith("1 messages")


# -- a conversation on a terminal -----------------------------------------------------------------

def test_a_conversation(hermes, daemon, terminal):
    daemon("recount")
    with terminal("chat") as chat:
        chat.expect(r"\(already running\), model recount")
        chat.say("one").expect("1 messages, the last: user=one")
        chat.say("two").expect("3 messages, the last: user=two")
        chat.ready().send("\x04")
        assert chat.ends() == 0


def test_commands_in_a_conversation(hermes, daemon, terminal):
    daemon("recount")
    with terminal("chat") as chat:
        chat.say("/help").expect("/quit").string
        chat.expect(r"/new \[TITLE\]: begin a new conversation")
        chat.say("/status").expect("Idle").string
        chat.say("one").expect("1 messages")
        chat.say("/usage").expect("This conversation: 1 answers")
        chat.say("/title A good name").expect("Title: A good name")
        chat.say("/undo").expect("Taken back: one")
        chat.say("two").expect("1 messages, the last: user=two")
        chat.say("/new").expect("A new conversation")
        chat.say("three").expect("1 messages, the last: user=three")
        chat.say("/retry").expect("1 messages, the last: user=three")
        chat.say("/model fixed").expect("Model of this conversation: fixed")
        chat.say("hi").expect("ok")
        chat.say("/context").expect("a first message|identity")
        chat.say("/nonsense").expect("There is no command /nonsense; see /help")
        chat.say("/etc/hosts is a path").expect("ok")
        chat.say("/quit")
        assert chat.ends() == 0
    assert "A good name" in hermes.run("sessions").ok().text


@pytest.mark.qemu_user
def test_a_command_as_a_question(hermes, daemon):
    daemon()
    assert "/new" in hermes.chat("/help").ok().text
    assert hermes.chat("/status").ok().text.startswith("Idle\n")


@pytest.mark.parametrize("text,said", [("/nosuch x", "There is no command /nosuch"),
                                       ("/resume nothing", "That failed: there is no such")])
def test_a_command_that_cannot_be_done_is_a_failed_chat(hermes, daemon, text, said):
    assert said in hermes.chat(text).exits(1).text
    daemon()
    assert said in hermes.chat(text).exits(1).text
    hermes.chat("/help").ok()


def test_ctrl_c_in_a_conversation(hermes, up, daemon, terminal):
    running = daemon("gate")
    with terminal("chat") as chat:
        chat.say("long").expect("answer to long: begun")
        chat.send("\x03").expect("cancelled")
        ended(running, "cancelled")
        up.release.set()
        chat.say("again").expect("answer to again: begun and finished")
        chat.ready().send("\x04")
        assert chat.ends() == 0


def test_the_daemon_goes_and_comes_back(hermes, up, daemon, terminal):
    """The conversation has a sentence for it, and goes on when there is a daemon again."""
    running = daemon("recount")
    with terminal("chat") as chat:
        chat.say("one").expect("1 messages")
        running.stop()
        chat.say("two").expect("the hermes that was running has ended")
        running.start()
        chat.say("three").expect("3 messages, the last: user=three")
        chat.ready().send("\x04")
        assert chat.ends() == 0


def test_a_conversation_after_its_session_was_deleted(hermes, daemon, terminal):
    running = daemon("recount")
    with terminal("chat") as chat:
        chat.say("one").expect("1 messages")
        chat.ready()
        _, listed = ask(hermes.home, "GET", "/sessions")
        old, = [s["id"] for s in listed["sessions"]]
        hermes.run("sessions", "delete", old, "--yes").ok()
        chat.say("two").expect("1 messages, the last: user=two")
        chat.say("three").expect("3 messages, the last: user=three")
        chat.ready()
        new, = [s["id"] for s in ask(hermes.home, "GET", "/sessions")[1]["sessions"]]
        assert new != old
        hermes.run("sessions", "delete", new, "--yes").ok()
        chat.say("/title After all").expect("Title: After all")
    assert not [e for e in running.events() if e["level"] == "error"]


# -- who may ask ----------------------------------------------------------------------------------

def as_stranger(hermes):
    return {"wrapper": ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"],
            "as_root": True}


@pytest.fixture
def open_home(hermes, daemon):
    """A daemon whose home others may look into, so that only the socket keeps them out."""
    assert IS_ROOT, "this test needs root"
    running = daemon()
    hermes.home.chmod(0o755)
    return running


def test_another_user_is_refused(hermes, open_home):
    for args in (["chat", "-q", "hi"], ["status"], ["sessions", "list"]):
        hermes.run(*args, **as_stranger(hermes)).failed("belongs to another user's hermes",
                                                        "--home")
    assert not open_home.events("turn.begin")


def test_another_user_is_refused_although_the_file_lets_him(hermes, open_home):
    """A socket is asked who connects, so a wrong mode of its file opens nothing."""
    (hermes.home / "hermes.sock").chmod(0o666)
    hermes.run("status", **as_stranger(hermes)).failed("belongs to another user's hermes")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(STRANGER, STRANGER, STRANGER)
            os.setresuid(STRANGER, STRANGER, STRANGER)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(str(hermes.home / "hermes.sock"))
                sock.sendall(b"GET /sessions HTTP/1.1\r\nHost: x\r\n\r\n")
                os.write(writer, b"got " + sock.recv(4096))
        except OSError as problem:
            os.write(writer, str(problem).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    said = os.read(reader, 8192)
    os.close(reader), os.close(writer)
    assert b"sessions" not in said and b" 200 " not in said, said


def test_root_may_ask(hermes, daemon):
    assert IS_ROOT, "this test needs root"
    daemon()
    assert ask(hermes.home, "GET", "/status")[1]["running"] is True


def test_the_socket_is_for_its_owner_alone_and_goes(hermes, daemon):
    running = daemon()
    path = hermes.home / "hermes.sock"
    assert stat.S_ISSOCK(path.stat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o600
    running.stop()
    assert not path.exists()


def test_what_a_killed_daemon_leaves_is_no_obstacle(hermes, daemon):
    running = daemon()
    running.kill()
    assert (hermes.home / "hermes.sock").exists()
    assert hermes.chat("alone").ok().text == "echo: alone\n"
    running.start()
    assert hermes.chat("together").ok().text == "echo: together\n"
    assert len(running.events("turn.begin")) == 1


def test_a_file_in_the_place_of_the_socket(hermes):
    hermes.put("hermes.sock", "not a socket")
    hermes.run("run", "--port", "0").failed("hermes.sock is in the way", "move it away")
    assert (hermes.home / "hermes.sock").read_text() == "not a socket"


# -- the socket's own language --------------------------------------------------------------------

@pytest.mark.qemu_user
def test_questions_that_are_none(hermes, daemon):
    running = daemon()
    for method, path, body, status, words in (
            ("GET", "/", None, 404, "/status, /sessions"),
            ("GET", "/sessions/../../etc/passwd", None, 404, "."),
            ("POST", "/status", b"x", 405, "does not accept"),
            ("PUT", "/sessions", b"x", 405, "does not accept"),
            ("GET", "/chat?chat=a", None, 405, "accepts POST"),
            ("POST", "/chat", b"hi", 400, "chat=NAME"),
            ("POST", "/chat?chat=a/b", b"hi", 400, "chat=NAME"),
            ("POST", "/chat?chat=" + "a" * 65, b"hi", 400, "64 at most"),
            ("POST", "/chat?chat=a", b" \n", 400, "empty"),
            ("POST", "/chat?chat=a", b"a\0b", 400, "UTF-8"),
            ("POST", "/chat?chat=a", b"\xff\xfe", 400, "UTF-8"),
            ("POST", "/chat?chat=a", b"x" * ((1 << 20) + 1), 413, "1 MiB"),
            ("DELETE", "/chat", None, 400, "no such chat"),
            ("POST", "/reload?x=y", b"", 200, "."),
            ("DELETE", "/sessions/abcdef", None, 404, "no (such )?session")):
        found, answer = ask(hermes.home, method, path, body)
        sentence = answer.get("error", answer.get("text", "")) if isinstance(answer, dict) else \
            answer
        assert found == status and re.search(words, sentence), (method, path, found, answer)
    assert not running.events("turn.begin")
    assert hermes.chat("still there?").ok().text == "echo: still there?\n"


def test_a_chat_that_is_busy(hermes, up, daemon):
    daemon("gate")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(hermes.home / "hermes.sock"))
        sock.sendall(b"POST /chat?chat=one HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        assert up.wait_for(lambda: up.requests)
        status, answer = ask(hermes.home, "POST", "/chat?chat=one", b"again")
        assert status == 409 and "already being answered" in answer["error"]
        assert ask(hermes.home, "DELETE", "/chat?chat=one") == (200, {"done": True})
        told = b""
        while b"event: end" not in told or not told.endswith(b"\r\n\r\n"):
            piece = sock.recv(65536)
            if not piece:
                break
            told += piece
        assert b'"state":"cancelled"' in told


def test_clients_that_hang_on_hold_nobody_up(hermes, daemon):
    running = daemon()
    clients = []
    for number in range(40):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(hermes.home / "hermes.sock"))
        client.sendall(b"POST /chat?chat=x HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"[:number + 5])
        clients.append(client)
    assert hermes.chat("in spite of them").ok().text == "echo: in spite of them\n"
    assert running.stop().seconds
    for client in clients:
        client.close()


def test_a_home_deeper_than_a_socket_may_be_named(hermes, up, service):
    """An address of a Unix socket has 108 bytes; a home may have more."""
    deep = hermes.home / "/".join(["a-rather-long-name-of-a-directory"] * 6)
    hermes.use(up, "echo")
    hermes.environment["HERMES_HOME"] = str(deep)
    running = service()
    assert hermes.chat("down here").ok().text == "echo: down here\n"
    assert f"pid {running.process.pid}\n" in hermes.run("status").ok().text
    running.stop()
    assert not (deep / "hermes.sock").exists()


def test_more_chats_than_it_takes(hermes, up, daemon):
    """Who is too many is told so, or waits; nobody's answer is another's."""
    running = daemon("echo")
    chats = [hermes.start("chat", "-q", f"number {n}") for n in range(80)]
    answered = 0
    for number, chat in enumerate(chats):
        result = chat.finish(30)
        if result.code == 0:
            assert result.text == f"echo: number {number}\n"
            answered += 1
        else:
            result.failed()
    assert answered >= 60 and running.get("/healthz")[0] == 200
    assert hermes.chat("afterwards").ok().text == "echo: afterwards\n"
