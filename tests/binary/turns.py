"""Many turns in one daemon, as fast as it takes them: over its control socket.

Telegram would do for it what it does for a person, one message a second and chat; the socket in the
home has no such manners, and leads to the same dispatcher, the same turns and the same store.
"""

import http.client
import json
import pathlib
import socket
import time

ANSWER_SECONDS = 60


class Turns(http.client.HTTPConnection):
    """A connection to the daemon that owns a home; it stays open from turn to turn."""

    def __init__(self, home, wait_seconds=15):
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self.path = str(pathlib.Path(home) / "hermes.sock")
        self.count = 0
        until = time.monotonic() + wait_seconds
        while not pathlib.Path(self.path).is_socket():
            if time.monotonic() > until:
                raise TimeoutError(f"no daemon at {self.path}")
            time.sleep(0.005)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def say(self, chat, text):
        """The answer; anything but one is an error."""
        self.request("POST", f"/chat?chat={chat}", body=text.encode())
        answer = self.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"turn {self.count + 1}: {answer.status} {body}")
        end = json.loads(body.rpartition("event: end\ndata: ")[2].split("\n", 1)[0] or "{}")
        if end.get("state") != "done":
            raise RuntimeError(f"turn {self.count + 1} was not done: {body}")
        self.count += 1
        return end["text"]

    def go_on_to(self, count, chats):
        """Turns, one chat after the other, until there have been so many."""
        while self.count < count:
            text = f"number {self.count + 1}"
            answer = self.say(f"c{self.count % chats}", text)
            if text not in answer:
                raise RuntimeError(f"{text!r} was answered with {answer!r}")
