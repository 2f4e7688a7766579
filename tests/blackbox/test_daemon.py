"""`hermes run`: the admin face, its probes, and its end."""

import http.client
import os
import re
import signal
import socket
import time

import pytest

pytestmark = pytest.mark.qemu_user


@pytest.fixture
def daemon(hermes):
    with hermes.start("run", "--port", "0", limit=60) as process:
        process.port = port_of(process)
        yield process


def port_of(process):
    until = time.monotonic() + 10
    while not (found := re.search(rb"admin: http://127\.0\.0\.1:(\d+)", process.out + process.err)):
        assert process.popen.poll() is None and time.monotonic() < until, \
            f"never said its port: {process.out!r} {process.err!r}"
        time.sleep(0.005)
    return int(found.group(1))


def get(process, path, method="GET"):
    conn = http.client.HTTPConnection("127.0.0.1", process.port, timeout=5)
    try:
        conn.request(method, path)
        answer = conn.getresponse()
        return answer.status, answer.read().decode()
    finally:
        conn.close()


def ready(process):
    until = time.monotonic() + 10
    while get(process, "/readyz")[0] != 200:
        assert time.monotonic() < until, get(process, "/readyz")
        time.sleep(0.01)


def test_the_probes(daemon):
    assert get(daemon, "/healthz")[0] == 200
    ready(daemon)
    assert get(daemon, "/healthz", "HEAD") == (200, "")
    assert get(daemon, "/no-such-page")[0] == 404
    assert get(daemon, "/healthz", "POST")[0] == 405


def test_it_listens_on_the_loopback_alone(daemon):
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file.read().splitlines()[1:]]
    bound = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{daemon.port:04X}")]
    assert bound == [f"0100007F:{daemon.port:04X}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_to(hermes, daemon, number):
    ready(daemon)
    begin = time.monotonic()
    daemon.signal(number)
    result = daemon.finish(limit=5)
    assert result.code in (0, 130 if number == signal.SIGINT else 0), result
    assert time.monotonic() - begin < 2
    hermes.chat("hi").ok()


def test_it_ends_although_clients_hang_on(hermes, daemon):
    clients = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(20)]
    for client in clients[:10]:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    time.sleep(0.1)
    daemon.signal(signal.SIGTERM)
    daemon.finish(limit=4).exits(0)
    for client in clients:
        client.close()


def test_slow_clients_hold_nobody_up(daemon):
    clients = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(50)]
    for client in clients:
        client.sendall(b"G")
    begin = time.monotonic()
    assert get(daemon, "/healthz")[0] == 200 and time.monotonic() - begin < 1
    for client in clients:
        client.close()


def test_more_clients_than_it_takes(hermes, daemon):
    clients = []
    try:
        for _ in range(400):
            client = socket.create_connection(("127.0.0.1", daemon.port), timeout=1)
            clients.append(client)
    except OSError:
        pass
    for client in clients:
        client.close()
    time.sleep(0.2)
    assert get(daemon, "/healthz")[0] == 200


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\r\n" * 10000,
    b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50000 + b"\r\n", b"\x00" * 100000,
    b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_garbage_is_survived(hermes, daemon, data):
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=3) as sock:
        try:
            sock.sendall(data)
            answer = sock.recv(4096)
        except OSError:
            answer = b""
    assert b"root:x" not in answer and not answer.startswith(b"HTTP/1.1 200")
    assert get(daemon, "/healthz")[0] == 200
    daemon.signal(signal.SIGTERM)
    hermes.memory_below(daemon.finish(limit=5).exits(0), 24 * 1024)


def test_a_port_that_is_taken(hermes):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        hermes.run("run", "--port", str(port)).failed(rf"\b{port}\b", "in use|taken|--port")


def test_a_second_process_says_who_holds_the_home(hermes, daemon):
    ready(daemon)
    before = names_of(hermes)
    for args in (("run", "--port", "0"), ("chat", "-q", "hi")):
        hermes.run(*args).failed(rf"\b{daemon.pid}\b")
    assert before == names_of(hermes)
    assert get(daemon, "/healthz")[0] == 200


def names_of(hermes):
    """The files of the home without the database, whose journal comes and goes at its own time."""
    return {path.name for path in hermes.home.iterdir() if ".db" not in path.name}


def test_it_answers_while_the_database_is_checked(hermes):
    """After a kill the file is checked; the probes answer meanwhile."""
    for number in range(3):
        hermes.chat(f"remember fact number {number} " + "x" * 50000).ok()
    with hermes.start("run", "--port", "0") as process:
        process.port = port_of(process)
        os.kill(process.pid, signal.SIGKILL)
    with hermes.start("run", "--port", "0") as process:
        process.port = port_of(process)
        assert get(process, "/healthz")[0] == 200
        ready(process)


@pytest.mark.native
def test_idle_costs_nothing(daemon):
    ready(daemon)
    time.sleep(0.5)
    before = switches(daemon.pid)
    time.sleep(5)
    assert switches(daemon.pid) - before <= 8, "more than one wake-up per second"


def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            total += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", file.read()))
    return total


def test_probes_leak_nothing(daemon):
    ready(daemon)
    counts = []
    for _ in range(3):
        for _ in range(100):
            get(daemon, "/healthz")
        time.sleep(0.1)
        counts.append(len(os.listdir(f"/proc/{daemon.pid}/fd")))
    assert counts[2] <= counts[0] + 1, counts
