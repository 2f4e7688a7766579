"""A kept connection that dies: however, and whenever it does, each request is read once at most by
a provider that could charge for it, and what provably never arrived goes out again.

The rules are those of docs/router.md: a request is repeated unseen only if the provider's FIN left
some of it unacknowledged. Whatever else ends it is an attempt with a row of its own in the ledger.
"""

import contextlib
import signal
import socket
import ssl
import struct
import threading
import time

import pytest
import tls_files
from harness import SOON, comes_true
from raw_provider import WITH_LENGTH, provider, read_request

pytestmark = pytest.mark.release

A_REQUEST = 300     # bytes: fewer than any request, more than what TLS says at an end
LARGE = 8 << 20     # more than the buffers of both sides hold


# -- how a provider ends a connection -------------------------------------------------------------

def fin(sock):
    """Without a word of TLS."""
    sock.shutdown(socket.SHUT_WR)


def rst(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def notify(sock):
    """TLS's close_notify, and nothing of TCP."""
    sock.settimeout(0)
    with contextlib.suppress(ssl.SSLError):     # the peer's own, or its data, has yet to be read
        sock.unwrap()


def notify_and_fin(sock):
    notify(sock)
    fin(sock)


ENDS = [(False, fin), (False, rst), (True, fin), (True, rst), (True, notify),
        (True, notify_and_fin)]
EACH_END = pytest.mark.parametrize(
    "secure,end", ENDS,
    ids=[f"{'tls' if secure else 'tcp'}-{end.__name__}" for secure, end in ENDS])


class Mortal:
    """Answers every request, but for what `first(sock)` does with the first connection after the
    first answer. `late` counts what still comes there after its end."""

    def __init__(self, secure, first):
        self.first, self.connections, self.read, self.late = first, 0, 0, 0
        self.lock, self.go, self.ended = threading.Lock(), threading.Event(), threading.Event()
        self.context = None
        if secure:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls_files.leaf("good"))

    def take(self, sock):
        if not read_request(sock):
            return False
        with self.lock:
            self.read += 1
        return True

    def answer(self, sock):
        if not self.take(sock):
            return False
        sock.sendall(WITH_LENGTH)
        return True

    def serve(self, raw):
        with self.lock:
            self.connections += 1
            first = self.connections == 1
        raw.settimeout(60)
        sock = self.context.wrap_socket(raw, server_side=True) if self.context else raw
        with sock:
            if not first:
                while self.answer(sock):
                    pass
            elif self.answer(sock):
                self.first(self, sock)
                self.ended.set()
                self.linger(sock)

    def linger(self, sock):
        """Counts the bytes that arrive below TLS, where nobody answers any more."""
        if sock.fileno() < 0:
            return
        with socket.socket(fileno=sock.detach()) as raw:
            raw.settimeout(60)
            while data := raw.recv(65536):
                self.late += len(data)


@contextlib.contextmanager
def mortal(router, secure, first, retries=0, router_settings=None, **more):
    server = Mortal(secure, first)
    with provider(server.serve) as port:
        if secure:
            router.hermes.environment["SSL_CERT_FILE"] = tls_files.ca_file()
        url = f"{'https' if secure else 'http'}://127.0.0.1:{port}/v1"
        router.start({"free": [router.deployment("m", api_base=url, **more)]}, num_retries=retries,
                     router=router_settings)
        assert router.ask().status == 200
        yield server


def statuses(router, answer):
    """What the ledger holds of each attempt."""
    rows = router.attempts(answer.headers["x-litellm-call-id"])
    return [row["status"] for row in rows]


def repeats(router):
    return router.metrics()["hermes_http_repeats_total"]


# -- before the next request ----------------------------------------------------------------------

@EACH_END
def test_an_end_before_the_next_request_is_noticed(router, secure, end):
    def first(server, sock):
        server.go.wait(60)
        end(sock)

    with mortal(router, secure, first) as server:
        server.go.set()
        assert server.ended.wait(60)
        time.sleep(0.1)     # it has arrived: a loopback takes microseconds
        answer = router.ask()
        assert answer.status == 200, answer.body
        assert statuses(router, answer) == [200]
        assert (server.read, server.connections) == (2, 2)
        assert server.late < A_REQUEST, "the request was sent where nobody reads it"
        assert repeats(router) == 0, "nothing had to be repeated"


@EACH_END
def test_an_end_together_with_the_next_request(router, secure, end):
    """Both are there when the program looks, in whichever order."""
    def first(server, sock):
        server.go.wait(60)
        end(sock)

    with mortal(router, secure, first, retries=1) as server:
        router.process.signal(signal.SIGSTOP)
        try:
            with router.open(stream=False) as sock:
                server.go.set()
                assert server.ended.wait(60)
                router.process.signal(signal.SIGCONT)
                assert b"200 OK" in sock.recv(15)
        finally:
            router.process.signal(signal.SIGCONT)
        assert server.read == 2 and server.connections == 2


# -- after the next request was sent --------------------------------------------------------------

@EACH_END
@pytest.mark.parametrize("retries,expected", [(0, [0]), (1, [0, 200])], ids=["once", "retry"])
def test_what_was_read_is_not_repeated_unseen(router, secure, end, retries, expected):
    def first(server, sock):
        if server.take(sock):
            end(sock)

    with mortal(router, secure, first, retries) as server:
        answer = router.ask()
        assert (answer.status == 200) == (retries > 0), answer.body
        assert statuses(router, answer) == expected
        assert server.read == 1 + len(expected)
        assert repeats(router) == 0


@pytest.mark.parametrize("secure,end", [(False, fin), (True, fin), (True, notify_and_fin)],
                         ids=["tcp-fin", "tls-fin", "tls-notify_and_fin"])
def test_what_never_arrived_goes_out_again(router, secure, end):
    """The FIN leaves most of the request unacknowledged: it is repeated, once and unseen."""
    def first(server, sock):
        server.go.wait(60)
        sock.recv(1)        # it is on its way
        end(sock)
        server.ended.set()
        comes_true(lambda: server.read == 2)    # reading on would acknowledge it

    with mortal(router, secure, first) as server:
        server.go.set()
        answer = router.ask(messages=[{"role": "user", "content": "a" * LARGE}])
        assert answer.status == 200, answer.body
        assert statuses(router, answer) == [200]
        assert (server.read, server.connections) == (2, 2)
        assert repeats(router) == 1


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_a_reset_amid_a_request_leads_to_one_that_is_read(router, secure):
    """Nobody can have read all of it: whether it is repeated unseen or as an attempt of its own."""
    def first(server, sock):
        sock.recv(1)
        rst(sock)

    with mortal(router, secure, first, retries=1) as server:
        answer = router.ask(messages=[{"role": "user", "content": "a" * LARGE}])
        assert answer.status == 200 and statuses(router, answer) in ([200], [0, 200])
        assert (server.read, server.connections) == (2, 2)


# -- silence --------------------------------------------------------------------------------------

@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_silence_ends_at_the_limit_and_is_not_repeated_unseen(router, secure):
    def first(server, sock):
        server.take(sock)
        comes_true(lambda: server.read == 3, SOON)

    with mortal(router, secure, first, timeout=1,
                router_settings={"disable_cooldowns": True}) as server:
        begin = time.monotonic()
        answer = router.ask()
        assert 0.9 <= time.monotonic() - begin < SOON
        assert answer.status == 408 and len(statuses(router, answer)) == 1
        assert server.read == 2 and repeats(router) == 0
        answer = router.ask()
        assert answer.status == 200, answer.body
        assert server.connections == 2, "the silent connection is not used again"


# -- what is kept ---------------------------------------------------------------------------------

@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_a_connection_that_lives_is_kept(router, secure):
    """Else all of the above would prove nothing."""
    def first(server, sock):
        while server.answer(sock):
            pass

    with mortal(router, secure, first) as server:
        for _ in range(5):
            assert router.ask().status == 200
        assert (server.read, server.connections) == (6, 1)


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_what_follows_an_answer_ends_the_connection(router, secure):
    """An answer to nothing must not become that of the next request."""
    def first(server, sock):
        sock.sendall(WITH_LENGTH.replace(b"hello", b"wrong"))
        server.linger(sock)

    with mortal(router, secure, first) as server:
        time.sleep(0.1)     # it has arrived
        answer = router.ask()
        assert answer.status == 200 and answer.text == "hello"
        assert server.connections == 2 and server.late < A_REQUEST
