"""A new configuration for a hermes that runs: by SIGHUP, and over the socket."""

import re
import signal
import time

import pytest
from harness import SOON, comes_true, descriptors

import telegram_models  # noqa: F401  registers its scenarios
from home_socket import ask

OWNER, OTHER = 42, 43


@pytest.fixture
def talk(hermes, api, up, service):
    """talk(model, …) starts a daemon whose model, users and mode stand in config.yaml, where a
    reload finds others (the environment would not change)."""
    def start(model="echo", **more):
        hermes.use_telegram(api, users=None)
        hermes.use(up)
        configure(hermes, model, **more)
        return service()
    return start


def configure(hermes, model, users=OWNER, mode="interrupt", more=""):
    hermes.put("config.yaml", f"""\
model:
  default: {model}
telegram:
  allowed_users: "{users}"
display:
  busy_input_mode: {mode}
{more}""")


def reload(running, level="info"):
    before = len(running.events("config.reload"))
    running.process.signal(signal.SIGHUP)
    until = time.monotonic() + 5
    while len(found := running.events("config.reload")) == before:
        assert time.monotonic() < until and running.running, running.process.err
        time.sleep(0.01)
    assert found[-1]["level"] == level, found[-1]
    return found[-1]


@pytest.mark.qemu_user
def test_another_model(hermes, up, service):
    hermes.use(up).put("config.yaml", "model:\n  default: echo\n")
    running = service()
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    hermes.put("config.yaml", "model:\n  default: fixed\n")
    assert hermes.chat("hi").ok().text == "echo: hi\n"
    assert reload(running)["model"] == "fixed"
    assert hermes.chat("hi").ok().text == "ok\n"
    assert "model     fixed at http" in hermes.run("status").ok().text
    assert running.said("the configuration was reloaded; model fixed")


def test_other_users(hermes, api, talk):
    running = talk()
    api.user_says(OTHER, "hi")
    assert running.said("telegram.unauthorized", 5)
    configure(hermes, "echo", users=OTHER)
    reload(running)
    api.user_says(OTHER, "now?")
    api.wait_text(OTHER, "echo: now?")
    api.user_says(OWNER, "and I?")
    api.wait_quiet(1)
    assert api.texts(OWNER) == []


def test_another_way_to_be_busy(hermes, api, up, talk):
    running = talk("gate")
    api.user_says(OWNER, "one")
    api.wait_text(OWNER, "answer to one: begun")
    configure(hermes, "gate", mode="queue")
    reload(running)
    update = api.user_says(OWNER, "two")
    assert api.wait_for(lambda: api.offsets[-1] > update["update_id"])
    time.sleep(0.3)
    assert up.count("gate") == 1, "it interrupted all the same"
    up.release.set()
    api.wait_text(OWNER, "answer to one: begun and finished")
    api.wait_text(OWNER, "answer to two: begun and finished")


def test_in_the_middle_of_an_answer(hermes, api, up, talk):
    """The call that runs ends with the model it was made to; the next step asks the new one."""
    running = talk("gate-tools")
    api.user_says(OWNER, "one")
    assert up.wait_for(lambda: up.count("gate-tools") == 1)
    for model in ("echo", "fixed", "echo"):
        configure(hermes, model)
        reload(running)
    time.sleep(1.2)  # what is not used any more is looked for once a second
    up.release.set()
    api.wait_text(OWNER, "echo: one")
    asked = [event["model"].split("/")[-1] for event in running.events("turn.model")]
    assert asked == ["gate-tools", "echo"]
    api.user_says(OWNER, "two")
    api.wait_text(OWNER, "echo: two")
    assert running.events("turn.end")[0]["state"] == "done"


@pytest.mark.parametrize("text,words", [
    ("model: [unclosed\n", "config.yaml:\\d+"), ("display:\n  busy_input_mode: shout\n", "shout"),
    ("logging:\n  keep: many\n", "logging.keep|many"),
    ("model:\n  api_key: ${NOT_SET_ANYWHERE}\n", "NOT_SET_ANYWHERE"),
    ("model:\n  base_url: ftp://x\n  default: m\n", "base_url|ftp")])
def test_a_broken_one_changes_nothing(hermes, up, service, text, words):
    hermes.use(up)
    if "base_url" in text:
        hermes.environment.pop("OPENAI_BASE_URL")
        good = f"model:\n  default: echo\n  base_url: {up.base_url}\n"
    else:
        good = "model:\n  default: echo\n"
    hermes.put("config.yaml", good)
    running = service()
    hermes.put("config.yaml", text)
    failed = reload(running, "error")
    assert "the configuration was not reloaded; the old one stays in use: " in failed["error"]
    assert re.search(words, failed["error"]), failed
    status, answer = ask(hermes.home, "POST", "/reload")
    assert status == 422 and "stays in use" in answer["error"]
    assert hermes.chat("still you?").ok().text == "echo: still you?\n"
    hermes.put("config.yaml", good)
    reload(running)
    assert running.stop()


def test_a_file_that_is_gone_or_unreadable(hermes, up, service):
    hermes.use(up, "echo").put("config.yaml", "display:\n  busy_input_mode: queue\n")
    running = service(args=["--config", str(hermes.home / "config.yaml")])
    (hermes.home / "config.yaml").chmod(0)
    assert "config.yaml" in reload(running, "error")["error"]
    (hermes.home / "config.yaml").unlink()
    assert "config.yaml" in reload(running, "error")["error"]
    assert hermes.chat("hi").ok().text == "echo: hi\n"


def test_nothing_is_lost_meanwhile(hermes, api, up, talk):
    """A message at each reload, good and broken in turns."""
    running = talk("say")
    for number in range(5):
        update = api.user_says(OWNER, f"say number {number}.")
        assert api.wait_for(lambda: api.offsets and api.offsets[-1] > update["update_id"])
        if number % 2:
            hermes.put("config.yaml", "model: [\n")
            reload(running, "error")
        else:
            configure(hermes, "say", mode="queue")
            reload(running)
    api.wait_text(OWNER, "number 4.", 20)
    api.wait_quiet(0.5)
    assert sorted(api.texts(OWNER)) == [f"number {n}." for n in range(5)]


def test_over_the_socket(hermes, up, service):
    hermes.use(up).put("config.yaml", "model:\n  default: echo\n")
    service()
    hermes.put("config.yaml", "model:\n  default: fixed\n")
    status, answer = ask(hermes.home, "POST", "/reload")
    assert status == 200 and answer["text"] == "the configuration was reloaded; model fixed"
    assert hermes.chat("hi").ok().text == "ok\n"


def test_what_takes_a_restart_is_said(hermes, up, api, service):
    hermes.use(up, "echo").put("config.yaml", "display:\n  busy_input_mode: queue\n")
    service()
    hermes.bots.append(api)
    hermes.key_may_be_in = (".env",)
    hermes.put(".env", f"TELEGRAM_BOT_TOKEN={api.token}\n")
    text = ask(hermes.home, "POST", "/reload")[1]["text"]
    assert "Telegram's token and base URL change at the next start" in text
    assert hermes.chat("hi").ok()


@pytest.mark.release
def test_many_reloads_leave_nothing_behind(hermes, up, service):
    hermes.use(up, "echo").put("config.yaml", "display:\n  busy_input_mode: queue\n")
    running = service()
    for _ in range(3):
        assert ask(hermes.home, "POST", "/reload")[0] == 200
    time.sleep(1.3)  # what is not used any more is looked for once a second
    before = descriptors(running.process.pid)
    for _ in range(100):
        assert ask(hermes.home, "POST", "/reload")[0] == 200
    assert comes_true(lambda: descriptors(running.process.pid) <= before + 2)
    hermes.memory_below(running.stop(), 16 * 1024)


def test_the_log_goes_by_the_new_one(hermes, up, service):
    hermes.use(up, "echo").put("config.yaml", "logging:\n  level: info\n")
    running = service()
    hermes.put("config.yaml", "logging:\n  level: error\n")
    assert ask(hermes.home, "POST", "/reload")[0] == 200
    before = len(running.events("turn.end"))
    hermes.chat("quiet").ok()
    assert len(running.events("turn.end")) == before


def test_a_new_secret_is_hidden_as_well(hermes, up, service):
    """The key that came with a reload is one that must not stand in the log."""
    hermes.use(up, "echo")
    running = service(env={"HERMES_ADMIN_KEY": None})
    hermes.put("config.yaml", "admin:\n  key: a-new-admin-key-1234567\n")
    reload(running)
    hermes.chat("/model a-new-admin-key-1234567")
    hermes.run("sessions", "show", "a-new-admin-key-1234567")
    hermes.chat("hi").ok()
    assert running.get("/metrics")[0] == 401
    assert "a-new-admin-key" not in running.log_text + running.process.err.decode()


def test_a_user_who_is_taken_off_the_list_in_mid_turn(hermes, api, up, talk):
    """What he was promised he gets; he is not heard again."""
    running = talk("gate")
    api.user_says(OWNER, "one")
    api.wait_text(OWNER, "begun")
    configure(hermes, "gate", users=OTHER)
    reload(running)
    api.user_says(OWNER, "two")
    assert running.said("telegram.unauthorized", 5)
    up.release.set()
    api.wait_text(OWNER, "answer to one: begun and finished")
    api.wait_quiet(0.5)
    assert len(api.texts(OWNER)) == 1


def test_while_it_ends(hermes, up, service):
    """SIGHUP after SIGTERM neither keeps it alive nor ends it early."""
    hermes.use(up, "gate").put("config.yaml", "agent:\n  restart_drain_timeout: 20s\n")
    running = service()
    with hermes.start("chat", "-q", "long") as chat:
        chat.wait_for_output(b"begun")
        running.process.signal(signal.SIGTERM)
        assert running.said("daemon.stop", 5)
        for _ in range(20):
            running.process.signal(signal.SIGHUP)
            time.sleep(0.01)
        up.release.set()
        assert chat.finish(SOON).ok().text.endswith("and finished\n")
    running.process.finish(SOON).exits(0)


@pytest.mark.release
def test_a_storm_of_them(hermes, up, service):
    hermes.use(up, "words:8").put("config.yaml", "display:\n  busy_input_mode: queue\n")
    running = service()
    with hermes.start("chat", "-q", "slowly") as chat:
        chat.wait_for_output(b"word1")
        while chat.popen.returncode is None and b"end of" not in chat.out:
            running.process.signal(signal.SIGHUP)
        assert "end of slowly" in chat.finish(SOON).ok().text
    hermes.memory_below(running.stop(), 16 * 1024)
