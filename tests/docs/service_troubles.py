"""What docs/troubleshooting.md quotes of `hermes run` and of what is asked about it, brought about.

As in troubles.py: name -> (reader) -> the output. Importing this adds the cases.
"""

import contextlib
import os
import re
import signal
import subprocess
import time

import telegram_models  # noqa: F401  registers its scenarios
from harness import IS_ROOT
from openai_upstream import Upstream
from ports import free_port
from service import Service
from telegram_api import TelegramApi
from troubles import case, config, fill, small_disk, told

OWNER = 42
SECONDS = 20  # that anything may take


@contextlib.contextmanager
def served(reader, start=True, **more):
    """(the Telegram of a reader, his `hermes run`); `more` goes to Service()."""
    with TelegramApi() as api:
        reader.use_telegram(api)
        service = Service(reader, **more)
        if start:
            service.start()
        try:
            yield api, service
        finally:
            service.kill()


def output(reader, service):
    """What it has printed so far, as a Result's texts are shown."""
    text = (service.process.out + service.process.err).decode("utf-8", "replace")
    text = text.replace(str(reader.home), "/home/you/.hermes")
    return text.replace(str(reader.directory / "config.yaml"), "/etc/hermes/config.yaml")


def until_said(reader, service, words):
    """Until standard error has the words; all of the output so far."""
    until = time.monotonic() + SECONDS
    while not re.search(words, output(reader, service)):
        assert time.monotonic() < until, output(reader, service)
        time.sleep(0.02)
    return output(reader, service)


# -- Telegram -------------------------------------------------------------------------------------

@case
def no_channel(reader):
    service = Service(reader).start()
    text = output(reader, service)
    service.stop()
    return text


@case
def no_token_of_a_bot(reader):
    return told(reader, reader.run("run", "--port", "0", env={"TELEGRAM_BOT_TOKEN": "my-token"}))


@case
def token_not_accepted(reader):
    with served(reader, env={"TELEGRAM_BOT_TOKEN": "7000000001:AAsomebodyelse"}) as (api, service):
        text = until_said(reader, service, "Unauthorized") + told(reader, reader.run("status"))
        assert api.knocks
        return text


@case
def two_pollers_on_one_token(reader):
    with served(reader, start=False) as (api, service):
        api.fault("getUpdates", "409", times=1000)
        service.start()
        return until_said(reader, service, "another program") + told(reader, reader.run("status"))


@case
def telegram_is_away(reader):
    with served(reader, start=False) as (api, service):
        api.down()
        service.start()
        text = until_said(reader, service, "not receiving messages")
        api.up()
        return text + until_said(reader, service, "receiving messages again")


@case
def a_stranger(reader):
    with served(reader) as (api, service):
        api.user_says(666, "let me in", name="Mallory")
        return until_said(reader, service, "telegram.unauthorized")


@case
def a_wrong_pairing_code(reader):
    with TelegramApi() as api:
        reader.use_telegram(api, users=None)
        service = Service(reader).start()
        api.user_says(666, "hello", name="Ann")
        api.wait_messages(666, 1)
        text = until_said(reader, service, "telegram.unauthorized")
        for _ in range(6):
            text += told(reader, reader.run("pairing", "approve", "telegram", "ABCDEFGH"))
        service.stop()
        return text


@case
def a_chat_that_is_gone(reader):
    with served(reader) as (api, service):
        api.block(OWNER)
        api.user_says(OWNER, "hi")
        text = until_said(reader, service, "given_up")
        return text + told(reader, reader.run("status"))


@case
def markup_refused(reader):
    with served(reader) as (api, service):
        api.fault("sendMessage", "no-markdown", times=10)
        api.user_says(OWNER, "hi")
        return until_said(reader, service, "markup_refused")


@case
def nobody_knows_whether_it_arrived(reader):
    with served(reader) as (api, service):
        api.fault("sendMessage", "cut-after")
        api.user_says(OWNER, "hi")
        return until_said(reader, service, "telegram.uncertain")


@case
def the_model_cannot_be_reached(reader):
    port = free_port()
    env = {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "HERMES_MODEL": "echo"}
    with served(reader, env=env) as (api, service):
        api.user_says(OWNER, "hi")
        until_said(reader, service, "state=failed")
        return told(reader, reader.run("status"))


# -- stops ----------------------------------------------------------------------------------------

def killed_in_mid_turn(reader, service, api, upstream):
    reader.use(upstream, "gate")
    service.start()
    api.user_says(OWNER, "long work")
    api.wait_text(OWNER, "begun")
    service.kill()


@case
def taken_up_again(reader):
    with Upstream() as up, served(reader, start=False) as (api, service):
        killed_in_mid_turn(reader, service, api, up)
        up.release.set()
        service.start()
        api.wait_text(OWNER, "and finished")
        return until_said(reader, service, "turn.resume")


@case
def not_taken_up_again(reader):
    """It waited for tools whose calls are not in its conversation."""
    with Upstream() as up, served(reader, start=False) as (api, service):
        killed_in_mid_turn(reader, service, api, up)
        reader.sql("db.execute(\"UPDATE turns SET state = 'tools' WHERE ended_ms IS NULL\")",
                   reader.home / "state.db")
        service.start()
        return until_said(reader, service, "could not be resumed")


@case
def given_up_after_four_stops(reader):
    with Upstream() as up, served(reader, start=False) as (api, service):
        killed_in_mid_turn(reader, service, api, up)
        for _ in range(3):
            asked = up.count("gate")
            service.start()
            assert up.wait_for(lambda: up.count("gate") > asked)
            service.kill()
        service.start()
        return until_said(reader, service, "given up")


@case
def parked(reader):
    path = config(reader, "agent:\n  restart_drain_timeout: 100ms\n")
    with Upstream() as up, served(reader, args=("--config", path)) as (api, service):
        service.stop()
        reader.use(up, "gate")
        service.start()
        api.user_says(OWNER, "long work")
        api.wait_text(OWNER, "begun")
        return told(reader, service.stop())


@case
def disk_full_in_mid_turn(reader):
    with Upstream() as up, small_disk(reader, "4m"):
        with served(reader, start=False) as (api, service):
            reader.use(up, "gate")
            service.start()
            api.user_says(OWNER, "long work")
            api.wait_text(OWNER, "begun")
            fill(reader)
            up.release.set()
            text = until_said(reader, service, "turn.waits") + told(reader, reader.run("status"))
            (reader.home / "ballast").unlink()
            api.wait_text(OWNER, "and finished", 60)
            assert len(api.messages(OWNER)) == 1
            service.kill()
            return text


# -- starting -------------------------------------------------------------------------------------

@case
def two_daemons(reader):
    with served(reader) as (_, service):
        text = told(reader, reader.run("run", "--port", "0"))
        assert f"pid {service.process.pid})" in text
        return text


@case
def root(reader):
    if not IS_ROOT:
        raise AssertionError("this needs root")
    done = subprocess.run(reader.command(["run", "--port", "0"]), env=reader.environment,
                          capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1 and not reader.home.exists()
    return done.stderr


@case
def configuration_within_reach(reader):
    reader.mkdir("workspace")
    path = reader.put("workspace/config.yaml", "model:\n  default: offline\n")
    return told(reader, reader.run("run", "--port", "0", "--config", path))


@case
def reload_refused(reader):
    path = config(reader, "model:\n  default: offline\n")
    with served(reader, args=("--config", path)) as (_, service):
        config(reader, "model:\n  default: offline\n  max_tokens: lots\n")
        service.process.signal(signal.SIGHUP)
        text = until_said(reader, service, "was not reloaded")
        config(reader, "model:\n  default: offline\n")
        service.process.signal(signal.SIGHUP)
        return text + until_said(reader, service, "configuration was reloaded")


@case
def the_daemon_answers(reader):
    """Options of a chat that another process answers."""
    with served(reader):
        return told(reader, reader.chat("hi", "--model", "other").ok())


# -- looking on -----------------------------------------------------------------------------------

@case
def no_admin_key(reader):
    with served(reader) as (_, service):
        text = service.get("/metrics")[1]
        service.stop()
        service.start(env={"HERMES_ADMIN_KEY": "a-key-of-your-own"})
        return text + service.get("/metrics")[1]


@case
def nothing_runs(reader):
    with served(reader) as (_, service):
        service.stop()
    return told(reader, reader.run("status"))


@case
def no_home_yet(reader):
    return told(reader, reader.run("sessions"))


@case
def the_log_cannot_be_written(reader):
    reader.mkdir("logs")
    (reader.home / "logs").chmod(0o500)
    with served(reader) as (_, service):
        text = until_said(reader, service, "cannot write")
    (reader.home / "logs").chmod(0o700)
    return text


@case
def the_daemon_hangs(reader):
    with served(reader) as (_, service):
        os.kill(service.process.pid, signal.SIGSTOP)
        text = told(reader, reader.run("status", limit=60))
        os.kill(service.process.pid, signal.SIGCONT)
        return text
