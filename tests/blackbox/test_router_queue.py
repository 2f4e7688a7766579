"""Tokens per minute that several share: who finds no room waits in a queue, by priority.

A call here takes more than half of the tokens of a minute until it has ended, and then gives back
what it did not use; so calls go one after another, and no test waits for a minute to pass. How much
fits into sixty seconds is the unit tests' matter.
"""

import concurrent.futures
import contextlib
import time

import pytest

LIMIT = 8000  # tokens per minute
MOST = 4096  # max_tokens: more than half of the limit
PRIORITIES = ["interactive", "api", "cron", "background"]


@pytest.fixture
def callers(router, up):
    """callers(NAME, priority) asks in a thread of its own and has a future for the answer."""
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        def call(name, priority=None, **more):
            headers = {"x-hermes-priority": priority} if priority else None
            return pool.submit(router.ask, headers=headers, messages=[
                {"role": "user", "content": name}], **{"max_tokens": MOST, **more})
        yield call
        up.release.set()


def limited(router, scenario="hold-first", **more):
    return router.deployment(scenario, **{"tpm": LIMIT, **more})


def waiting(router):
    metrics = router.metrics()
    return [metrics[f'hermes_router_queue_depth{{priority="{name}"}}'] for name in PRIORITIES]


def order(up):
    """Whose calls reached the upstream, in that order."""
    return [request.messages[-1]["content"] for request in up.requests]


@contextlib.contextmanager
def occupied(router, up, callers):
    """A call that has all the room until `up.release` is set."""
    first = callers("first")
    assert up.wait_for(lambda: len(up.requests) == 1)
    yield first
    assert first.result().status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_without_room_waits_and_is_answered(router, up, callers, stream):
    """Instead of a 429."""
    router.start({"free": [limited(router)]})
    with occupied(router, up, callers):
        second = callers("second", stream=stream)
        assert up.wait_for(lambda: waiting(router) == [0, 1, 0, 0])
        assert len(up.requests) == 1
        up.release.set()
        assert second.result().status == 200 and second.result().text == "echo: second"
    metrics = router.metrics()
    assert metrics['hermes_router_queue_wait_seconds_count{priority="api"}'] == 2
    assert metrics['hermes_router_queue_wait_seconds_sum{priority="api"}'] > 0
    assert metrics["litellm_request_queue_time_seconds_count"] == 2


def test_calls_that_fit_do_not_wait(router, up, callers):
    router.start({"free": [limited(router)]})
    small = [callers(str(number), max_tokens=10) for number in range(5)]
    assert up.wait_for(lambda: len(up.requests) == 5)
    up.release.set()
    assert [call.result().status for call in small] == [200] * 5


def test_the_interactive_one_overtakes(router, up, callers):
    """It came last and waits for a part of the others' time only."""
    router.start({"free": [limited(router)]})
    with occupied(router, up, callers):
        began = time.monotonic()
        others = [callers(f"background {number}", "background") for number in range(3)]
        assert up.wait_for(lambda: waiting(router) == [0, 0, 0, 3])
        urgent = callers("urgent", "interactive")
        assert up.wait_for(lambda: waiting(router) == [1, 0, 0, 3])
        time.sleep(time.monotonic() - began)  # patience is relative, not by the clock
        up.release.set()
        assert [call.result().status for call in [urgent, *others]] == [200] * 4
    assert order(up)[:2] == ["first", "urgent"]


def test_of_one_priority_who_came_first_goes_first(router, up, callers):
    router.start({"free": [limited(router)]})
    with occupied(router, up, callers):
        calls = []
        for number in range(5):
            calls.append(callers(str(number), "cron"))
            assert up.wait_for(lambda n=number: waiting(router) == [0, 0, n + 1, 0])
        up.release.set()
        assert [call.result().status for call in calls] == [200] * 5
    assert order(up) == ["first", "0", "1", "2", "3", "4"]


def test_of_many_workloads_at_once_none_starves(router, up, callers):
    """Five of them wake up at the same minute, one without a priority, which is the api's. All are
    answered, each once, the most urgent ones first."""
    router.start({"free": [limited(router)]})
    with occupied(router, up, callers):
        began = time.monotonic()
        names = [f"{priority} {number}" for priority in reversed(["none", *PRIORITIES])
                 for number in range(8)]
        calls = [callers(name, name.split()[0]) for name in names]
        assert up.wait_for(lambda: waiting(router) == [8, 16, 8, 8])
        time.sleep(time.monotonic() - began)  # so that none has waited twice as long as another
        up.release.set()
        assert [call.result().status for call in calls] == [200] * len(names)
    served = order(up)[1:]
    assert sorted(served) == sorted(names)
    ranks = [{"none": 1}.get(word, word) for word in (name.split()[0] for name in served)]
    ranks = [rank if rank == 1 else PRIORITIES.index(rank) for rank in ranks]
    assert ranks == sorted(ranks)
    assert waiting(router) == [0, 0, 0, 0]


@pytest.mark.parametrize("stream", [False, True])
def test_who_waits_too_long_is_told_when_to_come_again(router, up, callers, stream):
    router.start({"free": [limited(router)]}, own={"queue_timeout": "1"})
    with occupied(router, up, callers):
        began = time.monotonic()
        answer = callers("late", stream=stream).result()
        assert answer.status == 429 and answer.error["code"] == "429"
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert time.monotonic() - began >= 1
        assert waiting(router) == [0, 0, 0, 0]
        up.release.set()
    assert order(up) == ["first"]


def test_without_a_queue_it_is_a_429_at_once(router, up, callers):
    router.start({"free": [limited(router)]}, own={"queue_timeout": "0"})
    with occupied(router, up, callers):
        answer = callers("late").result()
        assert answer.status == 429 and int(answer.headers["retry-after"]) >= 1
        up.release.set()
    assert order(up) == ["first"]


def test_who_waited_in_vain_goes_to_the_fallback(router, up, callers):
    router.start({"free": [limited(router)], "free2": ["fixed"]}, own={"queue_timeout": "1"},
                 fallbacks=[{"free": ["free2"]}])
    with occupied(router, up, callers):
        assert callers("late").result().text == "ok"
        up.release.set()


def test_who_leaves_the_queue_is_forgotten(router, up, callers):
    router.start({"free": [limited(router)]})
    with occupied(router, up, callers):
        with router.open(max_tokens=MOST):
            assert up.wait_for(lambda: waiting(router) == [0, 1, 0, 0])
        assert up.wait_for(lambda: waiting(router) == [0, 0, 0, 0])
        up.release.set()
    assert order(up) == ["first"]


def test_a_failed_call_makes_room_for_the_next(router, up):
    """A refusal used no tokens."""
    router.start({"free": [limited(router, "500-once")]}, router={"disable_cooldowns": True})
    assert router.ask(max_tokens=MOST).status == 500
    assert router.ask(max_tokens=MOST).status == 200


def test_a_call_larger_than_the_limit_goes_alone(router, up, callers):
    router.start({"free": [limited(router, tpm=1000)]})
    up.release.set()
    assert callers("large").result().status == 200
    assert up.requests[0].json["max_tokens"] == MOST


def test_a_call_larger_than_the_limit_is_refused_where_that_is_said(router, up, callers):
    router.start({"free": [limited(router, tpm=1000)]}, own={"oversized": "refuse"})
    answer = callers("large").result()
    assert answer.status == 429 and "tpm" in answer.error["message"]
    assert "retry-after" not in answer.headers  # it would be as large then
    assert not up.requests
    assert router.metrics()['hermes_router_refused_total{reason="tokens"}'] == 1


def test_requests_per_minute_are_a_limit_too(router, up, callers):
    """Requests do not come back at their end, so the third one waits in vain."""
    router.start({"free": [router.deployment("echo", rpm=2)]}, own={"queue_timeout": "1"})
    assert [router.ask().status for _ in range(3)] == [200, 200, 429]
    assert len(up.requests) == 2


def test_beyond_the_parallel_ones_calls_wait(router, up, callers):
    router.start({"free": [router.deployment("hold-first", max_parallel_requests=2)]})
    calls = [callers(str(number)) for number in range(6)]
    assert up.wait_for(lambda: router.metrics().get("litellm_in_flight_requests") == 6)
    assert up.wait_for(lambda: len(up.requests) == 2)
    assert router.metrics()["hermes_router_upstream_attempts"] == 2
    up.release.set()
    assert [call.result().status for call in calls] == [200] * 6
