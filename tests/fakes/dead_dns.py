#!/usr/bin/env python3
"""A name server that hears everything and says nothing.

A closed port is no substitute: the kernel answers for it, and the resolver gives up at once. What
hurts in real life is a server that swallows the question, for 10 to 30 seconds of retries.

resolv.conf knows no ports, so the server must have port 53, and the program under test must see
another resolv.conf than the machine does. Both need namespaces, so this file is also a launcher:

    dead_dns.py --log FILE [--uid N] -- COMMAND...

runs COMMAND in network and mount namespaces of its own (user namespaces too when it is not root),
where /etc/resolv.conf names the dead server, and writes each name that was asked for into FILE.
"""

import argparse
import fcntl
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


class DeadDns:
    """Swallows UDP questions; accepts TCP connections and never speaks."""

    def __init__(self, address="127.0.0.1", port=53, on_question=None):
        self.questions = []
        self.on_question = on_question
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, port))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server((address, self.port))
        threading.Thread(target=self._swallow, daemon=True).start()

    def _swallow(self):
        while True:
            try:
                packet = self.udp.recv(65536)
            except OSError:
                return
            self.questions.append(question_name(packet))
            if self.on_question:
                self.on_question(self.questions[-1])

    def close(self):
        self.udp.close()
        self.tcp.close()


def question_name(packet):
    """The name in a DNS question."""
    labels, at = [], 12
    while at < len(packet) and packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels)


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def bind_over(target, text):
    """Let this mount namespace see `text` in place of the file `target`."""
    with tempfile.NamedTemporaryFile("w", prefix="fake-etc-", delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    done = subprocess.run(["mount", "--bind", file.name, os.path.realpath(target)])
    os.unlink(file.name)
    if done.returncode != 0:
        sys.exit(f"dead_dns: cannot put a file over {target}; is this a mount namespace?")


def inside(options):
    loopback_up()
    bind_over("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    log = pathlib.Path(options.log).open("a", buffering=1)
    DeadDns(on_question=lambda name: print(name, file=log))
    user = {} if options.uid is None else {
        "user": options.uid, "group": options.uid, "extra_groups": []}
    child = subprocess.Popen(options.command, **user)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _: child.send_signal(signum))
    code = child.wait()
    sys.exit(code if code >= 0 else 128 - code)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--log", required=True, help="file for the names that were asked for")
    parser.add_argument("--uid", type=int, help="run the command as this user (root only)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.inside:
        inside(options)
    namespaces = ["-n", "-m"] if os.geteuid() == 0 else ["-U", "-r", "-n", "-m"]
    arguments = ["--log", options.log]
    if options.uid is not None:
        arguments += ["--uid", str(options.uid)]
    os.execvp("unshare", ["unshare", *namespaces, "--", sys.executable, os.path.abspath(__file__),
                          "--inside", *arguments, "--", *options.command])


if __name__ == "__main__":
    main()
