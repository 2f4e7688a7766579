"""Names and addresses on the way to a provider: resolv.conf and hosts as every program reads them,
name servers that are dead, addresses that lead nowhere, machines with one family of addresses.

Each test runs the binary in a network of its own. Lost addresses swallow what is sent to them, so
what is answered "soon" was not waited for: every limit is several times as long.
"""

import contextlib
import pathlib
import signal
import threading
import time
from http.client import HTTPException

import pytest
from harness import IS_ROOT, SOON, TEST_UID, comes_true
from name_server import (GARBAGE, HELD, NXDOMAIN, REFUSED, SERVFAIL, SILENT, NameServer,
                         Truncated)
from openai_upstream import Upstream
from own_network import HOSTS, LOST_V4, LOST_V6, V4, V6, Network
from router_service import Router

pytestmark = pytest.mark.release

LONG = 60           # a limit that nothing here comes near to
QUICK = "options timeout:1 attempts:1\n"     # what a resolver waits for one server
UNREACHABLE_V6 = "2001:db8::2"


@contextlib.contextmanager
def served(hermes, names=(), at=V4, listen=None, tls=False, **settings):
    """(network, name server, upstream): a fake in a network of the binary's own."""
    with Network(**settings) as network, \
            NameServer(network, names, "::1" if settings.get("ipv4") is False else "127.0.0.1") \
            as server, Upstream(tls=tls, listener=network.listen(listen or at)) as up:
        hermes.environment.pop("OPENAI_BASE_URL", None)
        yield network, server, up


def inside(network):
    return {"wrapper": network.enter(TEST_UID if IS_ROOT else None), "as_root": True}


def chat(hermes, network, up, name, **limits):
    hermes.use(up, "echo", name=name, **{"connect": LONG, "stale": LONG, **limits})
    return hermes.run("chat", "-q", "hi", **inside(network))


def answered(result, seconds=SOON):
    assert result.ok().text == "echo: hi\n"
    assert result.seconds < seconds, f"something was waited for: {result}"


# -- resolv.conf and hosts ------------------------------------------------------------------------

@pytest.mark.parametrize("options,name,known", [
    ("search corp.test other.test\n", "api", "api.other.test"),
    ("search corp.test\noptions ndots:3\n", "api.svc", "api.svc.corp.test"),
    ("search corp.test\n", "api.svc", "api.svc"),
    ("search a.test b.test\noptions ndots:5\n", "api.fake.test", "api.fake.test"),
    ("domain corp.test\n", "api", "api.corp.test"),
], ids=["search", "ndots", "no-search", "as-it-is-last", "domain"])
def test_resolv_conf_is_obeyed(hermes, options, name, known):
    with served(hermes, {known: [V4]}, resolv="nameserver 127.0.0.1\n" + options) \
            as (network, names, up):
        answered(chat(hermes, network, up, name))
        assert names.asked(known)


def test_ndots_decides_what_is_asked_first(hermes):
    resolv = "nameserver 127.0.0.1\nsearch corp.test\noptions ndots:{}\n"
    for dots, first in ((2, "api.svc.corp.test"), (1, "api.svc")):
        both = {"api.svc": [V4], "api.svc.corp.test": [V4]}
        with served(hermes, both, resolv=resolv.format(dots)) as (network, names, up):
            answered(chat(hermes, network, up, "api.svc"))
            assert {name for name, _ in names.questions} == {first}


@pytest.mark.parametrize("name", ["listed.test", "alias"])
def test_hosts_comes_before_the_name_server(hermes, name):
    with served(hermes, {name: [LOST_V4]},
                hosts=f"{HOSTS}# a comment\n{V4}\tlisted.test  alias # for tests\n") \
            as (network, names, up):
        answered(chat(hermes, network, up, name))
        assert not names.questions


def test_hosts_may_name_several_addresses(hermes):
    hosts = f"{HOSTS}{UNREACHABLE_V6} both.test\n{V4} both.test\n"
    with served(hermes, hosts=hosts) as (network, names, up):
        answered(chat(hermes, network, up, "both.test"))
        assert not names.questions


@pytest.mark.parametrize("first", [SILENT, SERVFAIL, "closed"])
def test_the_second_name_server_is_asked(hermes, first):
    resolv = f"nameserver 127.0.0.2\nnameserver 127.0.0.1\n{QUICK}"
    with served(hermes, {"api.fake.test": [V4]}, resolv=resolv) as (network, names, up):
        with contextlib.ExitStack() as stack:
            if first != "closed":
                bad = stack.enter_context(NameServer(network, address="127.0.0.2", default=first))
            answered(chat(hermes, network, up, "api.fake.test"))
            assert first == "closed" or bad.asked("api.fake.test"), "otherwise nothing is proved"


def test_a_truncated_answer_is_asked_for_again_over_tcp(hermes):
    with served(hermes, {"api.fake.test": Truncated([V4])}) as (network, names, up):
        answered(chat(hermes, network, up, "api.fake.test"))
        assert "api.fake.test" in names.over_tcp


@pytest.mark.parametrize("what", [NXDOMAIN, SERVFAIL, REFUSED, GARBAGE, []],
                         ids=["nxdomain", "servfail", "refused", "garbage", "no-address"])
def test_a_name_without_an_address_is_one_sentence(hermes, what):
    with served(hermes, {"api.fake.test": what}, resolv=f"nameserver 127.0.0.1\n{QUICK}") \
            as (network, names, up):
        result = chat(hermes, network, up, "api.fake.test", connect=8, stale=8)
        result.failed("api.fake.test", "resol|name")
        assert names.asked("api.fake.test") and not up.requests


def test_the_certificate_is_checked_against_the_name_that_was_asked_for(hermes):
    """Not against one that a search list completed, nor an address."""
    with served(hermes, {"fake.test": [V4], "localhost.corp.test": [V4], "api": [V4]}, tls=True,
                hosts="", resolv="nameserver 127.0.0.1\nsearch corp.test\n") as (network, _, up):
        answered(chat(hermes, network, up, "fake.test"))
        count = len(up.requests)
        chat(hermes, network, up, "api").failed("certificate")
        assert len(up.requests) == count


# -- dead name servers ----------------------------------------------------------------------------

@pytest.fixture
def dead(hermes):
    """A network whose name server knows one name, and never answers for any other."""
    with served(hermes, {"alive.test": [V4]}) as (network, names, up):
        names.default = SILENT
        yield network, names, up


def router_inside(hermes, network, up, *groups, **more):
    """A router in this network with a deployment for each name, which is its group too. Attempts
    fail at once where they fail, so that what a look-up does is seen."""
    router = Router(hermes, up)
    router.connect = lambda address, timeout=None, source=None: network.connect(*address)
    router.write({name: [router.deployment("echo", api_base=up.url_for(name))] for name in groups},
                 **more)
    return router.restart(**inside(network))


@pytest.fixture
def in_background():
    threads = []

    def alone(function, more):
        with contextlib.suppress(OSError, HTTPException):   # the router ends before it answers
            function(**more)

    def start(function, **more):
        threads.append(threading.Thread(target=alone, args=(function, more), daemon=True))
        threads[-1].start()
    yield start
    for thread in threads:
        thread.join(SOON)


def test_a_dead_name_server_ends_at_the_connect_limit(hermes, dead):
    network, names, up = dead
    result = chat(hermes, network, up, "dead.test", connect=1.5)
    result.failed("dead.test", "name|resol|DNS|time")
    assert names.asked("dead.test") and 1.4 <= result.seconds < SOON


@pytest.mark.parametrize("number,codes", [(signal.SIGINT, (130,)),
                                          (signal.SIGTERM, (130, 143, 1))])
def test_a_dead_name_server_does_not_hold_up_the_end(hermes, dead, number, codes):
    network, names, up = dead
    hermes.use(up, "echo", name="dead.test", connect=LONG, stale=LONG)
    with hermes.start("chat", "-q", "hi", **inside(network)) as process:
        assert names.wait_asked("dead.test"), "never asked"
        begin = time.monotonic()
        process.signal(number)
        assert process.finish().code in codes
        assert time.monotonic() - begin < SOON


def test_a_dead_name_server_does_not_hold_up_a_cancel(hermes, dead, terminal):
    """Ctrl-C brings the prompt back, and the program still ends by itself."""
    network, names, up = dead
    hermes.use(up, "echo", name="dead.test", connect=LONG, stale=LONG)
    with terminal("chat", **inside(network)) as screen:
        screen.say("hi")
        assert names.wait_asked("dead.test"), "never asked"
        begin = time.monotonic()
        screen.send("\x03")
        screen.expect(r"\n> ")
        screen.send("\x04")
        assert screen.ends() == 0
        assert time.monotonic() - begin < SOON


MANY = 30       # more than any pool of threads that one would think of


def test_dead_names_stall_no_other(hermes, dead, in_background):
    """Neither a stream that runs, nor a new request for an address, nor one for another name."""
    network, names, up = dead
    lost = [f"dead{number}.test" for number in range(MANY)]
    hermes.limits(connect=LONG)
    router = router_inside(hermes, network, up, *lost, V4, "alive.test")
    try:
        with router.open(model=V4) as stream:
            assert b"200 OK" in stream.recv(15)
            for name in lost:
                in_background(router.ask, model=name)
            assert names.wait_asked(lost[0]), "never asked"
            assert comes_true(
                lambda: router.metrics()["hermes_router_upstream_attempts"] == len(lost))
            for model in (V4, "alive.test"):
                begin = time.monotonic()
                assert router.ask(model=model).status == 200
                assert time.monotonic() - begin < SOON, f"{model} waited"
    finally:
        router.kill()


def test_a_client_that_leaves_ends_the_look_up(hermes, dead):
    network, names, up = dead
    hermes.limits(connect=LONG)
    router = router_inside(hermes, network, up, "dead.test")
    try:
        with router.open(model="dead.test"):
            assert names.wait_asked("dead.test"), "never asked"
            assert router.metrics()["hermes_router_upstream_attempts"] == 1
        assert comes_true(lambda: router.metrics()["hermes_router_upstream_attempts"] == 0, SOON)
        begin = time.monotonic()
        router.stop()
        assert time.monotonic() - begin < SOON
    finally:
        router.kill()


def test_an_answer_after_the_limit_harms_nobody(hermes):
    """The look-up outlives the request; what it brings back then belongs to nobody."""
    known = {"late.test": HELD, "alive.test": [V4]}
    with served(hermes, known) as (network, names, up):
        hermes.limits(connect=1)
        router = router_inside(hermes, network, up, "late.test", "alive.test",
                               num_retries=0)
        try:
            begin = time.monotonic()
            assert router.ask(model="late.test").status in (408, 502, 503, 504)
            assert time.monotonic() - begin < SOON
            names.release()
            assert comes_true(lambda: "late.test" in names.answered)
            assert router.ask(model="alive.test").status == 200
            assert router.ask(model="alive.test").status == 200
            router.stop()
        finally:
            router.kill()


# -- several addresses ----------------------------------------------------------------------------

@pytest.mark.parametrize("addresses,at", [
    ([LOST_V6, V4], V4), ([V6, LOST_V4], V6), ([UNREACHABLE_V6, V4], V4),
    ([LOST_V6, "2001:db8:dead::8", "2001:db8:dead::9", V4], V4),
    ([V6, LOST_V4, "198.51.100.8", "198.51.100.9"], V6),
    ([V6, V4], V4), ([V6, V4], V6), ([V4], V4), ([V6], V6),
], ids=["lost-v6", "lost-v4", "unreachable-v6", "three-lost-v6", "three-lost-v4", "refused-v6",
        "refused-v4", "only-v4", "only-v6"])
def test_an_address_that_works_is_found_soon(hermes, addresses, at):
    """Families are tried side by side (RFC 8305): what never answers is not waited for."""
    with served(hermes, {"api.fake.test": addresses}, at=at) as (network, _, up):
        answered(chat(hermes, network, up, "api.fake.test"))
        assert len(up.requests) == 1 and up.connections == 1


def test_a_lost_address_of_the_same_family_leaves_time_for_the_next(hermes):
    with served(hermes, {"api.fake.test": [LOST_V4, V4, "198.51.100.8"]}) as (network, _, up):
        answered(chat(hermes, network, up, "api.fake.test", connect=8, stale=30), seconds=8 + SOON)


def test_lost_addresses_alone_end_at_the_limit(hermes):
    with served(hermes, {"api.fake.test": [LOST_V6, LOST_V4]}) as (network, _, up):
        result = chat(hermes, network, up, "api.fake.test", connect=1.5)
        result.failed("api.fake.test", "connect timeout")
        assert 1.4 <= result.seconds < SOON and up.connections == 0


def test_refused_by_all_is_said_at_once(hermes):
    with served(hermes, {"api.fake.test": [V6, V4]}, listen="127.0.0.1") as (network, _, up):
        result = chat(hermes, network, up, "api.fake.test")
        result.failed("api.fake.test", "refused")
        assert result.seconds < SOON


@pytest.mark.parametrize("literal,at", [(V4, V4), (f"[{V6}]", V6), ("[::1]", "::1")])
def test_an_address_in_the_url_asks_nobody(hermes, literal, at):
    with served(hermes, at=at) as (network, names, up):
        answered(chat(hermes, network, up, literal))
        assert not names.questions
        assert up.requests[0].headers["host"] == f"{literal}:{up.port}"


@pytest.mark.parametrize("missing,at,known", [
    ("ipv4", V6, [V6]), ("ipv4", V6, [V6, V4]), ("ipv6", V4, [V4]), ("ipv6", V4, [V6, V4])],
    ids=["no-ipv4", "no-ipv4-both", "no-ipv6", "no-ipv6-both"])
def test_a_machine_with_one_family(hermes, missing, at, known):
    resolv = "nameserver ::1\n" if missing == "ipv4" else "nameserver 127.0.0.1\n"
    with served(hermes, {"api.fake.test": known}, at=at, resolv=resolv, **{missing: False}) \
            as (network, names, up):
        answered(chat(hermes, network, up, "api.fake.test"))
        assert names.asked("api.fake.test")


@pytest.mark.parametrize("missing,there", [("ipv4", V6), ("ipv6", V4)])
def test_a_host_of_the_other_family_is_one_sentence(hermes, missing, there):
    resolv = "nameserver ::1\n" if missing == "ipv4" else "nameserver 127.0.0.1\n"
    other = {V6: V4, V4: V6}[there]
    with served(hermes, {"api.fake.test": [other]}, at=there, resolv=resolv, **{missing: False}) \
            as (network, _, up):
        result = chat(hermes, network, up, "api.fake.test")
        result.failed("api.fake.test", "unreachable|resolve|connect")
        assert result.seconds < SOON


def test_a_dead_name_costs_one_thread_however_often_it_is_asked_for(hermes, dead):
    """Each client leaves before the next one comes; what resolves for them cannot be stopped."""
    network, _, up = dead
    hermes.limits(connect=LONG)
    router = router_inside(hermes, network, up, "dead.test", "alive.test")
    try:
        tasks = pathlib.Path(f"/proc/{router.process.popen.pid}/task")
        before = len(list(tasks.iterdir()))
        for _ in range(40):
            with router.open(model="dead.test"):
                assert up.wait_for(
                    lambda: router.metrics()["hermes_router_upstream_attempts"] == 1)
            assert up.wait_for(lambda: router.metrics()["hermes_router_upstream_attempts"] == 0)
        assert len(list(tasks.iterdir())) <= before + 1
        assert router.ask(model="alive.test").status == 200
    finally:
        router.kill()
