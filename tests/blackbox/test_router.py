"""The router's face: what a client of an OpenAI-compatible server, or of LiteLLM, meets."""

import json

import pytest
from router_service import MASTER_KEY


def test_an_answer_whole_and_streamed(router):
    router.start({"free": ["echo"]})
    whole, stream = router.ask(), router.ask(stream=True)
    assert whole.status == stream.status == 200
    assert whole.text == stream.text != ""
    assert stream.whole


def test_a_face_without_a_key_is_not_opened(hermes, router):
    config = router.config({"free": ["echo"]})
    del config["general_settings"]
    hermes.put("router.yaml", json.dumps(config))
    hermes.run("router", "--config", str(hermes.home / "router.yaml"), "--port", "0").failed(
        "has no key", "LITELLM_MASTER_KEY")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk-wrong"},
                                     {"Authorization": MASTER_KEY}])
def test_without_the_key_nothing_is_told(router, headers, up):
    router.start({"free": ["echo"]})
    for method, path in [("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/health"),
                         ("POST", "/v1/chat/completions")]:
        answer = router.request(method, path, "{}" if method == "POST" else None, headers)
        assert answer.status == 401 and answer.error["type"] == "auth_error"
        assert answer.error["code"] == "401"
    for path in ("/health/liveliness", "/health/readiness"):
        assert router.request("GET", path, headers=headers).status == 200
    assert not up.requests
