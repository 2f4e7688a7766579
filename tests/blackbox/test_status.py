"""`hermes status` and `hermes context`: what is going on, and what a message carries."""

import errno
import json
import os
import signal
import subprocess
import time

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import SOON, TEST_UID
from telegram_owner import OWNER

NOT_RUNNING, WANTS_SOMEBODY = 3, 4


def as_json(result):
    return json.loads(result.out)


# -- nothing runs ---------------------------------------------------------------------------------

@pytest.mark.qemu_user
def test_without_a_home(hermes):
    result = hermes.run("status").exits(NOT_RUNNING)
    assert result.text == f"no hermes runs in the home {hermes.home}\n" and not result.err
    told = as_json(hermes.run("status", "--json").exits(NOT_RUNNING))
    assert told == {"running": False, "home": str(hermes.home)}
    assert not hermes.home.exists(), "a question made a home"


def test_of_a_home_at_rest(hermes, up):
    hermes.use(up, "fixed").chat("hi").ok()
    result = hermes.run("status").exits(NOT_RUNNING)
    assert "no hermes runs" in result.text and "0 unfinished, 1 done" in result.text
    told = as_json(hermes.run("status", "--json").exits(NOT_RUNNING))
    assert told["running"] is False and told["turns"]["done"] == 1
    assert told["store"]["state"] == "ready"


def test_after_a_kill_it_is_not_running(hermes, service):
    service().kill()
    assert "no hermes runs" in hermes.run("status").exits(NOT_RUNNING).text


def test_while_a_chat_without_socket_owns_the_home(hermes, up):
    hermes.use(up, "gate")
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
        hermes.run("status").failed(rf"in use by another hermes \(pid {chat.pid}\)")


@pytest.mark.qemu_user
def test_wrong_usage(hermes):
    hermes.run("status", "now").exits(2)
    hermes.run("status", "--xml").exits(2).sentence("--xml")


# -- it runs --------------------------------------------------------------------------------------

@pytest.mark.qemu_user
def test_it_runs(hermes, up, service):
    hermes.use(up, "fixed")
    running = service()
    result = hermes.run("status").ok()
    for words in (f"pid {running.process.pid}\n", "state     ready\n", f"home      {hermes.home}\n",
                  "model     fixed at http", "telegram  off\n", "0 running, 0 done",
                  "database  ready\n"):
        assert words in result.text, result
    assert not result.err and "\033" not in result.text
    told = as_json(hermes.run("status", "--json").ok())
    assert told["running"] is True and told["ready"] is True
    assert told["pid"] == running.process.pid and told["model"] == "fixed"
    assert told["home"] == str(hermes.home) and told["rss_bytes"] >= 0


def test_turns_are_counted(hermes, up, service):
    hermes.use(up, "gate")
    service()
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
        assert "1 running, 0 done" in hermes.run("status").ok().text
        up.release.set()
        chat.finish(SOON).ok()
    told = as_json(hermes.run("status", "--json").ok())
    assert told["running_turns"] == 0 and told["turns"]["done"] == 1


def test_telegram_is_told(hermes, api, service):
    hermes.use_telegram(api)
    running = service()
    assert api.wait_for(lambda: api.polling)
    api.user_says(OWNER, "hi")
    api.wait_messages(OWNER, 1)
    assert running.said("reply.sent", 5)
    text = hermes.run("status").ok().text
    assert "telegram  polling as @hermes_fake_bot\n" in text and "1 messages sent" in text
    assert "outbox    empty\n" in text


def test_telegram_that_is_away_is_no_reason_to_be_restarted(hermes, api, service):
    hermes.use_telegram(api)
    running = service()
    assert api.wait_for(lambda: api.polling)
    api.down()
    try:
        until = time.monotonic() + 10
        while "polling" in hermes.run("status").ok().text:
            assert time.monotonic() < until
            time.sleep(0.1)
        telegram = as_json(hermes.run("status", "--json").ok())["telegram"]
        assert telegram["detail"], telegram
        status, body = running.get("/readyz")
        assert status == 200 and json.loads(body)["telegram"]["state"] == telegram["state"]
    finally:
        api.up()


def test_a_reply_that_cannot_go_out_is_seen(hermes, api, service):
    hermes.use_telegram(api)
    running = service()
    assert api.wait_for(lambda: api.polling)
    api.fault("sendMessage", "502", times=1000)
    api.user_says(OWNER, "hi")
    assert running.said("turn.end", 10)
    assert "1 waiting, the oldest for" in hermes.run("status").ok().text
    api.heal()


def test_a_wrong_token_is_told(hermes, api, service):
    hermes.use_telegram(api)
    running = service(env={"TELEGRAM_BOT_TOKEN": "7000000009:AAwrongwrongwrongwrongwrongwrongwro"})
    until = time.monotonic() + 10
    while "PROBLEM" not in (text := hermes.run("status").text):
        assert time.monotonic() < until, text
        time.sleep(0.1)
    assert "PROBLEM   telegram: the bot token is refused" in text and "@BotFather" in text
    assert "AAwrong" not in text
    hermes.run("status").exits(WANTS_SOMEBODY)
    told = as_json(hermes.run("status", "--json").exits(WANTS_SOMEBODY))
    assert told["well"] is False and told["problems"][0]["what"] == "telegram"
    assert running.get("/readyz")[0] == 200, "a restart would not bring a good token"


def test_it_is_not_well(hermes, up):
    """A database of a later version: nothing can be taken down, and the status says so."""
    hermes.use(up, "fixed").chat("hi").ok()
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    hermes.sql("db.execute('PRAGMA user_version = 9999')", path)
    with hermes.start("run", "--port", "0") as process:
        process.wait_for_output(b"admin: ")
        until = time.monotonic() + 10
        while (result := hermes.run("status")).code == 3 or "newer Hermes" not in result.text:
            assert time.monotonic() < until, result
            time.sleep(0.05)
        result.exits(1)
        assert "state     not ready\n" in result.text
        assert as_json(hermes.run("status", "--json").exits(1))["ready"] is False
        process.signal(signal.SIGTERM)
        process.finish(SOON)


# -- context --------------------------------------------------------------------------------------

def test_context_without_a_daemon(hermes):
    hermes.put("SOUL.md", "I am brief.")
    hermes.put("memories/MEMORY.md", "The stove is hot.")
    told = as_json(hermes.run("context", "--json").ok())
    parts = {part["name"]: part for part in told["prompt"]}
    assert parts["identity"]["source"] == "SOUL.md" and parts["identity"]["bytes"] == 11
    assert parts["MEMORY"]["bytes"] > 17 and parts["USER"]["bytes"] == 0
    assert {tool["name"] for tool in told["tools"]} >= {"read_file", "memory", "terminal"}
    total = sum(part["bytes"] for part in told["prompt"] + told["tools"])
    assert told["total"]["bytes"] == total
    text = hermes.run("context").ok().text
    assert "identity (SOUL.md)" in text and "tool read_file" in text and "total" in text


def test_context_by_the_daemon_is_the_same(hermes, service):
    hermes.put("SOUL.md", "I am brief.")
    alone = hermes.run("context").ok().text
    service()
    assert hermes.run("context").ok().text == alone


def test_context_is_what_is_sent(hermes, up):
    """The figures are those of the request that goes out."""
    hermes.use(up, "fixed").chat("hi").ok()
    told = as_json(hermes.run("context", "--json").ok())
    system = up.requests[0].messages[0]["content"]
    assert sum(part["bytes"] for part in told["prompt"]) == len(system.encode())
    assert len(told["tools"]) == len(up.requests[0].json["tools"])


def test_context_in_a_chat(hermes, api, up, service):
    hermes.use_telegram(api)
    hermes.use(up, "fixed")
    service()
    api.user_says(OWNER, "hi")
    api.wait_text(OWNER, "ok")
    api.user_says(OWNER, "/context")
    text = api.wait_text(OWNER, "history (2)").text
    assert "identity (default)" in text and "tools (" in text
    assert max(map(len, text.splitlines())) <= 40


# -- what is wrong, and what to do ----------------------------------------------------------------

@pytest.mark.qemu_user
def test_a_model_that_cannot_be_reached(hermes, service):
    hermes.limits(connect=2)
    service(env={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "HERMES_MODEL": "some"})
    assert "upstream  not asked yet\n" in hermes.run("status").ok().text
    hermes.chat("hi").failed("connect")
    text = hermes.run("status").exits(WANTS_SOMEBODY).text
    assert "upstream  failing, last answer never\n" in text
    assert "PROBLEM   upstream: the model some does not answer: cannot connect to " in text
    assert "\n  do      check the base URL and the network (hermes doctor)\n" in text


@pytest.mark.qemu_user
def test_a_model_that_works_again(hermes, up, service):
    hermes.use(up, "429:5")  # longer than it is worth to wait for a second try
    service()
    hermes.chat("hi").failed("429|rate")
    text = hermes.run("status").ok().text
    assert "upstream  failing" in text and "\nnotice    upstream: " in text, "once is no emergency"
    hermes.chat("hi").ok()
    text = hermes.run("status").ok().text
    assert "upstream  working, last answer 20" in text and " UTC (it has worked since): " in text
    assert "notice" not in text
    told = as_json(hermes.run("status", "--json").ok())["upstream"]
    assert told["failures"] == 0 and told["last_failure"]["status"] == 429


def test_a_model_that_is_busy_for_long(hermes, up, service):
    hermes.use(up, "429-forever")
    service()
    for code in (0, 0, WANTS_SOMEBODY):
        hermes.chat("hi").failed("429|rate")
        hermes.run("status").exits(code)
    assert as_json(hermes.run("status", "--json"))["upstream"]["failures"] == 3


def fill_up(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, b"x" * 4096):
            pass
    except OSError as problem:
        assert problem.errno == errno.ENOSPC, problem
    finally:
        os.close(fd)


@pytest.fixture
def small_disk(hermes):
    """The home on a disk of 8 MiB."""
    hermes.home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o",
                    f"size=8m,uid={TEST_UID},gid={TEST_UID},mode=700", "tmpfs", hermes.home],
                   check=True)
    yield hermes.home
    subprocess.run(["umount", "-l", hermes.home], check=True)


def test_a_full_disk_is_told_and_forgotten(hermes, up, small_disk, service):
    """While it runs, and from the start."""
    hermes.use(up, "fixed")
    running = service()
    fill_up(small_disk / "fill")
    hermes.chat("hi")
    text = hermes.run("status").exits(WANTS_SOMEBODY).text
    assert "PROBLEM   disk: nothing can be stored: " in text
    assert "  do      free some space on that disk or volume" in text
    running.kill()
    running.start(wait=False)
    until = time.monotonic() + 15
    while "PROBLEM   d" not in (result := hermes.run("status")).text or result.code == NOT_RUNNING:
        assert time.monotonic() < until and running.running, (result, running.process.err)
        time.sleep(0.05)
    assert "  do      free some space on that disk or volume" in result.text
    (small_disk / "fill").unlink()
    while (result := hermes.run("status")).code:
        assert time.monotonic() < until, result
        hermes.chat("hi")


# -- a start that fails ---------------------------------------------------------------------------

@pytest.mark.parametrize("env,words", [
    ({"TELEGRAM_BOT_TOKEN": "nonsense"}, "TELEGRAM_BOT_TOKEN is not a bot token"),
    ({"HERMES_MODEL": "some"}, "no key for the model some"),
    ({"HERMES_SECRETS_DIR": "/nowhere"}, "HERMES_SECRETS_DIR: cannot read the directory /nowhere"),
    ({"HERMES_ADMIN_HOST": "here"}, "the admin listener"),
    ({"HERMES_ADMIN_PORT": "many"}, "HERMES_ADMIN_PORT"),
])
def test_the_last_line_says_why(hermes, env, words):
    """Kubernetes shows the end of the log as the reason of a container that ended."""
    result = hermes.run("run", env=env).exits(1)
    last = result.err.decode().splitlines()[-1]
    assert last.startswith("hermes: error: ") and words in last and last.isprintable()
