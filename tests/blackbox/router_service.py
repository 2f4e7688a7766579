"""`hermes router` as other programs see it: started with a LiteLLM configuration, asked over HTTP.

    router = Router(hermes, up).start({"free": ["429"], "free2": ["echo"]},
                                      fallbacks=[{"free": ["free2"]}])
    answer = router.ask(model="free")
"""

import contextlib
import http.client
import json
import re
import signal
import socket
import time

import home_socket

MASTER_KEY = "sk-master-0123456789abcdef"
MESSAGES = [{"role": "user", "content": "hello"}]


class Answer:
    """One answer, read to its end. `cut`: the connection broke before that."""

    def __init__(self, status, headers, body, cut):
        self.status, self.headers, self.body, self.cut = status, headers, body, cut

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    @property
    def events(self):
        """The data of the stream's events, as JSON where it is any."""
        found = []
        for block in re.split(rb"\r?\n\r?\n", self.body):
            lines = [line[5:].lstrip() for line in re.split(rb"\r?\n", block)
                     if line.startswith(b"data:")]
            if lines:
                text = b"\n".join(lines).decode()
                found.append(text if text == "[DONE]" else json.loads(text))
        return found

    @property
    def text(self):
        """What the model said, of an answer of either kind."""
        if not self.headers.get("content-type", "").startswith("text/event-stream"):
            return self.json["choices"][0]["message"]["content"]
        chunks = [event for event in self.events if isinstance(event, dict)]
        return "".join((choice.get("delta") or {}).get("content") or ""
                       for chunk in chunks for choice in chunk.get("choices") or [])

    @property
    def whole(self):
        return not self.cut and self.events[-1:] == ["[DONE]"]


class Router:
    def __init__(self, hermes, up):
        self.hermes, self.up, self.process, self.port = hermes, up, None, None
        self.connect = socket.create_connection     # (address, timeout, source)

    def deployment(self, model, **more):
        """An entry of model_list: `model` is a scenario of the fake upstream."""
        params = {"model": f"openai/{model}", "api_base": self.up.base_url,
                  "api_key": self.up.api_key, **more}
        return params

    def config(self, groups, *, router=None, litellm=None, own=None, general=None,
               **router_settings):
        entries = []
        for name, models in groups.items():
            for model in models:
                params = model if isinstance(model, dict) else self.deployment(model)
                info = params.pop("model_info", None)
                entry = {"model_name": name, "litellm_params": params}
                entries.append({**entry, "model_info": info} if info else entry)
        config = {"model_list": entries,
                  "router_settings": {"num_retries": 0, **router_settings, **(router or {})},
                  "general_settings": {"master_key": MASTER_KEY, **(general or {})}}
        if litellm:
            config["litellm_settings"] = litellm
        if own:
            config["router"] = own
        return config

    def write(self, groups, **more):
        self.hermes.put("router.yaml", json.dumps(self.config(groups, **more), indent=1))

    def start(self, groups, **more):
        self.write(groups, **more)
        return self.restart()

    def restart(self, **more):
        self.process = self.hermes.start("router", "--config", self.hermes.home / "router.yaml",
                                         "--port", "0", **{"limit": 600, **more})
        until = time.monotonic() + 20
        while not (found := re.search(rb"router: http://127\.0\.0\.1:(\d+)", self.process.out)):
            assert self.process.popen.poll() is None and time.monotonic() < until, \
                f"never said its port: {self.process.out!r} {self.process.err!r}"
            time.sleep(0.005)
        self.port = int(found.group(1))
        return self

    def reload(self):
        seen = self.process.err.count(b"was reloaded")
        self.process.signal(signal.SIGHUP)
        assert self.up.wait_for(lambda: self.process.err.count(b"was reloaded") > seen), \
            self.process.err

    def stop(self):
        self.process.signal(signal.SIGTERM)
        return self.process.finish(20).exits(0)

    def kill(self):
        if self.process:
            self.process.kill()

    # -- asking -----------------------------------------------------------------------------------

    def headers(self, **more):
        return {"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json", **more}

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection._create_connection = self.connect
        with contextlib.closing(connection):
            connection.request(method, path, body, self.headers() if headers is None else headers)
            return read(connection.getresponse())

    def ask(self, model="free", stream=False, path="/v1/chat/completions", headers=None, **more):
        body = {"model": model, "messages": MESSAGES, **({"stream": True} if stream else {}),
                **more}
        return self.request("POST", path, json.dumps(body),
                            self.headers(**headers) if headers else None)

    @contextlib.contextmanager
    def open(self, model="free", headers=None, stream=True, **more):
        """A socket on which a request was sent, streaming unless said, and nothing read."""
        body = json.dumps({"model": model, "messages": MESSAGES, "stream": stream, **more}).encode()
        head = [f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self.port}",
                *(f"{name}: {value}" for name, value in self.headers(**(headers or {})).items()),
                f"Content-Length: {len(body)}"]
        with self.connect(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            yield sock

    def attempts(self, call):
        """The ledger's rows of a call, by its id; they are there some time after its end."""
        until = time.monotonic() + 60
        while (told := home_socket.ask(self.hermes.home, "GET", f"/calls/{call}"))[0] != 200:
            assert time.monotonic() < until, f"{call} is not in the ledger: {told}"
            time.sleep(0.02)
        return told[1]["attempts"]

    def metrics(self):
        """{'name{labels}': value} of everything that has a value."""
        text = self.request("GET", "/metrics").body.decode()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in text.splitlines() if line and not line.startswith("#")}


def read(response):
    headers = {name.lower(): value for name, value in response.getheaders()}
    parts, cut = [], False
    try:
        while part := response.read1(65536):
            parts.append(part)
    except (http.client.IncompleteRead, ConnectionError) as problem:
        parts.append(getattr(problem, "partial", b""))
        cut = True
    return Answer(response.status, headers, b"".join(parts), cut)
