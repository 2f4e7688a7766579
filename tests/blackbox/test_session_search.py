"""The session_search tool: what was said in earlier conversations, in whichever process."""

import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from telegram_owner import OWNER


def call(**arguments):
    return "call call_tool " + json.dumps({"name": "session_search", "arguments": arguments})


@pytest.mark.release
def test_the_console_finds_what_was_said_before(hermes, up):
    hermes.use(up, "tools")
    hermes.chat("the gate to Zürich opens at nine").ok()
    hermes.chat("something else").ok()
    text = hermes.chat(call(query="ZURICH")).ok().text
    assert ">>>Zürich<<<" in text and "something else" not in text
    session = text.split("session ")[1][:12]
    assert "gate to Zürich opens" in hermes.chat(call(session_id=session)).ok().text
    assert "something else" in hermes.chat(call(limit=10)).ok().text
    assert "nothing was found" in hermes.chat(call(query="submarine")).ok().text


def test_the_question_itself_is_no_answer(hermes, up):
    hermes.use(up, "tools")
    assert "nothing was found" in hermes.chat(call(query="submarine")).ok().text


def test_what_was_deleted_is_not_found(hermes, up):
    hermes.use(up, "tools")
    hermes.chat("the boiler code is quixotry").ok()
    session = hermes.chat(call(query="quixotry")).ok().text.split("session ")[1][:12]
    for listed in json.loads(hermes.run("sessions", "list", "--json").ok().out)["sessions"]:
        hermes.run("sessions", "delete", listed["id"], "--yes").ok()
    assert session not in hermes.chat(call(limit=10)).ok().text
    assert "quixotry" not in hermes.chat(call(query="boiler code")).ok().text


def test_a_chat_sees_itself(hermes, up, api, service):
    hermes.use(up, "tools").use_telegram(api)
    hermes.chat("the safe is behind the painting").ok()
    service()
    api.user_says(OWNER, "the safe is empty")
    api.wait_messages(OWNER, 1)
    api.user_says(OWNER, "/new")
    api.wait_messages(OWNER, 2)
    api.user_says(OWNER, call(query="safe"))
    text = api.wait_text(OWNER, "session ").text
    assert "empty" in text and "painting" not in text
    assert "painting" in hermes.chat(call(query="safe")).ok().text


def test_a_job_sees_the_chat_in_which_it_was_made(hermes, up, api, service):
    """And everything if the owner made it at the command line."""
    other = OWNER + 1
    hermes.use(up, "tools").use_telegram(api, users=f"{OWNER},{other}")
    service()
    for chat, text in ((OWNER, "the safe is empty"), (other, "the safe is behind the painting")):
        api.user_says(chat, text)
        api.wait_messages(chat, 1)
    api.user_says(OWNER, f"/cron add every 1d {call(query='safe')}")
    made = api.wait_messages(OWNER, 2)[-1].text
    hermes.run("cron", "run", made.split()[0]).ok()
    text = api.wait_text(OWNER, "session ").text
    assert "empty" in text and "painting" not in text
    hermes.run("cron", "add", "every 1d", call(query="safe"), "--deliver", f"telegram:{other}",
               "--name", "all").ok()
    hermes.run("cron", "run", "all").ok()
    text = api.wait_text(other, "session ").text
    assert "empty" in text and "painting" in text
