"""Runs, approvals and sessions over the agent's API."""

import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from api_client import KEY, Api, text_of
from harness import comes_true
from telegram_api import TelegramApi
from telegram_owner import OWNER
from test_api import WRITE, api, sessions  # noqa: F401  api is a fixture

DANGER = 'call terminal {"command": "rm -rf ./things"}'
ASKS = {"HERMES_DEBUG_ASKS": "write_file"}


@pytest.fixture
def telegram():
    with TelegramApi() as fake:
        yield fake


def events_of(asked, run):
    with asked.stream(f"/v1/runs/{run}/events", method="GET") as stream:
        return [json.loads(data) for _, data in stream]


# -- runs -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("prefix", ["/v1", "/api"])
def test_a_run(api, prefix):
    asked = api("chain")
    told = asked.post(f"{prefix}/runs", {"input": "a file\n" + WRITE}).ok(202)
    assert told["status"] == "started" and told["run_id"].startswith("run_")
    done = asked.until(f"{prefix}/runs/{told['run_id']}", "completed")
    assert done["output"] == "done with a file" and done["usage"]["total_tokens"] > 0
    assert done["session_id"] == told["session_id"]
    events = events_of(asked, told["run_id"])  # also for who comes late
    assert [one["event"] for one in events][:2] == ["tool.started", "tool.completed"]
    assert events[-1]["event"] == "run.completed" and events[-1]["output"] == "done with a file"
    assert all(one["run_id"] == told["run_id"] for one in events)
    said = "".join(one["delta"] for one in events if one["event"] == "message.delta")
    assert said == "done with a file"


def test_two_watch_and_one_leaves(up, api):
    asked = api("gate")
    run = asked.post("/v1/runs", {"input": "one"}).ok(202)["run_id"]
    with asked.stream(f"/v1/runs/{run}/events", method="GET") as other:
        with asked.stream(f"/v1/runs/{run}/events", method="GET") as stream:
            stream.until("begun")
        other.until("begun")
        assert asked.get(f"/v1/runs/{run}").ok()["status"] == "running"
        up.release.set()
        _, last = other.until("run.completed")
    assert json.loads(last)["output"] == "answer to one: begun and finished"


def test_a_run_is_stopped(api):
    asked = api("gate")
    run = asked.post("/v1/runs", {"input": "one"}).ok(202)["run_id"]
    api.running.wait_event("turn.begin")
    assert asked.post(f"/v1/runs/{run}/stop", None).ok()["status"] == "stopping"
    asked.until(f"/v1/runs/{run}", "cancelled")
    assert events_of(asked, run)[-1]["event"] == "run.cancelled"
    assert asked.post(f"/v1/runs/{run}/stop", None).ok()["status"] == "cancelled"


def test_a_run_survives_a_kill(up, api):
    asked = api("gate")
    run = asked.post("/v1/runs", {"input": "one", "session_id": "mine"}).ok(202)["run_id"]
    with asked.stream(f"/v1/runs/{run}/events", method="GET") as stream:
        stream.until("begun")
        api.running.kill()
    up.release.set()
    asked = api("gate")
    assert comes_true(lambda: asked.get(f"/v1/runs/{run}").status == 200)
    done = asked.until(f"/v1/runs/{run}", "completed")
    assert done["output"] == "answer to one: begun and finished"
    assert done["session_id"] == "mine"
    assert asked.get(f"/v1/runs/{run}/events").refused(410)["code"] == "events_gone"


def test_runs_that_there_are_not(api):
    asked = api()
    asked.get("/v1/runs/run_" + "0" * 32).refused(404)
    asked.get("/v1/runs/x").refused(404)
    asked.post("/v1/runs", {"input": ""}).refused(400)
    asked.post("/v1/runs", {"input": "x", "deliver": "telegram:42"}).refused(400, "deliver")
    assert asked.get("/v1/runs").status == 405


def test_a_run_that_fails(api):
    asked = api("502")
    run = asked.post("/v1/runs", {"input": "hi"}).ok(202)["run_id"]
    assert "502" in asked.until(f"/v1/runs/{run}", "failed")["error"]
    assert events_of(asked, run)[-1]["event"] == "run.failed"


# -- approvals ------------------------------------------------------------------------------------

def waiting(asked, run):
    asked.until(f"/v1/runs/{run}", "waiting_for_approval")
    found = asked.get("/api/approvals").ok()["approvals"]
    assert all(one["run_id"] == run for one in found)
    return found


@pytest.mark.debug_build
def test_a_run_waits_for_approval(hermes, api):
    asked = api("chain", env=ASKS)
    run = asked.post("/v1/runs", {"input": "a file\n" + WRITE}).ok(202)["run_id"]
    question, = waiting(asked, run)
    assert question["tool"] == "write_file" and "a.txt" in question["arguments"]
    assert not (hermes.workspace / "a.txt").exists()
    path = f"/api/approvals/{question['code']}"
    asked.post(path, {"decision": "perhaps"}).refused(400, "decision")
    asked.post(path, {"answer": "words"}).refused(400, "decision")
    assert asked.post(path, {"decision": "approve"}).ok() == {"done": True}
    done = asked.until(f"/v1/runs/{run}", "completed")
    assert done["output"] == "done with a file"
    assert (hermes.workspace / "a.txt").read_text() == "by the agent"
    asked.post(path, {"decision": "approve"}).refused(404)
    names = [one["event"] for one in events_of(asked, run)]
    assert names[0] == "approval.request" and names[-1] == "run.completed"


@pytest.mark.debug_build
def test_a_run_is_denied(hermes, api):
    asked = api("chain", env=ASKS)
    run = asked.post("/v1/runs", {"input": "a file\n" + WRITE}).ok(202)["run_id"]
    waiting(asked, run)
    asked.post(f"/v1/runs/{run}/approval", {"choice": "deny"}).ok()
    asked.until(f"/v1/runs/{run}", "completed")
    assert not (hermes.workspace / "a.txt").exists()


@pytest.mark.debug_build
def test_a_run_that_waits_is_stopped(hermes, api):
    asked = api("chain", env=ASKS)
    run = asked.post("/v1/runs", {"input": "a file\n" + WRITE}).ok(202)["run_id"]
    waiting(asked, run)
    asked.post(f"/v1/runs/{run}/stop", None).ok()
    asked.until(f"/v1/runs/{run}", "cancelled")
    assert not (hermes.workspace / "a.txt").exists()


@pytest.mark.debug_build
def test_a_run_waits_over_a_restart(hermes, api):
    asked = api("chain", env=ASKS)
    run = asked.post("/v1/runs", {"input": "a file\n" + WRITE}).ok(202)["run_id"]
    waiting(asked, run)
    api.running.kill()
    asked = api("chain", env=ASKS)
    assert comes_true(lambda: asked.get(f"/v1/runs/{run}").status == 200)
    question, = waiting(asked, run)
    asked.post(f"/api/approvals/{question['code']}", {"decision": "approve"}).ok()
    assert asked.until(f"/v1/runs/{run}", "completed")["output"] == "done with a file"
    assert (hermes.workspace / "a.txt").read_text() == "by the agent"


@pytest.mark.debug_build
def test_a_caller_of_the_chat_is_not_asked(hermes, api):
    asked = api("chain", env=ASKS)
    text_of(asked.chat("a file\n" + WRITE))
    assert not (hermes.workspace / "a.txt").exists()
    assert asked.get("/api/approvals").ok() == {"approvals": []}


# -- sessions -------------------------------------------------------------------------------------

def test_sessions(hermes, api):
    asked = api()
    asked.chat("one", session="mine").ok()
    session, = asked.get("/api/sessions").ok()["sessions"]
    assert session["id"] == "mine"
    for path in ("/api/sessions/mine", "/api/sessions/mine/messages"):
        told = asked.get(path).ok()["messages"]
        assert [m["content"] for m in told] == ["one", "echo: one"]
    asked.ask("PATCH", "/api/sessions/mine", {"title": "A better one"}).ok()
    assert asked.get("/api/sessions/mine").ok()["title"] == "A better one"
    asked.ask("PATCH", "/api/sessions/mine", {"title": "two\nlines"}).refused(400, "one line")
    asked.ask("DELETE", "/api/sessions/mine").ok()
    asked.get("/api/sessions/mine").refused(404)
    assert asked.get("/api/sessions").ok()["sessions"] == []
    asked.ask("DELETE", "/api/sessions/mine").refused(404)


def test_a_session_that_runs_is_not_deleted(up, api):
    asked = api("gate")
    run = asked.post("/v1/runs", {"input": "one", "session_id": "mine"}).ok(202)["run_id"]
    api.running.wait_event("turn.begin")
    asked.ask("DELETE", "/api/sessions/mine").refused(409)
    asked.chat("two", session="mine").refused(409)
    up.release.set()
    asked.until(f"/v1/runs/{run}", "completed")


# -- a script speaks on Telegram ------------------------------------------------------------------

def test_a_run_is_delivered(hermes, telegram, api):
    hermes.use_telegram(telegram, users=str(OWNER))
    asked = api()
    telegram.user_says(OWNER, "hi")  # else no bot may write to them
    telegram.wait_text(OWNER, "echo: hi")
    run = asked.post("/api/runs", {"input": "the backup has failed",
                                   "deliver": f"telegram:{OWNER}"}).ok(202)["run_id"]
    telegram.wait_text(OWNER, "echo: the backup has failed")
    done = asked.until(f"/v1/runs/{run}", "completed")
    assert done["output"] == "echo: the backup has failed"
    telegram.wait_quiet(0.4)
    assert telegram.texts(OWNER) == ["echo: hi", "echo: the backup has failed"]


# -- the schedule ---------------------------------------------------------------------------------

def test_jobs(hermes, api):
    asked = api("echo")
    assert asked.get("/api/jobs").ok()["jobs"] == []
    job = asked.post("/api/jobs", {"name": "news", "schedule": "every 2h",
                                   "prompt": "what is new?", "workdir": "news",
                                   "enabled_toolsets": ["web", "file"]}).ok()["job"]
    path = f"/api/jobs/{job['id']}"
    assert asked.get("/api/jobs").ok()["jobs"][0]["id"] == job["id"]
    assert asked.get(path).ok()["job"]["prompt"] == "what is new?"
    assert asked.ask("PATCH", path, {"prompt": "and now?"}).ok()["job"]["prompt"] == "and now?"
    kept = asked.get(path).ok()["job"]
    assert kept["workdir"] == "news" and kept["enabled_toolsets"] == ["web", "file"]
    assert asked.post(path + "/pause", {}).ok()["job"]["enabled"] is False
    assert asked.post(path + "/resume", None).ok()["job"]["enabled"] is True
    asked.post(path + "/run", None).ok()
    assert comes_true(lambda: any(run["outcome"] == "ok" for run in
                                  asked.get(path + "/history").ok()["runs"]))
    assert asked.ask("DELETE", path).ok() == {"ok": True}
    asked.get(path).refused(404)
    asked.post("/api/jobs", {"prompt": "when?"}).refused(400, "schedule")
    asked.post("/api/jobs", {"action": "remove", "job_id": "x", "prompt": "?"}).refused(400)
    assert asked.ask("PUT", path, {}).status == 405
