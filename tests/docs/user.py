"""The documents as data, and a user who does what they say."""

import dataclasses
import pathlib
import re
import shutil
import subprocess

from harness import ROOT, Hermes, as_test_user, give

SCRIPT_SECONDS = 120


class Reader(Hermes):
    """Has the program in PATH, and the source tree's docs as the current directory's."""

    def __init__(self, binary, path):
        super().__init__(binary, path)
        for name in ("bin", "here"):
            (path / name).mkdir()
            give(path / name)
        program = path / "bin" / "hermes"
        program.write_text(f'#!/bin/sh\nexec {" ".join(binary.command)} "$@"\n')
        program.chmod(0o755)
        shutil.copytree(ROOT / "docs", path / "here" / "docs")
        self.environment["PATH"] = f"{path / 'bin'}:{self.environment['PATH']}"

    def script(self, text):
        """(status, standard output and standard error as one text) of lines in a shell."""
        done = subprocess.run(
            ["bash", "-u", "-o", "pipefail", "-c", text], cwd=self.directory / "here",
            env=self.environment, capture_output=True, timeout=SCRIPT_SECONDS,
            stdin=subprocess.DEVNULL, **as_test_user())
        assert not self.sanitizer_report(), self.sanitizer_report()
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


@dataclasses.dataclass
class Block:
    """A fenced block: ```LANGUAGE WORD…"""

    path: pathlib.Path
    line: int
    language: str
    words: list
    text: str
    before: "Block | None" = None  # the block above it in the same file

    def __str__(self):
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path):
    """The fenced blocks of a file; raises when one is not closed."""
    found, open_at, words, lines = [], None, [], []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif open_at is None:
            open_at, words, lines = number, line.strip()[3:].split(), []
        else:
            found.append(Block(path, open_at, words[0] if words else "", words[1:],
                               "\n".join(lines) + "\n", found[-1] if found else None))
            open_at = None
    assert open_at is None, f"{path}:{open_at}: the block is not closed"
    return found


def documents():
    """What is for people to read."""
    top = [ROOT / f"{name}.md"
           for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY", "src/README")]
    return [path for path in top if path.exists()] + sorted((ROOT / "docs").rglob("*.md"))


def commands(block):
    """The commands of an sh or console block, one text each; a backslash joins lines."""
    text = block.text
    if block.language == "console":
        text = "".join(line[2:] + "\n" for line in text.splitlines() if line.startswith("$ "))
    joined = re.sub(r"\\\n\s*", "", text)
    return [line.strip() for line in joined.splitlines()
            if line.strip() and not line.lstrip().startswith("#")]


def prose(path):
    """The text without its fenced blocks."""
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", path.read_text("utf-8"))


def normal(text):
    """What differs from run to run, made the same on both sides of a comparison."""
    for pattern, word in ((r"(?<![\w/])/opt/data\b", "/home/you/.hermes"),
                          (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"), (r"\bport \d+", "port PORT"),
                          (r"pid \d+", "pid PID"), (r"journal\.[0-9a-f]{16}", "journal.N"),
                          (r"damaged-\d{8}T\d{6}Z", "damaged-STAMP"),
                          (r"\d+ MiB free", "N MiB free"), (r"\d+ (milli)?seconds", r"N \1seconds"),
                          (r"after \d+ ms", "after N ms"),
                          (r"may cost \$[\d.]+", "may cost AMOUNT"),  # grows with the tools
                          (r"\d+ bytes received", "N bytes received"),
                          (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
                          (r"\b(id|session)=[0-9a-f]{8,32}\b", r"\1=ID"),
                          (r"schema \d+, this program knows \d+", "schema N"),
                          (r"\b(ms)=\d+", r"\1=N"), (r"\bafter \d+ s\b", "after N s"),
                          (r"(aborted by|connection to \S+ broke).*?\"", r"\1 WHY\"")):
        text = re.sub(pattern, word, text)
    return text
