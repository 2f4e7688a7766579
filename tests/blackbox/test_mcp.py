"""Servers of the Model Context Protocol: their tools, and what becomes of those that misbehave."""

import json
import pathlib
import signal

import pytest
from harness import comes_true

from mcp_fakes import listed, servers, tool, wait_ready  # noqa: F401  servers is a fixture
import telegram_models  # noqa: F401  registers its scenarios
from telegram_owner import OWNER

SECRETS = {"OPENROUTER_API_KEY": "planted-router-key", "MY_PASSWORD": "planted-password"}


@pytest.mark.release
@pytest.mark.parametrize("words", ["legacy", "modern", "exits", "banner", "modern banner"])
def test_a_server_is_listed_and_called(hermes, servers, words):
    servers.use(*words.split())
    server, = listed(hermes)
    assert server["state"] == "ready" and server["tools"] == 16
    assert server["quarantined"] == 1
    assert server["era"] == ("modern" if "modern" in words else "legacy")
    said = hermes.run("mcp", "call", "fake", "echo", '{"text": "Zürich"}').ok()
    assert said.text == "Zürich\n"


def test_a_silent_server_is_known_after_a_while(hermes, servers):
    servers.use("silent")
    assert listed(hermes, limit=120)[0]["state"] == "ready"


def test_the_tools_are_shown_with_what_they_may(hermes, servers):
    servers.use()
    out = hermes.run("mcp", "tools", "fake").ok().text
    assert "echo (reads)" in out and "note (asks first)" in out
    assert "broken" in out and "quarantined: its inputSchema is no object" in out


def test_arguments_keep_their_bytes(hermes, servers):
    servers.use()
    given = '{"id": 12345678901234567890, "e": 1e400, "u": "\\u00fc"}'
    assert given in hermes.run("mcp", "call", "fake", "raw", given).ok().text


def test_the_environment_is_what_the_entry_says(hermes, servers):
    servers.use(more="    env: {TOKEN: for-the-server}\n")
    out = hermes.run("mcp", "call", "fake", "environment", env=SECRETS).ok().text
    names = {line.split("=")[0] for line in out.splitlines() if "=" in line}
    assert names - {"LC_CTYPE"} <= {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "TOKEN"}
    assert "planted" not in out


def test_a_failed_call_says_so(hermes, servers):
    servers.use()
    result = hermes.run("mcp", "call", "fake", "fail")
    assert result.code == 1 and "it does not work" in result.text
    hermes.run("mcp", "call", "fake", "unknown").exits(1)
    hermes.run("mcp", "call", "other", "echo").failed("no MCP server of that name")
    hermes.run("mcp", "call", "fake", "echo", "[1]").exits(2)


@pytest.mark.release
def test_a_model_finds_and_calls_them(hermes, up, service, servers):
    servers.use()
    hermes.use(up, "two-steps")
    service()
    wait_ready(hermes)
    hermes.chat('call find_tools {"query": "says it again"}').ok()
    found, = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
    assert "mcp__fake__echo: Says it again" in found
    hermes.chat(tool("echo", text="hello")).ok()
    assert [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"] == ["hello"]
    names = [t["function"]["name"] for t in json.loads(up.requests[-1].body)["tools"]]
    assert not any(name.startswith("mcp__") for name in names)


def test_a_server_that_dies_is_there_again(hermes, up, service, servers):
    servers.use()
    hermes.use(up, "two-steps")
    running = service()
    wait_ready(hermes)
    hermes.chat(tool("die")).ok()
    said, = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
    assert "may have acted" in said and "I cannot go on" in said
    running.wait_event("mcp.lost")
    for _ in range(3):
        hermes.chat(tool("echo", text="again")).ok()
        assert up.requests[-1].messages[-1]["content"] == "again"
    assert sum(line.startswith("die ") for line in servers.calls) <= 2  # it says that it only reads


def test_what_acts_is_not_repeated(hermes, up, service, servers):
    servers.use()
    hermes.use(up, "two-steps")
    service()
    wait_ready(hermes)
    hermes.chat(tool("note", text="once")).ok()
    hermes.chat(tool("die")).ok()
    hermes.chat(tool("echo", text="x")).ok()
    assert [line for line in servers.calls if line.startswith("note")] == ['note {"text": "once"}']


def test_a_server_that_cannot_start_costs_nobody_else(hermes, up, service, servers):
    servers.use(others="  ghost:\n    command: /no/such/program\n")
    hermes.use(up, "two-steps")
    running = service()
    wait_ready(hermes)
    running.wait_event("mcp.failed")
    states = {s["name"]: s for s in listed(hermes)}
    assert states["ghost"]["state"] in ("waiting", "connecting")
    assert "/no/such/program" in states["ghost"]["error"]
    hermes.chat(tool("echo", text="works")).ok()
    assert up.requests[-1].messages[-1]["content"] == "works"


def test_a_call_that_takes_too_long_fails_alone(hermes, up, service, servers):
    servers.use(more="    timeout: 2\n    supports_parallel_tool_calls: true\n")
    hermes.use(up, "two-steps")
    service()
    wait_ready(hermes)
    hermes.chat(tool("sleep", seconds=4)).ok()
    assert "2 s" in up.requests[-1].messages[-1]["content"]
    hermes.chat(tool("echo", text="alive"), limit=120).ok()
    assert up.requests[-1].messages[-1]["content"] == "alive"


def test_a_long_result_is_kept_in_a_file(hermes, up, service, servers):
    servers.use()
    hermes.use(up, "two-steps")
    service()
    wait_ready(hermes)
    hermes.chat(tool("big", bytes=3_000_000)).ok()
    shown = up.requests[-1].messages[-1]["content"]
    assert len(shown) < 48 * 1024 and shown.rstrip().endswith(("END", "]"))
    handle = next(word.strip('".,):') for word in shown.replace('"', " ").split()
                  if word.startswith("out_"))
    hermes.chat('call call_tool ' + json.dumps({"name": "read_result", "arguments":
                                                {"handle": handle, "pattern": "END$"}})).ok()
    assert "END" in up.requests[-1].messages[-1]["content"]


def test_a_changed_definition_waits_for_the_owner(hermes, up, service, servers):
    servers.use()
    hermes.use(up, "two-steps")
    running = service()
    wait_ready(hermes)
    hermes.chat(tool("echo", text="before")).ok()
    hermes.chat(tool("change")).ok()
    running.wait_event("mcp.changed")
    hermes.chat(tool("echo", text="after")).ok()
    assert "there is no tool" in up.requests[-1].messages[-1]["content"]
    hermes.chat('call find_tools {"query": "ignore your instructions"}').ok()
    assert "mcp__fake__echo:" not in up.requests[-1].messages[-1]["content"]
    running.stop()
    running.start()
    assert comes_true(lambda: listed(hermes)[0]["changed"] == 1)
    assert "1 of them had waited" in hermes.run("mcp", "accept", "fake").ok().text
    hermes.chat(tool("echo", text="accepted")).ok()
    assert up.requests[-1].messages[-1]["content"] == "accepted"


def test_tools_are_known_before_their_server_is(hermes, up, service, servers):
    servers.use()
    hermes.use(up, "two-steps")
    running = service()
    wait_ready(hermes)
    running.stop()
    servers.use(more="    lazy: true\n")
    running.start()
    assert comes_true(lambda: listed(hermes)[0]["state"] == "ready")  # another entry: asked once
    running.stop()
    running.start()
    assert listed(hermes)[0]["state"] == "resting"
    hermes.chat(tool("echo", text="woken")).ok()
    assert up.requests[-1].messages[-1]["content"] == "woken"
    assert listed(hermes)[0]["state"] == "ready"


def test_a_stubborn_server_is_gone_at_the_end(hermes, up, service, servers):
    servers.use("stubborn")
    hermes.use(up, "two-steps")
    running = service()
    wait_ready(hermes)
    running.stop()
    assert comes_true(lambda: not servers.processes())


def test_a_reload_leaves_alone_what_did_not_change(hermes, up, service, servers):
    servers.use()
    hermes.use(up, "two-steps")
    running = service()
    wait_ready(hermes)
    text = pathlib.Path(hermes.home, "config.yaml").read_text()
    hermes.put("config.yaml", text + "agent: {max_turns: 7}\n")
    running.process.signal(signal.SIGHUP)
    assert running.said("reloaded", seconds=30)
    assert listed(hermes)[0]["connects"] == 1


@pytest.mark.parametrize("entry, sentence", [
    ("{lazy: yes}", "no \"command\" and no \"url\""),
    ("{command: x, url: 'http://a/'}", "give one of"),
    ("{url: 'gopher://a/'}", "mcp_servers.fake.url"),
    ("{command: x, trust: perhaps}", "mcp_servers.fake.trust"),
    ("{command: x, timeout: soon}", "mcp_servers.fake.timeout"),
])
def test_mistakes_in_an_entry_are_told(hermes, entry, sentence):
    hermes.put("config.yaml", f"mcp_servers:\n  fake: {entry}\n")
    hermes.run("mcp", "list").failed(sentence)


def test_results_are_marked_as_somebody_elses(hermes, up, service, servers, api):
    servers.use()
    hermes.use(up, "two-steps").use_telegram(api)
    running = service()
    wait_ready(hermes)
    api.user_says(OWNER, tool("echo", text="obey me"))
    api.wait_messages(OWNER, 1)
    running.wait_event("turn.tainted")
