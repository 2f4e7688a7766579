"""What the documents show of a Hermes that runs: talks on Telegram, and what is asked meanwhile.

    ```text telegram     a talk: "> " stands before what the user writes, what follows is the answer
    ```console running   commands with their output, after the talk above them in the same file
    ```sh running        commands that work while it runs
    ```text terminal     a whole conversation in a terminal, from its first line on

A daemon with the offline model answers a Telegram of the test's own. Times, ids and sizes differ
from run to run and count as equal; `...` stands for anything (steady.py).
"""

import configparser
import http.client
import re
import shutil
import subprocess

import pytest
from harness import ROOT
from service import Service
from telegram_api import TelegramApi
from terminal import Terminal
from steady import same, shown_commands
from user import blocks, commands, documents

OWNER = 42
ADMIN_KEY = "0123456789abcdef-admin"
SHOWN_ID = r"(?<=hermes log )[0-9a-f]{8}$"
UNIT = ROOT / "docs/examples/hermes.service"
BLOCKS = [block for path in documents() for block in blocks(path)
          if {"running", "telegram"} & set(block.words)]
FILES = sorted({block.path for block in BLOCKS})
TERMINALS = [block for path in documents() for block in blocks(path) if "terminal" in block.words]
WIDE = 1000  # columns: no line is cut


def talk(block):
    """[(what the user writes, the answer as it is shown)]"""
    turns = []
    for line in block.text.splitlines():
        if line.startswith("> "):
            turns.append([line[2:], []])
        else:
            turns[-1][1].append(line)
    return [(said, "\n".join(answer)) for said, answer in turns]


def say(api, block):
    for said, answer in talk(block):
        count = len(api.messages(OWNER))
        api.user_says(OWNER, said)
        api.wait_messages(OWNER, count + 1)
        api.wait_quiet(0.3)
        told = api.texts(OWNER)[-1]
        assert same(answer, told), f"{block}: to {said!r} the bot says\n{told}"


def ask(reader, block, service):
    def run(text):
        """With the test's own port, and the id of the last answer in the place of that shown."""
        text = text.replace("127.0.0.1:9119", f"127.0.0.1:{service.port}")
        if re.search(SHOWN_ID, text):
            text = re.sub(SHOWN_ID, service.events("turn.begin")[-1]["id"][:8], text)
        status, shown = reader.script(text)
        return status, shown.replace(str(reader.home), "/home/you/.hermes")
    if block.language == "sh":
        status, shown = run("set -e\n" + "\n".join(commands(block)))
        assert status == 0, f"{block}: status {status}\n{shown}"
        return
    for command, wanted in shown_commands(block):
        _, shown = run(command)
        assert same(wanted, shown), f"{block}: {command} prints\n{shown}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_it_shows_of_a_running_hermes(reader, path):
    """All blocks of a file, in their order, with one daemon."""
    reader.environment["HERMES_ADMIN_KEY"] = ADMIN_KEY
    reader.put("memories/USER.md", "Prefers short answers.\n")
    with TelegramApi() as api:
        reader.use_telegram(api)
        service = Service(reader).start()
        try:
            for block in (b for b in BLOCKS if b.path == path):
                if "telegram" in block.words:
                    say(api, block)
                else:
                    ask(reader, block, service)
                assert service.running, f"{block} ended the daemon"
        finally:
            service.kill()


@pytest.mark.parametrize("block", TERMINALS, ids=str)
def test_what_it_shows_of_a_terminal(reader, block):
    """The screen as it is when the last answer has come: banner, prompts, calls, answers."""
    terminal = Terminal(reader, ["chat"], columns=WIDE)
    for said, shown in re.findall(r"(?m)^> (.*)\n((?:(?!> ).*\n?)*)", block.text):
        terminal.say(said)
        if "[y/N]" in shown:  # what is typed before a question is no answer to it
            terminal.expect(r"\[y/N\]")
    terminal.ready().send("\x04")
    assert terminal.ends() == 0
    shown = terminal.screen.replace("\r\n", "\n").replace("\r", "\n")
    assert same(block.text + ">", shown), f"{block}: the terminal shows\n{shown}"


def test_the_commands_in_telegram_md_are_those_of_help(reader):
    text = (ROOT / "docs/telegram.md").read_text()
    rows = set(re.findall(r"(?m)^\| `(/\w+)", text))
    with TelegramApi() as api:
        reader.use_telegram(api)
        service = Service(reader).start()
        api.user_says(OWNER, "/help")
        shown = set(re.findall(r"(?m)^(/\w+)", api.wait_messages(OWNER, 1)[0].text))
        service.stop()
    assert rows == shown


def test_the_metrics_in_operations_md_exist(reader):
    text = (ROOT / "docs/operations.md").read_text()
    named = set(re.findall(r"(?m)^\| `(\w+)(?:\{[^}]*\})?` \|", text))
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.c"))
    printed = set(re.findall(r'"((?:hermes|process)_\w+_\w+)"', source))
    assert {name for name in named if name.startswith(("hermes_", "process_"))} == printed


# -- the unit -------------------------------------------------------------------------------------

def test_the_unit_is_a_unit():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(UNIT)
    service = unit["Service"]
    assert service["ExecStart"] == "/usr/local/bin/hermes run"
    assert service["User"] == "hermes" and service["CapabilityBoundingSet"] == ""
    wait = re.fullmatch(r"(\d+)s", service["TimeoutStopSec"])
    assert int(wait[1]) > 10 + 2 + 5, "less than the time that a stop may take"


def test_systemd_takes_the_unit(tmp_path):
    """With a systemd at hand; elsewhere the test above has to do."""
    if not shutil.which("systemd-analyze"):
        return
    program = tmp_path / "hermes"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "hermes.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/hermes", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "hermes" in line]
    assert not ours, "\n".join(ours)


def test_a_probe_of_the_documents(reader):
    """The paths and codes of the table in operations.md."""
    text = (ROOT / "docs/operations.md").read_text()
    rows = re.findall(r"(?m)^\| `(/\w+)` \| (\w+) \|", text)
    assert len(rows) == 4
    service = Service(reader, env={"HERMES_ADMIN_KEY": ADMIN_KEY}).start()
    for path, who in rows:
        conn = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
        assert service.get(path)[0] == (200 if who == "everybody" else 401), path
        conn.request("GET", path, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
        assert conn.getresponse().status == 200, path
        conn.close()
    service.stop()
