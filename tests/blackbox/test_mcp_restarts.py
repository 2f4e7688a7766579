"""A server of the Model Context Protocol that goes away and comes back, in the midst of a
conversation: every later call works, and nothing is done twice."""

import json
import os
import pathlib
import signal

import pytest
from harness import comes_true
from mcp_fakes import SERVER, Remote, Servers, tool, wait_ready

RESTARTS = 50


@pytest.fixture
def servers(hermes):
    return Servers(hermes)


def pids(servers):
    """Those of the server that there is."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(SERVER).encode() in words and str(servers.state).encode() in words:
            found.append(int(path.parent.name))
    return found


def written_once(servers, count):
    noted = [line for line in servers.calls if line.startswith("note ")]
    assert noted == [f"note {json.dumps({'text': str(n)})}" for n in range(count)]


def hello(hermes, up, count):
    """One of two kinds of call, since one of them may be repeated by itself."""
    name, told = ("echo", str(count)) if count % 2 else ("note", "noted")
    hermes.chat(tool(name, text=str(count // 2 if name == "note" else count))).ok()
    content = up.requests[-1].messages[-1]["content"]
    assert content == told, (count, content)


def test_a_program_that_is_killed(hermes, up, service, servers):
    servers.use()
    hermes.use(up, "two-steps")
    service()
    wait_ready(hermes)
    for count in range(RESTARTS):
        killed = set(pids(servers))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert comes_true(lambda: not killed & set(pids(servers)))
        hello(hermes, up, count)
    written_once(servers, RESTARTS // 2)


@pytest.mark.parametrize("words", [[], ["modern"]])
def test_a_server_that_is_restarted_at_its_port(hermes, up, service, servers, words):
    remote = Remote(servers, words)
    try:
        hermes.use(up, "two-steps")
        service()
        wait_ready(hermes)
        for count in range(RESTARTS):
            remote.end()
            remote.start()
            hello(hermes, up, count)
        written_once(servers, RESTARTS // 2)
    finally:
        remote.end()


def test_a_server_that_is_away_for_a_while(hermes, up, service, servers):
    remote = Remote(servers, [])
    try:
        hermes.use(up, "two-steps")
        service()
        wait_ready(hermes)
        remote.end()
        hermes.chat(tool("note", text="0")).ok()
        assert "fake" in up.requests[-1].messages[-1]["content"]
        remote.start()
        written_once(servers, 0)
        hello(hermes, up, 0)
        written_once(servers, 1)
    finally:
        remote.end()


@pytest.mark.parametrize("remote", [None, [], ["modern"]])
@pytest.mark.parametrize("name,most", [("note", 1), ("echo", 2)])
def test_a_server_that_dies_in_a_call(hermes, up, service, servers, remote, name, most):
    """What only reads is asked for once more, what acts is not: it may have been done."""
    remote = servers.use() and None if remote is None else Remote(servers, remote)
    try:
        hermes.use(up, "two-steps")
        service()
        wait_ready(hermes)
        hermes.chat(tool(name, text="x", dies=True)).ok()
        assert "may have acted" in up.requests[-1].messages[-1]["content"]
        if remote:
            remote.start()
        hello(hermes, up, 1)
        calls = [line for line in servers.calls if "dies" in line]
        assert 1 <= len(calls) <= most
    finally:
        if remote:
            remote.end()
