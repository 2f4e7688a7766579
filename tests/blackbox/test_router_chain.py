"""A chain of models, free -> free2 -> cheap: who is asked when the first one fails, what the client
may say about it, and what is told when nobody answers."""

import collections
import json
import threading

import pytest
from router_chain import BOTH, CHAIN, is_from_good, named, rows, total


@pytest.fixture
def router(router, hermes, up):
    hermes.upstreams.append(up)  # the key must not be written to anything but its own file
    hermes.key_may_be_in = ("router.yaml",)
    return router


def start(router, first, **more):
    """The chain, with this first deployment. The next has time, whatever the settings say."""
    first = first if isinstance(first, dict) else named(router, "bad", first)
    return router.start({"free": [first], "free2": [named(router, "good", "echo", timeout=60)],
                         "cheap": [named(router, "last", "fixed")]},
                        **{"fallbacks": CHAIN, **more})


@pytest.mark.parametrize("fault", ["503", "200-error", "empty-body", "not-sse", "cut-json"])
@pytest.mark.parametrize("path, body", [("/v1/embeddings", {"input": "hello"}),
                                        ("/v1/completions", {"prompt": "hello"})])
def test_the_chain_holds_for_the_other_operations(router, path, body, fault):
    """What is no chat fails in the same ways."""
    start(router, fault)
    answer = router.request("POST", path, json.dumps({"model": "free", **body}))
    assert answer.status == 200, answer.body
    assert answer.headers["x-litellm-model-id"] == "good"
    assert answer.json.get("data") or answer.json["choices"][0]["text"]


def test_a_stream_without_content_has_a_limit_of_its_own(router):
    """Comments keep a connection alive but are no answer: router.first_content_timeout ends it long
    before the limit of the whole call."""
    start(router, "hang-comments", own={"first_content_timeout": 1})
    is_from_good(router.ask(stream=True), True)


@BOTH
def test_who_is_asked_next_has_all_of_its_time(router, stream):
    """`timeout` is that of one attempt, as in LiteLLM: a first model that hangs through the whole
    of it leaves the time to answer to the next."""
    start(router, "hang", timeout=1)
    is_from_good(router.ask(stream=stream), stream)


def test_another_deployment_has_all_of_its_time(router):
    """The same inside a group."""
    router.start({"free": [named(router, "bad", "hang", order=1),
                           named(router, "good", "echo", order=2, timeout=60)]}, timeout=1)
    assert router.ask().headers["x-litellm-model-id"] == "good"


# -- what is told of it ---------------------------------------------------------------------------

def test_the_metrics_count_the_attempts_and_the_fallback(router):
    """A failed attempt, one that answered, and a fallback that was worth it."""
    start(router, "502")
    is_from_good(router.ask(), False)
    metrics = router.metrics()
    assert total(metrics, "litellm_deployment_failure_responses_total", model_id="bad",
                 exception_status="502", exception_class="BadGatewayError") == 1
    assert total(metrics, "litellm_deployment_success_responses_total", model_id="good") == 1
    assert total(metrics, "litellm_deployment_total_requests_total") == 2
    assert total(metrics, "litellm_deployment_successful_fallbacks_total", requested_model="free",
                 fallback_model="free2", exception_status="502") == 1
    assert total(metrics, "litellm_proxy_total_requests_metric_total", status_code="200") == 1
    assert total(metrics, "litellm_proxy_failed_requests_metric_total") == 0


def test_a_fallback_that_fails_too_is_counted(router):
    """Of two fallbacks the first fails and the second answers: both are told."""
    router.start({"free": ["502"], "free2": ["503"], "cheap": ["fixed"]}, fallbacks=CHAIN)
    assert router.ask().text == "ok"
    metrics = router.metrics()
    assert total(metrics, "litellm_deployment_failed_fallbacks_total", fallback_model="free2") == 1
    assert total(metrics, "litellm_deployment_successful_fallbacks_total",
                 fallback_model="cheap") == 1


def test_each_attempt_and_the_request_have_a_line_in_the_log(router):
    start(router, "502")
    router.ask(headers={"x-litellm-call-id": "my-call"})
    router.process.wait_for_output(b"router.request", "err")
    lines = [line for line in router.process.err.decode().splitlines() if "my-call" in line]
    assert [line.split("router.")[1].split()[0] for line in lines] == \
        ["attempt", "attempt", "request"]
    assert "deployment=bad" in lines[0] and "failed=BadGatewayError" in lines[0]
    assert "deployment=good" in lines[1] and "failed" not in lines[1]
    assert "attempts=2" in lines[2]


def test_the_answer_names_the_model_that_gave_it(router):
    """Who pays by the model must be able to see which it was."""
    start(router, "502")
    answer = router.ask()
    assert answer.json["model"] == "echo"
    assert answer.headers["x-litellm-model-api-base"] == router.up.base_url


def test_a_failed_attempt_that_was_refused_costs_nothing(router):
    start(router, "503")
    bad, good = rows(router, router.ask())
    assert (bad["cost_usd"], bad["cost_source"]) == (0, "none")
    assert good["cost_usd"] == pytest.approx(0.00014) and good["cost_source"] == "provider"


STORM = ["401", "429-forever", "500-html", "200-error", "empty-stream", "no-events", "not-sse",
         "cut-headers", "not-http", "stream-error-bare", "hang-comments", "wrong-types", "no-done"]


def test_a_storm_of_faults_leaves_nothing_behind(router):
    """50 clients, half of them streaming, against a group in which all but one are broken and no
    circuit ever opens: each answer is right, and afterwards nothing is held or counted as under
    way."""
    router.start({"free": [named(router, name, name, **({"timeout": 0.5} if "hang" in name else {}))
                           for name in STORM],
                  "free2": [named(router, "good", "echo")]},
                 fallbacks=[{"free": ["free2"]}], num_retries=2, disable_cooldowns=True)
    answers = []

    def client(number):
        for _ in range(4):
            answers.append(router.ask(stream=bool(number % 2)))
    threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == 200
    texts = {"good": "echo: hello", "no-done": "complete without a marker"}
    assert all(answer.text == texts[answer.headers["x-litellm-model-id"]]
               for answer in answers)
    metrics = router.metrics()
    came = collections.Counter(request.model for request in router.up.requests)
    told = {name: total(metrics, "litellm_deployment_total_requests_total", model_id=name)
            for name in STORM}
    assert told == {name: came[name] for name in STORM}
    assert total(metrics, "litellm_proxy_total_requests_metric_total", status_code="200") == 200
    for level in ("litellm_in_flight_requests", "hermes_router_upstream_attempts",
                  "hermes_router_held_bytes"):
        assert metrics[level] == 0, level


# -- nobody answers -------------------------------------------------------------------------------

@BOTH
def test_when_all_fail_the_first_failure_is_told(router, stream):
    """Status and words of what was asked for, and after it what LiteLLM says of the fallbacks. A
    stream that never began is an ordinary answer, too."""
    router.start({"free": ["503"], "free2": ["502"], "cheap": ["401"]}, fallbacks=CHAIN)
    answer = router.ask(stream=stream)
    assert answer.status == 503
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["retry-after"] == "1"
    error = answer.error
    assert error["code"] == "503" and error["param"] is None
    first, _, rest = error["message"].partition(". Received Model Group=free\n")
    assert first.startswith("litellm.ServiceUnavailableError: ServiceUnavailableError: "
                            "OpenAIException - ")
    assert first.endswith("No provider meets the routing requirements")
    available, _, last = rest.partition("\n")
    assert available == "Available Model Group Fallbacks=['free2', 'cheap']"
    assert last.startswith("Error doing the fallback: litellm.AuthenticationError")
    assert len(rows(router, answer)) == 3


def test_no_fallbacks_are_told_as_none(router):
    router.start({"free": ["503"]})
    message = router.ask().error["message"]
    assert message.endswith(". Received Model Group=free\nAvailable Model Group Fallbacks=None")


def test_the_key_that_a_provider_quotes_is_not_passed_on(router):
    """OpenAI repeats the refused key in its sentence."""
    router.start({"free": ["401"]})
    answer = router.ask()
    assert answer.status == 401
    assert router.up.api_key not in answer.body.decode()


def test_a_provider_page_is_not_passed_on(router):
    """An error page of 6 KB is no sentence for a client."""
    router.start({"free": ["500-html"]})
    answer = router.ask()
    assert answer.status == 500 and "<" not in answer.error["message"]


def test_the_longest_failure_is_one_short_sentence(router):
    """A megabyte of words with escapes for a terminal in it."""
    router.start({"free": ["400-long"]})
    answer = router.ask()
    assert answer.status == 400 and len(answer.body) < 2000
    assert "\x1b" not in answer.error["message"]


def test_a_fallback_group_has_fallbacks_of_its_own(router):
    router.start({"free": ["502"], "free2": ["503"], "cheap": ["fixed"]},
                 fallbacks=[{"free": ["free2"]}, {"free2": ["cheap"]}])
    answer = router.ask()
    assert answer.text == "ok" and answer.headers["x-litellm-attempted-fallbacks"] == "2"


def test_a_circle_of_fallbacks_ends(router):
    """Each group is asked once, however the lists point at each other."""
    router.start({"free": ["502"], "free2": ["503"]},
                 fallbacks=[{"free": ["free2"]}, {"free2": ["free"]}])
    answer = router.ask()
    assert answer.status == 502 and len(router.up.requests) == 2


def test_max_fallbacks_bounds_how_many_lists_are_begun(router):
    router.start({"free": ["502"], "free2": ["503"], "cheap": ["fixed"]}, max_fallbacks=1,
                 fallbacks=[{"free": ["free2"]}, {"free2": ["cheap"]}])
    assert router.ask().status == 502


# -- lists of their own ---------------------------------------------------------------------------

def test_too_long_a_request_goes_to_a_larger_model(router):
    """Where context_window_fallbacks has a list, that is asked and not the general one."""
    start(router, "400-context", context_window_fallbacks=[{"free": ["cheap"]}])
    answer = router.ask()
    assert answer.headers["x-litellm-model-id"] == "last"


def test_too_long_a_request_without_a_list_ends_there(router):
    """The setting exists, but not for this group: as in LiteLLM, the general list is not asked."""
    start(router, "400-context", context_window_fallbacks=[{"cheap": ["free2"]}])
    answer = router.ask()
    assert answer.status == 400 and len(router.up.requests) == 1
    assert "ContextWindowExceededError" in answer.error["message"]


def test_what_is_known_to_be_too_long_is_not_tried(router):
    """enable_pre_call_checks: a model whose context is smaller than the request is not asked."""
    small = router.deployment("echo", model_info={"id": "small", "max_input_tokens": 100})
    start(router, small, enable_pre_call_checks=True,
          context_window_fallbacks=[{"free": ["cheap"]}])
    message = {"role": "user", "content": "words " * 1000}
    assert router.ask(messages=[message]).headers["x-litellm-model-id"] == "last"
    assert router.ask().headers["x-litellm-model-id"] == "small"
    assert [request.model for request in router.up.requests] == ["fixed", "echo"]


def test_forbidden_content_goes_to_its_own_list(router):
    start(router, "403", content_policy_fallbacks=[{"free": ["cheap"]}])
    assert router.ask().headers["x-litellm-model-id"] == "last"


def test_a_moderation_that_has_no_list_goes_to_the_general_one(router):
    """It speaks for its provider only: as in LiteLLM, to which it is a 403 like any other."""
    start(router, "403", content_policy_fallbacks=[{"cheap": ["free2"]}])
    assert router.ask().headers["x-litellm-attempted-fallbacks"] == "1"


def test_default_fallbacks_are_for_groups_without_a_list(router):
    start(router, "502", fallbacks=[], default_fallbacks=["cheap"])
    assert router.ask().headers["x-litellm-model-id"] == "last"


def test_a_list_of_the_group_is_before_the_default(router):
    start(router, "502", default_fallbacks=["cheap"])
    is_from_good(router.ask(), False)


# -- what the client says -------------------------------------------------------------------------

@pytest.mark.parametrize("fallbacks", [["cheap"], [{"model": "cheap"}]])
def test_a_clients_own_fallbacks_replace_the_configured(router, fallbacks):
    start(router, "502")
    assert router.ask(fallbacks=fallbacks).headers["x-litellm-model-id"] == "last"


def test_a_clients_own_fallbacks_must_be_listed_models(router):
    """An allowlist that a client could go round would be none."""
    start(router, "echo")
    answer = router.ask(fallbacks=["openai/gpt-unlisted"])
    assert answer.status == 400 and "gpt-unlisted" in answer.error["message"]
    assert not router.up.requests


def test_a_client_may_forbid_fallbacks(router):
    start(router, "502")
    answer = router.ask(disable_fallbacks=True)
    assert answer.status == 502 and len(router.up.requests) == 1


@pytest.mark.parametrize("odd", [{"fallbacks": "free2"}, {"fallbacks": []}, {"fallbacks": None},
                                 {"fallbacks": {"free": "free2"}}, {"num_retries": "2"},
                                 {"num_retries": -5}, {"num_retries": None},
                                 {"disable_fallbacks": "no"}, {"disable_fallbacks": None}])
def test_what_is_said_oddly_reaches_no_provider(router, odd):
    """It is refused by us or it means nothing; a provider never has to make sense of it."""
    start(router, "502")
    answer = router.ask(**odd)
    assert answer.status == 200 or (answer.status == 400 and not router.up.requests)
    assert not router.up.rejected


def test_what_was_for_the_router_does_not_reach_the_provider(router):
    """A picky provider refuses members that it does not know."""
    start(router, "502")
    is_from_good(router.ask(fallbacks=["free2"], num_retries=0, disable_fallbacks=False), False)
    assert {"fallbacks", "num_retries", "disable_fallbacks"}.isdisjoint(router.up.requests[1].json)
