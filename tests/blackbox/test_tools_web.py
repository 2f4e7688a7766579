"""web_fetch: what it reads, and where it does not go.

A refusal counts only if the same request arrives when the owner has granted it: each test of one
says so first.
"""

import contextlib
import json
import re
import time

import pytest
from harness import IS_ROOT, SOON, TEST_UID
from name_server import NameServer
from openai_upstream import Upstream
from own_network import V4, Network
from web_server import WebServer, answer, dripping, endless, html, redirect, silent

pytestmark = pytest.mark.release

REFUSED = "only public ones may be asked"
PUBLIC, PUBLIC_6 = "8.7.6.5", "2606:4700::8765"
PAGE = html("<title>Pumps</title><h1>The pump</h1><p>runs at <a href=/noon?a=1>noon</a>.")
ITS_TEXT = "# The pump\n\nruns at [noon]({})."


def caller(hermes, up, tool="web_fetch", **where):
    """call(url=...) → what the model is told."""
    def call(*urls, name=tool, within=20, **arguments):
        arguments = arguments.pop("tool", arguments)
        if urls:
            arguments["urls" if len(urls) > 1 else "url"] = urls if len(urls) > 1 else urls[0]
        begin = len(up.requests)
        hermes.chat(f"call {name} {json.dumps(arguments)}", limit=within, **where).ok()
        messages = [m for m in up.requests[-1].messages if m["role"] == "tool"]
        assert len(up.requests) == begin + 2 and len(messages) == 1
        return messages[0]["content"]
    return call


def allow(hermes, *grants, more=""):
    hermes.put("config.yaml", f"tools:\n  web:\n    allow: {json.dumps(grants)}\n{more}")


@pytest.fixture
def web():
    with WebServer({"/": PAGE}) as server:
        yield server


@pytest.fixture
def fetch(hermes, up):
    """With this machine granted, where the fakes are."""
    hermes.use(up, "tools")
    allow(hermes, "127.0.0.1")
    return caller(hermes, up)


# -- what it is for -------------------------------------------------------------------------------

def test_a_page_is_read_as_text(fetch, web):
    text = fetch(web.url())
    assert text == f"URL: {web.url()}\n\nTitle: Pumps\n\n{ITS_TEXT.format(web.url('/noon?a=1'))}"
    request = web.requests[0]
    assert "hermes" in request.headers["user-agent"]
    assert request.headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie", "referer"} & set(request.headers)


@pytest.mark.parametrize("name", ["web_fetch", "web_extract"])
def test_several_pages_of_which_some_fail(fetch, web, name):
    web.pages["/b"] = answer('{"a": 1}', kind="application/json")
    text = fetch(web.url(), web.url("/gone"), web.url("/b"), name=name)
    assert "runs at" in text and '{"a": 1}' in text
    assert f"URL: {web.url('/gone')}\nfailed: HTTP status 404" in text
    assert web.paths() == ["/", "/gone", "/b"]


def test_web_extract_is_called_as_a_tool_that_was_found(fetch, web):
    arguments = {"name": "web_extract", "arguments": {"urls": [web.url()]}}
    assert "runs at" in fetch(name="call_tool", **{"tool": arguments})


@pytest.mark.parametrize("body,kind,shown", [
    (b"a\nb\n", "text/plain", "a\nb"),
    (b"# md", "text/markdown", "# md"),
    (b'{"x":[1]}', "application/vnd.api+json; charset=utf-8", '{"x":[1]}'),
    (b"<rss><item>i</item></rss>", "application/rss+xml", "<rss><item>i</item></rss>"),
    (b"Gr\xfc\xdfe \x80", "text/plain; charset=windows-1252", "Gr\u00fc\u00dfe \u20ac"),
    (b"<meta charset=latin1><p>Gr\xfc\xdfe", "text/html", "Gr\u00fc\u00dfe"),
    (b"Gr\xfc.", "text/plain", "Gr\ufffd."),
    (b"<!DOCTYPE html><p>a<p>b", None, "a\n\nb"),
    (b"no <b>type", None, "no <b>type"),
    (b"", "text/html", "[the page holds no text]"),
])
def test_kinds_of_text(fetch, web, body, kind, shown):
    web.pages["/"] = answer(body, kind=kind)
    assert fetch(web.url()) == f"URL: {web.url()}\n\n{shown}"


@pytest.mark.parametrize("page,said", [
    (answer(b"\x89PNG\r\n", kind="image/png"), r"no text but image/png, of 6 bytes"),
    (answer(b"PK\3\4", kind="application/zip"), r"no text but application/zip"),
    (answer(b"\x1f\x8b\x08", content_encoding="gzip"), r"compressed, which was not asked for"),
    (answer(b"a\0b", kind="text/plain"), r"not a text, whatever"),
    (answer(b"\xff\xfea\0", kind="text/html"), r"UTF-16"),
    (answer(b"no", status="500 No"), r"HTTP status 500"),
    (answer(b"", status="403 No"), r"HTTP status 403"),
    (b"220 mail ESMTP\r\n", r"not HTTP|broke"),
    (redirect("ftp://x/"), r"no URL of http"),
    (redirect("file:///etc/passwd"), r"no URL of http"),
])
def test_what_is_no_page_is_said(fetch, web, page, said):
    web.pages["/"] = page
    text = fetch(web.url())
    assert re.search(said, text) and "failed: " in text, text


def test_a_long_page_shows_its_beginning_and_its_end(fetch, web):
    web.pages["/"] = html("".join(f"<p>line {n}</p>" for n in range(20000)))
    text = fetch(web.url(), char_limit=3000)
    assert "line 0\n" in text and "line 19999" in text and len(text) < 3500
    assert re.search(r"\[\d+ of \d+ characters are left out here\]", text)
    assert text.endswith("\n[char_limit was 3000; it may be up to 40000]")
    text = fetch(web.url())
    assert 12000 < len(text) < 16000 and "[char_limit was 15000;" in text
    text = fetch(web.url(), char_limit=10**6)
    assert 35000 < len(text) < 45000 and "char_limit" not in text


def test_redirects_are_followed_a_few_times(fetch, web):
    for number in range(9):
        web.pages[f"/r{number}"] = redirect("r" + str(number + 1), "301 Moved")
    web.pages["/r5"] = PAGE
    assert f"URL: {web.url('/r5')}\n" in fetch(web.url("/r0"))
    web.pages["/r5"] = redirect("/r6")
    assert "more than 5 redirects" in fetch(web.url("/r0"))
    web.pages["/loop"] = redirect("/loop")
    assert "more than 5 redirects" in fetch(web.url("/loop"))
    assert web.paths().count("/loop") == 6
    web.pages["/loop"] = redirect("/png")
    web.pages["/png"] = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\nabc"
    assert fetch(web.url("/loop")).endswith("no text but image/png")


def test_a_body_without_end_is_cut_and_says_so(fetch, web, hermes):
    web.pages["/"] = endless()
    text = fetch(web.url())
    assert "on and on" in text and "only the first 4 MiB" in text and len(text) < 17000


@pytest.mark.parametrize("page", [silent, dripping])
def test_a_server_that_takes_its_time(fetch, web, page):
    web.pages["/"] = page
    begin = time.monotonic()
    text = fetch(web.url(), within=60)
    assert "timeout" in text and 15 < time.monotonic() - begin < 45


@pytest.mark.parametrize("arguments", [
    {}, {"url": ""}, {"url": 7}, {"urls": []}, {"urls": "x"}, {"urls": [1]}, {"url": "example.org"},
    {"url": "ftp://example.org"}, {"url": "http://u:p@127.0.0.1/"}, {"url": "http://"},
    {"url": "file:///etc/passwd"}, {"url": "http://" + "x" * 9000}, {"url": "http://\n"},
    {"url": "http://127.1/"}, {"url": "http://2130706433/"}, {"url": "http://0x7f000001/"},
    {"url": "http://017700000001/"}, {"url": "http://127.0.0.1./"}, {"url": "http://h:0/"},
    {"urls": ["http://127.0.0.1/"] * 6}, {"url": "http://127.0.0.1/", "char_limit": 10},
    {"url": "http://127.0.0.1/", "char_limit": "x"}, {"url": None}, {"url": ["http://[::1%251]/"]},
])
def test_hostile_arguments_are_a_sentence(fetch, arguments):
    text = fetch(**arguments)
    assert 10 < len(text) < 500 and re.search(r"URL|parameter|must", text), text


def test_many_calls_at_once_take_turns(hermes, up, web):
    """Each page comes, and no more of them are on their way than there is memory for."""
    under_way, most = [], []

    def slow(conn, request):
        under_way.append(request)
        most.append(len(under_way))
        time.sleep(0.3)
        under_way.remove(request)
        conn.write(html(f"<p>page {request.path}"))
    web.pages.update({f"/{number}": slow for number in range(12)})
    hermes.use(up, "tools")
    allow(hermes, "127.0.0.1")
    hermes.chat(" ".join(f'call web_fetch {{"url": "{web.url(f"/{n}")}"}}' for n in range(12)),
                limit=60).ok()
    told = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
    assert len(told) == 12 and all(f"page /{n}" in text for n, text in enumerate(told))
    assert 2 <= max(most) <= 4


def test_its_mark_is_kept(fetch, web, hermes):
    fetch(web.url())
    question = "SELECT DISTINCT tainted FROM messages WHERE role='tool'"
    rows = hermes.sql(f"print(db.execute({question!r}).fetchall())", hermes.home / "state.db")
    assert rows.strip() == "[(1,)]"


# -- where it does not go -------------------------------------------------------------------------

@contextlib.contextmanager
def outside(hermes, names=(), listen=PUBLIC):
    """(network, web server at `listen`, call): a network with a public address."""
    with Network(addresses=[PUBLIC, PUBLIC_6, "10.1.2.3", "169.254.169.254", "100.64.0.9"]) \
            as network, NameServer(network, names) as server, \
            Upstream(listener=network.listen("127.0.0.1")) as up, \
            WebServer({"/": PAGE}, network.listen(listen)) as web:
        hermes.use(up, "tools", name="127.0.0.1")
        yield network, web, caller(
            hermes, up, wrapper=network.enter(TEST_UID if IS_ROOT else None), as_root=True), server


def test_public_addresses_are_asked(hermes):
    with outside(hermes, {"web.test": [PUBLIC]}) as (_, web, call, _names):
        assert "runs at" in call(web.url(host="web.test"))
        assert "runs at" in call(web.url())


def test_a_public_address_of_ipv6_is_asked(hermes):
    with outside(hermes, {"web.test": [PUBLIC_6]}, listen=PUBLIC_6) as (_, web, call, _names):
        assert "runs at" in call(web.url(host="web.test"))
        assert "runs at" in call(web.url(host=f"[{PUBLIC_6}]"))


@pytest.mark.parametrize("address,listen", [
    ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("10.1.2.3", "10.1.2.3"),
    ("169.254.169.254", "169.254.169.254"), ("100.64.0.9", "100.64.0.9"), (V4, V4),
    ("::1", "::1"), ("::ffff:10.1.2.3", "10.1.2.3"), ("2001:db8::1", "2001:db8::1"),
])
def test_other_addresses_are_not(hermes, address, listen):
    literal = f"[{address}]" if ":" in address else address
    with outside(hermes, {"web.test": [address]}, listen) as (network, web, call, names):
        allow(hermes, "web.test")
        assert "runs at" in call(web.url(host="web.test")), "without the guard it can be reached"
        before = len(web.requests)
        allow(hermes)
        for host in ("web.test", literal):
            text = call(web.url(host=host))
            assert REFUSED in text and "tools.web.allow" in text, text
        assert len(web.requests) == before and names.asked("web.test")


@pytest.mark.parametrize("to", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "inside.test",
                                "169.254.169.254", "2130706433", "0x7f.1", "127.1", "017700000001"])
def test_a_redirect_leads_nowhere_else(hermes, to):
    inner_address = "169.254.169.254" if to.startswith("169") else "127.0.0.1"
    with outside(hermes, {"inside.test": ["127.0.0.1"]}) as (network, web, call, _), \
            WebServer({"/secret": html("the secret")}, network.listen(inner_address)) as inner:
        target = f"http://{to}:{inner.port}/secret"
        web.pages["/go"] = redirect(target)
        web.pages["/hop"] = redirect("/go")
        allow(hermes, "127.0.0.0/8", "::ffff:127.0.0.1", "169.254.169.254")
        if not re.match(r"\d+$|0x|127\.1$", to):
            assert "the secret" in call(web.url("/go")), "without the guard it can be reached"
        before = len(inner.requests)
        allow(hermes)
        for path in ("/go", "/hop"):
            text = call(web.url(path))
            assert "the secret" not in text and "failed: " in text
        assert len(inner.requests) == before
        assert web.paths().count("/go") >= 2


def test_a_name_with_both_kinds_of_addresses(hermes):
    """Nothing listens at the public one: a guard that looked at the first alone would be passed."""
    with outside(hermes, {"web.test": [PUBLIC, "127.0.0.1"]}, "127.0.0.1") \
            as (_, web, call, _names):
        allow(hermes, "127.0.0.1")
        assert "runs at" in call(web.url(host="web.test")), "without the guard it can be reached"
        before = len(web.requests)
        allow(hermes)
        assert "failed: " in call(web.url(host="web.test"))
        assert len(web.requests) == before


class Turns:
    """Addresses of a name: the next of these each time an IPv4 one is asked for."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def __iter__(self):
        self.asked += 1
        return iter(self.answers[min((self.asked - 1) // 2, len(self.answers) - 1)])


def test_a_name_that_changes_its_mind(hermes):
    """What was looked at is what is connected to, whatever is answered later: a page and its
    redirect to the same name, of which the second look-up says 127.0.0.1."""
    with outside(hermes) as (network, web, call, names), \
            WebServer({"/secret": html("the secret")}, network.listen("127.0.0.1", web.port)) \
            as inner:
        web.pages["/secret"] = html("public")
        web.pages["/go"] = redirect("/secret")
        for path in ("/secret", "/go"):
            names.names["web.test"] = Turns([PUBLIC], ["127.0.0.1"])
            allow(hermes)
            text = call(web.url(path, host="web.test"))
            assert "the secret" not in text
        names.names["web.test"] = ["127.0.0.1"]
        assert REFUSED in call(web.url("/secret", host="web.test"))
        assert not inner.requests
        allow(hermes, "web.test")
        assert "the secret" in call(web.url("/secret", host="web.test"))


def test_a_connection_that_is_kept_is_no_way_in(hermes, up):
    """The model's own server is at an address that is not public, and a connection to it is kept
    when the tool asks for the same."""
    hermes.use(up, "tools")
    call = caller(hermes, up)
    assert REFUSED in call(f"http://{up.host}:{up.port}/v1/models")


def test_a_proxy_hides_what_it_connects_to(hermes, up, web):
    """So it is not used, unless the owner trusts it with that."""
    hermes.use(up, "tools")
    hermes.environment.update(http_proxy=f"http://127.0.0.1:{web.port}", no_proxy="127.0.0.1")
    web.pages["http://web.invalid/"] = html("by proxy")
    call = caller(hermes, up)
    assert "a proxy stands before it" in call("http://web.invalid/")
    assert not web.requests
    allow(hermes, "web.invalid")
    assert "by proxy" in call("http://web.invalid/")
    hermes.put("config.yaml", "tools:\n  web:\n    trust_proxy: true\n")
    assert "by proxy" in call("http://web.invalid/")
    assert REFUSED in call("http://169.254.169.254/")
    assert len(web.requests) == 2


def test_a_grant_that_is_none_is_told(hermes, up):
    hermes.use(up, "tools")
    allow(hermes, "http://x/")
    hermes.run("chat", "-q", "hi").failed("tools.web.allow", "http://x/")
    result = hermes.run("config", "check")
    assert result.code == 1 and "tools.web.allow" in result.text


def test_nothing_is_begun_after_an_end(hermes, up, web):
    """A turn that ends while pages are on their way, and others wait, leaves no trace."""
    hermes.use(up, "tools")
    allow(hermes, "127.0.0.1", more="agent:\n  gateway_timeout: 2s\n")
    web.pages["/"] = silent
    begin = time.monotonic()
    hermes.chat(f'call web_fetch {{"url": "{web.url()}"}} ' * 9, limit=20)
    assert time.monotonic() - begin < 2 + SOON
    assert len(web.requests) <= 9
