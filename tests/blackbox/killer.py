#!/usr/bin/env python3
"""Runs a program and kills it, whole, right after its n-th system call that changes something.

    killer.py N REPORT -- PROGRAM [ARGUMENT...]

N is 0 to let it live. REPORT gets a line "COUNT LAST" when it ends: how many there were, and which
was the last. All threads and children count together, which is what `strace -e inject=…:when=N`
cannot do: it counts for each thread and each kind of call by itself.

A signal at the n-th moment is not the same as a random kill: whatever lies between two changes,
every such gap is visited, and the same n is the same gap again.
"""

import ctypes
import os
import platform
import signal
import struct
import sys

TRACEME, CONT, SETOPTIONS, SYSCALL, SYSCALL_INFO = 0, 7, 0x4200, 24, 0x420E
OPT_SYSGOOD, OPT_FORK, OPT_VFORK, OPT_CLONE, OPT_EXEC, OPT_EXITKILL = 1, 2, 4, 8, 16, 0x100000
STOPPED_AT_CALL = signal.SIGTRAP | 0x80
ENTRY, EXIT = 1, 2
WALL = 0x40000000
O_CREAT = 0o100

# Numbers of the calls by which something outside the process changes: files and what is sent.
CALLS = {
    "x86_64": {
        1: "write", 18: "pwrite64", 20: "writev", 296: "pwritev", 44: "sendto", 46: "sendmsg",
        307: "sendmmsg", 40: "sendfile", 74: "fsync", 75: "fdatasync", 76: "truncate",
        77: "ftruncate", 82: "rename", 264: "renameat", 316: "renameat2", 87: "unlink",
        263: "unlinkat", 84: "rmdir", 83: "mkdir", 258: "mkdirat", 86: "link", 265: "linkat",
        88: "symlink", 266: "symlinkat", 285: "fallocate", 257: "openat",
        2: "open"},
    "aarch64": {
        64: "write", 68: "pwrite64", 66: "writev", 70: "pwritev", 206: "sendto", 211: "sendmsg",
        269: "sendmmsg", 71: "sendfile", 82: "fsync", 83: "fdatasync", 45: "truncate",
        46: "ftruncate", 38: "renameat", 276: "renameat2", 35: "unlinkat", 34: "mkdirat",
        37: "linkat", 36: "symlinkat", 47: "fallocate", 56: "openat"},
}[platform.machine()]
FLAGS_AT = {"openat": 2, "open": 1}  # which argument says whether a file may be made

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, address=0, data=0):
    result = libc.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return result


def what_changes(pid):
    """The name of the call that a thread has just made, or None when it changes nothing."""
    info = ctypes.create_string_buffer(88)
    ptrace(SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
    if info.raw[0] == EXIT:
        return EXIT, None
    number, *arguments = struct.unpack_from("<7Q", info.raw, 24)
    name = CALLS.get(number)
    if name in FLAGS_AT and not arguments[FLAGS_AT[name]] & O_CREAT:
        name = None
    if name == "write" and wakes_only(pid, arguments[0]):
        name = None
    return ENTRY, name


def wakes_only(pid, descriptor):
    """A write to an eventfd wakes a thread of the program and changes nothing else."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor}") == "anon_inode:[eventfd]"
    except OSError:  # gone, or not ours to look at: then it counts
        return False


class Killer:
    def __init__(self, limit, command):
        self.limit, self.command = limit, command
        self.count, self.last, self.making = 0, "", {}
        self.started = set()

    def run(self):
        """The status of the program as wait(2) tells it."""
        self.child = os.fork()
        if self.child == 0:
            ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execvp(self.command[0], self.command)
        os.waitpid(self.child, WALL)
        ptrace(SETOPTIONS, self.child, 0, OPT_SYSGOOD | OPT_FORK | OPT_VFORK | OPT_CLONE
               | OPT_EXEC | OPT_EXITKILL)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda n, _: os.kill(self.child, n))
        self.started.add(self.child)
        ptrace(SYSCALL, self.child)
        while True:
            pid, status = os.waitpid(-1, WALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                if pid == self.child:
                    return status
                continue
            self._stopped(pid, status)

    def _stopped(self, pid, status):
        number, passed = os.WSTOPSIG(status), 0
        try:
            if number == STOPPED_AT_CALL:
                self._call(pid)
            elif status >> 16 == 0 and number == signal.SIGSTOP and pid not in self.started:
                self.started.add(pid)  # how a new thread or child begins
            elif status >> 16 == 0:
                passed = number
            ptrace(SYSCALL, pid, 0, passed)
        except ProcessLookupError:
            pass

    def _call(self, pid):
        phase, name = what_changes(pid)
        if phase == ENTRY:
            self.making[pid] = name
            return
        name = self.making.pop(pid, None)
        if not name:
            return
        self.count, self.last = self.count + 1, name
        if self.count == self.limit:
            os.kill(self.child, signal.SIGKILL)


def main():
    limit, report = int(sys.argv[1]), sys.argv[2]
    killer = Killer(limit, sys.argv[sys.argv.index("--") + 1:])
    status = killer.run()
    with open(report, "w", encoding="ascii") as file:
        file.write(f"{killer.count} {killer.last}\n")
    if os.WIFSIGNALED(status):  # the rest of the tree goes with us: PTRACE_O_EXITKILL
        if os.WTERMSIG(status) != signal.SIGKILL:
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
