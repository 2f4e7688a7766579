"""The proxies of the tests are looked at with curl."""

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import tls_files  # noqa: E402
from openai_upstream import Upstream  # noqa: E402
from proxies import IPV4, NAME, Microsocks, Proxy, SocksProxy  # noqa: E402

TIMED_OUT, NO_TUNNEL, UNTRUSTED, PROXY = 28, 56, 60, 97     # curl's own numbers


@pytest.fixture
def up():
    with Upstream(tls=True) as upstream:
        yield upstream


def curl(up, proxy, *options, name="127.0.0.1"):
    """curl's exit status; 0 when the fake upstream answered through this proxy."""
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "10", "--proxy", proxy, "--noproxy", "", "-o", "/dev/null",
         "--cacert", up.ca_file, "--proxy-cacert", tls_files.ca_file(),
         "-H", f"Authorization: Bearer {up.api_key}", *options, f"{up.url_for(name)}/models"],
        capture_output=True, text=True, timeout=30)
    assert (done.returncode == 0) == (len(up.requests) > 0), done.stderr
    return done.returncode


@pytest.mark.parametrize("user", [None, "me:secret"])
@pytest.mark.parametrize("make,scheme", [
    (Microsocks, "socks5h"), (SocksProxy, "socks5h"), (SocksProxy, "socks5"),
    (lambda user: Proxy(user=user), "http"), (lambda user: Proxy(user=user, tls="good"), "https")],
    ids=["microsocks", "socks5h", "socks5", "http", "https"])
def test_a_proxy_passes_on(up, make, scheme, user):
    with make(user=user) as proxy:
        said = f"{user}@" if user else ""
        assert curl(up, f"{scheme}://{said}127.0.0.1:{proxy.port}") == 0


@pytest.mark.parametrize("make,scheme,status", [
    (Microsocks, "socks5h", PROXY), (SocksProxy, "socks5h", PROXY),
    (lambda user: Proxy(user=user), "http", NO_TUNNEL),
    (lambda user: Proxy(user=user, tls="good"), "https", NO_TUNNEL)],
    ids=["microsocks", "socks5h", "http", "https"])
@pytest.mark.parametrize("said", ["", "me:wrong@"])
def test_a_proxy_asks_for_the_password(up, make, scheme, status, said):
    with make(user="me:secret") as proxy:
        assert curl(up, f"{scheme}://{said}127.0.0.1:{proxy.port}") == status


@pytest.mark.parametrize("scheme,asked", [("socks5h", (NAME, "fake.test")),
                                          ("socks5", (IPV4, "127.0.0.1"))])
def test_what_it_is_asked_is_kept(up, scheme, asked):
    with SocksProxy(names={"fake.test": "127.0.0.1"}) as proxy:
        resolved = ["--resolve", f"fake.test:{up.port}:127.0.0.1"] if scheme == "socks5" else []
        assert curl(up, f"{scheme}://127.0.0.1:{proxy.port}", *resolved, name="fake.test") == 0
        assert proxy.asked == [(*asked, up.port)]


@pytest.mark.parametrize("fault,status", [
    *((number, PROXY) for number in range(1, 9)), ("version", PROXY), ("closed", PROXY),
    ("silent", TIMED_OUT), ("bytewise", 0)])
def test_the_faults_are_there(up, fault, status):
    with SocksProxy(fault=fault) as proxy:
        options = ["--connect-timeout", "1"] if fault == "silent" else []
        assert curl(up, f"socks5h://127.0.0.1:{proxy.port}", *options) == status


@pytest.mark.parametrize("kind", ["self-signed", "expired", "wrong-host"])
def test_a_proxy_may_be_untrusted(up, kind):
    with Proxy(tls=kind) as proxy:
        assert curl(up, f"https://127.0.0.1:{proxy.port}") == UNTRUSTED
        assert not proxy.heads
