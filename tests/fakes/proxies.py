"""Proxies of every kind: over HTTP (RFC 9110), over HTTPS, and SOCKS 5 (RFC 1928, 1929).

    with Proxy(tls="good", user="me:secret") as proxy:
        ... f"https://me:secret@127.0.0.1:{proxy.port}" ...
        assert proxy.heads[0].startswith("CONNECT ")

Microsocks is not ours; SocksProxy is, because it shows what it was asked, and can misbehave.
"""

import base64
import contextlib
import select
import socket
import ssl
import struct
import subprocess
import threading
import time

import tls_files
from ports import free_port


class _Server:
    """Accepts, and calls serve() for each connection on a thread of its own."""

    def __init__(self, listener=None, connect=socket.create_connection):
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connect = connect          # ((host, port)): how it reaches the server
        self.sockets, self.connections, self.passed = [], 0, bytearray()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.sockets.append(client)
            threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client):
        with contextlib.suppress(OSError, EOFError), client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.serve(client)

    def end_all(self):
        """Ends every connection, and goes on serving."""
        ended, self.sockets = self.sockets, []
        for one in ended:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def reach(self, host, port):
        server = self.connect((host, port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(server)
        return server

    def relay(self, client, server):
        """Until one side ends; what the client said is kept."""
        other = {client: server, server: client}
        while True:
            for one in select.select([client, server], [], [])[0]:
                piece = one.recv(65536)
                while pending := one.pending() if isinstance(one, ssl.SSLSocket) else 0:
                    piece += one.recv(pending)
                if not piece:
                    return
                if one is client:
                    self.passed += piece
                other[one].sendall(piece)


class Proxy(_Server):
    """Takes CONNECT and absolute URLs, keeps each request's head, and passes the bytes on. With
    `user` ("name:password") it refuses who does not say so; `tls`: a kind of certificate."""

    def __init__(self, answer=None, tls=None, user=None, **more):
        super().__init__(**more)
        self.answer, self.user = answer, user       # answer: instead of passing anything on
        self.heads = []
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls_files.leaf(tls))

    def serve(self, client):
        if self.context:
            client = self.context.wrap_socket(client, server_side=True)
            self.sockets.append(client)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                return
            head += piece
        self.heads.append(head.split(b"\r\n\r\n")[0].decode())
        if self.answer is not None:
            client.sendall(self.answer)
        elif not self.knows(self.heads[-1]):
            client.sendall(b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=\"p\"\r\n"
                           b"Content-Length: 0\r\n\r\n")
        else:
            self.pass_on(client, head)
            return
        with contextlib.suppress(OSError):
            client.unwrap() if self.context else client.shutdown(socket.SHUT_WR)

    def knows(self, head):
        expected = base64.b64encode((self.user or "").encode()).decode()
        return not self.user or f"Proxy-Authorization: Basic {expected}" in head.split("\r\n")

    def pass_on(self, client, head):
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        where = target if method == "CONNECT" else target.split("/")[2]
        host, port = where.rsplit(":", 1)
        server = self.reach(host, int(port))
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
        else:
            lines = head.replace(f"http://{where}".encode(), b"", 1).split(b"\r\n")
            server.sendall(b"\r\n".join(line for line in lines
                                        if not line.lower().startswith(b"proxy-")))
        self.relay(client, server)


NO_METHOD, BY_PASSWORD = 0xFF, 2
IPV4, NAME, IPV6 = 1, 3, 4


class SocksProxy(_Server):
    """SOCKS 5. `names` maps the names that it is asked for to addresses. Each entry of `asked` is
    (kind of address, address, port). `fault` is one of

        int             the reply to each request: 1 general failure ... 8 address type
        "version"       answers as no SOCKS 5 proxy does
        "closed"        ends the connection after the greeting
        "silent"        never answers the greeting
        "bytewise"      none: but each byte is a segment of its own
    """

    def __init__(self, user=None, names=(), fault=None, **more):
        super().__init__(**more)
        self.user, self.names, self.fault = user, dict(names), fault
        self.asked, self.methods, self.users = [], [], []

    def say(self, client, data):
        for byte in data if self.fault == "bytewise" else ():
            client.sendall(bytes([byte]))
            time.sleep(0.002)
        if self.fault != "bytewise":
            client.sendall(data)

    def serve(self, client):
        version, count = receive(client, 2)
        self.methods.append(set(receive(client, count)))
        if self.fault == "silent":
            client.recv(1)
        if self.fault in ("silent", "closed") or version != 5:
            return
        if self.fault == "version":
            self.say(client, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        if self.authenticated(client):
            self.request(client)

    def authenticated(self, client):
        method = BY_PASSWORD if self.user else 0
        if method not in self.methods[-1]:
            self.say(client, bytes([5, NO_METHOD]))
            return False
        self.say(client, bytes([5, method]))
        if method == BY_PASSWORD:
            name = receive(client, receive(client, 2)[1])
            password = receive(client, receive(client, 1)[0])
            self.users.append((name + b":" + password).decode())
            right = self.users[-1] == self.user
            self.say(client, bytes([1, 0 if right else 1]))
            return right
        return True

    def request(self, client):
        _, _, _, kind = receive(client, 4)
        if kind == NAME:
            host = receive(client, receive(client, 1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == IPV4 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, receive(client, size))
        port = struct.unpack(">H", receive(client, 2))[0]
        self.asked.append((kind, host, port))
        if isinstance(self.fault, int):
            self.say(client, bytes([5, self.fault, 0, IPV4]) + bytes(6))
            return
        server = self.reach(self.names.get(host, host), port)
        self.say(client, bytes([5, 0, 0, IPV4]) + bytes(6))
        self.relay(client, server)


def receive(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class Microsocks:
    """Debian's microsocks. `user`: "name:password"."""

    def __init__(self, user=None):
        self.user = user

    def __enter__(self):
        self.port = free_port()
        command = ["microsocks", "-i", "127.0.0.1", "-p", str(self.port)]
        if self.user:
            name, _, password = self.user.partition(":")
            command += ["-u", name, "-P", password]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                assert time.monotonic() < until and self.process.poll() is None, "no microsocks"
                time.sleep(0.01)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
