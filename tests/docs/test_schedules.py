"""The five examples of docs/schedules.md, added as they stand there; then each has its run."""

import json
import re

import pytest

import openai_wire as wire
from harness import ROOT, comes_true
from openai_scenarios import scenario
from openai_upstream import Upstream
from openai_validate import text_of
from service import Service
from telegram_api import TelegramApi
from user import blocks
from web_server import WebServer, answer

OWNER = 42
TOKEN = "the-credential-0123456789"
PAGE = ROOT / "docs/schedules.md"
WANTS = {  # what a model makes of each prompt: a tool that is called first, and what is said
    "Ask the server status": ("http_request", {"endpoint": "status", "path": "/services"},
                              "All five services are up."),
    "Search today's conversations": ("session_search", {"limit": 10}, "[SILENT]"),
    "Review the week": ("session_search", {"query": "cellar"}, "The cellar is dry."),
    "new in inbox/": ("read_file", {"path": "inbox/bill.txt"}, "bill.txt: to be paid."),
}


@scenario("secretary")
def secretary(turn):
    """Does what the examples ask for."""
    found = [want for words, want in WANTS.items() if words in turn.question()]
    name, arguments, said = found[0] if found else (None, None, "Noted.")
    offered = {tool["function"]["name"] for tool in turn.body.get("tools", [])}
    if not name or turn.results():
        turn.say(wire.Answer(said))
    elif name in offered:
        turn.say(wire.Answer(calls=[wire.Call(name, json.dumps(arguments))]))
    else:
        wrapped = json.dumps({"name": name, "arguments": arguments})
        turn.say(wire.Answer(calls=[wire.Call("call_tool", wrapped)]))


@pytest.fixture
def office(reader):
    """(the fakes, the daemon) once all examples were added."""
    examples = [block for block in blocks(PAGE) if "running" in block.words]
    config, = [block.text for block in blocks(PAGE) if "WIKI_TOKEN" in block.text]
    services = answer(b'{"up": 5}', kind="application/json")
    with Upstream() as up, TelegramApi() as api, WebServer({"/api/services": services}) as web:
        reader.put("config.yaml", config.replace("https://status.example.org/api", web.url("/api")))
        reader.environment["WIKI_TOKEN"] = TOKEN
        reader.use_telegram(api).use(up, "secretary")
        service = Service(reader).start()
        try:
            api.user_says(OWNER, "How damp is the cellar?")
            api.wait_text(OWNER, "Noted.")
            for block in examples:
                status, shown = reader.script("set -e\n" + block.text)
                assert status == 0, f"{block}: status {status}\n{shown}"
            yield up, api, web
        finally:
            service.kill()


def run(reader, name):
    """Its outcome, when it is over."""
    def told():
        shown = reader.run("cron", "history", name, "--json").ok().out
        return json.loads(shown)["runs"]
    before = len(told())
    reader.run("cron", "run", name).ok()
    assert comes_true(lambda: len(told()) > before and told()[0]["outcome"] != "running", 60)
    return told()[0]["outcome"]


def results(up):
    """Of tools, in the last request."""
    return [text_of(m) for m in up.requests[-1].messages if m["role"] == "tool"]


def test_the_five_examples(reader, office):
    up, api, web = office
    assert run(reader, "briefing") == "ok"
    assert '{"up": 5}' in results(up)[0]
    assert web.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert api.wait_text(OWNER, "All five services are up.")
    assert not any(TOKEN in json.dumps(request.json) for request in up.requests)

    asked = len(up.requests)
    assert run(reader, "ping") == "ok" and len(up.requests) == asked, "no model is asked"
    assert re.search(r"Still here at \d\d:\d\d\.", api.wait_text(OWNER, "Still here").text)

    told = len(api.messages(OWNER))
    assert run(reader, "evening") == "silent" and "damp" in results(up)[0]
    assert run(reader, "week") == "ok" and "damp" in results(up)[0]
    assert api.wait_text(OWNER, "The cellar is dry.")
    assert len(api.messages(OWNER)) == told + 1, "silence is not delivered"


def test_a_sync_wakes_the_model_only_for_what_is_new(reader, office):
    """However often it runs."""
    up, api, _ = office
    for _ in range(2):
        asked = len(up.requests)
        assert run(reader, "sync") == "silent" and len(up.requests) == asked
    reader.put("inbox/bill.txt", "12 euros\n", base=reader.workspace)
    assert run(reader, "sync") == "ok" and "12 euros" in results(up)[0]
    assert api.wait_text(OWNER, "bill.txt: to be paid.")
    asked = len(up.requests)
    assert run(reader, "sync") == "silent" and len(up.requests) == asked
