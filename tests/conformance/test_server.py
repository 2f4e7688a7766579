"""Both eras of the server: the fixture server in full, Hermes itself as far as it offers what is
asked for (docs/mcp-server.md)."""

import json

import pytest
from mcp_client import INITIALIZE, Http, call, request, text_of
from suite import KeyProxy

KEY = "conformance-key"


@pytest.mark.parametrize("revision, count", [("2025-11-25", 30), ("2026-07-28", 37)])
def test_the_fixture_server_passes_all_that_counts(suite, fixture_server, revision, count):
    required = suite.required("server", revision)
    found = suite.run("server", "--url", fixture_server, "--requirements", revision)
    assert len(required) == count
    assert {name: found.get(name, ["it did not run"]) for name in required} == \
        {name: [] for name in required}


# What Hermes offers no subject for: prompts, completions, log messages, the suite's own tools.
PASSES = {
    "2025-11-25": {"server-initialize", "ping", "tools-list", "server-sse-multiple-streams",
                   "resources-list", "dns-rebinding-protection", "server-session-lifecycle"},
    "2026-07-28": {"tools-list", "server-sse-multiple-streams", "resources-list",
                   "sep-2164-resource-not-found", "dns-rebinding-protection",
                   "input-required-result-unsupported-methods", "http-header-validation"},
}
# Checks that look for such a subject in a scenario whose others Hermes passes.
CANNOT_PASS = {
    "server-stateless": {
        "sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400",
        "sep-2575-http-server-no-independent-requests-on-stream",
        "sep-2575-server-no-log-without-loglevel",
        "sep-2575-server-sends-tools-list-changed-on-subscription"},
    "caching": {"sep-2549-prompts-list-caching-hints"},
}


@pytest.mark.parametrize("revision", sorted(PASSES))
def test_hermes_passes_what_it_offers_something_for(suite, service, revision):
    running = service(env={"HERMES_ADMIN_KEY": KEY})
    with KeyProxy(running.port, KEY) as proxy:
        found = suite.run("server", "--url", proxy.url, "--requirements", revision)
    assert {name: found[name] for name in PASSES[revision]} == \
        {name: [] for name in PASSES[revision]}
    for name, unreachable in CANNOT_PASS.items() if revision == "2026-07-28" else ():
        assert {fault.split(":")[0] for fault in found[name]} <= unreachable, found[name]


def test_a_session_answers_only_what_it_was_asked(fixture_server):
    """Requests to a client have numbers that another session could guess."""
    port = int(fixture_server.split(":")[2].split("/")[0])
    face = Http(port, "none")

    def begin():
        params = {**INITIALIZE, "capabilities": {"elicitation": {}}}
        _, headers, _ = face.ask(request(1, "initialize", modern=False, **params), modern=False)
        return {"Mcp_Session_Id": headers["Mcp-Session-Id"]}
    one, other = begin(), begin()
    there, stream = face.open(call(2, "test_elicitation", modern=False), modern=False, **one)
    asked = event(stream)
    assert asked["method"] == "elicitation/create"
    for session, words in ((other, "not mine"), (one, "mine")):
        answer = {"jsonrpc": "2.0", "id": asked["id"],
                  "result": {"action": "accept", "content": {"who": words}}}
        assert face.ask(answer, modern=False, **session)[0] == 202
    answer = text_of(event(stream))
    assert '"who":"mine"' in answer.replace(" ", "") and "not mine" not in answer
    there.close()


def event(stream):
    """The next message of a stream of events."""
    while not (line := stream.readline().decode()).startswith("data:"):
        assert line, "the stream has ended"
    return json.loads(line[5:])
