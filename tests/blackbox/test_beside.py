"""/bg: a question beside the conversation; /sethome: where what nobody waits for goes."""

import pytest

import delegate_models  # noqa: F401  registers its scenarios
from taints import query
from telegram_owner import OWNER

PARENT = "SELECT count(*) FROM turns WHERE ended_ms IS NULL"


@pytest.fixture
def talk(hermes, up, api, service):
    hermes.use(up, "hands-on").use_telegram(api)
    up.release.clear()
    return service()


def asked(up, text):
    return [r for r in up.requests if any(m["content"] == text for m in r.messages)]


def answers(api, text):
    return [said for said in api.texts(OWNER) if text in said]


def test_the_conversation_goes_on(hermes, up, api, talk):
    api.user_says(OWNER, "say before")
    api.wait_text(OWNER, "before")
    api.user_says(OWNER, "/bg hold a long one")
    assert up.wait_for(lambda: asked(up, "hold a long one"))
    assert len(asked(up, "hold a long one")[0].messages) == 2, "it is another one"
    api.user_says(OWNER, "say meanwhile")
    api.wait_text(OWNER, "meanwhile")
    assert len(up.requests[-1].messages) == 4, "and nothing of it is in this one"
    up.release.set()
    api.wait_text(OWNER, "/bg hold a long one:\nabout to say a long one")


@pytest.mark.release
def test_a_kill_answers_it_once(hermes, up, api, talk):
    for number in range(4):
        up.release.clear()
        api.user_says(OWNER, f"/background hold {number}")
        if number % 2:
            assert up.wait_for(lambda: asked(up, f"hold {number}"))
        talk.kill()
        talk.start()
        up.release.set()
        api.wait_text(OWNER, f"/bg hold {number}:\nabout to say {number}")
    api.wait_quiet(1)
    # One answer, which a kill while it is delivered may show twice.
    assert query("SELECT count(*) FROM outbox", hermes) == [(4,)]
    assert query("SELECT DISTINCT source, unattended, state FROM turns", hermes) == \
        [("telegram", 1, "done")]


def test_stop_ends_it(hermes, up, api, talk):
    api.user_says(OWNER, "/bg hold on")
    assert up.wait_for(lambda: asked(up, "hold on"))
    api.user_says(OWNER, "/stop")
    api.wait_text(OWNER, "Stopped.")
    assert up.wait_for(lambda: query(PARENT, hermes) == [(0,)])
    assert query("SELECT state FROM turns", hermes) == [("cancelled",)]


def test_it_may_hand_tasks_on_and_asks_nobody(hermes, up, api, talk):
    api.user_says(OWNER, '/bg hand {"goal": "say done"}')
    api.wait_text(OWNER, "heard: done")
    api.user_says(OWNER, '/bg do call terminal {"command":"rm -rf x"}')
    api.wait_text(OWNER, "nobody can be asked here")


def test_without_a_text_it_says_what_is_missing(hermes, up, api, talk):
    api.user_says(OWNER, "/bg")
    api.wait_text(OWNER, "Say /bg and what is to be done.")
    api.user_says(OWNER, "/bg /new")
    api.wait_quiet(1)
    assert len(answers(api, "Say /bg and")) == 2
    assert "begin a second hermes chat" in hermes.chat("/bg say x").ok().text


def test_the_home_channel_is_kept(hermes, up, api, talk):
    api.user_says(OWNER, "/sethome")
    api.wait_text(OWNER, "comes here")
    talk.kill()
    talk.start()
    assert query("SELECT value FROM meta WHERE key = 'fact:home channel of telegram'", hermes) == \
        [(f"{OWNER}\n",)]
    assert "say it to the bot on Telegram" in hermes.chat("/sethome").ok().text
