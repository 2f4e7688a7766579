"""`hermes hands`, as it is or in what imitates its container."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess

from harness import IS_ROOT, TEST_UID, as_test_user

# What a container runtime would make of k8s/deployment.yaml, as far as it keeps anything away: a
# tree of files of its own, read-only but for the workspace, /tmp and the directory of the socket;
# processes, IPC and host name of its own; no capability. The network is the pod's, so it is shared.
# What is missing: the runtime's own filter of system calls, and the limits of memory.
CONTAINER = r"""
set -eu
root=$1 workspace=$2 sockets=$3 hermes=$4 uid=$5; shift 5
mount -t tmpfs -o mode=755 container "$root"
cd "$root"
mkdir etc proc dev tmp run old
for name in usr bin sbin lib lib32 lib64 libx32; do
    if [ -h "/$name" ]; then cp -P "/$name" .
    elif [ -d "/$name" ]; then mkdir "$name"; mount --bind -o ro "/$name" "$name"; fi
done
for name in passwd group ld.so.cache; do cp "/etc/$name" etc/; done
mount -t proc -o nosuid,nodev,noexec proc proc
for name in sys bus fs irq sysrq-trigger; do
    [ ! -e "proc/$name" ] || mount --bind -o ro "proc/$name" "proc/$name"
done
mount -t tmpfs -o mode=755,nosuid dev dev
mkdir dev/shm
for name in null zero full random urandom; do
    : >"dev/$name"; mount --bind "/dev/$name" "dev/$name"
done
mount -t tmpfs -o mode=1777,size=64m shm dev/shm
mount -t tmpfs -o mode=1777,size=64m,nosuid,nodev tmp tmp
for place in "$workspace" "$sockets"; do
    mkdir -p ".$place"; mount --bind "$place" ".$place"
done
mkdir -p ".${hermes%/*}"; : >".$hermes"; mount --bind "$hermes" ".$hermes"
mount -o remount,ro,mode=755 container .
pivot_root . old
umount -l /old
cd /
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all "$hermes" hands --socket "$sockets/socket" --workspace "$workspace" "$@"
"""


class Hands:
    """Of a workspace. `contained`: in what imitates the container, which needs root. `group`: a
    control group of memory for all of it."""

    def __init__(self, binary, workspace, sockets, contained=False, uid=TEST_UID, isolation="none",
                 environment=None, group=None):
        self.socket = pathlib.Path(sockets) / "socket"
        words = ["--isolation", isolation]
        env = {"PATH": os.environ["PATH"], **(environment or {})}
        if contained:
            assert IS_ROOT, "this test needs root"
            root = pathlib.Path(sockets) / "root"
            root.mkdir(exist_ok=True)
            command = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
                       "--propagation", "private", "sh", "-c", CONTAINER, "sh", root, workspace,
                       sockets, binary.path, str(uid), *words]
        else:
            command = [*binary.command, "hands", "--socket", self.socket, "--workspace", workspace,
                       *words]
        if group:
            command = group.enter(command, as_root=contained)
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=env, start_new_session=True, **({} if contained or group else as_test_user()))
        self.greeting = ""
        for line in iter(self.process.stderr.readline, ""):
            self.greeting += line
            if "listening on" in line:
                break
        assert "listening on" in self.greeting, self.greeting + self.process.stderr.read()

    @property
    def pid(self):
        """Of the program itself, where something waits for it."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if "hermes" in pathlib.Path(f"/proc/{self.process.pid}/comm").read_text(encoding="utf-8"):
            return self.process.pid
        return int(children.read_text(encoding="utf-8").split()[0])

    def signal(self, number):
        os.kill(self.pid, number)

    def close(self):
        with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
            self.signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.rest = self.process.stderr.read()
            self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# -- frames ---------------------------------------------------------------------------------------

def frame(kind, body=b""):
    return kind.encode() + len(body).to_bytes(3, "big") + body


def words(*given):
    return b"".join(str(word).encode() + b"\0" for word in given)


def request(workspace, *argv, directory=None, write=None, environment=(), numbers=(0,) * 7):
    written = [workspace] if write is None else write
    return frame("r", words(*numbers, 0, len(written), len(environment), len(argv),
                            directory or workspace, *written, *environment, *argv))


class Peer:
    """The other end, spoken by hand."""

    def __init__(self, connection):
        self.connection = connection
        connection.settimeout(20)
        self._heard = b""

    def send(self, data):
        self.connection.sendall(data)

    def frame(self):
        """(kind, body), or None at the end."""
        while len(self._heard) < 4 or len(self._heard) < 4 + int.from_bytes(self._heard[1:4],
                                                                           "big"):
            try:
                more = self.connection.recv(65536)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self._heard += more
        size = 4 + int.from_bytes(self._heard[1:4], "big")
        found, self._heard = self._heard[:size], self._heard[size:]
        return chr(found[0]), found[4:]

    def frames(self):
        while found := self.frame():
            yield found

    def outcome(self):
        """What was printed on both, and the words of the end."""
        printed = {"o": b"", "x": b""}
        for kind, body in self.frames():
            if kind in printed:
                printed[kind] += body
            if kind == ".":
                return printed["o"], printed["x"], body.split(b"\0")[:-1]
        return printed["o"], printed["x"], None

    def close(self):
        self.connection.close()


def connect(path):
    """As the user whose hands they are."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return Peer(connection)
