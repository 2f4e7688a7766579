"""The variables that name a proxy: what goes through it, what does not, and what it says."""

import base64

import pytest
from proxies import Proxy


def test_https_goes_through_a_tunnel(hermes, tls_up):
    with Proxy() as proxy:
        hermes.use(tls_up, "echo").environment["https_proxy"] = f"http://127.0.0.1:{proxy.port}"
        assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert len(proxy.heads) == 1
    first, *lines = proxy.heads[0].split("\r\n")
    assert first == f"CONNECT 127.0.0.1:{tls_up.port} HTTP/1.1"
    assert f"Host: 127.0.0.1:{tls_up.port}" in lines
    assert "authorization" not in proxy.heads[0].lower(), "the key is for the server alone"


def test_http_is_asked_of_the_proxy(hermes, up):
    with Proxy() as proxy:
        hermes.use(up, "echo").environment["http_proxy"] = f"127.0.0.1:{proxy.port}"
        assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert proxy.heads[0].startswith(f"POST http://127.0.0.1:{up.port}/")


@pytest.mark.parametrize("secure", [False, True])
def test_the_proxy_is_told_who_asks(hermes, up, tls_up, secure):
    with Proxy() as proxy:
        hermes.use(tls_up if secure else up, "echo")
        hermes.environment["ALL_PROXY"] = f"http://me:p%40ss@127.0.0.1:{proxy.port}/"
        assert hermes.chat("hi").ok().text == "echo: hi\n"
    expected = base64.b64encode(b"me:p@ss").decode()
    assert f"Proxy-Authorization: Basic {expected}" in proxy.heads[0].split("\r\n")


@pytest.mark.parametrize("spared", ["*", "127.0.0.1", "localhost, 127.0.0.0/8"])
def test_no_proxy_is_obeyed(hermes, tls_up, spared):
    with Proxy() as proxy:
        hermes.use(tls_up, "echo")
        hermes.environment.update(https_proxy=f"http://127.0.0.1:{proxy.port}", no_proxy=spared)
        assert hermes.chat("hi").ok().text == "echo: hi\n"
        assert not proxy.heads


@pytest.mark.parametrize("answer,words", [
    (b"HTTP/1.1 407 Authenticate\r\nContent-Length: 0\r\n\r\n", "proxy.*407.*user"),
    (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", "proxy.*502"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "proxy.*HTTP"),
    (b"", "proxy.*closed"),
    (b"HTTP/1.1 200 OK\r\n\r\n" + b"no TLS at all " * 9, "TLS"),
], ids=["407", "502", "ssh", "nothing", "no-tls"])
def test_a_tunnel_that_comes_to_nothing(hermes, tls_up, answer, words):
    with Proxy(answer) as proxy:
        hermes.use(tls_up, "echo").environment["https_proxy"] = f"http://127.0.0.1:{proxy.port}"
        hermes.chat("hi").failed(words)
    assert not tls_up.requests


def test_a_proxy_that_is_not_there(hermes, tls_up):
    hermes.use(tls_up, "echo").environment["https_proxy"] = "http://127.0.0.1:9"
    hermes.chat("hi").failed("cannot connect to the proxy 127.0.0.1:9")
    assert not tls_up.requests


@pytest.mark.parametrize("value", ["ftp://127.0.0.1:9", "socks6://h", "http://", "socks5://"])
def test_a_proxy_of_another_kind_is_not_passed_over(hermes, tls_up, value):
    hermes.use(tls_up, "echo").environment["ALL_PROXY"] = value
    hermes.chat("hi").failed("ALL_PROXY")
    assert not tls_up.requests
