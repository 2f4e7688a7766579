"""What a program that speaks the Model Context Protocol sees of Hermes, and what it may do."""

import json
import pathlib
import signal
import socket

import pytest
from harness import comes_true
from service import Service

from mcp_fakes import SERVER, listed, servers  # noqa: F401  servers is a fixture

EMPTY = "(the result is empty)"
SANDBOX = "    sandbox: {{read: [{fakes}], write: [{state}, {more}]}}\n"


def ask(hermes, name, **arguments):
    return hermes.run("mcp", "call", "fake", name, json.dumps(arguments))


def ready(hermes):
    return comes_true(lambda: listed(hermes)[0]["state"] == "ready")


@pytest.fixture
def sandboxed(hermes, servers):
    """Its settings, with a directory that it may write, and one that it may not."""
    hermes.mkdir(hermes.directory / "granted")
    hermes.mkdir(hermes.directory / "outside")
    more = SANDBOX.format(fakes=SERVER.parent, state=servers.state,
                          more=hermes.directory / "granted")
    servers.use(more=more)
    return servers


@pytest.fixture
def workspace(hermes):
    hermes.mkdir(hermes.home / "workspace")
    return pathlib.Path(hermes.put("workspace/shared.txt", "for all"))


# -- a program that its owner trusts --------------------------------------------------------------

@pytest.mark.release
def test_a_program_does_not_see_the_home(hermes, servers, workspace, service):
    servers.use()
    running = service()
    assert ready(hermes)
    for path in ("config.yaml", "state.db", "hermes.sock", "logs"):
        assert (hermes.home / path).exists() or path == "logs"
        said = ask(hermes, "read", path=str(hermes.home / path)).exits(1)
        assert "No such file" in said.text
    assert ask(hermes, "read", path=str(hermes.home)).ok().text.split() == ["workspace"]
    assert ask(hermes, "write", path=str(hermes.home / "new")).exits(1)
    for entry in ("environ", "mem", "root/etc/passwd", "cwd/config.yaml", "fd/3"):
        said = ask(hermes, "read", path=f"/proc/{running.process.pid}/{entry}").exits(1)
        assert "PermissionError" in said.text or "No such file" in said.text
    assert ask(hermes, "read", path=str(workspace)).ok().text == "for all\n"
    assert ask(hermes, "write", path=str(workspace)).ok()
    assert workspace.read_text() == "written"


def test_a_program_sees_no_secrets(hermes, servers):
    secrets = hermes.directory / "secrets"
    hermes.mkdir(secrets)
    hermes.put(secrets / "HERMES_TEST_KEY", "planted-key")
    servers.use()
    config = hermes.put(hermes.directory / "elsewhere.yaml",
                        (hermes.home / "config.yaml").read_text())
    more = {"env": {"HERMES_SECRETS_DIR": str(secrets)}}
    for path, seen in ((secrets, EMPTY), (config, EMPTY), (SERVER.parent, SERVER.name)):
        said = hermes.run("mcp", "call", "fake", "read", json.dumps({"path": str(path)}),
                          "--config", config, **more).ok()
        assert seen in said.text


NO_NAMESPACES = ("unshare", "-r", "sh", "-c",
                 "echo 0 >/proc/sys/user/max_user_namespaces; exec \"$@\"", "sh")


def test_where_nothing_can_be_hidden_it_runs_and_the_owner_is_told(hermes, servers):
    servers.use()
    said = hermes.run("mcp", "call", "fake", "read",
                      json.dumps({"path": str(hermes.home / "config.yaml")}), wrapper=NO_NAMESPACES)
    assert "mcp_servers" in said.ok().text
    doctor = hermes.run("doctor", wrapper=NO_NAMESPACES).text
    assert "programs of 1 servers can read the home" in doctor
    assert "kernel.unprivileged_userns_clone" in doctor


def test_the_log_says_once_what_is_not_hidden(hermes, servers):
    servers.use()
    running = Service(hermes, env={"HERMES_ALLOW_ROOT_GATEWAY": "1"}, wrapper=NO_NAMESPACES).start()
    running.wait_event("mcp.unhidden")
    running.process.signal(signal.SIGHUP)
    assert running.said("reloaded", seconds=30)
    assert len(running.events("mcp.unhidden")) == 1
    running.stop()


def test_a_program_has_the_network(hermes, servers):
    servers.use()
    with socket.create_server(("127.0.0.1", 0)) as there:
        assert ask(hermes, "dial", port=there.getsockname()[1]).ok().text == "connected\n"


def test_a_program_ends_with_a_killed_hermes(hermes, servers, service):
    servers.use("stubborn")
    running = service()
    assert ready(hermes)
    assert servers.processes()
    running.kill()
    assert comes_true(lambda: not servers.processes())


# -- behind the layers ----------------------------------------------------------------------------

@pytest.mark.release
def test_a_sandboxed_program_sees_what_is_granted(hermes, sandboxed, workspace, service):
    running = service()
    assert ready(hermes)
    outside = hermes.directory / "outside" / "new"
    for path in (hermes.home / "config.yaml", hermes.home / "state.db", "/etc/shadow",
                 f"/proc/{running.process.pid}/environ"):
        ask(hermes, "read", path=str(path)).exits(1)
    for path in (outside, SERVER.parent / "new", hermes.home / "new"):
        ask(hermes, "write", path=str(path))  # /tmp may be one of its own
        assert not path.exists()
    assert ask(hermes, "read", path=str(workspace)).ok().text == "for all\n"
    for path in (workspace, hermes.directory / "granted" / "new"):
        ask(hermes, "write", path=str(path)).ok()
        assert path.read_text() == "written"


def test_a_sandboxed_program_has_no_network(hermes, sandboxed):
    with socket.create_server(("127.0.0.1", 0)) as there:
        said = ask(hermes, "dial", port=there.getsockname()[1]).exits(1)
        assert "PermissionError" in said.text


def test_a_granted_path_that_is_missing_is_told(hermes, servers):
    servers.use(more=SANDBOX.format(fakes=SERVER.parent, state=servers.state,
                                more="/no/such/place"))
    server, = listed(hermes)
    assert "nothing was run: cannot grant /no/such/place" in server["error"]


@pytest.mark.parametrize("sandbox, sentence", [
    ("{network: host}", "mcp_servers.fake.sandbox.network"),
    ("{read: [relative/path]}", "is no absolute path"),
    ("perhaps", "mcp_servers.fake.sandbox"),
])
def test_mistakes_are_told(hermes, servers, sandbox, sentence):
    servers.use(more=f"    sandbox: {sandbox}\n")
    hermes.run("mcp", "list").failed(sentence)


# -- memory ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["trusted", "sandboxed"])
def test_a_program_that_takes_too_much_ends_alone(hermes, servers, service, kind, request):
    if kind == "sandboxed":
        request.getfixturevalue("sandboxed")
    path = hermes.home / "config.yaml"
    text = path.read_text() if kind == "sandboxed" else servers.use() and path.read_text()
    hermes.put("config.yaml", text + "    memory: 100MiB\n")
    service()
    assert ready(hermes)
    said = ask(hermes, "fill", bytes=200 << 20).exits(1)
    assert "100 MiB" in said.text and "may have acted" in said.text
    assert ask(hermes, "echo", text="alive").ok().text == "alive\n"
