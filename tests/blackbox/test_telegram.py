"""A person and a bot on Telegram: who is answered, how answers look, what a bad day changes."""

import itertools
import re
import time

import pytest
from harness import comes_true, descriptors

import telegram_models  # noqa: F401  registers its scenarios
from telegram_api import TelegramApi, units
from telegram_owner import OWNER, settled

pytestmark = pytest.mark.qemu_user

STRANGER = 666
CODE = re.compile(r"\b[A-HJ-NP-Z2-9]{8}\b")


@pytest.fixture
def bot(hermes, api, service):
    """The daemon with the offline model, answering user 42 alone."""
    hermes.use_telegram(api, users=str(OWNER))
    return service()


@pytest.fixture
def talk(hermes, api, up, service):
    """talk("say") starts the daemon with that model of the fake upstream."""
    def start(model, config="", users=str(OWNER), **more):
        hermes.use_telegram(api, users=users)
        hermes.use(up, model)
        if config:
            hermes.put("config.yaml", config)
        return service(**more)
    return start


def test_a_bot_that_is_switched_off_stays_off(hermes, api, service):
    hermes.use_telegram(api, users=str(OWNER))
    hermes.put("config.yaml", "platforms: {telegram: {enabled: false}}\n")
    running = service()
    assert '"telegram":null' in running.get("/readyz")[1].replace(" ", "")
    time.sleep(1)
    assert not api.calls


# -- questions and answers ------------------------------------------------------------------------

def test_a_question_is_answered(bot, api):
    api.user_says(OWNER, "hi")
    assert settled(api, 1)[0].startswith("Hello! I am the built-in offline model")


def test_topics_are_conversations_of_their_own(bot, api):
    for topic in (5, 9):
        api.user_says(OWNER, f"hi in {topic}", message_thread_id=topic, is_topic_message=True)
        settled(api, (5, 9).index(topic) + 1)
    api.user_says(OWNER, "/status", message_thread_id=9, is_topic_message=True)
    settled(api, 3)
    sent = [call.params for call in api.calls if call.method == "sendMessage"]
    assert [params.get("message_thread_id") for params in sent] == [5, 9, 9]
    assert "2 messages" in sent[2]["text"]
    typing = [call.params for call in api.calls if call.method == "sendChatAction"]
    assert {params.get("message_thread_id") for params in typing} == {5, 9}


@pytest.mark.native  # qemu cannot start the processes of file tools
def test_tools_are_used(bot, api, hermes):
    api.user_says(OWNER, "write a.txt: seen by all and then read a.txt")
    assert "seen by all" in settled(api, 1)[0]
    assert (hermes.workspace / "a.txt").read_text() == "seen by all"


def test_a_conversation_goes_on(talk, api):
    talk("recount")
    api.user_says(OWNER, "one")
    assert settled(api, 1)[0].startswith("1 messages")
    api.user_says(OWNER, "two")
    assert settled(api, 2)[1].startswith("3 messages, the last: user=")


def test_chats_do_not_know_each_other(talk, api):
    talk("recount", users="42,43")
    for chat in (42, 43):
        api.user_says(chat, "hello")
        assert settled(api, 1, chat)[0].startswith("1 messages")


def test_chats_do_not_wait_for_each_other(talk, api, up):
    talk("gate", users="42,43")
    api.user_says(42, "first")
    api.wait_text(42, "begun")
    api.user_says(43, "second")
    api.wait_text(43, "begun")
    up.release.set()
    for chat in (42, 43):
        api.wait_text(chat, "and finished")


def test_the_menu_is_set_and_no_webhook_is_left(hermes, api, service):
    api.webhook = True
    hermes.use_telegram(api)
    service()
    api.user_says(OWNER, "hi")
    settled(api, 1)
    assert {"help", "new", "stop", "status"} <= set(api.commands)


def test_typing_is_shown_while_it_thinks(talk, api, up):
    talk("hang:6")
    api.user_says(OWNER, "think")
    assert api.wait_for(lambda: api.chats.actions), "no typing indicator"
    api.wait_text(OWNER, "echo: think")
    times = [t for t, chat, action in api.chats.actions if (chat, action) == (OWNER, "typing")]
    assert len(times) >= 2, "Telegram forgets the indicator after five seconds"
    assert all(b - a > 1 for a, b in zip(times, times[1:])), "too often"


def test_over_tls(hermes, up, service):
    with TelegramApi(tls=True) as api:
        hermes.use_telegram(api)
        service()
        api.user_says(OWNER, "hi")
        assert settled(api, 1)[0].startswith("Hello!")


def test_the_base_url_of_the_file(hermes, api, service):
    hermes.use_telegram(api)
    del hermes.environment["TELEGRAM_API_BASE"]
    hermes.put("config.yaml",
               f"platforms:\n  telegram:\n    extra:\n      base_url: {api.base_url}/bot\n")
    service()
    api.user_says(OWNER, "hi")
    settled(api, 1)


def test_pictures_and_edits_harm_nothing(bot, api):
    with api.chats.lock:
        api.user_says(OWNER, "", photo=[{"file_id": "x", "width": 1, "height": 1}])
        odd = api.user_says(OWNER, "edited")
        odd["edited_message"] = odd.pop("message")
        other = api.user_says(OWNER, "pressed")
        other["callback_query"] = {"id": "1", "from": other.pop("message")["from"], "data": "x"}
        nameless = api.user_says(OWNER, "x")
        nameless["message"] = {"message_id": "no number"}
    api.user_says(OWNER, "hi")
    assert api.wait_text(OWNER, "Hello!")
    assert api.wait_for(lambda: api.offsets[-1] > nameless["update_id"])


# -- buttons and edits ---------------------------------------------------------------------------

ASKING = """db.execute("INSERT INTO outbox(channel, chat, state, created_ms, changed_ms, kind,"
" in_flight, text, buttons) VALUES('telegram', '42', 'pending', 1, 1, 'question', 0, ?, ?)",
sys.argv[2:])"""
BUTTONS = '[{"text": "Approve", "data": "/whoami"}, {"text": "Deny", "data": "/status"}]'


@pytest.fixture
def asked(hermes, bot, api):
    """asked(text, buttons): the bot's messages once that question has gone out."""
    def ask(text, buttons=BUTTONS):
        api.user_says(OWNER, "hi")  # or the chat is not known
        settled(api, 1)
        bot.stop()
        hermes.sql(ASKING, hermes.home / "state.db", text, buttons)
        bot.start()
        api.wait_text(OWNER, text[-9:])
        api.wait_quiet()
        return api.messages(OWNER)[1:]
    return ask


def test_a_button_is_a_command(asked, api):
    question, = asked("May I do it?")
    assert [[b["text"] for b in row] for row in question.keyboard] == [["Approve", "Deny"]]
    update = api.user_presses(question, "Approve")
    assert "telegram" in settled(api, 3)[2]
    assert api.chats.presses == {update["callback_query"]["id"]: True} and not question.keyboard
    api.repeat(update)
    assert api.wait_for(lambda: not api.chats.stale)
    settled(api, 3)


def test_buttons_stand_under_the_last_part(asked, api):
    *above, last = asked("word " * 1000 + "May I do it?")
    assert above and last.keyboard and not any(message.keyboard for message in above)


def test_only_the_row_that_was_pressed_goes(asked, api):
    """Each question of several has its own two buttons; Telegram takes a hundred."""
    question, = asked("May I do it?", "[" + ", ".join(
        f'{{"text": "{n}", "data": "/status {n}"}}' for n in range(128)) + "]")
    assert [[b["text"] for b in row] for row in question.keyboard] == [
        [str(n), str(n + 1)] for n in range(0, 100, 2)]
    api.user_presses(question, "51")
    settled(api, 3)
    assert [row[0]["text"] for row in question.keyboard] == [
        str(n) for n in range(0, 100, 2) if n != 50]


@pytest.mark.parametrize("seconds", [0, 1])
def test_two_quick_presses_leave_no_button(asked, api, seconds):
    """Each of them tells a keyboard with both rows; the edit for the first is slow."""
    question, = asked("May I do it?", "[" + ", ".join(
        f'{{"text": "{n}", "data": "/status {n}"}}' for n in range(6)) + "]")
    api.fault("editMessageReplyMarkup", "delay", seconds=seconds)
    with api.chats.lock:
        api.user_presses(question, "0")
        api.user_presses(question, "3")
    settled(api, 4)
    assert api.wait_for(lambda: [row[0]["text"] for row in question.keyboard] == ["4"])
    api.wait_quiet(1)
    assert [row[0]["text"] for row in question.keyboard] == ["4"]


def test_a_stranger_presses_nothing(asked, api):
    question, = asked("May I do it?")
    update = api.user_presses(question, "Approve", user=STRANGER)
    assert api.wait_for(lambda: api.offsets[-1] > update["update_id"])
    settled(api, 2)
    assert api.chats.presses == {update["callback_query"]["id"]: False} and question.keyboard


def test_an_edit_counts_if_the_text_is_another(bot, api):
    update = api.user_says(OWNER, "hi")
    settled(api, 1)
    api.user_edits(update, "hi")
    bot.wait_event("telegram.edited")
    settled(api, 1)
    edit = api.user_edits(update, "hello")
    assert "(edited) hello" in settled(api, 2)[1]
    api.repeat(edit)
    assert api.wait_for(lambda: not api.chats.stale)
    settled(api, 2)


# -- how an answer looks --------------------------------------------------------------------------

def test_an_answer_grows_in_one_message(talk, api):
    talk("words:40")
    api.user_says(OWNER, "count")
    message = api.wait_text(OWNER, "end of count", 30)
    settled(api, 1)
    texts = [text for _, text in message.history]
    assert message.edits >= 2, f"not streamed: {texts}"
    times = [at for at, _ in message.history]
    assert min(b - a for a, b in zip(times, times[1:-1])) > 0.5, "edits faster than Telegram allows"
    grown = [re.findall(r"word\d+", text) for text in texts]
    assert all(a == b[:len(a)] for a, b in zip(grown, grown[1:])), texts
    assert grown[-1] == [f"word{n}" for n in range(40)]


MARKDOWN = """say # Results

**bold** and *italic*, ~~gone~~, `co_de.x`, [a link](https://example.org/a_b?c=(d))

- one item
- two items (really!)

1. first
2. second

> a quote

```python
def f(x_y):
    return "a.b" * x_y
```

5 * 3 = 15; snake_case_name; 100% > 50%; a|b; #1! ~approx {x} 2+2=4 - done."""


def test_markdown_looks_as_it_was_meant(talk, api):
    talk("say")
    api.user_says(OWNER, MARKDOWN)
    settled(api, 1)
    message, = api.messages(OWNER)
    assert message.parse_mode == "MarkdownV2"
    assert "bold" in message.marked("bold") and "Results" in "".join(message.marked("bold"))
    assert message.marked("italic") == ["italic"] and message.marked("strikethrough") == ["gone"]
    assert message.marked("code") == ["co_de.x"] and message.marked("text_link") == ["a link"]
    code, = message.marked("pre")
    assert code.strip() == 'def f(x_y):\n    return "a.b" * x_y'
    for text in ("snake_case_name", "5 * 3 = 15", "two items (really!)", "a|b",
                 "{x} 2+2=4 - done."):
        assert text in message.text, message.text
    for mark in ("**", "~~", "```", "\\"):
        assert mark not in message.text, message.text


TABLE = """say Here:

| name | state | restarts |
|------|:-----:|---------:|
| web_1 | Running | 0 |
| db.main | CrashLoopBackOff | 17 |

That is all."""


def test_tables_are_aligned(talk, api):
    talk("say")
    api.user_says(OWNER, TABLE)
    settled(api, 1)
    message, = api.messages(OWNER)
    table, = message.marked("pre")
    rows = [line for line in table.splitlines() if "Running" in line or "CrashLoop" in line]
    assert len(rows) == 2 and rows[0].index("Running") <= rows[1].index("CrashLoopBackOff") + 16
    assert len({len(line.rstrip()) for line in rows}) <= 2 and "db.main" in rows[1]
    assert "That is all." in message.text.replace(table, "")


@pytest.mark.parametrize("text", [
    "say **never closed", "say _a *b_ c*", "say ```\nno end", "say `", "say [x](", "say ![x](y)",
    "say " + "*_`[]()~>#+-=|{}.!\\" * 20, "say \\", "say **", "say ____", "say ```\n```",
    "say <b>&amp;</b>", "say 😀**😀**😀", "say a\u200bb",
    "say [**b**](https://e.org) ***both*** **a *b* c**", "say | a |\n|---|\n| `x|y` |"])
def test_no_markdown_is_refused(talk, api, text):
    """Whatever the model writes, the first attempt is one that Telegram takes."""
    talk("say")
    api.user_says(OWNER, text)
    api.wait_messages(OWNER, 1)
    api.wait_quiet()
    refused = [c.description for c in api.calls if c.status == 400]
    assert not refused, api.story()


def test_refused_markdown_goes_out_plain(talk, api):
    talk("say")
    api.fault("sendMessage", "no-markdown", times=100)
    api.fault("editMessageText", "no-markdown", times=100)
    api.user_says(OWNER, "say **bold** and `code`. Done!")
    api.wait_text(OWNER, "Done!")
    assert settled(api, 1) == ["bold and code. Done!"]
    assert api.messages(OWNER)[0].parse_mode in (None, "")


def test_a_long_answer_comes_in_parts(talk, api):
    talk("say")
    lines = [f"Line {n}: " + "abcdefgh " * 8 for n in range(150)]
    api.user_says_long(OWNER, "say " + "\n".join(lines))
    api.wait_text(OWNER, "Line 149:", 60)
    api.wait_quiet(2)
    messages = api.messages(OWNER)
    assert 3 <= len(messages) <= 6
    assert all(units(m.text) <= 4096 for m in messages)
    found = [n for m in messages for n in re.findall(r"Line (\d+):", m.text)]
    assert found == [str(n) for n in range(150)], "a line is missing or twice"
    assert all(line.endswith("abcdefgh") for m in messages for line in m.text.splitlines())


def test_code_blocks_survive_the_cut(talk, api):
    talk("say")
    code = "\n".join(f"    value_{n} = call(*args, **kwargs)  # {n}" for n in range(200))
    api.user_says_long(OWNER, f"say Look:\n\n```python\n{code}\n```\n\nThe end.")
    api.wait_text(OWNER, "The end.", 60)
    api.wait_quiet(2)
    messages = api.messages(OWNER)
    blocks = [block for m in messages for block in m.marked("pre")]
    assert len(messages) >= 2 and len(blocks) >= 2
    assert [n for b in blocks for n in re.findall(r"value_(\d+)", b)] == \
        [str(n) for n in range(200)]
    assert all(e.get("language") == "python" for m in messages for e in m.entities
               if e["type"] == "pre")
    assert not any("```" in m.text for m in messages)


def test_one_line_without_end(talk, api):
    talk("say")
    api.user_says_long(OWNER, "say " + "😀" * 5000)
    assert api.wait_for(lambda: sum(m.text.count("😀") for m in api.messages(OWNER)) == 5000, 60), \
        api.story()
    assert all(units(m.text) <= 4096 for m in api.messages(OWNER))


def test_links_show_no_preview(talk, api):
    talk("say")
    api.user_says(OWNER, "say see https://example.org/")
    settled(api, 1)
    options = api.messages(OWNER)[0].params.get("link_preview_options")
    assert options and options["is_disabled"] is True


# -- what is said ---------------------------------------------------------------------------------

def test_a_text_that_telegram_cut_is_one_message(talk, api, up):
    talk("say")
    text = "say " + "x" * 4090 + " middle " + "y" * 6000 + " the end"
    pieces = api.user_says_long(OWNER, text)
    assert len(pieces) == 3
    api.wait_text(OWNER, "the end", 60)
    api.wait_quiet(2)
    asked = [r.messages[-1]["content"] for r in up.requests if r.messages]
    assert len(asked) == 1 and "x middle y" in asked[0] and asked[0].endswith("the end")


def test_a_cut_text_whose_rest_never_comes(talk, api):
    talk("say")
    api.user_says(OWNER, ("say it " + "z" * 4096)[:4096])
    api.wait_text(OWNER, "it zzz", 20)


def test_a_flood_is_answered_in_order(bot, api):
    """Each message has its answer, at a pace that Telegram bears."""
    api.chats.pace = "enforce"
    api.flood(OWNER, 12, "remember number {}")
    api.wait_messages(OWNER, 12, 60)
    api.wait_quiet(2)
    stored = [re.search(r"number (\d+)", c.params["text"]) for c in api.of("sendMessage")]
    assert len(api.messages(OWNER)) == 12, api.story()
    numbers = [int(found.group(1)) for found in stored if found]
    assert numbers == sorted(numbers)


def test_updates_that_come_twice(bot, api):
    update = api.user_says(OWNER, "remember only once")
    settled(api, 1)
    api.repeat(update, update)
    api.user_says(OWNER, "recall only")
    assert len(settled(api, 2)) == 2
    assert api.texts(OWNER)[1].count("only once") == 1, api.texts(OWNER)


def test_updates_out_of_order(bot, api):
    updates = api.shuffled(OWNER, "remember alpha", "remember beta", "remember gamma")
    settled(api, 3)
    assert api.wait_for(lambda: api.offsets[-1] == max(u["update_id"] for u in updates) + 1)
    api.repeat(*updates)
    api.user_says(OWNER, "hi")
    assert settled(api, 4)[3].startswith("Hello!")


def test_an_update_id_that_is_lower(bot, api):
    """After a quiet week Telegram begins anew with any number."""
    api.user_says(OWNER, "hi")
    settled(api, 1)
    with api.chats.lock:
        low = api.chats.incoming(OWNER, "hello", update_id=1000)
        api.chats.pending.remove(low)
    api.repeat(low)
    assert len(settled(api, 2)) == 2


def test_lower_update_ids_are_news_too(bot, api):
    """The next question does not wait for the second between answers that bring nothing new."""
    with api.chats.lock:
        lows = [api.chats.incoming(STRANGER, "hello", update_id=10 * n) for n in range(1, 9)]
        del api.chats.pending[-len(lows):]
    api.on_call = lambda call: call.method == "getUpdates" and lows and api.repeat(lows.pop())
    seen = len(api.offsets)
    api.user_says(OWNER, "hi")
    assert api.wait_for(lambda: not lows and len(api.offsets) > seen + 8)
    times = [call.time for call in api.of("getUpdates")[seen + 1:]]  # the first never waits
    assert min(after - before for before, after in itertools.pairwise(times)) < 0.5


# -- strangers ------------------------------------------------------------------------------------

def test_a_stranger_gets_nothing(bot, api):
    api.user_says(STRANGER, "let me in", name="Mallory")
    api.user_says(OWNER, "hi")
    settled(api, 1)
    assert api.messages(STRANGER) == []
    assert not [c for c in api.calls if c.params.get("chat_id") == STRANGER], api.story()
    assert "666" in str(bot.wait_event("telegram.unauthorized")), "the log does not say who knocked"
    assert "let me in" not in bot.log_text, "a stranger's text is nobody's business"


def test_a_stranger_in_a_chat_of_the_owner(bot, api):
    """Who may talk is a matter of who speaks, not of where."""
    api.user_says(-100500, "let me in", user=STRANGER, kind="supergroup")
    api.user_says(OWNER, "hi")
    settled(api, 1)
    assert api.messages(-100500) == []


def test_a_stranger_does_not_fill_the_log(bot, api):
    api.flood(STRANGER, 200, "knock {}")
    api.user_says(OWNER, "hi")
    settled(api, 1)
    assert len(bot.events("telegram.unauthorized")) <= 20


def test_pairing(hermes, api, service):
    hermes.use_telegram(api, users=None)
    service()
    api.user_says(STRANGER, "hello", name="Ann")
    code = CODE.search(settled(api, 1, STRANGER)[0]).group()
    api.user_says(STRANGER, "hello?")
    time.sleep(1)
    assert len(api.messages(STRANGER)) == 1, "a second code within ten minutes"
    listed = hermes.run("pairing", "list").ok().text
    assert str(STRANGER) in listed and "Ann" in listed
    hermes.run("pairing", "approve", "telegram", "ABCDEFGH").failed("code")
    hermes.run("pairing", "approve", "telegram", code.lower()).ok()
    api.user_says(STRANGER, "hi")
    assert "Hello!" in api.wait_text(STRANGER, "Hello!").text
    assert str(STRANGER) in hermes.run("pairing", "list").ok().text
    hermes.run("pairing", "revoke", "telegram", str(STRANGER)).ok()
    before = len(api.messages(STRANGER))
    api.user_says(STRANGER, "hi again")
    time.sleep(1.5)
    assert not any("Hello!" in m.text for m in api.messages(STRANGER)[before:])


def test_three_codes_at_most(hermes, api, service):
    hermes.use_telegram(api, users=None)
    service()
    for user in (1, 2, 3, 4):
        api.user_says(user, "hello")
        if user < 4:
            assert CODE.search(settled(api, 1, user)[0])
    time.sleep(1.5)
    assert not any(CODE.search(text) for text in api.texts(4))


def test_wrong_codes_lock_the_door(hermes, api, service):
    hermes.use_telegram(api, users=None)
    service()
    api.user_says(STRANGER, "hello")
    code = CODE.search(settled(api, 1, STRANGER)[0]).group()
    for number in range(5):
        hermes.run("pairing", "approve", "telegram", f"ABCDEFG{number + 2}").failed("code")
    hermes.run("pairing", "approve", "telegram", code).failed("hour|later|minutes|wrong")
    api.user_says(STRANGER, "hi")
    time.sleep(1)
    assert not any("Hello!" in text for text in api.texts(STRANGER))


def test_the_files_of_pairing_are_private(hermes, api, service):
    hermes.use_telegram(api, users=None)
    service()
    api.user_says(STRANGER, "hello")
    settled(api, 1, STRANGER)
    files = list((hermes.home / "pairing").iterdir())
    assert files and all(path.stat().st_mode & 0o777 == 0o600 for path in files)


# -- messages in mid-turn -------------------------------------------------------------------------

def test_a_message_interrupts(talk, api, up):
    talk("gate")
    api.user_says(OWNER, "first")
    api.wait_text(OWNER, "answer to first: begun")
    api.user_says(OWNER, "second")
    assert up.wait_for(lambda: up.disconnects), "the first answer is still being made"
    api.wait_text(OWNER, "answer to second: begun")
    up.release.set()
    api.wait_text(OWNER, "answer to second: begun and finished")
    api.wait_quiet()
    told = [m["content"] for m in up.requests[-1].messages if m["role"] == "user"]
    assert [t.split("\n")[-1] for t in told][-2:] == ["first", "second"], told
    assert not any("first: begun and finished" in text for text in api.texts(OWNER))


def test_a_message_queues(talk, api, up):
    talk("gate", "display:\n  busy_input_mode: queue\n")
    api.user_says(OWNER, "first")
    api.wait_text(OWNER, "answer to first: begun")
    update = api.user_says(OWNER, "second")
    assert api.wait_for(lambda: api.offsets[-1] > update["update_id"])
    time.sleep(0.3)
    assert not up.disconnects and up.count("gate") == 1
    up.release.set()
    assert [t.split(":")[0] for t in settled(api, 2)] == ["answer to first", "answer to second"]


def test_a_message_steers(talk, api, up):
    talk("gate-tools", "display:\n  busy_input_mode: steer\n")
    api.user_says(OWNER, "look at the clock")
    assert up.wait_for(lambda: up.count("gate-tools") == 1)
    update = api.user_says(OWNER, "and be quick")
    assert api.wait_for(lambda: api.offsets[-1] > update["update_id"])
    assert not up.disconnects
    up.release.set()
    api.wait_text(OWNER, "and be quick")
    assert len(settled(api, 1)) == 1 and up.count("gate-tools") == 2


# -- quiet ----------------------------------------------------------------------------------------

@pytest.mark.release
@pytest.mark.native
def test_waiting_costs_nothing(bot, api):
    api.user_says(OWNER, "hi")
    settled(api, 1)
    time.sleep(1.5)
    polls = len(api.offsets)
    assert bot.process.fewest_wake_ups(seconds=6) <= 8, "more than one wake-up per second"
    assert len(api.offsets) - polls <= 1, "it does not wait for the answer to its question"


@pytest.mark.native
def test_turns_leak_no_descriptors(bot, api):
    for number in range(3):
        api.user_says(OWNER, "hi")
        settled(api, number + 1)
    before = descriptors(bot.process.pid)
    for number in range(3, 8):
        api.user_says(OWNER, "hi")
        api.wait_messages(OWNER, number + 1, 30)
    api.wait_quiet()
    assert comes_true(lambda: descriptors(bot.process.pid) <= before + 1)


def test_the_token_is_nowhere(bot, api, hermes):
    """Not in an error either: the URL of a failed call has it in the middle."""
    for kind in ("cut-before", "502", "500", "malformed"):
        api.fault("getUpdates", kind)
    api.user_says(OWNER, "hi")
    settled(api, 1)
    api.down()
    time.sleep(1.5)
    result = bot.stop()
    api.up()
    secret = api.token.split(":")[1]
    assert secret not in bot.log_text and secret.encode() not in result.err + result.out
    assert secret not in hermes.run("status").text
