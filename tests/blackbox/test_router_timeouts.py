"""The time that a deployment has: a whole answer in all, a stream until its first content and then
from one event to the next."""

import time

import pytest
from openai_faults import PATIENCE
from openai_scenarios import KEEPALIVE, scenario
from router_chain import is_from_good, named, rows, total

STEP = 1  # seconds between two words
WORDS = 10
TIMEOUT = 8  # less than all words take, and so much longer than one that a stall is no failure


@scenario("steady")
def steady(turn):
    """A local model: slow, but never silent for long."""
    turn.begin_text()
    for number in range(WORDS):
        turn.conn.wait(STEP)
        turn.send(turn.dialect.chunk({"content": f"{number} "}))
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("late-first")
def late_first(turn):
    """A local model that reads its prompt for a while."""
    turn.conn.wait(3 * STEP)
    turn.begin_text("late")
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("then-comments")
def then_comments(turn):
    """A word, and then a connection that is alive and says nothing."""
    turn.begin_text("one ")
    for _ in range(int(PATIENCE / 0.1)):
        turn.conn.send(KEEPALIVE)
        turn.conn.wait(0.1)


@scenario("slow-json")
def slow_json(turn):
    """A whole answer that comes in pieces, each of them in time."""
    turn.conn.start_chunked(kind="application/json")
    for _ in range(int(PATIENCE / 0.1)):
        turn.conn.send(b" ")
        turn.conn.wait(0.1)


def is_late(answer):
    """A stream that began, and was ended because its time was over."""
    assert answer.status == 200, answer.body
    assert answer.events[-1]["error"]["code"] == "408", answer.events
    assert "Timeout" in answer.events[-1]["error"]["message"]


@pytest.mark.parametrize("limit", ["timeout", "stream_timeout"])
def test_a_healthy_stream_may_take_longer(router, limit):
    """The time is that between two events, as in LiteLLM between two bytes."""
    router.start({"free": [named(router, "slow", "steady", **{limit: TIMEOUT})]})
    answer = router.ask(stream=True)
    assert answer.text == "".join(f"{number} " for number in range(WORDS))
    assert answer.whole


def test_a_streams_own_time_may_be_the_longer_one(router):
    router.start({"free": [named(router, "slow", "late-first", timeout=STEP, stream_timeout=600)]})
    answer = router.ask(stream=True)
    assert answer.whole and answer.text == "late"


def test_the_routers_timeout_is_one_between_events_too(router):
    router.start({"free": ["steady"]}, timeout=TIMEOUT)
    assert router.ask(stream=True).whole


@pytest.mark.parametrize("scenario", ["hang-mid", "then-comments"])
@pytest.mark.parametrize("limit", [{"timeout": 1}, {"timeout": 600, "stream_timeout": 1}],
                         ids=["timeout", "stream-timeout"])
def test_a_stream_that_falls_silent_is_ended(router, scenario, limit):
    """Comments keep a connection alive, and say nothing."""
    router.start({"free": [named(router, "bad", scenario, **limit)]})
    before = time.monotonic()
    answer = router.ask(stream=True)
    assert time.monotonic() - before < 100, "it was another limit that ended it"
    assert answer.text.startswith("one ")
    is_late(answer)
    attempt, = rows(router, answer)
    assert attempt["error"] == "Timeout"


@pytest.mark.parametrize("scenario", ["hang", "hang-first-byte", "hang-comments"])
def test_until_its_first_content_a_stream_has_this_time_once(router, scenario):
    router.start({"free": [named(router, "bad", scenario, timeout=1)],
                  "free2": [named(router, "good", "echo", timeout=600)]},
                 fallbacks=[{"free": ["free2"]}])
    is_from_good(router.ask(stream=True), True)


def test_a_whole_answer_has_it_in_all(router):
    """However steadily it comes: its client sees nothing before its end."""
    router.start({"free": [named(router, "bad", "slow-json", timeout=1)],
                  "free2": [named(router, "good", "echo", timeout=600)]},
                 fallbacks=[{"free": ["free2"]}])
    is_from_good(router.ask(), False)


def test_a_reader_that_stands_still_has_this_time_too(router):
    """It is not the deployment that is silent."""
    router.start({"free": [named(router, "one", "endless", timeout=2)]}, cooldown_time=600,
                 allowed_fails=0)
    with router.open() as sock:
        assert sock.recv(100)
        assert router.up.wait_for(lambda: router.metrics()["litellm_in_flight_requests"] == 0)
    assert total(router.metrics(), "litellm_deployment_state", model_id="one") == 0
