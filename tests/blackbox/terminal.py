"""The binary on a terminal: keys in, a screen out, as an interactive user meets it."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

from harness import Process, give

PATIENCE = 60  # seconds for what must come
ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_=>])")


class Terminal(Process):
    """A Process whose standard streams are a pseudo-terminal."""

    def __init__(self, owner, args, *, env=None, limit=120, rows=24, columns=80, cwd=None,
                 wrapper=(), as_root=False):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.initial = termios.tcgetattr(self.master)  # before the program could change it
        give(os.ttyname(slave))
        self.raw = b""
        self.seen = 0  # how far expect() has looked
        merged = owner._environment({"TERM": "xterm-256color", **(env or {})})

        def take_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        try:
            super().__init__(owner, [*wrapper, *owner.command(args)], env=merged,
                             cwd=cwd or owner.directory, stdin=None, limit=limit,
                             stdio=(slave, slave, slave), before_exec=take_terminal,
                             as_root=as_root)
        finally:
            os.close(slave)

    # -- out --------------------------------------------------------------------------------------

    def _read(self, seconds):
        """Read what comes within this time; False when nothing did."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            data = b""
        self.raw += data
        return bool(data)

    @property
    def screen(self):
        """Everything shown so far without escape sequences."""
        return ESCAPES.sub(b"", self.raw).decode("utf-8", "replace").replace("\r\n", "\n")

    def expect(self, pattern, limit=PATIENCE):
        """The match of a regular expression in what was shown since the last expect()."""
        until = time.monotonic() + limit
        while True:
            shown = self.screen
            found = re.compile(pattern).search(shown, self.seen)
            if found:
                self.seen = found.end()
                return found
            left = until - time.monotonic()
            assert left > 0 and (self._read(min(left, 0.2)) or self.popen.poll() is None), \
                f"never showed {pattern!r}; since the last match: {shown[self.seen:]!r}"

    def quiet(self, seconds=0.3):
        """Reads until nothing was shown for so long."""
        while self._read(seconds):
            pass
        return self

    def ready(self, limit=PATIENCE):
        """Until the program edits a line, or will: it has taken the terminal out of line mode. What
        is said while it works waits for its turn."""
        until = time.monotonic() + limit
        while termios.tcgetattr(self.master)[3] & termios.ICANON:
            assert self.popen.poll() is None, f"ended instead of asking: {self.screen!r}"
            assert time.monotonic() < until, f"never asked for a line: {self.screen!r}"
            self._read(0.02)
        self.quiet(0.1)
        self.seen = len(self.screen)
        return self

    # -- in ---------------------------------------------------------------------------------------

    def send(self, keys):
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)
        return self

    def say(self, text):
        """Type a line and press return."""
        return self.ready().send(text + "\r")

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def ends(self, limit=PATIENCE):
        """The exit status once the program has ended by itself."""
        until = time.monotonic() + limit
        while time.monotonic() < until:
            self._read(0.02)
            code, usage = self._poll()
            if code is not None:
                self.quiet(0.05)
                self._ended.set()
                self.owner.check(self, self._result(code, usage))
                return code
        raise AssertionError(f"did not end within {limit} s: {self.screen!r}")

    def _poll(self):
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return None, None
        self.popen.returncode = os.waitstatus_to_exitcode(status)
        return self.popen.returncode, usage

    def _result(self, code, usage):
        from harness import Result
        return Result(self.args, code, b"", self.raw, time.monotonic() - self.started,
                      self.rss_kib, usage.ru_maxrss, usage.ru_utime + usage.ru_stime)

    def kill(self):
        super().kill()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
