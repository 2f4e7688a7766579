"""The router inside the agent: its face beside `hermes run`, and the agent's own calls, which take
the same way as everybody's."""

import json
import re
import socket

import home_socket
import pytest
import telegram_models  # noqa: F401  registers its scenarios
from router_service import MASTER_KEY, Router


@pytest.fixture
def house(hermes, up, service):
    """house({"free": ["echo"]}) starts `hermes run` with these groups, the face included: the
    service, and the Router that asks it."""
    def start(groups, key=MASTER_KEY, model="free", **more):
        configure(hermes, up, groups, model, **more)
        running = service(env={"LITELLM_MASTER_KEY": key})
        router = Router(hermes, up)
        found = re.search(rb"router: http://127\.0\.0\.1:(\d+)", running.process.out)
        router.port = int(found.group(1)) if found else None
        return running, router
    return start


def configure(hermes, up, groups, model="free", **more):
    config = Router(hermes, up).config(groups, **more)
    del config["general_settings"]
    config["router"] = {"port": 0, **config.get("router", {})}
    config["model"] = {"default": model}
    hermes.put("config.yaml", json.dumps(config, indent=1))


def sums(hermes, up, by, name):
    """What the ledger says of that name, as soon as it says something."""
    def told():
        return [one for one in home_socket.ask(hermes.home, "GET", f"/cost/{by}/1")[1]["sums"]
                if one["name"] == name]
    assert up.wait_for(told, 60), home_socket.ask(hermes.home, "GET", f"/cost/{by}/1")
    return told()[0]


# -- the face -------------------------------------------------------------------------------------

def test_the_face_stands_beside_the_agent(house):
    _, router = house({"free": ["echo"]})
    assert router.ask().text == "echo: hello"
    assert router.ask(stream=True).whole


def test_a_container_opens_it_to_others_by_a_variable_and_only_with_a_key(hermes, up, service):
    configure(hermes, up, {"free": ["echo"]})
    everywhere = {"HERMES_ROUTER_HOST": "0.0.0.0"}
    running = service(env={**everywhere, "LITELLM_MASTER_KEY": MASTER_KEY})
    found = re.search(rb"router: http://0\.0\.0\.0:(\d+)\n", running.process.out)
    assert found, running.process.out
    socket.create_connection(("127.0.0.2", int(found[1])), timeout=60).close()
    running.stop()
    assert b"router:" not in running.restart(env=everywhere).process.out


def test_the_agents_own_models_are_not_for_clients(house):
    _, router = house({"free": ["echo"]})
    assert [model["id"] for model in router.request("GET", "/v1/models").json["data"]] == ["free"]
    assert router.ask(model="offline").status == 400


def test_without_a_key_there_is_no_face(house):
    running, router = house({"free": ["echo"]}, key=None)
    assert router.port is None and b"router:" not in running.process.out


def test_the_face_wants_the_key(house):
    _, router = house({"free": ["echo"]})
    assert router.request("GET", "/v1/models", headers={}).status == 401


def test_a_reload_is_the_faces_too(house, hermes, up):
    _, router = house({"free": ["echo"]})
    configure(hermes, up, {"free": ["fixed"], "cheap": ["echo"]})
    assert home_socket.ask(hermes.home, "POST", "/reload")[0] == 200
    assert router.ask().text == "ok" and router.ask(model="cheap").status == 200


def test_a_stop_lets_the_faces_calls_end(house, up):
    running, router = house({"free": ["hold"]})
    with router.open() as sock:
        assert up.wait_for(lambda: up.requests)
        running.process.signal(15)
        running.process.wait_for_output(b"stopping", "err")
        up.release.set()
        data = b""
        while part := sock.recv(65536):
            data += part
            if b"[DONE]" in data:
                break
    assert b"released" in data and b"[DONE]" in data
    running.process.finish(30).exits(0)


# -- the agent's calls ----------------------------------------------------------------------------

def test_a_chat_is_a_row_of_the_slot_main(house, hermes, up):
    house({"free": ["echo"]})
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    told = sums(hermes, up, "slot", "main")
    assert (told["calls"], told["failed"]) == (1, 0) and told["cost_usd"] == 0.00014


def test_a_chat_is_a_row_of_its_session(house, hermes, up):
    house({"free": ["echo"]})
    hermes.chat("hi").ok()
    session, = json.loads(hermes.run("sessions", "list", "--json").ok().text)["sessions"]
    assert sums(hermes, up, "session", session["id"])["calls"] == 1


def test_a_chat_without_a_daemon_is_in_the_ledger_too(hermes, up):
    configure(hermes, up, {"free": ["echo"]})
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    told = json.loads(hermes.run("cost", "--by", "slot", "--json").ok().text)
    assert [(one["name"], one["calls"]) for one in told["sums"]] == [("main", 1)]


def test_a_chat_takes_the_fallback(hermes, up):
    configure(hermes, up, {"free": ["401"], "cheap": ["echo"]}, fallbacks=[{"free": ["cheap"]}])
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert [request.model for request in up.requests] == ["401", "echo"]


def test_a_chat_too_long_for_its_model_is_told_so(hermes, up):
    """The router knows without asking anybody, and the network has nothing to do with it."""
    small = Router(hermes, up).deployment("echo", model_info={"max_input_tokens": 10})
    configure(hermes, up, {"free": [small]}, enable_pre_call_checks=True)
    told = hermes.chat("hi").exits(1).notes
    assert "larger than the context of the model's deployments" in told
    assert "start a new conversation, or use a model with a larger context" in told
    assert not up.requests


def test_a_chat_is_told_the_failure_that_ended_it(hermes, up):
    """Not that of the model that was asked before."""
    configure(hermes, up, {"free": ["401"], "cheap": ["huge-json"]}, own={"buffers": "1Mi"},
              fallbacks=[{"free": ["cheap"]}])
    told = hermes.chat("hi").exits(1).notes.splitlines()[-1]
    assert [request.model for request in up.requests] == ["401", "huge-json"]
    assert "buffers are full" in told


def test_a_chat_with_tools_is_a_row_for_every_call(house, hermes, up):
    house({"free": ["tools"]})
    hermes.chat("call current_time {}").ok()
    assert sums(hermes, up, "slot", "main")["calls"] == 2


def test_a_chat_with_the_offline_model_needs_no_list(hermes, up):
    """The list names none of it, and no client may ask it: the agent may."""
    configure(hermes, up, {"free": ["echo"]}, model="offline")
    assert "offline" in hermes.chat("hi").ok().text and not up.requests


def test_a_chat_with_a_model_beside_the_list(hermes, up):
    """model.default need not be in the list, where the other settings say who has it."""
    hermes.use(up).key_may_be_in = ["config.yaml"]
    configure(hermes, up, {"free": ["echo"]}, model="fixed")
    assert hermes.chat("hi").ok().text == "ok\n"


def test_clients_and_the_agent_share_what_is_known_of_a_deployment(house, hermes, up):
    """It refused a client: the agent does not try it again."""
    _, router = house({"free": ["401"], "cheap": ["echo"]}, fallbacks=[{"free": ["cheap"]}])
    assert router.ask().text == "echo: hello"
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert up.count("401") == 1


# -- an agent that waits for its turn -------------------------------------------------------------

WAITS = "the limit per minute of free is reached; this waits for its turn (place 1)"


@pytest.fixture
def narrow(hermes, up):
    """One request a minute, and 6 s of patience; what does not fit goes to `cheap`."""
    limited = Router(hermes, up).deployment("echo", rpm=1)
    configure(hermes, up, {"free": [limited], "cheap": ["fixed"]}, own={"queue_timeout": 6},
              fallbacks=[{"free": ["cheap"]}])


def test_a_terminal_is_told_that_it_waits(hermes, narrow, service):
    """Not at once: most waits are over by then."""
    service()
    assert WAITS not in hermes.chat("hi").ok().notes
    result = hermes.chat("again").ok()
    assert result.notes.count(WAITS) == 1 and result.text == "ok\n"


def test_a_chat_sees_that_it_waits_until_the_answer_comes(hermes, narrow, service, api):
    hermes.use_telegram(api, users="42")
    service()
    api.user_says(42, "hi")
    api.wait_text(42, "echo: hi")
    api.user_says(42, "again")
    api.wait_text(42, WAITS)
    api.wait_text(42, "cheap answers now", 30)
    assert api.texts(42)[0] == "echo: hi" and api.texts(42)[1].startswith("ok\n")
    assert len(api.texts(42)) == 2
