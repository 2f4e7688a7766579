"""Images and sound in results of MCP tools: what a model gets of them, and what is told instead."""

import base64
import json
import os
import time

import pytest
from harness import comes_true

from mcp_fakes import servers, tool, wait_ready  # noqa: F401  servers is a fixture
import telegram_models  # noqa: F401  registers its scenarios
from telegram_owner import OWNER

PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(1000)
WAV = b"RIFF\x00\x00\x00\x00WAVE" + os.urandom(500)
BLIND = "image/png, 1008 bytes: not shown, as the model is not known to see"
PRICE = ", input_cost_per_token: 0.000001, output_cost_per_token: 0.000001"
BUDGET = "router: {budgets: [{name: b, max: MAX, period: day}]}\n"
SEES, HEARS = "supports_vision: true", "supports_audio_input: true"


class Media:
    """A server whose tool "page" shows what `shows` has put there, and models that see or not."""

    def __init__(self, hermes, up, servers):
        self.hermes, self.up, self.servers = hermes, up, servers

    def configure(self, info, more="", model="two-steps", params="", others="", entry=""):
        where = f'api_base: "{self.up.base_url}", api_key: os.environ/MY_KEY'
        self.servers.use(more=f"    trust: full\n    {entry}\n", others=f"""model_list:
  - model_name: asked
    litellm_params: {{model: openai/{model}, {where}{params}}}
    model_info: {{{info}}}
{others}{more}""")
        self.hermes.environment.update(MY_KEY=self.up.api_key, HERMES_MODEL="asked")

    def put(self, content):
        (self.servers.state / "answer.json").write_text(
            json.dumps({"result": {"content": content}}))

    def shows(self, *all_bytes, kind="image", said="image/png"):
        self.put([{"type": "text", "text": "here"}] + [
            {"type": kind, "mimeType": said, "data": base64.b64encode(one).decode()}
            for one in all_bytes])

    def sent(self, request=-1):
        """The media of a request: bytes, in their order."""
        found = []
        for message in self.up.requests[request].messages:
            for part in message["content"] if isinstance(message["content"], list) else []:
                if part["type"] == "image_url":
                    found.append(part["image_url"]["url"].split(";base64,")[1])
                elif part["type"] == "input_audio":
                    found.append(part["input_audio"]["data"])
        return [base64.b64decode(one, validate=True) for one in found]

    def result(self, request=-1):
        return [m["content"] for m in self.up.requests[request].messages if m["role"] == "tool"][-1]

    def look(self, *calls):
        return self.hermes.chat("\n".join(calls or [tool("page")])).ok()


@pytest.fixture
def media(hermes, up, servers):  # noqa: F811
    return Media(hermes, up, servers)


def begin(media, service, *words, **more):
    media.configure(*words, **more)
    running = service()
    wait_ready(media.hermes)
    return running


@pytest.mark.release
def test_a_model_that_sees_gets_the_very_bytes(media, service):
    begin(media, service, SEES)
    media.shows(PNG, said="text/html")
    media.look()
    assert media.sent() == [PNG]
    assert media.result() == "here\n[an image, image/png, 1008 bytes]"
    shown = media.up.requests[-1].messages[-1]
    assert shown["role"] == "user"
    label = shown["content"][0]["text"]
    assert label == ("[image/png, 1008 bytes, in the result of mcp__fake__page: not from the user]")
    assert all(r.problem is None for r in media.up.requests)


@pytest.mark.release
@pytest.mark.parametrize("info, more", [
    ("mode: chat", ""), ("supports_vision: false", ""), (HEARS, ""),
    (SEES, "agent: {image_input_mode: text}\n")])
def test_another_model_hears_of_it(media, service, info, more):
    begin(media, service, info, more)
    media.shows(PNG)
    media.look()
    assert media.sent() == [] and BLIND in media.result()
    assert "supports_vision" in media.result()
    assert base64.b64encode(PNG)[:40] not in media.up.requests[-1].body


def test_an_owner_may_say_that_every_model_sees(media, service):
    begin(media, service, "mode: chat", "agent: {image_input_mode: native}\n")
    media.shows(PNG)
    media.look()
    assert media.sent() == [PNG]


def test_sound_goes_to_a_model_that_hears(media, service):
    begin(media, service, HEARS)
    media.shows(WAV, kind="audio")
    media.look()
    assert media.sent() == [WAV]
    media.shows(PNG, WAV, kind="audio")
    media.look()
    assert media.sent() == [WAV] and BLIND in media.result()


def test_a_fallback_gets_what_it_takes(media, service):
    """The first fails, and the one in its place does not see."""
    begin(media, service, SEES, others=f"""  - model_name: other
    litellm_params:
      {{model: openai/two-steps, api_base: "{media.up.base_url}", api_key: os.environ/MY_KEY}}
router_settings: {{num_retries: 0, disable_cooldowns: true, fallbacks: [{{asked: [other]}}]}}
""", model="500-empty")
    media.shows(PNG)
    media.look()
    models = [r.model for r in media.up.requests]
    assert models[-1] == "two-steps" and models[-2] == "500-empty", models
    assert media.sent(-2) == [PNG] and media.sent(-1) == []
    assert BLIND in media.result(-1) and BLIND not in media.result(-2)


def test_the_newest_of_many_are_sent(media, service, api):
    media.hermes.use_telegram(api)
    begin(media, service, SEES, model="tools")
    images = [PNG[:8] + bytes([number]) * 100 for number in range(15)]
    for number in range(0, 15, 3):
        media.shows(*images[number:number + 3])
        api.user_says(OWNER, tool("page"))
        api.wait_messages(OWNER, number // 3 + 1)
    assert media.sent() == images[5:]
    told = "not shown any more: of a conversation, the newest 10"
    assert media.up.requests[-1].body.decode().count(told) == 5


@pytest.mark.release
@pytest.mark.parametrize("model", ["two-steps", "tools"])
def test_it_survives_a_kill(media, service, api, model):
    """While a call after it runs, or one beside it, and after the turn."""
    media.hermes.use_telegram(api)
    running = begin(media, service, SEES, model=model, entry="supports_parallel_tool_calls: true")
    media.shows(PNG)
    api.user_says(OWNER, tool("page") + "\n" + tool("sleep", seconds=4))
    assert comes_true(lambda: any(line.startswith("sleep") for line in media.servers.calls))
    running.wait_event("turn.tool")
    time.sleep(1)  # in which what ended first is written down
    running.kill()
    running.start()
    api.wait_messages(OWNER, 1, 60)
    assert media.sent() == [PNG] and "slept" in media.result()
    assert all(r.problem is None for r in media.up.requests)
    running.kill()
    running.start()
    api.user_says(OWNER, "and now?")
    assert comes_true(lambda: any(m["content"] == "and now?"
                                  for m in media.up.requests[-1].messages), 60)
    assert media.sent() == [PNG]


def test_a_budget_counts_its_tokens_and_not_its_bytes(media, service):
    """Two megabytes of base64 would be two dollars as a text. An image is bounded by its tokens."""
    image = PNG[:8] + os.urandom(1500000)
    begin(media, service, SEES + ", max_tokens: 1000", BUDGET.replace("MAX", "0.2"), params=PRICE)
    media.shows(image)
    media.look()
    assert media.sent() == [image]


def test_a_budget_that_is_too_small_for_it_refuses(media, service):
    begin(media, service, SEES + ", max_tokens: 1000", BUDGET.replace("MAX", "0.04"), params=PRICE)
    media.shows(PNG)
    media.hermes.chat(tool("page")).failed('budget "b"')
    assert all(media.sent(number) == [] for number in range(len(media.up.requests)))


HOSTILE = {
    "no base64": [{"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo=%%%"}],
    "a page": [{"type": "image", "mimeType": "image/png",
                "data": base64.b64encode(b"<html>obey</html>").decode()}],
    "no data": [{"type": "image"}, {"type": "audio", "data": None}, {"type": "image", "data": {}}],
    "an SVG": [{"type": "image", "mimeType": "image/svg+xml", "data": "PHN2Zz4="}],
    "large": [{"type": "image", "data": base64.b64encode(PNG[:8] + bytes(4 << 20)).decode()}],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_image_is_not_sent(media, service, what):
    begin(media, service, SEES)
    media.put(HOSTILE[what])
    media.look()
    assert media.sent() == [] and "not shown" in media.result()


def test_a_thousand_images(media, service):
    begin(media, service, SEES)
    media.shows(*[PNG[:8] + number.to_bytes(2, "big") for number in range(1000)])
    media.look()
    assert len(media.sent()) == 8
    assert "not shown" in media.result() and len(media.result()) < 50000


def test_an_image_of_a_hundred_megabytes(media, service):
    running = begin(media, service, SEES)
    media.shows(PNG[:8] + bytes(75 << 20))
    media.look()
    assert media.sent() == [] and "16 MiB" in media.result()
    media.look(tool("echo", text="still there"))
    assert media.result() == "still there" and running.running
