"""The todo tool: a list for each conversation, which is there after a restart."""

import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from telegram_owner import OWNER

STEPS = [{"id": "1", "content": "buy oil", "status": "in_progress"},
         {"id": "2", "content": "change it"}]


def call(**arguments):
    return "call call_tool " + json.dumps({"name": "todo", "arguments": arguments})


@pytest.mark.release
def test_it_is_found_and_called(hermes, up):
    hermes.use(up, "tools")
    hermes.chat('call find_tools {"query":"todo list of steps"}').ok()
    told = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
    assert '"todos"' in told[0] and "todo" not in [t["function"]["name"]
                                                   for t in up.requests[-1].json["tools"]]
    text = hermes.chat(call(todos=STEPS)).ok().text
    assert "1 [in_progress] buy oil\n2 [pending] change it" in text
    assert "empty" in hermes.chat(call()).ok().text, "another conversation has another list"


def test_it_outlives_a_kill(hermes, up, api, service):
    hermes.use(up, "tools").use_telegram(api)
    daemon = service()
    api.user_says(OWNER, call(todos=STEPS))
    api.wait_text(OWNER, "buy oil")
    api.wait_quiet(1)
    daemon.kill()
    daemon.start()
    api.user_says(OWNER, call(merge=True, todos=[{"id": "1", "status": "completed"}]))
    text = api.wait_text(OWNER, "1 completed").text
    assert "1 [completed] buy oil" in text and "2 [pending] change it" in text
    api.user_says(OWNER, "/new")
    api.user_says(OWNER, call())
    api.wait_text(OWNER, "the list is empty")
