"""What thousands of turns leave in memory. RSS is this machine's own, so its own binary is run.

The load is the same in the beginning and in the end, so that what is added between is growth and
not the mark of a higher peak: FIRST comes after the longest history that a model is shown and after
two rounds in which every chat asks at once.
"""

import os
import pathlib
import re
import tempfile
import time

import pytest

import harness
from conftest import HOST, Built
from openai_upstream import Upstream
from service import Service
from telegram_api import TelegramApi
from turns import Turns

FULL = os.environ.get("HERMES_TEST_DEPTH") == "full"
CHATS = 50  # all of which ask at once
LONG_CHATS = 2  # that have most of the first turns: 200 of one are the 400 messages of a history
ROUNDS = 5
BETWEEN = 50  # turns, one after another, from one round to the next
FIRST, LAST = 1000, 10_000 if FULL else 2500
TELEGRAM_SECONDS = 60
# Connections beyond the eight that may stay, and buffers that nobody uses, go after a second or
# two. Those eight are there after each round.
REST_SECONDS = 4


@pytest.fixture
def user():
    """Somebody whose home is in memory, because what a disk takes for 40,000 commits is not the
    question."""
    shared = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="hermes-growth-",
                                     dir=shared if shared.is_dir() else None) as name, \
            pytest.MonkeyPatch.context() as patch:
        directory = pathlib.Path(name)
        directory.chmod(0o755)  # the test user passes through
        patch.setenv("HERMES_BIN", str(Built(HOST).path))
        (directory / "user").mkdir()
        made = harness.Hermes(harness.Binary(directory), directory / "user")
        yield made
        made.finish()


def round_of_telegram(api, turns):
    """One turn in each of the chats, all of them at once."""
    text = f"at turn {turns.count}"
    chats = range(1, CHATS + 1)
    for chat in chats:
        api.user_says(chat, text)
    for chat in chats:
        api.wait_text(chat, text, TELEGRAM_SECONDS)
    turns.count += CHATS


def memory(pid):
    """{"rss", "anon"} in bytes; what RSS has besides are pages of files, which the kernel can take
    away: the code, and the journal of the ledger, of which now more is there and now less."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {name: 1024 * int(re.search(rf"{field}:\s+(\d+) kB", text).group(1))
            for name, field in (("rss", "VmRSS"), ("anon", "RssAnon"))}


def measure(upstream, api, user):
    """[memory at turn FIRST, memory at turn LAST], each the least of some rounds with their
    rests: what a crowd of fifty leaves lies in pages that it shares with what stays, now more, now
    fewer. How many there are settles after the first crowds."""
    user.use(upstream, "echo")
    user.use_telegram(api, users=",".join(str(chat) for chat in range(1, CHATS + 1)))
    daemon = Service(user).start()
    turns, found = Turns(user.home), []
    turns.go_on_to(FIRST - (ROUNDS + 1) * (CHATS + BETWEEN), LONG_CHATS)
    round_of_telegram(api, turns)
    for count in (FIRST, LAST):
        turns.go_on_to(count - ROUNDS * (CHATS + BETWEEN), CHATS)
        rests = []
        for _ in range(ROUNDS):
            turns.go_on_to(turns.count + BETWEEN, CHATS)
            round_of_telegram(api, turns)
            time.sleep(REST_SECONDS)
            rests.append(memory(daemon.process.pid))
        found.append({name: min(rest[name] for rest in rests) for name in rests[0]})
    turns.close()
    daemon.stop()
    return found


def test_thousands_of_turns_over_fifty_chats(user, bars):
    with Upstream() as upstream, TelegramApi() as api:
        first, last = measure(upstream, api, user)
    grown = {name: last[name] - first[name] for name in first}
    print(f"bytes more at turn {LAST} than at turn {FIRST}: {grown}, of {first}")
    held = {"rss": bars["growth"]} if FULL else {"anon": bars["growth_soon"]}
    for name, bar in held.items():
        assert grown[name] <= bar["most"], \
            f"{name} grew by {grown[name]} from turn {FIRST} to {LAST}: {bar['why']}"
