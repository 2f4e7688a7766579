"""An emulated Raspberry Pi CM4: a real ARM64 kernel under QEMU that runs shell scripts for a test.

    with Machine(files={"/bin/hermes": path}, forwards={443: upstream.port}) as machine:
        result = machine.run("hermes chat -q hi", env={"HERMES_MODEL": "offline"})
        assert result.status == 0 and "offline" in result.out

One boot costs seconds, so one machine serves many jobs: they come and go over a virtio serial port
(guest/sbin-init has the protocol) while the console only keeps a log for people.

The network is QEMU's user network with restrict=on: the guest reaches nothing but the forwarded
ports of 10.0.2.100, which stand for fakes on the host's loopback. QEMU can forward to a TCP server
by itself, but then it opens a single connection when it starts and shares it among all clients; so
each connection goes through the switchboard. That reads its target from a file, so a running
machine can be pointed at another fake (`forward`).

There is no KVM here: everything is translated code, several times slower than the real thing and
of no use for measuring time. Every limit below is therefore generous, and only a hang hits it.
"""
import base64
import dataclasses
import os
import pathlib
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from newc import Archive

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVER_ADDRESS = "10.0.2.100"
USER_ID = 10000

BOOT_SECONDS = 180
JOB_SECONDS = 120
# What a guest that is merely slow may take on top of a job's own limit.
GRACE_SECONDS = 60
STOP_SECONDS = 30
# A machine that outlives its test run is ended by this, whatever became of Python.
LIFE_SECONDS = 3600
CONSOLE_TAIL_LINES = 30

# Where a user who is not root finds mkfs.
TOOL_PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/sbin:/usr/sbin"

# Raspberry Pi OS has no Landlock; all else that Debian's kernel would stack is left out too.
LSM_LIKE_RASPBERRY_PI_OS = ""
LSM_WITH_LANDLOCK = "landlock"


class MachineError(Exception):
    """The machine itself failed or hung; the text says where and ends with the console's tail."""


@dataclasses.dataclass
class Result:
    """What a job left: its exit status, both outputs, and the guest's seconds it took."""
    status: int
    out: str
    err: str
    seconds: float
    timed_out: bool

    def values(self):
        """The name=value lines of `out`, as rss_of and memory_of print them, as whole numbers."""
        pairs = (line.partition("=") for line in self.out.splitlines() if "=" in line)
        return {name: int(value) for name, _, value in pairs if value.lstrip("-").isdigit()}


class Machine:
    def __init__(self, files=None, forwards=None, names=("fake.test",), landlock=False,
                 disk_mb=256, memory_mb=1024, cpus=2):
        """files: guest path -> host path or bytes; those beneath /bin are executable.
        forwards: port of 10.0.2.100 in the guest -> port on the host's loopback.
        names: host names that resolve to 10.0.2.100 in the guest.
        disk_mb: size of the ext4 disk that holds /home/hermes and the given programs; with 0
        they are in memory, where a program's pages count as RssShmem and not as RssFile."""
        self._files = dict(files or {})
        self._forwards = dict(forwards or {})
        self._names = tuple(names)
        self._lsm = LSM_WITH_LANDLOCK if landlock else LSM_LIKE_RASPBERRY_PI_OS
        self._disk_mb = disk_mb
        self._memory_mb = memory_mb
        self._cpus = cpus
        self._folder = None
        self._qemu = None
        self._board = None
        self._channel = None
        self._last_console = ""
        self._jobs = 0
        self.boot_seconds = None
        self.kernel = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    # -- life --------------------------------------------------------------------------------

    def start(self):
        need_tools(self._disk_mb)
        boot = prepared_folder()
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="cm4."))
        try:
            self._boot(boot)
        except BaseException:
            self.stop()
            raise

    def _boot(self, boot):
        (self._folder / "initramfs").write_bytes(self._initramfs(boot))
        self._make_disk()
        for guest_port, host_port in self._forwards.items():
            self.forward(guest_port, host_port)
        if self._forwards:
            self._start_board()
        began = time.monotonic()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self._folder / "port"))
            listener.listen(1)
            self._launch(boot)
            self._channel = _Channel(self._accept(listener))
        words = self._answer("booting", BOOT_SECONDS)
        if words[0] != "ready":
            raise self._failure(f"the guest began with '{' '.join(words)}' and not with 'ready'")
        self.kernel = words[1]
        self.boot_seconds = time.monotonic() - began
        # The emulated clock chip has whole seconds, and a host may have been suspended since.
        self.run(f"date -u -s @{time.time():.0f} >/dev/null", user="root")

    def _start_board(self):
        self._board = subprocess.Popen(
            [sys.executable, HERE / "switchboard.py", self._folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        if self._board.stdout.readline() != b"ready\n":
            raise MachineError("the switchboard did not start; see its message above")

    def _accept(self, listener):
        listener.settimeout(1)
        for _ in range(BOOT_SECONDS):
            try:
                return listener.accept()[0]
            except TimeoutError:
                if self._qemu.poll() is not None:
                    raise self._failure("QEMU ended at once") from None
        raise self._failure("QEMU did not start")

    def _launch(self, boot):
        log = open(self._folder / "qemu.log", "wb")
        with log:
            self._qemu = subprocess.Popen(
                ["timeout", "-s", "KILL", str(LIFE_SECONDS), *self._command(boot)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def stop(self):
        """Switches the machine off; the console's log stays readable through `console`."""
        self._last_console = self.console
        if self._channel:
            self._channel.close()
            self._channel = None
        if self._qemu:
            self._end_qemu()
        if self._board:
            self._board.communicate()
            self._board = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _end_qemu(self):
        """A guest that has lost its host switches itself off, if it is well."""
        try:
            self._qemu.wait(STOP_SECONDS if self.boot_seconds else 0)
        except subprocess.TimeoutExpired:
            # QEMU and the `timeout` around it are one process group; relays end by themselves.
            os.killpg(self._qemu.pid, signal.SIGKILL)
            self._qemu.wait()
        self._qemu = None

    # -- use ---------------------------------------------------------------------------------

    def run(self, script, user="hermes", env=None, timeout=JOB_SECONDS):
        """Runs a shell script in the guest, with guest/lib.sh sourced, and returns its Result.

        A script that exceeds `timeout` is killed by the guest and says so in the Result; a guest
        that no longer answers is a MachineError and the end of the machine."""
        if not self._channel:
            raise MachineError("the machine is off")
        self._jobs += 1
        name = f"{self._jobs}"
        exports = "".join(f"export {key}={shlex.quote(str(value))}\n"
                          for key, value in (env or {}).items())
        body = base64.b64encode((exports + script).encode()).decode()
        self._channel.send(f"{name} {user} {timeout} {body}\n")
        limit = timeout + GRACE_SECONDS
        words = self._answer(f"running job {name}:\n{_indent(script)}\n", limit)
        status, milliseconds, out_size, err_size = (int(word) for word in words[1:5])
        seconds = milliseconds / 1000
        return Result(status, self._text(out_size), self._text(err_size), seconds,
                      status == 137 and seconds >= timeout)

    def forward(self, guest_port, host_port):
        """Points a port that was forwarded at start at another port of the host."""
        if guest_port not in self._forwards:
            raise ValueError(f"port {guest_port} was not forwarded when the machine started")
        fresh = self._folder / "forward.new"
        fresh.write_text(f"{host_port}\n")
        os.replace(fresh, self._folder / f"forward.{guest_port}")

    @property
    def console(self):
        """All that the kernel and the jobs have written to the console so far."""
        if not self._folder:
            return self._last_console
        try:
            return (self._folder / "console").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    # -- the other end -----------------------------------------------------------------------

    def _answer(self, doing, seconds):
        try:
            return self._channel.line(seconds).split()
        except TimeoutError:
            raise self._failure(f"no answer within {seconds} s while {doing}") from None
        except EOFError:
            raise self._failure(f"the machine went off while {doing}") from None

    def _text(self, size):
        try:
            return self._channel.exactly(size, GRACE_SECONDS).decode(errors="replace")
        except (TimeoutError, EOFError):
            raise self._failure("the guest stopped in the middle of a job's output") from None

    def _failure(self, text):
        """Ends the machine at once and returns the error to raise."""
        log = self._folder / "qemu.log"
        said = log.read_text(errors="replace") if log.exists() else ""
        tail = "\n".join(self.console.splitlines()[-CONSOLE_TAIL_LINES:])
        self.boot_seconds = None
        self.stop()
        return MachineError(f"{text}\nQEMU said: {said.strip() or 'nothing'}\n"
                            f"The console's last lines:\n{_indent(tail)}")

    # -- parts -------------------------------------------------------------------------------

    def _command(self, boot):
        folder = str(self._folder)
        line = (f"console=ttyAMA0 loglevel=4 panic=-1 lsm={self._lsm} "
                f"cm4.token={secrets.token_hex(8)}")
        command = [
            "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-accel", "tcg,thread=multi",
            "-smp", str(self._cpus), "-m", str(self._memory_mb), "-nodefaults", "-no-reboot",
            "-display", "none", "-serial", f"file:{_escape(folder)}/console",
            "-kernel", str(boot / "kernel"), "-initrd", f"{folder}/initramfs", "-append", line,
            "-device", "virtio-serial-device",
            "-chardev", f"socket,id=port,path={_escape(folder)}/port",
            "-device", "virtserialport,chardev=port,name=cm4",
            "-netdev", self._netdev(), "-device", "virtio-net-device,netdev=net",
        ]
        if self._disk_mb:
            command += ["-drive", f"if=none,id=disk,format=raw,file={_escape(folder)}/disk",
                        "-device", "virtio-blk-device,drive=disk"]
        return command

    def _netdev(self):
        rules = ["user,id=net,restrict=on"]
        for port in self._forwards:
            relay = shlex.join([str(HERE / "relay"), f"{self._folder}/board", str(port)])
            rules.append(f"guestfwd=tcp:{SERVER_ADDRESS}:{port}-cmd:{_escape(relay)}")
        return ",".join(rules)

    def _make_disk(self):
        if not self._disk_mb:
            return
        disk = self._folder / "disk"
        with open(disk, "wb") as file:
            file.truncate(self._disk_mb << 20)
        subprocess.run([shutil.which("mkfs.ext4", path=TOOL_PATH), "-q", "-F", disk], check=True)

    def _initramfs(self, boot):
        archive = Archive()
        archive.char_device("dev/console", 5, 1)
        archive.file("init", (HERE / "guest/init").read_bytes(), 0o755)
        for name in ("proc", "sys", "run", "home", "root"):
            archive.folder(f"payload/{name}")
        archive.file("payload/bin/busybox", (boot / "busybox").read_bytes(), 0o755)
        archive.file("payload/sbin/init", (HERE / "guest/sbin-init").read_bytes(), 0o755)
        archive.file("payload/lib/cm4.sh", (HERE / "guest/lib.sh").read_bytes())
        for module in sorted((boot / "modules").iterdir()):
            archive.file(f"payload/modules/{module.name}", module.read_bytes())
        for path, content in {**self._etc(), **self._files}.items():
            data = content if isinstance(content, bytes) else pathlib.Path(content).read_bytes()
            archive.file(f"payload{path}", data, 0o755 if path.startswith("/bin/") else 0o644)
        return archive.bytes()

    def _etc(self):
        """Nothing listens on the name server's port: an unknown name fails at once, unanswered."""
        texts = {
            "hosts": "127.0.0.1 localhost cm4\n::1 localhost\n"
                     f"{SERVER_ADDRESS} {' '.join(self._names)}\n",
            "resolv.conf": "nameserver 127.0.0.1\n",
            "nsswitch.conf": "hosts: files dns\n",
            "passwd": "root:x:0:0:root:/root:/bin/sh\n"
                      f"hermes:x:{USER_ID}:{USER_ID}:hermes:/home/hermes:/bin/sh\n",
            "group": f"root:x:0:\nhermes:x:{USER_ID}:\n",
        }
        return {f"/etc/{name}": text.encode() for name, text in texts.items()}


class _Channel:
    """Lines and byte counts over a socket, each with a deadline."""

    def __init__(self, sock):
        self._socket = sock
        self._buffer = b""

    def send(self, text):
        self._socket.settimeout(GRACE_SECONDS)
        self._socket.sendall(text.encode())

    def line(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            self._fill(deadline)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def exactly(self, size, seconds):
        deadline = time.monotonic() + seconds
        while len(self._buffer) < size:
            self._fill(deadline)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        data = self._socket.recv(1 << 16)
        if not data:
            raise EOFError
        self._buffer += data

    def close(self):
        self._socket.close()


def need_tools(disk_mb):
    packages = {"qemu-system-aarch64": "qemu-system-arm", "timeout": "coreutils"}
    if disk_mb:
        packages["mkfs.ext4"] = "e2fsprogs"
    missing = [package for tool, package in packages.items()
               if not shutil.which(tool, path=TOOL_PATH)]
    if missing:
        raise MachineError(f"missing on this machine. Run: apt-get install {' '.join(missing)}")


def prepared_folder():
    """Where `prepare` keeps kernel and busybox; the first time this takes a network."""
    done = subprocess.run([HERE / "prepare"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise MachineError("tests/cm4/prepare failed; its message is above")
    return pathlib.Path(done.stdout.strip())


def _escape(text):
    """QEMU's option lists separate by commas and take a doubled one for itself."""
    return text.replace(",", ",,")


def _indent(text):
    return "\n".join("    " + line for line in text.splitlines())
