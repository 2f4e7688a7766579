"""A client of `hermes mcp serve` and of /mcp, one message at a time and as ugly as wanted."""

import http.client
import json
import queue
import time

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {},
              "clientInfo": {"name": "test", "version": "1"}}


def request(number, method, modern=True, **params):
    if modern:
        params = {**params, "_meta": {**META, **params.get("_meta", {})}}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def call(number, tool, modern=True, **arguments):
    return request(number, "tools/call", modern, name=tool, arguments=arguments)


def lines(*messages):
    return "".join(json.dumps(message) + "\n" for message in messages)


def text_of(answer):
    return answer["result"]["content"][0]["text"]


class Stdio:
    """`hermes mcp serve` as a program that runs."""

    def __init__(self, hermes, *words, **more):
        self.waiting, self.seen, self.number = queue.Queue(), [], 0
        self.process = hermes.start("mcp", "serve", *words, stdin=self._feed, **more)

    def _feed(self, pipe):
        while (text := self.waiting.get()) is not None:
            pipe.write(text)

    def send(self, message):
        text = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        self.waiting.put(text)

    def answer(self, number, limit=30):
        until = time.monotonic() + limit
        while True:
            for line in self.process.out.split(b"\n")[:-1]:
                message = json.loads(line)
                if message.get("id") == number and "method" not in message:
                    return message
            assert time.monotonic() < until and self.process.popen.poll() is None, \
                (self.process.out, self.process.err)
            time.sleep(0.01)

    def ask(self, method, **params):
        self.number += 1
        self.send(request(self.number, method, **params))
        return self.answer(self.number)

    def call(self, tool, **arguments):
        return self.ask("tools/call", name=tool, arguments=arguments)

    def close(self):
        self.waiting.put(None)
        return self.process.finish(20).ok()


class Http:
    """/mcp of the admin listener."""

    def __init__(self, port, key):
        self.port, self.key = port, key

    def open(self, message, method="POST", modern=True, host=None, **headers):
        """(the connection, its answer, of which only the head was read)"""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json",
                 "Host": host or f"127.0.0.1:{self.port}"}
        if modern and isinstance(message, dict) and "method" in message:
            params = message.get("params", {})
            given.update({"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": message["method"]})
            if name := params.get("name") or params.get("uri"):
                given["Mcp-Name"] = name
        given.update({name.replace("_", "-"): value for name, value in headers.items()})
        there = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        there.request(method, "/mcp", body if method == "POST" else None,
                      {name: value for name, value in given.items() if value is not None})
        return there, there.getresponse()

    def ask(self, message, **more):
        """(status, headers, the JSON or the text)"""
        there, answer = self.open(message, **more)
        text = answer.read().decode()
        there.close()
        try:
            return answer.status, answer.headers, json.loads(text)
        except ValueError:
            return answer.status, answer.headers, text
