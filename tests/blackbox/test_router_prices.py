"""Prices that nobody configured: of the list that OpenRouter publishes, asked for when wanted.

The fake upstream stands in for OpenRouter, and its list is what a test says.
"""

import concurrent.futures
import json
import threading
import time

import pytest
from openai_upstream import Upstream
from router_chain import rows

SCENARIO = "tokens:40"  # says how many it used, not what that costs
MODEL = f"fake/{SCENARIO}"
OUT = 1e-5  # dollars a token: a hundred tokens are a tenth of a cent
SPENT = 'hermes_router_budget_spent_dollars{budget="max_budget",scope="router",match="*"}'


def unpriced(router, scenario=SCENARIO, **more):
    return {"model": f"openrouter/fake/{scenario}", "api_base": router.up.base_url,
            "api_key": router.up.api_key, **more}


def entry(model, prompt="0", completion="0.00001", **more):
    return {"id": model, "name": "Fake", "description": "with ]}\" inside", "context_length": 1000,
            "pricing": {"prompt": prompt, "completion": completion, "request": "0", "image": "0",
                        "web_search": "0.01", "internal_reasoning": "0", **more}}


def published(*entries):
    """As it is: among many others."""
    others = [entry(f"other/model-{number}", "0.5", "0.5") for number in range(300)]
    return 200, {"data": [*others[:150], *entries, *others[150:]]}


def publish(router, *entries):
    router.up.prices = lambda times: published(*entries or [entry(MODEL)])


def publish_slowly(router):
    """Two events: somebody asks for the list; a test lets it come."""
    begun, go = threading.Event(), threading.Event()

    def slowly(times):
        begun.set()
        go.wait(60)
        return published(entry(MODEL))
    router.up.prices = slowly
    return begun, go


def start(router, *models, cap=1, **more):
    return router.start({"free": list(models) or [unpriced(router)]},
                        litellm={"max_budget": cap} if cap else None, **more)


def spent(router):
    return router.metrics().get(SPENT)


def is_refused(answer):
    assert answer.status == 400, answer.body
    assert "its model's price is unknown" in answer.error["message"]


def facts(hermes, pattern):
    """The values that are remembered under such a name."""
    if not (hermes.home / "state.db").exists():
        return []
    code = """
import json
made = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
query = "SELECT CAST(value AS TEXT) FROM meta WHERE key LIKE ?"
print(json.dumps([row[0] for row in db.execute(query, sys.argv[2:])] if made else []))
"""
    return json.loads(hermes.sql(code, hermes.home / "state.db", pattern))


def kept(hermes):
    """The text that is kept of the list, or None."""
    return next(iter(facts(hermes, "fact:prices %")), None)


def paid(hermes):
    """What the owner knows the answers to be paid by."""
    value, = facts(hermes, "fact:tariff:free")
    return value


def wait_kept(hermes):
    until = time.monotonic() + 60
    while not (text := kept(hermes)):
        assert time.monotonic() < until
        time.sleep(0.02)
    return text


def age(hermes, hours):
    """As if the kept list had been asked for so long ago."""
    first, *lines = wait_kept(hermes).split("\n")
    then = int(first.split()[2]) - hours * 60 * 60 * 1000
    hermes.sql("""
db.execute("UPDATE meta SET value = ? WHERE key LIKE 'fact:prices %'", sys.argv[2:])
""", hermes.home / "state.db", "\n".join([f"prices 1 {then}", *lines]))


# -- what it is good for --------------------------------------------------------------------------

def test_a_call_under_a_budget_waits_for_its_price(router, up):
    publish(router)
    start(router)
    answer = router.ask(max_tokens=100)
    assert answer.status == 200, answer.body
    row, = rows(router, answer)
    assert row["cost_source"] == "price" and up.prices_asked == 1
    assert row["cost_usd"] == pytest.approx(row["completion_tokens"] * OUT)
    assert spent(router) == pytest.approx(row["cost_usd"])


def test_the_bound_is_of_the_list(router, up):
    publish(router)
    start(router, cap=150 * OUT)
    answer = router.ask(max_tokens=1000)
    assert answer.status == 200 and answer.headers["x-hermes-max-tokens"] == "150"


def test_many_at_once_ask_for_one_list(router, up):
    begun, go = publish_slowly(router)
    start(router)
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        answers = [pool.submit(router.ask, max_tokens=100) for _ in range(30)]
        assert begun.wait(60)
        assert router.request("GET", "/health/liveliness").status == 200  # nothing stalls
        go.set()
        assert [answer.result().status for answer in answers] == [200] * 30
    assert up.prices_asked == 1


def test_who_leaves_while_it_waits_is_gone(router, up):
    begun, go = publish_slowly(router)
    start(router)
    with router.open(max_tokens=100):
        assert begun.wait(60)
    time.sleep(0.1)
    go.set()
    assert router.ask(max_tokens=100).status == 200
    assert up.count(MODEL) == 1 and up.prices_asked == 1


def test_what_a_wildcard_lets_through_is_known_too(router, up):
    publish(router, entry(MODEL), entry("fake/tools"))
    router.start({"fake/*": [unpriced(router, "*")]}, litellm={"max_budget": 1})
    for model in (MODEL, "fake/tools"):
        assert router.ask(model, max_tokens=100).status == 200
    assert up.prices_asked == 1
    is_refused(router.ask("fake/reasoning", max_tokens=100))  # it is not in the list
    assert up.prices_asked == 1


def test_reasons_tell_the_published_price(hermes, router, up):
    publish(router, entry(MODEL, "0.000003", "0.000015"))
    start(router)
    call = router.ask(max_tokens=100).headers["x-litellm-call-id"]
    router.attempts(call)
    text = hermes.run("cost", "why", call).ok().text
    assert f"the published price of {MODEL}" in " ".join(text.split())
    assert "$3.00 per million prompt tokens and $15.00 per million" in " ".join(text.split())


def test_a_reload_keeps_nobody_waiting_for_anothers_price(router, up):
    """Who waits behind a call that needs the next list has its price in this one."""
    begun, first, second = threading.Event(), threading.Event(), threading.Event()

    def slowly(times):
        begun.set()
        (first if times == 1 else second).wait(60)
        return published(entry(MODEL), entry("fake/tools"))
    up.prices = slowly
    start(router)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        early = pool.submit(router.ask, max_tokens=100)
        assert begun.wait(60)
        router.write({"free": [unpriced(router)], "new": [unpriced(router, "tools")]},
                     litellm={"max_budget": 1})
        router.reload()
        new = pool.submit(router.ask, "new", max_tokens=100)
        router.metrics()  # so it is most likely there before those
        late = [pool.submit(router.ask, max_tokens=100) for _ in range(3)]
        router.metrics()
        first.set()
        assert [answer.result().status for answer in (early, *late)] == [200] * 4
        assert up.wait_for(lambda: up.prices_asked == 2, 60) and not new.done()
        second.set()
        assert new.result().status == 200, new.result().body
    assert up.prices_asked == 2


def test_the_same_wildcard_elsewhere_costs_the_same(hermes, router, up):
    publish(router)
    answers, refuses = unpriced(router, "*", order=2), unpriced(router, "*", order=1)
    refuses["api_key"] = "wrong"
    config = router.config({"fake/*": [answers, refuses]}, litellm={"max_budget": 1})
    del config["general_settings"]
    hermes.put("config.yaml", json.dumps({**config, "model": {"default": MODEL}}))
    result = hermes.chat("hi").ok()
    assert up.count(MODEL) == 1 and b"answers" not in result.err


def test_a_price_that_becomes_known_is_no_news(hermes, router, up):
    up.prices = lambda times: (503, "no")
    config = router.config(
        {"free": [router.deployment("429-long", input_cost_per_token=0, output_cost_per_token=0)],
         "cheap": [unpriced(router)]}, fallbacks=[{"free": ["cheap"]}],
        litellm={"max_budget": 1}, own={"unpriced": "allow"})
    del config["general_settings"]
    hermes.put("config.yaml", json.dumps({**config, "model": {"default": "free"}}))
    assert b"cheap answers now, at an unknown price" in hermes.chat("hi").ok().err
    publish(router, entry(MODEL, "0.00000028", "0.00000042"))
    assert b"answers" not in hermes.chat("hi").ok().err
    assert paid(hermes).startswith("280000/420000/")
    up.prices = lambda times: (503, "no")
    assert b"answers" not in hermes.chat("hi").ok().err


def test_the_owner_is_told_the_published_price(hermes, router, up):
    publish(router, entry(MODEL, "0.00000028", "0.00000042"))
    config = router.config(
        {"free": [router.deployment("429-long", input_cost_per_token=0, output_cost_per_token=0)],
         "cheap": [unpriced(router)]}, fallbacks=[{"free": ["cheap"]}],
        litellm={"max_budget": 1})
    del config["general_settings"]
    hermes.put("config.yaml", json.dumps({**config, "model": {"default": "free"}}))
    err = hermes.chat("hi").ok().err.decode()
    assert "cheap answers now, which costs $0.28/$0.42 per million tokens." in err


# -- what comes before it -------------------------------------------------------------------------

def test_configured_prices_win(router, up):
    publish(router, entry(MODEL, "0.5", "0.5"))
    start(router, unpriced(router, input_cost_per_token=0, output_cost_per_token=OUT))
    answer = router.ask(max_tokens=100)
    row, = rows(router, answer)
    assert row["cost_usd"] == pytest.approx(row["completion_tokens"] * OUT)
    assert up.prices_asked == 0


def test_the_answers_own_cost_wins(router, up):
    start(router, unpriced(router, "cost:0.0000625"))
    publish(router, entry("fake/cost:0.0000625", "0", "0.001"))
    row, = rows(router, router.ask(max_tokens=100))
    assert (row["cost_usd"], row["cost_source"]) == (0.0000625, "provider")


def test_without_a_budget_nothing_is_asked_for(router, up):
    publish(router, entry("fake/cost:0.0000625"))
    start(router, unpriced(router, "cost:0.0000625"), cap=None)
    assert [router.ask(max_tokens=100).status for _ in range(3)] == [200] * 3
    assert up.prices_asked == 0


def test_without_a_budget_a_missing_cost_asks_for_it(hermes, router, up):
    """For the calls that follow."""
    publish(router)
    start(router, cap=None)
    assert up.wait_for(lambda: router.ask().status == 200 and up.prices_asked, 60)
    wait_kept(hermes)
    row, = rows(router, router.ask(max_tokens=100))
    assert row["cost_source"] == "price"
    assert row["cost_usd"] == pytest.approx(row["completion_tokens"] * OUT)


def test_without_a_budget_a_failure_asks_for_nothing(router, up):
    """No price says what it cost."""
    publish(router)
    start(router, unpriced(router, "429"), cap=None)
    assert router.ask().status == 429
    router.metrics()
    assert up.prices_asked == 0


def test_another_provider_publishes_nothing(router, up):
    publish(router, entry(SCENARIO))
    start(router, router.deployment(SCENARIO))
    is_refused(router.ask(max_tokens=100))
    assert up.prices_asked == 0


@pytest.mark.parametrize("more", [
    {"provider": {"order": ["dear"]}}, {"plugins": [{"id": "web"}]}, {"models": ["dear"]},
    {"route": "fallback"}, {"modalities": ["text", "audio"]}, {"audio": {"voice": "a"}},
    {"prediction": {"type": "content"}}, {"web_search_options": {}}, {"service_tier": "priority"},
    {"tools": [{"type": "web_search"}]}, {"Models": ["dear"]}], ids=lambda more: next(iter(more)))
def test_a_list_says_nothing_of_what_the_configuration_adds(router, up, more):
    publish(router)
    start(router, unpriced(router, extra_body=more))
    is_refused(router.ask(max_tokens=100))
    assert up.prices_asked == 0


@pytest.mark.parametrize("more", [
    {"provider": {}}, {"modalities": ["text"]}, {"service_tier": "flex"}, {"temperature": 0.5},
    {"tools": [{"type": "function", "function": {"name": "models"}}]}],
    ids=lambda more: next(iter(more)))
def test_what_costs_nothing_more_has_its_price(router, up, more):
    publish(router)
    start(router, unpriced(router, extra_body=more))
    assert router.ask(max_tokens=100).status == 200


@pytest.mark.parametrize("kind", ["web_search", "audio", "audio_output", "image_output",
                                  "image_token", "input_audio_cache"])
def test_what_is_free_in_words_alone_is_not_free(router, up, kind):
    prices = {"web_search": "0", kind: "0.00001"}
    publish(router, entry(MODEL, "0", "0", **prices), entry("fake/tools"))
    start(router)
    is_refused(router.ask(max_tokens=100))
    assert not up.count(MODEL)


# -- what is kept ---------------------------------------------------------------------------------

def test_a_restart_without_the_list_has_its_prices(hermes, router, up):
    publish(router, entry(MODEL), entry("fake/unnamed"))
    start(router)
    assert router.ask(max_tokens=100).status == 200
    assert [line.split()[0] for line in wait_kept(hermes).split("\n")[1:]] == [MODEL]
    router.stop()
    up.prices = lambda times: (503, "no")
    router.restart()
    row, = rows(router, router.ask(max_tokens=100))
    assert row["cost_source"] == "price" and up.prices_asked == 1


def test_a_day_later_it_is_asked_for_again(hermes, router, up):
    """Until it is there, the old prices count, and nobody waits."""
    publish(router)
    start(router)
    router.ask(max_tokens=100)
    wait_kept(hermes)
    router.stop()
    go = threading.Event()

    def slowly(times):
        go.wait(60)
        return published(entry(MODEL, "0", "0.00002"))
    up.prices = slowly
    age(hermes, 23)
    router.restart()
    assert router.ask(max_tokens=100).status == 200
    router.stop()
    assert up.prices_asked == 1
    age(hermes, 25)
    router.restart()
    row, = rows(router, router.ask(max_tokens=100))
    assert row["cost_usd"] == pytest.approx(row["completion_tokens"] * OUT)
    assert up.prices_asked == 2
    go.set()
    assert up.wait_for(lambda: "20000000" in kept(hermes), 60)
    row, = rows(router, router.ask(max_tokens=100))
    assert row["cost_usd"] == pytest.approx(row["completion_tokens"] * 2 * OUT)
    assert up.prices_asked == 2


BROKEN = {
    "refused": (503, {"error": {"message": "no"}}),
    "page": (200, "<html>maintenance</html>"),
    "cut": (200, json.dumps({"data": [entry(MODEL, "9")]})[:-2]),
    "no prices": (200, {"object": "list", "models": []}),
    "empty": (200, {"data": []}),
    "others": published(),
    "unpriced": (200, {"data": [{"id": MODEL}, {"id": MODEL, "pricing": {}}]}),
    "endless": (200, '{"data":[' + " " * (17 << 20)),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_list_that_cannot_be_had_keeps_the_old(hermes, router, up, answer):
    publish(router)
    start(router)
    router.ask(max_tokens=100)
    wait_kept(hermes)
    router.stop()
    up.prices = lambda times: answer
    age(hermes, 1000)
    router.restart()
    old = kept(hermes)
    for _ in range(3):
        row, = rows(router, router.ask(max_tokens=100))
        assert row["cost_usd"] == pytest.approx(row["completion_tokens"] * OUT)
    router.process.wait_for_output(b"router.prices_missed", "err")
    assert kept(hermes) == old and up.prices_asked == 2


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_without_any_list_the_price_is_not_known(router, up, answer):
    """It is tried once, not by each call; said once; and a budget refuses."""
    up.prices = lambda times: answer
    start(router)
    for _ in range(3):
        is_refused(router.ask(max_tokens=100))
    assert up.prices_asked == 1
    router.stop()
    assert router.process.err.count(b"router.prices_missed") == 1


@pytest.mark.parametrize("price", ["-1", "NaN", "1e400", "5", "ten", True, {}],
                         ids=lambda price: str(price))
def test_an_absurd_price_is_none(router, up, price):
    publish(router, entry(MODEL, price), entry("fake/tools"))
    start(router)
    is_refused(router.ask(max_tokens=100))
    assert up.prices_asked == 1 and not up.count(MODEL)


def test_a_reload_that_names_another_model_asks_again(hermes, router, up):
    publish(router, entry(MODEL), entry("fake/tools"))
    start(router)
    assert router.ask(max_tokens=100).status == 200
    wait_kept(hermes)
    router.stop()
    start(router, unpriced(router, "tools"))
    assert router.ask(max_tokens=100).status == 200
    assert up.prices_asked == 2


def test_providers_that_are_named_no_more_make_room_for_others(router):
    """As many lists are kept as sixteen providers have; only those in force count."""
    router.start({"free": ["echo"]})
    for _ in range(20):
        with Upstream() as router.up:
            publish(router)
            router.write({"free": [unpriced(router)]}, litellm={"max_budget": 1})
            router.reload()
            assert router.ask(max_tokens=100).status == 200
            assert router.up.prices_asked == 1
