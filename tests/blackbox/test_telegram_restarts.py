"""A daemon that ends, by request or by force, and what its user notices of it: nothing."""

import os
import re
import signal
import time

import pytest
from harness import SOON

import telegram_models  # noqa: F401  registers its scenarios
from telegram_api import TOKEN, TelegramApi
from telegram_owner import OWNER, settled, shown


@pytest.fixture
def talk(hermes, api, up, service):
    def start(model=None, config="", **more):
        hermes.use_telegram(api)
        if model:
            hermes.use(up, model)
        if config:
            hermes.put("config.yaml", config)
        return service(**more)
    return start


def settled_after(killed, api, count):
    """Of a daemon that was killed at no chosen moment a copy may be there for each time that its
    log says that it could not be known."""
    api.wait_messages(OWNER, count)
    api.wait_quiet(1)
    found = api.texts(OWNER)
    copies = len(killed.events("telegram.uncertain"))
    for at in range(len(found) - 1, 0, -1):
        if copies and found[at] == found[at - 1]:
            del found[at]
            copies -= 1
    assert len(found) == count, f"{found}; {api.story()}"
    return found


def open_turns(hermes):
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    return int(hermes.sql("print(db.execute('SELECT count(*) FROM turns WHERE ended_ms IS NULL')"
                          ".fetchone()[0])", path))


# -- what came while it was away ------------------------------------------------------------------

def test_the_backlog_is_answered(talk, api):
    daemon = talk()
    api.user_says(OWNER, "hi")
    settled(api, 1)
    daemon.stop()
    for number in range(4):
        api.user_says(OWNER, f"write f{number}.txt: text", date=int(time.time()) - 7200)
    daemon.start()
    texts = settled(api, 5)[1:]
    assert [re.search(r"f\d", t).group() for t in texts] == ["f0", "f1", "f2", "f3"]


def test_the_first_start_answers_too(hermes, api, service):
    api.user_says(OWNER, "hi", date=int(time.time()) - 86400)
    hermes.use_telegram(api)
    service()
    settled(api, 1)


def test_duplicates_across_a_restart(talk, api):
    daemon = talk()
    update = api.user_says(OWNER, "remember the milk")
    settled(api, 1)
    daemon.stop()
    api.repeat(update)
    daemon.start()
    assert api.wait_for(lambda: not api.chats.stale)
    settled(api, 1)
    daemon.kill()
    api.repeat(update)
    daemon.start()
    assert api.wait_for(lambda: not api.chats.stale)
    settled(api, 1)


def test_the_offset_goes_on_where_it_was(talk, api):
    daemon = talk()
    update = api.user_says(OWNER, "hi")
    settled(api, 1)
    daemon.stop()
    seen = len(api.offsets)
    daemon.start()
    assert api.wait_for(lambda: len(api.offsets) > seen)
    assert api.offsets[seen] == update["update_id"] + 1


def test_update_ids_that_start_anew(talk, api):
    """Telegram chooses the next id at random after a week without updates. An offset above all of
    them means nothing to it: it tells the first hundred again and again."""
    talk()
    week_ago = int(time.time()) - 8 * 86400
    for number in range(3):
        update = api.user_says(OWNER, f"write a{number}.txt: text", date=week_ago)
    settled(api, 3)
    api.chats.next_update = update["update_id"] - 200
    api.flood(7, 100, kind="group")
    assert api.user_says(OWNER, "write b.txt: text")["update_id"] < update["update_id"]
    settled(api, 4)
    api.flood(7, 98, kind="group")
    again = api.user_says(OWNER, "write c.txt: text")
    assert again["update_id"] == update["update_id"] - 1, "an id that was used before"
    assert "c.txt" in settled(api, 5)[-1]


def test_another_bot_in_the_same_home(hermes, talk, api):
    """Its updates have nothing to do with those of the first, not even where the ids are equal."""
    daemon = talk()
    first = api.user_says(OWNER, "write a.txt: text", date=1_700_000_000)
    settled(api, 1)
    daemon.stop()
    with TelegramApi(token="7000000002:" + TOKEN.partition(":")[2]) as other:
        second = other.user_says(OWNER, "write b.txt: text", date=1_700_000_000)
        assert first["update_id"] == second["update_id"]
        hermes.use_telegram(other)
        daemon.start()
        assert "b.txt" in settled(other, 1)[0]
        daemon.stop()
        assert not other.violations
    seen = len(api.offsets)
    hermes.use_telegram(api)
    daemon.start()
    assert api.wait_for(lambda: len(api.offsets) > seen)
    assert api.offsets[seen] == first["update_id"] + 1, "the first bot's place was kept"


def test_a_place_that_was_kept_for_all_bots(hermes, talk, api):
    """As a file of an earlier version has it: this bot goes on from there."""
    daemon = talk()
    update = api.user_says(OWNER, "write a.txt: text")
    settled(api, 1)
    daemon.stop()
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    hermes.sql("db.execute(\"UPDATE cursors SET queue = ''\");"
               "db.execute(\"UPDATE inbox SET queue = ''\")", path)
    seen = len(api.offsets)
    api.repeat(update)
    daemon.start()
    assert api.wait_for(lambda: len(api.offsets) > seen and not api.chats.stale)
    assert api.offsets[seen] == update["update_id"] + 1
    api.user_says(OWNER, "write b.txt: text")
    assert "b.txt" in settled(api, 2)[-1]


def test_what_is_confirmed_is_kept(talk, api):
    """Killed in the very moment in which Telegram is told that it may forget the message."""
    daemon = talk()
    api.user_says(OWNER, "hi")
    settled(api, 1)
    update = None

    def strike(call):
        if update and call.method == "getUpdates" and \
                call.params.get("offset", 0) > update["update_id"]:
            api.on_call = None
            os.kill(daemon.process.pid, signal.SIGKILL)
    api.on_call = strike
    for number in range(5):
        update = api.user_says(OWNER, f"write f{number}.txt: text")
        assert api.wait_for(lambda: not daemon.running or api.on_call is None)
        daemon.kill()
        daemon.start()
        settled_after(daemon, api, number + 2)
        assert f"f{number}" in api.texts(OWNER)[-1]
        api.on_call = strike


# -- in the middle of an answer -------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_message_that_was_begun_is_finished(hermes, talk, api, up, number):
    daemon = talk("gate", "agent:\n  restart_drain_timeout: 1s\n")
    api.user_says(OWNER, "long work")
    before = shown(hermes, api, "answer to long work: begun")
    daemon.process.signal(number)
    if number == signal.SIGTERM:
        daemon.process.finish(SOON).exits(0)
    else:
        daemon.kill()
    up.release.set()
    daemon.start()
    after = api.wait_text(OWNER, "answer to long work: begun and finished")
    settled(api, 1)
    assert after.id == before.id, "a second message was sent"


def test_sigterm_lets_a_short_turn_end(talk, api, up):
    daemon = talk("gate", "agent:\n  restart_drain_timeout: 10s\n")
    api.user_says(OWNER, "short work")
    api.wait_text(OWNER, "begun")
    daemon.process.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert daemon.running, "it did not wait"
    up.release.set()
    daemon.process.finish(SOON).exits(0)
    api.wait_text(OWNER, "and finished", 1)
    assert up.count("gate") == 1


def test_killed_again_and_again(hermes, talk, api, up):
    daemon = talk("gate")
    api.user_says(OWNER, "long work")
    first = shown(hermes, api, "begun")
    for _ in range(3):
        asked = up.count("gate")
        daemon.kill()
        daemon.start()
        assert up.wait_for(lambda: up.count("gate") > asked)
    up.release.set()
    api.wait_text(OWNER, "and finished")
    settled(api, 1)
    assert api.messages(OWNER)[0].id == first.id


def test_killed_before_the_first_word(talk, api, up):
    daemon = talk("hang:60")
    api.user_says(OWNER, "think")
    assert up.wait_for(lambda: up.requests)
    daemon.kill()
    daemon.start(env={"HERMES_MODEL": "echo"})
    assert "think" in settled(api, 1)[0]


def test_killed_while_the_answer_is_sent(talk, api, up):
    """Telegram has it, and the answer to the sending is lost with the process: a second copy is
    allowed, and the log says that it could not be known."""
    daemon = talk("fixed")

    def strike(call):
        if call.method in ("sendMessage", "editMessageText"):
            api.on_call = None
            os.kill(daemon.process.pid, signal.SIGKILL)
    api.on_call = strike
    api.user_says(OWNER, "hi")
    assert api.wait_for(lambda: not daemon.running or api.on_call is None)
    time.sleep(0.2)
    daemon.kill()
    daemon.start()
    api.wait_text(OWNER, "ok")
    api.wait_quiet(1)
    assert set(api.texts(OWNER)) == {"ok"} and len(api.texts(OWNER)) <= 2
    if len(api.texts(OWNER)) == 2:
        assert daemon.events("telegram.uncertain")


def test_a_message_of_mid_turn_outlives_the_kill(talk, api, up, hermes):
    daemon = talk("gate", "display:\n  busy_input_mode: queue\n")
    api.user_says(OWNER, "first")
    shown(hermes, api, "answer to first: begun")
    update = api.user_says(OWNER, "second")
    assert api.wait_for(lambda: api.offsets[-1] > update["update_id"])
    daemon.kill()
    up.release.set()
    daemon.start()
    texts = settled(api, 2)
    assert [t.split(":")[0] for t in texts] == ["answer to first", "answer to second"]
    assert all("and finished" in t for t in texts)
    daemon.stop()
    assert open_turns(hermes) == 0


def test_a_tool_that_may_not_be_repeated_is_not(talk, api, up, hermes):
    """Killed between the tool's effect and the next question to the model."""
    daemon = talk("chain")

    def strike():
        return len(up.requests) >= 2
    api.user_says(OWNER, 'memory\ncall remember {"content": "fact of the day"}')
    assert up.wait_for(strike)
    daemon.kill()
    daemon.start()
    api.wait_text(OWNER, "done with")
    settled_after(daemon, api, 1)
    daemon.stop()
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    rows = hermes.sql("print(db.execute('SELECT count(*) FROM memory').fetchone()[0])", path)
    assert rows.strip() in ("0", "1"), "the tool ran twice"


# -- two of them ----------------------------------------------------------------------------------

def test_two_daemons_on_one_home(talk, api, hermes):
    daemon = talk()
    hermes.run("run", "--port", "0").failed(rf"\b{daemon.process.pid}\b")
    api.user_says(OWNER, "hi")
    settled(api, 1)
    assert not [c for c in api.calls if c.status == 409]


def test_two_pollers_on_one_token(binary, hermes, api, service):
    """Each says so in a sentence; when one ends, the other goes on."""
    hermes.use_telegram(api)
    first = service()
    assert api.wait_for(lambda: api.polling)
    second = service(env={"HERMES_HOME": str(hermes.directory / "other")})
    assert first.said("another|conflict", 15) or second.said("another|conflict", 15)
    second.stop()
    api.user_says(OWNER, "hi")
    api.wait_text(OWNER, "Hello!", 60)
    assert TOKEN not in first.log_text
