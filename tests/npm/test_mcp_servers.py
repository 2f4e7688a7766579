"""Servers of the Model Context Protocol that others wrote, as they come from npm: over every
transport that they have, and with the faults that they really have."""

import base64
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

import pytest
from harness import as_test_user, comes_true
from openai_upstream import Upstream
from ports import HOST, free_port
from telegram_api import TelegramApi
from telegram_owner import OWNER

import telegram_models  # noqa: F401  registers its scenarios

PLANTED = {"OPENROUTER_API_KEY": "planted-router-key", "MY_PASSWORD": "planted-password"}
NOWHERE = """apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
"""
KUBERNETES = platform.machine() == "x86_64"  # for which it is pinned


@pytest.fixture(scope="session")
def modules(mcp_packages):
    """The packages where the user of the tests may read them."""
    def link(source, target):
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
    with tempfile.TemporaryDirectory(prefix="hermes-mcp-") as name:
        pathlib.Path(name).chmod(0o755)
        target = pathlib.Path(name) / "node_modules"
        shutil.copytree(mcp_packages / "node_modules", target, symlinks=True,
                        copy_function=link)
        yield target


@pytest.fixture
def up():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def api():
    with TelegramApi() as server:
        yield server


class Server:
    """One of them, and Hermes as its client: by its streams, or at a port."""

    def __init__(self, hermes, modules):
        self.hermes, self.modules = hermes, modules
        self.process, self.argv, self.env, self.port = None, None, {}, None

    def node(self, name, *words):
        return [shutil.which("node"),
                str(self.modules / "@modelcontextprotocol" / name / "dist" / "index.js"), *words]

    def kubernetes(self, package, *words):
        folder = self.modules / f"kubernetes-mcp-server-linux-amd64{package}"
        config = self.hermes.put("kubeconfig", NOWHERE, base=self.hermes.directory)
        return [str(folder / "bin" / "kubernetes-mcp-server-linux-amd64"), "--kubeconfig",
                str(config), *words]

    # -- by its streams ---------------------------------------------------------------------------

    def runs(self, argv, more=""):
        self.configure(f"command: {json.dumps(argv[0])}\n    args: {json.dumps(argv[1:])}", more)
        return self

    # -- at a port --------------------------------------------------------------------------------

    def serves(self, argv, path, more="", **env):
        self.port = free_port()
        self.argv = [str(self.port) if word == "PORT" else word for word in argv]
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.hermes.directory), **env,
                    "PORT": str(self.port)}
        self.begin()
        self.configure(f"url: http://{HOST}:{self.port}{path}", more)
        return self

    def begin(self):
        self.process = subprocess.Popen(
            self.argv, env=self.env, cwd=self.hermes.directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_test_user())
        assert comes_true(self.listens), self.argv

    def listens(self):
        try:
            urllib.request.urlopen(f"http://{HOST}:{self.port}/", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self):
        self.end()
        self.begin()

    # -- with Hermes ------------------------------------------------------------------------------

    def configure(self, how, more):
        self.hermes.put("config.yaml", "model: {default: offline}\napprovals: {mode: off}\n"
                        f"mcp_servers:\n  it:\n    {how}\n{more}")

    def start(self, service, **more):
        running = service(**more)
        assert comes_true(lambda: self.listed()["state"] == "ready"), self.listed()
        return running

    def listed(self):
        out = self.hermes.run("mcp", "list", "--json").ok().text
        return json.loads(out)["mcp_servers"][0]

    def call(self, tool, **arguments):
        return self.hermes.run("mcp", "call", "it", tool, json.dumps(arguments))

    def tools(self):
        return self.hermes.run("mcp", "tools", "it").ok().text


@pytest.fixture
def server(hermes, modules):
    made = Server(hermes, modules)
    yield made
    made.end()


# -- server-everything ----------------------------------------------------------------------------

def everything(server, way, more="", entry=""):
    if way == "stdio":
        return server.runs(server.node("server-everything", "stdio"), entry + more)
    path = {"sse": "/sse", "streamableHttp": "/mcp"}[way]
    return server.serves(server.node("server-everything", way), path,
                         ("    type: sse\n" if way == "sse" else "") + entry + more)


@pytest.mark.parametrize("way", ["stdio", "sse", "streamableHttp"])
def test_everything(server, service, way):
    everything(server, way).start(service, env=PLANTED)
    listed = server.listed()
    assert listed["era"] == "legacy" and listed["connects"] == 1, listed
    assert server.call("echo", message="Zürich").ok().text.strip() == "Echo: Zürich"
    assert "The sum of 2 and 40 is 42" in server.call("get-sum", a=2, b=40).ok().text
    wrong = server.call("get-sum", a="two").exits(1).text
    assert "Invalid arguments" in wrong or "Input validation error" in wrong
    image = server.call("get-tiny-image").ok().text
    assert re.search(r"\[an image, image/png, \d+ bytes\]", image) and len(image) < 500
    structured = server.call("get-structured-content", location="New York").ok().text
    assert structured.count("temperature") == 1
    linked = server.call("get-resource-links", count=3).ok().text
    assert linked.count("[resource ") == 3
    reference = server.call("get-resource-reference", resourceType="Blob", resourceId=1).ok().text
    assert "[a file, " in reference
    assert "planted" not in server.call("get-env").ok().text
    large = server.call("gzip-file-as-resource", name="a.gz", outputType="resource",
                        data="data:text/plain;base64,aGVsbG8=").text
    assert "a file" in large or "error" in large.lower()
    assert listed["connects"] == server.listed()["connects"]  # five changes of its list besides


@pytest.mark.parametrize("way", ["stdio", "sse", "streamableHttp"])
def test_its_image_arrives_at_a_model(server, service, hermes, up, way):
    """Whole, as a PNG whose last chunk is there."""
    hermes.use(up, "two-steps")
    everything(server, way, "agent: {image_input_mode: native}\n").start(service)
    hermes.chat("call call_tool " + json.dumps(
        {"name": "mcp__it__get-tiny-image", "arguments": {}})).ok()
    assert all(request.problem is None for request in up.requests)
    shown = [part for part in up.requests[-1].messages[-1]["content"]
             if part["type"] == "image_url"]
    head, data = shown[0]["image_url"]["url"].split(",")
    image = base64.b64decode(data, validate=True)
    assert len(shown) == 1 and head == "data:image/png;base64"
    assert image.startswith(b"\x89PNG") and image.endswith(b"IEND\xaeB`\x82")
    result, = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
    assert f"[an image, image/png, {len(image)} bytes]" in result


@pytest.mark.parametrize("way", ["stdio", "streamableHttp"])
def test_progress_puts_off_the_end_of_a_call(server, service, way):
    """Twice as long as a call may take: with news every second, and without any."""
    everything(server, way, entry="    timeout: 3\n").start(service)
    slow = server.call("trigger-long-running-operation", duration=6, steps=6).ok().text
    assert "Long running operation completed" in slow
    silent = server.call("trigger-long-running-operation", duration=6, steps=1).exits(1).text
    assert "completed" not in silent


@pytest.mark.parametrize("way", ["stdio", "streamableHttp"])
def test_the_resources_and_prompts_of_everything(server, service, way):
    everything(server, way).start(service)
    names = server.tools()
    assert "list_resources" in names and "list_prompts" in names
    resources = server.call("list_resources").ok().text
    uri = next(word for word in resources.split() if "://" in word).rstrip(":,")
    assert len(server.call("read_resource", uri=uri).ok().text) > 20
    assert "simple-prompt" in server.call("list_prompts").ok().text
    assert server.call("get_prompt", name="simple-prompt").ok().text.strip()


@pytest.mark.parametrize("way", ["stdio", "sse", "streamableHttp"])
def test_a_call_that_is_stopped(server, service, hermes, up, api, way):
    hermes.use_telegram(api).use(up, "two-steps")
    running = everything(server, way).start(service)
    api.user_says(OWNER, "call call_tool " + json.dumps({
        "name": "mcp__it__trigger-long-running-operation",
        "arguments": {"duration": 300, "steps": 100}}))
    running.wait_event("turn.model")
    assert comes_true(lambda: server.listed()["calls"] == 1)
    api.user_says(OWNER, "/stop")
    running.wait_event("turn.end", 20)
    assert server.call("echo", message="still here").ok().text.strip() == "Echo: still here"
    assert server.listed()["connects"] == 1


def test_a_session_that_is_lost(server, service):
    """It says 400 and not 404, as it was written before that was settled."""
    everything(server, "streamableHttp").start(service)
    for count in range(2):
        server.restart()
        assert server.call("echo", message=str(count)).ok().text.strip() == f"Echo: {count}"


# -- the others -----------------------------------------------------------------------------------

def test_filesystem(server, service, hermes):
    hermes.put("its/a.txt", "the text", base=hermes.directory)
    hermes.put("outside.txt", "not for it", base=hermes.directory)
    its = hermes.directory / "its"
    server.runs(server.node("server-filesystem", str(its))).start(service)
    assert "the text" in server.call("read_text_file", path=str(its / "a.txt")).ok().text
    assert "a.txt" in server.call("list_directory", path=str(its)).ok().text
    server.call("write_file", path=str(its / "b.txt"), content="new").ok()
    assert (its / "b.txt").read_text() == "new"
    refused = server.call("read_text_file", path=str(hermes.directory / "outside.txt")).exits(1)
    assert "denied" in refused.text
    shown = server.tools()
    assert "read_text_file (reads" in shown and "write_file (asks first" in shown


def test_memory(server, service, hermes):
    kept = hermes.directory / "memory.jsonl"
    server.runs(server.node("server-memory"), f"    env: {{MEMORY_FILE_PATH: {kept}}}\n")
    running = server.start(service)
    server.call("create_entities", entities=[
        {"name": "Zürich", "entityType": "town", "observations": ["has a lake"]}]).ok()
    assert "has a lake" in server.call("search_nodes", query="lake").ok().text
    running.stop()
    running.start()
    assert "Zürich" in server.call("read_graph").ok().text


WAYS = [("stdio", "", "modern"), ("stdio", "-sessions", "legacy"), ("http", "", "legacy"),
        ("http --stateless", "", "modern"), ("http", "-sessions", "legacy"),
        ("http --stateless", "-sessions", "legacy"), ("sse", "-sessions", "legacy"),
        ("sse", "", "legacy")]


@pytest.mark.parametrize("way,package,era", WAYS if KUBERNETES else [])
def test_kubernetes(server, service, way, package, era):
    """Without a cluster; "sse" is also configured where it is not served any more, and found."""
    kind, *words = way.split()
    if kind == "stdio":
        server.runs(server.kubernetes(package))
    else:
        bind = [] if package else ["--bind-address", HOST]
        server.serves(server.kubernetes(package, "--port", "PORT", *bind, *words),
                      "/sse" if kind == "sse" else "/mcp",
                      "    type: sse\n" if kind == "sse" else "")
    server.start(service)
    listed = server.listed()
    assert listed["era"] == era, listed
    assert listed["tools"] >= 18 and listed["quarantined"] == 0
    assert "refused" in server.call("namespaces_list").exits(1).text
    server.call("pods_get").exits(1)
    assert "pods_list (reads" in server.tools() and "pods_delete (asks first" in server.tools()
    if server.process:
        server.restart()
        assert "refused" in server.call("namespaces_list").exits(1).text
        assert server.listed()["state"] == "ready"
