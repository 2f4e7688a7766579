"""A title by the model of the slot "title", in the place of the first line of a conversation."""

import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from router_service import Router
from telegram_owner import OWNER, settled


@pytest.fixture
def named(hermes, up, api):
    """named("say") is the file of a bot whose titles are by that model."""
    def write(namer, slots=("main", "title"), **more):
        config = Router(hermes, up).config({"free": ["echo"], "namer": [namer]})
        del config["general_settings"]
        config["router"] = {"port": 0, "slots": {slot: {"main": "free", "title": "namer"}[slot]
                                                 for slot in slots}}
        config["router"]["budgets"] = more.pop("budgets", [])
        hermes.put("config.yaml", json.dumps(config | more))
        hermes.use_telegram(api, users=",".join(str(OWNER + n) for n in range(6)))
    return write


def titles(hermes):
    """The latest first."""
    return [session.get("title") for session in
            json.loads(hermes.run("sessions", "list", "--json").ok().out)["sessions"]]


def asked(up, model):
    return [request for request in up.requests if request.model == model]


def says(api, text, count=1):
    api.user_says(OWNER, text)
    return settled(api, count)


def test_a_model_names_a_conversation_once(hermes, up, api, service, named):
    named("say")
    running = service()
    says(api, "say The *cellar*\nand how damp it is")
    assert up.wait_for(lambda: titles(hermes) == ["The *cellar"], 60), titles(hermes)
    [request] = asked(up, "say")
    assert "Assistant: echo: say The *cellar*" in request.messages[-1]["content"]
    assert not request.json.get("tools")
    says(api, "say The attic", 2)
    assert "The *cellar" in says(api, "/sessions", 3)[-1]
    assert len(asked(up, "say")) == 1 and titles(hermes) == ["The *cellar"]
    [event] = running.events("session.titled")
    assert event["prompt_tokens"] > 0 and not event.get("error"), event


def test_a_conversation_begun_by_a_command_has_one_too(hermes, up, api, service, named):
    named("say")
    service()
    says(api, "/new")
    assert titles(hermes) == [None]
    says(api, "say The cellar", 2)
    assert up.wait_for(lambda: titles(hermes) == ["The cellar"], 60), titles(hermes)
    says(api, "/new The attic", 3)
    says(api, "say The roof", 4)
    assert titles(hermes)[0] == "The attic" and len(asked(up, "say")) == 1


@pytest.mark.parametrize("auxiliary, wanted", [
    (None, False), ({"model": "", "enabled": True}, False), ({"model": "namer"}, True),
    ({"model": "namer", "enabled": False}, False),
    ({"model": "namer", "provider": "auto", "enabled": True}, True)])
def test_off_until_a_model_is_named(hermes, up, api, service, named, auxiliary, wanted):
    """hermes-agent's key counts; its default names no model."""
    named("say", ["main"], **{"auxiliary": {"title_generation": auxiliary}} if auxiliary else {})
    service()
    says(api, "say The cellar")
    if wanted:
        assert up.wait_for(lambda: titles(hermes) == ["The cellar"], 60), titles(hermes)
    else:
        assert titles(hermes) == ["say The cellar"] and not asked(up, "say")


def test_a_single_question_needs_none(hermes, up, named):
    """Its process would end before the answer, which would have cost something."""
    named("say")
    hermes.chat("say The cellar").ok()
    assert not asked(up, "say") and titles(hermes) == ["say The cellar"]


def test_a_crowd_asks_for_a_few_at_once(hermes, up, api, service, named):
    named("gate-whole")
    service()
    for number in range(6):
        api.user_says(OWNER + number, f"number {number}")
        api.wait_messages(OWNER + number, 1)
    assert up.wait_for(lambda: len(asked(up, "gate-whole")) == 4, 60)
    up.release.set()
    assert up.wait_for(
        lambda: titles(hermes)[2:] == ["at last"] * 4, 60), titles(hermes)
    assert titles(hermes)[:2] == ["number 5", "number 4"] and len(asked(up, "gate-whole")) == 4


def test_a_kill_leaves_the_first_line(hermes, up, api, service, named):
    named("gate-whole")
    running = service()
    says(api, "say The cellar")
    assert up.wait_for(lambda: asked(up, "gate-whole"), 60)
    running.kill()
    running.start()
    assert says(api, "and then?", 2)[-1] == "echo: and then?"
    assert titles(hermes) == ["say The cellar"] and len(asked(up, "gate-whole")) == 1


def test_without_money_it_keeps_the_first_line(hermes, up, api, service, named):
    named("say", budgets=[{"scope": "slot", "match": "title", "max": 0, "period": "day"}])
    running = service()
    assert says(api, "say The cellar") == ["echo: say The cellar"]
    assert "budget" in running.wait_event("session.titled")["error"]
    assert titles(hermes) == ["say The cellar"] and not asked(up, "say")
