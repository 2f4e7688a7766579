"""The ledger: what every attempt cost, also when the router is killed, and `hermes cost`."""

import concurrent.futures
import contextlib
import csv
import datetime
import decimal
import http.client
import io
import json
import random
import re
import sqlite3
import time

import pytest
from ports import free_port

BOUND = decimal.Decimal("0.001")  # dollars, of a call with max_tokens 100
COST = decimal.Decimal("0.00014")  # what the fake says of an answer
RESERVED = 'hermes_router_budget_reserved_dollars{budget="max_budget",scope="router",match="*"}'


def priced(router, scenario="echo", **more):
    return router.deployment(scenario, input_cost_per_token=0, output_cost_per_token=1e-5, **more)


def cost(hermes, *words):
    """What `hermes cost` says, as programs read it."""
    return json.loads(hermes.run("cost", *words, "--json").ok().text, parse_float=decimal.Decimal)


def settled(hermes, calls):
    """The costs, as soon as so many calls are in the database."""
    until = time.monotonic() + 30
    while (found := cost(hermes))["all"]["calls"] < calls:
        assert time.monotonic() < until, found["all"]
        time.sleep(0.05)
    assert found["all"]["calls"] == calls
    return found


def spent(router):
    """What the budget of the whole router says, in dollars."""
    text = router.request("GET", "/metrics").body.decode()
    line = next(line for line in text.splitlines()
                if line.startswith('hermes_router_budget_spent_dollars{budget="max_budget"'))
    return decimal.Decimal(line.rpartition(" ")[2])


def sums(hermes):
    """Picodollars of all rows, of what their days say, and of what the budgets say."""
    path, = hermes.databases()
    script = ("print(*(db.execute(f'SELECT coalesce(sum({column}), 0) FROM {table}').fetchone()[0] "
              "for column, table in [('cost_pico', 'ledger'), ('cost_pico', 'ledger_days'), "
              "('spent_pico', 'budgets'), ('1', 'ledger')]))")
    return [int(word) for word in hermes.sql(script, path).split()]


def known(hermes):
    """The ids of all calls that have a row."""
    path, = hermes.databases()
    script = "print(*(row[0] for row in db.execute('SELECT call FROM ledger')))"
    return set(hermes.sql(script, path).split())


# -- rows -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", [False, True])
def test_each_call_has_a_row(hermes, router, stream):
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1})
    answer = router.ask(stream=stream, max_tokens=100, headers={
        "x-hermes-slot": "title", "x-hermes-session": "s1", "x-hermes-job": "j1"})
    row, = settled(hermes, 1)["dearest"]
    assert row["call"] == answer.headers["x-litellm-call-id"]
    assert (row["slot"], row["session"], row["job"], row["key"]) == ("title", "s1", "j1", "master")
    assert (row["asked"], row["provider"], row["status"]) == ("free", "openai", 200)
    assert row["prompt_tokens"] == 2 and row["completion_tokens"] == 3
    assert row["streamed"] is stream and row["error"] == ""
    assert row["cost_usd"] == COST and row["cost_source"] == "provider"


def test_each_attempt_has_a_row(hermes, router):
    router.start({"free": [priced(router, "500-html")], "free2": [priced(router)]},
                 litellm={"max_budget": 1}, fallbacks=[{"free": ["free2"]}])
    answer = router.ask(max_tokens=100)
    settled(hermes, 1)
    call = cost(hermes, "why", answer.headers["x-litellm-call-id"])
    first, second = call["attempts"]
    assert (first["status"], first["cost_usd"], first["cost_source"]) == (500, 0, "none")
    assert first["error"] == "InternalServerError"
    assert (second["status"], second["reason"], second["cost_usd"]) == (200, "fallback", COST)
    assert call["cost_usd"] == COST


def test_why_tells_fallback_and_price(hermes, router):
    router.start({"free": [priced(router, "500-html")], "free2": [priced(router)]},
                 fallbacks=[{"free": ["free2"]}])
    answer = router.ask(max_tokens=100)
    call = cost(hermes, "why", answer.headers["x-litellm-call-id"])
    said = "\n".join(call["reasons"])
    assert "free was asked for and could not answer, so free2 was asked instead" in said
    assert "it took 2 attempts" in said and "InternalServerError" in said
    assert "$10.00 per million completion tokens" in said
    router.stop()
    assert "per million" not in "".join(cost(hermes, "why", call["call"])["reasons"])


def test_a_refused_call_has_no_row(hermes, router):
    """It never went out."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": 0.0001})
    assert router.ask(max_tokens=100).status == 400
    router.stop()
    assert cost(hermes)["all"]["attempts"] == 0


def test_a_call_counts_whoever_was_passed_over(hermes, router, up):
    """A dear one that does not fit is not asked: the one in its place is the first that was."""
    router.start({"dear": [priced(router)], "free": [router.deployment(
        "fixed", input_cost_per_token=0, output_cost_per_token=0)]},
                 litellm={"max_budget": 0.0001}, fallbacks=[{"dear": ["free"]}])
    call = router.ask("dear", max_tokens=100).headers["x-litellm-call-id"]
    row, = router.attempts(call)
    assert (row["attempt"], row["reason"]) == (1, "fallback")
    router.process.wait_for_output(b"router.request", "err")
    router.stop()
    log = router.process.err.decode()
    assert re.search(r'router\.passed_over .*failed=BudgetExceededError .*max_budget', log), log
    assert " attempt=1 " in log and " attempts=1 " in log
    sums = cost(hermes)["all"]
    assert (sums["calls"], sums["attempts"]) == (1, 1)


def test_budgets_are_told_before_any_call_and_when_nothing_runs(hermes, router):
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1, "budget_duration": "30d"})
    router.attempts(router.ask(max_tokens=100).headers["x-litellm-call-id"])

    def told(*more):
        budget, = json.loads(hermes.run("cost", "--json", *more).ok().text)["budgets"]
        return budget["account"], budget["cap_usd"], budget["spent_usd"]

    wanted = ("max_budget", 1, float(COST))
    assert told() == wanted
    router.stop()
    router.restart()
    assert told() == wanted
    cap = 'hermes_router_budget_cap_dollars{budget="max_budget",scope="router",match="*"}'
    assert router.metrics()[cap] == 1
    router.stop()
    assert told("--config", hermes.home / "router.yaml") == wanted


def test_who_left_stands_in_the_ledger(hermes, router, up):
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 1})
    with router.open(max_tokens=100):
        assert up.wait_for(lambda: len(up.requests) == 1)
    row, = settled(hermes, 1)["dearest"]
    assert row["cancelled"] and row["cost_usd"] == BOUND and row["cost_source"] == "bound"


def test_calls_of_one_name_are_several(hermes, router, up):
    """A client may say the same id each time, and at once: each call is paid by itself."""
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 1})
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(router.ask, max_tokens=100, headers={"x-litellm-call-id": "mine"})
                 for _ in range(20)]
        assert up.wait_for(lambda: len(up.requests) == 20)
        up.release.set()
        assert {call.result().headers["x-litellm-call-id"] for call in calls} == {"mine"}
    router.stop()
    assert cost(hermes)["all"]["calls"] == 20
    assert sums(hermes) == [int(20 * COST * 10**12)] * 3 + [20]


def test_orphans_of_one_name_are_several(hermes, router, up):
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 1})
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(router.open(max_tokens=100, headers={"x-litellm-call-id": "mine"}))
        assert up.wait_for(lambda: len(up.requests) == 5)
        killed(router)
    router.restart()
    assert settled(hermes, 5)["all"]["cost_usd"] == 5 * BOUND
    assert spent(router) == 5 * BOUND


def test_slots_that_clients_make_up_do_not_fill_the_days(hermes, router):
    """The sums of days are kept for ever: beyond some names a day, all others are one."""
    router.start({"free": ["instant"]}, own={"slots": {"digest": "free"}})
    names = [f"made-up-{i}-{'y' * 200}" for i in range(200)] + ["digest", "title", "made-up-0"]
    for name in names:
        answer = router.ask(headers={"x-hermes-slot": name})
        assert answer.status == 200
    router.attempts(answer.headers["x-litellm-call-id"])
    with contextlib.closing(sqlite3.connect(f"file:{hermes.home}/state.db?mode=ro",
                                            uri=True)) as db:
        calls = dict(db.execute("SELECT slot, sum(calls) FROM ledger_days GROUP BY slot"))
    assert sum(calls.values()) == len(names), "none is lost"
    assert len(calls) <= 2 * 64 + 5 and calls["other"] >= 200 - 2 * 64, "midnight may have passed"
    assert calls["digest"] == calls["title"] == 1, "what is configured keeps its name"


def test_models_that_clients_make_up_do_not_fill_the_days(hermes, router):
    """Behind a wildcard, with a provider that takes any name and says it back."""
    router.start({"any/*": [router.deployment("*")]})
    for i in range(600):
        answer = router.ask(f"any/instant:{i}")
        assert answer.status == 200
    router.attempts(answer.headers["x-litellm-call-id"])
    with contextlib.closing(sqlite3.connect(f"file:{hermes.home}/state.db?mode=ro",
                                            uri=True)) as db:
        calls = dict(db.execute("SELECT model, sum(calls) FROM ledger_days GROUP BY model"))
    assert sum(calls.values()) == 600 and len(calls) <= 2 * 256 + 1, "midnight may have passed"
    assert calls["*"] >= 600 - 2 * 256 and calls["instant:0"] == 1


def test_calls_without_a_budget_are_counted_too(hermes, router):
    router.start({"free": ["echo"]})
    assert router.ask().status == 200
    assert settled(hermes, 1)["all"]["cost_usd"] == COST


# -- hermes cost ----------------------------------------------------------------------------------

@pytest.fixture(params=["owner", "alone"])
def some_costs(request, hermes, router):
    """Five calls of two models; asked of the router that runs, or of the home that it left."""
    router.start({"free": [priced(router)], "other": [priced(router, "fixed")]})
    ids = [router.ask(model, headers={"x-hermes-slot": slot}).headers["x-litellm-call-id"]
           for model, slot in [("free", "main")] * 3 + [("other", "title")] * 2]
    settled(hermes, 5)
    if request.param == "alone":
        router.stop()
    return ids


def test_cost_tells_sums(hermes, some_costs):
    found = cost(hermes)
    for total in ("today", "month", "all"):
        assert found[total]["calls"] == 5 and found[total]["cost_usd"] == 5 * COST
    by_slot = {sum_["name"]: sum_["calls"] for sum_ in cost(hermes, "--by", "slot")["sums"]}
    assert by_slot == {"main": 3, "title": 2}
    by_model = {sum_["name"]: sum_["cost_usd"] for sum_ in found["sums"]}
    assert by_model == {"echo": 3 * COST, "fixed": 2 * COST}
    assert {row["call"] for row in found["dearest"]} <= set(some_costs)


def test_cost_is_a_table_for_people(hermes, some_costs):
    text = hermes.run("cost").ok().text
    assert "$0.0007" in text and "5 calls" in text and "By model, 30 days" in text
    assert any(call[:12] in text for call in some_costs)


def test_cost_is_a_table_for_spreadsheets(hermes, some_costs):
    text = hermes.run("cost", "--csv", "--by", "slot").ok().text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["slot"]: decimal.Decimal(row["cost_usd"]) for row in rows} == {
        "main": 3 * COST, "title": 2 * COST}


def test_cost_tells_why(hermes, some_costs):
    """The beginning of an id is enough."""
    call = some_costs[0]
    assert cost(hermes, "why", call[:13])["call"] == call
    text = hermes.run("cost", "why", call).ok().text
    assert call in text and "attempt 1" in text and "$0.00014" in text


def test_cost_does_not_know_every_call(hermes, some_costs):
    hermes.run("cost", "why", "no-such-call").failed("no such call")


def test_cost_knows_what_ended_a_moment_ago(hermes, router):
    """It is in the journal alone then, also where nobody runs any more."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1})
    for calls in range(1, 6):
        answer = router.ask(max_tokens=100)
        assert cost(hermes)["all"]["calls"] == calls
        assert cost(hermes, "why", answer.headers["x-litellm-call-id"])["cost_usd"] == COST
    router.ask(max_tokens=100)
    killed(router)
    assert cost(hermes)["all"]["cost_usd"] == 6 * COST


def test_cost_charges_what_a_kill_left_open(hermes, router, up):
    """Nobody runs who might still settle it."""
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 1})
    with router.open(max_tokens=100):
        assert up.wait_for(lambda: len(up.requests) == 1)
        killed(router)
    for _ in range(2):
        row, = cost(hermes)["dearest"]
        assert row["cost_usd"] == BOUND and row["error"] == "interrupted"
    router.restart()
    assert router.ask("none").status == 400
    assert settled(hermes, 1)["all"]["cost_usd"] == BOUND


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("own,litellm,zone", [
    ({"timezone": "Pacific/Kiritimati"}, {}, "Pacific/Kiritimati"),
    ({}, {"timezone": "Pacific/Pago_Pago"}, "Pacific/Pago_Pago"), ({}, {}, "UTC")])
def test_days_are_those_of_the_budgets(hermes, router, own, litellm, zone, running):
    """A day apart: of the two one is not in the day that it is in UTC."""
    router.start({"free": [priced(router)]}, own=own, litellm={"max_budget": 1, **litellm})
    call = router.ask(max_tokens=100).headers["x-litellm-call-id"]
    hours = {"Pacific/Kiritimati": 14, "Pacific/Pago_Pago": -11, "UTC": 0}[zone]
    if not running:
        router.stop()
    config = ("--config", hermes.home / "router.yaml")
    found = cost(hermes, *config)
    assert found["zone"] == zone and found["today"]["calls"] == 1
    row, = found["dearest"]
    local = datetime.datetime.fromtimestamp(row["started_ms"] / 1000 + hours * 3600,
                                            datetime.timezone.utc)
    assert row["started"] == f"{local:%Y-%m-%d %H:%M}" and found["date"] == f"{local:%Y-%m-%d}"
    text = hermes.run("cost", *config).ok().text
    assert re.search(rf"^zone +{zone}$", text, re.M) and row["started"] in text
    assert f"{row['started']} {zone}" in hermes.run("cost", "why", call, *config).ok().text


# -- across a restart -----------------------------------------------------------------------------

def test_a_restart_keeps_the_sums(hermes, router):
    router.start({"free": [priced(router)]}, litellm={"max_budget": 0.0012})
    assert [router.ask(max_tokens=100).status for _ in range(2)] == [200, 200]
    before = spent(router)
    router.stop()
    router.restart()
    assert router.ask(max_tokens=100).headers["x-hermes-max-tokens"] == "92"
    assert spent(router) == before + COST == 3 * COST


def test_a_reload_keeps_what_is_held(hermes, router, up):
    """The cap is another one from then on; what runs is held in it."""
    groups = {"free": [priced(router, "hold-first")]}
    router.start(groups, litellm={"max_budget": 1})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        call = pool.submit(router.ask, max_tokens=100)
        assert up.wait_for(lambda: len(up.requests) == 1)
        router.write(groups, litellm={"max_budget": 0.0011})
        router.process.signal(1)
        router.process.wait_for_output(b"reloaded", "err")
        assert router.ask(max_tokens=100).status == 400
        up.release.set()
        assert call.result().status == 200
    assert spent(router) == COST


def killed(router):
    router.process.signal(9)
    router.process.finish(20)


def test_a_kill_loses_no_settled_row(hermes, router):
    """Each was written down before its client had the last byte."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1})
    for _ in range(10):
        router.ask(max_tokens=100)
    killed(router)
    router.restart()
    assert settled(hermes, 10)["all"]["cost_usd"] == 10 * COST
    assert router.ask(max_tokens=100).status == 200
    assert spent(router) == 11 * COST


def lag(router):
    """Rows that are in the journal alone."""
    text = router.request("GET", "/metrics").body.decode()
    return int(re.search(r"^hermes_router_ledger_lag_rows (-?\d+)$", text, re.M)[1])


def test_the_lag_is_true_after_a_kill_and_a_question(hermes, router, up):
    router.start({"free": [priced(router)]})
    for _ in range(4):
        router.ask(max_tokens=100)
    killed(router)
    router.restart()
    assert lag(router) == 0
    router.ask(max_tokens=100)
    settled(hermes, 5)  # takes the row up before the router does
    assert up.wait_for(lambda: lag(router) == 0)
    time.sleep(1.5)
    assert lag(router) == 0


def test_an_end_that_does_not_wait_settles_what_runs(hermes, router, up):
    """The second signal: the calls are cut off, and charged."""
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 1})
    with router.open(max_tokens=100):
        assert up.wait_for(lambda: len(up.requests) == 1)
        router.process.signal(15)
        router.process.wait_for_output(b"stopping on", "err")
        router.process.signal(15)
        router.process.finish(20).exits(0)
    row, = cost(hermes)["dearest"]
    assert row["cancelled"] and row["cost_usd"] == BOUND and row["cost_source"] == "bound"


def test_an_orphan_is_charged_in_full(hermes, router, up):
    """Nobody will ever hear what a call cost that ran when the router was killed."""
    router.start({"free": [priced(router, "hold-first")]}, litellm={"max_budget": 0.0015})
    with router.open(max_tokens=100):
        assert up.wait_for(lambda: len(up.requests) == 1)
        killed(router)
    up.release.set()
    router.restart()
    row, = settled(hermes, 1)["dearest"]
    assert row["cost_usd"] == BOUND and row["cost_source"] == "unknown" and row["status"] == 0
    assert cost(hermes)["all"]["unsure"] == 1
    assert router.ask(max_tokens=100).headers["x-hermes-max-tokens"] == "50"


def test_the_first_call_after_a_kill_knows_what_was_spent(router):
    """It may come before the journal is read; then it waits for that."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": float(3 * COST) + 0.00005})
    for _ in range(3):
        assert router.ask(max_tokens=25).status == 200
        killed(router)
        router.restart()
    assert router.ask(max_tokens=100).status == 400


def charged(router, **ask):
    """The row of one call that fails."""
    answer = router.ask(max_tokens=100, **ask)
    row, = router.attempts(answer.headers["x-litellm-call-id"])
    assert decimal.Decimal(repr(row["cost_usd"])) == spent(router)
    return row


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario", ["200-limit", "200-limit-event", "stream-error-bare"])
def test_a_no_within_a_200_costs_nothing(router, scenario, stream):
    """The gateway had begun its answer before it knew that there would be none."""
    router.start({"free": [priced(router, scenario)]}, litellm={"max_budget": 1})
    row = charged(router, stream=stream)
    assert (row["status"], row["cost_usd"], row["cost_source"]) == (200, 0, "none")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario", ["choice-error", "504"])
def test_a_failure_that_is_no_refusal_costs_the_bound(router, scenario, stream):
    """Words had been written; or a gateway waited no longer for somebody who may have gone on."""
    router.start({"free": [priced(router, scenario)]}, litellm={"max_budget": 1})
    row = charged(router, stream=stream)
    assert (row["cost_usd"], row["cost_source"]) == (float(BOUND), "bound")


@pytest.mark.parametrize("scenario", ["500", "502", "503", "429"])
def test_a_refusal_costs_nothing(router, scenario):
    router.start({"free": [priced(router, scenario)]}, litellm={"max_budget": 1})
    row = charged(router)
    assert (row["cost_usd"], row["cost_source"]) == (0, "none")


@pytest.mark.parametrize("end", ["leaves", "cut"])
@pytest.mark.parametrize("scenario", ["running-usage", "201-cut"])
def test_what_a_stream_had_used_until_it_broke_is_no_bound(router, up, scenario, end):
    """Some say with every chunk what it was up to there; and 201 is as good a status as 200."""
    router.start({"free": [priced(router, scenario)]}, litellm={"max_budget": 1})
    with router.open(max_tokens=100) as sock:
        got = b""
        while b"one " not in got:
            got += sock.recv(65536)
        if end == "cut":
            up.release.set()
            while not got.endswith(b"\r\n0\r\n\r\n"):
                got += sock.recv(65536)
    call = re.search(rb"x-litellm-call-id: (\S+)", got).group(1).decode()
    row, = router.attempts(call)
    assert (row["cost_usd"], row["cost_source"]) == (float(BOUND), "bound")
    assert spent(router) == BOUND


def test_an_error_is_one_under_every_status_of_success(router):
    """Though the connection stays open, nobody waits for its end."""
    router.start({"free": [router.deployment("201-error", stream_timeout=30)], "cheap": ["echo"]},
                 fallbacks=[{"free": ["cheap"]}])
    answer = router.ask(stream=True)
    first, second = router.attempts(answer.headers["x-litellm-call-id"])
    assert (first["error"], second["error"]) == ("InternalServerError", "")


def test_an_orphan_behind_a_quick_failure_is_charged(hermes, router, up):
    """The first upstream refuses within the millisecond in which the second is asked."""
    router.start({"free": [{**priced(router), "api_base": f"http://127.0.0.1:{free_port()}/v1"}],
                  "cheap": [priced(router, "hold-first")]},
                 fallbacks=[{"free": ["cheap"]}], litellm={"max_budget": 1},
                 disable_cooldowns=True)
    calls = 20
    with contextlib.ExitStack() as stack:
        for i in range(calls):
            stack.enter_context(router.open(max_tokens=100))
            assert up.wait_for(lambda: len(up.requests) == i + 1)
        killed(router)
    up.release.set()
    router.restart()
    assert settled(hermes, calls)["all"]["cost_usd"] == calls * BOUND
    assert router.ask("cheap", max_tokens=100).status == 200
    assert spent(router) == calls * BOUND + COST


def test_the_cap_is_told_before_anybody_claims_it(router):
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1})
    assert router.ask(max_tokens=100).status == 200
    router.stop()
    router.restart()
    until = time.monotonic() + 30
    while not (told := [value for series, value in router.metrics().items()
                        if series.startswith("hermes_router_budget_cap_dollars")]):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert told == [1]


KINDS = ["echo", "comments", "no-usage", "500-html"]


def load(router, ended):
    """Calls until the router is gone; the ids of those that were answered."""
    answered = set()
    while not ended:
        with contextlib.suppress(OSError, http.client.HTTPException):
            stream = random.random() < 0.5
            answer = router.ask(stream=stream, max_tokens=100)
            if answer.status == 200 and (answer.whole if stream else not answer.cut):
                answered.add(answer.headers["x-litellm-call-id"])
    return answered


def kill_under_load(router, rounds):
    """Kills and restarts; the ids of the calls that were answered."""
    answered = set()
    for _ in range(rounds):
        ended = []
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(load, router, ended) for _ in range(8)]
            time.sleep(random.uniform(0.1, 1.5))
            killed(router)
            ended.append(True)
            answered.update(*(call.result() for call in calls))
        kill_at_start(router)
        router.restart()
    return answered


def kill_at_start(router):
    """While what the last one left is read, or before."""
    process = router.hermes.start("router", "--config", router.hermes.home / "router.yaml",
                                  "--port", "0")
    time.sleep(random.uniform(0, 0.3))
    process.signal(9)
    process.finish(20)


def test_kills_at_any_moment_leave_sums_that_agree(hermes, router, up):
    """The rows, their days and the budget say the same; no call that was answered is missing, and
    there is a row for all that the upstream was asked."""
    router.start({"free": [priced(router, kind) for kind in KINDS]}, litellm={"max_budget": 1000},
                 router={"disable_cooldowns": True, "num_retries": 2})
    answered = kill_under_load(router, 6)
    router.stop()
    router.restart()  # what was open is charged, whatever came of the last kill
    assert router.ask(max_tokens=100).status in (200, 500)
    router.stop()
    rows, days, budgets, count = sums(hermes)
    assert rows == days == budgets > 0
    assert answered and answered <= known(hermes)
    assert count >= len(up.requests)


def test_a_cap_holds_across_kills(hermes, router):
    """Most of the calls that are killed cost more than they would have."""
    router.start({"free": [priced(router), priced(router, "no-usage")]},
                 litellm={"max_budget": 0.05})
    kill_under_load(router, 4)
    ended = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = [pool.submit(load, router, ended) for _ in range(4)]
        until = time.monotonic() + 60
        while router.ask(max_tokens=100).status == 200:
            assert time.monotonic() < until
        ended.append(True)
        for call in calls:
            call.result()
    router.stop()
    rows, days, budgets, _ = sums(hermes)
    assert rows == days == budgets
    assert 49_000_000_000 < budgets <= 50_000_000_000


def test_whoever_leaves_at_any_moment_nothing_stays_held(hermes, router):
    """Before the reservation is on the disk, before the answer, in the middle of it. One call that
    stays to its end comes first: on a slow machine all others may leave before they are seen."""
    router.start({"free": [priced(router, kind) for kind in ("echo", "drip", "hang")],
                  "cheap": [priced(router)]}, litellm={"max_budget": 1000})
    assert router.ask(model="cheap", max_tokens=100).status == 200

    def leave(seconds):
        with router.open(max_tokens=100) as sock:
            sock.settimeout(seconds)
            with contextlib.suppress(OSError):
                sock.recv(100)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(leave, [random.choice((0.0001, 0.001, 0.01, 0.05, 0.2))
                              for _ in range(300)]))
    until = time.monotonic() + 60
    while reserved := router.metrics()[RESERVED]:
        assert time.monotonic() < until, reserved
    router.stop()
    rows, days, budgets, count = sums(hermes)
    assert rows == days == budgets and count > 0
    path, = hermes.databases()
    assert hermes.sql("print(db.execute('SELECT count(*) FROM reservations').fetchone()[0])",
                      path) == "0\n"
