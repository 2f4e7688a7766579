"""OpenAI's responses: their events, what is kept of them, and what a kill leaves."""

import base64
import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from api_client import KEY, Api
from harness import comes_true
from test_api import WRITE, api, sessions  # noqa: F401  api is a fixture

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40).decode()


def words(response):
    """What was said, in all messages of a response."""
    return [part["text"] for item in response["output"] if item["type"] == "message"
            for part in item["content"]]


def test_a_response(hermes, api):
    told = api().post("/v1/responses", {"model": "ada", "input": "is anybody there?"}).ok()
    assert (told["object"], told["status"], told["model"]) == ("response", "completed", "ada")
    assert told["id"].startswith("resp_") and words(told) == ["echo: is anybody there?"]
    assert told["usage"]["total_tokens"] > 0
    assert len(sessions(hermes)) == 1


def test_a_list_of_items(up, api):
    told = api("history").post("/v1/responses", {"instructions": "Be brief.", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "one"}]},
        {"type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "two"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "three"},
        {"role": "user", "content": "four"}]}).ok()
    assert words(told) == ["system user assistant user user"]
    assert up.requests[-1].messages[0]["content"].endswith("Be brief.")


def test_events_in_their_order(hermes, api):
    with api("chain").stream("/v1/responses", {"input": "a file\n" + WRITE}) as stream:
        events = stream.events()
    assert [kind for kind, _ in events] == [data["type"] for _, data in events]
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    kinds = [kind.removeprefix("response.") for kind, _ in events]
    assert kinds[:2] == ["created", "in_progress"] and kinds[-1] == "completed"
    assert kinds[2:6] == ["output_item.added", "output_item.done"] * 2  # a call and its result
    assert kinds[6:8] == ["output_item.added", "content_part.added"]
    assert kinds[-5:-1] == ["output_text.delta", "output_text.done", "content_part.done",
                            "output_item.done"]
    last = events[-1][1]["response"]
    assert [item["type"] for item in last["output"]] == [
        "function_call", "function_call_output", "message"]
    call, result, _ = last["output"]
    assert call["name"] == "write_file" and call["call_id"] == result["call_id"]
    assert json.loads(call["arguments"])["path"] == "a.txt"
    assert words(last) == ["done with a file"]
    deltas = "".join(d["delta"] for kind, d in events if kind.endswith("text.delta"))
    assert deltas == "done with a file"
    assert (hermes.workspace / "a.txt").read_text() == "by the agent"


def test_the_next_one_goes_on(hermes, api):
    asked = api("history")
    first = asked.post("/v1/responses", {"input": "one"}).ok()
    second = asked.post("/v1/responses", {"input": "two",
                                          "previous_response_id": first["id"]}).ok()
    assert words(second) == ["system user assistant user"]
    assert second["previous_response_id"] == first["id"]
    asked.post("/v1/responses", {"input": "x", "previous_response_id": "resp_" + "0" * 32}
               ).refused(404)
    named = [asked.post("/v1/responses", {"input": "x", "conversation": "named"}).ok()
             for _ in range(2)]
    assert words(named[1]) == ["system user assistant user"]
    assert len(sessions(hermes)) == 2


def test_kept_shown_and_deleted(hermes, api):
    asked = api("history")
    told = asked.post("/v1/responses", {"input": "one"}).ok()
    path = f"/v1/responses/{told['id']}"
    shown = asked.get(path).ok()
    assert shown["status"] == "completed" and words(shown) == words(told)
    assert asked.ask("DELETE", path).ok()["deleted"] is True
    asked.get(path).refused(404)
    asked.ask("DELETE", path).refused(404)
    again = asked.post("/v1/responses", {"input": "two",
                                         "conversation": sessions(hermes)[0]["id"]}).ok()
    assert words(again) == ["system user"]  # nothing of it is left there
    for wrong in ("resp_", "resp_../..", "run_" + "0" * 32, "resp_" + "x" * 500):
        asked.get(f"/v1/responses/{wrong}").refused(404)


def test_what_is_not_to_be_kept(hermes, api):
    told = api().post("/v1/responses", {"input": "hush", "store": False}).ok()
    assert words(told) == ["echo: hush"]
    assert comes_true(lambda: not sessions(hermes))


def test_a_response_that_fails(api):
    asked = api("502")
    asked.post("/v1/responses", {"input": "hi"}).refused(500, "502")
    with asked.stream("/v1/responses", {"input": "hi"}) as stream:
        kind, last = stream.events()[-1]
    assert kind == "response.failed" and "502" in last["response"]["error"]["message"]
    shown = asked.get(f"/v1/responses/{last['response']['id']}").ok()
    assert shown["status"] == "failed" and "502" in shown["error"]["message"]


def test_a_kill_in_the_middle(up, api):
    """It is written down, and goes on: whoever comes back with its id gets the answer."""
    asked = api("gate")
    with asked.stream("/v1/responses", {"input": "one"}) as stream:
        _, created = stream.until("response.created")
        name = json.loads(created)["response"]["id"]
        stream.until("begun")
        api.running.kill()
    up.release.set()
    asked = api("gate")
    assert comes_true(lambda: asked.get(f"/v1/responses/{name}").status == 200)
    shown = asked.until(f"/v1/responses/{name}", "completed")
    assert words(shown) == ["answer to one: begun and finished"]


def test_who_leaves_ends_a_response(api):
    asked = api("gate")
    with asked.stream("/v1/responses", {"input": "one"}) as stream:
        stream.until("begun")
    assert api.running.wait_event("turn.end")["state"] == "cancelled"


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_an_image_is_a_part_of_the_question(up, api, kind):
    asked = api(config="model: {supports_vision: true}\nagent: {image_input_mode: native}")
    url = f"data:image/png;base64,{PNG}"
    if kind == "chat":
        asked.chat({"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": url}}]}).ok()
    else:
        asked.post("/v1/responses", {"input": [{"role": "user", "content": [
            {"type": "input_text", "text": "what is this?"},
            {"type": "input_image", "image_url": url}]}]}).ok()
    assert PNG in up.requests[-1].body.decode()


@pytest.mark.parametrize("url", [
    "https://example.org/a.png", "data:image/png;base64,!!!!", "data:text/html;base64,PGI+", "",
    "data:image/png;base64," + base64.b64encode(b"<html>").decode()])
def test_images_that_are_none(api, url):
    error = api().chat({"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": url}}]}).refused(400, "image must be")
    assert error["code"] == "unsupported_content_type"


@pytest.mark.parametrize("body", [{}, {"input": 7}, {"input": []}, {"input": "  "},
                                  {"input": [{"type": "item_reference"}]}])
def test_input_that_is_not_understood(api, body):
    api().post("/v1/responses", body).refused(400)
