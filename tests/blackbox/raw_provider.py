"""A provider down to its sockets, for tests of how connections live and die."""

import contextlib
import json
import socket
import threading

ANSWER = json.dumps({
    "id": "a", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"},
                 "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WITH_LENGTH = HEAD + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER


def read_request(sock):
    """Reads one request, and tells whether there was one."""
    got = b""
    while b"\r\n\r\n" not in got:
        if not (piece := sock.recv(65536)):
            return False
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        if not (piece := sock.recv(65536)):
            return False
        body += piece
    return True


@contextlib.contextmanager
def provider(serve):
    """Its port; `serve(socket)` is called for each connection, on a thread of its own."""
    def guarded(sock):
        with contextlib.suppress(OSError), sock:
            serve(sock)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=guarded, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
