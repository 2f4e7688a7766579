"""The form and the page of a server that others wrote, answered by a person in Telegram."""

import json

import pytest
from harness import comes_true
from telegram_owner import OWNER
from test_mcp_servers import (  # noqa: F401  fixtures
    api, everything, modules, server, up)

ANSWERS = {"String\n": "Ada", "Boolean": "yes", "email format": "ada@example.com",
           "Number in range": "2.5", "Untitled Single": "Rachel",
           "Untitled Multiple": "Guitar, 2", "Titled Single": "Wonder Woman",
           "Legacy Titled": "2"}
FIELDS = 13


def answer(text):
    for title, said in ANSWERS.items():
        if f": {title}" in text or f": String with {title}" in text:
            return said
    return "-"


def told(up):
    return [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"][-1:]


def ask(api, tool, **arguments):
    api.user_says(OWNER, "call call_tool " + json.dumps({"name": f"mcp__it__{tool}",
                                                        "arguments": arguments}))


@pytest.mark.parametrize("way", ["stdio", "streamableHttp"])
def test_a_form_with_a_field_of_each_kind(server, service, hermes, up, api, way):  # noqa: F811
    hermes.use_telegram(api).use(up, "tools")
    everything(server, way).start(service)
    ask(api, "trigger-elicitation-request")
    for field in range(1, FIELDS + 1):
        question = api.wait_text(OWNER, f"{field} of {FIELDS}: ")
        api.user_says(OWNER, answer(question.text))
    shown = api.wait_text(OWNER, "This would be sent to it")
    api.user_presses(shown, "Send it")
    assert comes_true(lambda: told(up) and "Raw result" in told(up)[0]), api.texts(OWNER)
    raw = json.loads(told(up)[0].split("Raw result: ")[1])
    assert raw == {"action": "accept", "content": {
        "name": "Ada", "check": True, "firstLine": "It was a dark and stormy night.",
        "email": "ada@example.com", "integer": 42, "number": 2.5,
        "untitledSingleSelectEnum": "Rachel", "untitledMultipleSelectEnum": ["Guitar", "Piano"],
        "titledSingleSelectEnum": "hero-3", "titledMultipleSelectEnum": ["fish-1"],
        "legacyTitledEnum": "pet-2"}}


@pytest.mark.parametrize("by_error", [False, True])
def test_a_page(server, service, hermes, up, api, by_error):  # noqa: F811
    hermes.use_telegram(api).use(up, "tools")
    everything(server, "streamableHttp").start(service)
    ask(api, "trigger-url-elicitation", url="https://login.example/x?y=1", message="Sign in",
        elicitationId="one", errorPath=by_error)
    if by_error:  # another page is wanted first; then the same call asks for this one
        first = api.wait_text(OWNER, "satisfy the prerequisite")
        api.user_presses(first, "I have opened it")
    question = api.wait_text(OWNER, "On login.example:\nhttps://login.example/x?y=1")
    api.user_presses(question, "I have opened it")
    assert comes_true(lambda: told(up) and "accept" in told(up)[0]), told(up)


def test_a_form_that_is_declined(server, service, hermes, up, api):  # noqa: F811
    hermes.use_telegram(api).use(up, "tools")
    everything(server, "stdio").start(service)
    ask(api, "trigger-elicitation-request")
    api.wait_text(OWNER, f"1 of {FIELDS}")
    api.user_says(OWNER, "/deny")
    assert comes_true(lambda: told(up) and "declined" in told(up)[0])
