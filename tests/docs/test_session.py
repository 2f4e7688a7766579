"""The picture of the front page is what the program prints today (docs/draw-session)."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest
from harness import ROOT
from user import blocks

DRAW = ROOT / "docs/draw-session"
PICTURE = ROOT / "docs/session.svg"
SVG = "{http://www.w3.org/2000/svg}"


def draw(binary, how):
    done = subprocess.run([sys.executable, "-B", str(DRAW), how], capture_output=True, timeout=120,
                          env={**os.environ, "HERMES_BIN": str(binary.path)})
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout


def test_the_picture_is_drawn_from_what_is_printed(binary):
    if draw(binary, "--print") != PICTURE.read_bytes():
        pytest.fail("docs/session.svg is not what the program prints now; look at the difference, "
                    "then draw it anew with docs/draw-session:\n" +
                    draw(binary, "--text").decode())


def test_the_picture_needs_nothing_else():
    """No font, style or picture is fetched, and nothing in it runs."""
    text = PICTURE.read_text("utf-8")
    assert not re.search(r"@import|@font-face|url\(|href|<script|<image|<foreignObject", text)
    root = xml.etree.ElementTree.fromstring(text)
    assert root.tag == SVG + "svg" and root.find(SVG + "title").text
    assert float(root.get("width")) <= 900, "wider than the page that shows it"


def test_the_front_page_is_short_and_shows_the_picture():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 200
    assert re.search(r"(?s)!\[[^\]]{40,}\]\(docs/session\.svg\)", text)
    assert [b.words for b in blocks(ROOT / "README.md") if b.language == "yaml"] == [["routed"]]
