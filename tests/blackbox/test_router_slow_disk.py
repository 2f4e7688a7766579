"""A database whose disk is slower than the calls: rows wait, and none is lost.

The dynamically linked binary gets a library before the C library's that makes every write to the
database's log take a while; the journal, which is copied into memory, is as fast as ever.
"""

import concurrent.futures

import pytest
from preload import environment, preloaded
from test_router_ledger import COST, killed, lag, priced, settled

pytestmark = pytest.mark.preload

THREADS, CALLS = 8, 150  # each
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { SLOW_US = 40000 };

static void wait_for_the_disk(int fd)
{
    char link[64], path[512] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len > 4 && strcmp(path + len - 4, "-wal") == 0)
        usleep(SLOW_US);
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
