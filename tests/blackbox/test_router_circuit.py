"""Circuits: one deployment per group, as most people have it. What is down is left alone until its
time is over; then exactly one call finds out whether it is back."""

import contextlib
import email.utils
import re
import threading
import time

import pytest
from openai_faults import PATIENCE
from openai_scenarios import echo, scenario
from router_chain import asked, named, total, who

CLIENTS = 50
COOLDOWN = 1.0


class Outage:
    """What the model "outage" does: "fail", answer ("ok"), or "hold" each call until released."""

    def __init__(self):
        self.mode, self.held, self.let_go = "fail", [], threading.Event()

    def hold(self):
        self.mode, self.held = "hold", []
        self.let_go.clear()

    def release(self, mode):
        self.mode = mode
        self.let_go.set()


@scenario("outage")
def outage(turn):
    state = turn.upstream.outage
    if state.mode == "hold":
        state.held.append(turn)
        turn.conn.wait(PATIENCE, state.let_go)
    if state.mode == "fail":
        turn.error(500, "the model is out")
    else:
        echo(turn)


@pytest.fixture
def router(router, up):
    up.outage = Outage()
    yield router
    up.outage.let_go.set()


def start(router, cooldown=COOLDOWN, allowed_fails=0, **more):
    """free is the one that is out, free2 answers. `allowed_fails` 0: the first failure opens."""
    bad = named(router, "bad", "outage", cooldown_time=cooldown)
    return router.start({"free": [bad], "free2": [named(router, "good", "fixed")]},
                        **{"fallbacks": [{"free": ["free2"]}], "allowed_fails": allowed_fails,
                           **more})


class Clients:
    """Many that ask one call after another until they are told to stop."""

    def __init__(self, router, count=CLIENTS, stream=False):
        self.router, self.stream = router, stream
        self.answers, self.problems = [], []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self):
        while not self.stopping.is_set():
            try:
                self.answers.append(self.router.ask(stream=self.stream))
            except OSError as problem:
                self.problems.append(problem)
                return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.router.up.outage.let_go.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.problems, self.problems

    def wait_for(self, condition):
        assert self.router.up.wait_for(condition, 60)


# -- open -----------------------------------------------------------------------------------------

def test_what_is_out_is_asked_once_and_then_left_alone(router):
    """50 clients ask until hundreds of calls are answered: all by the fallback, none after a second
    look at what is down."""
    start(router, cooldown=600)
    assert who(router.ask()) == "good"
    with Clients(router) as clients:
        clients.wait_for(lambda: len(clients.answers) >= 300)
    assert {who(answer) for answer in clients.answers} == {"good"}
    assert len(asked(router, "outage")) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_all_who_were_under_way_are_answered_elsewhere(router, stream):
    """50 calls are inside the upstream when it breaks down: no client sees it, and those failures
    are no further probes."""
    start(router, cooldown=600)
    router.up.outage.hold()
    with Clients(router, stream=stream) as clients:
        clients.wait_for(lambda: len(router.up.outage.held) == CLIENTS)
        clients.stopping.set()
        router.up.outage.release("fail")
    assert [who(answer) for answer in clients.answers] == ["good"] * CLIENTS
    assert who(router.ask()) == "good"
    assert len(asked(router, "outage")) == CLIENTS


def test_an_open_circuit_is_told(router):
    """The level for dashboards, how often it opened and why, and a line in the log."""
    start(router, cooldown=600)
    for _ in range(3):
        router.ask()
    metrics = router.metrics()
    assert total(metrics, "litellm_deployment_state", model_id="bad") == 2
    assert total(metrics, "hermes_router_circuit_state", model_id="bad") == 2
    assert total(metrics, "hermes_router_circuit_state", model_id="good") == 0
    assert total(metrics, "litellm_deployment_cooled_down_total", model_id="bad",
                 exception_status="500") == 1
    assert router.process.err.count(b"is paused for a while") == 1


def test_nobody_waits_for_what_is_down(router):
    """Without a fallback the client is told when to come again, and the upstream is not asked."""
    start(router, cooldown=600, fallbacks=[])
    assert router.ask().status == 500
    answer = router.ask()
    assert answer.status == 429
    seconds = int(answer.headers["retry-after"])
    assert 0 < seconds <= 600
    assert re.match(r"litellm\.RouterRateLimitError: No deployments available for selected model, "
                    rf"Try again in {seconds} seconds\. Passed model=free\. pre-call-checks=False",
                    answer.error["message"])
    assert answer.error["type"] == "None" and answer.error["code"] == "429"
    assert len(asked(router, "outage")) == 1


def test_a_reload_keeps_what_is_known(router):
    """The file is read again while a circuit is open: what is down stays alone."""
    start(router, cooldown=600)
    router.ask()
    router.reload()
    assert {who(router.ask()) for _ in range(5)} == {"good"}
    assert len(asked(router, "outage")) == 1
    assert total(router.metrics(), "litellm_deployment_state", model_id="bad") == 2


def test_what_an_old_call_finds_out_after_a_reload_is_known_and_told(router):
    """It still runs under the old plan, and its deployment has another place in the new one."""
    start(router, cooldown=600)
    router.up.outage.hold()
    with Clients(router, 2) as clients:
        clients.wait_for(lambda: len(router.up.outage.held) == 2)
        clients.stopping.set()
        bad = named(router, "bad", "outage", cooldown_time=600)
        router.write({"before": ["fixed"], "free": [bad]}, allowed_fails=0)
        router.reload()
        router.up.outage.release("fail")
    assert [who(answer) for answer in clients.answers] == ["good"] * 2
    assert total(router.metrics(), "litellm_deployment_state", model_id="bad") == 2
    assert router.ask().status == 429
    assert len(asked(router, "outage")) == 2


@pytest.mark.parametrize("wrong", [{"api_key": "sk-wrong"}, {"extra_headers": {
    "Authorization": "Bearer sk-wrong"}}], ids=["key", "header"])
def test_a_corrected_key_closes_the_circuit(router, wrong):
    """What was seen with the wrong one says nothing of the right one: it is asked at once."""
    router.start({"free": [named(router, "bad", "fixed", cooldown_time=600, **wrong)]})
    assert router.ask().status == 401
    assert router.ask().status == 429
    assert total(router.metrics(), "litellm_deployment_state", model_id="bad") == 2
    router.write({"free": [named(router, "bad", "fixed", cooldown_time=600)]})
    router.reload()
    assert total(router.metrics(), "litellm_deployment_state", model_id="bad") == 0
    assert router.ask().text == "ok"


def test_what_is_found_out_with_the_old_key_is_not_held_against_the_new_one(router):
    """Calls that came before the reload end after it, and one of them asks once more."""
    router.up.api_key = ""  # any is let in
    def entry(key):
        return named(router, "bad", "outage", cooldown_time=600, api_key=key)
    router.start({"free": [entry("sk-old")], "free2": ["fixed"]}, allowed_fails=0,
                 fallbacks=[{"free": ["free2"]}])
    router.up.outage.hold()
    with Clients(router, 2) as clients:
        clients.wait_for(lambda: len(router.up.outage.held) == 2)
        clients.stopping.set()
        router.write({"free": [entry("sk-new")]}, allowed_fails=0)
        router.reload()
        router.up.outage.release("fail")
    assert [answer.text for answer in clients.answers] == ["ok"] * 2
    router.up.outage.mode = "ok"
    assert total(router.metrics(), "litellm_deployment_state", model_id="bad") == 0
    assert who(router.ask()) == "bad"


def test_when_all_are_down_nobody_is_asked(router):
    """Every group of the chain is left alone: the client hears so at once, and when to come."""
    router.start({"free": ["401"], "free2": ["402"], "cheap": ["404"]},
                 fallbacks=[{"free": ["free2", "cheap"]}])
    assert router.ask().status == 401
    count = len(router.up.requests)
    answer = router.ask(stream=True)
    assert answer.status == 429 and 0 < int(answer.headers["retry-after"]) <= 5
    assert len(router.up.requests) == count == 3


# -- half-open ------------------------------------------------------------------------------------

def test_until_its_time_is_over_nobody_asks_and_then_exactly_one(router):
    """While the probe waits for its answer, hundreds of others go elsewhere."""
    before = time.monotonic()
    start(router)
    assert who(router.ask()) == "good"
    router.up.outage.hold()
    with Clients(router) as clients:
        clients.wait_for(lambda: router.up.outage.held)
        count = len(clients.answers)
        clients.wait_for(lambda: len(clients.answers) >= count + 300)
        assert len(router.up.outage.held) == 1
        router.up.outage.release("ok")
        clients.wait_for(lambda: "bad" in {who(answer) for answer in clients.answers[-CLIENTS:]})
    assert asked(router, "outage")[1].time - before >= COOLDOWN


def test_a_probe_that_answers_closes_the_circuit(router):
    """Then everybody is back at once, with a metric that says so."""
    start(router)
    router.ask()
    router.up.outage.mode = "ok"
    assert router.up.wait_for(lambda: who(router.ask()) == "bad")
    with Clients(router) as clients:
        clients.wait_for(lambda: len(clients.answers) >= 100)
    assert {who(answer) for answer in clients.answers} == {"bad"}
    metrics = router.metrics()
    assert total(metrics, "litellm_deployment_state", model_id="bad") == 0
    assert total(metrics, "litellm_deployment_cooled_down_total", model_id="bad") == 1


def test_a_probe_that_fails_opens_it_for_twice_as_long(router):
    """An outage of an hour costs a dozen probes, not thousands."""
    start(router, cooldown=0.5)
    router.ask()
    with Clients(router, 10):
        assert router.up.wait_for(lambda: len(asked(router, "outage")) >= 4, 60)
    times = [request.time for request in asked(router, "outage")[:4]]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    for place, gap in enumerate(gaps):  # of instants before each failure was known
        assert gap >= 0.5 * 2 ** place - 0.01, gaps


def test_a_probe_is_told_and_so_is_each_new_pause(router):
    """1 while one call looks whether it is back, 2 again when it is not, and the pauses count."""
    start(router, cooldown=0.3)
    router.ask()
    router.up.outage.hold()
    with Clients(router, 5) as clients:
        clients.wait_for(lambda: router.up.outage.held)
        assert total(router.metrics(), "litellm_deployment_state", model_id="bad") == 1
        router.up.outage.release("fail")
        clients.wait_for(lambda: total(router.metrics(), "litellm_deployment_cooled_down_total",
                                       model_id="bad") >= 2)


def test_a_stream_closes_it_with_its_first_content(router):
    """Others need not wait for the end of a long answer to know that it works."""
    start(router)
    router.ask()
    router.up.outage.mode = "ok"
    assert router.up.wait_for(lambda: who(router.ask(stream=True)) == "bad")
    assert total(router.metrics(), "litellm_deployment_state", model_id="bad") == 0


def test_a_probe_whose_client_left_gives_its_turn_to_another(router):
    """Nothing was learnt, so the next may ask, and at once."""
    start(router)
    router.ask()
    router.up.outage.hold()
    until = time.monotonic() + 60
    while not router.up.outage.held:
        assert time.monotonic() < until
        with contextlib.suppress(TimeoutError), router.open("free") as sock:
            sock.settimeout(0.3)
            sock.recv(1)
    assert router.up.wait_for(lambda: router.up.disconnects)
    router.up.outage.release("ok")
    assert router.up.wait_for(lambda: who(router.ask()) == "bad")


# -- what opens it --------------------------------------------------------------------------------

def test_three_failures_in_a_row_are_allowed(router):
    """The default for what a retry might help: the fourth opens."""
    start(router, cooldown=600, allowed_fails=3)
    for _ in range(6):
        assert who(router.ask()) == "good"
    assert len(asked(router, "outage")) == 4


def test_an_answer_in_between_says_that_it_works(router):
    start(router, cooldown=600, allowed_fails=1)
    for mode in ("fail", "ok", "fail", "ok", "fail"):
        router.up.outage.mode = mode
        assert who(router.ask()) == ("bad" if mode == "ok" else "good")
    assert len(asked(router, "outage")) == 5


@pytest.mark.parametrize("status", ["401", "402", "403-key", "404", "404-account", "429-long"])
def test_what_no_retry_helps_opens_at_once(router, status):
    """A key that is refused now is refused in a second as well. No setting is needed for it."""
    router.start({"free": [status], "free2": ["fixed"]}, fallbacks=[{"free": ["free2"]}])
    for _ in range(5):
        assert router.ask().text == "ok"
    assert len(asked(router, status)) == 1


@pytest.mark.parametrize("status", ["400-context", "400-string", "422", "413", "403", "403-page",
                                    "403-guidelines", "404-image", "404-tools", "404-providers",
                                    "withheld"])
def test_the_requests_own_fault_opens_nothing(router, status):
    """One client with a bad request must not take the model away from all others."""
    router.start({"free": [status], "free2": ["fixed"]}, fallbacks=[{"free": ["free2"]}],
                 allowed_fails=0)
    for _ in range(5):
        assert router.ask().text == "ok"
    assert len(asked(router, status)) == 5


def test_a_clients_own_wishes_for_providers_open_nothing(router):
    """Whatever the words in which it is told that nobody fulfils them."""
    router.start({"free": ["404-account"], "free2": ["fixed"]}, fallbacks=[{"free": ["free2"]}])
    for _ in range(3):
        assert router.ask(provider={"only": ["two"]}).text == "ok"
    assert len(asked(router, "404-account")) == 3


def test_a_wildcard_outlives_a_name_that_is_none(router):
    """One client's typing mistake must not take away every model that a wildcard stands for."""
    router.start({"fake/*": ["*"]})
    for _ in range(3):
        assert router.ask("fake/404").status == 404
        assert router.ask("fake/echo").text == "echo: hello"


def test_retry_after_says_for_how_long(router):
    """A provider that asks for a day is believed for an hour."""
    router.start({"free": ["429-long"]})
    assert router.ask().status == 429
    answer = router.ask()
    assert answer.status == 429 and "No deployments available" in answer.error["message"]
    assert 3000 < int(answer.headers["retry-after"]) <= 3600
    assert len(asked(router, "429-long")) == 1


@scenario("429-future")
def date(turn):
    until = email.utils.formatdate(time.time() + 1800, usegmt=True)
    turn.error(429, "slow down", fields=[("Retry-After", until)])


def test_retry_after_may_be_a_date(router):
    router.start({"free": ["429-future"]}, cooldown_time=1)
    assert 600 < int(router.ask().headers["retry-after"]) <= 1800
    assert 600 < int(router.ask().headers["retry-after"]) <= 1800
    assert len(asked(router, "429-future")) == 1


@scenario("429-odd")
def every_other(turn):
    """Refused for two seconds at every odd time."""
    if turn.upstream.count(turn.body["model"]) % 2:
        turn.error(429, "slow down", fields=[("Retry-After", 2)])
    else:
        echo(turn)


RETRY_AFTER = 2.0


def kept(router, model):
    """Whether every request for it came after the time that it asked for."""
    times = [request.time for request in asked(router, model)]
    return all(later - earlier >= RETRY_AFTER for earlier, later in zip(times, times[1:]))


@pytest.mark.parametrize("settings", [{}, {"allowed_fails": 100}, {"num_retries": 1},
                                      {"cooldown_time": 0}])
def test_a_short_retry_after_is_kept(router, settings):
    """Also where one such failure opens nothing: meanwhile the chain goes on."""
    model = f"429-forever:{RETRY_AFTER:g}"
    router.start({"free": [named(router, "bad", model)], "free2": [named(router, "good", "fixed")]},
                 fallbacks=[{"free": ["free2"]}], **settings)
    assert router.up.wait_for(lambda: who(router.ask()) == "good" and len(asked(router, model)) > 2)
    assert kept(router, model)


def test_who_has_nowhere_else_to_go_waits_for_it(router):
    """A known and short time is worth waiting for."""
    router.start({"free": ["429-odd"]})
    assert router.ask().status == 429
    assert router.ask().text == "echo: hello"
    assert kept(router, "429-odd")


def test_one_retry_after_is_kept_by_all_who_wait(router):
    """Many calls at once, most of which hear only from others that they should wait."""
    model = f"429-forever:{RETRY_AFTER:g}"
    start_at = [named(router, "bad", model, max_parallel_requests=1)]
    router.start({"free": start_at, "free2": [named(router, "good", "fixed")]},
                 fallbacks=[{"free": ["free2"]}], allowed_fails=1000)
    with Clients(router, 10) as clients:
        clients.wait_for(lambda: len(asked(router, model)) >= 3)
    assert {who(answer) for answer in clients.answers} == {"good"}
    assert kept(router, model)


@scenario("flood")
def flood(turn):
    turn.begin_text()
    while True:
        turn.send(turn.dialect.chunk({"content": "x" * 8000}))


def test_a_reader_that_stands_still_opens_nothing(router):
    """Its time comes to an end, but that is no fault of the deployment."""
    router.start({"free": [named(router, "one", "flood", timeout=2)]}, cooldown_time=600)
    with router.open() as sock:
        assert sock.recv(100)
        assert router.up.wait_for(lambda: router.metrics()["litellm_in_flight_requests"] == 0)
        metrics = router.metrics()
    assert total(metrics, "litellm_deployment_state", model_id="one") == 0
    assert total(metrics, "litellm_deployment_cooled_down_total") == 0


@pytest.mark.parametrize("settings", [{"disable_cooldowns": True}, {"cooldown": 0}])
def test_an_owner_may_do_without_pauses(router, settings):
    """Then a provider's wish to be left alone counts no more than its failures."""
    cooldown = {"cooldown_time": settings["cooldown"]} if "cooldown" in settings else {}
    router.start({"free": [named(router, "bad", "429-forever:600", **cooldown)],
                  "free2": ["fixed"]}, fallbacks=[{"free": ["free2"]}],
                 disable_cooldowns="disable_cooldowns" in settings)
    for _ in range(5):
        assert router.ask().text == "ok"
    assert len(asked(router, "429-forever:600")) == 5


@pytest.mark.parametrize("settings", [{"disable_cooldowns": True}, {"cooldown": 0}])
def test_an_owner_may_do_without(router, settings):
    start(router, **settings)
    for _ in range(5):
        assert who(router.ask()) == "good"
    assert len(asked(router, "outage")) == 5


def test_an_allowed_fails_policy_is_the_owners_word(router):
    """For its class it counts also where a first failure would have been enough."""
    router.start({"free": ["401"], "free2": ["fixed"]}, fallbacks=[{"free": ["free2"]}],
                 allowed_fails_policy={"AuthenticationErrorAllowedFails": 2})
    for _ in range(6):
        assert router.ask().text == "ok"
    assert len(asked(router, "401")) == 3
