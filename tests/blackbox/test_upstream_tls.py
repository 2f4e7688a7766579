"""Certificates and the names in them: what stands between the key and the right host."""

import socket
import ssl
import struct
import threading

import pytest
from harness import SOON
from openai_upstream import Upstream

pytestmark = pytest.mark.release


def test_an_answer_over_tls(hermes, tls_up):
    assert hermes.use(tls_up, "echo").chat("hi").ok().text == "echo: hi\n"


def test_tools_over_tls_use_one_connection(hermes, tls_up):
    hermes.use(tls_up, "tools").chat("call current_time {}").ok()
    assert tls_up.connections == 1 and len(tls_up.requests) == 2


def test_the_name_is_checked_not_only_the_address(hermes, tls_up):
    hermes.use(tls_up, "echo", name="localhost")
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert tls_up.requests[0].headers["host"] == f"localhost:{tls_up.port}"


@pytest.mark.parametrize("kind", ["expired", "wrong-host", "self-signed"])
def test_a_bad_certificate_is_refused_before_the_key_is_sent(hermes, kind):
    with Upstream(tls=kind) as bad:
        hermes.use(bad, "echo").chat("hi").failed("certificate|TLS")
        assert not bad.requests


@pytest.mark.parametrize("kind,advice", [("expired", "clock|date|time"), ("wrong-host", "URL|name"),
                                         ("self-signed", "SSL_CERT_FILE")])
def test_a_bad_certificate_says_what_to_do(hermes, kind, advice):
    """A Pi without a battery believes that it is 1970: every certificate is not valid yet."""
    with Upstream(tls=kind) as bad:
        hermes.use(bad, "echo").chat("hi").failed(advice)


@pytest.mark.parametrize("kind,host,reason", [
    ("address-as-name", "127.0.0.1", "not for the URL's name"),
    ("wildcard-as-address", "127.0.0.1", "not for the URL's name"),
    ("common-address", "127.0.0.1", "not for the URL's name"),
    ("common-name", "localhost", "not for the URL's name"),
    ("for-clients", "localhost", "not for servers"),
])
def test_a_certificate_is_for_what_it_says(hermes, kind, host, reason):
    """An address by an iPAddress, a name by a dNSName, and no common name (RFC 9525)."""
    with Upstream(tls=kind) as bad:
        hermes.use(bad, "echo", name=host).chat("hi").failed(reason)
        assert not bad.requests


def test_the_built_in_roots_do_not_know_the_fake(hermes, tls_up):
    hermes.use(tls_up, "echo").chat("hi", env={"SSL_CERT_FILE": None}).failed("certificate|TLS")
    assert not tls_up.requests


@pytest.mark.parametrize("content", [None, b"", b"garbage\n", b"\x00" * 5000,
                                     b"-----BEGIN CERTIFICATE-----\nAAAA\n"],
                         ids=["missing", "empty", "garbage", "zeros", "broken"])
def test_a_bad_ca_file_is_named(hermes, tls_up, content):
    path = hermes.directory / "roots.pem"
    if content is not None:
        hermes.put("roots.pem", content, base=hermes.directory)
    result = hermes.use(tls_up, "echo").chat("hi", env={"SSL_CERT_FILE": path})
    result.failed("roots.pem|SSL_CERT_FILE")
    assert not tls_up.requests


def test_tls_spoken_to_plain_http(hermes, up):
    hermes.use(up, "echo").environment["OPENAI_BASE_URL"] = f"https://127.0.0.1:{up.port}/v1"
    hermes.limits(connect=3).chat("hi").failed("TLS|certificate|https|handshake|connect")
    up.rejected.clear()


def test_plain_http_spoken_to_tls(hermes, tls_up):
    hermes.use(tls_up, "echo").environment["OPENAI_BASE_URL"] = f"http://127.0.0.1:{tls_up.port}/v1"
    hermes.limits(stale=3).chat("hi").failed()


# -- handshakes -----------------------------------------------------------------------------------

def tls_1_2(context):
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def only_old_ciphers(context):
    tls_1_2(context)
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")


def wants_our_certificate(context):
    tls_1_2(context)
    context.verify_mode = ssl.CERT_REQUIRED


@pytest.mark.qemu_user
@pytest.mark.parametrize("tune", [tls_1_2, lambda context: None], ids=["1.2", "1.3"])
def test_an_rsa_key(hermes, tune):
    """With TLS 1.2, too, OpenSSL 3 signs with RSA-PSS where a client offers it."""
    with Upstream(tls="rsa", tune=tune) as up:
        assert hermes.use(up, "echo").chat("hi").ok().text == "echo: hi\n"


@pytest.mark.parametrize("tune,reason", [(only_old_ciphers, "in common.*alert 40"),
                                         (wants_our_certificate, "certificate.*alert 40")])
def test_a_handshake_that_the_server_refuses(hermes, tune, reason):
    with Upstream(tls=True, tune=tune) as up:
        blames_nobody_else(hermes.use(up, "echo").chat("hi").failed(reason))
        assert not up.requests


def blames_nobody_else(result):
    """Neither the clock nor an authority is at fault when it is the protocol that fails."""
    assert not any(word in result.notes for word in ("clock", "SSL_CERT_FILE", "trusted")), result


class Peer:
    """Answers each ClientHello with the bytes that answer(its session id) gives, and keeps what
    then comes back."""

    def __init__(self, answer):
        self.answer, self.heard = answer, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(SOON)
                hello = sock.recv(1 << 16)
                sock.sendall(self.answer(hello[44:44 + hello[43]]))
                sock.shutdown(socket.SHUT_WR)
                back = b""
                while piece := sock.recv(1 << 16):
                    back += piece
                self.heard.append(back)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def ask(hermes, peer):
    hermes.environment.update(OPENAI_BASE_URL=peer.base_url, HERMES_MODEL="echo",
                              OPENAI_API_KEY="sk-peer-0123456789")
    return hermes.chat("hi")


def alert(number):
    return lambda session: struct.pack(">BHHBB", 21, 0x303, 2, 2, number)


def server_hello(random, cipher, *extensions, behind=b""):
    """`behind` follows in the same record."""
    def answer(session):
        body = b"".join(struct.pack(">HH", kind, len(text)) + text for kind, text in extensions)
        hello = (b"\x03\x03" + random + bytes([len(session)]) + session
                 + struct.pack(">HBH", cipher, 0, len(body)) + body)
        hello = b"\x02" + len(hello).to_bytes(3, "big") + hello + behind
        return struct.pack(">BHH", 22, 0x303, len(hello)) + hello
    return answer


VERSION, KEY_SHARE = 43, 51
TLS_1_3 = (VERSION, b"\x03\x04")
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
UNOFFERED_GROUP = server_hello(RETRY, 0x1301, TLS_1_3, (KEY_SHARE, b"\x01\x00"))  # ffdhe2048
# Empty EncryptedExtensions, not encrypted.
UNPROTECTED = server_hello(bytes(32), 0x1301, TLS_1_3,
                           (KEY_SHARE, b"\x00\x1d\x00\x20\x09" + bytes(31)),  # X25519
                           behind=b"\x08\x00\x00\x02\x00\x00")


@pytest.mark.parametrize("answer,reason", [
    (alert(70), "neither TLS 1.2 nor 1.3.*alert 70"),
    (alert(80), "failed by itself.*alert 80"),
    (alert(112), "name.*alert 112"),
    (alert(99), "refused the handshake.*alert 99"),
    (lambda session: b"", "ended the connection during the handshake"),
    (lambda session: b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
    (server_hello(bytes(32), 0x002F), "version, cipher or curve that it chose"),
    (UNOFFERED_GROUP, "version, cipher or curve that it chose"),
    (UNPROTECTED, "no place in the handshake"),
], ids=["version", "internal", "name", "unknown", "closed", "http", "cipher", "group", "message"])
def test_what_went_wrong_is_said(hermes, answer, reason):
    with Peer(answer) as peer:
        blames_nobody_else(ask(hermes, peer).failed(reason))


ILLEGAL_PARAMETER, UNEXPECTED_MESSAGE = 47, 10


@pytest.mark.parametrize("answer,number", [(UNOFFERED_GROUP, ILLEGAL_PARAMETER),
                                           (UNPROTECTED, UNEXPECTED_MESSAGE)],
                         ids=["group", "message"])
def test_tls_1_3_is_kept_strictly(hermes, answer, number):
    """No second ClientHello with a group that was not offered (RFC 8446, 4.1.4), and nothing
    unprotected behind the message after which the keys change (5.1)."""
    with Peer(answer) as peer:
        ask(hermes, peer).failed()
    assert peer.heard and all(back.endswith(alert(number)(b"")) for back in peer.heard), peer.heard


@pytest.mark.parametrize("model", ["cut-stream", "cut-stream-close", "rst-stream", "cut-json"])
def test_a_cut_under_tls_is_a_cut(hermes, tls_up, model):
    """Without close_notify an attacker can end any text: it must not pass for the end."""
    hermes.use(tls_up, model, read=3).chat("hi").failed("cut|closed|ended|broke|TLS|without|reset")


def test_a_hang_under_tls_ends_at_its_limit(hermes, tls_up):
    result = hermes.use(tls_up, "hang-mid", read=1).chat("hi").failed("time|within|second|silen")
    assert result.seconds < SOON
    assert tls_up.wait_for(lambda: tls_up.disconnects)


def test_ten_megabytes_over_tls(hermes, tls_up):
    result = hermes.use(tls_up, "ten-megabytes").chat("hi", limit=60).ok()
    assert len(result.out) >= 10000000
    hermes.memory_below(result, 64 * 1024)


def test_localhost_by_name(hermes, up):
    """::1 comes first in many hosts files, and the server listens on IPv4 alone."""
    result = hermes.use(up, "echo", name="localhost").chat("hi").ok()
    assert result.text == "echo: hi\n" and result.seconds < SOON
