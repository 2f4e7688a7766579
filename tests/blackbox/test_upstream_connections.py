"""What a library of connections gets wrong easily: sessions that are resumed, many connections at
once, what TLS holds back, requests that are larger than every buffer, and what all of it costs.
"""

import contextlib
import json
import pathlib
import signal
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tls_files
from harness import SOON, comes_true
from openai_upstream import Upstream
from proxies import Proxy, SocksProxy
from raw_provider import ANSWER, HEAD, WITH_LENGTH, provider, read_request
from router_service import MESSAGES

pytestmark = pytest.mark.release


# Ways to a server of TLS that put something of their own below it.
WAYS = {"direct": contextlib.nullcontext, "http": Proxy, "socks5h": SocksProxy,
        "https": lambda: Proxy(tls="good")}
EACH_WAY = pytest.mark.parametrize("way", WAYS)


@contextlib.contextmanager
def way_to(router, way):
    with WAYS[way]() as proxy:
        if proxy:
            router.hermes.environment["ALL_PROXY"] = f"{way}://127.0.0.1:{proxy.port}"
        yield
        assert not proxy or proxy.connections


def context_of(kind="good"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls_files.leaf(kind))
    return context


def start(router, port, scheme="https", hosts=("127.0.0.1",), **more):
    """A router with a group for each host of this port."""
    router.hermes.environment["SSL_CERT_FILE"] = tls_files.ca_file()
    return router.start({host: [router.deployment("m", api_base=f"{scheme}://{host}:{port}/v1")]
                         for host in hosts}, **more)


# -- sessions -------------------------------------------------------------------------------------

LAST = WITH_LENGTH.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


class OneShot:
    """Answers one request on each TLS connection, and ends it as announced. `sessions` holds for
    each handshake that worked whether it resumed a session, and in which version."""

    def __init__(self, kind="good"):
        self.context, self.sessions, self.connections = context_of(kind), [], 0

    def serve(self, sock):
        self.connections += 1
        sock.settimeout(SOON)
        with self.context.wrap_socket(sock, server_side=True) as secure:
            self.sessions.append((secure.session_reused, secure.version()))
            if read_request(secure):
                secure.sendall(LAST)
                secure.unwrap()


def ask(router, host="127.0.0.1"):
    answer = router.ask(model=host)
    assert answer.status == 200, answer.body
    return answer


def test_a_session_is_resumed(router):
    server = OneShot()
    with provider(server.serve) as port:
        start(router, port)
        for _ in range(4):
            ask(router)
    assert server.sessions == [(False, "TLSv1.3")] + [(True, "TLSv1.3")] * 3


def test_a_session_that_the_server_forgot_costs_nothing_but_a_handshake(router):
    server = OneShot()
    with provider(server.serve) as port:
        start(router, port)
        ask(router)
        server.context = context_of()   # with other keys for its tickets
        ask(router)
        ask(router)
    assert [reused for reused, _ in server.sessions] == [False, False, True]
    assert server.connections == 3


def test_sessions_side_by_side(router):
    """A ticket is used once (RFC 8446, C.4), and whoever finds none does without."""
    server = OneShot()
    with provider(server.serve) as port, ThreadPoolExecutor(8) as pool:
        start(router, port)
        ask(router)
        assert all(pool.map(lambda _: ask(router).status == 200, range(16)))
    assert len(server.sessions) == 17 and any(reused for reused, _ in server.sessions)


def test_a_session_vouches_for_no_other_name(router):
    """The certificate is for the address alone; the same server under a name it is not for is
    refused, although there is a session with it."""
    server = OneShot("address-alone")
    with provider(server.serve) as port:
        start(router, port, hosts=("127.0.0.1", "localhost"))
        ask(router)
        ask(router)
        read = len(server.sessions)
        answer = router.ask(model="localhost")
        assert answer.status >= 500 and "certificate" in answer.error["message"]
        assert all(not reused for reused, _ in server.sessions[read:])
        ask(router)


def test_a_session_vouches_for_no_other_port(router):
    """A neighbour on the same machine with a certificate of its own making."""
    good, bad = OneShot(), OneShot("self-signed")
    with provider(good.serve) as port, provider(bad.serve) as other:
        start(router, port)
        ask(router)
        router.write({"bad": [router.deployment("m", api_base=f"https://127.0.0.1:{other}/v1")],
                      "127.0.0.1": [router.deployment("m",
                                                      api_base=f"https://127.0.0.1:{port}/v1")]})
        router.reload()
        answer = router.ask(model="bad")
        assert answer.status >= 500 and "certificate" in answer.error["message"]
        ask(router)


def test_a_session_vouches_for_no_other_certificate(router):
    """Somebody else has the address by now."""
    server = OneShot()
    with provider(server.serve) as port:
        start(router, port)
        ask(router)
        ask(router)
        read = len(server.sessions)
        server.context = context_of("self-signed")
        answer = router.ask(model="127.0.0.1")
        assert answer.status >= 500 and "certificate" in answer.error["message"]
        assert not any(reused for reused, _ in server.sessions[read:])


# -- many at once ---------------------------------------------------------------------------------

@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_many_connections_are_made_at_the_same_time(router, secure):
    """To as many hosts: none is lost while the others are made, none is asked twice."""
    hosts = [f"127.0.0.{last}" for last in range(2, 26)]
    begun = threading.Barrier(len(hosts))
    with Upstream(tls="many-addresses" if secure else False, host="0.0.0.0") as up:
        router.up = up
        if secure:
            router.hermes.environment["SSL_CERT_FILE"] = up.ca_file
        router.start({host: [router.deployment("echo", api_base=up.url_for(host))]
                      for host in hosts})

        def one(host):
            begun.wait(SOON)
            answers = [router.ask(model=host) for _ in range(2)]
            return [(answer.status, [row["status"] for row in
                                     router.attempts(answer.headers["x-litellm-call-id"])])
                    for answer in answers]

        with ThreadPoolExecutor(len(hosts)) as pool:
            assert list(pool.map(one, hosts)) == [[(200, [200])] * 2] * len(hosts)
        assert len(up.requests) == 2 * len(hosts)
        assert router.metrics()["hermes_http_repeats_total"] == 0
        router.kill()   # the fake waits for its connections to end


# -- what TLS holds back --------------------------------------------------------------------------

BURST = 200_000     # bytes: more than one read takes, and than one record of TLS (16 KiB)


class Bursts:
    """A TLS server whose every segment is its own: records are made in memory and sent as said."""

    def __init__(self, answer, tickets=2):
        self.answer, self.context = answer, context_of()
        self.context.num_tickets = tickets
        self.read, self.go, self.sent = threading.Event(), threading.Event(), threading.Event()
        self.over = threading.Event()
        self.flights = []       # how many bytes the handshake's last flight had, tickets included

    def serve(self, sock):
        sock.settimeout(60)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secure = self.context.wrap_bio(incoming, outgoing, server_side=True)

        def step(function):
            while True:
                try:
                    return function()
                except ssl.SSLWantReadError:
                    if data := outgoing.read():
                        sock.sendall(data)
                    incoming.write(sock.recv(65536))

        step(secure.do_handshake)
        tickets = outgoing.read()
        self.flights.append(len(tickets))
        if not self.context.num_tickets:
            sock.sendall(tickets)
            tickets = b""
        got = b""
        while not got.endswith(b"}"):
            got += step(lambda: secure.read(65536))
        self.read.set()
        self.go.wait(60)
        secure.write(self.answer)
        self.send(sock, tickets, outgoing.read())
        self.sent.set()
        self.over.wait(60)      # and not a byte more, nor an end

    def send(self, sock, tickets, data):
        sock.sendall(tickets + data)


class Drips(Bursts):
    """The tickets come byte by byte, and the answer with a pause behind them."""

    def send(self, sock, tickets, data):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(tickets)):
            sock.sendall(tickets[at:at + 1])
        time.sleep(0.2)
        sock.sendall(data)


def whole(text):
    body = ANSWER.replace(b"hello", text)
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def events(count, last=b"the very last"):
    """The beginning of a stream: as many deltas as asked for, and then this one."""
    delta = b'data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"m",' \
            b'"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n'
    body = delta % (b"x" * 100) * count + delta % last
    return (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n")


@contextlib.contextmanager
def bursts(router, server, stopped=True, stream=False):
    """A socket on which the answer comes, all of which had arrived before the program looked."""
    with provider(server.serve) as port:
        start(router, port)
        with router.open(model="127.0.0.1", stream=stream) as sock:
            assert server.read.wait(SOON), "no request came"
            if stopped:
                router.process.signal(signal.SIGSTOP)
            server.go.set()
            comes_true(server.sent.is_set, 2)   # as far as the buffers of the kernel take it
            router.process.signal(signal.SIGCONT)
            sock.settimeout(SOON)       # far less than any limit of the program
            try:
                yield sock
            finally:
                server.over.set()


def received(sock, end):
    got = b""
    while end not in got:
        piece = sock.recv(1 << 20)
        assert piece, f"ended after {len(got)} bytes"
        got += piece
    return got


@EACH_WAY
def test_a_burst_is_delivered_whole(router, way):
    server = Bursts(whole(b"x" * BURST))
    with way_to(router, way), bursts(router, server) as sock:
        assert received(sock, b"total_tokens").count(b"x") >= BURST


@EACH_WAY
def test_a_burst_of_events_is_delivered_whole(router, way):
    """Silence follows, and no end: what came must not wait for more."""
    server = Bursts(events(BURST // 250))
    with way_to(router, way), bursts(router, server, stream=True) as sock:
        assert received(sock, b"the very last").count(b"x" * 100) == BURST // 250


MUCH = 12_000_000   # bytes: more than what lies between the program and its client holds


@EACH_WAY
def test_a_client_that_reads_late_gets_all_of_a_burst(router, way):
    """The program stops reading while it waits for its client; what TLS holds by then is told by
    no event."""
    server = Bursts(events(MUCH // 250))
    with way_to(router, way), bursts(router, server, stopped=False, stream=True) as sock:
        assert received(sock, b"the very last").count(b"x" * 100) == MUCH // 250


@pytest.mark.parametrize("kind,tickets", [(Bursts, 1), (Bursts, 9), (Drips, 2)],
                         ids=["one", "nine", "bytewise"])
@pytest.mark.parametrize("size", [1, BURST])
def test_tickets_amid_data_stall_nothing(router, kind, tickets, size):
    """They come after the request, in one segment with the answer or byte by byte before it."""
    server = kind(whole(b"x" * size), tickets)
    with bursts(router, server) as sock:
        assert received(sock, b"total_tokens").count(b"x") >= size
    assert server.flights[0] > 100 * tickets, "there were tickets"


# -- large requests -------------------------------------------------------------------------------

LARGE = 8 << 20
CONTENT = ("0123456789abcdefghijklmnopqrstuvwxyz" * (LARGE // 36 + 1))[:LARGE]


@pytest.mark.parametrize("secure,way", [(False, "direct"), *((True, way) for way in WAYS)])
def test_a_large_request_arrives_byte_for_byte(router, secure, way):
    """The reader is slow, so that the writer waits often, at whatever byte."""
    bodies = []
    context = context_of() if secure else None

    def serve(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        if secure:
            sock = context.wrap_socket(sock, server_side=True)
        with sock:
            got, size = bytearray(), None
            while size is None or len(got) < size:
                piece = sock.recv(3 * 4096 + len(got) % 4096)
                if not piece:
                    return
                got += piece
                if len(got) % 7 == 0:
                    time.sleep(0.001)
                if size is None and b"\r\n\r\n" in got:
                    head, _, rest = bytes(got).partition(b"\r\n\r\n")
                    size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                    got = bytearray(rest)
            bodies.append(bytes(got))
            sock.sendall(WITH_LENGTH)
            sock.recv(1)

    with provider(serve) as port, way_to(router, way):
        start(router, port, "https" if secure else "http")
        messages = [*MESSAGES, {"role": "user", "content": CONTENT}]
        answer = router.ask(model="127.0.0.1", messages=messages)
        assert answer.status == 200, answer.body
    assert len(bodies) == 1
    sent = json.loads(bodies[0])["messages"][-1]["content"]
    assert len(sent) == LARGE and sent == CONTENT


# -- our end of a connection ----------------------------------------------------------------------

@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("model", ["echo", "tools", "ten-megabytes"])
def test_our_end_is_no_reset(hermes, up, tls_up, secure, model):
    """A server that is reset loses what it was about to say or to read, and logs an error."""
    chosen = tls_up if secure else up
    hermes.use(chosen, model).chat("hi").ok()
    assert comes_true(lambda: not chosen._open)
    assert not [said for said in chosen.problems if "Reset" in said or "BrokenPipe" in said]


# -- what it costs --------------------------------------------------------------------------------

def cpu(process):
    """Seconds that all its threads have run."""
    total = 0
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def cost(router, count, host="127.0.0.1"):
    """Seconds of CPU of one request; the cheapest of some tries, since a busy machine adds."""
    tries = []
    for _ in range(3):
        begin = cpu(router.process)
        for _ in range(count):
            ask(router, host)
        tries.append((cpu(router.process) - begin) / count)
    return min(tries)


@pytest.mark.native
def test_idle_connections_make_no_request_dearer(router):
    """A read must not walk over all connections that there are."""
    with Upstream(tls=True) as up:
        router.up = up
        router.hermes.environment["SSL_CERT_FILE"] = up.ca_file
        router.start({"127.0.0.1": ["fixed"], "idle": ["hang"]})
        ask(router)
        alone = cost(router, 30)
        with contextlib.ExitStack() as stack:
            for _ in range(80):
                stack.enter_context(router.open(model="idle"))
            assert comes_true(lambda: up.count("hang") == 80)
            assert cost(router, 30) < 3 * alone
        router.kill()   # the fake waits for its connections to end


@pytest.mark.native
def test_roots_make_no_connection_dearer(router):
    """They are parsed once, if at all, not for each handshake."""
    many = pathlib.Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()
    assert many.count(b"BEGIN CERT") > 50
    costs = []
    for roots in (b"", many):
        server = OneShot()
        # Without tickets each handshake is a whole one, with a certificate to be judged.
        server.context.num_tickets = 0
        with provider(server.serve) as port:
            path = router.hermes.put("roots.pem", pathlib.Path(tls_files.ca_file()).read_bytes()
                                     + roots, base=router.hermes.directory)
            router.write({"127.0.0.1": [
                router.deployment("m", api_base=f"https://127.0.0.1:{port}/v1")]})
            router.restart(env={"SSL_CERT_FILE": path})
            ask(router)
            costs.append(cost(router, 10))
            assert not any(reused for reused, _ in server.sessions)
            router.stop()
    assert costs[1] < 2 * costs[0], costs


# -- what no event tells of -----------------------------------------------------------------------

@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_an_answer_before_the_question_is_heard(router, secure):
    """A server that is too busy says so at once, and waits."""
    context = context_of()
    context.num_tickets = 0     # the answer is the only thing that comes with the handshake
    over = threading.Event()

    def serve(raw):
        with (context.wrap_socket(raw, server_side=True) if secure else raw) as sock:
            sock.sendall(WITH_LENGTH.replace(b"200 OK", b"503 Busy"))
            over.wait(SOON)

    with provider(serve) as port:
        start(router, port, "https" if secure else "http", num_retries=0)
        assert router.ask(model="127.0.0.1").status == 503
        over.set()


def test_a_stream_without_end_has_not_the_loop_for_itself(router):
    """One whose server sends as fast as it is read; another request fails, and is told so."""
    context, over = context_of(), threading.Event()
    event = b'data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":' \
            b'[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n' % (b"x" * 3000)

    def serve(raw):
        with context.wrap_socket(raw, server_side=True) as sock:
            read_request(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            while not over.is_set():
                sock.sendall(event * 20)

    def drain():
        with router.open(model="127.0.0.1") as sock:
            while not over.is_set() and sock.recv(1 << 20):
                flowing.set()

    flowing = threading.Event()
    with provider(serve) as port:
        start(router, port, hosts=("127.0.0.1", "[::1]"), num_retries=0)    # nobody listens there
        reader = threading.Thread(target=drain)
        reader.start()
        try:
            assert flowing.wait(SOON)
            assert router.ask(model="[::1]").status == 500
        finally:
            over.set()
            reader.join()
