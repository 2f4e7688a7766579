"""`hermes run`: the admin listener, its probes, and its end."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import time

import pytest
from harness import SOON, comes_true, descriptors

import telegram_models  # noqa: F401  registers its scenarios

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
    daemon.signal(number)
    daemon.finish(limit=SOON).exits(0)
    hermes.chat("hi").ok()


def test_it_ends_although_clients_hang_on(hermes, daemon):
    clients = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(20)]
    for client in clients[:10]:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    time.sleep(0.1)
    daemon.signal(signal.SIGTERM)
    daemon.finish(limit=SOON).exits(0)
    for client in clients:
        client.close()


def test_slow_clients_hold_nobody_up(daemon):
    clients = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(50)]
    for client in clients:
        client.sendall(b"G")
    begin = time.monotonic()
    assert get(daemon, "/healthz")[0] == 200 and time.monotonic() - begin < SOON
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


@pytest.mark.release
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
    hermes.memory_below(daemon.finish(SOON).exits(0), 24 * 1024)


def test_a_port_that_is_taken(hermes):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        hermes.run("run", "--port", str(port)).failed(
            rf"\b{port}\b", r"admin\.port", "another program listens there; stop it, or set")


def test_two_daemons_on_one_home(hermes, daemon):
    ready(daemon)
    before = names_of(hermes)
    hermes.run("run", "--port", "0").failed(rf"in use by another hermes \(pid {daemon.pid}\)",
                                            "stop it, or choose another home")
    assert before == names_of(hermes)
    assert get(daemon, "/healthz")[0] == 200


@pytest.mark.parametrize("names", [["gateway"], ["gateway", "run"]])
def test_the_name_that_hermes_agent_gave_it(hermes, names):
    with hermes.start(*names, env={"HERMES_ADMIN_PORT": "0"}, limit=60) as process:
        process.port = port_of(process)
        ready(process)
        assert f"pid {process.pid}" in hermes.run("gateway", "status").ok().text
        process.signal(signal.SIGTERM)
        process.finish(SOON).exits(0)


def test_words_that_it_does_not_know(hermes):
    hermes.run("gateway", "walk").exits(2).sentence('no command "walk"')
    hermes.run("run", "fast").exits(2).sentence("fast|argument")


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


@pytest.mark.release
@pytest.mark.native
def test_idle_costs_nothing(daemon):
    ready(daemon)
    time.sleep(0.5)
    assert daemon.fewest_wake_ups(seconds=5) <= 8, "more than one wake-up per second"


def test_probes_leak_nothing(daemon):
    ready(daemon)
    get(daemon, "/healthz")
    before = descriptors(daemon.pid)
    for _ in range(300):
        get(daemon, "/healthz")
    assert comes_true(lambda: descriptors(daemon.pid) <= before + 1)


# -- what the admin listener says -----------------------------------------------------------------

KEY = "an-admin-key-of-the-tests"


def ask(process, path, key=None, method="GET", scheme="Bearer"):
    """(status, body, headers)"""
    conn = http.client.HTTPConnection("127.0.0.1", process.port, timeout=5)
    try:
        conn.request(method, path, headers={"Authorization": f"{scheme} {key}"} if key else {})
        answer = conn.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        conn.close()


@pytest.fixture
def keyed(hermes):
    with hermes.start("run", "--port", "0", env={"HERMES_ADMIN_KEY": KEY}, limit=60) as process:
        process.port = port_of(process)
        ready(process)
        yield process


PASS_SECONDS = 0.05  # of the event loop, at most
CALLS = 64


def scheduler_delay(pid):
    """Seconds in which the main thread could run and had no processor."""
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/schedstat").read_text()
    return int(text.split()[1]) / 1e9


@pytest.mark.release
@pytest.mark.native
def test_many_tool_calls_hold_up_nobody(hermes, up):
    """All in one reply: each has its answer, the probe answers throughout, and no pass of the loop
    is long, other than by what the machine's other programs took from it."""
    hermes.use(up, "tools")
    hermes.put("workspace/needle.txt", "a needle\n")
    environment = {"HERMES_ADMIN_KEY": KEY}
    with hermes.start("run", "--port", "0", env=environment, limit=120) as process:
        process.port = port_of(process)
        ready(process)
        chat = hermes.start("chat", "-q", 'call search_files {"pattern": "needle"}\n' * CALLS)
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, chat.pid, ended) is None:
            assert get(process, "/healthz")[0] == 200
        chat.finish().ok()
        results = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
        assert len(results) == CALLS and all("a needle" in text for text in results), results
        told = ask(process, "/metrics", KEY)[1]
        longest = re.search(r"^hermes_loop_longest_pass_seconds (\S+)$", told, re.M)
        assert longest, told
        if not hermes.binary.sanitized:
            assert float(longest[1]) <= PASS_SECONDS + scheduler_delay(process.pid)


def test_readyz_says_what_it_looked_at(daemon):
    ready(daemon)
    status, body, headers = ask(daemon, "/readyz")
    told = json.loads(body)
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert told["ready"] is True and told["store"]["state"] == "ready"
    assert told["telegram"] is None
    assert ask(daemon, "/readyz", method="HEAD")[:2] == (200, "")


def test_readyz_tells_strangers_nothing_of_the_bot(hermes, api):
    """Its name and how much is talked are the owner's; whoever shows the key gets them."""
    hermes.use_telegram(api)
    with hermes.start("run", "--port", "0", env={"HERMES_ADMIN_KEY": KEY}, limit=60) as process:
        process.port = port_of(process)
        ready(process)
        api.user_says(42, "hi")
        api.wait_messages(42, 1)
        for key in (None, "x"):
            told = json.loads(ask(process, "/readyz", key)[1])
            assert told["telegram"] == {"state": "polling"} and told["ready"] is True
            assert not told.keys() - {"ready", "store", "telegram"}
        told = json.loads(ask(process, "/readyz", KEY)[1])
        assert told["telegram"]["username"] == "hermes_fake_bot"
        assert told["telegram"]["updates"] == 1 and "waiting" in told["outbox"]


@pytest.mark.parametrize("path", ["/metrics", "/status"])
def test_without_a_key_of_its_own_it_is_refused(daemon, path):
    for key in (None, "", "x", "None"):
        status, body, headers = ask(daemon, path, key)
        assert status == 401 and "none is set: set admin.key" in body
        assert headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/metrics", "/status"])
def test_only_the_key_opens_it(keyed, path):
    for key in (None, "x", KEY[:-1], KEY + "x", KEY.upper(), " "):
        status, body, _ = ask(keyed, path, key)
        assert status == 401 and "Authorization: Bearer" in body and KEY not in body
    assert ask(keyed, path, KEY, scheme="Basic")[0] == 401
    assert ask(keyed, f"{path}?key={KEY}")[0] == 401
    for scheme in ("Bearer", "bearer", "BEARER "):
        assert ask(keyed, path, KEY, scheme=scheme)[0] == 200
    assert ask(keyed, path, KEY, method="HEAD")[:2] == (200, "")
    assert ask(keyed, path, KEY, method="POST")[0] == 405
    for probe in ("/healthz", "/readyz"):
        assert ask(keyed, probe)[0] == 200


def test_metrics_count(hermes, keyed):
    hermes.chat("time").ok()
    hermes.chat("hi").ok()
    status, body, headers = ask(keyed, "/metrics", KEY)
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    rows = dict(line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))
    assert rows['hermes_turns_total{state="done"}'] == "2"
    assert rows['hermes_model_calls_total{result="ok"}'] >= "2"
    assert float(rows["process_resident_memory_bytes"]) > 0
    names = {re.match(r"[a-z_]+", line).group() for line in rows}
    for name in names:
        family = re.sub("_(bucket|sum|count)$", "", name)
        assert f"# TYPE {name} " in body or f"# TYPE {family} histogram" in body, name
    assert body.endswith("\n") and KEY not in body


def test_status_is_that_of_the_socket(hermes, keyed):
    told = json.loads(ask(keyed, "/status", KEY)[1])
    assert told["running"] is True and told["pid"] == keyed.pid and told["home"] == str(hermes.home)


def test_a_long_status_is_whole(hermes):
    """What it names may be as long as the owner likes."""
    model = "m" * 30000
    with hermes.start("run", "--port", "0", env={"HERMES_ADMIN_KEY": KEY, "HERMES_MODEL": model,
                                                 "OPENAI_API_KEY": "sk-of-the-tests"},
                      limit=60) as process:
        process.port = port_of(process)
        ready(process)
        status, body, _ = ask(process, "/status", KEY)
    assert status == 200 and model in json.dumps(json.loads(body))


def test_odd_requests(daemon):
    for method, path, status in (("GET", "/healthz?x=y", 200), ("GET", "/healthz/", 404),
                                 ("GET", "//healthz", 404), ("GET", "/HEALTHZ", 404),
                                 ("GET", "/%68ealthz", (200, 404)), ("DELETE", "/readyz", 405),
                                 ("OPTIONS", "/healthz", 405), ("GET", "/chat?chat=x", 404),
                                 ("POST", "/reload", 404), ("GET", "/sessions", 404)):
        found, body, _ = ask(daemon, path, method=method)
        assert found == status or (isinstance(status, tuple) and found in status), (method, path)
        assert found == 200 or body.strip(), (method, path)


def test_a_port_that_is_none(hermes):
    for port in ("-1", "65536", "http", ""):
        hermes.run("run", "--port", port).exits(2).sentence("--port", "0 to 65535")
    assert not hermes.home.exists()


def test_an_address_that_is_none(hermes):
    hermes.run("run", "--port", "0", env={"HERMES_ADMIN_HOST": "not.an.address"}).failed("admin")


# -- its end --------------------------------------------------------------------------------------

@pytest.fixture
def busy(hermes, up):
    """busy(drain) starts a daemon and a chat whose answer has begun."""
    started = []

    def start(drain):
        hermes.use(up, "gate")
        hermes.put("config.yaml", f"agent:\n  restart_drain_timeout: {drain}\n")
        process = hermes.start("run", "--port", "0", limit=60)
        process.port = port_of(process)
        ready(process)
        chat = hermes.start("chat", "-q", "long")
        started.extend([process, chat])
        chat.wait_for_output(b"begun")
        return process, chat
    yield start
    for process in started:
        process.kill()


def test_an_idle_one_ends_at_once(hermes):
    """The best of several: a busy machine is slow now and then, a program that waits each time."""
    took = []
    for _ in range(5):
        with hermes.start("run", "--port", "0") as process:
            process.port = port_of(process)
            ready(process)
            begin = time.monotonic()
            process.signal(signal.SIGTERM)
            process.finish(SOON).exits(0)
            took.append(time.monotonic() - begin)
    assert min(took) < (3 if hermes.binary.emulated else 0.7), took


def test_a_second_signal_is_obeyed_at_once(hermes, busy):
    process, _ = busy("60s")
    process.signal(signal.SIGTERM)
    process.wait_for_output(b"stopping on signal", "err")
    time.sleep(0.2)
    assert process.popen.poll() is None, "it did not wait for the answer"
    process.signal(signal.SIGTERM)
    result = process.finish(SOON).exits(0)
    assert "stopping at once on signal 15" in result.notes


def test_what_does_not_end_in_time_is_parked(hermes, busy):
    process, chat = busy("300ms")
    process.signal(signal.SIGTERM)
    result = process.finish(SOON).exits(0)
    assert "1 answer is parked; Hermes continues it at the next start" in result.notes
    chat.finish(SOON).exits(1)


def test_the_next_one_waits_for_one_that_is_leaving(hermes, busy, up):
    """As a new pod does while the old one lets its answers end."""
    process, chat = busy("60s")
    process.signal(signal.SIGTERM)
    process.wait_for_output(b"stopping on signal", "err")
    with hermes.start("run", "--port", "0", limit=60) as following:
        following.wait_for_output(b"waiting for another hermes to leave", "err")
        time.sleep(0.2)
        assert following.popen.poll() is None and process.popen.poll() is None
        up.release.set()
        process.finish(SOON).exits(0)
        following.port = port_of(following)
        ready(following)
        following.signal(signal.SIGTERM)
        following.finish(SOON).exits(0)
    assert chat.finish(SOON).ok().text.endswith("and finished\n")


def test_it_keeps_answering_probes_while_it_ends(busy, up):
    process, chat = busy("60s")
    process.signal(signal.SIGTERM)
    process.wait_for_output(b"stopping on signal", "err")
    assert get(process, "/healthz")[0] == 200
    up.release.set()
    process.finish(SOON).exits(0)
    assert chat.finish(SOON).ok().text.endswith("and finished\n")
