"""How each of the programs of benchmarks/peers is configured, asked "hi" and watched.

All of them see the same: an empty home, a PATH with what a bare Debian has, a model and a Telegram
that are fakes on loopback, and a proxy that lets nothing out and writes down what was wanted.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

import gateways
import peer_install
from common import HOST, static_binary
from openai_upstream import Upstream
from peer_install import Failed
from processes import home, memory, with_upstream
from telegram_api import TelegramApi

QUESTION, ANSWER, MODEL = "hi", "echo: hi", "echo"
USER = 42
ONE_SHOT_SECONDS = 240
READY_SECONDS = 240
REPLY_SECONDS = 120
SAMPLE_SECONDS = 0.02
SHOWN = 300  # characters of what a failed program said


# -- the world as they see it ---------------------------------------------------------------------

class Model(Upstream):
    """The fake upstream without its pickiness: it answers what it can read."""

    def _play(self, conn, request, check, turn):
        super()._play(conn, request, lambda body, headers: json.loads(body), turn)


class Telegram(TelegramApi):
    """The fake Bot API; of a method that it does not know it says that all is well."""

    def do(self, call):
        return super().do(call) if hasattr(self, f"_{call.method}") else True


class NoWayOut:
    """A proxy that refuses everything; `wanted` has the hosts that were asked for."""

    def __enter__(self):
        self.wanted = set()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._refuse, args=(one,), daemon=True).start()

    def _refuse(self, one):
        with contextlib.suppress(OSError), one:
            one.settimeout(10)
            asked = re.match(rb"[A-Z]+ (?:https?://)?([^/:\s]+)", one.recv(4096))
            if asked:
                self.wanted.add(asked.group(1).decode(errors="replace"))
            one.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def environment(self):
        local = "127.0.0.1,localhost"
        names = ("HTTP_PROXY", "HTTPS_PROXY")
        return {**{spelt: self.url for name in names for spelt in (name, name.lower())},
                "NO_PROXY": local, "no_proxy": local}


@contextlib.contextmanager
def bare_path():
    """A folder with the commands of Debian's essential packages: programs offer more tools where
    they find node or docker, and that must not depend on the machine."""
    listed = peer_install.asked("dpkg-query", "-W", "-f=${Essential} ${Package}\\n").splitlines()
    names = [line.split()[1] for line in listed if line.startswith("yes ")]
    files = peer_install.asked("dpkg", "-L", *names).splitlines() if names else []
    with tempfile.TemporaryDirectory(prefix="hermes-bench-bin-") as folder:
        for file in files:
            if re.fullmatch(r"(/usr)?/bin/[^/]+", file) and os.access(file, os.X_OK):
                with contextlib.suppress(FileExistsError):
                    os.symlink(file, f"{folder}/{os.path.basename(file)}")
        with contextlib.suppress(FileExistsError):
            os.symlink("/bin/sh", f"{folder}/sh")
        yield folder


# -- the programs ---------------------------------------------------------------------------------

def yaml(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))  # JSON is YAML


class Hermes:
    """This project's agent."""

    name, asked, version = "Hermes, agent", "hermes chat -q hi", "?"

    def install(self):
        self.binary = str(static_binary(HOST))
        done = subprocess.run([self.binary, "--version"], capture_output=True, text=True,
                              timeout=60)
        self.version = done.stdout.split()[1] if done.stdout else "?"
        size = os.stat(self.binary).st_size
        return {"bytes": size, "files": 1}

    def one_shot(self, base, model):
        return [self.binary, "chat", "-q", QUESTION], with_upstream(base, model, MODEL)

    def service(self, base, model, telegram):
        return [self.binary, "run", "--port", "0"], {
            **with_upstream(base, model, MODEL), "TELEGRAM_BOT_TOKEN": telegram.token,
            "TELEGRAM_API_BASE": telegram.base_url, "TELEGRAM_ALLOWED_USERS": str(USER)}


class HermesAgent:
    """Asked in its leanest way: `hermes chat -q` offers the model one more tool."""

    name, asked = "hermes-agent", "hermes -z hi"
    version = peer_install.VERSIONS["hermes-agent"]

    def install(self):
        self.folder, found = peer_install.venv("hermes-agent")
        return found

    def _config(self, base, model):
        return pathlib.Path(base["HERMES_HOME"], "config.yaml"), {
            "model": {"default": MODEL, "provider": "custom", "base_url": model.base_url,
                      "api_key": model.api_key}}

    def one_shot(self, base, model):
        yaml(*self._config(base, model))
        return [f"{self.folder}/bin/hermes", "-z", QUESTION], base

    def service(self, base, model, telegram):
        path, config = self._config(base, model)
        where = f"{telegram.base_url}/bot"
        extra = {"base_url": where, "base_file_url": where}
        yaml(path, {**config, "platforms": {"telegram": {"enabled": True, "extra": extra}}})
        # It sends Telegram's calls to a proxy even if the API is on loopback, unless NO_PROXY names
        # Telegram's own host, which it has no reason to ask.
        return [f"{self.folder}/bin/hermes", "gateway", "run"], {
            **base, "TELEGRAM_BOT_TOKEN": telegram.token, "TELEGRAM_ALLOWED_USERS": str(USER),
            "HERMES_TELEGRAM_DISABLE_FALLBACK_IPS": "1",
            **{name: f"{base[name]},api.telegram.org" for name in ("NO_PROXY", "no_proxy")}}


class Holmes:
    """It has no service of its own; its memory in use is the most of a one-shot."""

    name, asked = "holmesgpt", "holmes ask hi --no-interactive"
    version = peer_install.VERSIONS["holmesgpt"]
    service = None

    def install(self):
        self.folder, found = peer_install.venv("holmesgpt")
        return found

    def one_shot(self, base, model):
        return [f"{self.folder}/bin/holmes", "ask", QUESTION, "--model", f"openai/{MODEL}",
                "--no-interactive"], {
            **base, "OPENAI_API_BASE": model.base_url, "OPENAI_API_KEY": model.api_key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False",
            "ENABLE_TELEMETRY": "False"}


class Zeroclaw:
    """A message of the user's and nothing of the wizard that usually writes its configuration."""

    name, asked = "zeroclaw", "zeroclaw agent -a main -m hi"
    version = peer_install.VERSIONS["zeroclaw"]

    def __init__(self, minutes=peer_install.BUILD_MINUTES):
        self.minutes = minutes

    def install(self):
        self.folder, found = peer_install.crate("zeroclaw", self.minutes)
        return found

    def _environment(self, base, model, more=""):
        folder = pathlib.Path(base["HOME"], ".zeroclaw")
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(f"""schema_version = 3
[providers.models.custom.fake]
uri = "{model.base_url}"
api_key = "{model.api_key}"
model = "{MODEL}"
[risk_profiles.usual]
[agents.main]
model_provider = "custom.fake"
risk_profile = "usual"
{more}""")
        return {**base, "ZEROCLAW_CONFIG_DIR": str(folder)}

    def one_shot(self, base, model):
        return [f"{self.folder}/bin/zeroclaw", "agent", "-a", "main", "-m", QUESTION], \
            self._environment(base, model)

    def service(self, base, model, telegram):
        return [f"{self.folder}/bin/zeroclaw", "daemon", "-p", "0"], self._environment(
            base, model, f"""channels = ["telegram.bot"]
[channels.telegram.bot]
enabled = true
bot_token = "{telegram.token}"
api_base_url = "{telegram.base_url}"
[peer_groups.user]
channel = "telegram.bot"
external_peers = ["*"]
""")


class Router:
    """A router of gateways.py, which benchmarks/router measures in full."""

    asked = one_shot = service = None

    def start(self, upstream, cpu):
        return getattr(gateways, self.kind)(upstream, cpu)


class HermesRouter(Router):
    name, kind, version = "Hermes, router", "hermes", "?"

    def install(self):
        agent = Hermes()
        found = agent.install()
        self.version = agent.version
        return found


class Litellm(Router):
    name, kind, version = "litellm[proxy]", "litellm", peer_install.litellm_version()

    def install(self):
        return peer_install.litellm()[1]


# -- one-shots ------------------------------------------------------------------------------------

class OneShot:
    """One run to its end: CPU seconds, the most RSS in KiB that was seen, what it printed."""

    def __init__(self, command, environment, folder, seconds=ONE_SHOT_SECONDS):
        self.rss = 0
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=said,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       start_new_session=True)
            try:
                usage = self._watch(process, seconds)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            said.seek(0)
            self.text = said.read().decode(errors="replace")
        self.status = process.returncode
        self.cpu = usage.ru_utime + usage.ru_stime

    def _watch(self, process, seconds):
        """Until it ends. Children that it waited for are in its CPU time."""
        until, over, before = time.monotonic() + seconds, False, 0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                if over:
                    raise Failed("hi", f"no end after {seconds} s")
                return usage
            if not over and time.monotonic() > until:
                over = True
                os.killpg(process.pid, signal.SIGKILL)
            # In two looks in a row: a child that has yet to become another program is still a copy.
            with contextlib.suppress(ProcessLookupError):
                now = memory(process.pid)["VmRSS"]
                self.rss, before = max(self.rss, min(before, now)), now
            time.sleep(SAMPLE_SECONDS)


def first_request(requests, path="/chat/completions"):
    """The first request for an answer: (bytes of its body as it arrived, tools offered)."""
    for one in requests:
        if one.method == "POST" and one.path.endswith(path):
            return len(one.body), len((one.json or {}).get("tools") or [])
    return None


class Asker:
    """A program in a home of its own that is asked in one-shots, the model being watched."""

    def __init__(self, program, base, model):
        self.program, self.base, self.model = program, base, model
        self.cpu = self.first = None
        self.rss = 0

    def ask(self):
        command, environment = self.program.one_shot(self.base, self.model)
        one = OneShot(command, environment, self.base["HOME"])
        if one.status or ANSWER not in one.text:
            raise Failed("hi", f"{self.program.asked} ended with {one.status} and said: "
                               f"{one.text[-SHOWN:]!r}")
        self.cpu = one.cpu if self.cpu is None else min(self.cpu, one.cpu)
        self.rss = max(self.rss, one.rss)
        self.first = self.first or first_request(self.model.requests)


@contextlib.contextmanager
def world(path, way_out):
    """A home in which a program may be started: its environment and its model."""
    with home() as base, Model() as model:
        yield {**base, "PATH": path, **way_out.environment()}, model


# -- services -------------------------------------------------------------------------------------

@contextlib.contextmanager
def started(command, environment, folder):
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([*gateways.ENDS_WITH_US, *command], env=environment,
                                   cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True)

        def said():
            log.seek(0)
            return log.read()[-SHOWN:].decode(errors="replace")
        try:
            yield process, said
        finally:
            gateways.stop(process)


def wait_for(condition, seconds, process, said, what):
    until = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise Failed("run", f"{what}: it ended with {process.returncode} and said: {said()!r}")
        if time.monotonic() > until:
            raise Failed("run", f"{what}: not within {seconds} s; it said: {said()!r}")
        time.sleep(0.05)


def service_memory(program, path, way_out, idle_seconds, turns):
    """(idle, in use) in KiB of all processes: after so many idle seconds with Telegram polled, and
    after so many "hi" over Telegram."""
    with world(path, way_out) as (base, model), Telegram() as telegram:
        command, environment = program.service(base, model, telegram)
        with started(command, environment, base["HOME"]) as (process, said):
            wait_for(lambda: telegram.polling, READY_SECONDS, process, said,
                     "Telegram is not polled")
            time.sleep(idle_seconds)
            wait_for(lambda: telegram.polling, READY_SECONDS, process, said,
                     "Telegram is polled no more")
            idle = memory(process.pid)["VmRSS"]
            for turn in range(1, turns + 1):
                telegram.user_says(USER, QUESTION)
                wait_for(lambda n=turn: replies(telegram) >= n, REPLY_SECONDS, process, said,
                         f'"hi" {turn} over Telegram is not answered')
            return idle, memory(process.pid)["VmRSS"]


def replies(telegram):
    return sum(ANSWER in text for text in telegram.texts(USER))
