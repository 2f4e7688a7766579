"""A program that asks the agent's API, and reads what comes as it comes."""

import http.client
import json
import re
import time

from harness import comes_true

KEY = "api-key-of-the-test"


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, dict(response.getheaders())
        self.body = response.read()
        self.session = self.headers.get("X-Hermes-Session-Id")

    @property
    def json(self):
        return json.loads(self.body)

    def ok(self, status=200):
        assert self.status == status, (self.status, self.body[:2000])
        return self.json

    def refused(self, status, *patterns):
        """In OpenAI's shape, with a sentence."""
        assert self.status == status, (self.status, self.body[:2000])
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        for pattern in patterns:
            assert re.search(pattern, error["message"], re.I), (pattern, error)
        return error


class Stream:
    """Server-sent events, one at a time: (type, data)."""

    def __init__(self, conn, response):
        self.conn, self.response = conn, response
        self.session = response.getheader("X-Hermes-Session-Id")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def leave(self):
        """As a program that is killed."""
        self.response.close()
        self.conn.close()

    def __iter__(self):
        kind, data = "", []
        while line := self.response.readline():
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                kind = text[7:]
            elif text.startswith("data: "):
                data.append(text[6:])
            elif not text and data:
                yield kind, "\n".join(data)
                kind, data = "", []

    def events(self):
        """All that follow, each with its object."""
        return [(kind, data if data == "[DONE]" else json.loads(data)) for kind, data in self]

    def until(self, text):
        """Reads until an event holds this."""
        for kind, data in self:
            if text in data:
                return kind, data
        raise AssertionError(f"the stream ended without {text!r}")


class Api:
    def __init__(self, running, key=KEY):
        def found():
            return re.search(rb"\bapi: http://127\.0\.0\.1:(\d+)", running.process.out)
        assert comes_true(found), running.process.out
        self.port, self.key = int(found().group(1)), key

    def _ask(self, method, path, body, headers, timeout):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        conn.request(method, path, body, {**sent, **headers})
        return conn, conn.getresponse()

    def ask(self, method, path, body=None, timeout=60, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        conn, response = self._ask(method, path, body, headers, timeout)
        try:
            return Answer(response)
        finally:
            conn.close()

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, **headers)

    def stream(self, path, body=None, method="POST", timeout=60, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            body = {**body, "stream": True}
        conn, response = self._ask(method, path, body, headers, timeout)
        assert response.status == 200, response.read()
        return Stream(conn, response)

    # -- the formats ------------------------------------------------------------------------------

    def chat(self, *messages, session=None, **more):
        """What the user and the agent said in turn, the last of it the question."""
        given = [m if isinstance(m, dict) else
                 {"role": "assistant" if n % 2 else "user", "content": m}
                 for n, m in enumerate(messages)]
        headers = {"X_Hermes_Session_Id": session} if session else {}
        return self.post("/v1/chat/completions",
                         {"model": "hermes-agent", "messages": given, **more}, **headers)

    def until(self, path, state, seconds=60):
        """A run or a response, once it is in this state."""
        end = time.monotonic() + seconds
        while (found := self.get(path).ok())["status"] != state:
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return found


def text_of(answer):
    choice, = answer.ok()["choices"]
    assert choice["message"]["role"] == "assistant" and choice["finish_reason"] == "stop"
    return choice["message"]["content"]


def text_of_chunks(events):
    return "".join(chunk["choices"][0]["delta"].get("content", "") for kind, chunk in events
                   if chunk != "[DONE]" and kind == "" and chunk["choices"])
