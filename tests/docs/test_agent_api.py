"""The commands of docs/api.md, with the agent that they are meant for.

    ```sh api        commands that work, while it runs
"""

import re

import pytest

from harness import ROOT
from openai_upstream import Upstream
from user import blocks, commands

PAGE = ROOT / "docs/api.md"
BLOCKS = [block for block in blocks(PAGE) if block.words == ["api"]]
LISTENER = ROOT / "src/serve/api_listener.c"


@pytest.fixture(scope="module")
def answered():
    return set()


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_commands_about_the_api_work(reader, block):
    with Upstream() as upstream:
        reader.use(upstream, "echo")
        reader.mkdir(reader.workspace)
        reader.environment.update(API_SERVER_KEY="key-of-the-docs", API_SERVER_PORT="0")
        running = reader.start("run", "--port", "0", limit=600)
        running.wait_for_output(b"api: http://127.0.0.1:")
        port = int(re.search(rb"\bapi: http://127\.0\.0\.1:(\d+)", running.out)[1])
        ready = f"until curl -fs -H 'Authorization: Bearer key-of-the-docs' " \
                f"http://127.0.0.1:{port}/api/sessions >/dev/null; do sleep 0.1; done\n"
        script = "\n".join(commands(block)).replace(":8642", f":{port}")
        status, shown = reader.script(ready + "set -e\n" + script)
        assert status == 0, f"{block}: status {status}\n{shown}"
        running.signal(15)
        running.finish(20)


def test_every_path_is_in_the_table():
    routes = re.findall(r'\{"(/[\w/]+)", ', LISTENER.read_text())
    table = PAGE.read_text().split("## Chat completions")[0]
    assert len(routes) > 5
    missing = [path for path in routes if path not in table]
    assert not missing, missing
