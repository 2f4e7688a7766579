"""Secrets in a directory: a mounted Secret of Kubernetes, or systemd's LoadCredential."""

import json
import os
import shutil
import signal
import time

import pytest
from harness import SOON

import telegram_models  # noqa: F401  registers its scenarios

pytestmark = pytest.mark.qemu_user

TOKEN_MARK = "0123456789abcdef-in-a-file"


class Volume:
    """A directory as the kubelet makes it: links into ..data, which is exchanged as a whole."""

    def __init__(self, path):
        self.path, self.turn = path, 0
        path.mkdir()

    def put(self, **values):
        self.turn += 1
        folder = self.path / f"..turn_{self.turn}"
        folder.mkdir()
        for name, value in values.items():
            (folder / name).write_text(value)
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        (self.path / "..new").symlink_to(folder.name)
        os.rename(self.path / "..new", self.path / "..data")
        return self

    def __fspath__(self):
        return str(self.path)


@pytest.fixture
def volume(hermes):
    made = Volume(hermes.directory / "secrets")
    hermes.environment["HERMES_SECRETS_DIR"] = str(made.path)
    return made


def test_everything_can_come_from_files(hermes, up, api, service, volume):
    volume.put(OPENAI_API_KEY=up.api_key + "\n", OPENAI_BASE_URL=up.base_url,
               HERMES_MODEL="echo\n", TELEGRAM_BOT_TOKEN=api.token + "\n",
               TELEGRAM_API_BASE=api.base_url, TELEGRAM_ALLOWED_USERS="42\n")
    service()
    assert api.wait_for(lambda: api.polling)
    api.user_says(42, "hi")
    assert api.wait_messages(42, 1)[0].text == "echo: hi"
    assert api.token.encode() not in b"".join(p.read_bytes() for p in hermes.home.rglob("*.log*"))


def test_where_it_comes_from_and_what_is_hidden(hermes, up, volume):
    volume.put(OPENAI_API_KEY=up.api_key, OPENAI_BASE_URL=up.base_url, HERMES_MODEL="echo")
    shown = hermes.run("config", "show").ok().text
    assert up.api_key not in shown
    assert f"({volume.path}/OPENAI_API_KEY)" in shown and f"({volume.path}/HERMES_MODEL)" in shown
    shown = hermes.run("config", "show", env={"HERMES_MODEL": "fixed"}).ok().text
    assert "fixed  (env HERMES_MODEL)" in shown


@pytest.mark.parametrize("reference", ["${MY_KEY}", "${env:MY_KEY}", "os.environ/MY_KEY"])
def test_in_the_configuration(hermes, up, volume, reference):
    volume.put(MY_KEY=up.api_key)
    hermes.put("config.yaml", f"model:\n  default: echo\n  base_url: {up.base_url}\n"
                              f"  api_key: {reference}\n")
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert up.api_key not in hermes.run("config", "show").ok().text


def test_the_log_does_not_tell_them(hermes, up, api, service, volume):
    """Not even one that nothing uses, when it comes along in somebody's error."""
    volume.put(OPENAI_API_KEY=up.api_key, OPENAI_BASE_URL=up.base_url, HERMES_MODEL="echo",
               OTHER_TOKEN=TOKEN_MARK)
    hermes.use_telegram(api)
    running = service()
    assert api.wait_for(lambda: api.polling)
    for count, text in enumerate([f"/model {TOKEN_MARK}", "hi"], 1):
        api.user_says(42, text)
        api.wait_messages(42, count)
    running.stop()
    assert TOKEN_MARK not in running.log_text and "[redacted]" in running.log_text


def test_read_again_at_a_reload(hermes, up, service, volume):
    volume.put(OPENAI_API_KEY="sk-wrong-0123456789", OPENAI_BASE_URL=up.base_url,
               HERMES_MODEL="echo")
    running = service()
    hermes.chat("hi").failed("key")
    assert "upstream: the model echo does not answer" in hermes.run("status").exits(4).text
    volume.put(OPENAI_API_KEY=up.api_key, OPENAI_BASE_URL=up.base_url, HERMES_MODEL="echo")
    running.process.signal(signal.SIGHUP)
    running.wait_event("config.reload")
    assert hermes.chat("hi").ok().text == "echo: hi\n"


@pytest.mark.native
def test_no_child_gets_them(hermes, up, volume):
    """A tool's process has an empty environment; what is read from files is not put into ours."""
    volume.put(OPENAI_API_KEY=up.api_key, OPENAI_BASE_URL=up.base_url, HERMES_MODEL="gate")
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
        with open(f"/proc/{chat.pid}/environ", "rb") as file:
            assert up.api_key.encode() not in file.read()
        up.release.set()
        chat.finish(SOON).ok()


def test_systemds_credentials(hermes, up):
    folder = hermes.directory / "credentials"
    folder.mkdir()
    (folder / "OPENAI_API_KEY").write_text(up.api_key + "\n")
    (folder / "tls.pem").write_text("-----BEGIN\nof something else\n")
    env = {"CREDENTIALS_DIRECTORY": str(folder), "OPENAI_BASE_URL": up.base_url,
           "HERMES_MODEL": "echo"}
    result = hermes.chat("hi", env=env).ok()
    assert result.text == "echo: hi\n" and not result.notes


@pytest.mark.parametrize("content,words", [
    (b"two\nlines\n", "line break"), (b"a\0b", "NUL"), (b"a\x1b[31m", "control character"),
    (b"x" * 70000, "65536 bytes")])
def test_a_file_that_is_no_value(hermes, volume, content, words):
    (volume.path / "MY_KEY").write_bytes(content)
    result = hermes.chat("hi").failed(words)
    assert f"{volume.path}/MY_KEY" in result.notes


@pytest.mark.native
def test_a_file_that_cannot_be_read(hermes, volume):
    volume.put(MY_KEY="x")
    (volume.path / "..turn_1" / "MY_KEY").chmod(0)
    hermes.chat("hi").failed("MY_KEY: Permission denied")


def test_a_directory_that_is_not_there(hermes):
    result = hermes.chat("hi", env={"HERMES_SECRETS_DIR": "/nowhere/at/all"})
    result.failed("HERMES_SECRETS_DIR: cannot read the directory /nowhere/at/all")


def test_the_running_one_stays_when_they_are_gone(hermes, up, service, volume):
    """The volume of a pod is taken away before the pod is."""
    volume.put(OPENAI_API_KEY=up.api_key, OPENAI_BASE_URL=up.base_url, HERMES_MODEL="echo")
    running = service()
    shutil.rmtree(volume.path)
    running.process.signal(signal.SIGHUP)
    assert running.wait_event("config.reload")["level"] == "error"
    assert hermes.chat("hi", env={"HERMES_SECRETS_DIR": None}).ok().text == "echo: hi\n"
    told = json.loads(hermes.run("status", "--json", env={"HERMES_SECRETS_DIR": None}).ok().out)
    assert told["upstream"]["last_answer_ms"] <= time.time() * 1000
