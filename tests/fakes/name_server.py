"""A name server (RFC 1035) over UDP and TCP that knows what a test tells it, and misbehaves.

A closed port is no substitute for a dead one: the kernel answers for it, and the resolver gives up
at once. What hurts in real life is a server that swallows the question, for 10 to 30 seconds.

resolv.conf knows no ports, so this one needs port 53, and thus a network of its own:

    with Network() as network, NameServer(network, {"fake.test": ["192.0.2.1"]}) as names:
        ...
        assert ("fake.test", "A") in names.questions

The value of a name is a list of addresses, or one of

    SILENT       no answer
    HELD         no answer before release() is called; then that it has no address
    SERVFAIL, NXDOMAIN, REFUSED, the code that is answered
    Truncated([...])   over UDP only the word that there is more; over TCP the addresses
    GARBAGE      bytes that are no answer

A name that is not listed does not exist.
"""

import ipaddress
import socket
import struct
import threading

SILENT, HELD, GARBAGE = "silent", "held", "garbage"
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5
TYPES = {1: "A", 28: "AAAA"}
ANSWERED, TRUNCATED = 0x8180, 0x0200


class Truncated(list):
    """Addresses that are told over TCP alone."""


class NameServer:
    def __init__(self, network, names=(), address="127.0.0.1", default=NXDOMAIN):
        self.names = {name.lower(): what for name, what in dict(names).items()}
        self.default = default
        self.questions = []         # (name, type), in the order of their coming
        self.over_tcp = []
        self.answered = []          # those that were
        self.released = threading.Event()
        self.came = threading.Condition()
        self.udp = network.udp(address)
        self.tcp = network.listen(address, 53)

    def __enter__(self):
        for loop in (self._datagrams, self._connections):
            threading.Thread(target=loop, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        for sock in (self.udp, self.tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def asked(self, name):
        return any(name == question for question, _ in self.questions)

    def wait_asked(self, name, seconds=60):
        with self.came:
            return self.came.wait_for(lambda: self.asked(name), seconds)

    def release(self):
        self.released.set()

    # -- the wire ---------------------------------------------------------------------------------

    def _datagrams(self):
        while True:
            try:
                packet, sender = self.udp.recvfrom(65536)
            except OSError:
                return
            if not packet:      # shut down
                return
            threading.Thread(target=self._datagram, args=(packet, sender), daemon=True).start()

    def _datagram(self, packet, sender):
        answer = self._answer(packet, over_tcp=False)
        if answer:
            try:
                self.udp.sendto(answer, sender)
            except OSError:
                pass

    def _connections(self):
        while True:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(sock,), daemon=True).start()

    def _connection(self, sock):
        with sock:
            try:
                while (size := sock.recv(2, socket.MSG_WAITALL)) and len(size) == 2:
                    packet = sock.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)
                    if answer := self._answer(packet, over_tcp=True):
                        sock.sendall(struct.pack(">H", len(answer)) + answer)
            except OSError:
                pass

    def _answer(self, packet, over_tcp):
        name, kind, question = read_question(packet)
        with self.came:
            self.questions.append((name, TYPES.get(kind, str(kind))))
            if over_tcp:
                self.over_tcp.append(name)
            self.came.notify_all()
        what = self.names.get(name.lower(), self.default)
        if what == SILENT:
            return None
        if what == HELD:
            self.released.wait()
            what = []
        self.answered.append(name)
        if what == GARBAGE:
            return packet[:2] + b"\xff" * 40
        if isinstance(what, int):
            return head(packet, ANSWERED | what) + question
        if isinstance(what, Truncated) and not over_tcp:
            return head(packet, ANSWERED | TRUNCATED) + question
        records = [record(kind, address) for address in what
                   if {4: 1, 6: 28}[ipaddress.ip_address(address).version] == kind]
        return head(packet, ANSWERED, len(records)) + question + b"".join(records)


def head(packet, flags, answers=0):
    return packet[:2] + struct.pack(">HHHHH", flags, 1, answers, 0, 0)


def record(kind, address):
    packed = ipaddress.ip_address(address).packed
    return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(packed)) + packed


def read_question(packet):
    """(name, type, the bytes of the question)."""
    labels, at = [], 12
    while at < len(packet) and packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels), int.from_bytes(packet[at + 1:at + 3], "big"), packet[12:at + 5]
