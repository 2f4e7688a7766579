"""MCP servers that want somebody to log in: how that goes, and that nothing is lost or told."""

import concurrent.futures
import json
import re
import signal

import pytest
import telegram_models  # noqa: F401  registers its scenarios
from harness import comes_true, files_of, holds
from mcp_oauth import Protected, fetch, open_page
from ports import free_port
from telegram_owner import OWNER, Talk

HOME_KEEPS = ("state.db", "state.db-wal", "state.db-shm")


@pytest.fixture
def fake(hermes):
    with Protected() as server:
        yield server
        for path in files_of(hermes.directory):
            if path.name not in HOME_KEEPS:
                found = [secret for secret in server.secrets if holds(path, secret.encode())]
                assert not found, f"{path} holds {found}"


@pytest.fixture
def use(hermes, fake):
    """use(entry lines…) configures the server as `fake`; the port its browsers are sent to."""
    def write(*lines, names=("fake",)):
        port = free_port()
        text = "approvals: {mode: off}\nmcp_servers:\n"
        for place, name in enumerate(names):
            text += (f"  {name}:\n    url: {fake.url}\n"
                     f"    oauth: {{redirect_port: {port + place}}}\n")
            text += "".join(f"    {line}\n" for line in lines)
        hermes.put("config.yaml", text)
        return port
    return write


def listed(hermes):
    return json.loads(hermes.run("mcp", "list", "--json").ok().text)["mcp_servers"]


def state_of(hermes, name):
    return next(server["state"] for server in listed(hermes) if server["name"] == name)


def page_in(shown):
    return re.search(r"http://127\.0\.0\.1:\d+/authorize\?[^\s]+", shown)[0]


def log_in(hermes, name="fake"):
    """By the listener, with nobody at the terminal."""
    with hermes.start("mcp", "login", name) as login:
        login.wait_for_output(b"Waiting for the browser")
        status, _, text = fetch(open_page(page_in(login.out.decode())))
        assert status == 200 and "close this page" in text
        result = login.finish().ok()
    assert f"Logged in to {name}." in result.text
    assert comes_true(lambda: state_of(hermes, name) == "ready")
    return result


def tool(name, **arguments):
    return "call call_tool " + json.dumps({"name": "mcp__fake__" + name, "arguments": arguments})


def last_result(up):
    return up.requests[-1].messages[-1]["content"]


@pytest.fixture
def running(hermes, up, service, use):
    use()
    hermes.use(up, "two-steps")
    process = service()
    assert comes_true(lambda: "hermes mcp login fake" in listed(hermes)[0].get("error", ""))
    return process


# -- logging in -----------------------------------------------------------------------------------

def test_without_a_hermes_that_runs(hermes, fake, use):
    use()
    assert "log in: hermes mcp login fake" in listed(hermes)[0]["error"]
    log_in(hermes)
    assert listed(hermes)[0]["state"] == "ready"
    assert hermes.run("mcp", "call", "fake", "echo", '{"text": "in"}').ok().text == "in\n"
    assert fake.count("register") == 1 and fake.count("authorize") == 1
    assert ("authorization_code", fake.url) in fake.story


def test_by_the_running_hermes(hermes, up, fake, running):
    log_in(hermes)
    hermes.chat(tool("echo", text="hello")).ok()
    assert last_result(up) == "hello"


def test_by_an_address_that_is_pasted(hermes, fake, running, terminal):
    with terminal("mcp", "login", "fake", columns=2000) as login:
        login.expect("paste its address here")
        address = open_page(page_in(login.screen))
        login.send("http://127.0.0.1/callback?code=1&state=wrong\r")
        login.expect("not the address to which this page leads")
        login.send(address + "\r")
        login.expect("Logged in to fake")
        assert login.ends() == 0
    assert comes_true(lambda: listed(hermes)[0]["state"] == "ready")


def test_the_port_is_taken(hermes, fake, use, terminal):
    import socket
    port = use()
    with socket.create_server(("127.0.0.1", port)):
        hermes.run("mcp", "login", "fake").failed("nobody can paste it")
        with terminal("mcp", "login", "fake", columns=2000) as login:
            login.expect("paste its address here")
            login.send(open_page(page_in(login.screen)) + "\r")
            login.expect("Logged in to fake")
            assert login.ends() == 0


def test_what_else_comes_to_the_port_is_not_taken(hermes, fake, use):
    port = use()
    with hermes.start("mcp", "login", "fake") as login:
        login.wait_for_output(b"Waiting for the browser")
        for path in ("/", "/callback", "/callback?code=a&state=b", "/callback?state=" + "x" * 9000):
            assert fetch(f"http://127.0.0.1:{port}{path}")[0] == 404
        address = open_page(page_in(login.out.decode()))
        assert fetch(address.replace("/callback", "/other"))[0] == 404
        assert fetch(address)[0] == 200
        login.finish().ok()
    assert fake.count("authorization_code") == 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_leaving_before_the_end(hermes, fake, use, terminal, name):
    use()
    with terminal("mcp", "login", "fake") as login:
        login.expect("paste its address here")
        if name == "SIGINT":
            login.send("\x03")
        else:
            login.signal(signal.SIGTERM)
        assert login.ends() == 128 + getattr(signal, name)
    log_in(hermes)


def test_two_logins_at_once(hermes, up, service, fake, use):
    use(names=("fake", "other"))
    hermes.use(up, "two-steps")
    service()
    with concurrent.futures.ThreadPoolExecutor() as both:
        assert len(list(both.map(lambda name: log_in(hermes, name), ("fake", "other")))) == 2


def test_the_later_of_two_logins_counts(hermes, fake, running, terminal):
    with terminal("mcp", "login", "fake", columns=2000) as first:
        first.expect("paste its address here")
        with terminal("mcp", "login", "fake", columns=2000) as second:
            second.expect("paste its address here")
            first.send(open_page(page_in(first.screen)) + "\r")
            first.expect("not the address to which the page of this attempt leads")
            assert first.ends() == 1
            second.send(open_page(page_in(second.screen)) + "\r")
            second.expect("Logged in to fake")
            assert second.ends() == 0


def test_log_out_forgets_all(hermes, fake, running):
    log_in(hermes)
    assert "Forgot" in hermes.run("mcp", "logout", "fake").ok().text
    assert comes_true(lambda: "log in" in listed(hermes)[0].get("error", ""))
    running.stop()
    running.start()
    assert comes_true(lambda: "log in" in listed(hermes)[0].get("error", ""))
    log_in(hermes)
    assert fake.count("register") == 2


@pytest.mark.parametrize("attribute, value, sentence", [
    ("issuer_said", "http://127.0.0.1:1", "says that it is"),
    ("pkce", False, "PKCE"),
    ("resource_said", "https://elsewhere.example/mcp", "of another resource"),
])
def test_a_server_that_is_not_to_be_believed(hermes, fake, use, attribute, value, sentence):
    setattr(fake, attribute, value)
    use()
    hermes.run("mcp", "login", "fake").failed(sentence)
    assert not fake.count("register") and not fake.count("authorize")


def test_a_configured_key_starts_no_login(hermes, fake, use):
    use('headers: {Authorization: "Bearer wrong-key"}')
    assert "does not take the key that is configured" in listed(hermes)[0]["error"]
    hermes.run("mcp", "login", "fake").failed("has a key in the configuration")
    assert not fake.count("metadata")
    fake.static_key = "wrong-key"
    assert listed(hermes)[0]["state"] == "ready"


def test_a_grant_is_of_one_server(hermes, fake, use):
    use()
    log_in(hermes)
    with Protected() as other:
        config = (hermes.home / "config.yaml").read_text()
        hermes.put("config.yaml", config.replace(fake.url, other.url))
        assert "log in" in listed(hermes)[0]["error"]
        assert all(given == "server/discover" for _, given in other.story)
        other.static_key = fake.secrets[-2]  # its access token
        assert "log in" in listed(hermes)[0]["error"]


def test_another_port_is_registered_anew(hermes, fake, use):
    use()
    log_in(hermes)
    log_in(hermes)
    assert fake.count("register") == 1
    use()
    log_in(hermes)
    assert fake.count("register") == 2


# -- in a conversation ----------------------------------------------------------------------------

@pytest.fixture
def person(hermes, fake, use, api, up, service):
    use()
    hermes.use_telegram(api).use(up, "two-steps")
    api.chats.pace = None  # a person who asks this fast
    service()
    return Talk(api)


def test_by_telegram(hermes, fake, person, up):
    assert "fake: " in person.ask("/mcp") and not fake.count("metadata")
    page = page_in(person.ask("/mcp login fake"))
    assert "not the address" in person.ask("/mcp login fake http://127.0.0.1/?code=1&state=2")
    assert person.ask(f"/mcp login fake {open_page(page)}") == "Logged in to fake."
    assert comes_true(lambda: state_of(hermes, "fake") == "ready")
    assert person.ask("/mcp") == "fake: ready, 2 tools"
    assert "no login to the MCP server fake" in person.ask("/mcp login fake http://x/?state=1")
    assert "Connecting" in person.ask("/reload-mcp")
    assert "0 of them had waited" in person.ask("/mcp accept fake")
    assert "Forgot" in person.ask("/mcp logout fake")
    assert comes_true(lambda: state_of(hermes, "fake") == "waiting")
    assert not up.requests


@pytest.mark.parametrize("words, told", [
    ("login other", 'no MCP server "other" is configured'), ("login", "It is: /mcp"),
    ("accept ghost", 'no MCP server "ghost"'), ("frobnicate fake", "It is: /mcp"),
    ("login " + "x" * 3000, "no MCP server")])
def test_mistakes_in_the_command(person, words, told):
    assert told in person.ask("/mcp " + words)


def test_stopping_while_a_page_is_looked_for(hermes, fake, use, api, up, service):
    use()
    hermes.use_telegram(api).use(up, "two-steps")
    running = service()
    fake.silent = True
    api.user_says(OWNER, "/mcp login fake")
    assert comes_true(lambda: fake.count("silent"))
    running.stop()


def test_on_the_console(hermes, fake, running, terminal):
    with terminal("chat", columns=2000) as chat:
        chat.say("/mcp login fake").expect("send it within")
        chat.say(f"/mcp login fake {open_page(page_in(chat.screen))}").expect("Logged in to fake")
        chat.ready().send("\x04")
        assert chat.ends() == 0
    assert comes_true(lambda: state_of(hermes, "fake") == "ready")


# -- renewing -------------------------------------------------------------------------------------

def test_a_token_is_renewed_before_it_ends(hermes, up, fake, running):
    fake.lifetime = 2
    log_in(hermes)
    for n in range(4):
        comes_true(lambda: False, seconds=0.8)
        hermes.chat(tool("note", text=str(n))).ok()
        assert last_result(up) == str(n)
    refused = [entry for entry in fake.story[fake.story.index(("authorization_code", fake.url)):]
               if entry == ("401", "tools/call")]
    assert not refused and fake.count("refresh_token") >= 2 and not fake.count("stolen")


def test_a_server_that_shows_its_token(hermes, up, fake, running):
    fake.lifetime = 2
    log_in(hermes)
    for _ in range(3):  # also one that was got since
        hermes.chat(tool("echo", text="headers")).ok()
        assert "authorization: bearer [redacted]" in last_result(up).lower()
        assert not [secret for secret in fake.secrets if secret in last_result(up)]
        comes_true(lambda: False, seconds=1.2)
    assert fake.count("refresh_token")


@pytest.mark.parametrize("rotates", [True, False])
def test_a_refused_call_is_done_once(hermes, up, fake, running, rotates):
    fake.rotates = rotates
    log_in(hermes)
    for n in range(3):
        hermes.chat(tool("note", text=str(n))).ok()
        assert last_result(up) == str(n)
        fake.end_access()
    assert fake.calls == [("note", str(n)) for n in range(3)]
    assert fake.count("refresh_token") == 2


def test_many_calls_are_refused_at_once(hermes, up, fake, use, service):
    use("supports_parallel_tool_calls: true")
    hermes.use(up, "two-steps")
    service()
    log_in(hermes)
    hermes.chat(tool("note", text="first")).ok()
    fake.end_access()
    fake.slow_401 = 0.1
    runs = [hermes.start("mcp", "call", "fake", "note", json.dumps({"text": str(n)}))
            for n in range(8)]
    assert sorted(run.finish().ok().text for run in runs) == [f"{n}\n" for n in range(8)]
    assert len(fake.calls) == 9 and not fake.count("stolen")


def test_a_kill_does_not_lose_a_rotated_token(hermes, up, fake, running):
    log_in(hermes)
    for n in range(3):
        hermes.chat(tool("note", text=str(n))).ok()
        fake.end_access()
        hermes.chat(tool("note", text=f"renewed {n}")).ok()
        running.kill()
        fake.end_access()
        running.start()
    hermes.chat(tool("echo", text="alive")).ok()
    assert last_result(up) == "alive" and not fake.count("stolen")
    assert fake.count("authorize") == 1


def test_a_refresh_that_is_refused_asks_for_a_login(hermes, up, fake, running):
    log_in(hermes)
    hermes.chat(tool("echo", text="x")).ok()
    fake.refuses_refresh = True
    fake.end_access()
    hermes.chat(tool("echo", text="y")).ok()
    assert "log in again: hermes mcp login fake" in last_result(up)
    assert fake.count("refresh_token") == 1
    fake.refuses_refresh = False
    log_in(hermes)
    hermes.chat(tool("echo", text="z")).ok()
    assert last_result(up) == "z" and fake.count("register") == 1


def test_an_outage_of_the_authorization_server_passes(hermes, up, fake, running):
    log_in(hermes)
    hermes.chat(tool("echo", text="x")).ok()
    fake.refresh_status = 503
    fake.end_access()
    hermes.chat(tool("echo", text="y")).ok()
    assert "status 503" in last_result(up)
    fake.refresh_status = None
    assert comes_true(lambda: listed(hermes)[0]["state"] == "ready")
    hermes.chat(tool("echo", text="z")).ok()
    assert last_result(up) == "z" and fake.count("authorize") == 1


def test_endless_403_ends(hermes, up, fake, running):
    log_in(hermes)
    fake.endless_403 = True
    hermes.chat(tool("echo", text="x")).ok()
    assert "it wants more rights, so log in again: hermes mcp login fake" in last_result(up)
    assert fake.count("403") == 1 and fake.count("refresh_token") == 0
    log_in(hermes)
    assert ("authorize", "tools admin offline_access") in fake.story


def test_nothing_of_it_is_told(hermes, up, fake, running):
    shown = log_in(hermes)
    hermes.chat(tool("echo", text="x")).ok()
    fake.end_access()
    hermes.chat(tool("echo", text="y")).ok()
    told = shown.text + running.log_text + "".join(
        hermes.run(*words).text for words in (("config", "show"), ("mcp", "list", "--json"),
                                              ("mcp", "tools", "fake", "--json"), ("status",)))
    told += "".join(request.body.decode() for request in up.requests)
    assert not [secret for secret in fake.secrets if secret in told]
