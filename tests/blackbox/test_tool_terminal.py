"""Commands in the sandbox: what they print, how they end, what is left of them."""

import json
import os
import pathlib
import re
import signal
import time

import pytest
from harness import comes_true

pytestmark = pytest.mark.release

SECRETS = {"ANTHROPIC_API_KEY": "planted-other-4711", "TAVILY_API_KEY": "planted-search",
           "MY_OWN_PASSWORD": "planted-password", "SSH_AUTH_SOCK": "/planted-socket"}
OWNER = 42
UNIQUE = 40_000_000 + 100 * os.getpid()  # seconds of a sleep that nobody else sleeps


def configure(hermes, terminal=""):
    """Settings of tools.terminal, for commands of which none is asked for."""
    hermes.put("config.yaml", "approvals: {mode: off}\n"
               f"tools: {{terminal: {{{terminal}}}}}\n")


@pytest.fixture
def steps(hermes, up):
    """steps(("terminal", {...}), ...): the results of calls made one after another in one turn."""
    hermes.use(up, "two-steps")
    configure(hermes)
    hermes.mkdir(hermes.workspace)

    def call(*calls, within=60, **more):
        text = "\n".join(f"call {name} {json.dumps(given)}" for name, given in calls)
        call.last = hermes.chat(text, limit=within, **more).ok()
        found = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
        assert len(found) == len(calls)
        return found
    return call


@pytest.fixture
def run(steps):
    """run("ls", timeout=5): what the model is told."""
    def call(command, within=60, env=None, wrapper=(), **arguments):
        more = {"env": env, "wrapper": wrapper}
        result, = steps(("terminal", {"command": command, **arguments}), within=within, **more)
        call.last = steps.last
        return result
    return call


def sleepers(seconds):
    """Processes of the test user that sleep for so long."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if str(seconds).encode() in words and b"sleep" in words[0]:
                found.append(int(path.name))
        except OSError:
            continue
    return found


# -- output and end -------------------------------------------------------------------------------

def test_both_outputs_in_their_order_and_the_exit_code(run):
    text = run("for i in 1 2 3; do echo out$i; echo err$i >&2; done; exit 7")
    assert text.startswith("out1\nerr1\nout2\nerr2\nout3\nerr3\n")
    assert re.search(r"\[exit code 7, \d+\.\d s\]$", text.strip())


@pytest.mark.parametrize("command,told", [
    ("true", "exit code 0"), ("exit 255", "exit code 255"), ("no-such-program", "exit code 127"),
    ("if true; then", "exit code 2"), ("kill -9 $$", "ended by signal 9"),
    ("kill -SEGV $$", "ended by signal 11"), ("printf 'no newline'", "no newline\n[exit code 0")])
def test_how_it_ended(run, command, told):
    assert told in run(command)


def test_bytes_that_are_no_text(run):
    text = run(r"printf 'a\000b\377c'")
    assert text.startswith("a\ufffdb\ufffdc\n[exit code 0")


def test_there_is_no_input(run):
    assert run("cat; echo read").startswith("read\n")


@pytest.mark.parametrize("arguments,told", [
    ({}, '"command" is missing'), ({"command": 7}, '"command" must be a string'),
    ({"command": "a\0b"}, "NUL"), ({"command": "x" * 70_000}, "too long"),
    ({"command": "true", "timeout": 601}, "from 1 to 600"),
    ({"command": "true", "timeout": "soon"}, "whole number"),
    ({"command": "true", "background": "yes"}, "true or false"),
    ({"command": "true", "workdir": "../.."}, "leads out"),
    ({"command": "true", "workdir": "/etc"}, "not within the workspace"),
    ({"command": "true", "workdir": "missing"}, "cannot open .*missing")])
def test_arguments_that_cannot_be(steps, arguments, told):
    result, = steps(("terminal", arguments))
    assert re.search(told, result) and "exit code 0" not in result


def test_where_it_runs(run, hermes):
    hermes.mkdir(hermes.workspace / "sub")
    assert run("pwd").split("\n")[0] == str(hermes.workspace)
    assert run("pwd", workdir="").split("\n")[0] == str(hermes.workspace)
    assert run("pwd", workdir="sub").split("\n")[0] == f"{hermes.workspace}/sub"
    assert run("pwd", workdir=str(hermes.workspace / "sub")).startswith(f"{hermes.workspace}/sub\n")


# -- limits ---------------------------------------------------------------------------------------

def test_a_time_limit(run):
    began = time.monotonic()
    text = run(f"echo begun; trap '' TERM INT HUP; while :; do sleep {UNIQUE + 1}; done", timeout=1)
    assert "begun\n" in text and "longer than 1 seconds and was stopped" in text
    assert time.monotonic() - began < 15
    assert comes_true(lambda: not sleepers(UNIQUE + 1))


def test_children_that_leave_are_ended_too(run):
    text = run(f"setsid sh -c 'trap \"\" TERM HUP; sleep {UNIQUE + 2}' >/dev/null 2>&1 & "
               f"(sleep {UNIQUE + 2} &) ; nohup sleep {UNIQUE + 2} & echo left")
    assert "left" in text and "exit code 0" in text
    assert comes_true(lambda: not sleepers(UNIQUE + 2))


def test_a_memory_bomb(hermes, run):
    configure(hermes, "memory: 64Mi")
    text = run("python3 -c 'x = bytearray(300 << 20); import time; time.sleep(20); "
               "print(\"kept\")'")
    assert "more than 64 MiB of memory and was stopped" in text and "kept" not in text


def test_a_fork_bomb(run):
    """Which limit ends it, of processes, memory or time, depends on the machine's pace."""
    text = run(f"python3 -c 'import os\nwhile True: os.fork()' & sleep {UNIQUE + 8}; echo survived",
               timeout=20)
    assert re.search("BlockingIOError|was stopped", text) and "survived" not in text, text
    assert comes_true(lambda: not sleepers(UNIQUE + 8))


def test_a_file_without_end(hermes, run):
    configure(hermes, "file_size: 1Mi")
    text = run("head -c 20M /dev/zero >big; wc -c <big")
    assert "1048576" in text


def test_many_files(hermes, run):
    configure(hermes, "disk: 8Mi")
    text = run("for i in $(seq 64); do head -c 1M /dev/zero >f$i; sleep 0.02; done; echo done")
    assert f"[sandbox: it filled the disk of {hermes.workspace} and was stopped" in text, text
    assert "more than 8 MiB were taken of it meanwhile]" in text and "done" not in text


# -- what it can reach ----------------------------------------------------------------------------

def test_only_the_workspace(run, hermes):
    outside = hermes.put("outside/secret.txt", "not-for-the-command\n", mode=0o644,
                         base=hermes.directory)
    text = run(f"echo mine >a.txt; cat a.txt; cat {outside}; cat {hermes.home}/state.db; "
               f"cat {hermes.home}/config.yaml; echo x >{outside}; echo x >{hermes.home}/x")
    assert text.startswith("mine\n") and "not-for-the-command" not in text
    assert "SQLite" not in text
    assert outside.read_text() == "not-for-the-command\n" and not (hermes.home / "x").exists()
    assert (hermes.workspace / "a.txt").read_text() == "mine\n"


def test_the_environment_holds_no_secret(hermes, run):
    text = run("env; cat /proc/$PPID/environ 2>/dev/null | tr '\\0' '\\n'; set",
               env=SECRETS)
    assert "TERM=dumb" in text and "PATH=" in text
    for name, value in [*SECRETS.items(), ("OPENAI_API_KEY", hermes.environment["OPENAI_API_KEY"])]:
        assert value not in text and name not in text


def test_no_network(run):
    text = run("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 80), 2)'")
    assert "PermissionError" in text and "[sandbox: refused: " in text
    assert "there is no network" in text


def test_isolations_that_cannot_be(hermes, run):
    configure(hermes, "isolation: none")
    text = run("echo ran")
    assert "nothing was run" in text and "tools.terminal.unsafe" in text and "\nran" not in text
    configure(hermes, "isolation: none, unsafe: true")
    outside = hermes.put("outside/a.txt", "outside\n", mode=0o644, base=hermes.directory)
    assert "outside\n" in run(f"cat {outside}")
    assert "tools.terminal.isolation is none" in run.last.notes


def test_a_layer_that_is_missing(hermes, run):
    """In a user namespace of its own that allows no further ones."""
    configure(hermes, "isolation: namespaces")
    none = "echo 0 >/proc/sys/user/max_user_namespaces; exec \"$@\""
    text = run("touch ran", wrapper=("unshare", "-r", "sh", "-c", none, "sh"))
    assert text.startswith("error: [sandbox: nothing was run: ")
    assert "hermes doctor" in text and "tools.terminal.isolation" in text
    assert not (hermes.workspace / "ran").exists()


@pytest.mark.parametrize("isolation", ("namespaces", "landlock"))
def test_each_isolation(hermes, run, isolation):
    configure(hermes, f"isolation: {isolation}")
    assert run(f"echo here; cat {hermes.home}/state.db").startswith("here\n")
    assert (hermes.home / "state.db").exists()


# -- much output ----------------------------------------------------------------------------------

def handle_in(text):
    return re.search(r"is in (out_[0-9a-f]{8}): read_result", text).group(1)


def test_of_much_output_both_ends_and_a_handle(hermes, run, steps):
    text = run("seq 1 100000")
    assert text.startswith("1\n2\n") and "\n100000\n[exit code 0" in text
    assert len(text) < 40_000 and "bytes are not shown" in text
    handle = handle_in(text)
    kept = hermes.home / "results" / handle
    assert kept.read_text() == "".join(f"{n}\n" for n in range(1, 100001))
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (hermes.home / "results").stat().st_mode & 0o777 == 0o700

    page, = steps(("read_result", {"handle": handle, "offset": 50000, "limit": 3}))
    assert page.startswith("50000|50000\n50001|50001\n50002|50002\n[more follows: ")
    found, = steps(("read_result", {"handle": handle, "pattern": "^7777$", "context": 1}))
    assert found == "7776-7776\n7777|7777\n7778-7778\n[1 of 100000 lines match]\n"
    last, = steps(("read_result", {"handle": handle, "offset": 100000}))
    assert last == "100000|100000\n[end: 100000 lines]\n"


@pytest.mark.parametrize("shown", range(8, 32, 8))
def test_no_part_of_a_secret_is_left_by_a_cut(hermes, run, shown):
    """At the end of what is shown of the beginning, and where the end begins."""
    secret = "planted-secret-that-is-long-4711"
    hermes.put("secret.txt", secret, base=hermes.workspace)
    text = run(f"yes '' | head -c {12 * 1024 - shown}; cat secret.txt; yes '' | head -c 50000; "
               f"cat secret.txt; yes '' | head -c {20 * 1024 - shown}",
               env={"MY_OWN_PASSWORD": secret})
    assert "[exit code 0" in text and "bytes are not shown" in text
    assert secret[:8] not in text and secret[-8:] not in text


@pytest.mark.parametrize("arguments,told", [
    ({}, '"handle" is missing'), ({"handle": "../state.db"}, "no handle"),
    ({"handle": "out_00000000"}, "not kept any more"),
    ({"handle": "out_0000000g"}, "no handle"),
    ({"handle": "out_00000000", "pattern": 7}, "not kept any more")])
def test_handles_that_cannot_be(steps, arguments, told):
    result, = steps(("read_result", arguments))
    assert re.search(told, result)


def test_a_pattern_cannot_hang(steps, run):
    handle = handle_in(run("head -c 200000 /dev/zero | tr '\\0' a"))
    began = time.monotonic()
    result, = steps(("read_result", {"handle": handle, "pattern": "((a*)*)*(a|aa)*(a*a)*b"}))
    assert time.monotonic() - began < 45
    assert re.search("stopped|longer than|lines match", result)


def test_a_gigabyte(hermes, run):
    text = run("yes 0123456789abcdef0123456789abcde | head -c 1073741824; echo the-end", within=180,
               timeout=170)
    assert "the-end\n[exit code 0" in text and "its first 64 MiB" in text
    assert (hermes.home / "results" / handle_in(text)).stat().st_size == 64 << 20
    hermes.memory_below(run.last, 40_000)


def test_results_that_cannot_be_kept(hermes, run):
    hermes.mkdir(hermes.home / "results")
    (hermes.home / "results").chmod(0o500)
    text = run("seq 1 20000")
    assert text.startswith("1\n2\n") and "\n20000\n[exit code 0" in text
    assert "[the whole could not be kept: cannot make a file in results/" in text


@pytest.fixture
def stopped_writer(hermes, up):
    """A command that prints a lot, and the process that writes it into a file, which is stopped."""
    hermes.use(up, "tools")
    command = ("for i in $(seq 40); do head -c 1000000 /dev/zero | tr '\\0' x; echo $i >done; "
               "done; echo the-end")
    client = hermes.start("chat", "-q", f"call terminal {json.dumps({'command': command})}")
    assert comes_true(lambda: of_this_home(hermes, "spool"))
    writer, = of_this_home(hermes, "spool")
    os.kill(writer, signal.SIGSTOP)

    def finish():
        client.finish(60).ok()
        return [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"][0]
    yield writer, finish
    client.kill()


def of_this_home(hermes, word):
    """Processes with this word, and one of the home's directories, among their arguments."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
        if word in words and any(each.startswith(str(hermes.home)) for each in words):
            found.append(int(path.name))
    return found


def test_a_slow_disk_holds_the_command(hermes, stopped_writer):
    writer, finish = stopped_writer
    done = hermes.workspace / "done"
    time.sleep(1)
    before = done.read_text() if done.exists() else ""
    time.sleep(1)
    assert (done.read_text() if done.exists() else "") == before != "40\n"
    os.kill(writer, signal.SIGCONT)
    text = finish()
    assert "the-end\n[exit code 0" in text
    kept = hermes.home / "results" / handle_in(text)
    assert kept.read_bytes() == b"x" * 40_000_000 + b"the-end\n"


def test_a_disk_that_is_silent_holds_nobody_for_ever(hermes, run, up):
    """Its writer is stopped for good when the command has ended."""
    hermes.use(up, "tools")
    command = json.dumps({"command": "seq 1 30000; sleep 3"})
    client = hermes.start("chat", "-q", f"call terminal {command}")
    assert comes_true(lambda: of_this_home(hermes, "spool"))
    os.kill(of_this_home(hermes, "spool")[0], signal.SIGSTOP)
    client.finish(60).ok()
    text = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"][0]
    assert "\n30000\n[exit code 0" in text
    assert "the whole could not be kept: the disk did not take it in time" in text
    assert comes_true(lambda: not of_this_home(hermes, "spool"))


def test_what_was_not_read_is_not_claimed(hermes, run, up):
    """A command that is ended while its output waits for the disk."""
    hermes.use(up, "tools")
    command = json.dumps({"command": "yes", "timeout": 4})
    client = hermes.start("chat", "-q", f"call terminal {command}")
    assert comes_true(lambda: of_this_home(hermes, "spool"))
    writer, = of_this_home(hermes, "spool")
    os.kill(writer, signal.SIGSTOP)
    time.sleep(7)
    os.kill(writer, signal.SIGCONT)
    client.finish(60).ok()
    text = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"][0]
    assert "longer than 4 seconds and was stopped" in text
    assert "its last output was not read" in text and "[what was read of it is in out_" in text
    assert "[the whole" not in text


def test_output_without_end(run):
    text = run("yes", timeout=2)
    assert text.startswith("error: y\ny\n") and "was stopped" in text and len(text) < 40_000


def test_old_results_make_room(hermes, run):
    for number in range(5):
        path = hermes.put(f"results/out_0000000{number}", "")
        os.truncate(path, 60 << 20)
        os.utime(path, (time.time() - number, time.time() - number))
    old = hermes.put("results/out_0000000f", "x")
    os.utime(old, (1000, 1000))
    other = hermes.put("results/notes.txt", "x")
    os.utime(other, (1000, 1000))
    handle = handle_in(run("seq 1 20000"))
    kept = sorted(path.name for path in (hermes.home / "results").iterdir())
    assert kept == sorted(["notes.txt", "out_00000000", "out_00000001", "out_00000002", handle])


def test_old_results_go_by_themselves(hermes, up, api, service):
    hermes.use_telegram(api).use(up, "tools")
    old = hermes.put("results/out_0000000f", "x")
    os.utime(old, (1000, 1000))
    new = hermes.put("results/out_0000000e", "x")
    service()
    assert comes_true(lambda: not old.exists())
    assert new.exists()


# -- in the background ----------------------------------------------------------------------------

def test_a_process_in_the_background(steps):
    started, listed, polled, submitted, closed, waited, again = steps(
        ("terminal", {"command": "echo ready; while read line; do echo \"got $line\"; done; exit 3",
                      "background": True}),
        ("process", {"action": "list"}),
        ("terminal", {"command": "sleep 1"}),
        ("process", {"action": "submit", "session_id": "proc_$", "data": "one"}),
        ("process", {"action": "close", "session_id": "proc_$"}),
        ("process", {"action": "wait", "session_id": "proc_$", "timeout": 20}),
        ("process", {"action": "poll", "session_id": "proc_$"}))
    name = re.match("proc_[0-9a-f]{8} runs in the background", started).group(0).split()[0]
    assert f"{name} runs since" in listed and "echo ready" in listed
    assert "4 bytes" in submitted
    assert "ready\ngot one\n[exit code 3" in waited
    assert "is over" in again and "\nready" not in again and "[exit code 3" in again


def test_a_process_is_killed_with_all_it_started(steps):
    _, killed, waited = steps(
        ("terminal", {"command": f"trap '' TERM; setsid sleep {UNIQUE + 3} & sleep {UNIQUE + 3}",
                      "background": True}),
        ("process", {"action": "kill", "session_id": "proc_$"}),
        ("process", {"action": "wait", "session_id": "proc_$"}))
    assert "is killed" in killed and "[killed after" in waited
    assert comes_true(lambda: not sleepers(UNIQUE + 3))


def test_news_and_the_last_lines(steps):
    _, _, first, log, skipped, second = steps(
        ("terminal", {"command": "seq 1 10; sleep 2; seq 11 20; sleep 60", "background": True}),
        ("terminal", {"command": "sleep 1"}),
        ("process", {"action": "poll", "session_id": "proc_$"}),
        ("process", {"action": "log", "session_id": "proc_$", "limit": 2}),
        ("process", {"action": "log", "session_id": "proc_$", "limit": 2, "offset": 1}),
        ("process", {"action": "wait", "session_id": "proc_$", "timeout": 3}))
    assert "\n1\n2\n" in first and first.endswith("10\n")
    assert log.split("\n")[1:] == ["9", "10", ""]
    assert skipped.split("\n")[1:] == ["2", "3", "[more follows: offset=3]", ""]
    assert second.split("\n")[1:] == [*map(str, range(11, 21)), ""] and "runs since" in second


def test_lines_of_the_log(steps):
    _, _, head, rest, beyond, _, _, long, middle = steps(
        ("terminal", {"command": "seq 1 5; sleep 60", "background": True}),
        ("terminal", {"command": "sleep 1"}),
        ("process", {"action": "log", "session_id": "proc_$", "offset": 0, "limit": 2}),
        ("process", {"action": "log", "session_id": "proc_$", "offset": 3}),
        ("process", {"action": "log", "session_id": "proc_$", "offset": 9}),
        ("terminal", {"command": "seq 1 100000; sleep 60", "background": True}),
        ("terminal", {"command": "sleep 2"}),
        ("process", {"action": "log", "session_id": "proc_$", "offset": 0, "limit": 10000}),
        ("process", {"action": "log", "session_id": "proc_$", "offset": 50000, "limit": 10}))
    assert head.split("\n")[1:] == ["1", "2", "[more follows: offset=2]", ""]
    assert rest.split("\n")[1:] == ["4", "5", ""]
    assert "only 5 lines" in beyond
    for text in (long, middle):
        assert "are not kept in memory]\n[the whole is in out_" in text
    assert "\n1\n2\n" in long and "\n50001" not in middle


def test_what_a_kill_tells(steps):
    *_, killed, again = steps(
        ("terminal", {"command": "echo printed; sleep 100", "background": True}),
        ("terminal", {"command": "sleep 1"}),
        ("process", {"action": "kill", "session_id": "proc_$"}),
        ("process", {"action": "kill", "session_id": "proc_$"}))
    assert "is killed" in killed and "\nprinted\n" in killed
    assert "had ended already" in again and "is killed" not in again


def test_an_end_before_the_kill(steps):
    *_, text = steps(("terminal", {"command": "exit 3", "background": True}),
                     ("terminal", {"command": "sleep 1"}),
                     ("process", {"action": "kill", "session_id": "proc_$"}))
    assert "had ended already" in text and "[exit code 3" in text


def test_a_long_wait_is_shortened(steps):
    *_, waited = steps(
        ("terminal", {"command": "sleep 1; echo done", "background": True}),
        ("process", {"action": "wait", "session_id": "proc_$", "timeout": 100000}))
    assert "\ndone\n[exit code 0" in waited


def test_what_does_nothing_is_said(steps):
    plain, background = steps(
        ("terminal", {"command": "true", "pty": True, "notify_on_complete": False}),
        ("terminal", {"command": "true", "background": True, "notify_on_complete": True,
                      "watch_patterns": ["x"], "pty": False, "notify": True}))
    assert "[exit code 0" in plain and "[pty was ignored: there is no terminal]" in plain
    assert "notify" not in plain and "pty" not in background
    for name in ("notify_on_complete", "notify", "watch_patterns"):
        assert f"[{name} was ignored: the tool process " in background


def test_a_home_behind_a_link(hermes, run, tmp_path):
    link = hermes.directory / "link"
    link.symlink_to(hermes.home)
    hermes.mkdir(hermes.workspace / "sub")
    hermes.environment["HERMES_HOME"] = str(link)
    where = run("cd sub; pwd -P").split("\n")[0]
    assert run("pwd -P", workdir=where).split("\n")[0] == where
    assert run("pwd -P", workdir=f"{link}/workspace/sub").split("\n")[0] == where


def test_news_are_shown_as_far_as_they_are_kept(steps):
    *_, news, log = steps(
        ("terminal", {"command": "echo first; read line; seq 1 20000; sleep 60",
                      "background": True}),
        ("terminal", {"command": "sleep 1"}),
        ("process", {"action": "poll", "session_id": "proc_$"}),
        ("process", {"action": "submit", "session_id": "proc_$", "data": "go"}),
        ("terminal", {"command": "sleep 2"}),
        ("process", {"action": "poll", "session_id": "proc_$"}),
        ("process", {"action": "log", "session_id": "proc_$", "limit": 10000}))
    assert "\n1\n2\n3\n" in news and news.endswith("\n20000\n") and "\nfirst" not in news
    assert "bytes are not shown" in news and 30_000 < len(news) < 34_000
    assert len(log) > 30_000 and log.endswith("\n20000\n")


def test_output_without_end_in_the_background(hermes, up, api, service):
    """Once what is kept is full, it is read so slowly that nobody notices."""
    hermes.use_telegram(api).use(up, "tools")
    daemon = service()
    start = json.dumps({"command": "yes", "background": True})
    api.user_says(OWNER, f"call terminal {start}")

    def kept():
        return [path.stat().st_size for path in (hermes.home / "results").glob("out_*")]
    assert comes_true(lambda: kept() == [64 << 20])

    def used():
        stat = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    time.sleep(1)
    before = used()
    time.sleep(3)
    assert used() - before < 0.5


def test_processes_end_with_the_program(steps):
    steps(("terminal", {"command": f"setsid sleep {UNIQUE + 4} & sleep {UNIQUE + 4}",
                        "background": True}),
          ("terminal", {"command": "sleep 0.5"}))
    assert comes_true(lambda: not sleepers(UNIQUE + 4))


def test_only_so_many_at_once(steps):
    results = steps(*[("terminal", {"command": "sleep 100", "background": True})] * 9)
    assert all("runs in the background" in text for text in results[:8])
    assert "8 commands run in the background already" in results[8]


@pytest.mark.parametrize("arguments,told", [
    ({}, '"action" must be one of'), ({"action": "dance"}, '"action" must be one of'),
    ({"action": "poll"}, '"session_id" is missing'),
    ({"action": "poll", "session_id": "proc_12"}, 'no process "proc_12"'),
    ({"action": "list"}, "no command was started")])
def test_requests_that_cannot_be(steps, arguments, told):
    result, = steps(("process", arguments))
    assert told in result


def test_a_process_must_be_named(steps):
    *_, all_of_them, one, digit, listed, killed = steps(
        ("terminal", {"command": "sleep 100", "background": True}),
        *[("process", {"action": "kill", "session_id": text}) for text in ("", "p", "proc_")],
        ("process", {"action": "list"}),
        ("process", {"action": "kill", "session_id": "proc_$"}))
    for text in (all_of_them, one, digit):
        assert "at least four of the digits" in text
    assert "runs since" in listed and "is killed" in killed


def test_a_chat_sees_its_own_processes(hermes, up, api, service):
    hermes.use_telegram(api, users=f"{OWNER},{OWNER + 1}").use(up, "tools")
    service()

    def results():
        last = up.requests[-1:]
        return [m["content"] for r in last for m in r.messages if m["role"] == "tool"]
    start = json.dumps({"command": "sleep 100", "background": True})
    api.user_says(OWNER, f"call terminal {start}")
    assert comes_true(lambda: results() and "runs in the background" in results()[-1])
    name = re.search("proc_[0-9a-f]{8}", results()[-1]).group()
    api.user_says(OWNER, "/new")
    api.user_says(OWNER, 'call process {"action": "list"}')
    assert comes_true(lambda: results() and f"{name} runs since" in results()[-1])
    api.user_says(OWNER + 1, 'call process {"action": "list"}')
    assert comes_true(lambda: results() and "no command was started" in results()[-1])
    api.user_says(OWNER + 1, f'call process {{"action": "kill", "session_id": "{name}"}}')
    assert comes_true(lambda: results() and f'no process "{name}"' in results()[-1])


# -- its end from outside -------------------------------------------------------------------------

def test_ctrl_c_ends_the_whole_session(hermes, up, terminal):
    hermes.use(up, "tools")
    with terminal("chat") as chat:
        chat.ready()
        command = f"setsid sleep {UNIQUE + 5} & sleep {UNIQUE + 5}"
        chat.say(f"call terminal {json.dumps({'command': command})}")
        assert comes_true(lambda: len(sleepers(UNIQUE + 5)) == 2)
        chat.send("\x03")
        assert comes_true(lambda: not sleepers(UNIQUE + 5))
        chat.ready()


@pytest.fixture
def daemon(hermes, up, api, service):
    """On Telegram, in front of a model that calls tools."""
    hermes.use_telegram(api).use(up, "tools")
    return service()


def test_stop_ends_the_whole_session(daemon, api):
    command = f"setsid sleep {UNIQUE + 7} & sleep {UNIQUE + 7}"
    api.user_says(OWNER, f"call terminal {json.dumps({'command': command})}")
    assert comes_true(lambda: len(sleepers(UNIQUE + 7)) == 2)
    api.user_says(OWNER, "/stop")
    assert comes_true(lambda: not sleepers(UNIQUE + 7))


def test_kill_9_leaves_nothing_and_the_call_is_not_repeated(daemon, api, up, hermes):
    command = f"echo begun >>begun; setsid sleep {UNIQUE + 6} & sleep {UNIQUE + 6}"
    api.user_says(OWNER, f"call terminal {json.dumps({'command': command})}")
    assert comes_true(lambda: len(sleepers(UNIQUE + 6)) == 2)
    daemon.kill()
    assert comes_true(lambda: not sleepers(UNIQUE + 6))
    daemon.restart()
    assert comes_true(lambda: any("interrupted" in str(m.get("content")) for r in up.requests
                                  for m in (r.json or {}).get("messages", ())
                                  if m["role"] == "tool"))
    assert (hermes.workspace / "begun").read_text() == "begun\n"
