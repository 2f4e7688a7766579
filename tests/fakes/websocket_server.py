#!/usr/bin/python3
"""WebSocket servers (RFC 6455) for tests of a client: a real one, and one that misbehaves.

    websocket_server.py [--tls [KIND]] [--port N]

prints the port on its first line; with --tls, the file of the authority on its second. It serves
127.0.0.1 until it gets SIGTERM or SIGINT, or until its standard input ends when --until-eof is
given, so that a test which crashes leaves no server behind.

The path of the URL chooses what happens. These are answered by Debian's python3-websockets:

    /echo           each message comes back, of its own kind; a query is allowed ("/echo?v=10")
    /head           the first message is the request's head, as a JSON object of lower-case names
    /big/N          the first message is N bytes of text: 0123456789012...
    /binary/N       the first message is N bytes: 0, 1 ... 255, 0 ...
    /burst/N        N messages at once, "0", "1" ..., then it echoes
    /fragments      each message comes back in fragments of one byte or character
    /ping           sends a ping with every message and echoes it once the pong has come
    /close/CODE     closes with this code and the reason "as you wish" after the first message
    /leave          closes with 1001 at once

It picks the subprotocol "hermes.test" if that is offered, fails a connection whose frames are not
masked (1002) or whose text is not UTF-8 (1007), and compresses nothing.

The paths of the misbehaving server are those of websocket_faults.FAULTS, which says of each what
the client should make of it. At the end of each of its connections one line of standard output
says what the client did last:

    PATH close CODE    it sent a close frame with this code (1005: without any)
    PATH fin           it ended the connection without a close frame
    PATH reset         it reset the connection
    PATH unmasked      it sent a frame without a mask
    PATH broken TEXT   it sent something that is no frame
    PATH late          it did none of these within 20 seconds
"""

import argparse
import asyncio
import contextlib
import json
import pathlib
import re
import select
import signal
import socket
import ssl
import sys
import threading

import websockets

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import tls_files  # noqa: E402
import websocket_faults  # noqa: E402

HOST = "127.0.0.1"
MOST = 64 << 20     # bytes of a message that is echoed, and of one that is asked for
DIGITS = "0123456789"


# -- the real server ------------------------------------------------------------------------------

async def echo(socket_, _):
    async for message in socket_:
        await socket_.send(message)


async def head(socket_, _):
    # Releases of the library before 13 have the one, later ones the other.
    request = getattr(socket_, "request", None)
    fields = (request.headers if request else socket_.request_headers).raw_items()
    await socket_.send(json.dumps({name.lower(): value for name, value in fields}))
    await echo(socket_, None)


async def big(socket_, number):
    await socket_.send((DIGITS * (number // 10 + 1))[:number])
    await echo(socket_, None)


async def binary(socket_, number):
    await socket_.send((bytes(range(256)) * (number // 256 + 1))[:number])
    await echo(socket_, None)


async def burst(socket_, number):
    for one in range(number):
        await socket_.send(str(one))
    await echo(socket_, None)


async def fragments(socket_, _):
    async for message in socket_:
        pieces = [message[at:at + 1] for at in range(len(message))]
        await socket_.send(pieces or [message])


async def ping(socket_, _):
    async for message in socket_:
        await (await socket_.ping(b"are you there"))
        await socket_.send(message)


async def close(socket_, number):
    await socket_.recv()
    await socket_.close(number, "as you wish")


async def leave(socket_, _):
    await socket_.close(1001, "going away")


REAL = {"echo": echo, "head": head, "big": big, "binary": binary, "burst": burst,
        "fragments": fragments, "ping": ping, "close": close, "leave": leave}


async def converse(socket_, *_):
    request = getattr(socket_, "request", None)
    name, number = split(request.path if request else socket_.path)
    with contextlib.suppress(websockets.ConnectionClosed):
        await REAL[name](socket_, number)


async def serve_really(ready):
    async with websockets.serve(converse, HOST, 0, compression=None, max_size=MOST,
                                ping_interval=None, subprotocols=["hermes.test"]) as server:
        ready(server.sockets[0].getsockname()[1])
        await asyncio.Future()


def start_real():
    """The port of the real server, in a thread of its own."""
    ports, known = [], threading.Event()

    def ready(port):
        ports.append(port)
        known.set()
    threading.Thread(target=lambda: asyncio.run(serve_really(ready)), daemon=True).start()
    if not known.wait(20):
        sys.exit("websocket_server: the library's server did not start")
    return ports[0]


# -- one port for both ----------------------------------------------------------------------------

def split(path):
    """("close", 1000) of "/close/1000?query"; the number is 0 where there is none."""
    name, _, number = path.partition("?")[0].strip("/").partition("/")
    return name, int(number) if re.fullmatch(r"\d{1,9}", number) else 0


class Front:
    """Reads the head of each connection, and gives it to the one server or the other."""

    def __init__(self, port, tls):
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls_files.leaf(tls))
        self.real_port = start_real()
        self.listener = socket.create_server((HOST, port), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            sock.settimeout(20)
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            stack.enter_context(sock)
            request = websocket_faults.read_head(sock)
            path = request.split(b" ")[1].decode("latin-1") if request.count(b" ") > 1 else "/"
            name, number = split(path)
            if name in REAL:
                relay(sock, self.real_port, request)
            elif name in websocket_faults.FAULTS:
                print(path, websocket_faults.play(name, number, sock, request), flush=True)
            else:
                sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def relay(client, port, first):
    """Passes bytes on in both directions until one side ends."""
    client.settimeout(None)
    with socket.create_connection((HOST, port)) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.sendall(first)
        other = {client: server, server: client}
        while True:
            for one in select.select([client, server], [], [])[0]:
                data = one.recv(1 << 16)
                while pending := one.pending() if isinstance(one, ssl.SSLSocket) else 0:
                    data += one.recv(pending)
                if not data:
                    return
                other[one].sendall(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    parser.add_argument("--tls", nargs="?", const="good", choices=tls_files.KINDS)
    parser.add_argument("--until-eof", action="store_true",
                        help="also end when standard input does")
    options = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    front = Front(options.port, options.tls)
    print(front.port, flush=True)
    if options.tls:
        print(tls_files.ca_file(), flush=True)
    if options.until_eof:
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), done.set()), daemon=True).start()
    done.wait()


if __name__ == "__main__":
    main()
