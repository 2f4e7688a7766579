"""A control group with a limit of memory, as a container or a service has one, of either version.

Only root can make one, and only root puts a process into it: a shell does that before it becomes
the unprivileged user's program.
"""

import contextlib
import os
import pathlib

from harness import IS_ROOT, TEST_UID, comes_true

V1, V2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")
ENTER = 'echo $$ >"$0" && exec "$@"'


class MemoryGroup:
    def __init__(self, name, limit):
        assert IS_ROOT, "this test needs root"
        self._old = V1.is_dir()
        self.path = (V1 if self._old else V2) / f"{name}-{os.getpid()}"
        self.path.mkdir()
        self._put("memory.limit_in_bytes" if self._old else "memory.max", limit)
        with contextlib.suppress(OSError):  # a kernel that does not count what is swapped
            self._put("memory.memsw.limit_in_bytes" if self._old else "memory.swap.max",
                      limit if self._old else 0)

    def _put(self, file, number):
        (self.path / file).write_text(str(number))

    def enter(self, words, as_root=False):
        """The words that become these in the group, run as root."""
        dropped = [] if as_root else ["setpriv", "--reuid", str(TEST_UID), "--regid",
                                      str(TEST_UID), "--clear-groups"]
        return ["sh", "-c", ENTER, str(self.path / "cgroup.procs"), *dropped, *map(str, words)]

    def kills(self):
        """How many processes the kernel has ended there."""
        file = self.path / ("memory.oom_control" if self._old else "memory.events")
        return int(dict(line.split() for line in file.read_text().splitlines())["oom_kill"])

    def close(self):
        """Once nobody is in it, which with those that were killed takes a moment."""
        assert comes_true(lambda: not (self.path / "cgroup.procs").read_text())
        self.path.rmdir()
