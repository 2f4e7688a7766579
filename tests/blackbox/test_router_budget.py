"""Budgets: what a call can cost at most is held before it goes out, and no cap is ever passed.

The prices here make a call of 100 tokens cost at most a tenth of a cent, whatever its prompt; the
fake says of every answer that it cost 0.00014 dollars.
"""

import concurrent.futures
import contextlib
import json
import re
import socket
import sqlite3
import threading
import time

import pytest
from ports import free_port
from router_service import MASTER_KEY

BOUND = 0.001  # dollars, of a call with max_tokens 100
COST = 0.00014  # what the fake says of an answer
TOO_LITTLE = 0.0001  # buys ten tokens, which are not worth asking for
NAMED = re.compile(r'hermes_router_budget_(\w+)_dollars\{budget="([^"]+)",.*match="([^"]*)"\}')


def priced(router, scenario="echo", output=1e-5, **more):
    return router.deployment(scenario, input_cost_per_token=0, output_cost_per_token=output, **more)


def budgets(router):
    """{(name, match): {"cap", "spent", "reserved"}} in dollars."""
    found = {}
    for series, value in router.metrics().items():
        if match := NAMED.match(series):
            found.setdefault(match.group(2, 3), {})[match.group(1)] = value
    return found


def money(router, name="max_budget", match="*"):
    return budgets(router)[name, match]


def refused(answer, name):
    """A refusal in LiteLLM's shape that says which budget and when it begins anew."""
    assert answer.status == 400 and answer.error["type"] == "budget_exceeded", answer.body
    assert answer.error["code"] == "400"
    assert f'budget "{name}"' in answer.error["message"]
    assert answer.headers["x-hermes-budget"] == name
    return answer.error["message"]


class Crowd:
    """Many calls at once, and somebody who looks at the budget all the while."""

    def __init__(self, router, count, **ask):
        self.router, self.seen, self.over = router, [], threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(count + 1)
        self.answers = [self.pool.submit(router.ask, **ask) for _ in range(count)]
        self.watch = self.pool.submit(self.look)

    def look(self):
        while not self.over.is_set():
            self.seen += [(b.get("spent", 0) + b.get("reserved", 0), b["cap"])
                          for b in budgets(self.router).values()]

    def ended(self):
        return [a for a in self.answers if a.done()]

    def finish(self):
        answers = [a.result() for a in self.answers]
        self.over.set()
        self.watch.result()
        self.pool.shutdown()
        return answers


CAP = 37 * BOUND + TOO_LITTLE


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("where,name", [
    ({"litellm": {"max_budget": CAP}}, "max_budget"),
    ({"own": {"budgets": [{"name": "mine", "max": CAP, "period": "day"}]}}, "mine")])
def test_of_200_calls_as_many_pass_as_fit(router, up, where, name, stream):
    """A cap that is only read before a call lets all of them through. The caller has the master
    key, which is no exception."""
    router.start({"free": [priced(router, "hold-first")]}, **where)
    crowd = Crowd(router, 200, max_tokens=100, stream=stream)
    assert up.wait_for(lambda: len(crowd.ended()) == 163 and up.count("hold-first") == 37, 60)
    held = money(router, name)
    assert held["reserved"] == pytest.approx(37 * BOUND) and held["spent"] == 0
    up.release.set()
    answers = crowd.finish()
    passed = [a for a in answers if a.status == 200]
    for answer in answers:
        assert answer.status == 200 or refused(answer, name)
    assert len(passed) == 37 == len(up.requests)
    assert all(a.text.startswith("echo") for a in passed)
    left = money(router, name)
    assert left["reserved"] == 0 and left["spent"] == pytest.approx(37 * COST)
    assert crowd.seen and all(used <= cap + 1e-12 for used, cap in crowd.seen)
    assert router.metrics()['hermes_router_refused_total{reason="budget"}'] == 163


def test_a_kill_amid_the_200_forgets_nothing(hermes, router, up):
    """What was settled counts as it was, what was let in counts in full, and there is no room."""
    router.start({"quick": [priced(router)], "free": [priced(router, "hold-first")]},
                 litellm={"max_budget": 5 * COST + CAP})
    for _ in range(5):
        assert router.ask("quick", max_tokens=100).status == 200
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(router.open(max_tokens=100))
        assert up.wait_for(lambda: up.count("hold-first") == 37 and router.metrics().get(
            'hermes_router_refused_total{reason="budget"}') == 163, 60)
        router.kill()
    up.release.set()
    router.restart()
    refused(router.ask("quick", max_tokens=100), "max_budget")
    assert money(router)["spent"] == pytest.approx(5 * COST + 37 * BOUND)
    found = json.loads(hermes.run("cost", "--json").ok().text)["all"]
    assert (found["calls"], found["unsure"]) == (42, 37)
    assert found["cost_usd"] == pytest.approx(5 * COST + 37 * BOUND)


def test_a_refusal_names_the_budget_and_its_reset(router, up):
    router.start({"free": [priced(router)]},
                 own={"budgets": [{"name": "daily", "max": TOO_LITTLE, "period": "day"}]})
    answer = router.ask(max_tokens=100)
    assert re.search(r"\$0\.0001 .*day.*resets at 20\d\d-\d\d-\d\d", refused(answer, "daily"))
    assert 0 < int(answer.headers["retry-after"]) <= 86400
    assert not up.requests


def test_a_budget_without_a_period_never_resets(router):
    router.start({"free": [priced(router)]}, litellm={"max_budget": TOO_LITTLE})
    answer = router.ask(max_tokens=100)
    assert "does not reset" in refused(answer, "max_budget")
    assert "retry-after" not in answer.headers


def test_what_comes_back_is_room_for_others(router):
    """Held is the most that a call can cost, spent is what it did: with room for one call at a
    time, seven pass one after another."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": BOUND + 6 * COST})
    for _ in range(7):
        assert "x-hermes-max-tokens" not in router.ask(max_tokens=100).headers
    assert money(router)["spent"] == pytest.approx(7 * COST)
    assert int(router.ask(max_tokens=100).headers["x-hermes-max-tokens"]) == 86


@pytest.mark.parametrize("asked,member", [
    ({"max_tokens": 100}, "max_tokens"), ({}, "max_tokens"),
    ({"max_completion_tokens": 100}, "max_completion_tokens")])
@pytest.mark.parametrize("stream", [False, True])
def test_max_tokens_is_lowered_to_what_is_left(router, up, asked, member, stream):
    router.start({"free": [priced(router)]}, litellm={"max_budget": BOUND / 2})
    answer = router.ask(stream=stream, **asked)
    assert answer.status == 200 and answer.headers["x-hermes-max-tokens"] == "50"
    assert up.requests[0].json[member] == 50


@pytest.mark.parametrize("model,asked,sent", [
    ("gpt-5-mini", {}, {"max_completion_tokens": 50}),
    ("o4-mini", {}, {"max_completion_tokens": 50}),
    ("gpt-5-mini", {"max_completion_tokens": 100}, {"max_completion_tokens": 50}),
    ("gpt-5-mini", {"max_tokens": 100}, {"max_tokens": 50}),
    ("gpt-5-chat-latest", {}, {"max_tokens": 50}), ("gpt-4o", {}, {"max_tokens": 50})])
def test_a_bound_has_the_name_that_the_model_knows(router, up, model, asked, sent):
    """OpenAI's reasoning models refuse max_tokens. What the client wrote keeps its name."""
    router.start({"free": [priced(router, model)]}, litellm={"max_budget": BOUND / 2})
    answer = router.ask(**asked)
    if answer.status == 400:
        assert "max_tokens" in asked and "max_completion_tokens" in answer.error["message"]
    found = {name: value for name, value in up.requests[0].json.items() if "tokens" in name}
    assert found == sent
    assert answer.status == 200 or "max_tokens" in asked, answer.body


@pytest.mark.parametrize("asked", [{"n": 2**32 + 1}, {"max_tokens": 10**9},
                                   {"max_tokens": 10**9, "n": 2**32 + 1},
                                   {"max_tokens": 2**63 - 1, "n": 2**63 - 1}])
def test_a_call_beyond_all_money_is_refused_as_any_that_is_too_dear(router, up, asked):
    router.start({"free": [priced(router)]}, litellm={"max_budget": TOO_LITTLE})
    refused(router.ask(**asked), "max_budget")
    assert not up.requests


def test_a_bound_that_is_added_is_paid_for_as_well(router, up):
    """It makes the request longer, and where its bytes cost something the rest must still fit."""
    dear = router.deployment("echo", input_cost_per_token=3e-6, output_cost_per_token=15e-6)
    router.start({"free": [dear]}, litellm={"max_budget": 0.05})
    for asked in ({}, {"temperature": 0.5}, {"user": "somebody"}):
        answer = router.ask(**asked)
        assert answer.status == 200, answer.body
        assert 2000 < int(answer.headers["x-hermes-max-tokens"]) < 3334


@pytest.mark.parametrize("params", [{"n": 8}, {"extra_body": {"n": 8}}])
def test_answers_that_the_configuration_asks_for_are_held(router, up, params):
    """Eight of them are billed, though the client asked for one."""
    router.start({"free": [priced(router, **params)]}, litellm={"max_budget": 4 * BOUND})
    answer = router.ask(max_tokens=100)
    assert answer.status == 200, answer.body
    assert answer.headers["x-hermes-max-tokens"] == "50"
    assert up.requests[0].json["n"] == 8


def test_more_budgets_than_can_be_held_are_not_passed_over(router, up):
    rules = [{"name": f"b{i}", "max": 1 if i < 16 else TOO_LITTLE, "period": "day"}
             for i in range(17)]
    router.start({"free": [priced(router)]}, own={"budgets": rules})
    answer = router.ask(max_tokens=100)
    assert answer.status == 400 and "more budgets apply" in answer.error["message"], answer.body
    assert not up.requests


def test_a_call_that_fits_is_not_touched(router, up):
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1})
    assert "x-hermes-max-tokens" not in router.ask(max_tokens=100).headers
    assert up.requests[0].json["max_tokens"] == 100


def test_a_call_without_a_price_is_refused_under_a_cap(router, up):
    router.start({"free": ["echo"]}, own={"budgets": [
        {"name": "wide", "max": 9}, {"name": "tight", "max": 1, "period": "month"}]})
    answer = router.ask(max_tokens=100)
    message = refused(answer, "tight")
    assert "input_cost_per_token" in message and re.search(r"resets at 20\d\d-\d\d-01", message)
    assert "retry-after" not in answer.headers  # it would be refused again
    assert not up.requests


def test_a_call_without_a_bound_is_refused_under_a_cap(router, up):
    """It reads something of a size that nobody here knows."""
    router.start({"free": [{**priced(router), "input_cost_per_token": 1e-6}]},
                 litellm={"max_budget": 1})
    answer = router.ask(max_tokens=100, messages=[{"role": "user", "content": [
        {"type": "file", "file": {"file_id": "somewhere"}}]}])
    message = refused(answer, "max_budget")
    assert "has no upper bound" in message and "does not reset" in message
    assert not up.requests


DEARER = [{"models": ["vendor/dear"]}, {"plugins": [{"id": "web"}]}, {"service_tier": "priority"},
          {"provider": {"sort": "throughput"}}, {"web_search_options": {}}, {"route": "fallback"},
          {"preset": "dear"}, {"speed": "fast"}, {"search_parameters": {"mode": "on"}},
          {"enable_search": True}, {"web_search": {"enable": True}}]


@pytest.mark.parametrize("dearer", DEARER, ids=lambda more: next(iter(more)))
@pytest.mark.parametrize("output", [1e-5, 0])
def test_who_asks_for_more_than_words_is_refused_under_a_cap(router, up, dearer, output):
    """Another model, a search, a faster lane: the price of the deployment says nothing of these,
    not even that of a free one."""
    router.start({"free": [priced(router, output=output)]}, litellm={"max_budget": 1})
    message = refused(router.ask(max_tokens=100, **dearer), "max_budget")
    assert f"{next(iter(dearer))} can make it cost more" in message
    assert not up.requests


FUNCTION = {"type": "function", "function": {
    "name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}}
TOOLS = [{"type": "web_search_preview"}, {"googleSearch": {}}, {"google_search": {}},
         {"google_search_retrieval": {}}, {"web_search": {}}, {**FUNCTION, "googleSearch": {}},
         "web_search", {}]


@pytest.mark.parametrize("tool", TOOLS, ids=str)
def test_a_tool_that_is_no_plain_function_is_refused_under_a_cap(router, up, tool):
    """Whatever it is called, and in whatever shape: it is the provider's, and billed by it."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1})
    message = refused(router.ask(max_tokens=100, tools=[FUNCTION, tool]), "max_budget")
    assert "tools[1] is not a plain function" in message
    assert ("router.tool_types" in message) == (tool == TOOLS[0])  # that has a type to be named
    assert not up.requests
    assert router.ask(max_tokens=100, tools=[FUNCTION]).status == 200


def test_a_type_of_tools_may_be_allowed_under_a_cap(router, up):
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1},
                 own={"tool_types": ["web_search_preview"]})
    router.ask(max_tokens=100, tools=[{"type": "web_search_preview"}])
    refused(router.ask(max_tokens=100, tools=[{"type": "web_search"}]), "max_budget")
    assert len(up.requests) == 1
    up.rejected.clear()  # the fake has no such tool


@pytest.mark.parametrize("strict", [False, True])
def test_a_member_that_nobody_knows_may_be_refused_under_a_cap(router, up, strict):
    """Providers know more than a router does, so it passes unless the owner says otherwise."""
    router.start({"free": [priced(router)], "other": [priced(router)]},
                 own={"strict_members": strict, "budgets": [
                     {"name": "mine", "scope": "model", "match": "free", "max": 1}]})
    router.ask(max_tokens=100, frobnicate=7)
    assert len(up.requests) == (0 if strict else 1)
    if strict:
        message = refused(router.ask(max_tokens=100, frobnicate=7), "mine")
        assert 'the member "frobnicate"' in message and "router.strict_members" in message
    assert router.ask(max_tokens=100, temperature=1, seed=3).status == 200
    asked = len(up.requests)
    router.ask("other", max_tokens=100, frobnicate=7)  # where no cap is, all pass
    assert len(up.requests) == asked + 1
    up.rejected.clear()  # the fake does not know it either


def test_sound_is_refused_under_a_cap(router, up):
    """Its tokens cost several times what those of words do, and no price here is theirs."""
    sound = [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]
    info = {"max_input_tokens": 1000, "max_tokens": 100}
    router.start({"free": [{**priced(router), "model_info": info}]}, litellm={"max_budget": 1})
    message = refused(router.ask(max_tokens=100, messages=sound), "max_budget")
    assert "input_audio can make it cost more" in message
    assert not up.requests


def test_who_asks_for_more_than_words_passes_where_that_is_allowed(router, up):
    """And without a cap. What it did cost is counted."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1}, own={"unpriced": "allow"})
    assert router.ask(max_tokens=100, provider={"sort": "price"}).status == 200
    assert money(router)["spent"] == pytest.approx(COST)
    assert up.requests[0].json["provider"] == {"sort": "price"}


def test_a_call_without_a_price_passes_where_that_is_allowed(router, up):
    """What the provider says that it cost is counted, and closes nothing before the cap is met."""
    router.start({"free": ["echo"]}, litellm={"max_budget": 1.5 * COST}, own={"unpriced": "allow"})
    assert [router.ask().status for _ in range(2)] == [200, 200]
    assert money(router)["spent"] == pytest.approx(2 * COST)
    refused(router.ask(), "max_budget")
    assert len(up.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_through_the_owners_own_key_costs_more_than_its_fee(router, stream):
    """OpenRouter's `cost` is a fee then; what the provider charges stands beside it."""
    router.start({"free": [priced(router, "byok:0.0008")]}, litellm={"max_budget": 1})
    assert router.ask(max_tokens=100, stream=stream).status == 200
    assert money(router)["spent"] == pytest.approx(0.00084)


def test_an_unbounded_call_is_bounded_by_its_budget(router, up):
    """Neither the caller nor the configuration says how long an answer may be."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": 0.002})
    assert router.ask().headers["x-hermes-max-tokens"] == "200"
    assert up.requests[0].json["max_tokens"] == 200


def test_an_unbounded_call_does_not_hold_the_whole_budget(router, up):
    """Nor asks for an answer that is longer than any model gives."""
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 100})
    with router.open(), router.open():
        assert up.wait_for(lambda: up.count("hold-first") == 2)
        assert money(router)["reserved"] == pytest.approx(2 * 8192e-5)
    assert [request.json["max_tokens"] for request in up.requests] == [8192, 8192]


def test_an_unbounded_call_is_refused_by_the_budget_it_does_not_fit(router):
    router.start({"free": [priced(router)]}, litellm={"max_budget": TOO_LITTLE})
    assert "this call may cost $0.00016" in refused(router.ask(), "max_budget")


@pytest.mark.parametrize("stream", [False, True])
def test_when_the_money_is_out_the_free_one_answers(router, up, stream):
    router.start({"dear": [priced(router)], "free": [priced(router, "fixed", output=0)]},
                 litellm={"max_budget": TOO_LITTLE}, fallbacks=[{"dear": ["free"]}])
    answer = router.ask("dear", stream=stream, max_tokens=100)
    assert answer.status == 200 and answer.text == "ok"
    assert answer.headers["x-litellm-attempted-fallbacks"] == "1"
    assert [r.model for r in up.requests] == ["fixed"]


def test_when_the_dear_one_does_not_fit_the_cheaper_one_answers(router, up):
    router.start({"dear": [priced(router, output=1e-3)], "cheap": [priced(router, "fixed")]},
                 litellm={"max_budget": 0.01}, fallbacks=[{"dear": ["cheap"]}])
    assert router.ask("dear", max_tokens=100).text == "ok"
    assert [r.model for r in up.requests] == ["fixed"]


def test_the_fallbacks_are_under_the_cap_as_well(router, up):
    """The first one failed for another reason, and the second is dear: the client hears of both."""
    router.start({"free": [priced(router, "500-html", output=0)], "dear": [priced(router)]},
                 litellm={"max_budget": TOO_LITTLE}, fallbacks=[{"free": ["dear"]}])
    answer = router.ask("free", max_tokens=100)
    assert answer.status == 500 and 'budget "max_budget"' in answer.error["message"]
    assert [r.model for r in up.requests] == ["500-html"]


def test_a_refusal_is_no_words_of_a_provider(router):
    """Neither of the one that was not asked, nor of the one that failed in its place."""
    router.start({"dear": [priced(router)], "free": [priced(router, "500-html", output=0)]},
                 litellm={"max_budget": TOO_LITTLE}, fallbacks=[{"dear": ["free"]}])
    message = refused(router.ask("dear", max_tokens=100), "max_budget")
    assert message.startswith('litellm.BudgetExceededError: budget "max_budget"')


def test_a_refusal_is_no_attempt(router, up):
    """In the log; nobody was asked."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": TOO_LITTLE})
    refused(router.ask(max_tokens=100), "max_budget")
    router.process.wait_for_output(b"router.request", "err")
    line, = [x for x in router.process.err.decode().splitlines() if "router.request" in x]
    assert " attempts=0 " in line and "failed=BudgetExceededError" in line, line
    assert up.requests == []


def test_the_budget_of_a_slot_is_of_that_slot(router):
    router.start({"free": [priced(router)]}, own={"budgets": [
        {"scope": "slot", "match": "title", "max": TOO_LITTLE}]})
    refused(router.ask(max_tokens=100, headers={"x-hermes-slot": "title"}), "slot:title")
    assert router.ask(max_tokens=100, headers={"x-hermes-slot": "main"}).status == 200
    assert router.ask(max_tokens=100).status == 200


def test_each_session_has_a_budget_of_its_own(router):
    router.start({"free": [priced(router)]}, own={"budgets": [
        {"scope": "session", "max": COST + TOO_LITTLE}]})
    first, second = ({"x-hermes-session": name} for name in ("one", "two"))
    assert router.ask(max_tokens=20, headers=first).status == 200
    refused(router.ask(max_tokens=20, headers=first), "session:one")
    assert router.ask(max_tokens=20, headers=second).status == 200


def test_more_sessions_than_there_is_memory_for(router):
    """What they have spent is in the ledger: a new one begins, and an old one does not anew."""
    own = {"budgets": [{"scope": "session", "match": "*", "max": 0.25},
                       {"scope": "slot", "match": "title", "max": 5, "period": "day"}]}
    router.start({"free": [priced(router)]}, own=own)
    answer = router.ask(max_tokens=100, headers={"x-hermes-session": "s-0"})
    router.attempts(answer.headers["x-litellm-call-id"])
    router.stop()
    with contextlib.closing(sqlite3.connect(router.hermes.home / "state.db")) as db:
        columns = "period_ms, resets_ms, spent_pico, overshoot_pico, closed_cap_pico"
        db.executemany(f"INSERT INTO budgets(account, {columns})"  # s-9... have nothing left
                       f" SELECT ?1, period_ms, resets_ms, iif(?1 >= 'session:s-9',"
                       f" 250000000000, spent_pico), 0, 0 FROM budgets"
                       f" WHERE account = 'session:s-0'",
                       [(f"session:s-{i}",) for i in range(1, 20000)])
        db.commit()
    router.restart()
    for session in ("s-5", "s-15555", "new", "newer", "s-0"):
        answer = router.ask(max_tokens=100, headers={"x-hermes-session": session})
        assert answer.status == 200, (session, answer.body)
    for session in ("s-9", "s-9999", "s-90"):
        refused(router.ask(max_tokens=100, headers={"x-hermes-session": session}),
                f"session:{session}")
    assert router.ask(max_tokens=100, headers={"x-hermes-slot": "title"}).status == 200


def test_the_key_and_the_model_have_budgets(router):
    router.start({"free": [priced(router)], "other": [priced(router)]}, own={"budgets": [
        {"scope": "model", "match": "free", "max": TOO_LITTLE},
        {"scope": "key", "match": "master", "max": BOUND}]})
    refused(router.ask("free", max_tokens=100), "model:free")
    assert router.ask("other", max_tokens=100).status == 200
    assert money(router, "key:master", "master")["spent"] == pytest.approx(COST)


@pytest.mark.parametrize("match,asked", [
    ("other", "other"), ("any/echo", "any/echo"), ("any/*", "any/echo"), ("any/echo", "short"),
    ("short", "any/echo"), ("short", "short"), ("free", "chain")])
def test_a_models_budget_is_found_by_every_name_of_it(router, match, asked):
    """An alias, a name under a wildcard, what a chain comes to: none of them is another model."""
    wildcard = {**priced(router), "model": "openai/*"}
    router.start({"free": [priced(router)], "any/*": [wildcard], "chain": ["500-html"]},
                 model_group_alias={"other": "free", "short": "any/echo"},
                 fallbacks=[{"chain": ["free"]}],
                 own={"budgets": [{"name": "mine", "scope": "model", "match": match,
                                   "max": TOO_LITTLE}]})
    answer = router.ask(asked, max_tokens=100)
    assert 'budget "mine"' in answer.error["message"] or asked == "chain"
    assert answer.status == (500 if asked == "chain" else 400), answer.body
    assert router.ask("any/fixed" if match != "any/*" else "free", max_tokens=100).status == 200


def test_a_budget_of_a_model_counts_without_a_list_as_well(hermes, router, up):
    """There every name is one."""
    hermes.put("config.yaml", json.dumps({
        "model": {"provider": "custom", "default": "echo", "base_url": up.base_url,
                  "api_key": up.api_key},
        "router": {"budgets": [{"scope": "model", "match": "echo", "max": TOO_LITTLE}]}}))
    hermes.chat("hi").failed('budget "model:echo"')
    assert not up.requests


def test_of_several_budgets_none_is_passed(router):
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1}, own={"budgets": [
        {"name": "small", "max": BOUND, "period": "day"}]})
    assert router.ask(max_tokens=100).status == 200
    assert money(router)["spent"] == money(router, "small")["spent"] == pytest.approx(COST)


def test_an_overshoot_is_counted_and_closes_the_budget(router):
    """The provider took more than the configured prices can come to: a bound that did not hold
    once holds nothing."""
    router.start({"free": [priced(router, output=1e-7)]}, litellm={"max_budget": 1})
    assert router.ask(max_tokens=100).status == 200
    assert money(router)["spent"] == pytest.approx(COST)
    assert "closed" in refused(router.ask(max_tokens=100), "max_budget")
    router.process.wait_for_output(b"overshoot", "err")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario,spent", [
    ("cost:0.0005", 0.0005), ("cost:1000000", 2e-5), ("tokens:7", 7e-5),
    ("tokens:1000000000000", BOUND), ("tokens:999999999999999999", BOUND)])
def test_a_cost_that_no_call_has_is_not_believed(router, scenario, spent, stream):
    """Else one mistake of a provider would close a budget for good. Its tokens may be true."""
    router.start({"free": [priced(router, scenario)]}, litellm={"max_budget": 1})
    assert router.ask(stream=stream, max_tokens=100).status == 200
    assert money(router)["spent"] == pytest.approx(spent)
    assert router.ask(stream=stream, max_tokens=100).status == 200


def overshot(router, **config):
    """A budget that the provider's own figure has closed."""
    router.start({"free": [priced(router, output=1e-7)]}, **config)
    assert router.ask(max_tokens=100).status == 200
    assert "closed" in refused(router.ask(max_tokens=100), "daily")


DAILY = {"own": {"budgets": [{"name": "daily", "max": 1, "period": "day"}],
                 "timezone": "Asia/Tokyo"}}


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_closed_budget_stays_closed_over_a_restart(hermes, router, up, end):
    """And hermes cost says so, whether a router runs or not."""
    overshot(router, **DAILY)
    for _ in range(2):
        if end == "stopped":
            router.stop()
        else:
            router.kill()
        told = hermes.run("cost", "--config", hermes.home / "router.yaml").ok().text
        assert re.search(r"^daily .*\$0\.00014 of \$1\.00, resets 20..-..-.. 00:00$", told, re.M)
        assert "CLOSED" in told and "$0.00013 more than its upper bound" in told
        router.restart()
        message = refused(router.ask(max_tokens=100), "daily")
        assert "is closed: a call cost $0.00013 more than its upper bound" in message
        assert "resets at 20" in message
    assert "CLOSED" in hermes.run("cost").ok().text
    status = json.loads(hermes.run("status", "--json").text)
    problem, = (p for p in status["problems"] if p["what"] == "budget")
    assert "daily is closed" in problem["text"] and problem["needs_attention"]
    assert len(up.requests) == 1


def test_beside_the_agent_a_closed_budget_wants_somebody(hermes, router, service):
    """A call cost more than its price can come to: the service is well otherwise."""
    config = router.config({"free": [priced(router, output=1e-7)]}, **DAILY)
    del config["general_settings"]
    config["router"]["port"] = 0
    hermes.put("config.yaml", json.dumps({**config, "model": {"default": "free"}}))
    running = service(env={"LITELLM_MASTER_KEY": MASTER_KEY})
    router.port = int(re.search(rb"router: http://127\.0\.0\.1:(\d+)", running.process.out)[1])
    assert hermes.run("status").code == 0
    assert router.ask(max_tokens=100).status == 200
    told = hermes.run("status")
    assert told.code == 4 and "PROBLEM   budget: the budget daily is closed" in told.text
    told = hermes.run("cost").ok().text
    assert "CLOSED" in told and "Asia/Tokyo" in told


@pytest.mark.parametrize("restart", [False, True])
def test_a_raised_cap_opens_a_closed_budget(hermes, router, restart):
    overshot(router, **DAILY)
    config = json.loads((hermes.home / "router.yaml").read_text())
    config["router"]["budgets"][0]["max"] = 2
    hermes.put("router.yaml", json.dumps(config))
    if restart:
        router.stop()
        router.restart()
    else:
        router.process.signal(1)
        router.process.wait_for_output(b"reloaded", "err")
    assert router.ask(max_tokens=100).status == 200
    assert "closed" in refused(router.ask(max_tokens=100), "daily")  # the price is still wrong


def test_a_call_that_was_refused_upstream_costs_nothing(router):
    router.start({"free": [priced(router, "500-html")]}, litellm={"max_budget": 1})
    assert router.ask(max_tokens=100).status == 500
    assert money(router) == {"cap": 1, "spent": 0, "reserved": 0}


@pytest.mark.parametrize("scenario", ["cut-before-headers", "cut-headers"])
def test_who_had_the_request_and_broke_off_may_have_worked(router, scenario):
    router.start({"free": [priced(router, scenario)]}, litellm={"max_budget": 1})
    assert router.ask(max_tokens=100).status == 500
    assert money(router)["spent"] == pytest.approx(BOUND)


def test_who_never_had_the_request_is_not_paid(router):
    """Nobody listens there, or somebody never takes the connection: neither who waits in vain nor
    who leaves uses up a budget by that."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    with contextlib.ExitStack() as stack:
        stack.callback(full.close)
        for _ in range(4):  # the queue is full then, and what follows is not answered
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        unheard = f"http://127.0.0.1:{free_port()}/v1"
        waits = {**priced(router), "api_base": f"http://127.0.0.1:{port}/v1"}
        router.start({"gone": [{**priced(router), "api_base": unheard}],
                      "full": [{**waits, "timeout": 0.5}], "left": [{**waits, "timeout": 600}]},
                     litellm={"max_budget": 1})
        assert router.ask("gone", max_tokens=100).status == 500
        assert router.ask("full", max_tokens=100).status == 408
        with router.open("left", max_tokens=100):
            assert router.up.wait_for(lambda: money(router)["reserved"] > 0)
        assert router.up.wait_for(lambda: money(router)["reserved"] == 0)
        assert money(router)["spent"] == 0


@pytest.mark.parametrize("scenario", ["cut-stream", "hold"])
def test_a_stream_without_usage_costs_all_that_was_held(router, up, scenario):
    """Nobody can know what it cost."""
    up.release.set()
    router.start({"free": [priced(router, scenario)]}, litellm={"max_budget": 1})
    router.ask(stream=True, max_tokens=100)
    assert money(router)["spent"] == pytest.approx(BOUND) and money(router)["reserved"] == 0


def test_who_leaves_pays_what_was_held(router, up):
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 1})
    with router.open(max_tokens=100):
        assert up.wait_for(lambda: up.count("hold-first") == 1)
        assert money(router)["reserved"] == pytest.approx(BOUND)
    assert up.wait_for(lambda: money(router)["reserved"] == 0)
    assert money(router)["spent"] == pytest.approx(BOUND)


def test_a_refused_call_uses_up_no_limit(router):
    """It was no request: the answer is the budget's, however many have been refused."""
    router.start({"free": [priced(router, rpm=2, tpm=500)]}, litellm={"max_budget": TOO_LITTLE},
                 own={"queue_timeout": "0"})
    for _ in range(6):
        refused(router.ask(max_tokens=100), "max_budget")


def test_a_refused_call_makes_room_while_its_fallback_answers(router, up):
    """In the queue of the model that could not be paid."""
    router.start({"dear": [priced(router, tpm=5000)], "free": [
        priced(router, "hold-first", output=0)]}, litellm={"max_budget": BOUND},
        fallbacks=[{"dear": ["free"]}])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(router.ask, "dear", max_tokens=4000, n=100)
        assert up.wait_for(lambda: up.count("hold-first") == 1)
        assert router.ask("dear", max_tokens=4000).headers["x-hermes-max-tokens"] == "100"
        up.release.set()
        assert first.result().status == 200


def test_a_budget_begins_anew_with_its_period(router, up):
    """What was spent before counts no more, and the account says so by itself."""
    router.start({"free": [priced(router)]},
                 litellm={"max_budget": BOUND + TOO_LITTLE, "budget_duration": "3s"})
    until = time.monotonic() + 60
    seen = []
    while not (seen.count(400) and seen[-1] == 200) and time.monotonic() < until:
        answer = router.ask(max_tokens=100)
        capped = int(answer.headers.get("x-hermes-max-tokens", 100))
        seen.append(200 if answer.status == 200 and capped == 100 else 400)
        if answer.status == 400:
            assert 0 <= int(answer.headers["retry-after"]) <= 3
    assert seen[0] == 200 and 400 in seen and seen[-1] == 200


def test_every_answer_is_held_for(router, up):
    """Of one prompt there may be several."""
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 1})
    with router.open(max_tokens=100, n=3):
        assert up.wait_for(lambda: up.count("hold-first") == 1)
        assert money(router)["reserved"] == pytest.approx(3 * BOUND)


def test_a_prompt_is_held_for_by_its_bytes(router, up):
    """A token is a byte at least."""
    deployment = router.deployment("hold-first", input_cost_per_token=1e-6, output_cost_per_token=0)
    router.start({"free": [deployment]}, litellm={"max_budget": 0.1})
    content = "word " * 10000
    with router.open(max_tokens=100, messages=[{"role": "user", "content": content}]):
        assert up.wait_for(lambda: up.count("hold-first") == 1)
        assert 0.05 < money(router)["reserved"] < 0.06
        message = refused(router.ask(max_tokens=100, messages=[
            {"role": "user", "content": content}]), "max_budget")
    assert "this call may cost" in message


@pytest.mark.parametrize("cap,status", [(0.01, 200), (0.0001, 400)])
def test_embeddings_are_under_the_cap_as_well(router, up, cap, status):
    """They have no answer that could be made shorter."""
    deployment = router.deployment("echo", input_cost_per_token=1e-6, output_cost_per_token=0)
    router.start({"free": [deployment]}, litellm={"max_budget": cap})
    answer = router.request("POST", "/v1/embeddings", json.dumps(
        {"model": "free", "input": "word " * 100}))
    assert answer.status == status, answer.body
    assert len(up.requests) == (status == 200)
    assert money(router)["reserved"] == 0
    if status == 400:
        refused(answer, "max_budget")
    else:
        assert "max_tokens" not in up.requests[0].json


def test_the_deployments_own_bound_counts(router, up):
    """Nobody needs max_tokens where the model cannot say more."""
    router.start({"free": [priced(router, "hold-first", model_info={"max_tokens": 50})]},
                 litellm={"max_budget": 1})
    with router.open():
        assert up.wait_for(lambda: up.count("hold-first") == 1)
        assert money(router)["reserved"] == pytest.approx(BOUND / 2)
    assert "max_tokens" not in up.requests[0].json


def agent(hermes, router, **more):
    """The same for the agent: `hermes chat` asks without a face."""
    config = router.config({"free": [priced(router)]}, **more)
    del config["general_settings"]
    hermes.put("config.yaml", json.dumps({**config, "model": {"default": "free"}}))


def test_the_agent_is_under_the_cap_as_well(hermes, router, up):
    agent(hermes, router, own={"budgets": [{"name": "pocket", "max": TOO_LITTLE,
                                            "period": "month"}]})
    hermes.chat("hi").failed('budget "pocket"', "resets at 20")
    assert not up.requests


def test_what_the_agent_spends_is_kept(hermes, router, up):
    """From one run to the next. Its answers may be as long as the budget bears."""
    agent(hermes, router, litellm={"max_budget": BOUND})
    for _ in range(2):
        hermes.chat("hi").ok()
    assert [request.json["max_tokens"] for request in up.requests] == [100, 86]


@pytest.mark.parametrize("name", ['a"b\\c', "x" * 500, "two words"])
def test_a_callers_own_name_cannot_break_the_sentence(router, name):
    """What does not fit stands there by its digest."""
    router.start({"free": [priced(router)]}, own={"budgets": [
        {"scope": "session", "max": TOO_LITTLE}]})
    answer = router.ask(max_tokens=100, headers={"x-hermes-session": name})
    account = answer.headers["x-hermes-budget"]
    refused(answer, account)
    assert account == f"session:{name}" or re.fullmatch("session:[0-9a-f]{64}", account)


def test_a_budget_that_nobody_could_know_is_a_start_error(hermes, router):
    """Said in words that say where."""
    for own in ({"budgets": [{"max": "much"}]},
                {"budgets": [{"max": 1, "scope": "key", "match": "somebody"}]},
                {"budgets": [{"scope": "slot"}]}, {"budgets": [{"max": 1, "period": "sometimes"}]}):
        config = router.config({"free": [priced(router)]}, own=own)
        hermes.put("router.yaml", json.dumps(config))
        hermes.run("router", "--config", hermes.home / "router.yaml", "--port", "0").failed(
            r"router\.budgets\[0\]")
