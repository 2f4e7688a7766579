"""What the tests of the router's chains have in common: deployments with names, and what became of
a call in its answer, in the ledger and in the metrics."""

import home_socket
import pytest

CHAIN = [{"free": ["free2", "cheap"]}]
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])


def named(router, identity, scenario, **more):
    """A deployment that answers, and is found in the ledger, under this name."""
    return router.deployment(scenario, model_info={"id": identity}, **more)


def asked(router, model):
    """The requests for this model that the upstream has got."""
    return [request for request in router.up.requests if request.model == model]


def who(answer):
    """The deployment that gave it."""
    assert answer.status == 200, answer.body
    return answer.headers["x-litellm-model-id"]


def is_from_good(answer, stream):
    assert answer.status == 200, answer.body
    assert answer.text == "echo: hello"
    assert answer.whole or not stream
    assert answer.headers["x-litellm-model-id"] == "good"
    assert answer.headers["x-litellm-attempted-fallbacks"] == "1"


def rows(router, answer):
    """The attempts of this call in the ledger, which has them about a second later."""
    path = f"/calls/{answer.headers['x-litellm-call-id']}"
    found = []
    assert router.up.wait_for(lambda: found.append(home_socket.ask(router.hermes.home, "GET", path))
                              or found[-1][0] == 200), \
        (found[-1], answer.status, answer.body[:500])
    return found[-1][1]["attempts"]


def total(metrics, name, **labels):
    """The sum of a metric over all series with these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(value for series, value in metrics.items()
               if series.partition("{")[0] == name and all(part in series for part in wanted))
