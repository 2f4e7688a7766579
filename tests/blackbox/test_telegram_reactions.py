"""Reactions to a message: that it is worked on, and how that ended."""

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from telegram_owner import OWNER, settled

SEEN, GOOD, BAD, NONE = "👀", "👍", "👎", ""


@pytest.fixture
def start(hermes, api, up, service):
    def begin(model="say", config="telegram: {reactions: true}\n"):
        hermes.use_telegram(api)
        hermes.use(up, model)
        hermes.put("config.yaml", config)
        return service()
    return begin


def had(api, update, wanted):
    """The reactions of that message, once there are so many."""
    number = update["message"]["message_id"]
    assert api.wait_for(lambda: len(api.chats.reactions.get(number, [])) >= len(wanted))
    api.wait_quiet(0.5)
    assert api.chats.reactions[number] == wanted, api.story()


def test_none_unless_they_are_wanted(start, api):
    start(config="")
    api.user_says(OWNER, "say x")
    settled(api, 1)
    assert not api.of("setMessageReaction")


@pytest.mark.release
def test_each_message_has_its_own(start, api):
    start()
    first, second = api.user_says(OWNER, "say 1"), None
    had(api, first, [SEEN, GOOD])
    second = api.user_says(OWNER, "say 2")
    had(api, second, [SEEN, GOOD])
    assert len(api.chats.reactions) == 2 and not api.violations


def test_an_answer_that_fails(start, api):
    start(model="401")
    update = api.user_says(OWNER, "x")
    had(api, update, [SEEN, BAD])


def test_a_stop_takes_it_back(start, api):
    start(model="gate")
    update = api.user_says(OWNER, "x")
    had(api, update, [SEEN])
    api.user_says(OWNER, "/stop")
    had(api, update, [SEEN, NONE])


def test_it_runs_before_it_is_done(start, api):
    """The second call waits for the answer to the first, however long that takes."""
    start()
    api.fault("setMessageReaction", "delay", seconds=1.5)
    update = api.user_says(OWNER, "say x")
    settled(api, 1)
    had(api, update, [SEEN, GOOD])


@pytest.mark.parametrize("fault", ["400", "403", "429", "502", "reset-before", "malformed", "hang"])
def test_no_fault_of_them_touches_the_answer(start, api, fault):
    start()
    api.fault("setMessageReaction", fault, times=99, retry_after=60, text="REACTION_INVALID")
    for number in range(2):
        api.user_says(OWNER, f"say {number}")
        assert settled(api, number + 1, seconds=15)[-1] == str(number)


@pytest.mark.release
def test_a_kill_in_between(start, api, up):
    daemon = start(model="gate")
    update = api.user_says(OWNER, "x")
    had(api, update, [SEEN])
    daemon.kill()
    up.release.set()
    daemon.start()
    had(api, update, [SEEN, SEEN, GOOD])
