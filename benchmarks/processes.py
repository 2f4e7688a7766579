"""Runs programs and reads what they cost.

CPU time comes from wait4(): it is the child's own, so what the fake upstream in this Python costs
is not in it. Linux keeps the sum of user and system time to the nanosecond; only the split between
them is an estimate, so only the sum is used. Minima over many runs: what a busy machine adds is
never negative.
"""

import contextlib
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time

from common import say

FIRST_LINE_SECONDS = 120  # under valgrind everything takes fifty times as long
COLLECTED = re.compile(rb"Collected : (\d+)")
PROMPT = b"> \x1b[0m"


@contextlib.contextmanager
def home():
    """The environment of a user with an empty home, and nothing of the environment that is ours."""
    with tempfile.TemporaryDirectory(prefix="hermes-bench-") as name:
        yield {"PATH": "/usr/bin:/bin", "HOME": name, "HERMES_HOME": f"{name}/home",
               "LANG": "C.UTF-8", "TZ": "UTC", "TERM": "xterm", "TMPDIR": name,
               "HERMES_ALLOW_ROOT_GATEWAY": "1"}  # who measures may well be root


def with_upstream(environment, upstream, model="echo"):
    added = {"OPENAI_BASE_URL": upstream.base_url, "OPENAI_API_KEY": upstream.api_key,
             "HERMES_MODEL": model}
    if upstream.ca_file:
        added["SSL_CERT_FILE"] = upstream.ca_file
    return {**environment, **added}


def once(command, environment):
    """(wall, CPU) in milliseconds of one run, its output thrown away."""
    void = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    start = time.perf_counter_ns()
    pid = os.posix_spawn(command[0], command, environment, file_actions=void)
    _, status, usage = os.wait4(pid, 0)
    wall = (time.perf_counter_ns() - start) / 1e6
    if status:
        raise SystemExit(f"benchmarks: {' '.join(command)} ended with "
                         f"{os.waitstatus_to_exitcode(status)}; run it by hand to see why")
    return wall, (usage.ru_utime + usage.ru_stime) * 1000


def alternately(cases, rounds):
    """cases: {name: (command, environment)} -> {name: (least wall, least CPU)}, in ms. Each round
    runs each case once, so that a slow minute slows all of them."""
    least = {}
    for _ in range(rounds):
        for name, (command, environment) in cases.items():
            wall, cpu = once(command, environment)
            before = least.get(name, (wall, cpu))
            least[name] = min(before[0], wall), min(before[1], cpu)
    return least


# -- instruction counts ---------------------------------------------------------------------------

def have_valgrind():
    if shutil.which("valgrind"):
        return True
    say("valgrind is missing, so instructions are not counted: scripts/deps bench")
    return False


def counting(command, log):
    """The command under callgrind; instructions() reads the log afterwards."""
    return ["/usr/bin/valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
            f"--log-file={log}", *command]


def collected(log):
    found = COLLECTED.search(pathlib.Path(log).read_bytes())
    if not found:
        raise SystemExit(f"benchmarks: valgrind counted nothing: {pathlib.Path(log).read_text()}")
    return int(found.group(1))


def instructions(command, environment, runs=1):
    """User-space instructions of all threads, the least of some runs."""
    counts = []
    for _ in range(runs):
        with tempfile.NamedTemporaryFile(prefix="hermes-callgrind-") as log:
            once(counting(command, log.name), environment)
            counts.append(collected(log.name))
    return min(counts)


# -- memory ---------------------------------------------------------------------------------------

def memory(pid):
    """{VmRSS, RssAnon, RssFile, VmHWM} in KiB, and how many processes: pid and what it started.

    Pages that two of our processes share count twice, so the sum is never too kind. A process that
    it started may end meanwhile; if it has ended itself, that is a ProcessLookupError.
    """
    fields = ("VmRSS", "RssAnon", "RssFile", "VmHWM")
    total, family = dict.fromkeys(fields, 0), [pid, *descendants(pid)]
    for one in family:
        known = status(one, fields)
        if one == pid and "VmRSS" not in known:
            raise ProcessLookupError(f"process {pid} has ended")
        for field, size in known.items():
            total[field] += size
    return {**total, "processes": len(family)}


def status(pid, fields):
    """These fields of a process in KiB; none of one that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        found = ((field, re.search(rf"^{field}:\s+(\d+) kB", text, re.M)) for field in fields)
        return {field: int(match.group(1)) for field, match in found if match}
    return {}


def descendants(pid):
    """The processes that it started and theirs, as far as they still run."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for child in (task / "children").read_text().split():
                    found += [int(child), *descendants(int(child))]
    return found


# -- a conversation -------------------------------------------------------------------------------

class Conversation:
    """`hermes chat` on a pseudo-terminal: many turns in one process."""

    def __init__(self, command, environment):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                        env=environment, start_new_session=True)
        self.pid, self.turns = self.process.pid, 0
        os.close(slave)
        self._until(PROMPT)

    def _until(self, ending):
        shown, until = b"", time.monotonic() + FIRST_LINE_SECONDS
        while not shown.endswith(ending):
            ready, _, _ = select.select([self.master], [], [], max(0, until - time.monotonic()))
            piece = os.read(self.master, 1 << 16) if ready else b""
            if not piece:
                raise SystemExit(f"benchmarks: the conversation stopped after {shown[-500:]!r}")
            shown += piece
        return shown

    def turn(self, text="hi"):
        self.turns += 1
        os.write(self.master, f"{text} {self.turns}\r".encode())
        shown = self._until(PROMPT)
        if f"echo: {text} {self.turns}".encode() not in shown:
            raise SystemExit(f"benchmarks: turn {self.turns} was not answered: {shown[-500:]!r}")

    def end(self):
        """CPU in milliseconds of the whole conversation."""
        os.write(self.master, b"\x04")
        with contextlib.suppress(OSError):
            while os.read(self.master, 1 << 16):
                pass
        _, status, usage = os.wait4(self.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.master)
        return (usage.ru_utime + usage.ru_stime) * 1000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
            os.close(self.master)
