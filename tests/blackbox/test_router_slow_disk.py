"""A database whose disk is slower than the calls: rows wait, and none is lost.

The dynamically linked binary gets a library before the C library's that makes every write to the
database's log take a while, or wait until a file is gone; the journal, which is copied into memory,
is as fast as ever.
"""

import concurrent.futures
import os

import pytest
from harness import give
from preload import environment, preloaded
from test_router_ledger import COST, killed, lag, priced, settled

pytestmark = pytest.mark.preload

THREADS, CALLS = 8, 150  # each
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { SLOW_US = 40000 };

static void wait_for_the_disk(int fd)
{
    char link[64], path[512] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    const char *held = getenv("HELD_WHILE");
    if (len <= 4 || strcmp(path + len - 4, "-wal") != 0)
        return;
    do
        usleep(SLOW_US);
    while (held && access(held, F_OK) == 0);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");
    wait_for_the_disk(fd);
    return real(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite64(fd, data, size, offset);
}
"""


@pytest.fixture(scope="session")
def slow_library():
    with preloaded(SHIM, "-ldl") as library:
        yield library


@pytest.fixture
def slow(hermes, router, slow_library):
    hermes.environment.update(environment(hermes, slow_library))
    router.start({"free": [priced(router)]})
    return router


def load(router):
    """How far behind the database was at most."""
    def ask(_):
        answers = [router.ask(max_tokens=100) for _ in range(CALLS)]
        assert {answer.status for answer in answers} == {200}
        return lag(router)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return max(pool.map(ask, range(THREADS)))


def all_there(hermes):
    found = settled(hermes, THREADS * CALLS)
    assert found["all"]["cost_usd"] == THREADS * CALLS * COST


def test_every_row_arrives(hermes, slow, up):
    assert load(slow) > 0, "the disk was not slow enough for this test"
    all_there(hermes)
    assert up.wait_for(lambda: lag(slow) == 0, 60)


@pytest.mark.parametrize("end", [killed, lambda router: router.stop()], ids=["killed", "stopped"])
def test_every_row_is_there_after_the_end(hermes, slow, end):
    load(slow)
    end(slow)
    del hermes.environment["LD_PRELOAD"]
    slow.restart()
    all_there(hermes)
    assert lag(slow) == 0


@pytest.fixture
def held(hermes, router, slow_library):
    """A router that finds 50 MiB of journal that no database has taken up, and a file: while it is
    there, none is. The bytes are no records; those would be as long, and take as long to write."""
    left, hold = hermes.home / "ledger.journal.0000000000000007", hermes.home / "hold"
    router.start({"free": ["instant"]})
    router.stop()
    for path in left, hold:
        path.touch()
        give(path)
    os.truncate(left, 50 << 20)
    hermes.environment.update(environment(hermes, slow_library), HELD_WHILE=str(hold))
    router.restart()
    return hold


def test_no_call_begins_while_there_is_no_room_for_its_row(router, held, up):
    answer = router.ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    message = answer.json["error"]["message"]
    assert "the disk does not keep up" in message and "try again in a second" in message
    assert not up.requests
    assert router.metrics()['hermes_router_refused_total{reason="ledger"}'] == 1
    router.process.wait_for_output(b"the disk does not keep up", "err")
    held.unlink()
    router.process.wait_for_output(b"the ledger: it has room again", "err")
    assert router.ask().status == 200
