"""LiteLLM's model_list: names for models, each with a server and a key of its own."""

import json

import pytest

pytestmark = pytest.mark.qemu_user


def configure(hermes, up, default="free", more=""):
    hermes.put("config.yaml", f"""\
model:
  default: {default}
model_list:
  - model_name: free
    litellm_params:
      model: openai/echo
      api_base: {up.base_url}
      api_key: os.environ/MY_KEY
      rpm: 20
      region_name: eu
  - model_name: free
    litellm_params: {{model: openai/fixed, api_base: "http://127.0.0.1:9/v1"}}
  - model_name: strong
    litellm_params:
      model: openrouter/vendor/model
      api_base: {up.base_url}
      api_key: os.environ/MY_KEY
  - model_name: cheap
    litellm_params: {{model: openai/fixed, api_base: "{up.base_url}", api_key: os.environ/MY_KEY}}
  - model_name: keyless
    litellm_params: {{model: openai/echo, api_base: "{up.base_url}", api_key: os.environ/NO_KEY}}
  - model_name: claude
    litellm_params: {{model: anthropic/claude}}
router_settings:
  fallbacks: [{{free: [cheap]}}]
{more}""")
    hermes.environment["MY_KEY"] = up.api_key


def test_a_name_is_asked_under_the_servers_name(hermes, up):
    configure(hermes, up)
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert hermes.chat("hi", "--model", "cheap").ok().text == "ok\n"
    assert hermes.chat("hi", env={"HERMES_MODEL": "cheap"}).ok().text == "ok\n"
    assert [r.model for r in up.requests] == ["echo", "fixed", "fixed"]


def test_the_prefix_of_openrouter_is_taken_off(hermes, up):
    configure(hermes, up, "strong")
    hermes.chat("hi")
    assert up.requests[0].model == "vendor/model"


def test_what_is_not_used_is_told_and_nothing_more(hermes, up):
    configure(hermes, up)
    result = hermes.run("config", "check").ok()
    assert "model_list[0].litellm_params.region_name: known to LiteLLM, not used" in result.text
    assert "litellm_params.rpm" not in result.text
    assert "model_list[4].litellm_params.api_key: the environment variable NO_KEY" in result.text
    assert "0 errors" in result.text
    assert not hermes.chat("hi").ok().notes


def test_a_missing_key_counts_when_it_is_needed(hermes, up):
    configure(hermes, up, "keyless")
    result = hermes.chat("hi").failed("NO_KEY")
    assert "HERMES_SECRETS_DIR" in result.notes and not up.requests


def test_a_provider_that_is_not_spoken(hermes, up):
    configure(hermes, up, "claude")
    hermes.chat("hi").failed("anthropic is not a known provider")


def test_a_name_that_is_not_there(hermes, up):
    configure(hermes, up, "fre")
    hermes.chat("hi").failed("there is no model fre; model_list has free, strong, cheap, keyless")


def test_whom_a_budget_passes_over_is_told(hermes, up):
    """Of all that nobody says the price of; each entry of a name by itself."""
    configure(hermes, up, more="litellm_settings: {max_budget: 1}\n")
    told = hermes.run("config", "check").ok().text
    names = [line.split()[1] for line in told.splitlines() if "its price is unknown" in line]
    assert names == ["free", "free", "cheap"], told
    assert "warn  router        see hermes config check\n" in hermes.run("doctor").text


def test_it_is_shown_where_a_name_leads(hermes, up, service):
    configure(hermes, up)
    shown = hermes.run("config", "show").ok().text
    assert f"# model: free is echo at {up.base_url} (openai)\n" in shown
    assert up.api_key not in shown
    told = hermes.run("doctor").text
    assert f"free: echo at {up.base_url} (with a key)" in told
    assert "the api_key of \"keyless\" is in the variable NO_KEY" in told
    service()
    assert f"model     free: echo at {up.base_url}\n" in hermes.run("status").ok().text
    told = json.loads(hermes.run("status", "--json").ok().out)
    assert told["model"] == "free" and told["upstream"]["model"] == "echo"


def test_a_conversation_may_take_another(hermes, up, api, service):
    configure(hermes, up)
    hermes.use_telegram(api)
    service()
    assert api.wait_for(lambda: api.polling)
    for count, (said, answer) in enumerate([
            ("hi", "echo: hi"), ("/model cheap", "Model of this conversation: cheap"),
            ("hi", "ok"), ("/model keyless", "Model of this conversation: keyless"),
            ("hi", "NO_KEY"), ("/model nope", "Model of this conversation: nope"),
            ("hi", "there is no model nope; model_list has free, strong"),
            ("/model default", "Model of this conversation: free"),
            ("hi again", "echo: hi again")], 1):
        api.user_says(42, said)
        told = api.wait_messages(42, count)[-1].text
        assert told == answer or (told.startswith("⚠️") and answer in told), told


def test_the_keys_do_not_stand_in_the_log(hermes, up, api, service):
    key = "sk-of-the-list-0123456789"
    configure(hermes, up, more="")
    text = hermes.home.joinpath("config.yaml").read_text()
    hermes.put("config.yaml", text.replace("os.environ/NO_KEY", key))
    hermes.use_telegram(api)
    running = service()
    assert api.wait_for(lambda: api.polling)
    for count, said in enumerate([f"/model {key}", "hi"], 1):
        api.user_says(42, said)
        api.wait_messages(42, count)
    running.stop()
    assert key not in running.log_text and "[redacted]" in running.log_text
    assert key not in hermes.run("config", "show").ok().text
