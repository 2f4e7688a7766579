"""How connections to a provider end, and what may be believed of it: TCP's reset, TLS's word, and
a machine that has no descriptor left for another one."""

import http.client
import json
import socket
import ssl
import struct
import subprocess
import threading

import pytest
import tls_files
from harness import as_test_user
from openai_upstream import Upstream
from raw_provider import ANSWER, HEAD, WITH_LENGTH, provider, read_request
from router_service import MESSAGES

LARGE = 17 << 20  # bytes: more than the router keeps to look at it as a whole
CHUNKED = (HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ANSWER) + ANSWER
           + b"\r\n0\r\n\r\n")
UNTIL_THE_END = HEAD + b"\r\n" + ANSWER.replace(b"hello", b"x" * LARGE)


def start(router, port, scheme="http", **more):
    router.hermes.environment["SSL_CERT_FILE"] = tls_files.ca_file()
    url = f"{scheme}://127.0.0.1:{port}/v1"
    return router.start({"free": [router.deployment("m", api_base=url)]}, **more)


def test_what_was_read_before_a_reset_is_not_sent_again_unseen(router):
    """Each request that the provider had is one row of the ledger: it may have been paid for."""
    requests = []

    def serve(sock):
        for count in range(1, 9):
            if not read_request(sock):
                return
            requests.append(count)
            if count == 4 and len(requests) == 4:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            sock.sendall(WITH_LENGTH)

    with provider(serve) as port:
        start(router, port, num_retries=1)
        for _ in range(3):
            assert router.ask().status == 200
        answer = router.ask()
        assert answer.status == 200 and len(requests) == 5
        attempts = router.attempts(answer.headers["x-litellm-call-id"])
        assert [attempt["status"] for attempt in attempts] == [0, 200]
        assert router.metrics()["hermes_http_repeats_total"] == 0


@pytest.mark.parametrize("answer,announced,cut", [
    (UNTIL_THE_END, True, False), (UNTIL_THE_END, False, True),
    (WITH_LENGTH, False, False), (CHUNKED, False, False)],
    ids=["announced", "not-announced", "length", "chunked"])
def test_an_end_that_is_not_announced_is_a_cut(router, answer, announced, cut):
    """Only close_notify says that the provider meant the end; anybody on the way can send a FIN.
    An answer that says by itself where it ends needs no such word."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls_files.leaf("good"))

    def serve(sock):
        with context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=True) as secure:
            if not read_request(secure):
                return
            secure.sendall(answer)
            if announced:
                secure.unwrap()
            secure.shutdown(socket.SHUT_WR)
            secure.recv(1)

    with provider(serve) as port:
        start(router, port, "https")
        assert [router.ask().cut for _ in range(2)] == [cut] * 2


def test_a_proxy_that_never_comes_to_the_point_stops_nobody(router):
    """Interim answers without end: others are served meanwhile, and it is given up."""
    flooding = threading.Event()

    def serve(sock):
        while b"\r\n\r\n" not in sock.recv(4096):
            pass
        while True:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
            flooding.set()

    with provider(serve) as port:
        router.hermes.environment["https_proxy"] = f"http://127.0.0.1:{port}"
        router.start({"free": [router.deployment("m", api_base="https://fake.test/v1")]})
        answer = router.ask()
        assert answer.status == 500 and "interim answers" in answer.error["message"]
        assert flooding.is_set()
        assert router.request("GET", "/health/liveliness").status == 200


def posted(router, sock, model):
    """The status and the body of what comes back on a connection that stays."""
    body = json.dumps({"model": model, "messages": MESSAGES})
    fields = "".join(f"{name}: {value}\r\n" for name, value in router.headers().items())
    sock.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{fields}"
                 f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response.status, response.read()


def allow_descriptors(process, count):
    """The limit of a running program, which its own user may change: what is open stays open."""
    subprocess.run(["prlimit", "--pid", str(process.pid), f"--nofile={count}:"], check=True,
                   **as_test_user())


@pytest.mark.release
@pytest.mark.native
def test_a_lack_of_descriptors_is_not_the_providers_fault(router):
    """It opens no circuit, and whoever asks is told whose trouble it is."""
    with Upstream() as other, socket.socket() as client:
        router.write({"free": ["echo"],
                      "other": [router.deployment("echo", api_base=other.base_url)]})
        router.restart(rlimits={"NOFILE": 256})
        client.settimeout(60)
        client.connect(("127.0.0.1", router.port))
        assert posted(router, client, "other")[0] == 200  # all that a call needs is open by now
        allow_descriptors(router.process, 3)  # so that no other one can be had
        for _ in range(8):  # any five would open a circuit
            status, body = posted(router, client, "free")
            assert status == 503 and b"this machine has run out of file descriptors" in body
        assert router.up.connections == 0
        allow_descriptors(router.process, 256)
        assert posted(router, client, "free")[0] == 200
