"""`hermes hands`: programs in another container, asked for over a socket by whoever may."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
from hands import Hands, Peer, connect, frame, request, words
from harness import IS_ROOT, SOON, TEST_UID, as_test_user, comes_true, give

pytestmark = pytest.mark.release


@pytest.fixture
def places(hermes):
    """(workspace, directory of the socket)"""
    found = hermes.directory / "workspace", hermes.directory / "sockets"
    for path in found:
        path.mkdir()
        give(path)
    hermes.environment["HERMES_HANDS_SOCKET"] = str(found[1] / "socket")
    return found


@pytest.fixture
def hands(hermes, places):
    """With neither namespaces nor Landlock, as in a pod of a Raspberry Pi; without a container."""
    with Hands(hermes.binary, *places) as started:
        yield started
    assert "Sanitizer" not in started.rest, started.rest


@pytest.fixture
def sandbox(hermes, places):
    def run(*argv, options=(), start=False, **more):
        begin = hermes.start if start else hermes.run
        return begin("sandbox", "--isolation", "hands", *options, "--", *argv, cwd=places[0],
                     **more)
    return run


def sleepers(seconds):
    return [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
            if holds(path, f"sleep\0{seconds}\0".encode())]


def holds(path, text):
    try:
        return path.read_bytes().endswith(text)
    except OSError:
        return False


UNIQUE = 30_000_000 + 100 * os.getpid()


# -- what it does ---------------------------------------------------------------------------------

def test_each_has_a_place_of_its_own_for_temporary_files(hands, sandbox):
    script = 'cd "$TMPDIR"; mkdir -p a/b/c; echo x >a/b/c/x; chmod 0 a/b/c; chmod 500 a/b; ' \
             'chmod 100 a; echo "$TMPDIR"'
    first, second = (sandbox("sh", "-ec", script).ok().text.strip() for _ in range(2))
    assert first != second and not any(map(os.path.lexists, (first, second)))


def test_many_bytes_in_both_directions(hands, sandbox):
    data = os.urandom(1 << 20) * 8
    assert sandbox("cat", stdin=data).ok().out == data
    done = sandbox("sh", "-c", "cat >&2", stdin=data[:300_000]).ok()
    assert done.err == data[:300_000]


def test_output_that_nobody_reads_makes_nobody_grow(hermes, hands, places):
    def resident():
        line, = (line for line in pathlib.Path(f"/proc/{hands.pid}/status").read_text(
            encoding="utf-8").splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1])
    peer = connect(hands.socket)
    peer.frame()
    peer.send(request(places[0], "/bin/sh", "-c", "touch begun; yes; yes >&2"))
    assert comes_true((places[0] / "begun").exists)
    before = resident()
    time.sleep(2)
    assert resident() - before < 4096
    # Another one is served meanwhile, and this one when it listens.
    assert hermes.run("sandbox", "--isolation", "hands", "--", "echo", "there",
                      cwd=places[0]).ok().text == "there\n"
    assert peer.frame()[0] == "o"
    peer.close()


def test_input_of_a_program_that_prints_without_end(hermes, hands, places):
    """It goes out although there is always something to read."""
    command = [*hermes.binary.command, "sandbox", "--isolation", "hands", "--", "sh", "-c",
               "exec 3<&0; yes & read line <&3; kill $!"]
    environment = {"PATH": os.environ["PATH"], "HERMES_HOME": str(hermes.home),
                   **hermes.environment}
    with subprocess.Popen(command, cwd=places[0], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=environment, **as_test_user()) as running:
        def read(until):
            count, more = 0, True
            while more and count < until:
                more = running.stdout.read1(1 << 16)
                count += len(more)
                time.sleep(0.01)  # slower than it prints
            return count
        read(1 << 20)
        running.stdin.write(b"stop\n")
        running.stdin.flush()
        assert read(8 << 20) < 4 << 20
        running.kill()


def test_input_that_the_program_does_not_read(hands, places):
    """What follows it is not read either, and the end of the connection is seen all the same."""
    peer = connect(hands.socket)
    peer.frame()
    peer.send(request(places[0], "/bin/sh", "-c", f"touch begun; exec sleep {UNIQUE + 1}"))
    assert comes_true((places[0] / "begun").exists)
    peer.connection.settimeout(1)
    with pytest.raises(TimeoutError):
        for _ in range(1000):
            peer.send(frame("i", bytes(16384)))
    assert sleepers(UNIQUE + 1)
    peer.close()
    assert comes_true(lambda: not sleepers(UNIQUE + 1))


@pytest.mark.parametrize("ends", (signal.SIGTERM, signal.SIGKILL))
def test_the_end_of_who_asked_is_the_end_of_all(hands, sandbox, ends):
    with sandbox("sh", "-c", f"trap '' TERM HUP; setsid sleep {UNIQUE + 2} & echo ready; "
                 f"sleep {UNIQUE + 2}", start=True) as running:
        running.wait_for_output(b"ready")
        assert comes_true(lambda: len(sleepers(UNIQUE + 2)) == 2)
        running.signal(ends)
        running.popen.wait(SOON)
    assert comes_true(lambda: not sleepers(UNIQUE + 2))


@pytest.mark.parametrize("ends", (signal.SIGTERM, signal.SIGINT))
def test_a_second_signal_ends_all_and_tells(hands, sandbox, ends):
    with sandbox("sh", "-c", f"trap '' TERM; echo ready; sleep {UNIQUE + 3}", start=True) as run:
        run.wait_for_output(b"ready")
        hands.signal(signal.SIGTERM)
        assert sandbox("echo", "still here").ok().text == "still here\n"
        hands.signal(ends)
        run.finish().exits(137).sentence("is being stopped")
    hands.process.wait(SOON)
    assert hands.process.returncode == 0
    assert not hands.socket.exists() and comes_true(lambda: not sleepers(UNIQUE + 3))


def test_sigterm_lets_what_runs_come_to_its_end(hands, sandbox):
    with sandbox("sh", "-c", "echo ready; sleep 2; echo done", start=True) as run:
        run.wait_for_output(b"ready")
        hands.signal(signal.SIGTERM)
        assert run.finish().ok().text == "ready\ndone\n"
    hands.process.wait(SOON)
    assert hands.process.returncode == 0 and not hands.socket.exists()


def test_hands_that_are_killed_and_start_again(hermes, hands, sandbox, places):
    with sandbox("sh", "-c", f"echo ready; sleep {UNIQUE + 4}", start=True) as run:
        run.wait_for_output(b"ready")
        hands.signal(signal.SIGKILL)
        run.finish().exits(137).sentence("hands container was ended", "memory")
    assert comes_true(lambda: not sleepers(UNIQUE + 4))
    with sandbox("echo", "later", start=True) as waiting:
        time.sleep(0.5)  # nobody is there yet
        with Hands(hermes.binary, *places):
            assert waiting.finish().ok().text == "later\n"


def test_a_place_outside_the_workspace(hands, sandbox, hermes, places):
    for options in (["--read", "/usr"], ["--write", hermes.directory]):
        sandbox("true", options=options).exits(125).sentence("nothing was run", "is not within")
    (places[0] / "link").symlink_to("/")
    done = hermes.run("sandbox", "--isolation", "hands", "--read", places[0] / "link", "--", "true",
                      cwd=places[0])
    done.exits(125).sentence("is not within")
    hermes.run("sandbox", "--isolation", "hands", "--", "true",
               cwd=hermes.directory).exits(125).sentence("is not within")


def test_limits_hold_there(hands, sandbox):
    fill = "x = bytearray(300 << 20); import time; time.sleep(20)"
    sandbox("python3", "-c", fill, options=["--memory", "64Mi"]).exits(137).sentence(
        "more than 64 MiB of memory and was stopped")
    sandbox("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 20 & done; wait",
            options=["--processes", "4"]).exits(137).sentence("more than 4 processes at once")
    sandbox("sleep", "20", options=["--time", "1s"]).exits(137).sentence("longer than 1 second")


def test_programs_do_not_end_each_other_nor_the_hands(hands, sandbox, places):
    (places[0] / "kill").write_text(
        "for pid in /proc/[0-9]*; do pid=${pid#/proc/}; "
        "[ $pid = $$ ] || [ $pid = $PPID ] || kill -9 $pid; done; "
        "kill -9 -1; echo alive\n", encoding="utf-8")
    with sandbox("sh", "-c", "echo ready; sleep 3; echo untouched", start=True) as other:
        other.wait_for_output(b"ready")
        done = sandbox("sh", "kill").ok()
        assert done.text == "alive\n" and "refused: kill" in done.notes
        assert other.finish().ok().text == "ready\nuntouched\n"


def test_a_socket_that_a_program_takes_away_comes_back(hands, sandbox):
    """Possible only where the container is all that keeps files apart."""
    for change in ("rm -f {0}", "rm -f {0}; ln -s /etc/passwd {0}", "rm -f {0}; echo x >{0}",
                   "rm -f {0}; mkdir -p {0}/a/b; touch {0}/a/b/c"):
        sandbox("sh", "-ec", change.format(hands.socket)).ok()
        assert comes_true(lambda: stat.S_ISSOCK(os.lstat(hands.socket).st_mode)
                          if os.path.lexists(hands.socket) else False)
        assert sandbox("echo", "here").ok().text == "here\n"


# -- hostile heads --------------------------------------------------------------------------------

HOSTILE = [b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", frame("z"), frame("h", words(2, 4, 0)),
           frame("i", b"before it is asked"), frame("e"), frame("c"), frame("r"),
           frame("r", b"\0" * 1000),
           frame("r", words(*[0] * 11, "/")), b"r\xff\xff\xff", b"i\x00\x40\x01",
           frame("r", words(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, "/", "sh")),
           frame("r", words(-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, "/", "sh")),
           frame("r", words(0, 1 << 63, 0, 0, 0, 0, 0, 0, 0, 0, 1, "/", "sh"))]


DEEP = """import os, sys
os.chdir(sys.argv[1])
for _ in range(60):
    os.mkdir("d" * 200); os.chdir("d" * 200)
open("large", "wb").write(bytes(20 << 20))
"""


def test_what_is_in_the_way_of_a_socket_when_it_starts_again(hermes, places, sandbox):
    environment = {"TMPDIR": "/dev/shm"}  # else the socket lies in what is cleared
    with Hands(hermes.binary, *places, contained=True, environment=environment) as hands:
        with sandbox("sh", "-c", f"cd {places[1]}; rm socket && mkdir -p socket/x; echo ready; "
                     f"sleep {UNIQUE + 7}", start=True) as running:
            running.wait_for_output(b"ready")
            hands.signal(signal.SIGKILL)
    for told in (True, False):
        with Hands(hermes.binary, *places, contained=True, environment=environment) as hands:
            assert sandbox("echo", "there").ok().text == "there\n"
        assert ("in the way of the socket" in hands.greeting) == told


def test_what_a_program_hides_beneath_more_names_than_a_path_has(hermes, places, sandbox):
    (places[0] / "deep").write_text(DEEP, encoding="utf-8")
    environment = {"TMPDIR": "/dev/shm"}
    with Hands(hermes.binary, *places, contained=True, environment=environment):
        sandbox("sh", "-c", "python3 deep $TMPDIR; ls /dev/shm/*/d* >&2").ok()
        left = sandbox("du", "-sk", "/dev/shm").ok().text
        assert int(left.split()[0]) < 1000, left
        place = places[1] / "socket"
        sandbox("sh", "-c", f"rm {place} && mkdir {place}; python3 deep {place}; sleep 2").ok()
        assert comes_true(lambda: stat.S_ISSOCK(os.lstat(place).st_mode))
        assert sandbox("echo", "there").ok().text == "there\n"


@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_request_ends_the_connection(hands, sandbox, said):
    peer = connect(hands.socket)
    assert peer.frame()[0] == "h"
    peer.send(said)
    assert not list(peer.frames())
    assert sandbox("echo", "here").ok().text == "here\n"


def test_a_second_request(hands, places):
    peer = connect(hands.socket)
    peer.frame()
    peer.send(request(places[0], "/bin/sleep", str(UNIQUE + 5)) * 2)
    assert not list(peer.frames())
    assert comes_true(lambda: not sleepers(UNIQUE + 5))


def test_requests_in_pieces(hands, places):
    peer = connect(hands.socket)
    peer.frame()
    for byte in request(places[0], "/bin/cat") + frame("i", b"text") + frame("e"):
        peer.send(bytes([byte]))
    assert peer.outcome() == (b"text", b"", [b"0", b"0", b"0", b""])


@pytest.mark.parametrize("variable", ("LD_PRELOAD=/x.so", "TMPDIR=/elsewhere", "=x", "no-sign",
                                      "1A=x", "A B=x"))
def test_variables_that_are_not_taken(hands, places, variable):
    peer = connect(hands.socket)
    peer.frame()
    peer.send(request(places[0], "/usr/bin/env", environment=["KEPT=yes", variable]))
    out, err, _ = peer.outcome()
    assert b"KEPT=yes\n" in out and variable.encode() not in out, err


def test_silence_is_not_waited_for_long(hands):
    peers = [connect(hands.socket) for _ in range(5)]
    assert all(peer.frame()[0] == "h" for peer in peers)
    assert all(not list(peer.frames()) for peer in peers)


def test_more_connections_than_are_served(hands, sandbox):
    peers = []
    for _ in range(60):
        peers.append(connect(hands.socket))
    time.sleep(0.5)
    for peer in peers:
        peer.close()
    assert sandbox("echo", "here").ok().text == "here\n"


def test_another_user_is_not_served(hands):
    assert IS_ROOT, "this test needs root"
    hands.socket.chmod(0o777)
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
              "s.settimeout(20); sys.exit(len(s.recv(100)))")
    done = subprocess.run(["/usr/bin/python3", "-c", script, hands.socket], check=False,
                          user=TEST_UID + 1, group=TEST_UID + 1, extra_groups=[])
    assert done.returncode == 0


# -- hostile hands --------------------------------------------------------------------------------

@pytest.fixture
def fake_hands(places):
    """fake_hands(bytes, ...): says them, each after a request came, and closes."""
    listener = socket.socket(socket.AF_UNIX)
    path = str(places[1] / "socket")
    stop, threads = threading.Event(), []

    def serve(hello, said, stays):
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            peer = Peer(connection)
            try:
                peer.send(hello)
                if said is not None:
                    peer.frame()
                    peer.send(said)
                if stays:
                    stop.wait(stays)
            except OSError:
                pass
            connection.close()

    def start(said, hello=frame("h", words(2, 4, 256 << 20)), stays=0):
        saved = os.umask(0)
        if IS_ROOT:
            os.seteuid(TEST_UID)  # whose hands they are
        try:
            listener.bind(path)
            listener.listen()
        finally:
            os.umask(saved)
            if IS_ROOT:
                os.seteuid(0)
        threads.append(threading.Thread(target=serve, args=(hello, said, stays), daemon=True))
        threads[0].start()
    yield start
    stop.set()
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
    for thread in threads:
        thread.join()
    listener.close()


END = frame(".", words(0, 0, 0, ""))


@pytest.mark.parametrize("said, told", [
    (frame("c"), "cannot be read"), (b"", "was ended meanwhile"),
    (b"\0\0\0\0", "cannot be read"), (b"o\xff\xff\xff", "cannot be"),
    (frame("o", b"x")[:3], "was ended meanwhile"), (frame("r"), "cannot be read"),
    (frame("h", words(2, 4, 0)), "cannot be read"), (frame("."), "cannot be read"),
    (frame(".", words(256, 0, 0, "")), "cannot be read"),
    (frame(".", words(0, 65, 0, "")), "cannot be read"),
    (frame(".", words(0, 0, -1, "")), "cannot be read"),
    (frame(".", words(0, 0, 4096, "")), "cannot be read"),
    (frame(".", b"x" * 1025), "cannot be read")])
def test_hands_that_answer_nonsense(fake_hands, sandbox, said, told):
    fake_hands(said)
    sandbox("true").exits(137).sentence("hands container", told)


def test_hands_that_say_what_they_like(fake_hands, sandbox):
    """Their sentence is shown without what a terminal would obey; a status is only a number."""
    fake_hands(frame("o", b"out") +
               frame(".", words(0, 0, 12, "gone \x1b[2J\x07 " + "x" * 480)) + frame("o", b"late"))
    done = sandbox("true").exits(137)
    assert done.out == b"out" and b"gone ?[2J? xxx" in done.err and b"\x1b" not in done.err


def test_a_signal_that_stops_is_only_told(fake_hands, sandbox):
    fake_hands(frame(".", words(0, int(signal.SIGSTOP), 0, "")))
    sandbox("true", limit=SOON).exits(128 + signal.SIGSTOP)


def test_output_without_end_is_only_passed_on(fake_hands, sandbox, hermes):
    fake_hands(frame("o", bytes(16384)) * 2000 + END)
    done = sandbox("true").ok()
    assert len(done.out) == 16384 * 2000
    hermes.memory_below(done, 8 * 1024)


@pytest.mark.parametrize("hello", (b"h", frame("h", words(3, 4, 0)), frame("o", b"text"),
                                   b"SSH-2.0-OpenSSH_9.2\r\n"))
def test_who_answers_is_no_hands(fake_hands, sandbox, hello):
    fake_hands(None, hello=hello, stays=15)
    sandbox("true").exits(125).sentence("nothing was run", "hands")


@pytest.mark.parametrize("make", ("file", "link", "missing"))
def test_what_is_there_is_no_socket(sandbox, places, hermes, make):
    """A link is not followed, not even to a socket."""
    path = places[1] / "socket"
    if make == "file":
        path.write_text("", encoding="utf-8")
    if make == "link":
        other = places[1] / "other"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(other))
        listener.listen()
        other.chmod(0o777)
        path.symlink_to(other)
    done = sandbox("true").exits(125)
    done.sentence("nothing was run", "no such file" if make == "missing" else "is not a socket")


def test_another_users_hands_are_not_asked(hermes, places, sandbox):
    assert IS_ROOT, "this test needs root"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(places[1] / "socket"))
    listener.listen()
    (places[1] / "socket").chmod(0o777)
    sandbox("true").exits(125).sentence("another user listens")


# -- usage ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("options, code, told", [
    (["--isolation", "hands"], 2, "no isolation"), (["--isolation", "everything"], 2, "no isolat"),
    (["--workspace", "/nowhere"], 1, "/nowhere"), (["--socket", "/nowhere/socket"], 1, "/nowhere"),
    (["more"], 2, "more")])
def test_wrong_usage(hermes, places, options, code, told):
    given = [] if "--workspace" in options else ["--workspace", places[0]]
    hermes.run("hands", *given, *options).exits(code).sentence(told)


def test_a_second_one_on_the_same_socket(hermes, hands, places):
    hermes.run("hands", "--socket", hands.socket, "--workspace",
               places[0]).exits(1).sentence("another process listens")


def test_doctor_tells_of_the_hands(hermes, places):
    def line():
        found, = (line for line in hermes.run("doctor").text.splitlines() if " files: " in line)
        return found
    assert "are not there" in line()
    with Hands(hermes.binary, *places):
        assert line().startswith("ok") and "kept apart by the hands container" in line()
    with Hands(hermes.binary, *places, isolation="landlock"):
        assert "and within it by landlock" in line()


# -- the tools ------------------------------------------------------------------------------------

@pytest.fixture
def tool(hermes, up):
    """tool("terminal", {...}): what the model is told."""
    hermes.use(up, "two-steps")
    hermes.mkdir(hermes.workspace)
    sockets = hermes.directory / "sockets"
    sockets.mkdir()
    give(sockets)
    hermes.environment["HERMES_HANDS_SOCKET"] = str(sockets / "socket")

    def call(*calls, limit=60):
        text = "\n".join(f"call {name} {json.dumps(given)}" for name, given in calls)
        hermes.chat(text, limit=limit).ok()
        return [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
    call.sockets = sockets
    return call


def test_the_terminal_runs_there(hermes, tool):
    with Hands(hermes.binary, hermes.workspace, tool.sockets, contained=True):
        command = (f"echo mine >file; cat file; pwd; ls {hermes.home}; cat {hermes.home}/state.db; "
                   "head -c 500000 /dev/zero | tr '\\0' x; exit 3")
        text, = tool(("terminal", {"command": command}))
        assert text.startswith(f"mine\n{hermes.workspace}\nworkspace\n") and "SQLite" not in text
        assert "[exit code 3, " in text and "No such file" in text and "read_result" in text
        assert (hermes.workspace / "file").read_text(encoding="utf-8") == "mine\n"


def test_background_processes_there(hermes, tool):
    with Hands(hermes.binary, hermes.workspace, tool.sockets):
        began, _, waited = tool(
            ("terminal", {"command": "read line; echo got $line; exit 5", "background": True}),
            ("process", {"action": "submit", "session_id": "proc_$", "data": "text"}),
            ("process", {"action": "wait", "session_id": "proc_$"}))
    assert "got text" in waited and "exit code 5" in waited, (began, waited)


def test_the_model_is_told_that_hands_are_gone(hermes, tool):
    hands = Hands(hermes.binary, hermes.workspace, tool.sockets)
    threading.Timer(3, lambda: hands.signal(signal.SIGKILL)).start()
    text, = tool(("terminal", {"command": f"echo begun; sleep {UNIQUE + 6}"}))
    hands.close()
    assert "begun\n" in text and "hands container was ended" in text and "memory" in text


def test_the_model_is_told_that_there_are_none(hermes, tool):
    text, = tool(("terminal", {"command": "echo ran"}))
    assert "nothing was run" in text and "hands container cannot be asked" in text
    assert "hermes doctor" in text and "\nran" not in text


def test_a_configuration_that_names_them(hermes, tool):
    hermes.environment.pop("HERMES_HANDS_SOCKET")
    path = tool.sockets / "socket"
    hermes.put("config.yaml", f"tools: {{terminal: {{isolation: hands, hands: {path}}}}}\n")
    with Hands(hermes.binary, hermes.workspace, tool.sockets) as hands:
        assert tool(("terminal", {"command": "echo $TMPDIR"}))[0].startswith("/tmp/hermes-")
        assert hands.pid
    hermes.put("config.yaml", f"tools: {{terminal: {{isolation: namespaces, hands: {path}}}}}\n")
    assert "exit code 0" in tool(("terminal", {"command": "true"}))[0]
