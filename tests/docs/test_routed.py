"""What the documents show of a router that other programs ask.

    ```yaml routed       its configuration
    ```console routed    commands with their output, while it runs
    ```... routed budget the same, for a budget that is used up

The providers are the tests' own server: the free model is at its limit, the cheap one answers.
"""

import re
import time

import openai_wire as wire
from openai_scenarios import SCENARIOS, scenario
from openai_upstream import Upstream
from steady import same, shown_commands
from user import blocks, documents

MARKED = [block for path in documents() for block in blocks(path)]
BLOCKS = [block for block in MARKED if block.words == ["routed"]]
LEDGER_SECONDS = 20
BUDGET = [block for block in MARKED if block.words == ["routed", "budget"]]


@scenario("llama-3.1-8b-instant")
def at_its_limit(turn):
    SCENARIOS["429-long"](turn)


@scenario("deepseek-chat")
def cheap(turn):
    answer = wire.Answer("Yes: four walls, a lamp, and you.")
    answer.usage = {"prompt_tokens": 14, "completion_tokens": 350, "total_tokens": 364}
    turn.say(answer)


@scenario("deepseek-reasoner")
def as_long_as_allowed(turn):
    """Writes 350 tokens, or as many as the request lets it."""
    answer = wire.Answer("Yes: four walls, a lamp, and you.")
    written = min(350, turn.body["max_tokens"])
    answer.usage = {"prompt_tokens": 14, "completion_tokens": written,
                    "total_tokens": 14 + written}
    turn.say(answer)


def start(reader, upstream, text):
    """A router with this configuration, whose providers are elsewhere."""
    reader.environment.update(GROQ_API_KEY="gsk-0123456789", DEEPSEEK_API_KEY="sk-0123456789",
                              LITELLM_MASTER_KEY="sk-0123456789abcdef")
    path = reader.put("config.yaml", text, base=reader.directory)
    checked = reader.run("config", "check", "--config", path)
    assert checked.code == 0 and "0 errors, 0 other findings" in checked.text, checked.text
    path = reader.put("config.yaml", re.sub(r"(?m)^( +)(?=api_key:)",
                                            rf"\1api_base: {upstream.base_url}\n\1", text),
                      base=reader.directory)
    router = reader.start("router", "--config", path, "--port", "0", limit=600)
    router.wait_for_output(b"router: http://127.0.0.1:")
    return router, int(re.search(rb"router: http://127\.0\.0\.1:(\d+)", router.out)[1])


def test_what_it_shows_of_a_router(reader):
    config, console = BLOCKS
    with Upstream(api_key=None) as upstream:
        router, port = start(reader, upstream, config.text)
        call = ""
        for command, wanted in shown_commands(console):
            command = command.replace("127.0.0.1:4000", f"127.0.0.1:{port}")
            command = re.sub(r"(?<=why )\S+$", call[:12], command)
            until_there = f"until hermes cost --json | grep -q {call}; do sleep 0.1; done; "
            status, shown = reader.script((until_there if call else "") + command)
            assert status == 0 and same(wanted, shown), f"{console}: {command} prints\n{shown}"
            found = re.search(r"call-id: (\S+)", shown)
            call = found[1] if found else call
        assert [r.model for r in upstream.requests] == ["llama-3.1-8b-instant", "deepseek-chat"]
        assert not upstream.rejected, upstream.rejected
        router.kill()


def test_what_it_shows_of_a_budget(reader):
    config, console = BUDGET
    with Upstream(api_key=None) as upstream:
        router, port = start(reader, upstream, config.text)
        for command, wanted in shown_commands(console):
            command = command.replace("127.0.0.1:4000", f"127.0.0.1:{port}")
            # The ledger's rows may be in the database a little later than the answers are out.
            until = time.monotonic() + (LEDGER_SECONDS if command.startswith("hermes cost") else 0)
            status, shown = reader.script(command)
            while not same(wanted, shown) and time.monotonic() < until:
                time.sleep(0.1)
                status, shown = reader.script(command)
            assert status == 0 and same(wanted, shown), f"{console}: {command} prints\n{shown}"
        assert len(upstream.requests) == 2, "the third call was to be refused before it went out"
        router.kill()
