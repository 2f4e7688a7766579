"""A home whose daemon is killed after its n-th state-changing system call (killer.py)."""

import pathlib
import sys
import time

from harness import SANITIZER_EXIT, directory
from openai_upstream import Upstream
from service import Service
from telegram_api import TelegramApi

KILLER = pathlib.Path(__file__).with_name("killer.py")
QUIET = 0.3  # seconds
PATIENCE = 60  # seconds for one case


class KillCase:
    """One home, killed at one moment (or two), and what must hold of it afterwards.

    A case says what is in the home (_prepare), what is asked of the daemon that is killed (_ask),
    when all is said (_is_over), and what holds then (_holds).
    """

    chat = None  # whose texts tell how far it came

    def __init__(self, binary, moments):
        self.binary, self.moments, self.counts = binary, moments, []

    def run(self):
        """Why it failed, or None."""
        with directory("hermes-kill-") as path, TelegramApi() as api, Upstream() as up:
            self.api = api
            self._prepare(path, up)
            try:
                self._lives(path)
                self._holds()
                self.hermes.finish()
            except AssertionError as problem:
                return f"killed after {self.moments}: {problem}"
            finally:
                for process in self.hermes.processes:
                    process.kill()
        return None

    def _ask(self, killed):
        pass

    def _lives(self, path):
        for moment in self.moments:
            report = path / "report"
            report.unlink(missing_ok=True)
            killed = Service(self.hermes, wrapper=[sys.executable, str(KILLER), str(moment),
                                                   str(report), "--"])
            killed.start(wait=False)
            self._ask(killed)
            self._until(lambda: not killed.running or self._is_over())
            if killed.running:
                time.sleep(QUIET)
                killed.process.signal(15)
            until = time.monotonic() + 20
            while killed.running and time.monotonic() < until:
                time.sleep(0.01)
            assert killed.process.popen.poll() != SANITIZER_EXIT, killed.process.err
            killed.kill()
            self.counts.append(int((report.read_text().split() or [0])[0])
                               if report.exists() else 0)
        self.last = Service(self.hermes)
        self.last.start()
        self._until(self._is_over)
        time.sleep(QUIET)
        self.last.stop()

    def _until(self, condition):
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, \
                f"{self.api.texts(self.chat)} after {PATIENCE} s; {self.api.story()}; " \
                f"{[p.err[-1000:] for p in self.hermes.processes]}"
            time.sleep(0.01)
