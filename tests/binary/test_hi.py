"""What we add to a first "hi": with an empty home, streaming, as the binary really sends it."""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile

import pytest

import harness
import skills_home
from openai_upstream import Upstream
from ports import HOST, free_port

QUESTION = "hi"
FAKES = pathlib.Path(__file__).resolve().parents[1] / "fakes"
SERVERS = 10


def sent(built, prepare=None):
    """The bytes of the one request that `hermes chat -q hi` makes."""
    with tempfile.TemporaryDirectory(prefix="hermes-hi-") as name, Upstream() as upstream, \
            pytest.MonkeyPatch.context() as patch:
        directory = pathlib.Path(name)
        directory.chmod(0o755)  # the test user passes through
        patch.setenv("HERMES_BIN", str(built.path))
        patch.setenv("HERMES_RUNNER", " ".join(built.runner))
        (directory / "user").mkdir()
        user = harness.Hermes(harness.Binary(directory), directory / "user")
        try:
            user.use(upstream, "echo")
            if prepare:
                prepare(user)
            answer = user.chat(QUESTION, limit=60).ok()
        finally:
            user.finish()
        assert QUESTION in answer.text
        posts = [r for r in upstream.requests if r.method == "POST"]
        assert len(posts) == 1, "one question, one call"
        return posts[0].body


@pytest.fixture(scope="module")
def request_body(built):
    return sent(built)


def test_little_is_added_to_the_users_words(request_body, bars):
    bar, added = bars["hi"], len(request_body) - len(QUESTION)
    assert added <= bar["most"], f"{added} bytes are added to a first {QUESTION!r}; {bar['why']}"


def test_the_question_arrives_as_it_was_asked(request_body):
    body = json.loads(request_body)
    assert body["stream"] is True
    assert [m["content"] for m in body["messages"] if m["role"] == "user"] == [QUESTION]


def test_every_tool_of_the_core_is_offered(request_body):
    """Nothing of it is hidden to get below the bar; the others are found."""
    offered = {tool["function"]["name"] for tool in json.loads(request_body)["tools"]}
    assert offered == {"call_tool", "find_tools", "memory", "patch", "read_file", "search_files",
                       "terminal", "web_fetch", "write_file"}


def test_everything_offered_is_described(request_body):
    for tool in json.loads(request_body)["tools"]:
        function = tool["function"]
        assert function["description"].strip(), f"{function['name']} has no description"
        bare = list(undescribed(function["parameters"], function["name"]))
        assert not bare, f"a model has to guess what these mean: {bare}"


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex((HOST, port)) == 0


def test_ten_servers_of_tools_add_nothing(built, request_body):
    """Their tools are known, and are found by what is there anyway."""
    port = free_port()

    def prepare(user):
        user.put("config.yaml", "mcp_servers:\n" + "".join(
            f"  s{n}: {{url: http://{HOST}:{port}/mcp}}\n" for n in range(SERVERS)))
        out = user.run("mcp", "list", "--json", limit=60).ok().text
        states = [(s["state"], s["tools"] > 5) for s in json.loads(out)["mcp_servers"]]
        assert states == [("ready", True)] * SERVERS, out
    server = subprocess.Popen([sys.executable, FAKES / "mcp_http.py", str(port)])
    try:
        assert harness.comes_true(lambda: listens(port))
        with_servers = sent(built, prepare)
    finally:
        server.kill()
        server.wait()
    assert json.loads(with_servers) == json.loads(request_body)
    assert len(with_servers) == len(request_body)


def test_an_index_of_skills_stays_below_the_bar(native, bars):
    """With 73 skills in it, as hermes-agent leaves a home."""
    body = sent(native, lambda user: skills_home.fill(user.put))
    assert b"Skills, by category" in body
    assert len(body) - len(QUESTION) <= bars["hi"]["most"]


def undescribed(schema, path):
    """Parameters at any depth that have no description."""
    for name, parameter in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        if not parameter.get("description", "").strip():
            yield here
        yield from undescribed(parameter, here)
    if isinstance(schema.get("items"), dict):
        yield from undescribed(schema["items"], f"{path}[]")
