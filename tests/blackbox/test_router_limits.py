"""Limits where several things meet: circuits, fallbacks, reloads, groups of several deployments,
and the limit that is the whole router's.

Whoever would wait for nothing here would wait longer than a client of these tests does.
"""

import concurrent.futures

import pytest
import openai_wire as wire
from openai_faults import PATIENCE
from openai_scenarios import scenario
from router_chain import asked, named, who

FOR_EVER = {"queue_timeout": "600"}
LIMIT = 8000  # tokens per minute
MOST = 4096  # max_tokens: more than half of the limit
LARGE = [{"role": "user", "content": "x" * 20000}]


@scenario("hold-401")
def hold_401(turn):
    turn.conn.wait(PATIENCE, turn.upstream.release)
    turn.error(401, "no such key")


@scenario("nothing-remains")
def nothing_remains(turn):
    turn.conn.answer(200, turn.dialect.whole(wire.Answer("ok", usage=wire.usage(1, 1, 0))),
                     fields=[("x-ratelimit-remaining-requests", "0"),
                             ("x-ratelimit-reset-requests", "1d")])


@pytest.fixture
def callers(router, up):
    """callers(MODEL, ...) asks in a thread of its own and has a future for the answer."""
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        yield lambda *names, **more: pool.submit(router.ask, *names, **more)
        up.release.set()


def waiting(router):
    metrics = router.metrics()
    return sum(value for series, value in metrics.items()
               if series.startswith("hermes_router_queue_depth{"))


def test_nobody_waits_for_the_limit_of_what_is_down(router):
    router.start({"free": [named(router, "bad", "401", rpm=2, cooldown_time=600)],
                  "cheap": [named(router, "good", "fixed")]},
                 fallbacks=[{"free": ["cheap"]}], own=FOR_EVER)
    assert [who(router.ask()) for _ in range(6)] == ["good"] * 6
    assert len(asked(router, "401")) == 1


def test_a_circuit_that_opens_ends_the_wait(router, up, callers):
    router.start({"free": [named(router, "bad", "hold-401", rpm=2, cooldown_time=600)],
                  "cheap": [named(router, "good", "fixed")]},
                 fallbacks=[{"free": ["cheap"]}], own=FOR_EVER)
    calls = [callers() for _ in range(6)]
    assert up.wait_for(lambda: waiting(router) == 4)
    up.release.set()
    assert [who(call.result()) for call in calls] == ["good"] * 6
    assert len(asked(router, "hold-401")) == 2


def test_who_goes_on_without_asking_takes_no_room(router):
    """Its provider said that nothing remains, so the limit is not what stands in the way."""
    router.start({"free": [named(router, "full", "nothing-remains", rpm=3)],
                  "cheap": [named(router, "good", "fixed")]},
                 fallbacks=[{"free": ["cheap"]}], own=FOR_EVER)
    assert [who(router.ask()) for _ in range(8)] == ["full"] + ["good"] * 7


def test_more_than_the_whole_router_may_do_is_refused(router, up, callers):
    """In LiteLLM's words. Exactly as many pass, and a place is free again when its call ends."""
    router.start({"free": ["hold-first"], "free2": ["fixed"]},
                 general={"global_max_parallel_requests": 3})
    calls = [callers() for _ in range(10)]
    assert up.wait_for(lambda: sum(call.done() for call in calls) == 7)
    refused = [call.result() for call in calls if call.done()]
    assert [answer.status for answer in refused] == [429] * 7
    assert all("Max parallel request limit reached Hit Global Limit: Limit=3, current: 3"
               in answer.error["message"] for answer in refused)
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert router.ask("free2").status == 429
    assert up.wait_for(lambda: len(up.requests) == 3)
    assert router.metrics()['hermes_router_refused_total{reason="parallel"}'] == 8
    up.release.set()
    assert sorted(call.result().status for call in calls) == [200] * 3 + [429] * 7
    for _ in range(4):
        with router.open(stream=False):  # leaves
            pass
    assert up.wait_for(lambda: router.metrics()["litellm_in_flight_requests"] == 0)
    assert [router.ask("free2").status for _ in range(4)] == [200] * 4


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"other": 1}])
def test_an_owner_may_have_each_stream_tell_its_usage(router, told, options):
    """But not whom it is refused by."""
    router.start({"free": ["fixed"]}, general={"always_include_stream_usage": told})
    answer = router.ask(stream=True, **({"stream_options": options} if options else {}))
    usages = [event["usage"] for event in answer.events
              if isinstance(event, dict) and event.get("usage")]
    assert len(usages) == (told and options != {"include_usage": False})


def test_what_runs_on_after_a_reload_is_under_the_same_limit(router, up, callers):
    def groups():
        return {"a": [named(router, "a1", "hold-401")], "b": [named(router, "b1", "echo", rpm=2)]}
    more = {"fallbacks": [{"a": ["b"]}], "own": {"queue_timeout": "1"}}
    router.start(groups(), **more)
    before = [callers("a") for _ in range(2)]
    assert up.wait_for(lambda: len(asked(router, "hold-401")) == 2)
    router.write(groups(), **more)
    router.reload()
    assert [router.ask("b").status for _ in range(2)] == [200, 200]
    up.release.set()
    assert 200 not in [call.result().status for call in before]
    assert len(asked(router, "echo")) == 2


def test_a_limit_that_a_reload_takes_away_is_waited_for_by_nobody(router, up, callers):
    router.start({"free": [named(router, "one", "echo", rpm=1)]}, own=FOR_EVER)
    assert router.ask().status == 200
    waits = callers()
    assert up.wait_for(lambda: waiting(router) == 1)
    router.write({"free": [named(router, "one", "echo")]}, own=FOR_EVER)
    router.reload()
    assert waits.result().status == router.ask().status == 200


def test_what_no_deployment_lets_through_is_refused_where_that_is_said(router):
    """However many there are: a call goes to one of them."""
    deployments = [router.deployment(name, tpm=LIMIT) for name in ("echo", "fixed")]
    router.start({"free": deployments}, own={"oversized": "refuse"})
    answer = router.ask(messages=LARGE, max_tokens=MOST)
    assert answer.status == 429 and "tpm" in answer.error["message"]
    assert router.ask(max_tokens=10).status == 200


def test_who_fits_into_no_deployment_yet_keeps_its_place(router, up, callers):
    """All of them together have room for the large one, but none has; a small one, which would fit,
    came later and does not pass."""
    router.start({"free": [router.deployment("hold-first", tpm=LIMIT),
                           router.deployment("hold-first", tpm=LIMIT)]}, own=FOR_EVER)

    def call(name, most):
        return callers(messages=[{"role": "user", "content": name}], max_tokens=most)
    first = [call("first", MOST) for _ in range(2)]
    assert up.wait_for(lambda: len(up.requests) == 2)
    later = [call("large", MOST)]
    assert up.wait_for(lambda: waiting(router) == 1)
    later.append(call("small", 10))
    assert up.wait_for(lambda: waiting(router) == 2)
    assert len(up.requests) == 2
    up.release.set()
    assert [answer.result().status for answer in [*first, *later]] == [200] * 4
    names = [request.messages[-1]["content"] for request in up.requests]
    assert sorted(names[2:]) == ["large", "small"]  # let go at once, so either may arrive first
