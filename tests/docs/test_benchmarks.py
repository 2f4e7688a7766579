"""The table of the front page repeats what docs/benchmarks.md shows of benchmarks/peers."""

import re

from harness import ROOT
from user import blocks

# Of each printed row: name, version, MiB, files, RSS idle, in use, bytes and tools of "hi", CPU of
# "hi", CPU of a request. The front page leaves the tools out, and a program that was not measured.
TOOLS = 7


def printed():
    """The rows that benchmarks/peers printed, cell by cell."""
    block = next(b for b in blocks(ROOT / "docs/benchmarks.md")
                 if b.text.startswith("Hermes and its peers"))
    rows = [re.split(r" {2,}", line.strip())
            for line in block.text.split("\n  (")[0].splitlines()[2:]]
    return [row[:TOOLS] + row[TOOLS + 1:] for row in rows
            if not any(cell.startswith("failed") for cell in row)]


def repeated():
    """The rows of the front page's table."""
    text = (ROOT / "README.md").read_text()
    table = re.search(r"(?m)^\| +\| version \|.*\n\|[-:|]+\|\n((?:\|.*\n)+)", text)[1]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")]
            for line in table.splitlines()]


def test_the_front_page_repeats_the_benchmarks():
    assert len(printed()) >= 4
    assert repeated() == printed()
