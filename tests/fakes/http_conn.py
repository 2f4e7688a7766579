"""One accepted connection of a fake server, down to the byte.

http.server would be shorter, but it will not send broken chunks, half a header or a TCP reset, and
it does not notice that a client left while nothing is being written. Faults are what fakes are for.
"""

import contextlib
import json
import select
import socket
import struct
import time

MAX_HEAD = 1 << 20
MAX_BODY = 1 << 28


class ClientLeft(Exception):
    """The client closed its side before the answer was complete."""


class Stopped(Exception):
    """The fake itself is being stopped."""


class Conn:
    def __init__(self, sock, stop_fd):
        self.sock = sock
        self.stop_fd = stop_fd
        self.buffer = b""
        self.chunked = False

    # -- reading ----------------------------------------------------------------------------------

    def _more(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise ClientLeft
        self.buffer += data

    def read_head(self):
        """(method, path, [(name, value)]) or None when the client has no further request."""
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > MAX_HEAD:
                raise ValueError("request head too large")
            try:
                self._more()
            except ClientLeft:
                if self.buffer:
                    raise
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, version = lines[0].split(" ")
        if version != "HTTP/1.1":
            raise ValueError(f"not HTTP/1.1: {lines[0]!r}")
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise ValueError(f"bad header line {line!r}")
            fields.append((name, value.strip()))
        return method, path, fields

    def _read_exactly(self, size):
        if size > MAX_BODY:
            raise ValueError("request body too large")
        parts, have = [self.buffer], len(self.buffer)
        while have < size:
            data = self.sock.recv(1 << 18)
            if not data:
                raise ClientLeft
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.buffer = whole[size:]
        return whole[:size]

    def _read_line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def read_body(self, headers):
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            parts = []
            while size := int(self._read_line().split(b";")[0], 16):
                parts.append(self._read_exactly(size))
                self._read_line()
            while self._read_line():
                pass
            return b"".join(parts)
        return self._read_exactly(int(headers.get("content-length", "0")))

    # -- writing ----------------------------------------------------------------------------------

    def write(self, data):
        """Bytes as they are, whatever framing is on."""
        self.sock.sendall(data)

    @contextlib.contextmanager
    def at_once(self):
        """What is written meanwhile leaves in one piece: no reader, however quick, sees a part."""
        kept = bytearray()
        self.write = kept.extend
        try:
            yield
        finally:
            del self.write
            self.write(bytes(kept))

    def head(self, status, fields, reason="Fake"):
        lines = [f"HTTP/1.1 {status} {reason}"] + [f"{name}: {value}" for name, value in fields]
        self.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    def answer(self, status, body, kind="application/json", fields=()):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode("utf-8")
        self.head(status, [("Content-Type", kind), ("Content-Length", len(body)), *fields])
        self.write(body)

    def start_chunked(self, status=200, kind="text/event-stream", fields=()):
        self.head(status, [("Content-Type", kind), ("Cache-Control", "no-cache"),
                           ("Transfer-Encoding", "chunked"), *fields])
        self.chunked = True

    def start_until_close(self, status=200, kind="text/event-stream", fields=()):
        """A body that ends when the connection does: a cut looks like an end."""
        self.head(status, [("Content-Type", kind), ("Connection", "close"), *fields])
        self.chunked = False

    def send(self, data):
        """One piece of the body under the framing that was started."""
        if data:
            self.write(frame(data) if self.chunked else data)

    def end(self):
        if self.chunked:
            self.write(b"0\r\n\r\n")
            self.chunked = False

    # -- waiting and breaking ---------------------------------------------------------------------

    def wait(self, seconds, also=None):
        """Wait; ClientLeft as soon as the client leaves. `also`: an Event that ends the wait."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if also is not None and also.is_set():
                return
            step = min(left, 0.02) if also is not None else left
            ready, _, _ = select.select([self.sock, self.stop_fd], [], [], step)
            if self.stop_fd in ready:
                raise Stopped
            if self.sock in ready:
                data = self.sock.recv(1 << 16)
                if not data:
                    raise ClientLeft
                self.buffer += data

    def reset(self):
        """RST instead of FIN: a process that died, a NAT entry that is gone."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def cut(self):
        """FIN in the middle of whatever was being said, without a TLS goodbye."""
        try:
            raw = socket.socket(fileno=self.sock.detach())
        except OSError:
            return
        raw.close()


def frame(data):
    return b"%x\r\n%s\r\n" % (len(data), data)
