"""Days on which the machine itself misbehaves: a full disk, a clock that jumps, a stopped process.

Clocks: CLOCK_REALTIME has no namespace and the machine's own clock is not ours to set. So the
dynamically linked binary gets a library of a dozen lines before the C library's, whose clock is
off by what stands in a file; a static binary has no place for one, and leaves those tests out.
"""

import contextlib
import mmap
import os
import re
import signal
import struct
import subprocess
import time

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import IS_ROOT, TEST_UID, as_test_user, give
from home_socket import ask
from preload import environment, preloaded
from service import Service
from telegram_owner import OWNER, settled
from test_router_budget import BOUND, priced, refused

HOUR, YEAR = 3600, 365 * 86400
LEDGER_PATIENCE = 5000  # milliseconds; src/router/call.c


def rows(hermes, query):
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    return hermes.sql(f"print(db.execute({query!r}).fetchall())", path).strip()


# -- a full disk ----------------------------------------------------------------------------------

@pytest.fixture
def small_disk(hermes):
    """The home on a file system of 4 MiB of its own."""
    assert IS_ROOT, "this test needs root"
    hermes.mkdir(".")
    subprocess.run(["mount", "-t", "tmpfs", "-o",
                    f"size=4m,uid={TEST_UID},gid={TEST_UID},mode=700", "tmpfs", hermes.home],
                   check=True)
    yield hermes.home
    for process in hermes.processes:
        process.kill()
    subprocess.run(["umount", "-l", hermes.home], check=True)


def fill(directory):
    """Take every free byte, as the test user's own file."""
    path = directory / "ballast"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (1 << 16, 1 << 12, 1):
        with contextlib.suppress(OSError):
            while os.write(handle, b"b" * size):
                pass
    os.close(handle)
    give(path)
    return path


def test_the_disk_is_full_in_mid_turn(hermes, api, up, talk, small_disk):
    """The turn waits and says so; what comes stays with Telegram; with room it goes on."""
    running = talk("gate", "display:\n  busy_input_mode: queue\n")
    api.user_says(OWNER, "one")
    first = api.wait_text(OWNER, "answer to one: begun")
    api.wait_quiet(0.3)  # so that its id is on disk
    ballast = fill(small_disk)
    up.release.set()
    assert running.said("turn.waits.*for=.the disk.*(full|space)", 10), running.process.err
    second = api.user_says(OWNER, "two")
    time.sleep(1)
    assert running.running and running.get("/healthz")[0] == 200
    assert max(api.offsets) <= second["update_id"], "confirmed, and not on disk"
    told = hermes.run("status")
    assert told.code == 4 and "1 running" in told.text, told
    assert "PROBLEM   disk: nothing can be stored: " in told.text, told
    ballast.unlink()
    api.wait_text(OWNER, "answer to two: begun and finished", 40)
    texts = settled(api, 2)
    assert texts == ["answer to one: begun and finished", "answer to two: begun and finished"]
    assert api.messages(OWNER)[0].id == first.id and up.count("gate") == 2
    running.stop()
    assert rows(hermes, "SELECT role, content FROM messages ORDER BY id") == str([
        ("user", "one"), ("assistant", "answer to one: begun and finished"),
        ("user", "two"), ("assistant", "answer to two: begun and finished")])
    assert rows(hermes, "SELECT count(*) FROM turns WHERE ended_ms IS NULL") == "[(0,)]"


def test_the_disk_is_full_between_tools(hermes, api, up, talk, small_disk):
    """A tool's result is not read by the model before it is on disk, and no tool runs twice."""
    running = talk("gate-tools")
    api.user_says(OWNER, "one")
    assert up.wait_for(lambda: up.count("gate-tools"))
    ballast = fill(small_disk)
    up.release.set()
    assert running.said("turn.waits", 10), running.process.err
    time.sleep(0.5)
    assert up.count("gate-tools") == 1 and not running.events("turn.tool")
    ballast.unlink()
    api.wait_text(OWNER, "read: ", 30)
    settled(api, 1)
    assert up.count("gate-tools") == 2


def test_killed_while_the_disk_is_full(hermes, api, up, talk, small_disk):
    running = talk("gate")
    api.user_says(OWNER, "one")
    first = api.wait_text(OWNER, "begun")
    api.wait_quiet(0.3)
    ballast = fill(small_disk)
    up.release.set()
    assert running.said("turn.waits", 10)
    running.kill()
    ballast.unlink()
    running.start()
    api.wait_text(OWNER, "begun and finished", 20)
    settled(api, 1)
    assert api.messages(OWNER)[0].id == first.id


def test_started_on_a_full_disk(hermes, api, up, small_disk):
    """It stays, so that it can be asked, and takes nothing from Telegram; with room it answers."""
    ballast = fill(small_disk)
    api.user_says(OWNER, "hi")
    hermes.use_telegram(api).use(up, "fixed")
    running = Service(hermes).start(wait=False)
    try:
        until = time.monotonic() + 15
        while "PROBLEM   database: " not in (told := hermes.run("status")).text:
            assert time.monotonic() < until and running.running, told
            time.sleep(0.05)
        told.exits(1)
        assert not api.offsets
        ballast.unlink()
        running.wait_ready()
        assert settled(api, 1) == ["ok"]
    finally:
        running.kill()


def limit_file_size(running, limits):
    """Of a process that runs; as its own user, who may do that."""
    subprocess.run(["prlimit", f"--pid={running.process.pid}", f"--fsize={limits}"], check=True,
                   **as_test_user())


def test_files_may_not_grow(hermes, api, up, talk):
    """The limit of a service manager (LimitFSIZE) is hit: a sentence, no crash, and it goes on."""
    running = talk("gate")
    api.user_says(OWNER, "one")
    api.wait_text(OWNER, "begun")
    limit_file_size(running, "4096:")
    up.release.set()
    assert running.said("turn.waits", 10), running.process.err
    assert running.running
    limit_file_size(running, "unlimited:")
    api.wait_text(OWNER, "begun and finished", 30)
    settled(api, 1)


def test_a_free_model_answers_after_a_start_on_a_full_disk(hermes, router, up, small_disk):
    """And what costs is refused at once, not after a wait that cannot help."""
    router.start({"free": [priced(router)], "gratis": [priced(router, "cost:0", output=0)]},
                 litellm={"max_budget": 1})
    assert router.ask(max_tokens=100).status == 200
    router.kill()
    ballast = fill(small_disk)
    router.restart()
    for _ in range(3):
        answer = router.ask(max_tokens=100)
        assert answer.status == 503 and "is full" in answer.error["message"], answer.body
    assert [router.ask("gratis", max_tokens=100).status for _ in range(3)] == [200] * 3
    took = re.findall(r"router.request .* status=503 ms=(\d+)", router.process.err.decode())
    assert len(took) == 3
    assert min(map(int, took)) < LEDGER_PATIENCE, "each as long as a start is waited for"
    assert len(up.requests) == 4
    ballast.unlink()
    assert up.wait_for(lambda: router.ask(max_tokens=100).status == 200, 60)


# -- a clock that jumps ---------------------------------------------------------------------------

SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *file;

__attribute__((constructor)) static void begin(void)
{
    int fd = open(getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    file = at == MAP_FAILED ? NULL : at;
    close(fd);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    long r = syscall(SYS_clock_gettime, id, now);
    if (r == 0 && file && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *file;
    return (int)r;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *ret_now)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now)
        *ret_now = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """The wall clock that the daemon sees; the environment that makes it see that."""

    def __init__(self, hermes, library):
        path = hermes.directory / "clock-offset"
        path.write_bytes(bytes(4096))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)
        self.env = {**environment(hermes, library), "CLOCK_OFFSET": str(path)}

    def jump(self, seconds):
        """From the true time."""
        self.map[:8] = struct.pack("q", seconds)


@pytest.fixture(scope="session")
def clock_library():
    with preloaded(SHIM) as library:
        yield library


@pytest.fixture
def clock(hermes, clock_library):
    made = Clock(hermes, clock_library)
    yield made
    made.map.close()
    made.file.close()


JUMPS = [HOUR, -HOUR, YEAR, -YEAR]


@pytest.mark.preload
@pytest.mark.parametrize("seconds", JUMPS)
def test_it_jumps_while_an_answer_runs(hermes, api, up, talk, clock, seconds):
    running = talk("gate", "display:\n  busy_input_mode: queue\n", env=clock.env)
    api.user_says(OWNER, "one")
    first = api.wait_text(OWNER, "begun")
    clock.jump(seconds)
    update = api.user_says(OWNER, "two")
    assert api.wait_for(lambda: api.offsets[-1] > update["update_id"])
    assert running.get("/readyz")[0] == 200
    up.release.set()
    api.wait_text(OWNER, "answer to two: begun and finished", 10)
    clock.jump(0)
    api.user_says(OWNER, "three")
    api.wait_text(OWNER, "answer to three: begun and finished", 10)
    texts = settled(api, 3)
    assert [t.split(":")[0] for t in texts] == [f"answer to {n}" for n in ("one", "two", "three")]
    assert api.messages(OWNER)[0].id == first.id and up.count("gate") == 3
    assert hermes.run("status").ok()
    running.stop()
    ends = running.events("turn.end")
    assert [e["state"] for e in ends] == ["done"] * 3 and all(0 <= e["ms"] < 60000 for e in ends)


@pytest.mark.preload
@pytest.mark.parametrize("seconds", JUMPS)
def test_it_jumps_while_idle_and_between_two_starts(hermes, api, talk, clock, seconds):
    running = talk("echo", env=clock.env)
    assert api.wait_for(lambda: api.polling)
    api.user_says(OWNER, "one")
    settled(api, 1)
    clock.jump(seconds)
    api.user_says(OWNER, "two")
    api.wait_text(OWNER, "echo: two", 5)
    up_s = ask(hermes.home, "GET", "/status")[1]["uptime_s"]
    assert up_s >= 0
    api.wait_quiet(0.5)
    running.stop()
    api.user_says(OWNER, "three")
    clock.jump(0)
    running.start()
    api.wait_text(OWNER, "echo: three", 5)
    assert settled(api, 3) == ["echo: one", "echo: two", "echo: three"]
    listed = hermes.run("sessions", "list").ok().text
    assert "one" in listed


@pytest.mark.preload
@pytest.mark.parametrize("seconds", JUMPS)
def test_it_jumps_while_a_reply_waits(api, talk, clock, seconds):
    """What Telegram said about when to come again is kept on a clock that does not jump, and also a
    restart waits no longer than an hour for it."""
    running = talk("echo", env=clock.env)
    api.fault("sendMessage", "429", retry_after=2)
    api.user_says(OWNER, "one")
    assert api.wait_for(lambda: api.of("sendMessage"))
    asked = time.monotonic()
    clock.jump(seconds)
    api.wait_text(OWNER, "echo: one", 6)
    assert time.monotonic() - asked > 1.5, "it did not wait"
    api.fault("sendMessage", "429", retry_after=2)
    before = len(api.of("sendMessage"))
    api.user_says(OWNER, "two")
    assert api.wait_for(lambda: len(api.of("sendMessage")) > before)
    running.kill()
    clock.jump(0)
    running.start()
    api.wait_text(OWNER, "echo: two", 8)
    settled(api, 2)


@pytest.mark.preload
def test_steps_back_and_forth(api, talk, clock):
    """As a clock does that is being set by two daemons at once."""
    running = talk("echo", env=clock.env)
    for number in range(4):
        clock.jump((-1) ** number * (number + 1) * HOUR)
        api.user_says(OWNER, f"n{number}")
        api.wait_text(OWNER, f"echo: n{number}", 6)
    settled(api, 4)
    assert not [e for e in running.events() if e["level"] == "error"]


@pytest.mark.preload
@pytest.mark.parametrize("jumps", [(-200, -160, -80, 0), (0, 80, 0, 40, 0)])
def test_jumps_of_the_clock_renew_no_budget(hermes, router, clock, jumps):
    """A month that the clock says is none if it took no time. Only a leap ahead cannot be told from
    a machine that was off: it begins one new period, and no other on the way back or again."""
    hermes.environment.update(clock.env)
    router.start({"free": [priced(router)]}, own={"budgets": [
        {"name": "monthly", "max": BOUND, "period": "month"}]})
    begun = 0
    for days in (0, *jumps):
        clock.jump(days * 24 * HOUR)
        answer = router.ask(max_tokens=20)
        begun += answer.status == 200
        while answer.status == 200:
            answer = router.ask(max_tokens=20)
        refused(answer, "monthly")
    assert begun == (2 if max(jumps) > 0 else 1)


# -- a process that stands still ------------------------------------------------------------------

def test_stopped_for_a_while_in_mid_turn(hermes, api, up, talk):
    """As a machine that sleeps: it goes on as if nothing had been."""
    running = talk("gate")
    api.user_says(OWNER, "one")
    api.wait_text(OWNER, "begun")
    running.process.signal(signal.SIGSTOP)
    up.release.set()
    time.sleep(1.5)
    running.process.signal(signal.SIGCONT)
    api.wait_text(OWNER, "begun and finished")
    settled(api, 1)


def test_one_that_stands_still_is_told_by_status(hermes, service):
    running = service()
    running.process.signal(signal.SIGSTOP)
    try:
        result = hermes.run("status")
        result.failed("does not reply on its socket")
        assert result.seconds < 15
    finally:
        running.process.signal(signal.SIGCONT)
