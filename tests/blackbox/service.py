"""`hermes run` as its supervisor sees it: started, looked at, ended, and started again.

One Service is one home over several processes, because what a stop leaves behind is half of what a
daemon is tested for.
"""

import http.client
import json
import re
import signal
import time


class Service:
    def __init__(self, hermes, args=(), env=None, wrapper=(), limit=600):
        self.hermes, self.args, self.env, self.wrapper = hermes, args, env, wrapper
        self.limit, self.process, self.port = limit, None, None
        self.starts = 0

    # -- life -------------------------------------------------------------------------------------

    def start(self, wait=True, **more):
        """`wait`: until it is ready. `more` goes to Hermes.start(), over what was given before."""
        given = {"env": self.env, "wrapper": self.wrapper, "limit": self.limit, **more}
        self.process = self.hermes.start("run", "--port", "0", *self.args, **given)
        self.starts += 1
        if wait:
            self.wait_ready()
        return self

    def restart(self, **more):
        return self.start(**more)

    def stop(self, limit=20):
        """As systemd does; the Result."""
        self.process.signal(signal.SIGTERM)
        return self.process.finish(limit).exits(0)

    def kill(self):
        """As the power does."""
        if self.process:
            self.process.kill()
        return self

    @property
    def running(self):
        return self.process is not None and self.process.popen.poll() is None

    # -- the admin listener -----------------------------------------------------------------------

    def wait_ready(self, limit=60):
        until = time.monotonic() + limit
        while not (found := re.search(rb"admin: http://127\.0\.0\.1:(\d+)",
                                      self.process.out + self.process.err)):
            self._still(until, "its port")
        self.port = int(found.group(1))
        while self.get("/readyz")[0] != 200:
            self._still(until, "that it is ready")

    def _still(self, until, what):
        assert self.running and time.monotonic() < until, \
            f"never said {what}: {self.process.out!r} {self.process.err!r}"
        time.sleep(0.005)

    def get(self, path, **headers):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            conn.request("GET", path, headers=headers)
            answer = conn.getresponse()
            return answer.status, answer.read().decode()
        finally:
            conn.close()

    # -- what it wrote ----------------------------------------------------------------------------

    @property
    def log_text(self):
        folder = self.hermes.home / "logs"
        if not folder.is_dir():
            return ""
        names = sorted(folder.glob("gateway.log*"), reverse=True)  # the oldest has the last number
        return "".join(name.read_text("utf-8", "replace") for name in names)

    def events(self, name=None):
        """The events of logs/gateway.log, each line an object."""
        found = [json.loads(line) for line in self.log_text.splitlines() if line.endswith("}")]
        return [event for event in found if name in (None, event.get("event"))]

    def wait_event(self, name, seconds=60):
        until = time.monotonic() + seconds
        while not (found := self.events(name)):
            assert time.monotonic() < until, f"no {name} in the log: {self.log_text[-3000:]}"
            time.sleep(0.02)
        return found[0]

    def said(self, pattern, seconds=0):
        """Does the log or standard error hold this, or does it soon?"""
        until = time.monotonic() + seconds
        while True:
            text = self.log_text + self.process.err.decode("utf-8", "replace")
            if re.search(pattern, text, re.I) or time.monotonic() >= until:
                return re.search(pattern, text, re.I)
            time.sleep(0.02)
