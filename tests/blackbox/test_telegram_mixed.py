"""Half a minute of everything at once: four conversations with texts, tools, photos, albums, voice
messages, documents, topics, buttons and edits, while Telegram refuses, stalls and is gone, and the
program is killed twice.

The other tests look at one thing on a calm day. Here is only what must hold of any day: every
message has its answer, exactly one, in the order of its conversation; where a copy came, the log
says that it could not be known; no tool that may not be repeated ran twice; files and photos are
those that were sent. The traffic is drawn by the number of commits, HERMES_TEST_TURN repeats it.
"""

import base64
import os
import random
import re
import time

import pytest

import depth
import telegram_models  # noqa: F401  registers its scenarios
from openai_validate import text_of
from speech import SpeechServer
from telegram_files import image
from telegram_owner import OWNER

pytestmark = pytest.mark.debug_build  # whose back-offs of minutes take seconds

FRIEND, GROUP, TOPIC = 43, -1001, 5
SLOWLY = "".join(f"w{n} " for n in range(15))
MINUTE = 60  # without a network


class Day:
    """What was said, and what must come of it."""

    def __init__(self, hermes, api, up, seed):
        self.hermes, self.api, self.up = hermes, api, up
        self.dice, self.seed = random.Random(seed), seed
        self.count = 0
        self.asked = {}  # conversation: the names of its messages, in their order
        self.updates = {}  # name: its update
        self.photos, self.files, self.facts = {}, {}, []

    def named(self, conversation):
        name = f"t{self.count:03}"
        self.count += 1
        self.asked.setdefault(conversation, []).append(name)
        return name

    # -- what people do ---------------------------------------------------------------------------

    def text(self, chat, more="", **where):
        name = self.named((chat, where.get("message_thread_id"), where.get("user")))
        self.updates[name] = self.api.user_says(chat, name + more, **where)
        return name

    def tool(self, chat, **where):
        fact = f"fact {self.count:03}"
        self.facts.append(fact)
        return self.text(chat, f'\ncall remember {{"content": "{fact}"}}\ncall current_time {{}}',
                         **where)

    def slow(self, chat, **where):
        return self.text(chat, " slowly", **where)

    def photo(self, chat):
        name = self.named((chat, None, None))
        self.photos[name] = [image()]
        self.api.user_sends_photo(chat, self.photos[name][0], name)

    def album(self, chat):
        name = self.named((chat, None, None))
        self.photos[name] = [image() for _ in range(3)]
        self.api.user_sends_album(chat, self.photos[name], name, group=f"1337{self.count}")

    def voice(self, chat):
        self.api.user_sends_voice(chat, os.urandom(2000), self.named((chat, None, None)))

    def document(self, chat):
        name = self.named((chat, None, None))
        self.files[f"{name}.bin"] = os.urandom(5000)
        self.api.user_sends_document(chat, self.files[f"{name}.bin"], f"{name}.bin", name)

    def in_the_group(self, user=OWNER, what=None, **where):
        (what or self.text)(GROUP, user=user, kind="supergroup", name=f"U{user}", **where)

    def in_the_topic(self, what=None):
        name = (what or self.text)(GROUP, kind="supergroup", user=FRIEND, name="U",
                                   message_thread_id=TOPIC, is_topic_message=True)
        return name

    def something(self):
        """One message, of any kind, in any chat."""
        chat = self.dice.choice([OWNER, FRIEND])
        self.dice.choice([
            lambda: self.text(chat), lambda: self.tool(chat), lambda: self.slow(chat),
            lambda: self.photo(chat), lambda: self.album(chat), lambda: self.voice(chat),
            lambda: self.document(chat), self.in_the_group, self.in_the_topic,
            lambda: self.text(chat, message_thread_id=TOPIC, is_topic_message=True),
            lambda: self.in_the_group(FRIEND, self.tool),
            lambda: self.in_the_topic(self.slow)])()

    def edit(self, name):
        """Another text for a message that has its answer: a message of its own."""
        update = self.updates[name]
        self.api.user_edits(update, self.named((update["message"]["chat"]["id"], None, None)))

    # -- what came of it --------------------------------------------------------------------------

    def answer(self, name):
        """Everything in the chats that names that message."""
        return [m for chat in (OWNER, FRIEND, GROUP) for m in self.api.messages(chat)
                if re.search(rf"\bdone with .*{name}\b", m.text)]

    def wait_answers(self, names=None, seconds=60):
        wanted = names or [name for names in self.asked.values() for name in names]
        assert self.api.wait_for(lambda: all(map(self.answer, wanted)), seconds), self.story(
            f"no answer to {[n for n in wanted if not self.answer(n)]}")

    def story(self, sentence):
        texts = {chat: self.api.texts(chat) for chat in (OWNER, FRIEND, GROUP)}
        return f"{sentence}; HERMES_TEST_TURN={self.seed}; asked {self.asked}; {texts}; " \
               f"{self.api.story(80)}"

    def holds(self, uncertain):
        """No answer is missing, twice or out of order."""
        others = [m.text for chat in (OWNER, FRIEND, GROUP) for m in self.api.messages(chat)
                  if "done with " not in m.text]
        copies = [text for text in others if "write_file" in text][2:]  # it is asked, and decided
        for text in (t for t in others if "write_file" not in t):
            assert SLOWLY.startswith(text), self.story(f"odd: {text!r}")
            copies.append(text)  # a beginning whose number nobody learnt
        for (chat, thread, user), names in self.asked.items():
            firsts = [self.answer(name) for name in names]
            copies += [m.text for found in firsts for m in found[1:]]
            ids = [found[0].id for found in firsts]
            assert ids == sorted(ids), self.story(f"out of order in {chat}: {names}, {ids}")
            for message in (m for found in firsts for m in found):
                assert message.chat == chat, self.story(f"in another chat: {message.text}")
                assert message.edits or message.params.get("message_thread_id") == thread, \
                    self.story(f"in another topic: {message.text}")
        assert len(copies) <= uncertain, self.story(
            f"said twice: {copies}, and the log tells of {uncertain}")

    def effects_hold(self):
        path, = [p for p in self.hermes.databases() if p.name == "state.db"]
        told = self.hermes.sql(
            "print(db.execute('PRAGMA integrity_check').fetchone()[0])\n"
            "def count(what): print(db.execute('SELECT count(*) FROM ' + what).fetchone()[0])\n"
            "count('turns WHERE ended_ms IS NULL')\n"
            "count(\"outbox WHERE state IN ('open', 'pending')\")\n"
            "for row in db.execute('SELECT content FROM memory'): print(row[0])", path).split("\n")
        assert told[:3] == ["ok", "0", "0"], told
        known = "\n".join(told[3:]) + "".join(
            p.read_text() for p in (self.hermes.home / "memories").glob("*.md"))
        assert all(known.count(fact) <= 1 for fact in self.facts), f"remembered twice: {known}"
        inbox = self.hermes.workspace / "inbox"
        assert {p.name: p.read_bytes() for p in inbox.iterdir()} == self.files
        for name, photos in self.photos.items():
            assert self.shown(name) == photos, f"other photos with {name}"

    def shown(self, name):
        """The images that the model got with that message."""
        message = next(m for r in self.up.requests for m in r.messages
                       if m["role"] == "user" and name in text_of(m))
        assert isinstance(message["content"], list), f"not shown: {message}"
        return [base64.b64decode(p["image_url"]["url"].split(";base64,")[1])
                for p in message["content"] if p["type"] == "image_url"]


@pytest.fixture
def day(hermes, api, up):
    hermes.use_telegram(api, users=f"{OWNER},{FRIEND}")
    api.chats.pace = None  # a process that was killed does not know what it sent
    hermes.environment.update(MY_KEY=up.api_key, HERMES_MODEL="asked")
    with SpeechServer() as speech:
        hermes.put("config.yaml", f"""model_list:
  - model_name: asked
    litellm_params: {{model: openai/chain, api_base: "{up.base_url}", api_key: os.environ/MY_KEY}}
    model_info: {{supports_vision: true}}
telegram: {{allowed_chats: [{GROUP}]}}
stt: {{base_url: '{speech.url}', api_key: my-speech-key}}
display: {{busy_input_mode: queue}}
approvals: {{mode: manual}}
streaming: {{edit_interval: 300ms}}
""")
        yield Day(hermes, api, up, depth.commits())


def a_morning(day):
    """Telegram has its troubles, and everybody gets an answer."""
    api = day.api
    api.fault("getUpdates", "409")
    api.fault("getUpdates", "502", times=2)
    api.fault("sendMessage", "429", retry_after=1)
    api.fault("sendMessage", "502", chat=FRIEND)
    api.fault("download", "500")
    first = day.text(OWNER)
    day.in_the_topic()
    for _ in range(5):
        day.something()
    day.wait_answers([first])
    day.edit(first)


def a_kill(day, daemon):
    """With an answer growing, a question open, photos on their way, and more while it is dead."""
    api = day.api
    api.fault("editMessageText", "429", times=2, retry_after=1)
    api.fault("download", "cut", times=2)
    day.text(FRIEND, '\ncall write_file {"path": "AGENTS.md", "content": "x"}')
    day.album(FRIEND)
    slow = day.slow(OWNER)
    day.photo(OWNER)
    question = api.wait_text(FRIEND, "write_file")
    assert api.wait_for(lambda: any(re.match(r"w0 .*w2", t) and "done" not in t
                                    for t in api.texts(OWNER)) or day.answer(slow))
    daemon.kill()
    day.tool(FRIEND)
    for _ in range(3):
        day.something()
    daemon.start()
    return question


def an_outage(day, daemon):
    """Minutes without a network, a kill in them, and one whose network stays away at first."""
    day.slow(OWNER)
    day.tool(FRIEND)
    day.in_the_group(OWNER, day.slow)
    time.sleep(day.dice.uniform(0.2, 1.5))
    day.api.down()
    for _ in range(3):
        day.something()
    day.hermes.sleep_through(MINUTE / 2)
    assert daemon.running and daemon.get("/readyz")[0] == 200
    daemon.kill()
    daemon.start()
    day.hermes.sleep_through(MINUTE / 2)
    day.api.up()


def an_evening(day):
    api = day.api
    api.fault("sendMessage", "cut-after")
    api.fault("sendMessage", "429", times=2, chat=GROUP, retry_after=2)
    api.fault("editMessageText", "502")
    api.fault("getUpdates", "cut-after")
    api.fault("getFile", "429", retry_after=1)
    for what in day.photo, day.document, day.voice:
        what(day.dice.choice([OWNER, FRIEND]))
    day.in_the_group(FRIEND)
    for _ in range(3):
        day.something()


def test_everything_at_once(day, api, service):
    daemon = service()
    a_morning(day)
    question = a_kill(day, daemon)
    api.user_presses(question, "✅ Approve")
    an_outage(day, daemon)
    an_evening(day)
    day.wait_answers()
    api.wait_quiet(1.5)
    day.holds(len(daemon.events("telegram.uncertain")))
    assert (day.hermes.workspace / "AGENTS.md").read_text() == "x"
    daemon.stop()
    day.effects_hold()
