"""A second opinion on the Bot API: telegram-test-api, which others test their bots with.

Our own fake was written by those who wrote the bot; this one was not. It is less strict and less
complete, and that is just what makes it worth asking: it does not know sendChatAction,
setMyCommands and getFile, never holds a getUpdates, answers an edit with null, dates its own
messages in milliseconds, calls every chat private in its answers, does not mind texts that are too
long, reads no markup, and a press of a button names no message but what the test tells.

What it cannot do for anybody (it forgets an update once it was told) is made good in bridge.js, for
the tests that say so.
"""

import json
import time

import pytest
from openai_upstream import Upstream
from telegram_bridge import FRIEND, OWNER, TOKEN, Bridge
from telegram_markdown import units

import telegram_models  # noqa: F401  registers its scenarios

GROUP = -1001
BOT = "@TestNameBot"  # the package's name for every bot


@pytest.fixture
def bridge(packages):
    running = Bridge(packages)
    yield running
    running.stop()


@pytest.fixture
def up():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def start(hermes, bridge, up, service):
    """start("say") starts the bot with that model of the fake upstream; None: the offline one.
    `exact`: as a client of the Bot API's real getUpdates."""
    def begin(model=None, config="", exact=False):
        port = bridge.exact_port if exact else bridge.port
        hermes.environment.update(
            TELEGRAM_BOT_TOKEN=TOKEN, TELEGRAM_API_BASE=f"http://127.0.0.1:{port}",
            TELEGRAM_ALLOWED_USERS=f"{OWNER},{FRIEND}")
        if model:
            hermes.use(up, model)
        if config:
            hermes.put("config.yaml", config)
        return service()
    return begin


@pytest.fixture
def bot(start):
    return start()


# -- the package as it is -------------------------------------------------------------------------

def test_a_message_in_and_an_answer_out(bot, bridge):
    bridge.ask("say", text="hi")
    assert "offline model" in bridge.wait("Hello")[0]


def test_a_conversation_goes_on(start, bridge):
    start("recount")
    bridge.ask("say", text="one")
    assert bridge.settled(1)[0].startswith("1 messages, the last: user=one")
    bridge.ask("say", text="two")
    assert bridge.settled(2)[1].startswith("3 messages, the last: user=two; before: assistant=1 m")
    bridge.ask("command", text="/new")
    bridge.settled(3)
    bridge.ask("say", text="three")
    assert bridge.settled(4)[3].startswith("1 messages, the last: user=three")


def test_chats_do_not_know_each_other(start, bridge):
    start("recount")
    for chat, text in (OWNER, "mine"), (FRIEND, "yours"):
        bridge.ask("say", chat=chat, text=text)
    for chat, text in (OWNER, "mine"), (FRIEND, "yours"):
        assert bridge.settled(1, chat) == [f"1 messages, the last: user={text}; before: none"]


def test_strangers_get_nothing(start, bridge):
    bot = start("say")
    bridge.ask("say", chat=666, text="say x")
    bridge.ask("say", text="say y")
    assert bridge.settled(1) == ["y"]
    assert not bridge.texts(666) and bot.events("telegram.unauthorized")


def test_commands(start, bridge, up):
    start("say")
    commands = {"/help": "/new", "/new": "new conversation", "/status": "Idle", "/usage": "tokens",
                "/title The cellar": "Title: The cellar", "/whoami": str(OWNER),
                "/undo": "no question", "/nonsense": "/help"}
    for count, (command, answer) in enumerate(commands.items(), 1):
        bridge.ask("command", text=command)
        bridge.wait(answer, after=count - 1)
    bridge.settled(len(commands))
    assert not up.requests, "a model was asked about a command"


def test_stop_in_mid_answer(start, bridge, up):
    start("gate")
    bridge.ask("say", text="long work")
    bridge.wait("answer to long work: begun")
    bridge.ask("command", text="/stop")
    bridge.wait("Stopped")
    up.release.set()
    assert not any("and finished" in text for text in bridge.settled(2))


@pytest.mark.parametrize("answer, made", [("Approve", True), ("Deny", False)])
def test_a_button_answers_a_question(start, hermes, bridge, answer, made):
    start("chain", "approvals:\n  mode: manual\n")
    bridge.ask("say", text='first\ncall write_file {"path": "AGENTS.md", "content": "x"}')
    bridge.wait("write_file")
    question, = bridge.messages()
    row, = question["reply_markup"]["inline_keyboard"]
    button, = [b for b in row if answer in b["text"]]
    assert not (hermes.workspace / "AGENTS.md").exists()
    bridge.ask("press", message=question["message_id"], data=button["callback_data"])
    assert "done with first" in bridge.wait("done with first")[-1]
    bridge.settled(3)  # the question, what became of it, the answer
    assert (hermes.workspace / "AGENTS.md").exists() == made
    assert bridge.messages()[0]["reply_markup"] == {"inline_keyboard": []}
    assert bridge.calls("answerCallbackQuery") == [200], "its null counts as an answer"
    bridge.ask("press", message=question["message_id"], data=button["callback_data"])
    bridge.settled(4)
    assert len(bridge.calls("answerCallbackQuery")) == 2
    assert (hermes.workspace / "AGENTS.md").exists() == made, "a second press did something"


def test_an_answer_grows_by_edits(start, bridge):
    start("words:30", "streaming: {edit_interval: 300ms}\n")
    bridge.ask("say", text="count")
    bridge.wait("end of count")
    assert bridge.settled(1) == ["".join(f"word{n} " for n in range(30)) + "end of count"]
    told = bridge.ask("edits")
    assert len(told) >= 3 and {e["id"] for e in told} == {bridge.messages()[0]["message_id"]}
    sizes = [len(e["text"]) for e in told]
    assert sizes == sorted(sizes) and set(bridge.calls("editMessageText")) == {200}, told


def test_a_long_answer_comes_in_parts(start, bridge):
    """The package takes any length, so it is the test that counts, as Telegram does in UTF-16."""
    start("say")
    lines = [f"Line {n}: 😀 " + "abcdefgh " * 8 for n in range(150)]
    text = "say " + "\n".join(lines)
    for at in range(0, len(text), 4000):
        bridge.ask("say", text=text[at:at + 4000])
    bridge.wait("Line 149:")
    texts = bridge.settled(len(bridge.texts()))
    assert 3 <= len(texts) <= 6 and all(units(t) <= 4096 for t in texts)
    found = [line.split(":")[0] for t in texts for line in t.splitlines() if "Line" in line]
    assert found == [f"Line {n}" for n in range(150)], "a line is missing, or is there twice"


def test_files_that_cannot_be_had(start, bridge):
    """The package passes on whatever a message says, and knows no getFile."""
    start("say", "display: {busy_input_mode: queue}\nstt: {enabled: false}\n")
    files = {
        "photo": {"photo": [{"file_id": "p1", "file_size": 9, "width": 9, "height": 9}]},
        "voice message": {"voice": {"file_id": "v1", "file_size": 9, "duration": 3}},
        "document": {"document": {"file_id": "d1", "file_size": 9, "file_name": "a.pdf"}}}
    for name, file in files.items():
        bridge.ask("say", text=None, more={"caption": f"say {name}:", **file})
    bridge.ask("say", text="say that is all")
    *texts, last = bridge.settled(4)
    for name, text in zip(files, texts):
        assert text.startswith(f"{name}:\n[a {name} came") and "could not be fetched" in text
    assert last == "that is all" and bridge.calls("getFile") == [500] * 15


def test_a_group(start, bridge, up):
    start("say", f"telegram: {{allowed_chats: [{GROUP}], require_mention: true}}\n")
    until = time.monotonic() + 10
    while not bridge.calls("getMe"):
        assert time.monotonic() < until
        time.sleep(0.05)
    group = {"chat": GROUP, "type": "supergroup"}
    bridge.ask("say", user=OWNER, text="say nothing", **group)
    bridge.ask("say", user=OWNER, text=f"say {BOT} one", **group)
    bridge.ask("say", user=666, text=f"say {BOT} two", **group)
    bridge.ask("say", user=FRIEND, text=f"say {BOT} three", **group)
    texts = bridge.settled(2, GROUP)
    assert sorted(t.split()[-1] for t in texts) == ["one", "three"]
    assert len(up.requests) == 2


def test_what_is_not_known_is_not_asked_again_and_again(start, bridge):
    start("words:30")
    bridge.ask("say", text="count")
    bridge.wait("end of count")
    bridge.settled(1)
    assert set(bridge.calls("setMyCommands")) | set(bridge.calls("sendChatAction")) == {500}
    assert len(bridge.calls("setMyCommands")) <= 3 and len(bridge.calls("sendChatAction")) <= 3


def test_tools_and_a_restart(bot, bridge):
    bridge.ask("say", text="write a: kept")
    bridge.wait("bytes to a")
    bot.stop()
    bridge.ask("say", text="read a")
    bot.start()
    bridge.wait("kept")
    assert len(bridge.settled(2)) == 2


def test_a_server_that_never_holds_a_poll_is_not_hammered(bot, bridge):
    bridge.ask("say", text="hi")
    bridge.wait("Hello")
    before = len(bridge.calls("getUpdates"))
    time.sleep(5)
    assert len(bridge.calls("getUpdates")) - before <= 25, \
        "an empty answer that comes at once is asked again"


def test_the_token_is_not_logged(bot, bridge):
    bridge.ask("say", text="hi")
    bridge.wait("Hello")
    result = bot.stop()
    secret = TOKEN.split(":")[1]
    assert secret not in bot.log_text and secret.encode() not in result.err


# -- with getUpdates as the real API has it -------------------------------------------------------

def test_an_offset_confirms(start, bridge):
    bot = start("say", exact=True)
    for number in range(3):
        bridge.ask("say", text=f"say {number}")
        assert bridge.settled(number + 1)[-1] == str(number)
    offsets = bridge.ask("offsets")
    assert offsets == sorted(offsets) and len(set(offsets)) == 4, offsets
    bot.stop()
    seen = len(offsets)
    bot.start()
    bridge.ask("say", text="say more")
    assert bridge.settled(4) == ["0", "1", "2", "more"]
    assert bridge.ask("offsets")[seen] == offsets[-1], "it began anew"


def test_a_poll_is_held_and_not_repeated(start, bridge):
    start("say", exact=True)
    bridge.ask("say", text="say x")
    bridge.settled(1)
    before = len(bridge.calls("getUpdates"))
    time.sleep(3)
    assert len(bridge.calls("getUpdates")) == before


def test_updates_whose_answer_was_lost_come_again(start, bridge):
    start("say", exact=True)
    bridge.ask("lose", times=2)
    for number in range(3):
        bridge.ask("say", text=f"say {number}")
    assert bridge.settled(3) == ["0", "1", "2"]


def test_the_network_is_lost(start, bridge, hermes):
    bot = start("say", "display: {busy_input_mode: queue}\n", exact=True)
    bridge.ask("say", text="say before")
    bridge.settled(1)
    bridge.ask("down")
    for number in range(3):
        bridge.ask("say", text=f"say {number}")
    hermes.sleep_through(5)
    assert bot.running and bot.get("/readyz")[0] == 200
    bridge.ask("up")
    assert bridge.settled(4) == ["before", "0", "1", "2"]


def stored(hermes):
    """Is the growing message's id on disk? A kill before that may double it."""
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    query = "SELECT count(*) FROM outbox WHERE state = 'open' AND message_id IS NOT NULL"
    return int(hermes.sql(f"print(db.execute({query!r}).fetchone()[0])", path)) == 1


def test_a_kill_in_mid_answer(start, bridge, up, hermes):
    """The message that had begun is finished, and what waited behind it comes after it."""
    bot = start("gate", "display: {busy_input_mode: queue}\n", exact=True)
    bridge.ask("say", text="first")
    bridge.wait("answer to first: begun")
    begun, = bridge.messages()
    for text in "second", "third":
        bridge.ask("say", text=text)
    until = time.monotonic() + 20
    while not stored(hermes):
        assert time.monotonic() < until
        time.sleep(0.05)
    bot.kill()
    bridge.ask("say", text="fourth")
    up.release.set()
    bot.start()
    bridge.wait("answer to fourth: begun and finished")
    assert bridge.settled(4) == [f"answer to {n}: begun and finished"
                                 for n in ("first", "second", "third", "fourth")]
    assert bridge.messages()[0]["message_id"] == begun["message_id"]


def test_killed_again_and_again(start, bridge):
    """At no chosen moments, with messages coming in two chats. A copy may be there for each time
    that the log says that it could not be known."""
    bot = start("chain", "display: {busy_input_mode: queue}\n", exact=True)
    asked = [f"number {n}" for n in range(8)]
    for number, text in enumerate(asked):
        for chat in OWNER, FRIEND:
            bridge.ask("say", chat=chat, text=f"{text}\ncall current_time {{}}")
        time.sleep(0.13 * (number % 4))
        if number % 3 == 1:
            bot.kill()
            bot.start()
    for chat in OWNER, FRIEND:
        bridge.wait("done with number 7", chat)
    found = {chat: bridge.settled(len(bridge.texts(chat)), chat) for chat in (OWNER, FRIEND)}
    copies = len(bot.events("telegram.uncertain"))
    for chat, texts in found.items():
        once = [t for n, t in enumerate(texts) if t not in texts[:n]]
        assert once == [f"done with {text}" for text in asked], (chat, texts)
        copies -= len(texts) - len(once)
    assert copies >= 0, f"said twice, and the log knows nothing of it: {json.dumps(found)}"
