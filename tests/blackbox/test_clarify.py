"""The model asks its owner, and the answer waits for what they say."""

import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import comes_true
from telegram_owner import OWNER

QUESTION = {'question': 'Which colour?', 'choices': ['red', 'dark blue']}
CALL = 'call call_tool ' + json.dumps({'name': 'clarify', 'arguments': QUESTION})


@pytest.fixture
def asking(hermes, up):
    hermes.mkdir(hermes.workspace)
    return hermes.use(up, 'tools')


def told(up):
    return [m['content'] for m in up.requests[-1].messages if m['role'] == 'tool'][-1:]


@pytest.mark.parametrize('typed,answer', [('2', 'dark blue'), ('green, rather', 'green, rather'),
                                          ('y', 'y'), ('/answer red', 'red')])
@pytest.mark.parametrize('daemon', [False, True])
def test_the_console(asking, up, service, terminal, daemon, typed, answer):
    if daemon:
        service()
    with terminal('chat') as chat:
        chat.say(CALL).expect(r'Which colour[?]\s+hermes: 1[.] red\s+hermes: 2[.] dark')
        chat.ready().say(typed)
        assert comes_true(lambda: told(up) == [f'the user answered: {answer}'])
        chat.ready().say('what else').ready()


def test_nobody_is_at_the_console(asking, up):
    asking.chat(CALL).ok()
    assert told(up) == ['the user does not want to answer this, or cannot']


@pytest.mark.parametrize('killed', [False, True])
@pytest.mark.parametrize('pressed', [False, True])
def test_telegram(asking, api, up, service, pressed, killed):
    asking.use_telegram(api)
    daemon = service()
    api.user_says(OWNER, CALL)
    question = api.wait_text(OWNER, 'Which colour?')
    api.wait_quiet(1)
    if killed:
        daemon.kill()
        daemon.start()
    if pressed:
        api.user_presses(question, 'dark blue')
    else:
        api.user_says(OWNER, 'dark blue')
    api.wait_messages(OWNER, 3)
    api.wait_quiet(1)
    assert told(up) == ['the user answered: dark blue']
    assert 'Answered: dark blue' in api.texts(OWNER)
