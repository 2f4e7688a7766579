"""The agent tells its owner when another model answers that is paid otherwise: once per change."""

import json
import time

import pytest
import telegram_models  # noqa: F401  registers its scenarios
from router_service import Router
from telegram_owner import OWNER

FREE = {"input_cost_per_token": 0, "output_cost_per_token": 0}
CHEAP = {"input_cost_per_token": 0.00000028, "output_cost_per_token": 0.00000042}
STRONG = {"input_cost_per_token": 0.000003, "output_cost_per_token": 0.000015}
TO_CHEAP = ("free did not answer (HTTP 429); cheap answers now, which costs $0.28/$0.42 per "
            "million tokens.")


@pytest.fixture
def chain(hermes, up):
    """chain("429-long", "echo") is free, and cheap behind it; each with its prices."""
    def write(free, cheap, free_price=FREE, cheap_price=CHEAP, model="free", **more):
        router = Router(hermes, up)
        config = router.config(
            {"free": [router.deployment(free, **free_price)],
             "cheap": [router.deployment(cheap, **cheap_price)]},
            fallbacks=[{"free": ["cheap"]}], **more)
        del config["general_settings"]
        config["router"] = {"port": 0, **config.get("router", {})}
        config["model"] = {"default": model}
        hermes.put("config.yaml", json.dumps(config, indent=1))
    return write


@pytest.fixture
def bot(hermes, api, service, chain):
    """The same behind Telegram, answering user 42."""
    def start(*args, **more):
        hermes.use_telegram(api, users=str(OWNER))
        chain(*args, **more)
        return service()
    return start


def told(result):
    """The sentences on standard error that are about prices."""
    return [line.removeprefix("hermes: ") for line in result.err.decode().splitlines()
            if "answers now" in line or "answers again" in line]


# -- on the channel -------------------------------------------------------------------------------

def test_a_fallback_that_costs_is_told_under_the_answer(bot, api):
    bot("429-long", "echo")
    api.user_says(OWNER, "hi")
    api.wait_text(OWNER, "answers now")
    assert api.texts(OWNER) == [f"echo: hi\n\nℹ️ {TO_CHEAP}"]


def test_usage_knows_the_cost_by_configured_prices(bot, api):
    bot("tokens:1000", "echo", free_price=STRONG)
    api.user_says(OWNER, "hi")
    api.wait_text(OWNER, "many")
    api.user_says(OWNER, "/usage")
    api.wait_text(OWNER, "Everything")
    assert api.texts(OWNER)[-1].count("1000 out, $0.015003") == 2


def test_it_is_told_once(bot, api, up):
    bot("429-long", "echo")
    for number, text in enumerate(["one", "two", "three"], 1):
        api.user_says(OWNER, text)
        api.wait_text(OWNER, f"echo: {text}")
        api.wait_messages(OWNER, number)
    api.wait_quiet()
    assert api.texts(OWNER) == [f"echo: one\n\nℹ️ {TO_CHEAP}", "echo: two", "echo: three"]
    assert up.count("429-long") == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_is_no_news(bot, api, end):
    running = bot("429-long", "echo")
    api.user_says(OWNER, "one")
    api.wait_text(OWNER, "answers now")
    api.wait_quiet()
    getattr(running, end)()
    running.restart()
    api.user_says(OWNER, "two")
    api.wait_text(OWNER, "echo: two")
    api.wait_quiet()
    assert api.texts(OWNER)[-1] == "echo: two"


def test_an_answer_that_was_stopped_leaves_it_to_the_next(bot, api, up):
    """Who hears nothing was not told."""
    bot("429-long", "gate")
    api.user_says(OWNER, "wait")
    api.wait_text(OWNER, "begun")
    api.user_says(OWNER, "/stop")
    api.wait_text(OWNER, "interrupted")
    up.release.set()
    api.user_says(OWNER, "again")
    api.wait_text(OWNER, "answers now")
    assert [text.count("answers now") for text in api.texts(OWNER)].count(1) == 1


def test_the_log_has_it(bot, api):
    running = bot("429-long", "echo")
    api.user_says(OWNER, "hi")
    api.wait_text(OWNER, "answers now")
    event = running.wait_event("turn.price_notice")
    assert (event["model"], event["text"]) == ("free", TO_CHEAP)


# -- in a terminal --------------------------------------------------------------------------------

def test_a_terminal_is_told_beside_the_answer(hermes, chain):
    chain("429-long", "echo")
    result = hermes.chat("hi").ok()
    assert result.text == "echo: hi\n" and told(result) == [TO_CHEAP]
    assert told(hermes.chat("again").ok()) == []


def test_through_the_running_service_as_well(hermes, chain, service):
    chain("429-long", "echo")
    service()
    assert told(hermes.chat("hi").ok()) == [TO_CHEAP]
    assert told(hermes.chat("again").ok()) == []


def test_a_turn_of_many_steps_tells_once(hermes, chain, up):
    chain("429-long", "tools")
    result = hermes.chat("call current_time {}").ok()
    assert told(result) == [TO_CHEAP] and up.count("tools") == 2


def test_the_way_back_is_told_too(hermes, chain, up):
    """free fails once, and answers as soon as it is asked again."""
    chain("429", "echo", cooldown_time=1)
    seen = told(hermes.chat("hi").ok())
    until = time.monotonic() + 60
    while len(seen) < 2 and time.monotonic() < until:
        seen += told(hermes.chat("hi").ok())
    assert seen == [TO_CHEAP, "free answers again, which costs nothing."]
    assert told(hermes.chat("hi").ok()) == []


# -- what is a change -----------------------------------------------------------------------------

def test_the_same_price_is_no_news(hermes, chain):
    chain("429-long", "echo", free_price=CHEAP)
    assert told(hermes.chat("hi").ok()) == []


def test_another_price_is_compared(hermes, chain):
    chain("503", "echo", free_price=STRONG)
    assert told(hermes.chat("hi").ok()) == [
        "free did not answer (HTTP 503); cheap answers now, which costs $0.28/$0.42 per million "
        "tokens instead of $3.00/$15.00."]


def test_a_price_that_is_not_known_is_said_to_be_that(hermes, chain):
    chain("cut-before-headers", "echo", cheap_price={})
    assert told(hermes.chat("hi").ok()) == [
        "free could not be reached; cheap answers now, at an unknown price."]


def test_who_asks_the_dear_one_himself_knows(hermes, chain):
    chain("429-long", "echo", model="cheap")
    assert told(hermes.chat("hi").ok()) == []


def test_a_lower_order_of_the_same_name_is_a_change(hermes, up, chain):
    chain("fixed", "echo")
    config = json.loads((hermes.home / "config.yaml").read_text())
    router = Router(hermes, up)
    config["model_list"] = [
        {"model_name": "free", "litellm_params": router.deployment("401", order=1, **FREE)},
        {"model_name": "free", "litellm_params": router.deployment("echo", order=2, **CHEAP)}]
    config["router_settings"] = {"num_retries": 0}
    hermes.put("config.yaml", json.dumps(config))
    result = hermes.chat("hi").ok()
    assert result.text == "echo: hi\n"
    assert told(result) == ["free did not answer (HTTP 401); openai/echo answers now, which costs "
                            "$0.28/$0.42 per million tokens."]


def test_nothing_is_told_of_who_takes_turns(hermes, up, chain):
    """Two deployments of one name and order: the owner has named both prices himself."""
    chain("fixed", "echo")
    config = json.loads((hermes.home / "config.yaml").read_text())
    router = Router(hermes, up)
    config["model_list"] = [
        {"model_name": "free", "litellm_params": router.deployment("fixed", **FREE)},
        {"model_name": "free", "litellm_params": router.deployment("echo", **CHEAP)}]
    config["router_settings"] = {"num_retries": 0}
    hermes.put("config.yaml", json.dumps(config))
    for _ in range(60):
        assert told(hermes.chat("hi").ok()) == []
        if up.count("fixed") and up.count("echo"):
            return
    pytest.fail("it was always the same")
