#!/usr/bin/env python3
"""A web server that misbehaves: what web tools meet outside.

    with WebServer() as web:
        web.pages["/x"] = html("<p>hello")
        ... web.url("/x") ...
        assert web.requests[0].path == "/x"

A page is bytes that are sent as they are, or a function that gets the Conn and the Request. What is
not listed is 404.
"""

import argparse
import dataclasses
import select
import socket
import threading
import time

from http_conn import ClientLeft, Conn, Stopped

PIECE = 1 << 16


@dataclasses.dataclass
class Request:
    method: str
    path: str           # with its query
    headers: dict       # names in lower case
    body: bytes
    came: float


def answer(body=b"", kind="text/html; charset=utf-8", status="200 OK", **fields):
    """`fields`: content_encoding="gzip" is a header Content-Encoding."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def html(body, **more):
    return answer(body, **more)


def redirect(to, status="302 Found"):
    return answer(b"elsewhere", status=status, location=to)


def endless(kind="text/html"):
    """A body that never ends, as fast as it is read."""
    def send(conn, _):
        conn.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n<p>".encode())
        while True:
            conn.write(b"on and on, " * 4096)
    return send


def silent(conn, _):
    """No answer at all."""
    while True:
        if select.select([conn.sock], [], [], 0.1)[0]:
            raise ClientLeft


def dripping(conn, _):
    """A head, and then a byte now and then."""
    conn.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while True:
        conn.write(b"x")
        time.sleep(0.2)


class WebServer:
    def __init__(self, pages=(), listener=None):
        self.pages = dict(pages)
        self.requests = []
        self.came = threading.Condition()
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self.listener.getsockname()[:2]
        self.stopper, self.stop_fd = socket.socketpair()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopper.close()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def url(self, path="/", host=None):
        host = host or self.host
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"http://{host}:{self.port}{path}"

    def paths(self):
        return [request.path for request in self.requests]

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            conn = Conn(sock, self.stop_fd)
            try:
                while self._one(conn):
                    pass
            except (OSError, ValueError, ClientLeft, Stopped):
                pass

    def _one(self, conn):
        head = conn.read_head()
        if not head:
            return False
        method, path, fields = head
        headers = {name.lower(): value for name, value in fields}
        request = Request(method, path, headers, conn.read_body(headers), time.monotonic())
        with self.came:
            self.requests.append(request)
            self.came.notify_all()
        page = self.pages.get(path, self.pages.get(path.partition("?")[0]))
        page = page or answer("<p>nothing here", status="404 Not Found")
        if callable(page):
            page(conn, request)
            return False
        conn.write(page)
        return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    with WebServer({"/": html("<title>A page</title><h1>It works</h1><a href=/x>x</a>")},
                   socket.create_server(("127.0.0.1", given.port))) as server:
        print(server.url())
        threading.Event().wait()
