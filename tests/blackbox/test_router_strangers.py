"""Who has no key takes nothing from those who have: no memory for bodies, no connection, and no
descriptor."""

import contextlib
import hashlib
import http.client
import json
import pathlib
import re
import resource
import socket

import pytest
from router_service import MASTER_KEY, MESSAGES, read

pytestmark = pytest.mark.release

BUFFERS = 32 * 1024 * 1024  # bytes: what all bodies may take
OFTEN = 20
OTHER_KEY = "sk-another-0123456789abcdef"
BODY = json.dumps({"model": "free", "messages": MESSAGES}).encode()


@contextlib.contextmanager
def connected(router):
    with socket.create_connection(("127.0.0.1", router.port), timeout=60) as sock:
        yield sock


def head(router, length, *fields, path="/v1/chat/completions", key=None):
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{router.port}",
             f"Content-Length: {length}", *fields]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def expect_served(router):
    """Often, since the last of what was sent may still be in the kernel's hands."""
    assert [router.ask().status for _ in range(OFTEN)] == [200] * OFTEN


def answer_on(sock):
    response = http.client.HTTPResponse(sock)
    response.begin()
    return read(response)


def expect_no_key(answer, sentence="No api key passed in."):
    assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert answer.error == {"message": f"Authentication Error, {sentence}", "type": "auth_error",
                            "param": "None", "code": "401"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/nothing", "/health/liveliness"])
def test_a_strangers_body_takes_no_room(router, up, path):
    """All but its last byte has come, of as much as all bodies may have."""
    router.start({"free": ["echo"]})
    with connected(router) as stranger:
        stranger.sendall(head(router, BUFFERS, path=path))
        stranger.sendall(b"x" * (BUFFERS - 1))
        expect_served(router)
        stranger.sendall(b"x")
        answer = answer_on(stranger)
        if path == "/health/liveliness":
            assert answer.status == 405
        else:
            expect_no_key(answer)
        stranger.sendall(head(router, len(BODY), key=MASTER_KEY) + BODY)
        assert answer_on(stranger).text == "echo: hello"
    assert len(up.requests) == OFTEN + 1


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/nothing"])
def test_a_body_that_no_path_takes_is_not_kept(router, path):
    """Nor that of one who has the key."""
    router.start({"free": ["echo"]})
    with connected(router) as sock:
        sock.sendall(head(router, BUFFERS, path=path, key=MASTER_KEY) + b"x" * (BUFFERS - 1))
        expect_served(router)


def test_a_stranger_is_not_asked_to_send(router, up):
    router.start({"free": ["echo"]})
    with connected(router) as stranger:
        stranger.sendall(head(router, len(BODY), "Expect: 100-continue"))
        expect_no_key(answer_on(stranger))
        assert stranger.recv(1) == b""
    with connected(router) as stranger:
        stranger.sendall(head(router, len(BODY), "Expect: 100-continue", key="sk-wrong"))
        expect_no_key(answer_on(stranger), "Invalid proxy server token passed.")
    with connected(router) as sock:
        sock.sendall(head(router, len(BODY), "Expect: 100-continue", key=MASTER_KEY))
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(BODY)
        assert answer_on(sock).text == "echo: hello"
    assert len(up.requests) == 1


def test_a_strangers_endless_body_is_refused_at_once(router):
    """Also where none with the key may send as much."""
    router.start({"free": ["echo"]})
    with connected(router) as stranger:
        stranger.sendall(head(router, 10 ** 12))
        expect_no_key(answer_on(stranger))


def limited(router, soft, hard):
    """The router under a limit of descriptors."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return router.restart(before_exec=limit)


def test_strangers_take_no_descriptor_that_is_needed(router, up):
    """They say nothing; who asks is served at once, with a connection upstream for each."""
    router.write({"free": ["echo"]})
    limited(router, 400, 400)
    with contextlib.ExitStack() as strangers:
        for _ in range(500):
            strangers.enter_context(connected(router))
        assert [router.ask().status for _ in range(5)] == [200] * 5
        assert router.metrics()["process_open_fds"] < 200


def test_a_request_under_way_is_not_cut_for_strangers(router, up):
    router.write({"free": ["hold-first"]})
    limited(router, 400, 400)
    with router.open(stream=False) as asking, contextlib.ExitStack() as strangers:
        assert up.wait_for(lambda: len(up.requests) == 1)
        for _ in range(200):
            strangers.enter_context(connected(router))
        up.release.set()
        assert router.ask().status == 200
        assert answer_on(asking).text == "echo: hello"


def test_a_probe_is_answered_while_as_many_calls_run_as_may(router, up):
    """So few that all of them can be made here: with 400 descriptors it is 16. A further call is
    told to come again; no silent client, nor one that sends slowly, is in the way."""
    router.write({"free": ["hold-first"]})
    limited(router, 400, 400)
    with contextlib.ExitStack() as stack:
        asking = [stack.enter_context(router.open(stream=False)) for _ in range(16)]
        assert up.wait_for(lambda: len(up.requests) == 16)
        for _ in range(40):
            stack.enter_context(connected(router))
            stack.enter_context(connected(router)).sendall(head(router, 100, key=MASTER_KEY))
        for path in ("/health/liveliness", "/health/readiness", "/metrics"):
            assert router.request("GET", path, timeout=30).status == 200
        answer = router.ask()
        assert answer.status == 503 and answer.headers["retry-after"] == "1", answer.body
        assert "as many calls are running" in answer.error["message"]
        assert len(up.requests) == 16
        up.release.set()
        assert all(answer_on(sock).text == "echo: hello" for sock in asking)
    assert up.wait_for(lambda: router.ask().status == 200)


@pytest.mark.parametrize("soft,hard,wanted", [(256, 2048, 2048), (256, 8192, 4096),
                                              (5000, 8192, 5000)])
def test_as_many_descriptors_as_may_be_had(router, soft, hard, wanted):
    """Within reason, and never fewer than there were."""
    router.write({"free": ["echo"]})
    limited(router, soft, hard)
    assert open_files(router.process) == (wanted, hard)
    assert router.ask().status == 200


def test_hermes_run_has_them_too(hermes, service):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048))
    running = service()
    running.stop()
    assert open_files(running.restart(before_exec=limit).process) == (2048, 2048)


def open_files(process):
    limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
    soft, hard = re.search(r"Max open files +(\d+) +(\d+)", limits).groups()
    return int(soft), int(hard)


def test_another_key_is_another_key_in_the_metrics(router):
    """After a reload, too: the hash of it is a label."""
    router.start({"free": ["echo"]})
    router.ask()
    before = keys_of(router)
    config = json.dumps(router.config({"free": ["echo"]}))
    router.hermes.put("router.yaml", config.replace(MASTER_KEY, OTHER_KEY))
    router.reload()
    headers = {"Authorization": f"Bearer {OTHER_KEY}"}
    body = json.dumps({"model": "free", "messages": MESSAGES})
    assert router.request("POST", "/v1/chat/completions", body).status == 401
    assert router.request("POST", "/v1/chat/completions", body, headers).status == 200
    assert keys_of(router, headers) == before | {hashlib.sha256(OTHER_KEY.encode()).hexdigest()}


def test_a_key_that_counts_before_the_body_is_there(router):
    """Its body was thrown away, and the reason is not that the router is full."""
    router.start({"free": ["echo"]})
    with connected(router) as early:
        early.sendall(head(router, len(BODY), key=OTHER_KEY))
        expect_served(router)
        config = json.dumps(router.config({"free": ["echo"]}))
        router.hermes.put("router.yaml", config.replace(MASTER_KEY, OTHER_KEY))
        router.reload()
        early.sendall(BODY)
        answer = answer_on(early)
    assert answer.status == 503 and answer.headers["retry-after"] == "1", answer.body
    assert "got another key" in answer.error["message"]


def keys_of(router, headers=None):
    text = router.request("GET", "/metrics", headers=headers).body.decode()
    name = "litellm_proxy_total_requests_metric_total"
    return set(re.findall(name + r'{.*hashed_api_key="(.*?)"', text))


def test_who_is_not_let_in_is_counted_and_told(router):
    """By one line for many: a stranger fills no log."""
    router.start({"free": ["fixed"]})
    for _ in range(3):
        assert router.ask(headers={"Authorization": "Bearer sk-guess"}).status == 401
    large = {"X-Large": "x" * 2000}  # so that the exchange is not kept for the next one
    assert router.ask(headers={"Content-Encoding": "gzip", **large}).status == 415
    assert router.ask(headers={"X-Long": "x" * 40000}).status == 431
    metrics = router.metrics()
    counted = {why: metrics.get(f'hermes_router_refused_total{{reason="{why}"}}')
               for why in ("key", "packed", "size")}
    assert counted == {"key": 3, "packed": 1, "size": 1}
    lines = [line for line in router.process.err.decode().splitlines() if "router.refused" in line]
    assert lines == ["hermes: warning: router.refused why=key peer=127.0.0.1 count=1"]
