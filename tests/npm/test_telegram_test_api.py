"""A second opinion on the Bot API: telegram-test-api, which others test their bots with.

Our own fake was written by those who wrote the bot; this one was not. It is less strict and less
complete (it does not know sendChatAction, never holds a getUpdates, answers an edit with null), and
that is just what makes it worth asking.
"""

import json
import os
import pathlib
import subprocess
import time

import pytest
from ports import free_port

HERE = pathlib.Path(__file__).resolve().parent
TOKEN = "7000000002:AAOtherOtherOtherOtherOtherOther42"
OWNER = 42


class Bridge:
    """The server in its own process, and the user's side of it."""

    def __init__(self, packages):
        self.port = free_port()
        environment = {**os.environ, "NODE_PATH": str(packages / "node_modules")}
        self.child = subprocess.Popen(
            ["node", HERE / "bridge.js", str(self.port), TOKEN], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert json.loads(self.child.stdout.readline())["ready"]

    def ask(self, op, **more):
        self.child.stdin.write(json.dumps({"op": op, "chat": OWNER, **more}) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        assert "error" not in answer, answer
        return answer["result"]

    def texts(self):
        """What the bot has said, as it stands now."""
        return [m["message"]["text"] for m in self.ask("history")
                if str(m["message"].get("chat_id")) == str(OWNER)]

    def wait(self, text, seconds=30):
        until = time.monotonic() + seconds
        while not any(text in told for told in self.texts()):
            assert time.monotonic() < until, f"no {text!r} in {self.texts()}"
            time.sleep(0.1)
        return self.texts()

    def stop(self):
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@pytest.fixture
def bridge(packages):
    running = Bridge(packages)
    yield running
    running.stop()


@pytest.fixture
def bot(hermes, bridge, service):
    hermes.environment.update(TELEGRAM_BOT_TOKEN=TOKEN, TELEGRAM_ALLOWED_USERS=str(OWNER),
                              TELEGRAM_API_BASE=f"http://127.0.0.1:{bridge.port}")
    return service()


def test_a_message_in_and_an_answer_out(bot, bridge):
    bridge.ask("say", text="hi")
    assert "offline model" in bridge.wait("Hello")[0]


def test_a_command(bot, bridge):
    bridge.ask("command", text="/help")
    assert "new" in bridge.wait("/new")[0]


def test_tools_and_a_restart(bot, bridge):
    bridge.ask("say", text="write a: kept")
    bridge.wait("bytes to a")
    bot.stop()
    bridge.ask("say", text="read a")
    bot.start()
    texts = bridge.wait("kept")
    assert len(texts) == 2, texts


def test_a_server_that_never_holds_a_poll_is_not_hammered(bot, bridge):
    bridge.ask("say", text="hi")
    bridge.wait("Hello")
    before = bridge.ask("polls")
    time.sleep(5)
    assert bridge.ask("polls") - before <= 25, "an empty answer that comes at once is asked again"


def test_the_token_is_not_logged(bot, bridge):
    bridge.ask("say", text="hi")
    bridge.wait("Hello")
    result = bot.stop()
    secret = TOKEN.split(":")[1]
    assert secret not in bot.log_text and secret.encode() not in result.err
