"""The smoke test on the Pi's own kind of kernel: the static binary, its network, its memory.

What hermes does in detail is tested elsewhere, on faster machines; here stands what only an ARM64
kernel can answer. One machine serves all tests, each with a home of its own.
"""
import re
import shlex

import pytest
from conftest import GUEST_CA, binary, judge_idle

REST_SECONDS = 10
ADMIN = "http://127.0.0.1:9119"


class Hermes:
    """The program in the guest, with one home."""

    def __init__(self, machine, home):
        self.machine = machine
        self.home = home
        self.env = {"HERMES_HOME": home, "HERMES_MODEL": "offline"}

    def run(self, *words, **env):
        return self.machine.run(shlex.join(["hermes", *words]), env={**self.env, **env})

    def chat(self, text, **env):
        result = self.run("chat", "-q", text, **env)
        assert result.status == 0, result
        return result.out

    def use(self, upstream, model):
        self.env.update(HERMES_MODEL=model, OPENAI_BASE_URL="https://fake.test/v1",
                        OPENAI_API_KEY=upstream.api_key, SSL_CERT_FILE=GUEST_CA)
        return self


@pytest.fixture
def hermes(machine, request):
    if not binary().is_file():
        pytest.fail(f"no binary at {binary()}. Run: make static ARCH=aarch64")
    return Hermes(machine, f"/home/hermes/{request.node.name}")


def test_version(hermes):
    result = hermes.run("version")
    assert result.status == 0 and re.search(r"\d+\.\d+", result.out), result


def test_the_offline_model_answers(hermes):
    assert hermes.chat("hi").strip()


def test_the_offline_model_uses_the_file_tools(hermes):
    hermes.chat("write notes.txt: the pump runs at noon")
    found = hermes.machine.run(f"cat {hermes.home}/workspace/notes.txt")
    assert found.out.strip() == "the pump runs at noon", found
    assert "the pump runs at noon" in hermes.chat("read notes.txt")


def test_an_answer_over_tls(hermes, upstream):
    before = upstream.count("echo")
    assert "platypus" in hermes.use(upstream, "echo").chat("say platypus")
    assert upstream.count("echo") == before + 1 and not upstream.rejected


def test_a_tool_call_over_tls(hermes, upstream):
    hermes.use(upstream, "tools").chat('call write_file {"path":"a.txt","content":"quokka"}')
    assert hermes.machine.run(f"cat {hermes.home}/workspace/a.txt").out.strip() == "quokka"


def test_an_unknown_authority_is_refused(hermes, upstream):
    """The built-in roots do not know the fake: no request may reach it."""
    before = len(upstream.requests)
    hermes.use(upstream, "echo")
    del hermes.env["SSL_CERT_FILE"]
    result = hermes.run("chat", "-q", "hi")
    assert (result.status, result.out) == (1, ""), result
    assert re.search("certificate|TLS", result.err), result
    assert len(upstream.requests) == before


def test_idle_memory(hermes):
    """Ten seconds of rest after becoming ready; all processes of that name together."""
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in hermes.env.items())
    result = hermes.machine.run(f"""
        in_cgroup watched hermes env {exports} hermes run >/tmp/run.log 2>&1 &
        wait_for 60 wget -q -O - {ADMIN}/readyz || {{ cat /tmp/run.log >&2; exit 1; }}
        wget -q -O - {ADMIN}/healthz >/dev/null || exit 1
        sleep {REST_SECONDS}
        rss_of hermes; memory_of watched
        echo 1 >/sys/fs/cgroup/watched/cgroup.kill
        """, user="root")
    assert result.status == 0, result
    judge_idle("idle", result.values())
