"""The variables that name a proxy: what goes through it, what does not, and what it says."""

import base64
import select
import socket
import threading

import pytest


class Proxy:
    """Takes CONNECT and absolute URLs, keeps each request's head, and passes the bytes on."""

    def __init__(self, answer=None):
        self.answer = answer                # instead of passing anything on
        self.heads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = []
        self.sockets = []

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.sockets]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(65536)
                if not piece:
                    return
                head += piece
            self.heads.append(head.split(b"\r\n\r\n")[0].decode())
            if self.answer is not None:
                client.sendall(self.answer)
                client.close()
                return
            self.pass_on(client, head)
        except OSError:
            pass

    def pass_on(self, client, head):
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        where = target if method == "CONNECT" else target.split("/")[2]
        host, port = where.rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        self.sockets.append(server)
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
        else:
            server.sendall(head.replace(f"http://{where}".encode(), b"", 1))
        other = {client: server, server: client}
        while True:
            for one in select.select([client, server], [], [])[0]:
                piece = one.recv(65536)
                if not piece:
                    return
                other[one].sendall(piece)


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


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:9", "https://127.0.0.1:9", "http://"])
def test_a_proxy_of_another_kind_is_not_passed_over(hermes, tls_up, value):
    hermes.use(tls_up, "echo").environment["ALL_PROXY"] = value
    hermes.chat("hi").failed("ALL_PROXY")
    assert not tls_up.requests
