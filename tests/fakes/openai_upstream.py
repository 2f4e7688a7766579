#!/usr/bin/env python3
"""An OpenAI-compatible upstream that checks what it gets like a picky provider, and misbehaves.

    with Upstream() as up:
        run_something(base_url=up.base_url, key=up.api_key, model="hang-mid")
        assert up.requests[0].json["stream"] is True

The model's name selects the scenario (openai_scenarios.py, openai_faults.py, openai_excess.py); a
vendor in front ("fake/echo") is ignored, a number behind a colon ("429:3", "million-deltas:5000")
is its argument.
A request that a picky provider would refuse gets a 400 and stands in `.rejected`; tests assert that
this list is empty. As a program: `openai_upstream.py [--port N] [--tls]` prints its URL and logs.
"""

import argparse
import dataclasses
import os
import pathlib
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import openai_excess  # noqa: E402,F401  registers its scenarios
import openai_faults  # noqa: E402,F401  registers its scenarios
import openai_validate as validate  # noqa: E402
import tls_files  # noqa: E402
from http_conn import ClientLeft, Conn, Stopped  # noqa: E402
from openai_others import OTHERS  # noqa: E402
from openai_scenarios import SCENARIOS, Turn, error_object  # noqa: E402

API_KEY = "sk-fake-4f1d9be27c604a35b8e0d1c2"


@dataclasses.dataclass
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict  # lower-case names; a repeated field's values joined by ", "
    fields: list  # [(name, value)] as sent
    connection: int  # which accepted connection, counted from 1
    time: float  # time.monotonic() when the head was complete
    body: bytes = b""
    json: dict | None = None
    problem: str | None = None  # why it was refused, if it was
    ended: float | None = None  # when the answer was complete
    left: float | None = None  # when the client left before that

    @property
    def model(self):
        return (self.json or {}).get("model")

    @property
    def messages(self):
        return (self.json or {}).get("messages", [])


class Upstream:
    """The server, in threads of this process. `tls` is False, True or a kind of tls_files.KINDS;
    `tune` may change its ssl.SSLContext; `listener` is one that listens already."""

    def __init__(self, tls=False, port=0, api_key=API_KEY, prefix="/v1", host="127.0.0.1",
                 tune=lambda context: None, listener=None):
        self.tls = "good" if tls is True else tls
        self.tune = tune
        self.api_key, self.prefix, self.host = api_key, prefix, host
        self.wanted_port, self._given = port, listener
        self.requests, self.disconnects, self.rejected, self.problems = [], [], [], []
        self.connections = 0
        self.release = threading.Event()
        self.redirect_to = "http://127.0.0.1:9/v1/chat/completions"
        # What OpenRouter tells afterwards of an answer: generation(id, times it was asked for)
        # gives status and body, an object or the text itself.
        self.generation = lambda identity, times: (404, error_object(404, "Generation not found"))
        self.generations_asked = []
        # What OpenRouter publishes of its models: prices(times asked) gives status and body.
        self.prices = None
        self.prices_asked = 0
        self.log = None
        self._lock = threading.Lock()
        self._open = set()
        self._threads = []

    # -- life -------------------------------------------------------------------------------------

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self._stop_read, self._stop_write = os.pipe()
        self._context = self._tls_context() if self.tls else None
        self._listener = self._given or socket.create_server((self.host, self.wanted_port),
                                                             backlog=256)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def _tls_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls_files.leaf(self.tls))
        context.set_alpn_protocols(["http/1.1"])
        self.tune(context)
        return context

    def stop(self):
        os.write(self._stop_write, b"x")
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            still_open = list(self._open)
        for sock in still_open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(5)
        if not any(thread.is_alive() for thread in self._threads):
            os.close(self._stop_read)
            os.close(self._stop_write)

    @property
    def base_url(self):
        return self.url_for(self.host)

    def url_for(self, name):
        """The base URL under another name, e.g. fake.test, which the certificate covers too."""
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}{self.prefix}"

    @property
    def ca_file(self):
        return tls_files.ca_file() if self.tls else None

    def count(self, model):
        """How many valid requests for this model have come."""
        with self._lock:
            return sum(1 for r in self.requests if r.model == model and r.problem is None)

    def wait_for(self, condition, seconds=60):
        """Until condition() is true; False when it never was."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    # -- connections ------------------------------------------------------------------------------

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock, self.connections),
                                      daemon=True)
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]
            thread.start()

    def _serve(self, sock, number):
        with self._lock:
            self._open.add(sock)
        raw = sock
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                sock.settimeout(30)
                sock = self._context.wrap_socket(sock, server_side=True)
                sock.settimeout(None)
            conn = Conn(sock, self._stop_read)
            while self._one_request(conn, number):
                pass
        except (OSError, ssl.SSLError, ClientLeft, Stopped) as problem:
            self.problems.append(f"connection {number}: {problem!r}")
        except ValueError as problem:
            self.rejected.append(f"connection {number}: broken HTTP: {problem}")
        finally:
            with self._lock:
                self._open.discard(raw)
            try:
                sock.close()
            except OSError:
                pass

    def before_body(self, conn, headers):
        """For who wants to break the connection before all of a body has come."""

    def _one_request(self, conn, number):
        head = conn.read_head()
        if head is None:
            return False
        method, path, fields = head
        headers = {}
        for name, value in fields:
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        request = Request(method, path, headers, fields, number, time.monotonic())
        self.before_body(conn, headers)
        if conn.sock.fileno() < 0:
            return False
        request.body = conn.read_body(headers)
        with self._lock:
            self.requests.append(request)
        try:
            self._answer(conn, request)
            request.ended = time.monotonic()
        except (OSError, ClientLeft):
            request.left = time.monotonic()
            with self._lock:
                self.disconnects.append(request)
            return False
        except Stopped:
            return False
        finally:
            self._log(request)
        return conn.sock.fileno() >= 0 and headers.get("connection", "").lower() != "close"

    def _log(self, request):
        if self.log:
            how = request.problem or ("client left" if request.left else "answered")
            print(f"{request.method} {request.path} {request.model or ''}: {how}",
                  file=self.log, flush=True)

    # -- requests ---------------------------------------------------------------------------------

    def _answer(self, conn, request):
        if request.headers.get("authorization") != f"Bearer {self.api_key}" and self.api_key:
            request.problem = "wrong key"
            conn.answer(401, error_object(401, "No auth credentials found"))
        elif request.method == "GET" and request.path == f"{self.prefix}/models" and self.prices:
            with self._lock:
                self.prices_asked += 1
                times = self.prices_asked
            conn.answer(*self.prices(times))
        elif request.method == "GET" and request.path == f"{self.prefix}/models":
            conn.answer(200, {"object": "list", "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "fake"}
                for name in sorted(SCENARIOS)]})
        elif request.method == "GET" and request.path == f"{self.prefix}/key":
            conn.answer(200, {"data": {"label": "sk-fake…", "limit": None, "usage": 0.5,
                                       "limit_remaining": None, "is_free_tier": True}})
        elif request.method == "GET" and request.path.startswith(f"{self.prefix}/generation?id="):
            identity = urllib.parse.unquote(request.path.partition("?id=")[2])
            with self._lock:
                self.generations_asked.append(identity)
                times = self.generations_asked.count(identity)
            conn.answer(*self.generation(identity, times))
        elif request.method == "POST" and request.path == f"{self.prefix}/chat/completions":
            self._play(conn, request, validate.check_request, Turn)
        elif request.method == "POST" and request.path.removeprefix(f"{self.prefix}/") in OTHERS:
            self._play(conn, request, *OTHERS[request.path.removeprefix(f"{self.prefix}/")])
        else:
            self._refuse(conn, request, 404, f"no such path: {request.method} {request.path}")

    def _play(self, conn, request, check, turn):
        try:
            request.json = check(request.body, request.headers)
        except validate.Refused as problem:
            self._refuse(conn, request, 400, str(problem), problem.param)
            return
        name, _, argument = request.json["model"].rpartition("/")[2].partition(":")
        if name not in SCENARIOS:
            self._refuse(conn, request, 404, f"The model '{name}' does not exist", "model")
            return
        argument = argument if argument.replace(".", "", 1).isdigit() else None
        SCENARIOS[name](turn(self, conn, request, argument))

    def _refuse(self, conn, request, status, message, param=None):
        request.problem = message
        self.rejected.append(message)
        conn.answer(status, {"error": {"message": message, "type": "invalid_request_error",
                                       "param": param, "code": None}})

    def refused(self, turn, message, array=False):
        """A scenario's own refusal of a history that only its provider is picky about."""
        turn.request.problem = message
        self.rejected.append(message)
        error = {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}
        turn.conn.answer(400, [error] if array else error)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls", nargs="?", const="good", choices=tls_files.KINDS, default=False)
    parser.add_argument("--key", default=API_KEY, help="the key to ask for; '' for any")
    parser.add_argument("--quiet", action="store_true", help="do not log requests")
    options = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Upstream(options.tls, options.port, options.key, host=options.host) as upstream:
        upstream.log = None if options.quiet else sys.stderr
        print(f"OPENAI_BASE_URL={upstream.base_url}")
        print(f"OPENAI_API_KEY={upstream.api_key}")
        if upstream.ca_file:
            print(f"SSL_CERT_FILE={upstream.ca_file}")
        sys.stdout.flush()
        done.wait()


if __name__ == "__main__":
    main()
