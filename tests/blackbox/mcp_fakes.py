"""Servers of the Model Context Protocol for tests: configured, listed, and called."""

import json
import pathlib
import socket
import subprocess
import sys

import pytest
from harness import as_test_user, comes_true
from ports import HOST, free_port

SERVER = pathlib.Path(__file__).parent.parent / "fakes" / "mcp_stdio.py"


class Servers:
    """Configures fake servers, and reads what they wrote down."""

    def __init__(self, hermes):
        self.hermes = hermes
        self.state = hermes.directory / "mcp-state"
        hermes.mkdir(self.state)

    def use(self, *words, name="fake", more="", others=""):
        argv = json.dumps([str(SERVER), "--state", str(self.state), *words])
        self.hermes.put("config.yaml", "model: {default: offline}\napprovals: {mode: off}\n"
                        f"mcp_servers:\n  {name}:\n    command: {sys.executable}\n"
                        f"    args: {argv}\n{more}{others}")
        return self

    @property
    def calls(self):
        path = self.state / "calls.log"
        return path.read_text().splitlines() if path.exists() else []

    def processes(self):
        """The numbers of those that run."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(self.state).encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                pass
        return found


class Remote:
    """The fake server at a port."""

    def __init__(self, servers, words):
        self.port = free_port()
        self.argv = [sys.executable, str(SERVER.parent / "mcp_http.py"), str(self.port), "--state",
                     str(servers.state), *words]
        servers.hermes.put("config.yaml", "model: {default: offline}\napprovals: {mode: off}\n"
                           f"mcp_servers:\n  fake: {{url: http://{HOST}:{self.port}/mcp}}\n")
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.argv, **as_test_user())
        assert comes_true(self.listens)

    def listens(self):
        with socket.socket() as sock:
            return sock.connect_ex((HOST, self.port)) == 0

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def servers(hermes):
    return Servers(hermes)


def listed(hermes, **more):
    return json.loads(hermes.run("mcp", "list", "--json", **more).ok().text)["mcp_servers"]


def wait_ready(hermes):
    """A turn that begins before the first list of tools has come does not know them."""
    assert comes_true(lambda: listed(hermes)[0]["state"] == "ready", 60), listed(hermes)


def tool(name, **arguments):
    return "call call_tool " + json.dumps({"name": "mcp__fake__" + name, "arguments": arguments})
