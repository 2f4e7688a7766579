"""Scheduled jobs are killed after the n-th state-changing system call, for every n.

A home was down while several jobs were due: they are caught up one after another, in each way in
which a run can end. The process is killed as a whole (killer.py) and started again. Every time that
was due has one row in the history then, with one outcome; what is told of it was delivered once, or
the log says that it could not be known; jobs.json is whole and says the same as the history, and
what it holds besides is as it was.

A second matrix asks for a run with `hermes cron run`: if that says that it runs, it does, once. A
third one asks in a chat, with `/cron run`: it runs once, and that is answered. In a fourth one
nobody asks and nothing was missed: the time of two jobs comes while Hermes runs.
"""

import concurrent.futures
import contextlib
import datetime
import functools
import json
import os
import shutil
import subprocess
import time

import pytest

import depth
import telegram_models  # noqa: F401  registers its scenarios
from harness import Hermes, directory
from kill_case import KillCase
from openai_upstream import Upstream
from service import Service
from telegram_api import TelegramApi

pytestmark = pytest.mark.release

OWNER = 42
WORKERS = int(os.environ.get("HERMES_KILL_WORKERS") or 4)
# As in test_kill_matrix.py: all of them at full depth.
STEP, STEP_SANITIZED, STEP_OF_A_CHECK = 5, 23, 120
TIMED_STEP = 13  # of those that wait for a time that is some seconds away
AGAIN_STEP = 89  # of the moments that are killed a second time, in the recovery; at full depth, too
CONFIG = "cron: {retries: 0, max_parallel_jobs: 1}\n"
SCRIPT = "echo run >> ran.txt; echo three mails\n"


def at(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.isoformat(timespec="milliseconds")


def job(name, prompt="", due=-600, **more):
    return {"id": f"{name}01", "name": name, "prompt": prompt, "deliver": "telegram",
            "schedule": {"kind": "interval", "minutes": 60, "display": "every 60m"},
            "created_at": at(-9000), "next_run_at": at(due), "kept": [name, None], **more}


def expression(hours):
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours)
    return {"schedule": {"kind": "cron", "expr": f"{when.minute} {when.hour} * * *"},
            "next_run_at": when.replace(second=0).isoformat(timespec="milliseconds")}


def jobs_of_a_day():
    """The last one is last in the history, too: one runs at a time."""
    return [
        job("answer", "say Good morning", repeat={"times": 1, "completed": 0}),
        job("scripted", "say mail", script="x.sh"),
        job("failing", "say never", model="404", last_run_at=at(0), repeat={"completed": 1}),
        job("silent", "say [SILENT]"),
        job("missed", "say never", **expression(3)),
        job("paused", "say never", enabled=False, state="paused", paused_at=at(-60)),
        {"id": "odd01", "kept": 1, "name": "odd", "prompt": "x", "schedule": {"kind": "lunar"}},
        job("once", "say once", schedule={"kind": "once", "run_at": at(-60)}, due=-60),
        job("end", "say the end"),
    ]


OUTCOMES = {"answer": "ok", "scripted": "ok", "failing": "failed",
            "silent": "silent", "missed": "missed", "once": "ok", "end": "ok"}
# How each text begins and ends; "late" is said of all that were due ten minutes ago.
LATE = " and ran late, as Hermes did not run then.)"
TEXTS = {"answer": ("Cronjob Response: answer\n\nGood morning\n\n(This was due at ", LATE),
         "scripted": ("Cronjob Response: scripted\n\nmail\n\nx.sh:\nthree mails\n\n(", LATE),
         "failing": ("⚠️ The job failing failed: ", "This is the 2nd failure in a row."),
         "missed": ("⚠️ The job missed was missed: ", ")"),
         "once": ("Cronjob Response: once\n\nonce", "once"),
         "end": ("Cronjob Response: end\n\nthe end\n\n(This was due at ", LATE)}


def database(hermes):
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    return path


def select(hermes, sql):
    return json.loads(hermes.sql(f"import json\nprint(json.dumps(db.execute({sql!r}).fetchall()))",
                                 database(hermes)))


class Case(KillCase):
    """Jobs that are due, and what must hold of their runs afterwards."""

    chat = OWNER
    outcomes, texts = OUTCOMES, TEXTS
    make_jobs = staticmethod(jobs_of_a_day)

    def __init__(self, binary, template, moments):
        super().__init__(binary, moments)
        self.template = template

    def _prepare(self, path, up):
        subprocess.run(["cp", "-a", f"{self.template}/.", path], check=True)
        self.hermes = home_of(self.binary, path, self.api, up)
        self.jobs = self.make_jobs()
        self.hermes.put("cron/jobs.json", json.dumps({"jobs": self.jobs, "extra": [1, None]}))

    def _which(self, text):
        return next((name for name, (begin, end) in self.texts.items()
                     if text.startswith(begin) and text.endswith(end)), None)

    def _is_over(self):
        return {self._which(text) for text in self.api.texts(OWNER)} >= self.texts.keys()

    def _holds(self):
        self._delivered_once()
        self._one_outcome()
        self._file_is_whole()

    def _delivered_once(self):
        texts = self.api.texts(OWNER)
        found = [self._which(text) for text in texts]
        assert None not in found, f"a text that nobody said: {texts}"
        copies = len(found) - len(set(found))
        uncertain = len(self.last.events("telegram.uncertain"))
        assert copies <= min(uncertain, len(self.moments)), \
            f"told twice, and the log knows nothing of it: {texts}; {self.api.story()}"

    def _one_outcome(self):
        rows = select(self.hermes, "SELECT name, outcome, due_ms, ended_ms >= started_ms, delivered"
                                   " FROM runs WHERE ended_ms = 0 OR due_ms > 0 ORDER BY number")
        assert {row[0]: row[1] for row in rows} == self.outcomes and \
            len(rows) == len(self.outcomes), f"not one outcome each: {rows}"
        assert all(row[3] for row in rows), rows
        self._database_holds()
        for name, outcome in self.outcomes.items():
            kept = list((self.hermes.home / "cron/output" / f"{name}01").glob("*.md"))
            assert len(kept) == (outcome != "missed"), (name, kept)
        ran = self.hermes.workspace / "ran.txt"
        times = len(ran.read_text().split())
        assert 1 <= times <= 1 + len(self.moments), f"the script ran {times} times"

    def _database_holds(self):
        assert select(self.hermes, "PRAGMA integrity_check") == [["ok"]]
        assert select(self.hermes, "SELECT count(*) FROM turns WHERE ended_ms IS NULL") == [[0]]
        assert select(self.hermes, "SELECT count(*) FROM outbox WHERE state <> 'sent'") == [[0]]

    def _file_is_whole(self):
        content = json.loads((self.hermes.home / "cron/jobs.json").read_text())
        assert content["extra"] == [1, None]
        found = {job["id"]: job for job in content["jobs"]}
        assert list(found) == [job["id"] for job in self.jobs], list(found)
        for before in self.jobs:
            after = found[before["id"]]
            for key in ("name", "prompt", "deliver", "kept", "script", "model"):
                assert after.get(key) == before.get(key), (before, after)
            assert before["schedule"].items() <= after["schedule"].items(), (before, after)
            self._says_what_happened(before["name"], after)

    def _says_what_happened(self, name, job):
        outcome = self.outcomes.get(name)
        if not outcome:
            assert not job.get("last_status"), job
            return
        failed, before = outcome in ("failed", "missed"), name == "failing"
        said = [job["last_status"], bool(job["last_error"]), job["repeat"]["completed"],
                job["failure_streak"], job["state"]]
        assert said == ["error" if failed else "ok", failed, (outcome != "missed") + before,
                        failed + before, "completed" if name in ("answer", "once")
                        else "scheduled"], f"the file says of {name}: {said}"


class AskedCase(Case):
    """Somebody asks for a run, and is told that it runs, or that it does not."""

    outcomes = {"asked": "ok"}
    texts = {"asked": ("Cronjob Response: asked\n\nat once", "at once")}

    @staticmethod
    def make_jobs():
        return [job("asked", "say at once", due=3000), job("other", "say never", due=3000)]

    def _ask(self, killed):
        """Not before it is ready: it would be told that no job runs now."""
        self.said = None
        try:
            killed.wait_ready()
        except AssertionError:
            return
        except OSError:  # killed while it answered
            return
        self.said = self.hermes.run("cron", "run", "asked")

    def _is_over(self):
        return self.said is None or self.said.code != 0 or super()._is_over()

    def _one_outcome(self):
        rows = select(self.hermes, "SELECT name, outcome FROM runs WHERE name = 'asked'")
        assert len(rows) <= 1, f"asked for once, run twice: {rows}"
        if self.said and self.said.code == 0:
            assert rows == [["asked", "ok"]], f"said that it runs, and did not: {rows}"
        assert all(row == ["asked", "ok"] for row in rows), rows
        assert len(set(self.api.texts(OWNER))) == len(rows), (rows, self.api.texts(OWNER))
        self._database_holds()
        self.outcomes = {"asked": "ok"} if rows else {}


class CommandCase(AskedCase):
    """Somebody asks for it in the chat: it runs once, and so much is answered."""

    texts = {"command": ("", "."), **AskedCase.texts}

    def _ask(self, killed):
        self.said = None
        self.api.user_says(OWNER, "/cron run asked")

    def _is_over(self):
        return Case._is_over(self)

    def _one_outcome(self):
        rows = select(self.hermes, "SELECT name, outcome FROM runs")
        assert rows == [["failing", "failed"], ["asked", "ok"]], f"asked for once: {rows}"
        answer, = {text for text in self.api.texts(OWNER) if text.endswith(".")}
        assert answer in ("Running the job asked.", "This was done already; /cron shows the jobs.")
        self._database_holds()
        self.outcomes = {"asked": "ok"}


class TimedCase(Case):
    """The time of two jobs comes at once: each runs for that once, beside the other."""

    outcomes = {"scripted": "ok", "once": "ok"}
    texts = {"scripted": ("Cronjob Response: scripted\n\nmail\n\nx.sh:\n", "three mails"),
             "once": ("Cronjob Response: once\n\nonce", "once")}

    def __init__(self, binary, template, moments, lead):
        super().__init__(binary, template, moments)
        self.lead, self.ready = lead, None

    def _prepare(self, path, up):
        super()._prepare(path, up)
        self.hermes.put("config.yaml", CONFIG.replace("jobs: 1", "jobs: 2"))  # side by side

    def make_jobs(self):
        self.due = time.time() + self.lead
        return [job("scripted", "say mail", script="x.sh", due=self.lead),
                job("once", "say once", schedule={"kind": "once", "run_at": at(self.lead)},
                    due=self.lead)]

    def _ask(self, killed):
        with contextlib.suppress(AssertionError, OSError):  # killed before, or while it answered
            killed.wait_ready()
            self.ready = time.time()

    def _one_outcome(self):
        super()._one_outcome()
        rows = select(self.hermes, "SELECT due_ms, started_ms FROM runs WHERE due_ms > 0")
        for due, started in rows:
            assert started >= due and abs(due - self.due * 1000) < 1000, (rows, self.due)


def home_of(binary, path, api, up):
    hermes = Hermes(binary, path).use_telegram(api).use(up, "say")
    hermes.environment["ASAN_OPTIONS"] += ":detect_leaks=0"  # not under a tracer
    api.chats.all.setdefault(OWNER, [])
    api.chats.pace = None
    return hermes


@pytest.fixture(scope="module")
def template(binary):
    """A home that has run before, where the job "failing" failed for the first time."""
    with directory("hermes-runs-home-") as path, TelegramApi() as api, Upstream() as up:
        hermes = home_of(binary, path, api, up)
        hermes.put("config.yaml", CONFIG)
        hermes.put("scripts/x.sh", SCRIPT)
        failing = job("failing", "x", model="404", due=3000)
        hermes.put("cron/jobs.json", json.dumps({"jobs": [failing]}))
        running = Service(hermes).start()
        hermes.run("cron", "run", "failing").ok()
        api.wait_messages(OWNER, 1)
        running.stop()
        failing, = json.loads((hermes.home / "cron/jobs.json").read_text())["jobs"]
        assert failing["failure_streak"] == 1, failing
        shutil.rmtree(hermes.home / "cron/output")  # so that each case has one of each run
        hermes.finish()
        yield path


def matrix(binary, template, cases, kind=Case):
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        made = [kind(binary, template, moments) for moments in cases]
        problems = [p for p in pool.map(lambda case: case.run(), made) if p]
    assert not problems, f"{len(problems)} of {len(cases)} cases:\n" + "\n\n".join(problems[:5])


def total_of(binary, template, kind):
    """How many state-changing calls there are when nobody kills it."""
    whole = kind(binary, template, [0])
    problem = whole.run()
    assert problem is None, problem
    return whole.counts[0]


def moments(binary, every, step=STEP):
    if depth.depth() == depth.CHECK:
        return depth.share(every, STEP_OF_A_CHECK)
    return depth.share(every, STEP_SANITIZED if binary.sanitized else step)


@pytest.fixture(scope="module")
def total(binary, template):
    count = total_of(binary, template, Case)
    assert count > 100, "seven runs change next to nothing: are they traced at all?"
    return count


def test_killed_after_every_change(binary, template, total):
    matrix(binary, template, [[n] for n in moments(binary, range(1, total + 1))])


def test_killed_again_while_it_recovers(binary, template, total):
    again = range(1 + depth.turn(AGAIN_STEP), total + 1, AGAIN_STEP)
    matrix(binary, template, [[n, 1 + n % 97] for n in again])


def test_killed_around_a_run_that_was_asked_for(binary, template):
    total = total_of(binary, template, AskedCase)
    matrix(binary, template, [[n] for n in moments(binary, range(1, total + 1))], AskedCase)


def test_killed_around_a_command_of_the_chat(binary, template):
    total = total_of(binary, template, CommandCase)
    matrix(binary, template, [[n] for n in moments(binary, range(1, total + 1))], CommandCase)


def test_killed_around_a_run_at_its_time(binary, template):
    for lead in (3, 9, 27):  # seconds; on a machine that takes long to start, a longer one
        whole = TimedCase(binary, template, [0], lead)
        problem = whole.run()
        assert problem is None, problem
        if whole.ready < whole.due - lead / 2:
            break
    else:
        raise AssertionError(f"it takes more than {lead / 2} s to start")
    every = range(1, whole.counts[0] + 1)
    matrix(binary, template, [[n] for n in moments(binary, every, TIMED_STEP)],
           functools.partial(TimedCase, lead=lead))
