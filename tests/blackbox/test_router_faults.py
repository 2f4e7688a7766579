"""Whatever is wrong with the first model, its client does not notice: the answer is the next one's.
Each way to fail, whole and streamed; headers, ledger and metrics say what happened."""

import socket

import pytest
from harness import Hermes, directory
from openai_upstream import Upstream
from router_chain import BOTH, is_from_good, named, rows, total
from router_service import Router

# Scenario of the fake upstream: the status that it answered with (0: none came) and LiteLLM's name
# of what went wrong.
REFUSED = {
    "401": (401, "AuthenticationError"),
    "402": (402, "APIError"),
    "403": (403, "APIError"),
    "404": (404, "NotFoundError"),
    "408": (408, "Timeout"),
    "413": (413, "APIError"),
    "422": (422, "BadRequestError"),
    "429-forever": (429, "RateLimitError"),
    "429-long": (429, "RateLimitError"),
    "500-html": (500, "InternalServerError"),
    "500-empty": (500, "InternalServerError"),
    "502": (502, "BadGatewayError"),
    "503": (503, "ServiceUnavailableError"),
    "504": (504, "Timeout"),
    "529": (529, "APIError"),
    "400-context": (400, "ContextWindowExceededError"),
    "400-long": (400, "BadRequestError"),
    "400-string": (400, "BadRequestError"),
    "400-detail": (400, "BadRequestError"),
    "gemini-array": (400, "BadRequestError"),
    "redirect": (302, "InternalServerError"),
}
WRONG = {
    "200-error": (200, "BadGatewayError"),
    "200-limit": (200, "RateLimitError"),
    "stream-error-bare": (200, "ServiceUnavailableError"),
    "empty-stream": (200, "InternalServerError"),
    "no-events": (200, "InternalServerError"),
    "empty-answer": (200, "InternalServerError"),
    "empty-choices": (200, "InternalServerError"),
    "empty-body": (200, "InternalServerError"),
    "not-sse": (200, "InternalServerError"),
    "gzip-bomb": (200, "InternalServerError"),
    "deep-json": (200, "InternalServerError"),
    "deep-object": (200, "InternalServerError"),
    "raw-nul": (200, "InternalServerError"),
    "wrong-types": (200, "InternalServerError"),
    "not-an-object": (200, "InternalServerError"),
}
BROKEN = {
    "cut-before-headers": (0, "InternalServerError"),
    "cut-headers": (0, "InternalServerError"),
    "not-http": (0, "InternalServerError"),
    "huge-header": (0, "InternalServerError"),
    "many-headers": (0, "InternalServerError"),
    "huge-length": (200, None),
}
SILENT = {
    "hang": (0, "Timeout"),
    "hang-first-byte": (200, "Timeout"),
    "hang-comments": (200, "Timeout"),
}
# What only a client that wants one piece of JSON can have mended: it has seen nothing yet.
JSON_ONLY = {
    "choice-error": (200, "BadGatewayError"),
    "cut-json": (200, "InternalServerError"),
    "cut-json-clean": (200, "InternalServerError"),
    "cut-utf8": (200, "InternalServerError"),
    "cut-stream": (200, None),
    "cut-stream-clean": (200, None),
    "cut-stream-close": (200, None),
    "rst-stream": (200, None),
    "hang-mid": (200, None),
    "chunk-garbage": (200, None),
    "chunk-huge": (200, None),
    "stream-for-json": (200, None),
}


TIMEOUTS = {"hang": 0.5, "hang-first-byte": 0.5, "hang-comments": 0.5, "hang-mid": 1}
ELSEWHERE = {"refused": (0, "InternalServerError"), "stranger": (0, "InternalServerError")}
FAULTS = {**REFUSED, **WRONG, **BROKEN, **SILENT, **JSON_ONLY, **ELSEWHERE}


class Outcome:
    """What became of one call whose first deployment failed."""

    def __init__(self, answer, group):
        self.answer, self.group, self.rows = answer, group, []


def all_at_once(router, elsewhere):
    """{(fault, stream): Outcome} and the metrics of one router that meets every fault, each in a
    group of its own."""
    groups, fallbacks, found = {"free2": [named(router, "good", "echo")]}, [], {}
    for fault in FAULTS:
        for stream in (False, True):
            group = f"{'sse' if stream else 'json'}-{fault}"
            more = {"timeout": TIMEOUTS[fault]} if fault in TIMEOUTS else {}
            if fault in ELSEWHERE:
                more["api_base"] = elsewhere[fault]
            scenario = "echo" if fault in ELSEWHERE else fault
            groups[group] = [named(router, f"bad-{group}", scenario, **more)]
            fallbacks.append({group: ["free2"]})
            found[fault, stream] = Outcome(None, group)
    router.start(groups, fallbacks=fallbacks)
    for (_, stream), outcome in found.items():
        outcome.answer = router.ask(outcome.group, stream=stream)
    for outcome in found.values():
        outcome.rows = rows(router, outcome.answer)
    return found, router.metrics()


@pytest.fixture(scope="module")
def faults(binary):
    with (directory("hermes-test-") as path, Upstream() as up, Upstream(tls=True) as stranger,
          socket.socket() as unused):
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        user = Hermes(binary, path)
        user.upstreams.append(up)
        user.key_may_be_in = ("router.yaml",)
        router = Router(user, up)
        found, metrics = all_at_once(router, {
            "refused": f"http://127.0.0.1:{unused.getsockname()[1]}/v1",
            "stranger": stranger.base_url})
        assert not stranger.requests, "the key went to a server that is not who it should be"
        router.stop()
        yield found, metrics
        user.finish()


def is_mended(faults, fault, stream):
    """The answer is the second one's; ledger and metrics say that there was a first."""
    found, metrics = faults
    outcome, (status, error) = found[fault, stream], FAULTS[fault]
    is_from_good(outcome.answer, stream)
    bad, good = outcome.rows
    assert (bad["deployment"], bad["status"]) == (f"bad-{outcome.group}", status)
    assert bad["error"] and error in (None, bad["error"])
    assert (good["deployment"], good["status"], good["error"]) == ("good", 200, "")
    assert [row["reason"] for row in outcome.rows] == ["", "fallback"]
    assert [row["instead_of"] for row in outcome.rows] == ["", outcome.group]
    assert [row["streamed"] for row in outcome.rows] == [stream, stream]
    assert total(metrics, "litellm_deployment_failure_responses_total",
                 model_id=f"bad-{outcome.group}", exception_class=bad["error"]) == 1
    assert total(metrics, "litellm_deployment_successful_fallbacks_total",
                 requested_model=outcome.group, fallback_model="free2",
                 exception_class=bad["error"]) == 1
    assert total(metrics, "litellm_deployment_success_responses_total", model_id="good",
                 requested_model=outcome.group) == 1


@BOTH
@pytest.mark.parametrize("fault", REFUSED)
def test_a_refusal_is_mended(faults, fault, stream):
    """Every status that a provider may refuse with, each with the bodies that providers send."""
    is_mended(faults, fault, stream)


@BOTH
@pytest.mark.parametrize("fault", WRONG)
def test_a_200_that_is_no_answer_is_mended(faults, fault, stream):
    """An error, a limit, a page or nothing at all under a status that says that all is well."""
    is_mended(faults, fault, stream)


@BOTH
@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_connection_is_mended(faults, fault, stream):
    """What breaks before the first content breaks for nobody."""
    is_mended(faults, fault, stream)


@BOTH
@pytest.mark.parametrize("fault", SILENT)
def test_silence_is_mended(faults, fault, stream):
    """Nothing, only a header, or only comments: it has said nothing when its time is over."""
    is_mended(faults, fault, stream)


@BOTH
@pytest.mark.parametrize("fault", ELSEWHERE)
def test_who_is_not_there_is_replaced(faults, fault, stream):
    """Nobody listens, or whoever does has another's certificate."""
    is_mended(faults, fault, stream)


@pytest.mark.parametrize("fault", JSON_ONLY)
def test_half_an_answer_is_mended_for_who_wants_a_whole_one(faults, fault):
    """A client that does not stream has seen nothing of what was lost in the middle, nor of a
    stream that it did not ask for."""
    is_mended(faults, fault, False)
