"""hermes sandbox: a program behind all layers still does what programs do, and its end is told."""

import os
import signal
import stat
import time

import pytest
from hands import Hands
from harness import SOON, give

pytestmark = pytest.mark.release

BACK_ENDS = ("namespaces", "landlock", "hands")


@pytest.fixture(params=BACK_ENDS)
def sandbox(request, hermes):
    """sandbox("ls", read=[…]) in a directory of its own."""
    place, sockets = hermes.directory / "place", hermes.directory / "sockets"
    for path in (place, sockets):
        path.mkdir()
        give(path)

    def run(*words, options=(), start=False, **more):
        begin = hermes.start if start else hermes.run
        return begin("sandbox", "--isolation", request.param, *options, "--", *words,
                     cwd=place, **more)
    run.place, run.isolation = place, request.param
    if request.param != "hands":
        yield run
        return
    # Without a container around them: what they add is the way to them and back.
    with Hands(hermes.binary, hermes.directory.parent, sockets, isolation="auto") as hands:
        hermes.environment["HERMES_HANDS_SOCKET"] = str(hands.socket)
        run.hands = hands
        yield run


def test_output_and_status_are_passed_on(sandbox):
    done = sandbox("sh", "-c", "echo out; echo err >&2; exit 7").exits(7)
    assert (done.out, done.err) == (b"out\n", b"err\n")


def test_input_is_passed_on(sandbox):
    assert sandbox("cat", stdin="one\ntwo\n").ok().out == b"one\ntwo\n"


def test_arguments_are_the_programs_own(sandbox):
    done = sandbox("printf", "%s|", "--read", "--", "a b").ok()
    assert done.out == b"--read|--|a b|"


@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV))
def test_a_signal_is_a_status(sandbox, number):
    sandbox("sh", "-c", f"kill -{number} $$").exits(128 + number).sentence(f"signal {number}")


def test_a_program_that_is_not_there(sandbox):
    """With Landlock, PATH may hold directories that cannot be looked into."""
    done = sandbox("there-is-no-such-program")
    assert done.code in (126, 127)
    done.sentence("cannot start there-is-no-such-program")
    sandbox("/etc/passwd").exits(126).sentence("cannot start", "permission denied")


def test_the_directory_is_its_workspace(sandbox):
    sandbox("sh", "-ec", """
        echo text >file; mkdir -p a/b; mv file a/b/; ln a/b/file hard
        ln -s a/b/file soft
        cp -p hard copy; truncate -s 2 copy; touch -d @1000 copy; cat soft; rm hard
        printf '#!/bin/sh\\necho ran\\n' >script; chmod 755 script; ./script""").ok()
    place = sandbox.place
    assert (place / "copy").stat().st_mtime == 1000 and (place / "copy").stat().st_size == 2
    assert stat.S_IMODE((place / "script").stat().st_mode) == 0o755
    assert (place / "a/b/file").read_text() == "text\n" and (place / "soft").is_symlink()


def test_mode_and_times_by_every_name(sandbox):
    """Landlock sees none of these calls; they are made for the program where it may write."""
    sandbox("python3", "-c", """
import os
open("f", "w").close(), os.mkdir("d"), open("d/g", "w").close()
os.chmod("f", 0o640), os.chmod(os.path.abspath("f"), 0o600)
fd = os.open("d", os.O_RDONLY)
os.chmod("g", 0o604, dir_fd=fd), os.utime("g", (5, 6), dir_fd=fd), os.utime("f", (7, 8))
os.chown("f", os.getuid(), -1), os.utime("f", (9, 9), follow_symlinks=False)
os.symlink("f", "l"), os.chmod("l", 0o611)
for bad in ("none", "l/x"):
    try: os.chmod(bad, 0o600)
    except (FileNotFoundError, NotADirectoryError): pass
    else: raise SystemExit(bad)
print(oct(os.stat("f").st_mode), oct(os.stat("d/g").st_mode), os.stat("d/g").st_mtime)
""").ok().text.split() == ["0o100611", "0o100604", "6.0"]


def test_what_programs_do_all_day(sandbox):
    done = sandbox("sh", "-ec", """
        (sleep 0.1; echo background) & wait
        timeout 5 sh -c 'echo in time'
        timeout 0.2 sleep 5 || echo "late $?"
        sleep 5 & kill $!; wait $! 2>/dev/null || echo "ended $?"
        python3 -c 'import subprocess, sys, tempfile, threading
t = threading.Thread(target=print, args=("thread",)); t.start(); t.join()
tempfile.NamedTemporaryFile().write(b"x")
print(subprocess.run(["echo", "session"], start_new_session=True, capture_output=True).stdout)'
    """).ok()
    assert done.text.splitlines() == ["background", "in time", "late 124", "ended 143", "thread",
                                      "b'session\\n'"]
    assert done.err == b""


def test_a_pair_of_sockets_is_no_way_out(sandbox):
    sandbox("python3", "-c", """
import socket
a, b = socket.socketpair()
a.send(b"x"), b.recv(1)""").ok()


def test_read_and_write_are_granted(sandbox, hermes):
    other = hermes.directory / "other"
    other.mkdir(mode=0o755)
    (other / "text").write_text("text")
    give(other)
    sandbox("cat", other / "text").exits(1)
    assert sandbox("cat", other / "text", options=["--read", other]).ok().text == "text"
    sandbox("touch", other / "new", options=["--read", other]).exits(1)
    sandbox("touch", other / "new", options=["--write", other]).ok()
    assert (other / "new").exists()
    # Where anything is named, the directory is not granted by itself.
    assert sandbox("touch", "here", options=["--write", other]).code != 0


def test_its_environment_holds_no_secret(sandbox):
    done = sandbox("env", env={"OPENROUTER_API_KEY": "sk-secret-secret", "MY_TOKEN": "token-token"})
    names = {line.partition("=")[0] for line in done.ok().text.splitlines()}
    assert names <= {"PATH", "HOME", "LANG", "TZ", "TERM", "TMPDIR", "PWD"}


def test_it_has_temporary_files_of_its_own(sandbox):
    done = sandbox("sh", "-ec", 'echo x >"${TMPDIR:-/tmp}/mine"; echo "${TMPDIR:-/tmp}"').ok()
    assert not os.path.exists(os.path.join(done.text.strip(), "mine"))


def test_want_of_memory_ends_it_first(sandbox):
    options = ("--read", "/proc") if sandbox.isolation == "landlock" else ()
    found = sandbox("cat", "/proc/self/oom_score_adj", options=options).ok()
    assert found.text == "1000\n"


def test_descriptors_are_not_inherited(sandbox):
    done = sandbox("sh", "-c", "ls /proc/$$/fd || ls /dev/fd").notes
    assert "secret" not in done


@pytest.mark.parametrize("ends", (signal.SIGTERM, signal.SIGINT, signal.SIGKILL))
def test_nothing_outlives_hermes_sandbox(sandbox, ends):
    """Not even when it is killed itself."""
    with sandbox("sh", "-c", "trap '' TERM INT HUP; setsid sleep 2 && touch alive & echo ready; "
                 "sleep 2; touch alive", start=True) as running:
        running.wait_for_output(b"ready")
        running.signal(ends)
        running.popen.wait(SOON)
        time.sleep(2.5)
    assert not (sandbox.place / "alive").exists()


def test_a_sandbox_in_a_sandbox(sandbox, hermes):
    """In there are no namespaces to be had: the sentence says so, and nothing is run."""
    words = ["env", "ASAN_OPTIONS=detect_leaks=0", hermes.binary.path, "sandbox", "--isolation",
             "namespaces", "--", "touch", "ran"]  # leaks are looked for by tracing
    options = ["--read", hermes.binary.path.parent, "--write", "."]
    if hermes.binary.sanitized and sandbox.isolation == "landlock":
        options += ["--read", "/proc"]  # which a sanitizer cannot do without
    done = sandbox(*words, options=options).exits(125)
    done.sentence("nothing was run", "namespaces", "sysctl")
    assert not (sandbox.place / "ran").exists()
    words[5] = "landlock"
    sandbox(*words, options=options).ok()
    assert (sandbox.place / "ran").exists()


@pytest.mark.parametrize("words, said", [
    ((), "which program"), (("--isolation", "container", "--", "true"), "container"),
    (("--isolation", "hands", "--without", "seccomp", "--", "true"), "left off"),
    (("--without", "everything", "--", "true"), "everything"),
    (("--memory", "much", "--", "true"), "--memory"), (("--time", "0s", "--", "true"), "--time"),
    (("--reed", "x", "--", "true"), "--read")])
def test_wrong_usage(hermes, words, said):
    hermes.run("sandbox", *words).exits(2).sentence(said)


def test_a_path_that_is_not_there_is_named(hermes):
    hermes.run("sandbox", "--read", "/nowhere", "--", "true").exits(1).sentence("/nowhere")


def test_doctor_has_a_line_for_each_layer(hermes):
    lines = [line for line in hermes.run("doctor").text.splitlines() if " sandbox " in line]
    assert len(lines) == 7 and all(line.startswith("ok") for line in lines), lines
    for layer in ("privileges", "seccomp", "limits", "session", "namespaces", "Landlock", "files"):
        assert any(f" {layer}: " in line for line in lines), layer
