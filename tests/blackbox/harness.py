"""Runs the real binary as a user would, and says what came of it.

The binary runs as an unprivileged user of no name (a pod's arbitrary uid), because root bypasses
half of what is tested; in an environment of its own, because a developer's API key must neither be
spent nor decide a test; and under a time limit, because a hang is a failure with a number.

Peak memory is VmHWM, sampled: the kernel's ru_maxrss also counts the process that called exec, and
that is a Python with a fake upstream in it.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import os
import pathlib
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEST_UID = 54321  # nobody's: no passwd entry, as under `runAsUser` in a pod
SANITIZER_EXIT = 99
SANITIZER_WORDS = (b"AddressSanitizer", b"LeakSanitizer", b"runtime error:", b"ThreadSanitizer")
SANITIZED_RSS_KIB = 160 * 1024  # shadow memory, red zones and a small quarantine
SOON = 10  # seconds: no wait that a test looks for is as short, no slow machine takes as long
WAIT_SCALE, SCALE = "HERMES_DEBUG_WAIT_SCALE", 0.1  # src/base/wait.h
HARDLY_RAN = 0.05  # seconds of CPU; a machine that is busy does not add to them
IS_ROOT = os.geteuid() == 0


class Binary:
    """The program under test, at a place where the test user can execute it."""

    def __init__(self, directory):
        source = pathlib.Path(os.environ.get("HERMES_BIN") or ROOT / "build/debug/hermes")
        if not source.is_file():
            raise FileNotFoundError(f"no binary at {source}: build it with `make`, or set "
                                    "HERMES_BIN to the one to test")
        self.path = pathlib.Path(directory) / "hermes"
        shutil.copyfile(source, self.path)
        self.path.chmod(0o755)
        self.runner = shlex.split(os.environ.get("HERMES_RUNNER", ""))
        content = source.read_bytes()
        self.sanitized = b"__asan_init" in content
        self.scales_waits = WAIT_SCALE.encode() in content  # the debug build
        self.emulated = bool(self.runner)

    @property
    def command(self):
        return [*self.runner, str(self.path)]


@dataclasses.dataclass
class Result:
    """One finished run."""

    args: list
    code: int  # exit status, or -N for signal N
    out: bytes
    err: bytes
    seconds: float
    rss_kib: int  # the largest sample; 0 when it ended before the first
    rss_bound_kib: int  # the kernel's own maximum, in which this process before its exec() counts
    cpu_seconds: float

    @property
    def text(self):
        return self.out.decode("utf-8")

    @property
    def notes(self):
        return self.err.decode("utf-8", "replace")

    def __str__(self):
        return (f"{' '.join(map(str, self.args))[:300]}\n  exit {self.code} after "
                f"{self.seconds:.2f} s, {self.rss_kib} KiB\n  stdout ({len(self.out)} bytes): "
                f"{self.out[:2000]!r}\n  stderr ({len(self.err)} bytes): {self.err[:4000]!r}")

    def ok(self):
        assert self.code == 0, f"expected success of {self}"
        return self

    def exits(self, code):
        assert self.code == code, f"expected exit status {code} of {self}"
        return self

    def sentence(self, *patterns, lines=3):
        """stderr is one clear sentence: short, clean, and each pattern (any case) is in it."""
        shown = [line for line in self.err.decode("utf-8").splitlines() if line.strip()]
        assert 1 <= len(shown) <= lines, f"not one clear sentence ({len(shown)} lines): {self}"
        assert max(map(len, shown)) <= 500, f"too long to be read: {self}"
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", self.err), f"control bytes: {self}"
        assert not re.search(r"<html|<!doctype|traceback|assert", self.notes, re.I), str(self)
        assert not re.search(r"^\s*[;,.:]", self.notes, re.M), f"a line torn in two: {self}"
        for pattern in patterns:
            assert re.search(pattern, self.notes, re.I), f"nothing like {pattern!r} in {self}"
        return self

    def failed(self, *patterns):
        """A turn that did not work: exit status 1 and one clear sentence."""
        return self.exits(1).sentence(*patterns)


class Process:
    """A run that has not ended. Use as a context manager, or call finish().

    `as_root` leaves the dropping of root to a wrapper that needs it first.
    """

    def __init__(self, owner, argv, *, env, cwd, stdin, limit, rlimits=None, stdio=None,
                 before_exec=None, as_root=False):
        self.owner, self.args, self.limit = owner, argv, limit
        self.secrets = [v for k, v in env.items()
                        if k.endswith(("_KEY", "_TOKEN")) and len(v) > 8]
        self.input = stdin
        self._out, self._err, self.rss_kib = bytearray(), bytearray(), 0
        self._ended = threading.Event()
        self.started = time.monotonic()
        pipes = stdio or (subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                          subprocess.PIPE, subprocess.PIPE)
        self.popen = subprocess.Popen(
            argv, stdin=pipes[0], stdout=pipes[1], stderr=pipes[2], env=env, cwd=cwd, bufsize=0,
            start_new_session=True, preexec_fn=_preparation(rlimits, before_exec),
            **({} if as_root else as_test_user()))
        self.pid = self.popen.pid
        self._threads = [threading.Thread(target=self._sample, daemon=True)]
        for pipe, kept in ((self.popen.stdout, self._out), (self.popen.stderr, self._err)):
            if pipe:
                self._threads.append(threading.Thread(target=_drain, args=(pipe, kept),
                                                      daemon=True))
        if self.popen.stdin:
            self._threads.append(threading.Thread(target=self._feed, daemon=True))
        for thread in self._threads:
            thread.start()
        owner.processes.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    # -- what goes in and out ---------------------------------------------------------------------

    def _feed(self):
        try:
            if callable(self.input):
                self.input(self.popen.stdin)
            else:
                self.popen.stdin.write(self.input)
        except (BrokenPipeError, ValueError):
            pass
        with contextlib.suppress(OSError):
            self.popen.stdin.close()

    def _sample(self):
        """The high-water mark of the memory of the program itself, not of a wrapper around it."""
        while not self._ended.is_set():
            self.rss_kib = max(self.rss_kib, _high_water(self.pid))
            self._ended.wait(0.005)

    @property
    def out(self):
        return bytes(self._out)

    @property
    def err(self):
        return bytes(self._err)

    def wait_for_output(self, text, where="out", limit=60):
        """Until `text` (bytes) was written; fails when it never was."""
        until = time.monotonic() + limit
        while text not in getattr(self, where):
            assert self.popen.poll() is None or text in self._settled(where), \
                f"ended without {text!r}: out {self.out!r} err {self.err!r}"
            assert time.monotonic() < until, \
                f"no {text!r} within {limit} s: out {self.out!r} err {self.err!r}"
            time.sleep(0.01)

    def _settled(self, where):
        time.sleep(0.2)
        return getattr(self, where)

    def fewest_wake_ups(self, seconds, spans=3):
        """Context switches of all threads in the quietest of some spans of time: a busy machine
        adds to one or the other, a program that wakes up by itself to all of them."""
        counts = [_switches(self.pid)]
        for _ in range(spans):
            time.sleep(seconds)
            counts.append(_switches(self.pid))
        return min(after - before for before, after in itertools.pairwise(counts))

    # -- its end ----------------------------------------------------------------------------------

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.popen.poll() is None:
            self.popen.wait()
        self._ended.set()

    def finish(self, limit=None):
        """The Result; fails when it takes longer than allowed."""
        left = (limit or self.limit) - (time.monotonic() - self.started) if limit is None else limit
        code, usage = self._wait(left)
        seconds = time.monotonic() - self.started
        self._ended.set()
        for thread in self._threads:
            thread.join(5)
        used = usage.ru_utime + usage.ru_stime if usage else 0
        result = Result(self.args, code if code is not None else -signal.SIGKILL, self.out,
                        self.err, seconds, self.rss_kib, usage.ru_maxrss if usage else 0, used)
        assert code is not None, f"still running after {left:.0f} s, killed: {result}"
        self.owner.check(self, result)
        return result

    def _wait(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.popen.returncode = os.waitstatus_to_exitcode(status)
                return self.popen.returncode, usage
            time.sleep(0.003)
        self.kill()
        return None, None


def _high_water(pid):
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            found = re.search(rb"VmHWM:\s+(\d+) kB", file.read())
            return int(found.group(1)) if found else 0
    except OSError:
        return 0


def _switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", "rb") as file:
            total += sum(int(n) for n in re.findall(rb"ctxt_switches:\s+(\d+)", file.read()))
    return total


def _drain(pipe, kept):
    with contextlib.suppress(OSError, ValueError):
        while data := os.read(pipe.fileno(), 1 << 16):
            kept += data
        pipe.close()  # a test may start hundreds


def as_test_user():
    """Popen arguments that drop root."""
    return {"user": TEST_UID, "group": TEST_UID, "extra_groups": []} if IS_ROOT else {}


def _preparation(rlimits, before_exec):
    if not rlimits and not before_exec:
        return None

    def prepare():
        import resource
        for name, value in (rlimits or {}).items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
        if before_exec:
            before_exec()
    return prepare


class Hermes:
    """A user with a home, an environment and the binary."""

    def __init__(self, binary, directory):
        self.binary, self.directory = binary, pathlib.Path(directory)
        self.home = self.directory / "home"
        self.workspace = self.home / "workspace"
        self.processes, self.upstreams, self.key_may_be_in = [], [], ()
        self.bots = []
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.directory),
            "HERMES_HOME": str(self.home), "LANG": "C.UTF-8", "TZ": "UTC",
            "TMPDIR": str(self.directory), **self._sanitizer_options()}
        if binary.scales_waits:
            self.environment[WAIT_SCALE] = str(SCALE)
        give(self.directory)

    def _sanitizer_options(self):
        # Reports go to files: a test of a terminal or of a closed stderr must not hide them.
        common = f"exitcode={SANITIZER_EXIT}:halt_on_error=1:log_path={self.directory}/sanitizer"
        return {
            "ASAN_OPTIONS": f"{common}:detect_leaks=1:abort_on_error=0:quarantine_size_mb=8:"
                            "detect_stack_use_after_return=1:strict_string_checks=1",
            "UBSAN_OPTIONS": f"{common}:print_stacktrace=1",
            "LSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:report_objects=1"}

    # -- the home ---------------------------------------------------------------------------------

    def put(self, path, content=b"", mode=0o600, base=None):
        """A file beneath the home (made when it is not there) that belongs to the test user."""
        target = (base or self.home) / path
        self.mkdir(target.parent)
        target.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        target.chmod(mode)
        give(target)
        return target

    def mkdir(self, path):
        path = self.home / path
        missing = []
        while not path.exists():
            missing.append(path)
            path = path.parent
        for directory in reversed(missing):
            directory.mkdir(0o700)
            give(directory)

    def sql(self, code, *args):
        """Python statements about the database, run as the test user: root's journal files would
        lock the program out. `db` is an open connection to args[0]."""
        script = ("import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], timeout=30)\n" + code +
                  "\ndb.commit()\ndb.close()\n")
        done = subprocess.run([sys.executable, "-c", script, *map(str, args)], cwd=self.directory,
                              capture_output=True, text=True, timeout=60, **as_test_user())
        assert done.returncode == 0, done.stderr
        return done.stdout

    def databases(self):
        """The SQLite files of the home."""
        return [path for path in files_of(self.home)
                if path.read_bytes()[:16] == b"SQLite format 3\0"]

    # -- upstreams --------------------------------------------------------------------------------

    def use(self, upstream, model=None, name=None, **limits):
        """Let every run talk to this fake. `limits`: api, stale, read, connect in seconds."""
        self.upstreams.append(upstream)
        self.environment.update(OPENAI_API_KEY=upstream.api_key,
                                OPENAI_BASE_URL=upstream.url_for(name or upstream.host))
        if model:
            self.environment["HERMES_MODEL"] = model
        if upstream.ca_file:
            self.environment["SSL_CERT_FILE"] = upstream.ca_file
        self.limits(**limits)
        return self

    def use_telegram(self, api, users="42"):
        """Let every run be the bot of this fake. `users`: who may talk to it; None: not said."""
        self.bots.append(api)
        self.environment.update(TELEGRAM_BOT_TOKEN=api.token, TELEGRAM_API_BASE=api.base_url)
        if users is not None:
            self.environment["TELEGRAM_ALLOWED_USERS"] = users
        if api.ca_file:
            self.environment["SSL_CERT_FILE"] = api.ca_file
        return self

    def limits(self, **seconds):
        names = {"api": "HERMES_API_TIMEOUT", "stale": "HERMES_API_CALL_STALE_TIMEOUT",
                 "read": "HERMES_STREAM_READ_TIMEOUT", "connect": "HERMES_CONNECT_TIMEOUT"}
        for name, value in seconds.items():
            self.environment[names[name]] = str(value)
        return self

    def real_waits(self):
        """Back-offs as long as everywhere else: for tests that are about their length."""
        self.environment.pop(WAIT_SCALE, None)
        return self

    def sleep_through(self, seconds):
        """So long that what is tried again within `seconds` of real back-offs has been."""
        time.sleep(max(0.5, seconds * float(self.environment.get(WAIT_SCALE, 1))))

    # -- runs -------------------------------------------------------------------------------------

    def command(self, args):
        return [*self.binary.command, *map(os.fspath, args)]

    def _environment(self, env):
        merged = {**self.environment, **(env or {})}
        return {name: str(value) for name, value in merged.items() if value is not None}

    def start(self, *args, stdin=None, env=None, limit=60, cwd=None, wrapper=(), **more):
        return Process(self, [*wrapper, *self.command(args)], env=self._environment(env),
                       cwd=cwd or self.directory, limit=limit,
                       stdin=stdin.encode() if isinstance(stdin, str) else stdin, **more)

    def run(self, *args, **more):
        process = self.start(*args, **more)
        try:
            return process.finish()
        finally:
            process.kill()

    def chat(self, text, *args, **more):
        """One turn: `hermes chat -q TEXT`."""
        return self.run("chat", "-q", text, *args, **more)

    # -- what must hold after every run -----------------------------------------------------------

    def check(self, process, result):
        assert not self.sanitizer_report(), f"{self.sanitizer_report()}\n{result}"
        assert result.code != SANITIZER_EXIT, f"sanitizer: {result}"
        for word in SANITIZER_WORDS:
            assert word not in result.err, str(result)
        assert result.code >= 0 or -result.code in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL,
                                                    signal.SIGPIPE, signal.SIGALRM), \
            f"crashed: {result}"
        for secret in process.secrets:
            assert secret.encode() not in result.err, f"the key was printed: {result}"

    def sanitizer_report(self):
        return "\n".join(path.read_text("utf-8", "replace")[:6000]
                         for path in self.directory.glob("sanitizer.*"))

    def memory_below(self, result, kib):
        """Peak RSS; a sanitizer's own share is allowed for. An emulator's says nothing. What ended
        before the first sample hardly ran, or is judged by the kernel's maximum, which may be too
        large and never too small."""
        if self.binary.emulated:
            return
        bar = 2 * kib + SANITIZED_RSS_KIB if self.binary.sanitized else kib
        peak = result.rss_kib or (result.cpu_seconds > HARDLY_RAN and result.rss_bound_kib)
        assert peak <= bar, f"{peak} KiB is more than {bar}: {result}"

    def finish(self):
        """Ends what still runs; then what no test may leave behind."""
        for process in self.processes:
            process.kill()
        assert not self.sanitizer_report(), self.sanitizer_report()
        refused = [message for upstream in self.upstreams for message in upstream.rejected]
        assert not refused, f"a picky provider refused what was sent: {refused}"
        resented = [sentence for api in self.bots for sentence in api.violations]
        assert not resented, f"Telegram would resent: {resented}"
        for server in self.upstreams + self.bots:
            key = (server.api_key or "\0no key").encode()
            found = [str(path) for path in files_of(self.directory)
                     if path.name not in self.key_may_be_in and holds(path, key)]
            assert not found, f"the key was written to {found}"


@contextlib.contextmanager
def directory(prefix):
    """A directory that the test user may pass through; pytest's own are for one user only."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    path.chmod(0o755)
    try:
        yield path
    finally:
        if os.environ.get("HERMES_KEEP"):
            print(f"kept: {path}")
        else:
            shutil.rmtree(path, ignore_errors=True)


def comes_true(condition, seconds=60):
    """Waits for what a busy machine may take its time for; what it came to."""
    until = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# -- files ----------------------------------------------------------------------------------------

def give(path):
    """Make the test user the owner."""
    if IS_ROOT:
        os.chown(path, TEST_UID, TEST_UID, follow_symlinks=False)


def files_of(directory, most=64 << 20):
    """Regular files beneath, without those too large to be looked at (sparse test files)."""
    for path in sorted(pathlib.Path(directory).rglob("*")):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size <= most:
                yield path


def holds(path, data):
    """Are these bytes in the file? What the tests themselves cannot read holds nothing."""
    with contextlib.suppress(PermissionError):
        return data in path.read_bytes()
    return False


def tree(directory, *, without=()):
    """{relative path: what it is}, for comparing a directory before and after."""
    found = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        name = str(path.relative_to(directory))
        if any(name == skipped or name.startswith(skipped + "/") for skipped in without):
            continue
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            found[name] = ("link", os.readlink(path))
        elif stat.S_ISREG(status.st_mode):
            found[name] = (oct(status.st_mode), status.st_size,
                           hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            found[name] = (oct(status.st_mode),)
    return found


def unchanged(before, after):
    """Everything that was there is there as it was; additions are allowed."""
    changed = [name for name, what in before.items() if after.get(name) != what]
    assert not changed, f"overwritten or gone: {changed}"
