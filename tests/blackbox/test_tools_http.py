"""http_request: servers that the owner named. The credential goes there and nowhere else."""

import json
import re
from urllib.parse import unquote

import pytest
from test_tools_web import caller
from web_server import WebServer, answer, endless, html, redirect, silent

pytestmark = pytest.mark.release

TOKEN = "the-credential-0123456789"


@pytest.fixture
def web():
    with WebServer({"/api/v1/items": answer('{"items": []}', kind="application/json")}) as server:
        yield server


def configure(hermes, web, more=""):
    hermes.environment["WIKI_TOKEN"] = TOKEN
    hermes.put("config.yaml", f"""
tools:
  http:
    endpoints:
      - name: wiki
        url: {web.url('/api/v1')}
        methods: [GET, POST]
        help: pages of the house
        headers:
          Authorization: Bearer ${{WIKI_TOKEN}}
      - name: other
        url: {web.url('/other?key=the-key-in-a-query')}
{more}""")


@pytest.fixture
def ask(hermes, up, web):
    hermes.use(up, "tools")
    configure(hermes, web)
    return caller(hermes, up, "http_request")


def test_a_request_carries_the_credential(ask, web):
    text = ask(endpoint="wiki", path="/items", query={"q": "a b&c", "n": [1, 2]})
    assert text.startswith("HTTP 200\nContent-Type: application/json") and '{"items": []}' in text
    request = web.requests[0]
    assert request.path == "/api/v1/items?q=a%20b%26c&n=1&n=2"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in text


@pytest.mark.parametrize("body,sent,kind", [
    ({"a": [1, 12345678901234567890]}, b'{"a": [1, 12345678901234567890]}', "application/json"),
    ('{"a":1}', b'{"a":1}', "application/json"), ("plain", b"plain", "text/plain; charset=utf-8"),
])
def test_a_body(ask, web, body, sent, kind):
    assert "HTTP 200" in ask(endpoint="wiki", method="post", path="items", body=body)
    request = web.requests[0]
    assert (request.method, request.body, request.headers["content-type"]) == ("POST", sent, kind)


@pytest.mark.parametrize("arguments,said", [
    ({}, "endpoint.* is missing; there are: wiki .GET, POST: pages of the house.; other .GET."),
    ({"endpoint": "nope"}, 'no endpoint "nope"; there are: wiki'),
    ({"endpoint": 7}, "must be a string"),
    ({"endpoint": "wiki", "method": "DELETE"}, "allows GET, POST, not DELETE"),
    ({"endpoint": "other", "method": "POST"}, "allows GET, not POST"),
    ({"endpoint": "wiki", "path": "../secret"}, "stays beneath"),
    ({"endpoint": "wiki", "path": "%2e%2e/secret"}, "no encoded slash, dot"),
    ({"endpoint": "wiki", "path": "//127.0.0.1/"}, "stays beneath"),
    ({"endpoint": "wiki", "path": "a\r\nX: y"}, "control character"),
    ({"endpoint": "wiki", "query": 7}, "must be an object or a string"),
    ({"endpoint": "wiki", "query": {"a": {"b": 1}}}, "must hold texts and numbers"),
    ({"endpoint": "wiki", "query": "a\nb"}, "control character"),
    ({"endpoint": "wiki", "query": {"a": "x" * 5000}}, "4096 bytes"),
    ({"endpoint": "wiki", "path": "x" * 5000}, "longer than 4096 bytes"),
])
def test_what_is_refused(ask, web, arguments, said):
    assert re.search(said, ask(**arguments))
    assert not web.requests


def test_a_server_that_quotes_what_it_was_sent(ask, web):
    def echo(conn, request):
        conn.write(answer(json.dumps(request.headers), kind="text/plain", status="400 No"))
    web.pages["/api/v1/echo"] = echo
    text = ask(endpoint="wiki", path="echo")
    assert text.startswith("error: HTTP 400") and "[redacted]" in text and TOKEN not in text
    web.pages["/other/echo"] = lambda conn, request: conn.write(answer(request.path))
    text = ask(endpoint="other", path="echo")
    assert "the-key-in-a-query" not in text and "key=[redacted]" in text
    web.pages["/other"] = answer(b"x", content_encoding="gzip")
    text = ask(endpoint="other")
    assert "compressed" in text and "the-key-in-a-query" not in text
    assert web.requests[-1].path == "/other?key=the-key-in-a-query"


@pytest.mark.parametrize("before,behind,left", [
    (60000, 10 * 1024 + 1 - len(TOKEN), TOKEN[1:]), (30 * 1024 - 12, 60000, TOKEN[:12]),
])
def test_a_credential_at_the_edge_of_what_is_left_out(ask, web, before, behind, left):
    """The model chooses how long an answer is that quotes it."""
    web.pages["/api/v1/echo"] = answer("x" * before + TOKEN + "y" * behind)
    text = ask(endpoint="wiki", path="echo")
    assert "are left out here" in text and left not in text


def test_a_server_that_quotes_what_it_has_read(hermes, up, web):
    """A value of the query decoded, one of a cookie without its name."""
    hermes.use(up, "tools")
    hermes.environment["COOKIE"] = "lang=de; session=abcdefgh-12345"
    hermes.put("config.yaml", f"""
tools:
  http:
    endpoints:
      - name: shop
        url: {web.url('/shop?key=the%2Fkey%3bof-it')}
        headers: {{Cookie: "${{COOKIE}}"}}
""")
    web.pages["/shop"] = lambda conn, request: conn.write(answer(json.dumps(
        [unquote(request.path), request.headers["cookie"].split("=")[-1]]), kind="text/plain"))
    text = caller(hermes, up, "http_request")(endpoint="shop")
    assert text.endswith('["/shop?key=[redacted]", "[redacted]"]')


def test_redirects_are_not_followed(ask, web):
    with WebServer({"/": html("elsewhere")}) as other:
        web.pages["/api/v1/go"] = redirect(other.url())
        text = ask(endpoint="wiki", path="go")
        assert f"Location (not followed): {other.url()}" in text and "HTTP 302" in text
        assert not other.requests and len(web.requests) == 1


def test_answers_that_are_odd(ask, web):
    web.pages["/api/v1/png"] = answer(b"\x89PNG", kind="image/png")
    assert "is no text, and not shown" in ask(endpoint="wiki", path="png")
    web.pages["/api/v1/nul"] = answer(b"a\0b", kind="text/plain")
    assert "is no text, and not shown" in ask(endpoint="wiki", path="nul")
    web.pages["/api/v1/long"] = endless("text/plain")
    text = ask(endpoint="wiki", path="long")
    assert "only the first 1024 KiB" in text and "are left out here" in text and len(text) < 45000
    assert ask(endpoint="wiki", path="gone").startswith("error: HTTP 404")


def test_a_server_that_is_silent(ask, web):
    web.pages["/api/v1/x"] = silent
    text = ask(endpoint="wiki", path="x", within=60)
    assert "timeout" in text and TOKEN not in text


def test_a_credential_that_is_not_set(ask, web, hermes):
    del hermes.environment["WIKI_TOKEN"]
    assert "WIKI_TOKEN" in ask(endpoint="wiki", path="items")
    assert not web.requests


def test_it_is_listed_only_when_it_is_configured(hermes, up, web):
    hermes.use(up, "tools")
    find = caller(hermes, up, "find_tools")
    assert "http_request" not in find()
    configure(hermes, web)
    assert "http_request" in find()
    assert "endpoint" in find(query="ask a server")


@pytest.mark.parametrize("wrong,said", [
    ("      - name: wiki\n        url: http://x\n", "two of this name"),
    ("      - name: x\n        url: ftp://x\n", "must begin with http"),
    ("      - name: x\n        url: http://x\n        methods: [SEND]\n", "SEND"),
    ("      - name: x\n        url: http://x\n        token: y\n", "token"),
])
def test_mistakes_are_told_at_the_start(hermes, up, web, wrong, said):
    hermes.use(up, "tools")
    configure(hermes, web, wrong)
    result = hermes.run("config", "check")
    assert result.code == 1 and said in result.text and "tools.http.endpoints" in result.text
    assert hermes.run("chat", "-q", "hi").code == 1


def test_the_settings_are_shown_without_the_credential(hermes, up, web):
    configure(hermes, web)
    shown = hermes.run("config", "show").ok().text
    assert "wiki" in shown and TOKEN not in shown
