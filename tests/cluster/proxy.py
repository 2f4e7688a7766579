"""A small forward proxy, so that build pods reach package servers from a node without a way out.

    with Proxy('10.99.0.254', 3128) as proxy:
        environment = {'HTTP_PROXY': proxy.url}

It does what apt and npm ask of one: `GET http://…` and its kin, and CONNECT. It listens where only
the test node is, and keeps a list of the hosts that were asked for (`proxy.asked`), so that a test
can tell that a second build asked nobody.

One connection carries one exchange: a client that wants another opens another.
"""
import contextlib
import select
import socket
import socketserver
import sys
import threading
import urllib.parse

CONNECT_SECONDS = 30
IDLE_SECONDS = 300
HEAD_LIMIT = 64 << 10
CHUNK = 64 << 10
# Of the connection to the proxy and not of the request, so not handed on.
OURS = {'proxy-connection', 'connection', 'keep-alive', 'proxy-authorization'}


class Refused(Exception):
    """What the client gets instead of an answer from outside."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def read_head(stream):
    """The bytes up to the empty line, and those that came after it."""
    head = b''
    while b'\r\n\r\n' not in head:
        part = stream.recv(CHUNK)
        if not part:
            raise Refused('', 'the client went away')
        head += part
        if len(head) > HEAD_LIMIT:
            raise Refused('431 Request Header Fields Too Large', 'the request head is too long')
    head, _, rest = head.partition(b'\r\n\r\n')
    return head.decode('latin-1').split('\r\n'), rest


def dial(host, port):
    try:
        return socket.create_connection((host, port), CONNECT_SECONDS)
    except OSError as error:
        raise Refused('502 Bad Gateway', f'{host}:{port}: {error}') from None


def splice(left, right):
    """Carries bytes both ways until one side has said all and the other has heard it."""
    peers = {left: right, right: left}
    reading = [left, right]
    while reading:
        ready, _, _ = select.select(reading, [], [], IDLE_SECONDS)
        if not ready:
            return
        for source in ready:
            data = source.recv(CHUNK)
            if data:
                peers[source].sendall(data)
                continue
            reading.remove(source)
            with contextlib.suppress(OSError):
                peers[source].shutdown(socket.SHUT_WR)
            if source is right:             # the server has answered; nobody waits for more
                return


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.exchange()
        except Refused as refused:
            if refused.status:
                body = f'proxy: {refused}\n'
                answer = (f'HTTP/1.1 {refused.status}\r\nContent-Type: text/plain\r\n'
                          f'Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}')
                with contextlib.suppress(OSError):
                    self.request.sendall(answer.encode())
        except OSError:
            pass                            # either side hung up: its own affair

    def exchange(self):
        self.request.settimeout(IDLE_SECONDS)
        (first, *fields), rest = read_head(self.request)
        words = first.split()
        if len(words) != 3:
            raise Refused('400 Bad Request', f'this is no request: {first}')
        if words[0] == 'CONNECT':
            self.tunnel(words[1], rest)
        else:
            self.forward(words, fields, rest)

    def tunnel(self, target, rest):
        host, _, port = target.rpartition(':')
        if not host or not port.isdigit():
            raise Refused('400 Bad Request', f'this is no HOST:PORT: {target}')
        with self.server.outside(host.strip('[]'), int(port)) as server:
            self.request.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')
            server.sendall(rest)
            splice(self.request, server)

    def forward(self, words, fields, rest):
        method, target, version = words
        url = urllib.parse.urlsplit(target)
        if url.scheme != 'http' or not url.hostname:
            raise Refused('400 Bad Request', f'only http:// URLs and CONNECT, not {target}')
        path = urllib.parse.urlunsplit(('', '', url.path or '/', url.query, ''))
        kept = [field for field in fields if field.partition(':')[0].lower() not in OURS]
        head = '\r\n'.join([f'{method} {path} {version}', *kept, 'Connection: close', '', ''])
        with self.server.outside(url.hostname, url.port or 80) as server:
            server.sendall(head.encode('latin-1') + rest)
            splice(self.request, server)


class Proxy(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, port=0):
        super().__init__((address, port), Handler)
        self.asked = []                 # (host, port), in order
        host, port = self.server_address
        self.url = f'http://{host}:{port}'

    def outside(self, host, port):
        self.asked.append((host, port))
        return dial(host, port)

    def handle_error(self, request, client_address):
        print(f'proxy: {client_address[0]}: {sys.exc_info()[1]!r}', file=sys.stderr)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
