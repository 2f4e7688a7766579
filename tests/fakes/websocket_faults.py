"""A WebSocket server that breaks RFC 6455, or keeps it in ways that few servers do.

FAULTS maps the first part of a URL's path to what is then sent. What a client should make of it:

    delivers TEXT      the message arrives; "delivers A, B" are two messages
    fails CODE         the client fails the connection, with this close code in its close frame
    refuses            the handshake is refused: nothing is to be sent after it
    lost               the connection was lost without a close frame (1006 for the application)
    closed CODE        a clean close with this code
"""

import base64
import hashlib
import socket
import struct
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MOST_HEAD = 1 << 16
PATIENCE = 20           # seconds for whatever the client should do
ANSWER = "The answer is 42."
EURO = "€".encode()     # three bytes


class Broken(Exception):
    """What the client sent is no frame."""


# -- frames ---------------------------------------------------------------------------------------

def frame(opcode, payload=b"", fin=True, bits=0, mask=None, length=None, form=None):
    """One frame. `length` overrides the length that is told, `form` (7, 16, 64) how."""
    told = len(payload) if length is None else length
    form = form or (7 if told < 126 else 16 if told < 1 << 16 else 64)
    first = (0x80 if fin else 0) | bits << 4 | opcode
    bit = 0x80 if mask else 0
    lengths = {7: struct.pack(">B", bit | told & 127),
               16: struct.pack(">BH", bit | 126, told & 65535),
               64: struct.pack(">BQ", bit | 127, told)}
    if mask:
        payload = mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([first]) + lengths[form] + payload


def text(message, **more):
    return frame(TEXT, message if isinstance(message, bytes) else message.encode(), **more)


def close(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


WHOLE = text(ANSWER)
GOODBYE = close(1000, b"bye")
SESSION = (frame(PING, b"p") + text("first") + frame(TEXT, b"sec", fin=False) + frame(PONG, b"q")
           + frame(0, b"ond") + frame(BINARY, bytes(range(200))) + GOODBYE)


# -- the handshake --------------------------------------------------------------------------------

def read_head(sock):
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MOST_HEAD:
        data = sock.recv(4096)
        if not data:
            break
        head += data
    return head


def accept_key(request):
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"sec-websocket-key":
            return base64.b64encode(hashlib.sha1(value.strip() + GUID).digest())
    return b"no key came"


def switching(request, *fields, accept=True, upgrade=b"websocket", connection=b"Upgrade"):
    """The head of the server's answer."""
    lines = [b"HTTP/1.1 101 Switching Protocols"]
    lines += [b"Upgrade: " + upgrade] if upgrade else []
    lines += [b"Connection: " + connection] if connection else []
    lines += [b"Sec-WebSocket-Accept: " + accept_key(request)] if accept else []
    return b"\r\n".join([*lines, *fields]) + b"\r\n\r\n"


# -- what is sent ---------------------------------------------------------------------------------

class Peer:
    def __init__(self, sock, request, number):
        self.sock, self.request, self.number = sock, request, number

    def open(self, *fields, **more):
        self.sock.sendall(switching(self.request, *fields, **more))

    def say(self, *pieces):
        self.open()
        self.sock.sendall(b"".join(pieces))


def frames(*pieces):
    """A fault that is a sequence of frames behind a handshake that is in order."""
    return lambda peer: peer.say(*pieces)


def handshake(*fields, **more):
    return lambda peer: peer.open(*fields, **more)


def refuse(peer):
    reason = b"<html>sorry</html>"
    peer.sock.sendall(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\nRetry-After: 7\r\n\r\n%s"
                      % (peer.number or 403, len(reason), reason))


def head_endless(peer):
    peer.sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        peer.sock.sendall(b"X-More: " + b"a" * 4000 + b"\r\n")


def head_with_frames(peer):
    peer.sock.sendall(switching(peer.request) + WHOLE + GOODBYE)


def bytewise(peer):
    for byte in switching(peer.request) + SESSION:
        peer.sock.sendall(bytes([byte]))
        time.sleep(0.0005)  # a segment of its own, with TCP_NODELAY


def endless(piece):
    """As long as the client takes it."""
    def fault(peer):
        peer.open()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            peer.sock.sendall(piece * 256)
    return fault


def endless_message(peer):
    peer.say(frame(TEXT, b"a" * 60000, fin=False))
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        peer.sock.sendall(frame(0, b"a" * 60000, fin=False))


def huge(peer):
    """A frame of N bytes, all of which come."""
    peer.say(frame(BINARY, length=peer.number))
    for at in range(0, peer.number, 1 << 16):
        peer.sock.sendall(b"a" * min(1 << 16, peer.number - at))
    peer.sock.sendall(WHOLE)


def pings(peer):
    """N pings, and the message when all N pongs have come."""
    peer.open()
    count = peer.number or 100
    peer.sock.sendall(b"".join(frame(PING, b"%d" % one) for one in range(count)))
    for one in range(count):
        opcode, payload = read_frame(peer.sock)
        if (opcode, payload) != (PONG, b"%d" % one):
            raise Broken(f"no pong {one} but {opcode} {payload[:20]!r}")
    peer.sock.sendall(WHOLE + GOODBYE)


def close_code(peer):
    peer.say(close(peer.number))


def deaf(peer):
    """Answers no close frame, and stays."""
    peer.say(WHOLE)
    while read_frame(peer.sock)[0] != CLOSE:
        pass
    silence(peer)


def cut(peer):
    """The first N bytes of frames that are in order, then FIN."""
    peer.say(SESSION[:peer.number])
    peer.sock.shutdown(socket.SHUT_WR)


def reset(peer):
    peer.say(SESSION[:peer.number])
    time.sleep(0.1)  # else the reset overtakes what it should follow
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.sock.close()


def silence(peer):
    """Nothing more, until the client ends it."""
    peer.sock.settimeout(PATIENCE)
    while peer.sock.recv(4096):
        pass


FAULTS = {
    # The handshake.
    "refuse": refuse,                                        # refuses; /refuse/STATUS
    "wrong-accept": handshake(b"Sec-WebSocket-Accept: " + base64.b64encode(bytes(20)),
                              accept=False),                 # refuses
    "no-accept": handshake(accept=False),                    # refuses
    "no-upgrade": handshake(upgrade=None),                   # refuses
    "other-upgrade": handshake(upgrade=b"h2c"),              # refuses
    "no-connection": handshake(connection=None),             # refuses
    "extension": handshake(b"Sec-WebSocket-Extensions: permessage-deflate"),  # refuses
    "subprotocol": handshake(b"Sec-WebSocket-Protocol: never.offered"),       # refuses
    "head-endless": head_endless,                            # refuses, at a limit
    "head-silent": silence,                                  # refuses, at a time limit
    "head-frames": head_with_frames,                         # delivers ANSWER, closed 1000
    "any-case": lambda peer: (peer.open(upgrade=b"WebSocket", connection=b"keep-alive, UPGRADE"),
                              peer.sock.sendall(WHOLE + GOODBYE)),  # delivers ANSWER, closed 1000
    # Frames that RFC 6455 forbids.
    "masked": frames(text(ANSWER, mask=b"\1\2\3\4")),        # fails 1002
    "reserved-bit": frames(text(ANSWER, bits=4)),            # fails 1002
    "reserved-opcode": frames(frame(3, b"?")),               # fails 1002
    "reserved-control": frames(frame(11, b"?")),             # fails 1002
    "length-sign": frames(text(ANSWER, length=1 << 63, form=64)),     # fails 1002
    "length-longer": frames(text(ANSWER, form=16)),          # fails 1002 (not the shortest form),
    "length-longest": frames(text(ANSWER, form=64)),         # though many clients deliver these
    "ping-large": frames(frame(PING, b"a" * 126)),           # fails 1002
    "ping-fragment": frames(frame(PING, b"a", fin=False)),   # fails 1002
    "continuation": frames(frame(0, b"of nothing")),         # fails 1002
    "interleaved": frames(frame(TEXT, b"a", fin=False), text("b")),   # fails 1002
    "utf8": frames(text(b"\xc3\x28")),                       # fails 1007
    "utf8-cut": frames(text(EURO[:2])),                      # fails 1007
    "utf8-surrogate": frames(text(b"\xed\xa0\x80")),         # fails 1007
    "utf8-fragment": frames(frame(TEXT, EURO[:1], fin=False), frame(0, b"x")),  # fails 1007
    # Sizes.
    "length-huge": frames(text(b"", length=1 << 40)),        # fails 1009, at once
    "length-max": frames(text(b"", length=(1 << 63) - 1)),   # fails 1009, at once
    "huge": huge,                                            # fails 1009; /huge/N
    "endless-message": endless_message,                      # fails 1009
    "endless-pings": endless(frame(PING)),                   # takes no more memory with time
    "endless-empty": endless(frame(0, fin=False)),           # fails 1002: of nothing
    # Rare, and in order.
    "control-between": frames(frame(TEXT, b"The answer", fin=False), frame(PING, b"1"),
                              frame(0, b" is ", fin=False), frame(PONG), frame(0, b"42."),
                              GOODBYE),                      # delivers ANSWER, closed 1000
    "utf8-split": frames(frame(TEXT, b"5 " + EURO[:1], fin=False), frame(PING),
                         frame(0, EURO[1:2], fin=False), frame(0, EURO[2:]),
                         GOODBYE),                           # delivers "5 €", closed 1000
    "empty-fragments": frames(frame(TEXT, fin=False), *[frame(0, fin=False)] * 1000,
                              frame(0, ANSWER.encode()), GOODBYE),  # delivers ANSWER, closed 1000
    "empty": frames(text(""), GOODBYE),                      # delivers "", closed 1000
    "length-125": frames(text("a" * 125), GOODBYE),          # delivers 125 bytes, closed 1000
    "length-126": frames(text("a" * 126), GOODBYE),
    "length-65535": frames(text("a" * 65535), GOODBYE),
    "length-65536": frames(text("a" * 65536), GOODBYE),
    "pings": pings,                                          # delivers ANSWER; /pings/N
    "pong": frames(frame(PONG, b"unasked"), WHOLE, GOODBYE),   # delivers ANSWER, closed 1000
    "bytewise": bytewise,            # delivers "first", "second", 200 bytes, closed 1000
    # Ends.
    "bye": frames(WHOLE, GOODBYE),                           # delivers ANSWER, closed 1000
    "close-code": close_code,        # /close-code/CODE: fails 1002 when no endpoint may send it
    "close-empty": frames(frame(CLOSE)),                     # closed 1005
    "close-byte": frames(frame(CLOSE, b"\3")),               # fails 1002
    "close-utf8": frames(close(1000, b"\xc3\x28")),          # fails 1007
    "close-long": frames(close(1000, b"a" * 123)),           # closed 1000
    "close-then-data": frames(WHOLE, GOODBYE, text("too late")),   # delivers ANSWER alone
    "deaf": deaf,                                            # its close ends at a time limit
    "cut": cut,                                              # lost; /cut/N
    "reset": reset,                                          # lost; /reset/N
    "silence": lambda peer: (peer.open(), silence(peer)),    # nothing happens
}


# -- what comes back ------------------------------------------------------------------------------

def receive(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_frame(sock):
    """(opcode, payload) of the client's next frame."""
    first, second = receive(sock, 2)
    if first & 0x70 or first & 15 not in (0, TEXT, BINARY, CLOSE, PING, PONG):
        raise Broken(f"first byte {first:#x}")
    length = second & 127
    if length > 125:
        length = int.from_bytes(receive(sock, 2 if length == 126 else 8), "big")
    if not second & 0x80:
        raise Broken("unmasked")
    if length > 64 << 20:
        raise Broken(f"{length} bytes")
    mask = receive(sock, 4)
    return first & 15, bytes(byte ^ mask[at % 4] for at, byte in enumerate(receive(sock, length)))


def watch(sock):
    while True:
        opcode, payload = read_frame(sock)
        if opcode == CLOSE:
            return f"close {int.from_bytes(payload[:2], 'big') if payload else 1005}"


def play(name, number, sock, request):
    """Runs a fault; what the client did last."""
    try:
        FAULTS[name](Peer(sock, request, number))
        if sock.fileno() < 0:
            return "reset by us"
        sock.settimeout(PATIENCE)
        return watch(sock)
    except EOFError:
        return "fin"
    except (ConnectionResetError, BrokenPipeError):
        # It may have sent a close frame first, which still can be read.
        return leftover(sock)
    except TimeoutError:
        return "late"
    except Broken as problem:
        return "unmasked" if str(problem) == "unmasked" else f"broken {problem}"


def leftover(sock):
    try:
        return watch(sock)
    except EOFError:
        return "fin"
    except (OSError, Broken):
        return "reset"
