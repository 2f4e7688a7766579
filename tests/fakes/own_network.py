#!/usr/bin/env python3
"""A network and an /etc for one program: what its machine's interfaces and files say is the test's.

    with Network(hosts="192.0.2.1 fake.test\\n") as network:
        listener = network.listen("192.0.2.1")
        subprocess.run([*network.enter(uid=54321), "curl", ...])

The namespaces are kept by a process of their own, which makes sockets inside them and hands them
out: so the servers, which listen there, can run in the test. Inside there is

    127.0.0.1 and ::1, unless a family is switched off
    192.0.2.1 and 2001:db8::1, the machine's addresses, as a real one's in scope (RFC 5737, 3849)
    198.51.100.0/24 and 2001:db8:dead::/48, of which nothing ever comes back, no error either
    the addresses that a test adds, such as public ones; in truth all are the loopback's
    nothing else: other addresses are unreachable at once

/etc/resolv.conf and /etc/hosts hold what was given, and host names are looked for in files first.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

V4, V6 = "192.0.2.1", "2001:db8::1"
LOST_V4, LOST_V6 = "198.51.100.7", "2001:db8:dead::7"   # connecting there never ends by itself
HOLE = "hole"
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
DIES_WITH = 60                                          # seconds for the machine to set this up


class Network:
    def __init__(self, hosts=HOSTS, resolv="nameserver 127.0.0.1\n", ipv4=True, ipv6=True,
                 addresses=()):
        self.settings = {"hosts": hosts, "resolv": resolv, "ipv4": ipv4, "ipv6": ipv6,
                         "addresses": addresses}

    def __enter__(self):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(DIES_WITH)
        kinds = ["-n", "-m"] if os.geteuid() == 0 else ["-U", "-r", "-n", "-m"]
        with theirs:
            self.process = subprocess.Popen(
                ["unshare", *kinds, "--", sys.executable, "-B", os.path.abspath(__file__),
                 str(theirs.fileno()), json.dumps(self.settings)], pass_fds=[theirs.fileno()])
        assert self.control.recv(100) == b"ready", "no namespaces: see standard error"
        return self

    def __exit__(self, *_):
        self.control.close()
        self.process.wait(DIES_WITH)

    def enter(self, uid=None):
        """What runs a command inside, as this user if root says so."""
        command = ["nsenter", f"--target={self.process.pid}", "--net", "--mount"]
        if os.geteuid() != 0:
            command += ["--user", "--preserve-credentials"]
        elif uid is not None:
            command += [f"--setuid={uid}", f"--setgid={uid}"]
        return [*command, "--"]

    def _socket(self, kind, address, port, backlog):
        self.control.send(json.dumps([kind, address, port, backlog]).encode())
        answer, descriptors, _, _ = socket.recv_fds(self.control, 1000, 1)
        if not descriptors:
            raise OSError(f"{address}:{port}: {answer.decode()}")
        return socket.socket(fileno=descriptors[0])

    def listen(self, address=V4, port=0, backlog=256):
        return self._socket("tcp", address, port, backlog)

    def udp(self, address="127.0.0.1", port=53):
        return self._socket("udp", address, port, 0)

    def connect(self, address, port):
        return self._socket("connect", address, port, 0)


# -- the process inside ---------------------------------------------------------------------------

def bind_over(target, text):
    """Let this mount namespace see `text` in place of the file `target`."""
    with tempfile.NamedTemporaryFile("w", prefix="fake-etc-", delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    done = subprocess.run(["mount", "--bind", file.name, os.path.realpath(target)])
    os.unlink(file.name)
    if done.returncode != 0:
        sys.exit(f"own_network: cannot put a file over {target}")


def ip(*words, check=True):
    program = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin") or "ip"
    quiet = None if check else subprocess.DEVNULL
    return subprocess.run([program, *words], check=check, stderr=quiet).returncode == 0


def make_hole():
    """An interface that swallows what is sent through it. The loopback does not: it looks for a
    neighbour of that address, and says after a second that there is none."""
    for kind in ("dummy", "bridge"):    # a bridge that connects nothing, where there is no dummy
        if ip("link", "add", HOLE, "type", kind, check=False):
            break
    else:
        sys.exit("own_network: the kernel makes neither a dummy interface nor a bridge")
    ip("link", "set", HOLE, "arp", "off", "addrgenmode", "none")
    ip("link", "set", HOLE, "up")


def set_up(settings):
    ip("link", "set", "lo", "up")
    make_hole()
    if settings["ipv4"]:
        ip("address", "add", f"{V4}/32", "dev", "lo")
        ip("route", "add", "198.51.100.0/24", "dev", HOLE, "src", V4)
    else:
        ip("address", "del", "127.0.0.1/8", "dev", "lo")
    if settings["ipv6"]:
        ip("-6", "address", "add", f"{V6}/128", "dev", "lo", "nodad")
        ip("-6", "route", "add", "2001:db8:dead::/48", "dev", HOLE, "src", V6)
    else:
        ip("-6", "address", "del", "::1/128", "dev", "lo")
    for address in settings["addresses"]:
        six = ":" in address
        ip(*(["-6"] if six else []), "address", "add", f"{address}/{128 if six else 32}", "dev",
           "lo", *(["nodad"] if six else []))
    bind_over("/etc/resolv.conf", settings["resolv"])
    bind_over("/etc/hosts", settings["hosts"])
    if os.path.exists("/etc/nsswitch.conf"):
        bind_over("/etc/nsswitch.conf", "hosts: files dns\n")


def make(kind, address, port, backlog):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if kind == "tcp":
        return socket.create_server((address, port), family=family, backlog=backlog)
    if kind == "connect":
        return socket.create_connection((address, port))
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


def inside(control, settings):
    set_up(settings)
    control.send(b"ready")
    while request := control.recv(1000):
        try:
            with contextlib.closing(make(*json.loads(request))) as sock:
                socket.send_fds(control, [b"ok"], [sock.fileno()])
        except OSError as problem:
            control.send(str(problem).encode())


if __name__ == "__main__":
    inside(socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2]))
