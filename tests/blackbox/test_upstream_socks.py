"""SOCKS and HTTPS proxies: what goes through them, what they are told, and how they fail."""

import base64
import time

import pytest
from harness import IS_ROOT, SOON, TEST_UID
from name_server import NameServer
from openai_upstream import Upstream
from own_network import V4, Network
from ports import free_port
from proxies import BY_PASSWORD, IPV4, IPV6, NAME, Microsocks, Proxy, SocksProxy
from router_service import Router

pytestmark = pytest.mark.release

SCHEMES = pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
SECURE = pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])


def through(hermes, up, proxy, *, model="echo", name=None, variable="ALL_PROXY"):
    """Every request goes through this proxy, a URL."""
    hermes.use(up, model, name=name, connect=SOON, stale=SOON).environment[variable] = proxy
    return hermes


def answered(hermes, **more):
    assert hermes.chat("hi", **more).ok().text == "echo: hi\n"


# -- a real SOCKS server --------------------------------------------------------------------------

@SECURE
@SCHEMES
@pytest.mark.parametrize("user", [None, "me:secret"], ids=["open", "password"])
def test_microsocks(hermes, up, tls_up, scheme, secure, user):
    chosen = tls_up if secure else up
    with Microsocks(user) as proxy:
        said = f"{user}@" if user else ""
        answered(through(hermes, chosen, f"{scheme}://{said}127.0.0.1:{proxy.port}"))
        assert len(chosen.requests) == 1


def test_microsocks_is_told_a_name(hermes, tls_up):
    """With socks5:// it would get the first of the name's addresses, as curl has it."""
    with Microsocks() as proxy:
        answered(through(hermes, tls_up, f"socks5h://localhost:{proxy.port}", name="localhost"))
    assert tls_up.requests[0].headers["host"] == f"localhost:{tls_up.port}"


def test_a_password_may_hold_any_character(hermes, up):
    with Microsocks("m e:p@ss:/?#") as proxy:
        answered(through(hermes, up,
                         f"socks5h://m%20e:p%40ss%3A%2F%3F%23@127.0.0.1:{proxy.port}"))


@SCHEMES
@pytest.mark.parametrize("said", ["me:wrong@", "you:secret@", ""],
                         ids=["password", "user", "nothing"])
def test_a_wrong_password_is_one_sentence(hermes, up, scheme, said):
    with Microsocks("me:secret") as proxy:
        result = through(hermes, up, f"{scheme}://{said}127.0.0.1:{proxy.port}").chat("hi")
        result.failed(rf"proxy 127\.0\.0\.1:{proxy.port}", "user|password")
        assert "secret" not in result.notes and "wrong" not in result.notes, result
    assert not up.requests


def test_a_server_that_the_proxy_cannot_reach(hermes, up):
    with Microsocks() as proxy:
        through(hermes, up, f"socks5h://127.0.0.1:{proxy.port}")
        hermes.environment["OPENAI_BASE_URL"] = f"http://127.0.0.1:{free_port()}/v1"
        hermes.chat("hi").failed("proxy")


# -- what it is asked -----------------------------------------------------------------------------

@SCHEMES
@SECURE
def test_where_a_name_is_resolved(hermes, scheme, secure):
    """socks5 here, socks5h at the proxy; each side alone knows a name that the other does not."""
    with Network() as network, NameServer(network, {"fake.test": [V4]}) as names, \
            Upstream(tls=secure, listener=network.listen()) as up, \
            SocksProxy(names={"fake.test": V4}, listener=network.listen("127.0.0.1"),
                       connect=lambda address: network.connect(*address)) as proxy:
        if scheme == "socks5h":
            names.names.clear()
        through(hermes, up, f"{scheme}://127.0.0.1:{proxy.port}", name="fake.test")
        result = hermes.run("chat", "-q", "hi", as_root=True,
                            wrapper=network.enter(TEST_UID if IS_ROOT else None))
        assert result.ok().text == "echo: hi\n"
        assert proxy.asked == [(NAME, "fake.test", up.port) if scheme == "socks5h"
                               else (IPV4, V4, up.port)]
        assert names.asked("fake.test") == (scheme == "socks5")


@SCHEMES
def test_an_address_is_sent_as_one(hermes, scheme):
    with Upstream(host="127.0.0.1") as up, SocksProxy() as proxy:
        answered(through(hermes, up, f"{scheme}://127.0.0.1:{proxy.port}"))
    kind, host, _ = proxy.asked[0]
    assert host == "127.0.0.1" and kind in ((IPV4,) if scheme == "socks5" else (IPV4, NAME))


def test_an_ipv6_address_is_sent_as_one(hermes, up):
    with SocksProxy(names={"2001:db8::7": "127.0.0.1"}) as proxy:
        answered(through(hermes, up, f"socks5://127.0.0.1:{proxy.port}", name="[2001:db8::7]"))
    assert proxy.asked == [(IPV6, "2001:db8::7", up.port)]


def test_the_password_is_for_a_proxy_that_asks(hermes, up):
    with SocksProxy() as proxy:
        answered(through(hermes, up, f"socks5://me:secret@127.0.0.1:{proxy.port}"))
        assert not proxy.users and 0 in proxy.methods[0]
    with SocksProxy() as proxy:
        answered(through(hermes, up, f"socks5://127.0.0.1:{proxy.port}"))
        assert BY_PASSWORD not in proxy.methods[0], "there is none to be offered"


def test_a_proxy_sees_no_key(hermes, tls_up):
    with SocksProxy() as proxy:
        answered(through(hermes, tls_up, f"socks5h://127.0.0.1:{proxy.port}"))
        assert len(proxy.passed) > 1000 and tls_up.api_key.encode() not in proxy.passed


def test_the_connection_through_a_proxy_is_kept(hermes, tls_up):
    with SocksProxy() as proxy:
        through(hermes, tls_up, f"socks5h://127.0.0.1:{proxy.port}", model="tools")
        hermes.chat("call current_time {}").ok()
        assert proxy.connections == 1 and len(tls_up.requests) == 2


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"])
def test_the_variable_decides(hermes, up, variable):
    """The scheme of the server chooses the variable, not that of the proxy."""
    with SocksProxy() as proxy:
        answered(through(hermes, up, f"socks5://127.0.0.1:{proxy.port}", variable=variable))
        assert proxy.connections == (variable != "https_proxy")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "https"])
@pytest.mark.parametrize("spared", ["*", "127.0.0.1", "localhost, 127.0.0.0/8"])
def test_no_proxy_is_obeyed(hermes, up, scheme, spared):
    """Were the proxy asked, the turn would fail: nobody listens there."""
    through(hermes, up, f"{scheme}://127.0.0.1:{free_port()}").environment["no_proxy"] = spared
    answered(hermes)


# -- how it fails ---------------------------------------------------------------------------------

@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "https"])
def test_a_proxy_that_is_not_there(hermes, up, scheme):
    port = free_port()
    result = through(hermes, up, f"{scheme}://127.0.0.1:{port}").chat("hi")
    result.failed(rf"proxy 127\.0\.0\.1:{port}", "refused")
    assert not up.requests and result.seconds < SOON


@pytest.mark.parametrize("fault,words", [
    (1, "proxy"), (2, "proxy"), (3, "proxy"), (4, "proxy"), (5, "proxy"), (6, "proxy"),
    (8, "proxy"), (99, "proxy"), ("version", "proxy.*SOCKS"), ("closed", "proxy")])
def test_a_socks_proxy_that_refuses(hermes, up, fault, words):
    with SocksProxy(fault=fault) as proxy:
        through(hermes, up, f"socks5h://127.0.0.1:{proxy.port}").chat("hi").failed(words)
    assert not up.requests and proxy.connections


def test_a_socks_proxy_that_never_answers_ends_at_the_connect_limit(hermes, up):
    with SocksProxy(fault="silent") as proxy:
        through(hermes, up, f"socks5h://127.0.0.1:{proxy.port}").limits(connect=1.5, stale=60)
        result = hermes.chat("hi").failed("proxy", "time|within")
        assert 1.4 <= result.seconds < SOON and proxy.connections


def test_a_socks_proxy_that_speaks_slowly(hermes, tls_up):
    with SocksProxy(user="me:secret", fault="bytewise") as proxy:
        answered(through(hermes, tls_up, f"socks5h://me:secret@127.0.0.1:{proxy.port}"))
        assert proxy.users == ["me:secret"]


# -- kept connections -----------------------------------------------------------------------------

KINDS = {"socks5": SocksProxy, "socks5h": SocksProxy, "http": Proxy,
         "https": lambda: Proxy(tls="good")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_ended_a_kept_connection_is_asked_for_another(hermes, tls_up, kind):
    with KINDS[kind]() as proxy:
        through(hermes, tls_up, f"{kind}://127.0.0.1:{proxy.port}")
        router = Router(hermes, tls_up).start({"free": ["echo"]})
        try:
            for ended in range(3):
                answer = router.ask()
                assert answer.status == 200 and proxy.connections == ended + 1
                rows = router.attempts(answer.headers["x-litellm-call-id"])
                assert [row["status"] for row in rows] == [200]
                assert router.ask().status == 200 and proxy.connections == ended + 1
                proxy.end_all()
                time.sleep(0.1)     # it has arrived: a loopback takes microseconds
            assert router.metrics()["hermes_http_repeats_total"] == 0
        finally:
            router.kill()
            hermes.key_may_be_in = ("router.yaml",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_connection_is_for_its_own_way_alone(hermes, tls_up, kind):
    """The same server by two names, one of which the proxy is spared: neither takes the other's
    connection."""
    with KINDS[kind]() as proxy:
        through(hermes, tls_up, f"{kind}://127.0.0.1:{proxy.port}")
        hermes.environment["no_proxy"] = "localhost"
        router = Router(hermes, tls_up)
        hosts = ("localhost", "127.0.0.1")
        router.start({host: [router.deployment("echo", api_base=tls_up.url_for(host))]
                      for host in hosts})
        try:
            for _ in range(3):
                assert all(router.ask(model=host).status == 200 for host in hosts)
            assert proxy.connections == 1 and tls_up.connections == 2
            assert [r.headers["host"].partition(":")[0] for r in tls_up.requests] == [*hosts] * 3
        finally:
            router.kill()
            hermes.key_may_be_in = ("router.yaml",)


# -- HTTPS proxies --------------------------------------------------------------------------------

def trusted(hermes, tls_up):
    """The authority of the fakes, for a server without TLS too."""
    hermes.environment["SSL_CERT_FILE"] = tls_up.ca_file


@SECURE
@pytest.mark.parametrize("user", [None, "me:p@ss"], ids=["open", "password"])
def test_an_https_proxy(hermes, up, tls_up, secure, user):
    """What is for an http server is tunnelled or asked of the proxy; its password is told to the
    proxy alone, and the key to the server alone."""
    chosen = tls_up if secure else up
    trusted(hermes, tls_up)
    with Proxy(tls="good", user=user) as proxy:
        said = user.replace("@", "%40", 1) + "@" if user else ""
        answered(through(hermes, chosen, f"https://{said}127.0.0.1:{proxy.port}"))
    assert len(chosen.requests) == 1 and len(proxy.heads) == 1
    first, *lines = proxy.heads[0].split("\r\n")
    target = f"127.0.0.1:{chosen.port}"
    assert first.startswith(f"CONNECT {target} " if secure
                            else (f"POST http://{target}/", f"CONNECT {target} "))
    expected = base64.b64encode((user or "").encode()).decode()
    assert (f"Proxy-Authorization: Basic {expected}" in lines) == bool(user)
    assert "proxy-authorization" not in chosen.requests[0].headers
    assert not secure or tls_up.api_key.encode() not in proxy.passed


@pytest.mark.parametrize("said", ["", "me:wrong@"], ids=["nothing", "wrong"])
def test_an_https_proxy_that_refuses_the_password(hermes, tls_up, said):
    with Proxy(tls="good", user="me:secret") as proxy:
        result = through(hermes, tls_up, f"https://{said}127.0.0.1:{proxy.port}").chat("hi")
        result.failed("proxy.*407.*user")
    assert not tls_up.requests


@pytest.mark.parametrize("kind", ["self-signed", "expired", "wrong-host"])
@SECURE
def test_an_https_proxy_that_is_not_trusted(hermes, up, tls_up, kind, secure):
    """It learns neither the password nor where the request is for."""
    trusted(hermes, tls_up)
    with Proxy(tls=kind) as proxy:
        through(hermes, tls_up if secure else up, f"https://me:secret@127.0.0.1:{proxy.port}")
        hermes.chat("hi").failed("proxy", "certificate")
        assert not proxy.heads and proxy.connections
    assert not up.requests and not tls_up.requests


@pytest.mark.parametrize("proxy_kind,server_kind,works", [
    ("name-alone", "address-alone", True), ("address-alone", "address-alone", False),
    ("name-alone", "name-alone", False)], ids=["each", "server's", "proxy's"])
def test_each_has_a_certificate_of_its_own(hermes, proxy_kind, server_kind, works):
    """The proxy is asked as localhost, the server as 127.0.0.1: neither may pass for the other."""
    with Upstream(tls=server_kind) as up, Proxy(tls=proxy_kind) as proxy:
        through(hermes, up, f"https://localhost:{proxy.port}")
        if works:
            answered(hermes)
        else:
            hermes.chat("hi").failed("certificate")
            assert not up.requests
        assert bool(proxy.heads) == (proxy_kind == "name-alone")


def test_the_connection_through_an_https_proxy_is_kept(hermes, tls_up):
    with Proxy(tls="good") as proxy:
        through(hermes, tls_up, f"https://127.0.0.1:{proxy.port}", model="tools")
        hermes.chat("call current_time {}").ok()
        assert proxy.connections == 1 and len(tls_up.requests) == 2


def test_ten_megabytes_through_an_https_proxy(hermes, tls_up):
    """TLS within TLS: what one layer holds must not be waited for at the other."""
    with Proxy(tls="good") as proxy:
        through(hermes, tls_up, f"https://127.0.0.1:{proxy.port}", model="ten-megabytes")
        assert len(hermes.chat("hi").ok().out) >= 10000000


def test_an_https_proxy_that_speaks_no_tls(hermes, tls_up):
    with Proxy() as proxy:
        through(hermes, tls_up, f"https://127.0.0.1:{proxy.port}").limits(connect=3)
        hermes.chat("hi").failed("proxy", "TLS|time")
    assert not tls_up.requests


@pytest.mark.parametrize("answer,words", [
    (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", "proxy.*502"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "proxy.*HTTP"), (b"", "proxy.*closed")],
    ids=["502", "ssh", "nothing"])
def test_a_secure_tunnel_that_comes_to_nothing(hermes, tls_up, answer, words):
    with Proxy(answer, tls="good") as proxy:
        through(hermes, tls_up, f"https://127.0.0.1:{proxy.port}").chat("hi").failed(words)
    assert not tls_up.requests
