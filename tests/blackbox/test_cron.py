"""Scheduled jobs: kept, run at their time, told of, and never lost or run twice."""

import datetime
import json
import re
import signal
import time

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import comes_true
from telegram_owner import OWNER, settled


def cron(hermes, *args, **more):
    return hermes.run("cron", *args, **more)


def runs(hermes, job=None):
    """What `hermes cron history` tells, the oldest first."""
    told = cron(hermes, "history", *([job] if job else []), "--json").ok()
    return json.loads(told.out)["runs"][::-1]


def ended(hermes, count=1, job=None, seconds=60):
    found = []

    def all_over():
        found[:] = [run for run in runs(hermes, job) if run["outcome"] != "running"]
        return len(found) >= count
    assert comes_true(all_over, seconds), f"{found} {runs(hermes)}"
    return found


def jobs(hermes):
    return json.loads((hermes.home / "cron/jobs.json").read_text())["jobs"]


def soon(seconds=1):
    """A time that is near, in the zone of the tests."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.isoformat(timespec="milliseconds")


@pytest.fixture
def home(hermes, up):
    return hermes.use(up, "echo")


def test_a_job_runs_and_its_outcome_is_kept(home, up, service):
    service()
    cron(home, "add", "every 1m", "say hi", "--deliver", "local", "--name", "hi").ok()
    job, = jobs(home)
    assert job["schedule"] == {"kind": "interval", "minutes": 1, "display": "every 1m"}
    cron(home, "run", "hi").ok()
    run, = ended(home)
    assert run["outcome"] == "ok" and run["delivered"] == "" and run["input_tokens"] > 0
    output, = (home.home / "cron/output" / job["id"]).glob("*.md")
    assert "## Response" in output.read_text() and "say hi" in output.read_text()
    job, = jobs(home)
    assert job["last_status"] == "ok" and job["repeat"]["completed"] == 1
    assert "hi: every 1m, scheduled, next" in cron(home).ok().out.decode()


def test_two_runs_of_one_second(home, service):
    """Each keeps its answer, under a name of its own that is later than the one before it."""
    home.put("scripts/x.sh", "cat said.txt\n")
    service()
    cron(home, "add", "every 2h", "--no-agent", "--script", "x.sh", "--name", "m").ok()
    output = home.home / "cron/output" / jobs(home)[0]["id"]
    for number in range(1, 5):
        home.put("workspace/said.txt", f"answer {number}\n")
        cron(home, "run", "m").ok()
        ended(home, number)
        if number == 1:  # as if the next few were of the same second, by a name of that time
            first, = output.glob("*.md")
            zero = datetime.datetime.strptime(first.stem, "%Y-%m-%d_%H-%M-%S")
            for later in range(20):
                name = zero + datetime.timedelta(seconds=later)
                home.put(f"cron/output/{output.name}/{name:%Y-%m-%d_%H-%M-%S}.md",
                         first.read_text())
    found = sorted(output.glob("*.md"))
    said = [re.search(r"answer \d", path.read_text())[0] for path in found]
    assert said == ["answer 1"] * 20 + ["answer 2", "answer 3", "answer 4"], said
    for path in found:
        datetime.datetime.strptime(path.name, "%Y-%m-%d_%H-%M-%S.md")


def test_a_time_that_comes(home, up, service):
    service()
    cron(home, "add", soon(1.5), "once", "--name", "once").ok()
    run, = ended(home)
    assert run["outcome"] == "ok" and run["due_ms"]
    assert jobs(home)[0]["state"] == "completed"
    assert len(up.requests) == 1


def test_a_job_is_told_what_others_answered_last(home, up, service):
    """Of each the newest answer that says something, and of nothing outside cron/output/."""
    service()
    cron(home, "add", "every 1d", "sum it up", "--name", "sum", "--deliver", "local").ok()
    sum_up, = jobs(home)
    output = home.home / "cron/output"
    for job, day, text in (("a1", 1, "## Response\n\nthe old one\n"),
                           ("a1", 2, "## Prompt\n\nq\n\n## Response\n\n" + "zwölf " * 2000),
                           ("a1", 3, "## Response\n\n[SILENT]\n"), ("a1", 4, "## Error\n\nbad\n"),
                           ("b2", 1, "## Response\n\nof the other\n")):
        home.mkdir(output / job)
        (output / job / f"2026-11-0{day}_10-00-00.md").write_text(f"# Cron Job: x\n\n{text}")
    home.mkdir(home.home / "cron/stray")
    (home.home / "cron/stray/1.md").write_text("x\n## Response\n\nnobody's\n")
    path = home.home / "cron/jobs.json"
    entry = json.loads(path.read_text())
    entry["jobs"][0]["context_from"] = ["a1", "../stray", "none", "..", "b2"]
    path.write_text(json.dumps(entry))
    cron(home, "run", "sum").ok()
    run, = ended(home, job=sum_up["id"])
    said = up.requests[-1].json["messages"][-1]["content"]
    assert run["outcome"] == "ok" and said.endswith("sum it up") and "of the other" in said
    assert "zwölf zwölf" in said and 7000 < len(said) < 9000
    for word in ("the old one", "[SILENT]\n", "bad", "nobody's"):
        assert word not in said
    session = json.loads(home.run("sessions", "list", "--json").ok().out)["sessions"][0]
    shown = json.loads(home.run("sessions", "show", session["id"], "--json").ok().out)
    assert shown["messages"][0]["tainted"] is True
    assert jobs(home)[0]["context_from"] == entry["jobs"][0]["context_from"]


def test_jobs_whose_answers_it_is_told_are_named(home, up, service):
    """By name or id, on the command line; jobs.json has their ids, as hermes-agent's."""
    service()
    cron(home, "add", "every 1d", "the news", "--name", "The News").ok()
    cron(home, "add", "every 1d", "the mail", "--name", "mail").ok()
    news, mail = (job["id"] for job in jobs(home))
    cron(home, "add", "every 1d", "sum it up", "--name", "sum", "--context-from", "the news",
         "--context-from", mail).ok()
    assert jobs(home)[2]["context_from"] == [news, mail]
    assert f"context from: {news} {mail}" in cron(home, "show", "sum").ok().out.decode()
    for job in ("mail", "sum"):
        cron(home, "run", job).ok()
        ended(home, job=job)
    said = up.requests[-1].messages[-1]["content"]
    assert f"The last answer of the job {mail}," in said and "the mail" in said
    assert news not in said, "it has not answered yet"
    cron(home, "edit", "sum", "--context-from", "no").failed('context_from: there is no job "no"')
    cron(home, "edit", "sum", *["--context-from", mail] * 9).failed("at most 8 jobs")
    assert jobs(home)[2]["context_from"] == [news, mail]
    cron(home, "edit", "sum", "--prompt", "sum up", "--context-from", "mail").ok()
    assert jobs(home)[2]["context_from"] == [mail]
    cron(home, "edit", "sum", "--context-from", "").ok()
    assert jobs(home)[2]["context_from"] == [] and jobs(home)[2]["prompt"] == "sum up"
    assert b"context from" not in cron(home, "show", "sum").ok().out
    assert b"--context-from" in home.run("completion", "bash").ok().out


# -- what is delivered ----------------------------------------------------------------------------

@pytest.fixture
def bot(talk, api):
    """A daemon on Telegram whose model says what stands behind "say "."""
    def start(model="say", config="", **more):
        for chat in (OWNER, 77):  # they have spoken to the bot, long ago
            api.chats.all.setdefault(chat, [])
        return talk(model, config or "cron: {retries: 0}\n", **more)
    return start


def test_an_answer_goes_to_the_only_user(hermes, api, bot):
    bot()
    cron(hermes, "add", "every 2h", "say Good morning", "--name", "m", "-d", "telegram").ok()
    cron(hermes, "run", "m").ok()
    assert settled(api, 1) == ["Cronjob Response: m\n\nGood morning"]
    run, = ended(hermes)
    assert run["delivered"] == "telegram:42" and run["outcome"] == "ok"


def test_to_several_chats_and_a_topic(hermes, api, bot):
    bot(config="cron: {wrap_response: false, retries: 0}\n"
               "platforms: {telegram: {home_channel: {chat_id: '77'}}}\n")
    cron(hermes, "add", "every 2h", "say x", "--name", "m", "-d",
         "telegram, telegram:42,telegram:77,local").ok()
    cron(hermes, "run", "m").ok()
    assert settled(api, 1) == ["x"] and settled(api, 1, chat=77) == ["x"]


def test_silence_is_kept_and_not_delivered(hermes, api, bot):
    bot()
    cron(hermes, "add", "every 2h", "say [SILENT]", "--name", "m", "-d", "telegram").ok()
    cron(hermes, "run", "m").ok()
    run, = ended(hermes)
    assert run["outcome"] == "silent" and run["delivered"] == ""
    assert settled(api, 0) == []
    assert len(list((hermes.home / "cron/output").rglob("*.md"))) == 1


def test_a_failure_is_told_with_how_many_there_were(hermes, api, bot):
    bot(model="404")
    cron(hermes, "add", "every 2h", "say x", "--name", "m", "-d", "telegram").ok()
    for number in (1, 2, 3):
        cron(hermes, "run", "m").ok()
        ended(hermes, number)
    texts = settled(api, 3)
    assert texts[0].startswith("⚠️ The job m failed: ") and "in a row" not in texts[0]
    assert texts[1].endswith("This is the 2nd failure in a row.")
    assert texts[2].endswith("This is the 3rd failure in a row.")
    job, = jobs(hermes)
    assert job["last_status"] == "error" and job["failure_streak"] == 3
    status = hermes.run("status")
    assert status.code == 4 and b"the job m fails" in status.out + status.err
    assert "failed 3 times in a row" in cron(hermes).ok().out.decode()
    assert b"the job m failed 3 times in a row" in hermes.run("doctor").out


def test_failures_go_elsewhere_if_that_is_said(hermes, api, bot):
    bot(model="404")
    cron(hermes, "add", "every 2h", "say x", "--name", "m", "-d", "local", "--failure-deliver",
         "telegram:77").ok()
    cron(hermes, "run", "m").ok()
    assert settled(api, 1, chat=77)[0].startswith("⚠️")
    assert settled(api, 0) == []


@pytest.mark.parametrize("where, home", [
    (["-d", "local"], True), ([], True), (["-d", "local", "--failure-deliver", "local"], False)])
def test_a_failure_of_what_goes_nowhere_is_told(hermes, api, bot, where, home):
    """In the home channel; silence has to be asked for."""
    bot(model="404")
    cron(hermes, "add", "every 2h", "say x", "--name", "m", *where).ok()
    cron(hermes, "run", "m").ok()
    run, = ended(hermes)
    assert run["delivered"] == ("telegram:42" if home else "")
    assert all(text.startswith("⚠️ The job m failed: ") for text in settled(api, int(home)))


def test_the_status_names_the_one_that_failed_most_often(hermes, bot):
    bot(model="404")
    for name in ("once", "twice", "last"):
        cron(hermes, "add", "every 2h", "say x", "--name", name).ok()
    for number, name in enumerate(("once", "twice", "twice", "last"), 1):
        cron(hermes, "run", name).ok()
        ended(hermes, number)
    status = hermes.run("status")
    assert status.code == 4
    assert b"3 jobs fail, of which the worst is twice: " in status.out + status.err


def test_it_is_said_that_nothing_runs(home):
    home.put("config.yaml")
    added = cron(home, "add", "every 2h", "say x", "--name", "m").ok()
    assert 'no "hermes run" uses this home' in added.notes
    assert "hermes run" not in cron(home).ok().notes


def test_a_list_has_a_line_for_each_job(hermes, bot):
    bot()
    hermes.put("scripts/bad.sh", "echo one >&2; echo two >&2; exit 3\n", mode=0o700)
    for name in ("m", "n"):
        cron(hermes, "add", "every 2h", "--script", "bad.sh", "--no-agent", "--name", name,
             "--repeat", "2").ok()
    cron(hermes, "run", "m").ok()
    ended(hermes)
    lines = cron(hermes).ok().out.decode().splitlines()
    assert len(lines) == 2 and re.search(r"; failed: .*one two", lines[0]), lines
    assert re.search(r"failed.*; .*one two", cron(hermes, "history").ok().out.decode())
    assert "runs: 1 of 2" in cron(hermes, "show", "m").ok().out.decode()


def test_what_may_pass_is_tried_again(hermes, up, service):
    hermes.use(up, "503")
    hermes.put("config.yaml", "cron: {retries: 2, retry_delay: 20ms}\n")
    service()
    cron(hermes, "add", "every 2h", "say x", "--name", "m").ok()
    cron(hermes, "run", "m").ok()
    run, = ended(hermes)
    assert run["outcome"] == "failed" and run["attempts"] == 3


def test_without_telegram(home, up, service):
    service()
    cron(home, "add", "every 2h", "say x", "-d", "telegram:42").failed("no such channel is set up")
    cron(home, "add", "every 2h", "say x", "-d", "telegram").failed("telegram has no home channel")
    home.put("cron/jobs.json", json.dumps({"jobs": [
        {"id": "aa", "name": "m", "prompt": "x", "deliver": "telegram:42",
         "schedule": {"kind": "interval", "minutes": 60}}]}))
    cron(home, "run", "aa").ok()
    run, = ended(home)
    assert run["outcome"] == "blocked" and "no such channel" in run["error"]
    assert up.requests == [] and jobs(home)[0]["last_status"] == "blocked_config"


# -- scripts and monitors -------------------------------------------------------------------------

def test_a_script_alone(hermes, api, bot):
    hermes.put("scripts/x.sh", "echo disk is at 40%\n")
    bot()
    cron(hermes, "add", "every 2h", "--no-agent", "--script", "x.sh", "--name", "s", "-d",
         "telegram").ok()
    cron(hermes, "run", "s").ok()
    assert settled(api, 1) == ["Cronjob Response: s\n\ndisk is at 40%"]
    hermes.put("scripts/x.sh", "true\n")
    cron(hermes, "run", "s").ok()
    assert ended(hermes, 2)[1]["outcome"] == "silent"
    hermes.put("scripts/x.sh", "echo '[SILENT]'\n")
    cron(hermes, "run", "s").ok()
    assert ended(hermes, 3)[2]["outcome"] == "silent"
    hermes.put("scripts/x.sh", "echo 'it'\"'\"'s broken' >&2; exit 3\n")
    cron(hermes, "run", "s").ok()
    assert ended(hermes, 4)[3]["outcome"] == "failed"
    assert "it's broken\n[exit code 3" in settled(api, 2)[1]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "asia/kathmandu"])  # the latter has no file
def test_a_script_has_the_clock_of_the_setting(home, service, zone):
    home.put("scripts/x.sh", "date +at%z\n")
    home.put("config.yaml", f"timezone: {zone}\n")
    running = service(env={"TZ": "America/New_York"})
    cron(home, "add", "every 2h", "--no-agent", "--script", "x.sh", "--name", "s").ok()
    output = home.home / "cron/output" / jobs(home)[0]["id"]
    cron(home, "run", "s").ok()
    assert ended(home)[0]["outcome"] == "ok"
    first, = output.glob("*.md")
    assert "\nat+0545" in first.read_text()
    home.put("config.yaml", "timezone: Asia/Tokyo\n")
    running.process.signal(signal.SIGHUP)
    assert comes_true(lambda: b"was reloaded" in running.process.err, 60), running.process.err
    cron(home, "run", "s").ok()
    ended(home, 2)
    assert "\nat+0900" in max(output.glob("*.md")).read_text()


def test_a_script_wakes_the_model_or_does_not(hermes, up, api, bot):
    hermes.put("scripts/x.py", "print('three new mails')\n")
    bot(model="echo")
    cron(hermes, "add", "every 2h", "what is new?", "--script", "x.py", "--name", "s").ok()
    cron(hermes, "run", "s").ok()
    assert ended(hermes)[0]["outcome"] == "ok"
    asked = up.requests[-1].messages[-1]["content"]
    assert asked.endswith("what is new?\n\nx.py:\nthree new mails")
    hermes.put("scripts/x.py", "print('nothing'); print('{\"wakeAgent\": false}')\n")
    cron(hermes, "run", "s").ok()
    assert ended(hermes, 2)[1]["outcome"] == "silent" and len(up.requests) == 1


@pytest.mark.parametrize("name", ["../config.yaml", "/etc/passwd", "none.sh"])
def test_a_script_is_in_its_directory(home, up, service, name):
    home.put("config.yaml", "cron: {retries: 0}\n")
    home.put("scripts/x.sh", "true\n")
    service()
    cron(home, "add", "every 2h", "x", "--script", name, "--name", "s").ok()
    cron(home, "run", "s").ok()
    run, = ended(home)
    assert run["outcome"] == "blocked" and up.requests == []


def test_a_monitor_wakes_the_model_only_on_a_change(hermes, up, bot):
    hermes.put("scripts/m.sh", "cat version.txt\n")
    hermes.put("workspace/version.txt", "one\n")
    bot(model="echo")
    cron(hermes, "add", "every 2h", "tell me", "--monitor", "m.sh", "--name", "s").ok()
    for number in (1, 2):
        cron(hermes, "run", "s").ok()
        assert ended(hermes, number)[-1]["outcome"] == "silent"
    assert up.requests == []
    hermes.put("workspace/version.txt", "two\n")
    cron(hermes, "run", "s").ok()
    assert ended(hermes, 3)[-1]["outcome"] == "ok"
    assert up.requests[-1].messages[-1]["content"].endswith("m.sh:\ntwo")
    cron(hermes, "run", "s").ok()
    assert ended(hermes, 4)[-1]["outcome"] == "silent" and len(up.requests) == 1


# -- kills ----------------------------------------------------------------------------------------

def test_killed_during_its_script(hermes, api, bot):
    hermes.put("scripts/x.sh", "echo run >> ran.txt; while [ ! -e go ]; do sleep 0.1; done\n")
    running = bot()
    cron(hermes, "add", "every 2h", "say x", "--script", "x.sh", "--name", "m", "-d",
         "telegram").ok()
    cron(hermes, "run", "m").ok()
    assert comes_true(lambda: (hermes.workspace / "ran.txt").exists())
    running.kill().restart()
    hermes.put("workspace/go")
    assert settled(api, 1) == ["Cronjob Response: m\n\nx"]
    run, = ended(hermes)
    assert run["outcome"] == "ok" and run["attempts"] == 2


def test_killed_while_the_model_is_asked(hermes, up, api, bot):
    running = bot(model="gate")
    cron(hermes, "add", "every 2h", "x", "--name", "m", "-d", "telegram").ok()
    cron(hermes, "run", "m").ok()
    assert comes_true(lambda: len(up.requests) == 1)
    running.kill()
    up.release.set()
    running.restart()
    text, = settled(api, 1)
    assert text.startswith("Cronjob Response: m") and text.endswith("and finished")
    run, = ended(hermes)
    assert run["outcome"] == "ok" and run["attempts"] == 1
    assert [m["role"] for m in up.requests[1].messages] == ["system", "user"]


def test_killed_while_it_tells_of_a_change(hermes, up, bot):
    hermes.put("scripts/m.sh", "cat version.txt\n")
    hermes.put("workspace/version.txt", "one\n")
    running = bot(model="gate")
    cron(hermes, "add", "every 2h", "tell me", "--monitor", "m.sh", "--name", "s").ok()
    cron(hermes, "run", "s").ok()
    ended(hermes)
    hermes.put("workspace/version.txt", "two\n")
    cron(hermes, "run", "s").ok()
    assert comes_true(lambda: len(up.requests) == 1)
    running.kill()
    up.release.set()
    running.restart()
    assert ended(hermes, 2)[1]["outcome"] == "ok"
    cron(hermes, "run", "s").ok()
    assert ended(hermes, 3)[2]["outcome"] == "silent", "the same change is told twice"
    assert len(up.requests) == 2  # the second took the first one's turn up


def test_killed_before_it_is_delivered(hermes, api, bot):
    running = bot()
    cron(hermes, "add", "every 2h", "say x", "--name", "m", "-d", "telegram").ok()
    assert api.wait_for(lambda: api.polling)
    api.down()
    cron(hermes, "run", "m").ok()
    assert ended(hermes)[0]["outcome"] == "ok"
    running.kill()
    api.up()
    running.restart()
    assert settled(api, 1) == ["Cronjob Response: m\n\nx"]


def test_killed_before_a_failure_is_told(hermes, up, api, bot):
    """Its turn has failed for good, and that is all that is on disk of it: it is told, and nothing
    else is tried in its place."""
    running = bot(model="404", config="cron: {retries: 2, retry_delay: 20ms}\n")
    cron(hermes, "add", "every 2h", "say x", "--name", "m", "-d", "telegram").ok()
    for number in (1, 2):
        cron(hermes, "run", "m").ok()
        ended(hermes, number)
    output, = (hermes.home / "cron/output").iterdir()
    told, kept = settled(api, 2)[1], sorted(path.name for path in output.iterdir())
    running.kill()
    database, = [path for path in hermes.databases() if path.name == "state.db"]
    hermes.sql("db.execute(\"UPDATE runs SET outcome = 'running', ended_ms = 0, error = '',"
               " turn = '', delivered = '' WHERE number = 2\")\n"
               "db.execute('DELETE FROM outbox WHERE number = (SELECT max(number) FROM outbox)')",
               database)
    asked = len(up.requests)
    hermes.use(up, "say")
    running.restart()
    assert settled(api, 3)[2] == told and told.endswith("This is the 2nd failure in a row.")
    assert [run["outcome"] for run in ended(hermes, 2)] == ["failed", "failed"]
    assert len(up.requests) == asked and jobs(hermes)[0]["failure_streak"] == 2
    assert sorted(path.name for path in output.iterdir()) == kept


def test_killed_before_it_is_tried_again(hermes, up, api, bot):
    """What may pass was written down as such, and goes on in the next process."""
    running = bot(model="503", config="cron: {retries: 2, retry_delay: 1h}\n")
    cron(hermes, "add", "every 2h", "say x", "--name", "m", "-d", "telegram").ok()
    cron(hermes, "run", "m").ok()
    assert comes_true(lambda: runs(hermes)[0]["attempts"] == 2)
    running.kill()
    hermes.use(up, "say")
    running.restart()
    assert settled(api, 1) == ["Cronjob Response: m\n\nx"]
    assert ended(hermes)[0]["attempts"] == 3


def test_stopped_in_a_run(hermes, up, api, bot):
    running = bot(model="gate")
    cron(hermes, "add", "every 2h", "x", "--name", "m", "-d", "telegram").ok()
    cron(hermes, "run", "m").ok()
    assert comes_true(lambda: len(up.requests) == 1)
    running.stop()
    up.release.set()
    running.restart()
    text, = settled(api, 1)
    assert text.endswith("and finished") and len(ended(hermes)) == 1


# -- times ----------------------------------------------------------------------------------------

def job_of(**more):
    return {"id": "abc123", "name": "m", "prompt": "say x", "deliver": "telegram",
            "schedule": {"kind": "interval", "minutes": 60, "display": "every 60m"},
            "created_at": soon(-7200), **more}


def test_late_is_run_once_and_said_so(hermes, api, bot):
    hermes.put("cron/jobs.json", json.dumps({"jobs": [job_of(next_run_at=soon(-600))]}))
    bot()
    text, = settled(api, 1)
    assert "x\n\n(This was due at " in text and "ran late" in text
    run, = ended(hermes)
    assert run["outcome"] == "ok"


def test_too_late_is_missed_and_said_so(hermes, up, api, bot):
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=3)
    hermes.put("cron/jobs.json", json.dumps({"jobs": [job_of(
        schedule={"kind": "cron", "expr": f"{when.minute} {when.hour} * * *"},
        next_run_at=when.isoformat())]}))
    running = bot()
    text, = settled(api, 1)
    assert text.startswith("⚠️ The job m was missed: ")
    run, = ended(hermes)
    assert run["outcome"] == "missed" and up.requests == []
    running.stop()
    running.restart()
    assert len(settled(api, 1)) == 1 and len(runs(hermes)) == 1


def test_the_next_time_is_skipped_while_one_runs(hermes, up, api, bot):
    bot(model="gate")
    cron(hermes, "add", "every 1m", "x", "--name", "m", "-d", "telegram").ok()
    cron(hermes, "run", "m").ok()
    assert comes_true(lambda: len(up.requests) == 1)
    content = json.loads((hermes.home / "cron/jobs.json").read_text())
    content["jobs"][0]["next_run_at"] = soon(-1)
    hermes.put("cron/jobs.json", json.dumps(content))
    cron(hermes, "list").ok()
    hermes.run("cron", "add", "every 2h", "y", "--paused").ok()  # looks at what is due
    assert comes_true(lambda: any(r["outcome"] == "skipped" for r in runs(hermes)))
    up.release.set()
    assert ended(hermes, 2)[0]["outcome"] == "ok" and len(settled(api, 1)) == 1


# -- the file -------------------------------------------------------------------------------------

def test_a_broken_file_is_left_alone(home, up, service):
    broken = '{"jobs": [{"id": "aa", "name": '
    home.put("cron/jobs.json", broken)
    running = service()
    cron(home, "add", "every 2h", "x").failed("left alone")
    cron(home).failed("mend the file")
    assert (home.home / "cron/jobs.json").read_text() == broken
    status = home.run("status")
    assert status.code == 4 and b"cron/jobs.json" in status.out + status.err
    doctor = home.run("doctor")
    assert doctor.code == 1 and b"no job runs" in doctor.out
    home.put("cron/jobs.json", '{"jobs": []}')
    cron(home, "add", "every 2h", "x").ok()
    running.stop()


def test_what_others_wrote_stays(home, up, service):
    strange = {"id": "bb", "name": "odd", "prompt": "x", "schedule": {"kind": "lunar"}}
    known = job_of(deliver="local", provider_snapshot="custom", big=12345678901234567890,
                   origin={"platform": "telegram", "chat_id": "42", "chat_name": "U"})
    home.put("cron/jobs.json", json.dumps({"jobs": [strange, known], "extra": [1, {"a": None}]}))
    service()
    cron(home, "pause", "abc123").ok()
    content = json.loads((home.home / "cron/jobs.json").read_text())
    assert content["extra"] == [1, {"a": None}] and content["jobs"][0] == strange
    job = content["jobs"][1]
    assert job["big"] == 12345678901234567890 and job["provider_snapshot"] == "custom"
    assert job["origin"] == known["origin"]
    assert job["state"] == "paused" and job["enabled"] is False and job["paused_at"]
    listed = cron(home).ok().out.decode()
    assert "broken" in listed and "m: every 60m, paused" in listed


def test_jobs_are_kept_while_nothing_runs(home):
    home.chat("hi").ok()
    cron(home, "add", "weekdays at 9am", "x", "--name", "w", "--repeat", "3").ok()
    cron(home, "pause", "w").ok()
    cron(home, "edit", "w", "--schedule", "every 2h", "--prompt", "y").ok()
    cron(home, "resume", "w").ok()
    job, = jobs(home)
    assert job["schedule"]["minutes"] == 120 and job["prompt"] == "y"
    assert job["repeat"]["times"] == 3 and job["state"] == "scheduled"
    cron(home, "run", "w").failed("hermes run")
    cron(home, "remove", "w").ok()
    assert jobs(home) == [] and b"no jobs" in cron(home).ok().out


@pytest.mark.parametrize("args,sentence", [
    (["add", "sometimes", "x"], "is no schedule"),
    (["add", "every 2h"], "needs a prompt"),
    (["add", "2020-01-01T10:00", "x"], "has passed"),
    (["add", "every 2h", "--no-agent"], "needs a prompt"),
    (["add", "every 2h", "x", "--no-agent"], "needs a script"),
    (["show", "nothing"], "there is no job"),
])
def test_what_is_refused(home, args, sentence):
    home.chat("hi").ok()
    cron(home, *args).failed(sentence)
    assert not (home.home / "cron/jobs.json").exists()


@pytest.mark.parametrize("args,sentence", [
    (["fly"], '"fly" is not one of list, add, show, edit, run'), (["run"], 'It is "run JOB"'),
    (["rm"], 'It is "rm JOB"'), (["add"], 'it is "add WHEN WHAT"'),
])
def test_words_that_are_missing(home, args, sentence):
    """They are a person's, not those of the model's tool."""
    cron(home, *args).exits(2).sentence(sentence)
    if args != ["add"]:
        assert sentence in home.chat("/cron " + " ".join(args)).ok().text


# -- in a chat ------------------------------------------------------------------------------------

def test_a_command_of_the_chat(hermes, api, bot):
    bot(model="say")
    api.user_says(OWNER, "/cron add every 2h say from the chat")
    assert "every 120m, scheduled, next" in settled(api, 1)[0]
    job, = jobs(hermes)
    assert job["prompt"] == "say from the chat" and job["deliver"] == "origin"
    assert job["origin"] == {"platform": "telegram", "chat_id": "42", "thread_id": None}
    api.user_says(OWNER, f"/cron run {job['id']}")
    assert settled(api, 3)[2].endswith("from the chat")
    api.user_says(OWNER, f"/cron remove {job['id']}")
    settled(api, 4)
    api.user_says(OWNER, "/cron")
    assert settled(api, 5)[4] == "There are no jobs."


DONE = "This was done already; /cron shows the jobs."


def forget_the_end(hermes, command, reply):
    """As a kill leaves it that came when the last command of the chat had taken effect, and before
    it counted as handled."""
    database, = [path for path in hermes.databases() if path.name == "state.db"]
    hermes.sql("db.execute('UPDATE inbox SET handled_ms = NULL, text = ? WHERE number = (SELECT"
               " max(number) FROM inbox)', [sys.argv[2]])\n"
               "db.execute('DELETE FROM outbox WHERE number = (SELECT max(number) FROM outbox"
               " WHERE text = ?)', [sys.argv[3]])", database, command, reply)


def test_a_run_is_asked_for_once(hermes, api, bot):
    running = bot()
    cron(hermes, "add", "every 2h", "say x", "--name", "m", "-d", "telegram").ok()
    for number in (1, 2):  # the second is another command, in the same words
        api.user_says(OWNER, "/cron run m")
        told = settled(api, 2 * number)
        assert "Running the job m." in told[-2:]
        ended(hermes, number)
    running.kill()
    forget_the_end(hermes, "/cron run m", "Running the job m.")
    running.restart()
    assert settled(api, 5)[-1] == DONE and len(runs(hermes)) == 2
    api.user_says(OWNER, "/cron run m")
    assert "Running the job m." in settled(api, 7)[-2:]
    assert len(ended(hermes, 3)) == 3


def test_a_job_is_added_once(hermes, api, bot):
    running = bot()
    api.user_says(OWNER, "/cron add every 2h say x")
    told, = settled(api, 1)
    running.kill()
    forget_the_end(hermes, "/cron add every 2h say x", told)
    running.restart()
    assert settled(api, 2)[-1] == DONE and len(jobs(hermes)) == 1
    api.user_says(OWNER, "/cron add every 2h say x")
    assert "scheduled, next" in settled(api, 3)[-1] and len(jobs(hermes)) == 2


def test_the_tool_of_the_model(hermes, up, api, bot):
    bot(model="chain")
    api.user_says(OWNER, "keep it\ncall call_tool " + json.dumps({
        "name": "cronjob", "arguments": {"action": "create", "schedule": "daily at 7am",
                                         "prompt": "say hi", "name": "daily"}}))
    settled(api, 1)
    job, = jobs(hermes)
    assert job["schedule"]["expr"] == "0 7 * * *" and job["origin"]["chat_id"] == "42"


@pytest.mark.parametrize("told,kept", [(["DAILY"], True), ("abc123", True), (["other"], False),
                                       (7, False), ([7], False)])
def test_the_tool_names_jobs_whose_answers_it_is_told(hermes, up, api, bot, told, kept):
    hermes.put("cron/jobs.json", json.dumps({"jobs": [job_of(name="daily", next_run_at=soon(3600),
                                                             context_from="zzz")]}))
    bot(model="chain")
    api.user_says(OWNER, "keep it\ncall call_tool " + json.dumps({
        "name": "cronjob", "arguments": {"action": "create", "schedule": "daily at 7am",
                                         "prompt": "say hi", "context_from": told}}))
    settled(api, 1)
    assert jobs(hermes)[0]["context_from"] == "zzz", "what nobody has changed stays as it was"
    assert [job["context_from"] for job in jobs(hermes)[1:]] == [["abc123"]] * kept
