"""What a person on Telegram can tell the bot to do, beside asking."""

import re

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from telegram_owner import OWNER, Talk

pytestmark = pytest.mark.qemu_user

KNOWN = ("new", "stop", "status", "usage", "retry", "undo", "model", "help", "title", "context")


@pytest.fixture
def person(hermes, api, up, service):
    hermes.use_telegram(api).use(up, "recount")
    person = Talk(api)
    api.chats.pace = None  # a person who asks this fast
    person.service = service()
    return person


def test_help_tells_every_command(person):
    text = person.ask("/help")
    for name in KNOWN:
        assert re.search(rf"/{name}\b", text), f"/{name} is not in {text}"


def test_start_is_met(person):
    assert person.ask("/start")


def test_an_unknown_command_is_no_question(person, up):
    assert "/help" in person.ask("/frobnicate now")
    assert not up.requests


def test_a_path_is_no_command(person, up):
    person.ask("/etc/hosts is what?")
    assert up.requests, "a question that begins with a path was not asked"


@pytest.mark.parametrize("command", ["/new", "/reset", "/NEW", "/new@hermes_fake_bot"])
def test_new_begins_anew(person, command):
    assert person.ask("hello").startswith("1 messages")
    person.ask(command)
    assert person.ask("hello again").startswith("1 messages")


def test_status(person, up):
    person.ask("hello")
    text = person.ask("/status")
    assert "recount" in text, text


def test_usage(person):
    person.ask("hello")
    text = person.ask("/usage")
    assert re.search(r"token", text, re.I) and re.search(r"\d", text), text


def test_context(person):
    person.ask("hello")
    text = person.ask("/context")
    assert re.search(r"byte", text, re.I) and re.search(r"token", text, re.I), text
    for part in ("tool", "memor"):
        assert part in text.lower(), text


def test_context_tells_the_tokens_counted_before_a_restart(person):
    person.ask("hello")
    counted = re.search(r"the last prompt, counted: \d+", person.ask("/context"))
    person.service.stop()
    person.service.restart()
    assert counted and counted.group() in person.ask("/context")


def test_title(person, hermes):
    person.ask("hello")
    assert "Harvest" in person.ask("/title Harvest plans")
    assert "Harvest plans" in hermes.run("sessions", "list").ok().text


def test_undo_takes_the_last_question_back(person):
    person.ask("one")
    person.ask("two")
    person.ask("/undo")
    assert person.ask("three").startswith("3 messages")


def test_undo_without_anything(person):
    assert person.ask("/undo")


def test_retry_asks_again(person, up):
    person.ask("one")
    assert person.ask("two").startswith("3 messages")
    assert person.ask("/retry").startswith("3 messages, the last: user=")
    assert up.requests[-1].messages[-1]["content"].endswith("two")


def test_retry_without_anything(person, up):
    assert person.ask("/retry")
    assert not up.requests


def test_model_is_shown_and_changed(person, up):
    assert "recount" in person.ask("/model")
    person.ask("/model say")
    assert "you said" in person.ask("hello")
    assert up.requests[-1].model == "say"


def test_stop_ends_the_turn(hermes, api, up, service):
    hermes.use_telegram(api).use(up, "gate")
    service()
    api.user_says(OWNER, "long work")
    api.wait_text(OWNER, "begun")
    api.user_says(OWNER, "/stop")
    assert up.wait_for(lambda: up.disconnects)
    api.wait_quiet()
    assert not any("and finished" in text for text in api.texts(OWNER))
    up.release.set()
    api.user_says(OWNER, "next")
    api.wait_text(OWNER, "answer to next: begun and finished")


def test_stop_without_a_turn(person):
    assert person.ask("/stop")


def test_status_answers_in_mid_turn(hermes, api, up, service):
    hermes.use_telegram(api).use(up, "gate")
    service()
    api.user_says(OWNER, "long work")
    api.wait_text(OWNER, "begun")
    api.user_says(OWNER, "/status")
    api.wait_messages(OWNER, 2)
    assert not up.disconnects, "a look at the state interrupted the work"
    up.release.set()
    api.wait_text(OWNER, "and finished")


def test_commands_outlive_a_restart(person):
    person.ask("hello")
    person.ask("/new")
    person.service.stop()
    person.service.start()
    assert person.ask("hello again").startswith("1 messages")


ALONE = [("/resume", "/resume NUMBER"), ("/queue", "It is: /queue TEXT"), ("/q", "It is: /queue"),
         ("/steer ", "It is: /queue TEXT"), ("/bg", "Say /bg and what"), ("/model", "/model NAME"),
         ("/background", "Say /bg"), ("/skills", "There are no skills yet"),
         ("/skills nope", "of that category; /skills lists all"), ("/sethome", "From now on"),
         ("/memory", "There is nothing in MEMORY.md"), ("/memory what", "it is /memory, or"),
         ("/title", "Title: long"), ("/trust", "Nothing is marked"), ("/sessions", "1. long"),
         ("/reload", "the configuration was reloaded")]


def test_what_only_tells_does_so_while_an_answer_is_written(hermes, up, api, service):
    """A command that lacks its text says at once how it is used, and the answer goes on."""
    hermes.use_telegram(api).use(up, "gate")
    api.chats.pace = None
    running = service()
    api.user_says(OWNER, "long")
    api.wait_text(OWNER, "begun")
    for number, (command, told) in enumerate(ALONE):
        api.user_says(OWNER, command)
        found = api.wait_messages(OWNER, number + 2)
        assert told in api.texts(OWNER)[-1], (command, found)
    assert not running.events("turn.end")
    up.release.set()
    api.wait_text(OWNER, "answer to long: begun and finished")


def test_the_same_in_the_terminal(hermes, up):
    hermes.use(up, "echo")
    for command, told in (("/sethome", "say it to the bot on Telegram"),
                          ("/bg x", "a second hermes"), ("/reload", "begin a new one"),
                          ("/reload-mcp", "No MCP"), ("/status", "begins with what you say"),
                          ("/skills", "There are no skills yet")):
        assert told in hermes.chat(command).ok().text
