"""A disk that has no room for the ledger's journal, or fails when that is synced.

The dynamically linked binary gets a library of a dozen lines before the C library's, which fails
with the number that stands in a file; a static binary has no place for one.
"""

import concurrent.futures
import errno
import pathlib

import pytest
from preload import environment, preloaded
from test_router_budget import BOUND, COST, budgets, money, priced, refused

pytestmark = pytest.mark.preload

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failure(const char *what)
{
    char path[512];
    int number = 0;
    snprintf(path, sizeof path, "%s/%s", getenv("DISK_FAILS"), what);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%d", &number) != 1)
        number = 0;
    if (file)
        fclose(file);
    return number;
}

static int is_journal(const char *path)
{
    return path && strstr(path, "ledger.journal.") != NULL;
}

int openat(int directory, const char *path, int flags, ...)
{
    int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat");
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    int number = (flags & O_CREAT) && is_journal(path) ? failure("open") : 0;
    if (number) {
        errno = number;
        return -1;
    }
    return real(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return openat(directory, path, flags, mode);
}

int fdatasync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    char link[64], path[512] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    int number = len > 0 && is_journal(path) ? failure("sync") : 0;
    if (number) {
        errno = number;
        return -1;
    }
    return real(fd);
}
"""


@pytest.fixture(scope="session")
def disk_library():
    with preloaded(SHIM, "-ldl") as library:
        yield library


class Disk:
    """Says what fails, and with which errno; None: all is well again."""

    def __init__(self, directory):
        self.directory = directory

    def fails(self, what, number):
        path = pathlib.Path(self.directory) / what
        if number is None:
            path.unlink()
            return
        new = path.with_suffix(".new")
        new.write_text(str(number))
        new.replace(path)


@pytest.fixture
def disk(hermes, disk_library):
    directory = hermes.directory / "disk"
    directory.mkdir()
    directory.chmod(0o755)
    hermes.environment.update({**environment(hermes, disk_library), "DISK_FAILS": str(directory)})
    return Disk(directory)


def restored(router, up):
    """What has been spent before this start, as soon as it was read."""
    assert up.wait_for(lambda: "max_budget" in {name for name, _ in budgets(router)}, 60)
    return money(router)["spent"]


def test_a_start_on_a_full_disk_forgets_nothing_that_was_spent(router, up, disk):
    """What costs goes on when the journal can be written, with what was spent before; whatever
    else comes in between."""
    router.start({"free": [priced(router)], "gratis": [priced(router, output=0)]},
                 litellm={"max_budget": BOUND})
    while (answer := router.ask(max_tokens=20)).status == 200:
        pass
    refused(answer, "max_budget")
    before = money(router)["spent"]
    router.stop()
    asked = len(up.requests)
    disk.fails("open", errno.ENOSPC)
    router.restart()
    answer = router.ask(max_tokens=20)
    assert answer.status == 503 and "No space left" in answer.error["message"], answer.body
    assert router.ask("gratis", max_tokens=20).status == 200
    assert len(up.requests) == asked + 1
    assert money(router)["spent"] == pytest.approx(COST)  # of a free model, which was not free
    disk.fails("open", errno.EIO)
    assert up.wait_for(lambda: b"Input/output error" in router.process.err, 60)
    assert "Input/output" in router.ask(max_tokens=20).error["message"]
    disk.fails("open", None)
    assert up.wait_for(lambda: money(router)["spent"] == pytest.approx(before + COST), 60)
    assert up.wait_for(lambda: router.ask(max_tokens=20).status != 503, 60)
    refused(router.ask(max_tokens=20), "max_budget")
    assert router.ask("gratis", max_tokens=20).status == 200
    assert len(up.requests) == asked + 2


def test_a_reservation_that_could_not_be_synced_is_taken_back(router, up, disk):
    """Its call never went out, so the next start has nothing to charge for it."""
    router.start({"free": [priced(router)]}, litellm={"max_budget": 1})
    assert router.ask(max_tokens=100).status == 200
    disk.fails("sync", errno.EIO)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: router.ask(max_tokens=100), range(8)))
    assert [a.status for a in answers] == [503] * 8 and len(up.requests) == 1
    disk.fails("sync", None)
    assert money(router)["spent"] == pytest.approx(COST) and money(router)["reserved"] == 0
    router.process.kill()
    router.restart()
    assert restored(router, up) == pytest.approx(COST)
    assert router.ask(max_tokens=100).status == 200
    assert money(router)["spent"] == pytest.approx(2 * COST)
