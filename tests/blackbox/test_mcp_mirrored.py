"""Arguments that are repeated in headers (x-mcp-header), and a server that has others by now."""

import json

import pytest
from harness import comes_true

from mcp_fakes import Remote, listed, servers, tool, wait_ready  # noqa: F401  a fixture


def put(servers, name, text):
    """What the server may write, too, which is somebody else."""
    (servers.state / name).write_text(text)
    (servers.state / name).chmod(0o666)


def annotated(servers, name):
    put(servers, "tools.json", json.dumps([{
        "name": "echo", "description": "Says it again", "annotations": {"readOnlyHint": True},
        "inputSchema": {"type": "object", "properties": {
            "text": {"type": "string", "x-mcp-header": name}}}}]))


@pytest.fixture
def remote(hermes, up, service, servers):
    annotated(servers, "Text")
    remote = Remote(servers, ["modern"])
    hermes.use(up, "two-steps")
    service()
    wait_ready(hermes)

    def refuses(name, count):
        put(servers, "header.json", json.dumps([name, count]))

    def call():
        put(servers, "calls.log", "")
        hermes.chat(tool("echo", text="hello")).ok()
        return up.requests[-1].messages[-1]["content"], servers.calls
    remote.refuses, remote.call = refuses, call
    yield remote
    remote.end()


ECHO = 'echo {"text": "hello"}'


@pytest.mark.release
def test_a_mismatch_is_listed_and_sent_once_more(remote):
    remote.refuses("Text", -1)
    assert remote.call() == ("hello", [ECHO])
    remote.refuses("Text", 1)
    assert remote.call() == ("hello", ["mismatch", ECHO])
    remote.refuses("Text", 9)
    told, calls = remote.call()
    assert "Header mismatch" in told and calls == ["mismatch", "mismatch"]


def test_other_annotations_wait_for_the_owner(hermes, servers, remote):
    annotated(servers, "Words")
    remote.refuses("Words", -1)
    told, calls = remote.call()
    assert "has changed what this tool says of itself" in told and calls == ["mismatch"]
    assert listed(hermes)[0]["changed"] == 1
    assert "x-mcp-header" in hermes.run("mcp", "tools", "fake").ok().text
    hermes.run("mcp", "accept", "fake").ok()
    assert remote.call() == ("hello", [ECHO])


def test_a_list_that_cannot_be_read(hermes, servers, remote):
    remote.refuses("Text", 1)
    put(servers, "tools.json", '[{"name": 1}]')
    told, calls = remote.call()
    assert "has no such tool any more" in told and calls == ["mismatch"]
    assert comes_true(lambda: listed(hermes)[0]["tools"] == 0)
