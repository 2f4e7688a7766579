"""Inside one group: retries of one deployment, several deployments, their order and weight; and the
names that a group goes by."""

import collections
import threading
import time

import openai_wire as wire
import pytest
from openai_scenarios import scenario
from router_chain import BOTH, asked, named, rows, total, who

LISTED = "Call `/v1/models` to view available models for your key."


@scenario("exhausted")
def exhausted(turn):
    """The answer, and with it the news that it was the last one for ten minutes."""
    turn.conn.answer(200, turn.dialect.whole(wire.Answer("ok")), fields=[
        ("x-ratelimit-limit-requests", 100), ("x-ratelimit-remaining-requests", 0),
        ("x-ratelimit-reset-requests", "10m0s")])


@pytest.fixture
def router(router, up):
    yield router
    up.release.set()


# -- retries of one deployment --------------------------------------------------------------------

@BOTH
@pytest.mark.parametrize("scenario", ["429", "500-once"])
def test_what_passes_is_asked_again(router, scenario, stream):
    """A short limit, a hiccup: the same deployment answers the second time."""
    router.start({"free": [scenario]}, num_retries=1)
    answer = router.ask(stream=stream)
    assert answer.text == "answered at the second try"
    assert answer.headers["x-litellm-attempted-retries"] == "1"
    assert answer.headers["x-litellm-max-retries"] == "1"
    assert answer.headers["x-litellm-attempted-fallbacks"] == "0"


def test_retry_after_is_waited_for(router):
    """The provider said when; before that it would only say it again."""
    router.start({"free": ["429:1"]}, num_retries=1)
    assert router.ask().status == 200
    first, second = asked(router, "429:1")
    assert second.time - first.time >= 0.99


def test_a_retry_has_a_row_of_its_own(router):
    router.start({"free": [named(router, "bad", "500-once")]}, num_retries=1)
    first, second = rows(router, router.ask())
    assert (first["attempt"], first["error"], first["reason"]) == (1, "InternalServerError", "")
    assert (second["attempt"], second["error"], second["reason"]) == (2, "", "retry")
    assert second["instead_of"] == second["deployment"] == "bad"


def test_retries_end_and_then_comes_the_fallback(router):
    router.start({"free": ["500-empty"], "free2": ["echo"]}, num_retries=2,
                 fallbacks=[{"free": ["free2"]}])
    answer = router.ask()
    assert answer.text == "echo: hello" and len(asked(router, "500-empty")) == 3
    assert answer.headers["x-litellm-attempted-fallbacks"] == "1"
    assert answer.headers["x-litellm-attempted-retries"] == "0", "of the group that answered"


@pytest.mark.parametrize("scenario", ["401", "402", "403", "404", "400-string", "422", "429-long",
                                      "429-nonsense", "redirect"])
def test_what_does_not_pass_is_not_asked_again(router, scenario):
    """A key, a bill, a name, a day's limit, a limit of which nobody says when it ends, another
    address: the next model is asked at once."""
    router.start({"free": [scenario], "free2": ["echo"]}, num_retries=3,
                 fallbacks=[{"free": ["free2"]}])
    assert router.ask().text == "echo: hello"
    assert len(asked(router, scenario)) == 1


def test_the_clients_own_number_of_retries_counts(router):
    router.start({"free": ["500-empty"]}, num_retries=3)
    assert router.ask(num_retries=1).status == 500
    assert len(asked(router, "500-empty")) == 2


def test_a_deployment_may_have_a_number_of_its_own(router):
    router.start({"free": [router.deployment("500-empty", num_retries=1)]}, num_retries=3)
    assert router.ask().status == 500
    assert len(asked(router, "500-empty")) == 2


def test_a_retry_policy_counts_by_class(router):
    """None for server errors, one for what else nobody would ask again."""
    policy = {"InternalServerErrorRetries": 0, "BadRequestErrorRetries": 1}
    router.start({"free": ["500-empty"], "free2": ["400-string"]}, num_retries=3,
                 retry_policy=policy)
    assert router.ask("free").status == 500 and router.ask("free2").status == 400
    assert len(asked(router, "500-empty")) == 1 and len(asked(router, "400-string")) == 2


def test_no_retry_begins_that_could_not_end_in_time(router):
    """The whole call has twenty seconds; the provider asks for thirty."""
    router.start({"free": ["503:30"]}, num_retries=3, timeout=20)
    before = time.monotonic()
    assert router.ask().status == 503
    assert len(asked(router, "503:30")) == 1
    assert time.monotonic() - before < 20, "it was waited for"


def test_who_leaves_while_a_retry_waits_is_not_asked_for_any_more(router):
    """The provider asked for two seconds, the client has none: nothing is sent for nobody."""
    router.start({"free": ["503:2"]}, num_retries=3)
    with router.open("free"):
        assert router.up.wait_for(
            lambda: [request for request in asked(router, "503:2") if request.ended])
    assert router.up.wait_for(lambda: router.metrics()["litellm_in_flight_requests"] == 0)
    assert total(router.metrics(), "litellm_proxy_total_requests_metric_total",
                 status_code="499") == 1
    assert len(asked(router, "503:2")) == 1


# -- several deployments --------------------------------------------------------------------------

@BOTH
def test_another_deployment_is_asked_at_once(router, stream):
    """Sleeping helps nobody when there is another: it is a retry, no fallback."""
    router.start({"free": [named(router, "bad", "503:2", weight=1),
                           named(router, "good", "echo", weight=0)]}, num_retries=1)
    answer = router.ask(stream=stream)
    assert who(answer) == "good" and answer.text == "echo: hello"
    assert answer.headers["x-litellm-attempted-retries"] == "1"
    assert answer.headers["x-litellm-attempted-fallbacks"] == "0"
    bad, good = router.up.requests
    assert good.time - bad.time < 2, "the Retry-After of another one was waited for"


def test_another_deployment_has_a_row_that_says_instead_of_which(router):
    router.start({"free": [named(router, "bad", "401", weight=1),
                           named(router, "good", "echo", weight=0)]}, num_retries=1)
    bad, good = rows(router, router.ask())
    assert (bad["deployment"], good["deployment"]) == ("bad", "good")
    assert (good["reason"], good["instead_of"]) == ("deployment", "bad")


def test_a_deployment_that_is_down_is_not_asked_while_others_answer(router):
    """Its circuit is its own, not the group's."""
    router.start({"free": [named(router, "bad", "401"), named(router, "good", "echo")]},
                 num_retries=1)
    assert {who(router.ask()) for _ in range(30)} == {"good"}
    assert len(asked(router, "401")) == 1


def test_weights_are_shares(router):
    """Three to one of 400: within six standard deviations of 300."""
    router.start({"free": [named(router, "much", "echo", weight=3),
                           named(router, "little", "echo", weight=1)]})
    counts = collections.Counter(who(router.ask()) for _ in range(400))
    assert 248 < counts["much"] < 352 and sum(counts.values()) == 400


def test_without_weights_all_are_asked_alike(router):
    router.start({"free": [named(router, name, "echo") for name in ("a", "b", "c")]})
    counts = collections.Counter(who(router.ask()) for _ in range(300))
    assert set(counts) == {"a", "b", "c"} and min(counts.values()) > 50


def test_a_lower_order_is_asked_first(router):
    """However the weights are, and however often."""
    router.start({"free": [named(router, "second", "echo", order=2, weight=9),
                           named(router, "first", "echo", order=1, weight=1)]})
    assert {who(router.ask()) for _ in range(30)} == {"first"}


def test_a_higher_order_is_a_level_of_its_own(router):
    """Without any retries left the next level is still reached, before the fallbacks."""
    router.start({"free": [named(router, "first", "500-empty", order=1),
                           named(router, "second", "echo", order=2)],
                  "free2": ["fixed"]}, num_retries=0, fallbacks=[{"free": ["free2"]}])
    answer = router.ask()
    assert who(answer) == "second"
    assert answer.headers["x-litellm-attempted-fallbacks"] == "0"


def test_a_full_deployment_leaves_the_call_to_another(router):
    """max_parallel_requests 1, and one call is inside."""
    router.start({"free": [named(router, "one", "hold", order=1, max_parallel_requests=1),
                           named(router, "other", "echo", order=2)]})
    with router.open("free") as sock:
        assert router.up.wait_for(lambda: asked(router, "hold"))
        assert who(router.ask()) == "other"
        router.up.release.set()
        while b"[DONE]" not in sock.recv(65536):
            pass
    assert router.up.wait_for(lambda: who(router.ask(stream=True)) == "one")


def test_a_full_deployment_without_another_is_waited_for(router):
    """Room comes when a call ends: the next one goes in, nobody is sent away."""
    router.start({"free": [named(router, "one", "hold", max_parallel_requests=1)]})
    answers = []
    with router.open("free"):
        assert router.up.wait_for(lambda: asked(router, "hold"))
        thread = threading.Thread(target=lambda: answers.append(router.ask(stream=True)))
        thread.start()
        assert not router.up.wait_for(lambda: len(asked(router, "hold")) > 1, 0.3)
        router.up.release.set()
        thread.join(60)
    assert answers[0].whole and answers[0].text == "held released"


def test_requests_per_minute_are_kept(router):
    """rpm 2: the third goes to the next level."""
    router.start({"free": [named(router, "few", "echo", order=1, rpm=2),
                           named(router, "many", "echo", order=2)]})
    assert [who(router.ask()) for _ in range(4)] == ["few", "few", "many", "many"]


def test_a_provider_that_says_that_nothing_is_left_is_believed(router):
    """x-ratelimit-remaining-requests: 0 comes with an answer. The next call goes elsewhere, before
    the provider has to refuse it."""
    router.start({"free": [named(router, "bad", "exhausted")],
                  "free2": [named(router, "good", "echo")]}, fallbacks=[{"free": ["free2"]}])
    assert who(router.ask()) == "bad"
    assert who(router.ask()) == "good"
    assert len(asked(router, "exhausted")) == 1
    assert total(router.metrics(), "litellm_remaining_requests_metric", model_id="bad") == 0


def test_the_least_busy_is_asked(router):
    router.start({"free": [named(router, "a", "hold"), named(router, "b", "hold")]},
                 routing_strategy="least-busy")
    with router.open("free"), router.open("free"):
        assert router.up.wait_for(lambda: len(asked(router, "hold")) == 2)
        metrics = router.metrics()
        router.up.release.set()
    assert router.up.wait_for(lambda: {
        row for row in ("a", "b") if total(router.metrics(), "litellm_requests_metric_total",
                                           model_id=row) + total(
            router.metrics(), "hermes_router_cancelled_total", model_id=row) == 1} == {"a", "b"})
    assert metrics["litellm_in_flight_requests"] == 2


# -- names ----------------------------------------------------------------------------------------

def test_an_alias_is_another_name_of_a_group(router):
    router.start({"free": ["echo"]}, model_group_alias={"gpt-4": "free"})
    answer = router.ask("gpt-4")
    assert answer.text == "echo: hello" and answer.headers["x-litellm-model-group"] == "gpt-4"


def test_an_alias_has_the_fallbacks_of_its_group(router):
    router.start({"free": ["502"], "free2": ["echo"]}, fallbacks=[{"free": ["free2"]}],
                 model_group_alias={"gpt-4": "free"})
    assert router.ask("gpt-4").text == "echo: hello"


def test_a_hidden_alias_is_not_listed_but_answers(router):
    router.start({"free": ["echo"]}, model_group_alias={
        "shown": "free", "unseen": {"model": "free", "hidden": True}})
    listed = {model["id"] for model in router.request("GET", "/v1/models").json["data"]}
    assert "shown" in listed and "unseen" not in listed
    assert router.ask("unseen").text == "echo: hello"


@pytest.mark.parametrize("name, asks", [("fake/fixed", "fixed"), ("fake/echo", "echo")])
def test_a_wildcard_stands_for_what_it_covers(router, name, asks):
    """The rest of the name goes to the provider."""
    router.start({"fake/*": ["*"]})
    assert router.ask(name).status == 200
    assert router.up.requests[0].model == asks


def test_a_name_is_before_a_wildcard(router):
    router.start({"fake/*": ["*"], "fake/echo": ["fixed"]})
    assert router.ask("fake/echo").text == "ok"


def test_a_fallback_may_name_what_a_wildcard_covers(router):
    router.start({"free": ["502"], "fake/*": ["*"]}, fallbacks=[{"free": ["fake/echo"]}])
    assert router.ask().text == "echo: hello"


def test_a_fallback_may_name_a_deployment(router):
    """By its id: that one of the group, and no other."""
    router.start({"free": ["502"], "free2": [named(router, "a", "fixed"),
                                             named(router, "b", "echo")]},
                 fallbacks=[{"free": ["b"]}])
    assert {who(router.ask()) for _ in range(10)} == {"b"}


# -- names that are none --------------------------------------------------------------------------

@BOTH
@pytest.mark.parametrize("model", ["nope", "Free", "free ", "openai/echo", "*"])
def test_a_model_that_is_not_listed_does_not_exist(router, model, stream):
    """Status, text and shape of LiteLLM; the upstream, which would know it, is not asked."""
    router.start({"free": ["echo"]})
    answer = router.ask(model, stream=stream)
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.error["code"] == "400"
    assert "/chat/completions: Invalid model name passed in model=" in answer.error["message"]
    assert answer.error["message"].endswith(LISTED)
    assert not router.up.requests


@pytest.mark.parametrize("model", ["", None, 7, ["free"], "free\u0000x"])
def test_a_model_that_is_no_name_is_refused(router, model):
    router.start({"free": ["echo"]})
    answer = router.ask(model)
    assert answer.status == 400 and not router.up.requests


def test_a_name_of_a_megabyte_is_not_repeated_whole(router):
    router.start({"free": ["echo"]})
    answer = router.ask("x" * 1000000)
    assert answer.status == 400 and len(answer.body) < 2000


def test_refused_names_make_no_labels(router):
    """Strangers cannot fill the metrics with names of their own."""
    router.start({"free": ["echo"]})
    for number in range(2):
        router.ask(f"nope-{number}")
    assert not any("nope" in series for series in router.metrics())
    assert total(router.metrics(), "litellm_proxy_failed_requests_metric_total",
                 requested_model="other") == 2
