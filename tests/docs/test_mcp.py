"""The commands and transcripts of docs/mcp.md, with a server of the tests in the place of `demo`.

    ```console mcp   commands with their output
    ```sh mcp        commands that work
"""

import json
import re
import sys

import pytest
from harness import ROOT
from test_docs import compare
from user import blocks, commands

PAGE = ROOT / "docs/mcp.md"
SERVER = ROOT / "tests/fakes/mcp_stdio.py"
BLOCKS = [block for block in blocks(PAGE) if block.words == ["mcp"]]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_commands_about_servers_work(reader, block):
    first = next(b for b in blocks(PAGE) if b.language == "yaml")
    text = re.sub("(?m)command: .*", f"command: {sys.executable}", first.text)
    reader.put("config.yaml", re.sub("(?m)args: .*", f"args: {json.dumps([str(SERVER)])}", text))
    status, shown = reader.script("set -e\n" + "\n".join(commands(block)))
    assert status == 0, f"{block}: status {status}\n{shown}"
    if block.language == "console":
        compare(block, shown)


def test_every_command_is_documented(reader):
    usage = reader.run("help", "mcp").ok().text
    listed = re.search(r"\[([a-z]+\|[a-z|]+)\]", usage)[1].split("|")
    shown = {command.split()[2] for block in BLOCKS for command in commands(block)}
    assert set(listed) - {"login", "logout"} <= shown | {"serve"}


def test_every_key_is_in_the_table():
    source = (ROOT / "src/mcp/server_config.c").read_text()
    table = source[source.index("mcp_server_places"):].split(";")[0]
    places = "".join(re.findall(r'"([^"]*)"', table))
    page = PAGE.read_text()
    table = page[page.index("## The keys"):page.index("## What the model sees")]
    keys = {re.sub(r"(\.\*)+$", "", place.strip()[2:]) for place in places.split(",")}
    missing = {key for key in keys if f"`{key}`" not in table and not key.startswith("sandbox.")}
    assert not missing, missing
