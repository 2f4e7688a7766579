"""That a long past does not make a start longer: `/readyz` with a database of 200 MB."""

import os
import pathlib
import subprocess
import tempfile

import pytest

import harness
import ready
from conftest import HOST, Built
from telegram_api import TelegramApi

ROUNDS = 10


@pytest.fixture(scope="module")
def binary():
    """At a place where the test user can execute it."""
    with harness.directory("hermes-ready-") as path, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HERMES_BIN", str(Built(HOST).path))
        yield str(harness.Binary(path).path)


@pytest.fixture(scope="module")
def homes(binary):
    """{name: environment} of an empty home and one of 200 MB; the bot of a fake in both."""
    with tempfile.TemporaryDirectory(prefix="hermes-ready-") as name, TelegramApi() as api:
        pathlib.Path(name).chmod(0o755)
        made = {}
        for kind in ("empty", "large"):
            directory = pathlib.Path(name) / kind
            directory.mkdir()
            harness.give(directory)
            made[kind] = {
                "PATH": "/usr/bin:/bin", "HOME": str(directory), "TZ": "UTC",
                "HERMES_HOME": str(directory / "home"), "HERMES_MODEL": "offline",
                "TELEGRAM_BOT_TOKEN": api.token, "TELEGRAM_API_BASE": api.base_url,
                "TELEGRAM_ALLOWED_USERS": "42"}
            subprocess.run([binary, "chat", "-q", "hi"], env=made[kind], check=True, timeout=60,
                           stdout=subprocess.DEVNULL, **harness.as_test_user())
        in_the_name_of_its_owner(ready.fill, made["large"]["HERMES_HOME"], 200)
        yield made


def in_the_name_of_its_owner(work, *args):
    """Root's journal files would lock the program out."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if harness.IS_ROOT:
                os.setgid(harness.TEST_UID)
                os.setuid(harness.TEST_UID)
            work(*args)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0, f"{work.__name__} failed"


def start(binary, environment):
    if "large" in environment["HERMES_HOME"]:
        in_the_name_of_its_owner(ready.add_open_work, environment["HERMES_HOME"])
    return ready.Start([binary], environment, **harness.as_test_user()).stop()


def test_a_long_past_is_not_read_at_a_start(binary, homes, bars):
    """Counted in bytes that were read by then, so that a slow machine changes nothing; of the
    times only the ratio of the least counts."""
    assert ready.database(homes["large"]["HERMES_HOME"]).stat().st_size >= 200 * ready.MEGABYTE
    starts = {kind: [] for kind in homes}
    for _ in range(ROUNDS):
        for kind, environment in homes.items():
            starts[kind].append(start(binary, environment))
    read = {kind: min(one.read_bytes for one in all_of) for kind, all_of in starts.items()}
    least = {kind: min(one.ms for one in all_of) for kind, all_of in starts.items()}
    print(f"read until ready: {read} bytes; the least of {ROUNDS} starts: {least} ms")
    bar = bars["ready_read"]
    assert read["large"] - read["empty"] <= bar["most"], f"{read}; {bar['why']}"
    bar = bars["ready_ratio"]
    assert least["large"] <= bar["most"] * least["empty"], f"{least}; {bar['why']}"


def test_the_open_turn_and_the_outbox_were_seen_to(homes):
    """So the starts above were starts with work to do."""
    assert in_database(homes["large"], "SELECT count(*) FROM turns WHERE ended_ms IS NULL") == 0
    tried = "text = 'what was not said yet' AND (attempts > 0 OR state <> 'pending')"
    assert in_database(homes["large"], f"SELECT count(*) FROM outbox WHERE {tried}") > 0


def in_database(environment, question):
    script = ("import sqlite3, sys\nprint(sqlite3.connect(sys.argv[1]).execute(sys.argv[2])"
              ".fetchone()[0])")
    done = subprocess.run(["/usr/bin/python3", "-c", script,
                           ready.database(environment["HERMES_HOME"]), question], timeout=60,
                          capture_output=True, text=True, check=True, **harness.as_test_user())
    return int(done.stdout)
