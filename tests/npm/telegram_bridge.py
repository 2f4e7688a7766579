"""telegram-test-api in its own process, and the user's side of it (bridge.js)."""

import json
import os
import pathlib
import subprocess
import time

import telegram_markdown
from ports import free_port

HERE = pathlib.Path(__file__).resolve().parent
TOKEN = "7000000002:AAOtherOtherOtherOtherOtherOther42"
OWNER, FRIEND = 42, 43
QUIET = 0.8  # seconds


def shown(message):
    """As a person would see it: the package reads no markup, and takes what Telegram would not."""
    if message.get("parse_mode") != "MarkdownV2":
        return message["text"]
    return telegram_markdown.parse(message["text"])[0]


class Bridge:
    def __init__(self, packages):
        self.port, self.exact_port = free_port(), free_port()
        environment = {**os.environ, "NODE_PATH": str(packages / "node_modules")}
        self.child = subprocess.Popen(
            ["node", HERE / "bridge.js", str(self.port), TOKEN, str(self.exact_port)],
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert json.loads(self.child.stdout.readline())["ready"]

    def ask(self, op, chat=OWNER, **more):
        self.child.stdin.write(json.dumps({"op": op, "chat": chat, **more}) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        assert "error" not in answer, answer
        return answer.get("result")

    def messages(self, chat=OWNER):
        """The bot's, as they stand now: what it sent last, and the message's id. What users did is
        in the same history, and a press of a button is no message."""
        return [{**m["message"], "message_id": m["messageId"]} for m in self.ask("history")
                if str(m.get("message", {}).get("chat_id")) == str(chat)]

    def texts(self, chat=OWNER):
        return [shown(m) for m in self.messages(chat)]

    def calls(self, method):
        """The HTTP status of each call, None where nobody waited for it."""
        return [c["status"] for c in self.ask("calls") if c["method"] == method]

    def wait(self, text, chat=OWNER, seconds=30, after=0):
        """The bot's texts once one of them, not counting the first `after`, holds that."""
        until = time.monotonic() + seconds
        while not any(text in told for told in self.texts(chat)[after:]):
            assert time.monotonic() < until, f"no {text!r} in {self.texts(chat)}"
            time.sleep(0.05)
        return self.texts(chat)

    def settled(self, count, chat=OWNER, seconds=30):
        """The bot's texts once there are so many, and nothing but polling happens any more."""
        until = time.monotonic() + seconds
        while len(self.texts(chat)) < count:
            assert time.monotonic() < until, f"fewer than {count}: {self.texts(chat)}"
            time.sleep(0.05)
        before, since = None, time.monotonic()
        while time.monotonic() < since + QUIET:
            now = [c for c in self.ask("calls") if c["method"] != "getUpdates"]
            before, since = now, since if now == before else time.monotonic()
            assert time.monotonic() < until, f"never quiet: {now[-20:]}"
            time.sleep(0.05)
        found = self.texts(chat)
        assert len(found) == count, found
        return found

    def stop(self):
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
