"""Slots: which model does which work, for the agent and for programs that name their work."""

import json
import re

import home_socket
import pytest
from router_service import MASTER_KEY, MESSAGES, Router


@pytest.fixture
def configured(hermes, up):
    """configured({"free": ["echo"]}, slots={...}) is the file of an agent."""
    def write(groups, slots=None, model=None, **more):
        config = Router(hermes, up).config(groups, **more)
        del config["general_settings"]
        config["router"] = {"port": 0, "slots": slots or {}}
        if model:
            config["model"] = {"default": model}
        return hermes.put("config.yaml", json.dumps(config, indent=1))
    return write


def models(up):
    return [request.model for request in up.requests]


def check(hermes, path=None):
    return hermes.run("config", "check", *(["--config", path] if path else []))


# -- the agent ------------------------------------------------------------------------------------

def test_the_agent_asks_the_slot_main(hermes, up, configured):
    configured({"free": ["fixed"], "cheap": ["echo"]}, {"main": "cheap"})
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    configured({"free": ["fixed"], "cheap": ["echo"]}, {"main": "cheap"}, model="free")
    hermes.chat("hi").ok()
    assert models(up) == ["echo", "echo"]


def test_without_that_slot_it_asks_the_default_model(hermes, up, configured):
    configured({"free": ["fixed"], "cheap": ["echo"]}, {"title": "free"}, model="cheap")
    assert hermes.chat("hi").ok().text == "echo: hi\n"


def test_what_is_said_for_one_run_is_before_the_slot(hermes, up, configured):
    configured({"free": ["fixed"], "cheap": ["echo"]}, {"main": "cheap"})
    hermes.chat("hi", env={"HERMES_MODEL": "free"}).ok()
    hermes.chat("hi", "--model", "free", env={"HERMES_MODEL": "cheap"}).ok()
    assert models(up) == ["fixed", "fixed"]


@pytest.mark.parametrize("main", ["smart", "any/echo"])
def test_a_slot_may_name_an_alias_or_what_a_wildcard_means(hermes, up, configured, main):
    wildcard = Router(hermes, up).deployment("*")
    configured({"free": ["echo"], "any/*": [wildcard]}, {"main": main},
               model_group_alias={"smart": "free"})
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    shown = hermes.run("config", "show").ok().text
    assert f"# model: {main} is echo at {up.base_url}" in shown
    assert re.search(rf"ok\W+model\W+{main}: echo", hermes.run("doctor").text)


def test_a_conversations_own_model_is_before_the_slot(hermes, up, configured, service, api):
    hermes.use_telegram(api, users="42")
    configured({"free": ["fixed"], "cheap": ["echo"]}, {"main": "free"})
    service()
    for count, text in enumerate(["/model cheap", "hi", "/model default", "hi", "/model"], 1):
        api.user_says(42, text)
        api.wait_messages(42, count)
        api.wait_quiet()
    texts = api.texts(42)
    assert (texts[1], texts[3]) == ("echo: hi", "ok")
    assert texts[2].endswith("free") and "Configured: free" in texts[4]


def test_a_reload_takes_another_main(hermes, up, configured, service):
    configured({"free": ["fixed"], "cheap": ["echo"]}, {"main": "free"})
    service()
    assert hermes.chat("hi").ok().text == "ok\n"
    configured({"free": ["fixed"], "cheap": ["echo"]}, {"main": "cheap"})
    assert home_socket.ask(hermes.home, "POST", "/reload")[0] == 200
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert home_socket.ask(hermes.home, "GET", "/status")[1]["model"] == "cheap"


# -- programs -------------------------------------------------------------------------------------

def ask(router, slot, **more):
    body = json.dumps({"messages": MESSAGES, **more})
    return router.request("POST", "/v1/chat/completions", body,
                          router.headers(**{"x-hermes-slot": slot}))


def test_a_program_that_names_its_work_need_not_name_a_model(router, up):
    router.start({"free": ["fixed"], "cheap": ["echo"]},
                 own={"slots": {"title": "cheap", "digest": "free"}})
    assert ask(router, "title").text == "echo: hello"
    assert ask(router, "digest").text == "ok"
    assert models(up) == ["echo", "fixed"]
    answer = ask(router, "title", stream=True)
    assert answer.whole and answer.text == "echo: hello"


def test_its_own_model_is_before_the_slots(router):
    router.start({"free": ["fixed"], "cheap": ["echo"]}, own={"slots": {"title": "cheap"}})
    assert ask(router, "title", model="free").text == "ok"


@pytest.mark.parametrize("slot", ["nothing", "", "main"])
def test_a_slot_that_nobody_filled_is_no_model(router, up, slot):
    router.start({"free": ["echo"]}, own={"slots": {"title": "free"}})
    answer = ask(router, slot)
    assert answer.status == 400 and "names no model" in answer.error["message"]
    assert not up.requests


def test_what_a_slot_cost_is_told_by_its_name(router, hermes):
    router.start({"free": ["echo"]}, own={"slots": {"digest": "free"}})
    calls = [ask(router, "digest").headers["x-litellm-call-id"] for _ in range(2)]
    assert all(home_socket_has(router, call) for call in calls)
    told = json.loads(hermes.run("cost", "--by", "slot", "--json").ok().text)
    assert [(one["name"], one["calls"]) for one in told["sums"]] == [("digest", 2)]


def home_socket_has(router, call):
    return router.up.wait_for(
        lambda: home_socket.ask(router.hermes.home, "GET", f"/calls/{call}")[0] == 200, 60)


def test_a_budget_of_a_slot_holds_without_a_model_too(router, up):
    priced = router.deployment("echo", input_cost_per_token=1, output_cost_per_token=1)
    router.start({"free": [priced]}, own={
        "slots": {"digest": "free"},
        "budgets": [{"scope": "slot", "match": "digest", "max": 0.01, "period": "day"}]})
    answer = ask(router, "digest")
    assert answer.status == 400 and answer.headers["x-hermes-budget"] == "slot:digest"
    assert not up.requests


# -- what is said of the file ---------------------------------------------------------------------

def test_check_tells_names_that_lead_nowhere(hermes, configured):
    """What would stop the start is an error of the check, with its line."""
    configured({"free": ["echo"]}, {"main": "fre"}, fallbacks=[{"free": ["nowhere"]}])
    result = check(hermes)
    assert result.code == 1 and "2 errors" in result.text
    assert re.search(r'config.yaml:\d+: router.slots.main: there is no model "fre" '
                     r'\(did you mean "free"\?\)', result.text)
    assert re.search(r'config.yaml:\d+: router_settings.fallbacks: there is no model "nowhere"',
                     result.text)
    assert "there is no model" in hermes.chat("hi").notes


def test_check_says_which_slots_have_no_work_here(hermes, configured):
    configured({"free": ["echo"]}, {"main": "free", "session_search": "free", "mine": "free"})
    result = check(hermes).ok()
    notes = [line for line in result.text.splitlines() if line.startswith("note:")]
    assert len(notes) == 1
    assert "router.slots.session_search: this version does no such work" in notes[0]
    assert "0 errors, 1 other finding" in result.text


def test_the_slots_of_a_hermes_agent_are_read(router, hermes, up):
    """Where they lead to what the list has; another provider's model is told of and left out."""
    auxiliary = {"title_generation": {"provider": "auto", "model": "cheap"},
                 "compression": {"provider": "openai", "model": "cheap"},
                 "vision": {"provider": "google", "model": "cheap"},
                 "approval": {"model": "elsewhere"},
                 "web_extract": {"model": ""}}
    config = router.config({"free": ["fixed"], "cheap": ["echo"]})
    config["auxiliary"] = auxiliary
    hermes.put("router.yaml", json.dumps(config, indent=1))
    router.restart()
    assert [ask(router, slot).status for slot in
            ("title", "compression", "vision", "approval", "web_extract")] == \
        [200, 200, 400, 400, 400]
    text = check(hermes, hermes.home / "router.yaml").ok().text
    assert "auxiliary.vision: not used: that name is another provider's model here" in text
    assert "auxiliary.approval: not used: there is no such model in model_list" in text
    assert "auxiliary.title" not in text and "auxiliary.compression" not in text


def test_the_owners_slot_is_before_a_hermes_agents(router, hermes):
    config = router.config({"free": ["fixed"], "cheap": ["echo"]}, own={"slots": {"title": "free"}})
    config["auxiliary"] = {"title_generation": {"model": "cheap"}}
    hermes.put("router.yaml", json.dumps(config, indent=1))
    router.restart()
    assert ask(router, "title").text == "ok"


# -- the agent's own budget -----------------------------------------------------------------------

def refused_by(hermes, up, budget, **prices):
    router = Router(hermes, up)
    config = router.config({"free": [router.deployment("echo", **prices)]},
                           own={"port": 0, "budgets": [budget]})
    del config["general_settings"]
    config["model"] = {"default": "free"}
    hermes.put("config.yaml", json.dumps(config, indent=1))
    result = hermes.chat("hi")
    assert result.code == 1 and not up.requests
    assert "top up" not in result.notes
    return result.notes


PRICED = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.001}


def test_a_budget_that_is_used_up_says_what_the_owner_can_do(hermes, up):
    notes = refused_by(hermes, up, {"name": "a day", "max": 0.001, "period": "day"}, **PRICED)
    assert re.search(r'budget "a day" .*resets at .*; raise it in the configuration, or wait until '
                     r'then', notes), notes


def test_a_budget_that_never_resets_is_not_waited_for(hermes, up):
    notes = refused_by(hermes, up, {"name": "ever", "max": 0.001, "period": "total"}, **PRICED)
    assert re.search(r'budget "ever" .*the budget is your own, in the configuration', notes), notes
    assert "wait" not in notes


def test_a_model_without_a_price_says_which_to_set(hermes, up):
    notes = refused_by(hermes, up, {"name": "a day", "max": 1, "period": "day"})
    assert "input_cost_per_token" in notes and "wait until" not in notes
    assert MASTER_KEY not in notes
