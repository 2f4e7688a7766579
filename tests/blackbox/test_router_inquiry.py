"""What a call of unknown cost did cost: asked of its provider afterwards, where it can be asked.

Until then the most that it can have cost counts, and after it, if the provider never says anything
that can be believed.
"""

import concurrent.futures
import json
import re
import time

import home_socket
import pytest
from router_chain import rows

BOUND = 0.001  # dollars, of a call with max_tokens 100
TRUTH = 0.0000625  # what the provider says that it was
SPENT = 'hermes_router_budget_spent_dollars{budget="max_budget",scope="router",match="*"}'


def askable(router, scenario, **more):
    """A deployment of OpenRouter, which can be asked; the fake stands in for it."""
    params = {"model": f"openrouter/fake/{scenario}", "api_base": router.up.base_url,
              "api_key": router.up.api_key, "input_cost_per_token": 0,
              "output_cost_per_token": 1e-5}
    return {**params, **more}


def start(router, scenario="cut-stream", cap=1, **more):
    return router.start({"free": [askable(router, scenario, **more)]},
                        litellm={"max_budget": cap})


def told(identity, cost=TRUTH, **more):
    return 200, {"data": {"id": identity, "model": "fake", "total_cost": cost, **more}}


def released(up):
    """What the provider tells, but not before the test has looked at what counts until then."""
    def answer(identity, _):
        up.release.wait(60)
        return told(identity)
    return answer


def spent(router):
    """None after a start until the account was asked for or corrected."""
    return router.metrics().get(SPENT)


def eventually(router, pico, answer=None):
    """Asked of the budget, and where the answer is given of its row, until it is so."""
    def is_so():
        return spent(router) == pytest.approx(pico) and (
            answer is None or rows(router, answer)[0]["cost_source"] == "provider")
    assert router.up.wait_for(is_so, 60), (spent(router), router.up.generations_asked)


# -- what ends without a word ---------------------------------------------------------------------

def test_a_cut_stream_is_asked_for_afterwards(router, up):
    up.generation = released(up)
    start(router)
    answer = router.ask(stream=True, max_tokens=100)
    assert spent(router) == pytest.approx(BOUND)
    up.release.set()
    eventually(router, TRUTH, answer)
    row, = rows(router, answer)
    assert row["cost_usd"] == TRUTH and set(up.generations_asked) == {row["reply_id"]}


def wait_for_the_name(hermes):
    """Of an answer that takes its time the name is written down while it comes."""
    def is_there():
        return any(b"gen-" in path.read_bytes() for path in hermes.home.rglob("ledger.journal.*"))
    until = time.monotonic() + 60
    while not is_there():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("scenario", ["hold", "slow-comments:600"])
def test_who_left_pays_what_it_did_cost(hermes, router, up, scenario):
    """In the middle, or before the first content: then the name stands in the header alone."""
    up.generation = released(up)
    start(router, scenario)
    with router.open(max_tokens=100) as sock:
        if scenario == "hold":
            assert b"held" in sock.recv(65536)
        else:
            wait_for_the_name(hermes)
    assert up.wait_for(lambda: spent(router) == pytest.approx(BOUND))
    up.release.set()
    eventually(router, TRUTH)


def test_without_a_budget_the_ledger_learns_of_it_too(router, up, hermes):
    up.generation = released(up)
    deployment = askable(router, "cut-stream")
    for price in ("input_cost_per_token", "output_cost_per_token"):
        del deployment[price]
    router.start({"free": [deployment]})
    answer = router.ask(stream=True)
    assert rows(router, answer)[0]["cost_usd"] is None
    up.release.set()
    assert up.wait_for(lambda: rows(router, answer)[0]["cost_usd"] == TRUTH, 60)
    found = json.loads(hermes.run("cost", "--json").ok().text)
    assert found["all"]["cost_usd"] == TRUTH and found["all"]["unsure"] == 0


def test_a_call_that_said_what_it_cost_is_not_asked_for(router, up):
    """It would be one request more for each."""
    up.generation = lambda identity, times: told(identity)
    router.start({"free": [askable(router, "cut-stream")], "other": [askable(router, "echo")]},
                 litellm={"max_budget": 1})
    said = router.ask("other", stream=True, max_tokens=100)
    cut = router.ask(stream=True, max_tokens=100)
    eventually(router, TRUTH + 0.00014, cut)
    assert rows(router, said)[0]["reply_id"] not in up.generations_asked


def test_only_who_can_tell_is_asked(router, up):
    up.generation = lambda identity, times: told(identity)
    router.start({"free": [router.deployment("cut-stream", input_cost_per_token=0,
                                             output_cost_per_token=1e-5)],
                  "other": [askable(router, "cut-stream")]}, litellm={"max_budget": 1})
    router.ask(stream=True, max_tokens=100)
    router.ask("other", stream=True, max_tokens=100)
    eventually(router, BOUND + TRUTH)
    assert len(set(up.generations_asked)) == 1


# -- answers of any kind --------------------------------------------------------------------------

UNFIT = [
    ("not there yet", lambda identity: (404, {"error": {"code": 404, "message": "not found"}})),
    ("of another", lambda identity: told("gen-of-somebody-else", 0.5)),
    ("no id", lambda identity: (200, {"data": {"total_cost": 0.5}})),
    ("negative", lambda identity: told(identity, -1)),
    ("absurd", lambda identity: told(identity, 1e9)),
    ("endless", lambda identity: told(identity, 10 ** 400)),
    ("NaN", lambda identity: (200, '{"data": {"id": "%s", "total_cost": NaN}}' % identity)),
    ("text", lambda identity: told(identity, "0.5")),
    ("nothing", lambda identity: told(identity, None)),
    ("empty", lambda identity: (200, "")),
    ("broken", lambda identity: (500, "<html>")),
    ("large", lambda identity: told(identity, 0.5, padding="x" * 100000)),
    ("no object", lambda identity: (200, "[]")),
]


def test_what_cannot_be_believed_is_asked_for_again(router, up):
    """Each of them the first time; of one that was believed the sum would tell."""
    kinds = {}

    def answer(identity, times):
        _, unfit = kinds.setdefault(identity, UNFIT[len(kinds) % len(UNFIT)])
        up.release.wait(60)
        return unfit(identity) if times == 1 else told(identity)
    up.generation = answer
    start(router)
    with concurrent.futures.ThreadPoolExecutor(len(UNFIT)) as pool:
        list(pool.map(lambda _: router.ask(stream=True, max_tokens=100), UNFIT))
    assert spent(router) == pytest.approx(len(UNFIT) * BOUND)
    up.release.set()
    eventually(router, len(UNFIT) * TRUTH)
    assert len(kinds) == len(UNFIT)
    believed = [kinds[one][0] for one in kinds if up.generations_asked.count(one) < 2]
    assert not believed, believed


def test_few_are_asked_for_at_once(router, up):
    """What cut one answer off mostly cut many."""
    running, most = [], []

    def slowly(identity, times):
        running.append(identity)
        most.append(len(running))
        up.release.wait(0.05)
        running.remove(identity)
        return told(identity)
    up.generation = slowly
    start(router)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: router.ask(stream=True, max_tokens=100), range(12)))
    eventually(router, 12 * TRUTH)
    assert len(set(up.generations_asked)) == 12 and max(most) <= 2


def test_a_cost_above_the_bound_closes_the_budget(router, up):
    """As it would have at the end of the call: a bound that did not hold holds nothing."""
    up.generation = lambda identity, times: told(identity, 0.5)
    start(router)
    router.ask(stream=True, max_tokens=100)
    eventually(router, 0.5)
    refusal = router.ask(max_tokens=100)
    assert refusal.status == 400 and "is closed" in refusal.error["message"]
    router.process.wait_for_output(b"overshoot", "err")


# -- across a restart -----------------------------------------------------------------------------

def killed(router):
    router.process.signal(9)
    router.process.finish(20)


def test_an_inquiry_goes_on_after_a_restart(router, up):
    start(router)
    answer = router.ask(stream=True, max_tokens=100)
    router.stop()
    up.generation = lambda identity, times: told(identity)
    router.restart()
    eventually(router, TRUTH, answer)


def test_an_orphan_is_corrected_where_its_name_was_known(hermes, router, up):
    """Of an answer that takes its time the name is written down while it comes."""
    start(router, "drip")
    with router.open(max_tokens=100) as sock:
        wait_for_the_name(hermes)
        received = sock.recv(65536)
        killed(router)
    identity = re.search(rb'"id":"(gen-\d+)"', received).group(1).decode()
    up.generation = released(up)
    router.restart()
    assert up.wait_for(lambda: spent(router) == pytest.approx(BOUND))
    up.release.set()
    eventually(router, TRUTH)
    assert set(up.generations_asked) == {identity}
    costs = home_socket.ask(hermes.home, "GET", "/cost")[1]
    row, = costs["dearest"]
    assert row["error"] == "interrupted" and row["cost_source"] == "provider"
