"""Servers that show in their results what they are let in by."""

import signal
import sys

import pytest
from harness import comes_true

from mcp_fakes import Remote, listed, servers, tool, wait_ready  # noqa: F401  a fixture

ENTRY = """model: {{default: offline}}
approvals: {{mode: off}}
mcp_servers:
  fake:
    url: {url}
    headers: {{Authorization: Bearer {bearer}, X-API-Key: written-key}}
    headers_file: {{X-Tenant: {file}}}
    header_command: [{python}, {command}]
"""


def shown(hermes, up, name):
    hermes.chat(tool(name)).ok()
    return up.requests[-1].messages[-1]["content"]


@pytest.fixture
def remote(servers):
    started = Remote(servers, ["modern"])
    yield started
    started.end()


@pytest.mark.release
def test_headers_that_a_server_shows(hermes, up, service, servers, remote):
    file, command = servers.state / "tenant", servers.state / "print.py"
    file.write_text("tenant-of-sixteen-bytes\n")
    command.write_text("print('X-Session: printed-by-a-command')\n"
                       "print('X-Short: yes-no')\n")

    def configure(bearer):
        hermes.put("config.yaml", ENTRY.format(
            url=f"http://127.0.0.1:{remote.port}/mcp", file=file, python=sys.executable,
            command=command, bearer=bearer))
    configure("bearer-one")
    hermes.use(up, "two-steps")
    running = service()
    wait_ready(hermes)
    text = shown(hermes, up, "raw")
    for name in ("authorization:", "x-api-key:", "x-tenant:", "x-session:"):
        assert f"{name} [redacted]" in text.lower(), (name, text)
    assert "yes-no" in text
    configure("bearer-two")
    running.process.signal(signal.SIGHUP)
    assert comes_true(lambda: "bearer-two" not in shown(hermes, up, "raw")
                      and listed(hermes)[0]["connects"] == 2)
    assert "authorization: [redacted]" in shown(hermes, up, "raw").lower()


def test_an_environment_that_a_server_shows(hermes, up, service, servers):
    servers.use(more="    env: {NOTES_TOKEN: written-in-the-file, LANGUAGE: english-of-england}\n")
    hermes.use(up, "two-steps")
    service()
    wait_ready(hermes)
    text = shown(hermes, up, "environment")
    assert "NOTES_TOKEN=[redacted]" in text and "LANGUAGE=english-of-england" in text
