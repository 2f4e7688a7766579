"""Secrets that lie in the workspace: no result of a tool shows them to the model."""

import base64
import json

import pytest

PLANTED = "wombat-7731-umbrella"


@pytest.fixture
def tool(hermes, up):
    hermes.use(up, "tools")
    hermes.mkdir(hermes.workspace)

    def call(name, **arguments):
        hermes.chat(f"call {name} {json.dumps(arguments)}").ok()
        return [m for m in up.requests[-1].messages if m["role"] == "tool"][0]["content"]
    return call


def put(hermes, name, text):
    hermes.put(name, text, base=hermes.workspace)


def sources(hermes, up):
    """Where the program knows a value from, each under the name by which it is a secret."""
    hermes.environment["WOMBAT_TOKEN"] = PLANTED
    hermes.put(".env", "UMBRELLA_SECRET=dotenv-88-gazelle\n")
    return [PLANTED, up.api_key, "dotenv-88-gazelle"]


def test_without_its_name_a_value_is_shown(hermes, up, tool):
    """What the other tests hide would be read without."""
    put(hermes, "a.txt", f"{PLANTED}\n")
    assert PLANTED in tool("read_file", path="a.txt")


def test_known_values(hermes, up, tool):
    values = sources(hermes, up)
    hermes.key_may_be_in = ("a.txt",)
    put(hermes, "a.txt", "".join(f"value: {value}\n" for value in values))
    shown = tool("read_file", path="a.txt")
    assert shown.count("value: [redacted]") == len(values)
    shown = tool("search_files", pattern="value")
    assert not any(value in shown for value in values)
    assert shown.count("[redacted]") == len(values)


def test_a_value_that_begins_as_a_path(hermes, up, tool):
    """Base64 may; only what is one is shown."""
    hermes.environment["WOMBAT_KEY"] = "/" + PLANTED
    hermes.environment["WOMBAT_TOKEN_FILE"] = str(hermes.workspace / "a.txt")
    put(hermes, "a.txt", f"one /{PLANTED}\ntwo {hermes.workspace}/a.txt\n")
    shown = tool("read_file", path="a.txt")
    assert PLANTED not in shown and "one [redacted]" in shown
    assert f"two {hermes.workspace}/a.txt" in shown


def test_a_name_of_a_file(hermes, up, tool):
    sources(hermes, up)
    put(hermes, f"{PLANTED}.txt", "x")
    assert PLANTED not in tool("list_files", path=".")
    assert PLANTED not in tool("read_file", path=f"{PLANTED}/none")


@pytest.mark.parametrize("count", [100, 600])
def test_more_than_can_be_looked_for(hermes, service, count):
    for i in range(count):
        hermes.environment[f"S{i}_TOKEN"] = f"value-{i:08}"
    assert bool(service().said("secrets[.]limit")) == (count > 512)


@pytest.mark.parametrize("before", ["", "x", "xy"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64(hermes, up, tool, before, encode):
    sources(hermes, up)
    text = encode(f"{before}{PLANTED} and more".encode()).decode()
    put(hermes, "a.txt", text + "\n")
    shown = tool("read_file", path="a.txt")
    assert "[redacted]" in shown and text[8:24] not in shown


@pytest.mark.parametrize("text", [
    "sk-" + "a1b2c3d4" * 4, "ghp_" + "Ab1" * 12, "AKIA" + "ABCDEFGHIJKLMNOP",
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NSJ9." + "c2lnbmF0dXJl",
    "123456789:" + "AA" + "b" * 33, "Bearer " + "abcdef0123456789abcdef",
    "-----BEGIN " + "RSA PRIVATE KEY-----",
])
def test_shapes(hermes, up, tool, text):
    put(hermes, "a.txt", f"it is {text}\n")
    shown = tool("read_file", path="a.txt")
    assert "[redacted]" in shown and text not in shown


def test_a_result_that_is_cut(hermes, up, tool):
    """The value lies across every place at which a result could be cut."""
    sources(hermes, up)
    put(hermes, "a.txt", "".join(f"{'-' * (i % 90)}{PLANTED}\n" for i in range(1900)))
    shown = tool("read_file", path="a.txt")
    assert "wombat" not in shown and shown.count("[redacted]") > 100
