"""A conversation over Telegram is killed after its n-th state-changing system call, for every n.

Three messages wait when the daemon starts on an empty home: one whose answer takes a tool that may
not be repeated and one that may, one that is answered word by word, and one more with a tool. The
process is killed as a whole (killer.py); it is started again without harm, and when it has gone
quiet, every message has its reply, exactly one, in order; nothing was done twice; nothing is left
half done. Only where the kill fell between a send and Telegram's answer may there be a copy, or the
beginning of one, and then the log says that it could not be known.

A second matrix has a call that waits for approval, whose button is pressed as soon as it is there.
A third walks through such questions for each way in which one ends, and reads in the database that
each has one outcome, which is the one that was chosen: approved, denied, one of each, stopped.
A fourth has an MCP server that asks something in the middle of a call.

Restarts count as well: some cases are killed a second time, while they pick up the pieces.
"""

import concurrent.futures
import json
import os

import pytest

import depth
import telegram_models  # noqa: F401  registers its scenarios
from harness import Hermes
from kill_case import KillCase
from mcp_fakes import Servers, listed, tool

pytestmark = pytest.mark.release

CHAT = 42
WORKERS = int(os.environ.get("HERMES_KILL_WORKERS") or 8)
# Every n up to here; a conversation takes some hundred. At full depth all of them; else every
# STEP-th, from another one with each commit. With a sanitizer, which is here for what the sanitizer
# sees and not for the gaps, every STEP_SANITIZED-th.
LIMIT, STEP, STEP_SANITIZED, STEP_OF_A_CHECK = 600, 6, 23, 150
# Of the moments at which a second kill falls into the recovery, every AGAIN_STEP-th: at full depth,
# too.
AGAIN_STEP = 29
QUESTIONS = [
    'first\ncall remember {"content": "fact one"}\ncall current_time {}',
    "second, slowly",
    'third\ncall remember {"content": "fact three"}',
]
CONFIG = """streaming:
  edit_interval: 300ms
"""


class Case(KillCase):
    """A conversation, and what must hold of it afterwards."""

    chat = CHAT
    questions = QUESTIONS
    environment = {}

    def _prepare(self, path, up):
        self.hermes = Hermes(self.binary, path)
        self.hermes.use_telegram(self.api).use(up, "chain")
        self.hermes.environment["ASAN_OPTIONS"] += ":detect_leaks=0"  # not under a tracer
        self.hermes.environment.update(self.environment)
        self.hermes.put("config.yaml", CONFIG)
        self.api.chats.pace = None
        for question in self.questions:
            self.api.user_says(CHAT, question)

    def _titles(self):
        return [question.split("\n")[0] for question in self.questions]

    def _is_over(self):
        texts = self.api.texts(CHAT)
        return all(any(f"done with {title}" in text for text in texts) for title in self._titles())

    def _answers(self):
        return self.api.texts(CHAT)

    def _holds(self):
        texts = self._answers()
        uncertain = len(self.last.events("telegram.uncertain"))
        finals = [self._final(title) for title in self._titles()]
        # A copy may be of a reply that was just beginning: nobody learnt the number of its message.
        found = [next((f for f in finals if f.startswith(text)), None) for text in texts]
        assert None not in found, f"no reply to anything: {texts}"
        assert len(texts) - len(finals) <= uncertain, \
            f"a reply twice, and the log knows nothing of it: {texts}; {self.api.story()}"
        assert [f for n, f in enumerate(found) if f not in found[:n]] == finals, \
            f"out of order: {texts}"
        self._database_holds()

    def _final(self, title):
        words = "".join(f"w{n} " for n in range(15)) if "slowly" in title else ""
        return f"{words}done with {title}"

    def _database_holds(self):
        path, = [p for p in self.hermes.databases() if p.name == "state.db"]
        told = self.hermes.sql(
            "print(db.execute('PRAGMA integrity_check').fetchone()[0])\n"
            "print(db.execute('SELECT count(*) FROM turns WHERE ended_ms IS NULL').fetchone()[0])\n"
            "for row in db.execute('SELECT content FROM memory'): print(row[0])", path).split("\n")
        assert told[0] == "ok", told
        assert told[1] == "0", f"{told[1]} turns were left open"
        known = "\n".join(told[2:]) + "".join(
            p.read_text() for p in (self.hermes.home / "memories").glob("*.md"))
        for fact in ("fact one", "fact three"):
            assert known.count(fact) <= 1, f"{fact!r} was remembered twice: {known}"
        assert self.api.of("sendMessage"), "nothing was ever sent"


class WaitingCase(Case):
    """The first message's call runs only when somebody approves it; the second waits behind it."""

    questions = ['first\ncall remember {"content": "fact one"}', "second"]
    environment = {"HERMES_DEBUG_ASKS": "remember"}

    def run(self):
        self.pressed = set()
        return super().run()

    def _is_over(self):
        for message in self.api.messages(CHAT):
            if "/approve" in message.text and message.keyboard \
                    and message.id not in self.pressed:
                self.pressed.add(message.id)
                self.api.user_presses(message, "✅ Approve")
        return super()._is_over()

    def _answers(self):
        """But for the questions, and for what became of each press."""
        return [text for text in super()._answers()
                if not any(word in text for word in ("remember", "Nothing waits"))]


class OutcomeCase(WaitingCase):
    """Each question ends as it was answered, once; its call has one result, which tells that; and
    what was not approved did not run."""

    calls = {"fact one": "approved"}
    results = {"approved": "", "denied": "not run: the user said no"}

    def __init__(self, binary, moments):
        super().__init__(binary, moments)
        self.questions = ["\n".join(["first", *(
            f'call remember {{"content": "{fact}"}}' for fact in self.calls)]), "second"]

    def _is_over(self):
        for message in self.api.messages(CHAT):
            fact = next((f for f in self.calls if f in message.text), None)
            if fact and message.keyboard and message.id not in self.pressed:
                self.pressed.add(message.id)
                self._answer(message, self.calls[fact])
        return Case._is_over(self)

    def _answer(self, message, outcome):
        self.api.user_presses(message, "✅ Approve" if outcome == "approved" else "❌ Deny")

    def _database_holds(self):
        super()._database_holds()
        path, = [p for p in self.hermes.databases() if p.name == "state.db"]
        asked, results, roles, facts, waiting = (json.loads(line) for line in self.hermes.sql(
            "import json\n"
            "def show(sql): print(json.dumps([row[0] for row in db.execute(sql)]))\n"
            "show('SELECT state FROM approvals ORDER BY turn, iteration, ordinal')\n"
            "show(\"SELECT content FROM messages WHERE role = 'tool' ORDER BY id\")\n"
            "show('SELECT role FROM messages WHERE turn = (SELECT min(turn) FROM messages) "
            "ORDER BY id')\n"
            "show('SELECT content FROM memory')\n"
            "show(\"SELECT count(*) FROM outbox WHERE state = 'open'\")\n",
            path).splitlines())
        assert asked == list(self.calls.values()), asked
        assert roles == ["user", *["assistant", "tool"] * len(asked), "assistant"], roles
        assert waiting == [0], f"{waiting} deliveries are left"
        known = "\n".join(facts) + "".join(
            p.read_text() for p in (self.hermes.home / "memories").glob("*.md"))
        for (fact, outcome), result in zip(self.calls.items(), results):
            assert self.results[outcome] in result, (outcome, result)
            ran = outcome == "approved" and "interrupted" not in result
            may_have_run = outcome == "approved"
            assert ran <= known.count(fact) <= may_have_run, (outcome, result, known)


class DeniedCase(OutcomeCase):
    calls = {"fact one": "denied"}


class SplitCase(OutcomeCase):
    calls = {"fact one": "denied", "fact three": "approved"}


class StoppedCase(OutcomeCase):
    """The turn ends without a reply of its own."""

    calls = {"fact one": "denied"}
    results = {"denied": "not run: the user stopped this"}

    def _answer(self, message, _outcome):
        if len(self.pressed) == 1:  # a copy of the question needs no second word
            self.api.user_says(CHAT, "/stop")

    def _titles(self):
        return ["second"]

    def _answers(self):
        return [text for text in super()._answers() if text != "Stopped."]


class RunningCase(WaitingCase):
    """The first message's call asks in its middle, and its server keeps nothing over a kill."""

    questions = ["first\n" + tool("asknote", asks=[
        {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}}]), "second"]
    environment = {}

    def _lives(self, path):
        servers = Servers(self.hermes).use("legacy", others=CONFIG)
        listed(self.hermes)  # so that its tools are known from the beginning
        super()._lives(path)
        self.asked = sum(line.startswith("ask ") for line in servers.calls)

    def _is_over(self):
        for message in self.api.messages(CHAT):
            if "Sure?" in message.text and message.keyboard and message.id not in self.pressed:
                self.pressed.add(message.id)
                self.api.user_presses(message, "Yes")
        return Case._is_over(self)

    def _answers(self):
        return [text for text in super()._answers()
                if not any(word in text for word in ("Sure?", "Answered", "Nothing is asked"))]

    def _database_holds(self):
        super()._database_holds()
        assert self.asked <= 1, "what may not be repeated was called again"


def matrix(binary, cases, kind=Case):
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        problems = [p for p in pool.map(lambda moments: kind(binary, moments).run(), cases) if p]
    assert not problems, f"{len(problems)} of {len(cases)} cases:\n" + "\n\n".join(problems[:5])


@pytest.fixture(scope="module")
def total(binary):
    """How many state-changing calls the conversation makes when nobody kills it."""
    whole = Case(binary, [0])
    problem = whole.run()
    assert problem is None, problem
    assert whole.counts[0] > 50, "the conversation changes next to nothing: is it traced at all?"
    return whole.counts[0]


def moments(binary, total):
    """Those of this run, of all from 1 to `total`."""
    every = range(1, min(total, LIMIT) + 1)
    if depth.depth() == depth.CHECK:
        return depth.share(every, STEP_OF_A_CHECK)
    return depth.share(every, STEP_SANITIZED if binary.sanitized else STEP)


def test_killed_after_every_change(binary, total):
    matrix(binary, [[n] for n in moments(binary, total)])


def test_killed_again_while_it_recovers(binary, total):
    again = range(1 + depth.turn(AGAIN_STEP), min(total, LIMIT) + 1, AGAIN_STEP)
    matrix(binary, [[n, 1 + n % 97] for n in again])


@pytest.mark.debug_build
def test_killed_around_a_question(binary):
    whole = WaitingCase(binary, [0])
    assert whole.run() is None
    matrix(binary, [[n] for n in moments(binary, whole.counts[0])], WaitingCase)


def test_killed_around_a_question_of_a_server(binary):
    whole = RunningCase(binary, [0])
    assert whole.run() is None and whole.pressed and whole.asked == 1
    matrix(binary, [[n] for n in moments(binary, whole.counts[0])], RunningCase)


@pytest.mark.debug_build
@pytest.mark.parametrize("kind", [OutcomeCase, DeniedCase, SplitCase, StoppedCase])
def test_a_question_has_one_outcome(binary, kind):
    whole = kind(binary, [0])
    problem = whole.run()
    assert problem is None, problem
    matrix(binary, [[n] for n in moments(binary, whole.counts[0])], kind)
