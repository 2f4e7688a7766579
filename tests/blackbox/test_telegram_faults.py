"""Telegram that fails: refuses, breaks off, says nothing, is gone. Nothing is lost of it, nothing
said twice, and whoever looks finds a sentence."""

import time

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import SOON
from telegram_owner import OWNER, PATIENCE, settled, shown


@pytest.fixture
def bot(hermes, api, service):
    hermes.use_telegram(api)
    return service()


# -- while it listens -----------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["409", "429", "500", "502", "not-ok", "cut-before", "cut-after",
                                  "cut-mid", "reset-before", "malformed", "empty", "wrong-types",
                                  "drip", "huge"])
def test_a_poll_that_fails_loses_nothing(bot, api, kind):
    assert api.wait_for(lambda: api.polling)
    times = 1 if kind == "409" else 2  # after a conflict the pauses are long
    fault = api.fault("getUpdates", kind, times=times, retry_after=1)
    api.user_says(OWNER, "hi")
    api.user_says(OWNER, "time")
    texts = settled(api, 2)
    assert texts[0].startswith("Hello!") and api.wait_for(lambda: fault.struck)


def test_a_poll_that_hangs(hermes, api, service):
    """A connection that died without a word is given up some time after the server's own limit."""
    hermes.use_telegram(api)
    hermes.put("config.yaml", "platforms:\n  telegram:\n    extra:\n      poll_timeout: 2s\n")
    service()
    assert api.wait_for(lambda: api.polling)
    api.fault("getUpdates", "hang")
    api.user_says(OWNER, "hi")
    settled(api, 1)


def test_the_backoff_grows(hermes, api, service):
    hermes.real_waits().use_telegram(api)
    service()
    assert api.wait_for(lambda: api.polling)
    api.fault("getUpdates", "502", times=1000)
    api.user_says(OWNER, "wake")
    time.sleep(6)
    failed = [c for c in api.of("getUpdates") if c.fault]
    assert len(failed) <= 8, f"{len(failed)} attempts in six seconds"
    assert api.wait_for(lambda: len([c for c in api.of("getUpdates") if c.fault]) >= 2)
    api.heal()
    settled(api, 1)


def test_retry_after_is_kept_while_polling(bot, api):
    api.fault("getUpdates", "429", retry_after=4)
    api.user_says(OWNER, "hi")
    settled(api, 1)

    def refused_and_again():
        calls = api.of("getUpdates")
        at = next((i for i, c in enumerate(calls) if c.fault == "429"), len(calls))
        return at + 1 < len(calls) and (calls, at)
    assert api.wait_for(refused_and_again)
    calls, at = refused_and_again()
    assert calls[at + 1].time - calls[at].time >= 3.9


def test_a_conflict_is_told_and_over(bot, api):
    api.fault("getUpdates", "409")
    api.user_says(OWNER, "hi")
    assert bot.said(r"another|conflict", 20), bot.log_text
    settled(api, 1)


def test_a_wrong_token_is_told(hermes, api, service):
    hermes.use_telegram(api)
    bot = service(env={"TELEGRAM_BOT_TOKEN": "7000000001:AAwrongwrongwrongwrongwrongwrong1"})
    assert bot.said(r"token", 15), bot.process.err
    assert bot.get("/readyz")[0] == 200, "the faces serve, whatever Telegram says"
    assert bot.running
    time.sleep(2)
    assert len(api.knocks) <= 6, "it hammers on a closed door"


def test_a_token_that_is_none(hermes, api):
    hermes.use_telegram(api)
    wrong = {"TELEGRAM_BOT_TOKEN": "nonsense-without-colon"}
    hermes.run("run", "--port", "0", env=wrong, limit=10).failed("token")


# -- while it speaks ------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["429", "500", "502", "not-ok", "cut-before", "reset-before"])
def test_an_answer_that_was_not_taken_is_sent_again(bot, api, kind):
    api.fault("sendMessage", kind, times=2, retry_after=1)
    api.user_says(OWNER, "hi")
    api.user_says(OWNER, "write x.txt: x")
    texts = settled(api, 2)
    assert texts[0].startswith("Hello!") and "x.txt" in texts[1], "out of order"


@pytest.mark.parametrize("kind", ["cut-after", "cut-mid", "malformed", "empty", "wrong-types",
                                  "huge"])
def test_an_answer_of_which_it_is_not_known(bot, api, kind):
    """Delivered, and Telegram's answer lost: at least once, and the log says it."""
    api.fault("sendMessage", kind)
    api.user_says(OWNER, "hi")
    api.wait_messages(OWNER, 1)
    api.wait_quiet(3)
    texts = api.texts(OWNER)
    assert 1 <= len(texts) <= 2 and all(t.startswith("Hello!") for t in texts), texts
    if len(texts) == 2:
        assert bot.events("telegram.uncertain"), api.story()
    api.user_says(OWNER, "write x.txt: x")
    api.wait_text(OWNER, "x.txt")


def test_retry_after_is_kept_while_sending(bot, api):
    api.fault("sendMessage", "429", retry_after=3)
    api.user_says(OWNER, "hi")
    settled(api, 1)
    first, second = api.of("sendMessage")[:2]
    assert second.time - first.time >= 2.9


def test_a_chat_that_fails_holds_no_other_up(hermes, api, service):
    hermes.use_telegram(api, users="42,43")
    service()
    api.user_says(43, "hi")
    settled(api, 1, chat=43)
    api.fault("sendMessage", "502", times=1000, chat=42)
    api.user_says(42, "hi")
    time.sleep(0.5)
    api.user_says(43, "hi")
    settled(api, 2, chat=43)
    assert api.messages(42) == []


def test_edits_that_are_refused_as_not_modified(hermes, api, up, service):
    hermes.use_telegram(api).use(up, "words:30")
    service()
    fault = api.fault("editMessageText", "not-modified", times=2)
    api.user_says(OWNER, "count")
    message = api.wait_text(OWNER, "end of count", PATIENCE)
    settled(api, 1)
    assert fault.struck and message.text.startswith("word0 word1 ")


@pytest.mark.parametrize("kind", ["429", "502", "cut-before", "cut-after", "drip"])
def test_edits_that_fail(hermes, api, up, service, kind):
    hermes.use_telegram(api).use(up, "words:30")
    service()
    api.fault("editMessageText", kind, times=2, retry_after=2)
    api.user_says(OWNER, "count")
    api.wait_text(OWNER, "end of count", PATIENCE)
    assert settled(api, 1)[0].startswith("word0 word1 ")


def test_a_message_that_its_user_deleted(hermes, api, up, service):
    """There is nothing to edit any more: the answer comes as a message of its own."""
    hermes.use_telegram(api).use(up, "gate")
    service()
    api.user_says(OWNER, "work")
    message = api.wait_text(OWNER, "begun")
    with api.chats.lock:
        api.chats.all[OWNER].remove(message)
    up.release.set()
    assert "and finished" in api.wait_text(OWNER, "and finished", PATIENCE).text
    settled(api, 1)


@pytest.mark.parametrize("streaming", ["true", "false"])
def test_a_topic_that_was_deleted(hermes, api, up, service, streaming):
    """The answer comes in the chat itself, however many messages it takes."""
    hermes.use_telegram(api).use(up, "say")
    hermes.put("config.yaml", f"streaming: {{enabled: {streaming}}}\n")
    service()
    api.chats.gone_topics.add((OWNER, 5))
    for count, text in (1, "one"), (3, "word " * 900 + "two"):
        api.user_says(OWNER, f"say {text}", message_thread_id=5, is_topic_message=True)
        assert settled(api, count)[-1].endswith(text[-3:])


def test_a_topic_that_is_deleted_in_mid_answer(hermes, api, up, service):
    hermes.use_telegram(api).use(up, "gate")
    service()
    api.user_says(OWNER, "work", message_thread_id=5, is_topic_message=True)
    message = api.wait_text(OWNER, "begun")
    with api.chats.lock:
        api.chats.gone_topics.add((OWNER, 5))
        api.chats.all[OWNER].remove(message)
    up.release.set()
    assert "and finished" in settled(api, 1)[0]


def test_a_user_who_blocked_the_bot(hermes, api, service):
    hermes.use_telegram(api, users="42,43")
    bot = service()
    api.user_says(OWNER, "hi")
    settled(api, 1)
    api.block(OWNER)
    api.user_says(OWNER, "write x.txt: x")
    assert bot.said("blocked", 15), bot.log_text
    calls = len(api.of("sendMessage", OWNER))
    hermes.sleep_through(3)
    assert len(api.of("sendMessage", OWNER)) <= calls + 1, "it goes on and on"
    api.user_says(43, "hi")
    settled(api, 1, chat=43)
    api.block(OWNER, False)
    api.user_says(OWNER, "hi")
    api.wait_messages(OWNER, 2, PATIENCE)
    assert api.texts(OWNER)[-1].startswith("Hello!")


# -- while there is no network --------------------------------------------------------------------

def test_a_network_that_is_lost(hermes, bot, api):
    """Everything arrives, in order, exactly once."""
    api.user_says(OWNER, "hi")
    settled(api, 1)
    api.down()
    for number in range(3):
        api.user_says(OWNER, f"write f{number}.txt: text")
    hermes.sleep_through(5)
    assert bot.running and bot.get("/readyz")[0] == 200
    api.up()
    texts = settled(api, 4)
    assert [f"f{n}.txt" in t for n, t in enumerate(texts[1:])] == [True] * 3, texts


def test_a_network_that_is_lost_in_mid_answer(hermes, api, up, service):
    hermes.use_telegram(api).use(up, "words:40")
    service()
    api.user_says(OWNER, "count")
    shown(hermes, api, "word3")
    api.down()
    hermes.sleep_through(6)
    api.up()
    api.wait_text(OWNER, "end of count", PATIENCE)
    assert settled(api, 1)[0].startswith("word0 word1 ")


def test_a_start_without_a_network(hermes, api, service):
    hermes.use_telegram(api)
    api.down()
    bot = service()
    hermes.sleep_through(2)
    assert bot.running and bot.get("/readyz")[0] == 200
    api.user_says(OWNER, "hi")
    api.up()
    settled(api, 1)


def test_a_stop_without_a_network(bot, api):
    api.down()
    api.user_says(OWNER, "hi")
    time.sleep(1)
    begin = time.monotonic()
    bot.stop()
    assert time.monotonic() - begin < SOON
    api.up()
    bot.start()
    settled(api, 1)


def test_a_stop_while_telegram_hangs(bot, api):
    api.fault("sendMessage", "hang", times=10)
    api.user_says(OWNER, "hi")
    assert api.wait_for(lambda: api.of("sendMessage"))
    begin = time.monotonic()
    bot.stop()
    assert time.monotonic() - begin < 15
    api.heal()
    bot.start()
    settled(api, 1)
