"""What thousands of turns leave in memory. RSS is this machine's own, so its own binary is run.

The load is the same in the beginning and in the end, so that what is added between is growth and
not the mark of a higher peak: FIRST comes after the longest history that a model is shown and after
two rounds in which every chat asks at once.

It is held once with histories that only grow, and once with a model whose context is so small that
every few turns what was said first is summed up.
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
from window_model import (BYTES_PER_TOKEN, EARLIER, EMPTIED, LEFT_OUT, Window, endless,
                          hardly_shorter, none)

FULL = os.environ.get("HERMES_TEST_DEPTH") == "full"
CHATS = 50  # all of which ask at once
LONG_CHATS = 2  # that have most of the first turns: 200 of one are the 400 messages of a history
ROUNDS = 5
BETWEEN = 50  # turns, one after another, from one round to the next
FIRST, LAST = 1000, 10_000 if FULL else 2500
SPAN = LAST - FIRST
SPANS = 3  # that are looked at before it is growth
TELEGRAM_SECONDS = 60
# Connections beyond the eight that may stay, and buffers that nobody uses, go after a second or
# two. Those eight are there after each round.
REST_SECONDS = 4

WINDOW = 10_000  # tokens of the small context, of which three quarters are used
PAST = 700  # bytes of a question, and of its answer
# A prompt may have more than that by the question that it ends with, the names of its members,
# which are not counted before a provider did, and what a summary and its like have around them.
SLACK = 4 * PAST
FEW = 160  # turns where a summary cannot be had


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


class LongTurns(Turns):
    """Turns whose questions say in which chat they are, and soon fill a small context."""

    def __init__(self, window, home):
        super().__init__(home)
        self.window = window

    def ask(self, chat, text):
        self.window.begins(chat)
        answer = self.say(chat, text)
        self.check(chat)
        return answer

    def check(self, chat):
        """More than once in a turn is once more than in any."""
        if self.window.in_turn[chat] > 1:
            raise RuntimeError(f"turn {self.count} of {chat}: {self.window.in_turn[chat]} "
                               "summaries")

    def words(self, number, chat):
        text = f"number {number} of <{chat}>"
        return text + " so" * ((PAST - len(text)) // 3)

    def go_on_to(self, count, chats):
        while self.count < count:
            chat = f"c{self.count % chats}"
            text = self.words(self.count + 1, chat)
            if text not in self.ask(chat, text):
                raise RuntimeError(f"turn {self.count} was not answered")

    def to_telegram(self, chat):
        self.window.begins(f"t{chat}")
        return self.words(self.count, f"t{chat}")

    def ended(self):
        for chat in range(1, CHATS + 1):
            self.check(f"t{chat}")


class PlainTurns(Turns):
    def to_telegram(self, chat):
        return f"at turn {self.count}"

    def ended(self):
        pass


def round_of_telegram(api, turns):
    """One turn in each of the chats, all of them at once."""
    texts = {chat: turns.to_telegram(chat) for chat in range(1, CHATS + 1)}
    for chat, text in texts.items():
        api.user_says(chat, text)
    for chat, text in texts.items():
        api.wait_text(chat, text, TELEGRAM_SECONDS)
    turns.ended()
    turns.count += CHATS


def memory(pid):
    """{"rss", "anon"} in bytes; what RSS has besides are pages of files, which the kernel can take
    away: the code, and the journal of the ledger, of which now more is there and now less."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {name: 1024 * int(re.search(rf"{field}:\s+(\d+) kB", text).group(1))
            for name, field in (("rss", "VmRSS"), ("anon", "RssAnon"))}


def excess(bars, found):
    """What grew in each span, in the mean, by more than it may, in a sentence; "": nothing did."""
    held = {"rss": bars["growth"]} if FULL else {"anon": bars["growth_soon"]}
    spans, first, last = len(found) - 1, found[0], found[-1]
    return "; ".join(f"{name} grew by {last[name] - first[name]} in {spans} x {SPAN} turns: "
                     f"{bar['why']}" for name, bar in held.items()
                     if last[name] - first[name] > spans * bar["most"])


def measure(upstream, api, user, model, begin, bars):
    """Memory at turn FIRST, and SPAN turns later, each the least of some rounds with their rests:
    what a crowd of fifty leaves lies in pages that it shares with what stays, now more, now fewer.
    How many there are settles after some crowds, while what is lost in each turn is lost in every
    span: where one grew too much, others follow."""
    user.use(upstream, model)
    user.use_telegram(api, users=",".join(str(chat) for chat in range(1, CHATS + 1)))
    daemon = Service(user).start()
    turns, found = begin(user.home), []
    turns.go_on_to(FIRST - (ROUNDS + 1) * (CHATS + BETWEEN), LONG_CHATS)
    round_of_telegram(api, turns)
    for count in range(FIRST, FIRST + SPANS * SPAN + 1, SPAN):
        if len(found) > 1 and not excess(bars, found):
            break
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
    print("bytes after each span:", *(f"{name} {[memory[name] for memory in found]}"
                                      for name in found[0]))
    return found


def hold(bars, found):
    assert not excess(bars, found), excess(bars, found)


def test_thousands_of_turns_over_fifty_chats(user, bars):
    with Upstream() as upstream, TelegramApi() as api:
        found = measure(upstream, api, user, "echo", PlainTurns, bars)
    hold(bars, found)


# -- with summaries -------------------------------------------------------------------------------

def small_context(user, more=""):
    user.put("config.yaml", f"model: {{context_length: {WINDOW}}}\n{more}")


def check(window, upstream):
    """What holds for each request, whatever becomes of summaries."""
    print(f"{window.calls} calls, {window.summaries} of them for summaries; the longest had "
          f"{window.most} bytes; {dict(window.seen)}")
    assert window.most <= WINDOW * 3 // 4 * BYTES_PER_TOKEN + SLACK
    assert window.too_long == 0 and window.mixed == [] and upstream.rejected == []


def test_thousands_of_turns_and_their_summaries(user, bars):
    small_context(user)
    with Upstream() as upstream, TelegramApi() as api:
        window = upstream.window = Window(WINDOW)
        found = measure(upstream, api, user, "window",
                        lambda home: LongTurns(window, home), bars)
    check(window, upstream)
    assert window.summaries >= CHATS and window.seen[EARLIER] > LAST // 4
    assert window.seen[LEFT_OUT] == 0
    hold(bars, found)


@pytest.fixture
def few(user):
    """Turns of three chats, each of which reads a file, and the model that sums up badly."""
    def go(sum_up, tools=True):
        small_context(user, "cron: {retries: 0}\n")
        user.put("workspace/notes.txt", "a line of a file\n" * 150)
        with Upstream() as upstream:
            window = upstream.window = Window(WINDOW, sum_up)
            user.use(upstream, "window")
            daemon = Service(user).start()
            turns = LongTurns(window, user.home)
            for number in range(FEW):
                chat = f"c{number % 3}"
                text = turns.words(number, chat)
                if tools:
                    text += '\ncall read_file {"path": "notes.txt"}'
                turns.ask(chat, text)
            turns.close()
            daemon.stop()
            check(window, upstream)
        assert window.summaries > FEW // 25
        return window
    return go


@pytest.mark.parametrize("sum_up", [none, endless])
def test_without_a_summary_old_results_go_first(few, sum_up):
    window = few(sum_up)
    assert window.seen[EMPTIED] and window.seen[EARLIER] == window.seen[LEFT_OUT]


@pytest.mark.parametrize("sum_up", [none, endless])
def test_without_a_summary_and_results_the_oldest_go(few, sum_up):
    window = few(sum_up, tools=False)
    assert window.seen[LEFT_OUT] > FEW // 2 and window.seen[EMPTIED] == 0


def test_a_summary_that_saves_hardly_anything(few):
    assert few(hardly_shorter).seen[EARLIER] > FEW // 2
