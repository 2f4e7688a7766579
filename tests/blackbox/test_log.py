"""logs/gateway.log and `hermes log`: one id from the message to the tokens, and no secret in it."""

import json
import re
import signal
import time

import pytest
from harness import SOON

import telegram_models  # noqa: F401  registers its scenarios
from openai_upstream import API_KEY
from telegram_api import TOKEN
from telegram_owner import OWNER

ADMIN_KEY = "admin-key-of-the-tests-8a61"


def answered(api, running, count=1):
    api.wait_messages(OWNER, count)
    until = time.monotonic() + 10
    while len(running.events("reply.sent")) < count:
        assert time.monotonic() < until, running.log_text[-2000:]
        time.sleep(0.02)


# -- one piece of work ----------------------------------------------------------------------------

def test_from_the_message_to_the_tokens(hermes, api, talk):
    running = talk("chain")
    api.user_says(OWNER, 'look\ncall write_file {"path": "a.txt", "content": "x"}\n'
                  'call list_files {}')
    answered(api, running)
    turn = running.events("turn.begin")[0]["id"]
    result = hermes.run("log", turn).ok()
    rows = result.text.splitlines()
    assert rows[0].startswith(turn) and re.fullmatch(r"\d+ events in \d+\.\d s", rows[-1])
    told = [re.sub(r"^\s*[\d.]+ s\s+\w+\s+", "", row).split()[0] for row in rows[1:-1]]
    assert told == ["turn.begin", "turn.model", "turn.tool", "turn.model", "turn.tool",
                    "turn.model", "turn.end", "reply.sent"], result
    for words in ("source=telegram", f"chat={OWNER}", "model=chain", "name=write_file",
                  "name=list_files", "state=done", "prompt_tokens=", "completion_tokens=",
                  "part=1"):
        assert words in result.text, result
    assert hermes.run("log", turn[:8]).ok().text == result.text
    begin, end = running.events("turn.begin")[0], running.events("turn.end")[0]
    asked = running.events("turn.model")
    assert end["prompt_tokens"] == sum(e["prompt_tokens"] for e in asked) > 0
    assert begin["session"] and running.events("message.in")[0]["chat"] == str(OWNER)


def test_every_part_of_a_reply_is_told(api, talk):
    running = talk("say")
    api.user_says(OWNER, "say " + "a long word " * 700)
    answered(api, running, 3)
    assert [e["part"] for e in running.events("reply.sent")] == [1, 2, 3]
    turn, = {e["id"] for e in running.events("reply.sent")}
    assert turn == running.events("turn.end")[0]["id"]


def test_a_console_turn_as_well(hermes, talk):
    running = talk()
    hermes.chat("hi").ok()
    turn = running.events("turn.end")[0]["id"]
    assert "source=console" in hermes.run("log", turn).ok().text


def test_what_failed(hermes, api, talk):
    running = talk("429-forever")
    api.user_says(OWNER, "hi")
    api.wait_messages(OWNER, 1)
    assert running.said("turn.end", 30)
    turn = running.events("turn.end")[0]
    assert turn["state"] == "failed" and turn["level"] == "warning" and "429" in turn["error"]
    text = hermes.run("log", "--errors").ok().text
    assert "turn.end" in text and "turn.begin" not in text


# -- the command ----------------------------------------------------------------------------------

@pytest.mark.qemu_user
def test_without_a_log(hermes):
    result = hermes.run("log").ok()
    assert not result.out
    result.sentence("there is no log", "hermes run writes it")
    hermes.run("log", "abcd").exits(1).sentence("there is no log")
    assert not hermes.home.exists()


@pytest.mark.qemu_user
def test_how_it_is_asked(hermes, service):
    running = service()
    hermes.chat("hi").ok()
    running.stop()
    rows = hermes.run("log").ok().text.splitlines()
    assert "daemon.start" in rows[0] or "daemon.start" in rows[1]
    assert "daemon.stop" in rows[-1] or "daemon.stop" in rows[-2]
    assert len(hermes.run("log", "-n", "2").ok().text.splitlines()) == 2
    lines = hermes.run("log", "--json", "-n", "1000").ok().out
    assert lines == running.log_text.encode()
    assert all(json.loads(line)["time"] for line in lines.splitlines())
    assert hermes.run("log", "--errors").ok().sentence("no warnings and no errors").out == b""
    hermes.run("log", "-n", "0").exits(2).sentence("number from 1")
    hermes.run("log", "-n", "many").exits(2).sentence("number from 1")
    hermes.run("log", "abc").exits(2).sentence("too short for an id")
    hermes.run("log", "ffffffff").failed("no event has the id")


def test_several_ids_that_begin_alike(hermes):
    """Written by hand: random ids hardly ever do."""
    rows = [f'{{"time":"2026-01-01T00:00:0{n}.000Z","level":"info","event":"turn.begin",'
            f'"id":"abcd{n}"}}\n' for n in range(6)]
    hermes.put("logs/gateway.log", "".join(rows))
    hermes.run("log", "abcd").failed("several ids begin with", "abcd0, abcd1, abcd2, abcd3, ...")
    assert "1 event in" in hermes.run("log", "abcd4").ok().text


def test_a_log_of_anything(hermes, terminal):
    hermes.put("logs/gateway.log", b"no json \x1b[2J\xff\xfe\n{}\n[1]\n"
               b'{"event":"\\u001b[31m"}\n\n' + b"x" * 300000 + b"\n" + b'{"torn":')
    hermes.run("log").ok()
    with terminal("log") as screen:
        assert screen.ends() == 0
        assert b"\x1b[2J" not in screen.raw and b"\x1b[31m" not in screen.raw


def test_it_follows(hermes, service):
    service()
    with hermes.start("log", "-f", "-n", "1") as reader:
        reader.wait_for_output(b"daemon.start")
        hermes.chat("hi").ok()
        reader.wait_for_output(b"turn.end")
        reader.signal(signal.SIGTERM)  # SIGINT is ignored where the tests run in background
        assert reader.finish(SOON).code == -signal.SIGTERM


# -- the files ------------------------------------------------------------------------------------

def test_rotation(hermes, up, service):
    """Small files, so that one conversation fills several: nothing is lost but the oldest, and a
    story that lies in two files is told whole."""
    hermes.use(up, "chain").put("config.yaml", "logging:\n  max_bytes: 6000\n  keep: 3\n")
    running = service()
    for number in range(40):
        hermes.chat(f"n{number}\ncall current_time {{}}").ok()
    files = sorted(path.name for path in (hermes.home / "logs").iterdir())
    assert files == ["gateway.log", "gateway.log.1", "gateway.log.2", "gateway.log.3"]
    for path in (hermes.home / "logs").iterdir():
        assert path.stat().st_size <= 6000 and path.stat().st_mode & 0o777 == 0o600
        assert all(json.loads(line) for line in path.read_text().splitlines())
    ends = running.events("turn.end")
    assert len(ends) > 3
    for turn in [event["id"] for event in ends[-3:]]:
        text = hermes.run("log", turn).ok().text
        for name in ("turn.begin", "turn.tool", "turn.end"):
            assert name in text
    everything = hermes.run("log", "-n", "100000", "--json").ok().out.decode()
    assert everything == running.log_text


def test_somebody_takes_the_file_away(hermes, service):
    running = service()
    hermes.chat("one").ok()
    (hermes.home / "logs/gateway.log").rename(hermes.home / "logs/kept")
    hermes.chat("two").ok()
    assert len(running.events("turn.end")) == 1
    assert (hermes.home / "logs/kept").read_text().count("turn.end") == 1


def test_a_log_that_cannot_be_written_stops_nothing(hermes, service):
    hermes.put("logs", "a file where the directory would be")
    running = service()
    assert "cannot write" in running.process.err.decode()
    hermes.chat("hi").ok()


# -- secrets --------------------------------------------------------------------------------------

def test_no_secret_is_written(hermes, api, up, talk):
    """Not even when the model, the user or Telegram says them."""
    running = talk("echo", env={"HERMES_ADMIN_KEY": ADMIN_KEY})
    bearer = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
    other = "sk-proj-Abcdefghijklmnopqrstuvwxyz0123456789"
    hermes.key_may_be_in = ("state.db", "state.db-wal")  # what is said is kept, as it was said
    secrets = (API_KEY, TOKEN, ADMIN_KEY, bearer, other)
    for text in secrets:
        hermes.chat(f"my key is {text}").ok()
        hermes.chat(f"/model {text.split()[-1]}")
        hermes.run("sessions", "show", text.split()[-1])
    api.user_says(OWNER, " and ".join(secrets))
    api.wait_text(OWNER, other)
    api.user_says(OWNER, "/title " + TOKEN)
    api.wait_quiet(1)
    running.stop()
    told = running.log_text + running.process.err.decode()
    for secret in (API_KEY, TOKEN, TOKEN.split(":")[1], ADMIN_KEY, bearer.split()[1], other):
        assert secret not in told, secret
    assert len(running.events("turn.end")) >= 6


def test_a_refused_token_is_not_told(hermes, api, service):
    hermes.use_telegram(api)
    api.fault("getMe", "401", times=100)
    api.fault("getUpdates", "401", times=100)
    running = service()
    assert running.said("token|unauthorized", 10)
    assert TOKEN.split(":")[1] not in running.log_text + running.process.err.decode()
