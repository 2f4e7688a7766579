"""The openai client from npm, as it is, in front of the agent's API."""

import re

import pytest

from api_client import KEY
from openai_upstream import Upstream
from test_openai_client import Client

import telegram_models  # noqa: F401  registers its scenarios

WRITE = 'a file\ncall write_file {"path": "a.txt", "content": "by the agent"}'


@pytest.fixture
def agent(packages, hermes, service):
    """agent("echo"): the client of a `hermes run` with that model."""
    opened = []
    with Upstream() as upstream:
        def start(model, key=KEY):
            hermes.use(upstream, model)
            hermes.mkdir(hermes.workspace)
            running = service(env={"API_SERVER_KEY": KEY, "API_SERVER_PORT": "0"})
            port = re.search(rb"\bapi: http://127\.0\.0\.1:(\d+)", running.process.out)[1]
            opened.append(Client(packages, int(port), key))
            return opened[-1]
        yield start
        for one in opened:
            one.__exit__()


def test_the_models(agent):
    model, = agent("echo").ask("models")["data"]
    assert model["id"] == "hermes-agent"


def test_a_chat_and_its_stream(agent):
    client = agent("echo")
    answer = client.ask("chat", "hermes-agent")
    assert answer["data"]["choices"][0]["message"]["content"] == "echo: hello"
    assert answer["headers"]["x-hermes-session-id"]
    final = client.ask("final", "hermes-agent")["data"]
    assert final["choices"][0]["message"]["content"] == "echo: hello"
    assert final["choices"][0]["finish_reason"] == "stop"
    chunks = client.ask("stream", "hermes-agent", stream_options={"include_usage": True})["data"]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] > 0


def test_tools_do_not_disturb_the_stream(agent, hermes):
    """The client takes every event for a chunk, also one of a kind that it does not know."""
    final = agent("chain").ask("final", "hermes-agent",
                               messages=[{"role": "user", "content": WRITE}])["data"]
    assert final["choices"][0]["message"]["content"] == "done with a file"
    assert (hermes.workspace / "a.txt").read_text() == "by the agent"


def test_a_response_and_its_stream(agent):
    client = agent("chain")
    answer = client.ask("response", "hermes-agent", input=WRITE)["data"]
    assert answer["output_text"] == "done with a file" and answer["status"] == "completed"
    told = client.ask("response_stream", "hermes-agent", input=WRITE)["data"]
    assert told["final"]["output_text"] == "done with a file"
    assert [item["type"] for item in told["final"]["output"]] == [
        "function_call", "function_call_output", "message"]
    assert told["events"][0]["type"] == "response.created"
    assert told["events"][-1]["type"] == "response.completed"
    next_one = client.ask("response", "hermes-agent", input="and now?",
                          previous_response_id=answer["id"])["data"]
    assert next_one["previous_response_id"] == answer["id"]


def test_a_failure_is_not_repeated(agent):
    problem = agent("502").fails("chat", "hermes-agent", options={"maxRetries": 2})
    assert problem.status == 500 and "502" in str(problem)


def test_a_wrong_key(agent):
    assert agent("echo", key="sk-wrong").fails("chat", "hermes-agent").name == "AuthenticationError"
