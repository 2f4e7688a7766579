"""What a program in the sandbox must not reach: files, a process and sockets of the same user."""

import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys

from harness import IS_ROOT, TEST_UID, as_test_user

ESCAPE = pathlib.Path(__file__).resolve().parent / "escape"
ESCAPED, HELD, NOT_STAGED = 0, 10, 20
SECRET = "not-for-the-program"
CAP_SYS_CHROOT = bytes.fromhex("0100000200000400000000000000000000000000")  # effective, permitted

VICTIM = """
import os, signal, socket, sys
tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)
path, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for at in ("socket", "socket.dgram"):
    if os.path.exists(at):
        os.unlink(at)
path.bind("socket"), path.listen()
datagrams.bind("socket.dgram")
abstract.bind("\\0" + sys.argv[1]), abstract.listen()
os.dup2(os.open("secret.txt", os.O_RDONLY), 9)
signal.signal(signal.SIGUSR1, lambda *_: open("signalled", "w").write("yes"))
print(tcp.getsockname()[1], flush=True)
while True:
    signal.pause()
"""


def compile_escape(to):
    sources = [str(path) for path in sorted(ESCAPE.glob("*.c"))]
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror",
                    "-static", "-o", str(to), *sources], check=True)


class Scene:
    def __init__(self, directory, hermes, group=None):
        self.directory, self.hermes, self.group = pathlib.Path(directory), hermes, group
        self.workspace, self.outside = self.directory / "workspace", self.directory / "outside"
        for path in (self.directory, self.workspace, self.outside):
            path.mkdir(exist_ok=True)
            self._give(path)
        self._program = self.directory / "escape"
        compile_escape(self._program)
        self.reset()
        self.address = f"hermes-escape-{self.directory.name}"
        self.victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, self.address], cwd=self.outside, text=True,
            stdout=subprocess.PIPE, env={"SECRET": SECRET}, **as_test_user())
        self.port = int(self.victim.stdout.readline())

    def close(self):
        self.victim.kill()
        self.victim.wait()
        self.victim.stdout.close()

    @staticmethod
    def _give(path):
        if IS_ROOT:
            os.chown(path, TEST_UID, TEST_UID, follow_symlinks=False)

    def reset(self):
        """As if nothing had happened: attempts that succeed leave things behind."""
        for path in [*self.workspace.iterdir(), *self.outside.iterdir()]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif not path.name.startswith("socket"):
                path.unlink()
        for name in ("secret.txt", "state.db", "target.txt"):
            (self.outside / name).write_text(SECRET)
            (self.outside / name).chmod(0o600)
            self._give(self.outside / name)
        (self.outside / "empty").mkdir()
        self._give(self.outside / "empty")
        for place, mode in ((self.workspace / "escape", 0o755), (self.outside / "tool", 0o755)):
            shutil.copyfile(self._program, place)
            place.chmod(mode)
            self._give(place)

    def arm(self):
        """Programs that gain something by their files, which only root can make."""
        for name in ("setuid", "capable"):
            shutil.copyfile(self._program, self.workspace / name)
            (self.workspace / name).chmod(0o4755 if name == "setuid" else 0o755)
        os.setxattr(self.workspace / "capable", "security.capability", CAP_SYS_CHROOT)

    def state(self):
        """What is outside, to see whether it changed."""
        found = {}
        for path in sorted(self.outside.rglob("*")):
            status = path.lstat()
            found[path.name] = (status.st_mode, int(status.st_mtime), status.st_uid,
                                status.st_nlink, path.read_bytes() if path.is_file() else b"")
        return found

    def words(self, name):
        return ["./escape", name, str(self.outside), str(self.victim.pid), str(self.port),
                str(self.outside / "socket"), self.address]

    def run(self, options, words, as_root=False, limit=30, hands=None, **more):
        """hermes sandbox, with a terminal of its own as standard input. With all layers it is in
        the scene's group of memory."""
        environment = {**self.hermes.environment, "OPENROUTER_API_KEY": SECRET}
        if hands:
            environment["HERMES_HANDS_SOCKET"] = str(hands.socket)
        command = [*self.hermes.binary.command, "sandbox", *options, "--", *words]
        user = {} if as_root else as_test_user()
        if self.group and "--without" not in options:
            command, user = self.group.enter(command, as_root), {}
        main, other = pty.openpty()
        try:
            done = subprocess.Popen(
                command, cwd=self.workspace, env=environment, stdin=other, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, start_new_session=True,
                **user, **more)
            try:
                out, err = done.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                os.killpg(done.pid, signal.SIGKILL)
                done.communicate()
                raise
            return subprocess.CompletedProcess(words, done.returncode, out, err)
        finally:
            os.close(main), os.close(other)

    def attempt(self, name, *options, **more):
        return self.run(options, self.words(name), **more)
