"""A tool that runs only when somebody approves the call; in the debug build any can be made one."""

import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from telegram_owner import OWNER

pytestmark = pytest.mark.debug_build

CALL = 'call write_file ' + json.dumps({'path': 'made', 'content': 'x'})


@pytest.fixture
def asking(hermes, up):
    hermes.mkdir(hermes.workspace)
    hermes.environment['HERMES_DEBUG_ASKS'] = 'write_file'
    return hermes.use(up, 'tools')


@pytest.mark.parametrize('answer,made', [('y', True), ('n', False), ('', False),
                                         ('/approve', True), ('/stop', False)])
def test_the_console_asks(asking, terminal, answer, made):
    with terminal('chat') as chat:
        chat.say(CALL).expect(r'may this run\? write_file .*"made".*y/N')
        chat.ready()
        assert not (asking.workspace / 'made').exists()
        chat.say(answer).ready()
        chat.say('what else').ready()
    assert (asking.workspace / 'made').exists() == made


def test_what_was_typed_before_is_no_answer(asking, terminal):
    with terminal('chat') as chat:
        chat.ready().send(CALL + ' and ' + CALL + '\ry\r')
        chat.expect(r'may this run')
        chat.quiet(1).say('y\ry\r')  # the second question is not there yet
        chat.expect(r'may this run')
        chat.quiet(1)
        assert not (asking.workspace / 'made').exists()
        chat.say('n').quiet(1).say('what else').ready()
    assert (asking.workspace / 'made').exists()


@pytest.mark.parametrize('daemon', [False, True])
def test_an_expired_question_leaves_the_screen(asking, service, terminal, daemon):
    asking.put('config.yaml', 'approvals:\n  timeout: 3s\n')
    if daemon:
        service()
    with terminal('chat') as chat:
        chat.say(CALL).expect('may this run')
        chat.ready().send('y')  # and not quite decided
        chat.expect('this question has expired; nothing was run')
        chat.ready().send('\r').quiet(1).say('what else').ready()
        assert 'approval' not in chat.screen
    assert not (asking.workspace / 'made').exists()


@pytest.mark.parametrize('questions', [1, 2])
@pytest.mark.parametrize('daemon', [False, True])
def test_only_the_answer_is_on_standard_output(asking, service, questions, daemon):
    if daemon:
        service()
    result = asking.chat(' and '.join([CALL] * questions)).ok()
    assert result.notes.count('denied, since nobody can be asked here') == questions
    assert 'enied: write_file' not in result.text, result
    assert ('Denied: write_file (1 more to answer)' in result.notes) == (questions == 2)
    assert not (asking.workspace / 'made').exists()


@pytest.mark.parametrize('answer', ['✅ Approve', '❌ Deny'])
def test_a_question_outlives_a_kill(asking, api, service, answer):
    asking.use_telegram(api)
    daemon = service()
    api.user_says(OWNER, CALL)
    question = api.wait_text(OWNER, 'write_file')
    api.wait_quiet(1)
    daemon.kill()
    daemon.start()
    api.user_says(OWNER, 'are you there')
    api.wait_quiet(1)
    assert len(api.texts(OWNER)) == 1 and not (asking.workspace / 'made').exists()
    api.user_presses(question, answer)
    api.wait_messages(OWNER, 4)  # what became of the question, and both answers
    api.wait_quiet(1)
    assert len(api.texts(OWNER)) == 4, api.story()
    assert (asking.workspace / 'made').exists() == ('Approve' in answer)


def test_what_the_agent_obeys_asks_in_every_mode(hermes, up, terminal):
    hermes.mkdir(hermes.workspace)
    hermes.use(up, 'tools')
    hermes.put('config.yaml', 'approvals:\n  mode: off\n')
    call = 'call write_file ' + json.dumps({'path': 'AGENTS.md', 'content': 'obey'})
    with terminal('chat') as chat:
        chat.say(call).expect(r'may this run\? write_file .*"AGENTS.md".*y/N')
        chat.ready()
        assert not (hermes.workspace / 'AGENTS.md').exists()
        chat.say('y').ready()
    assert (hermes.workspace / 'AGENTS.md').read_text() == 'obey'
    hermes.chat('call write_file ' + json.dumps({'path': '.env', 'content': 'x'})).ok()
    assert not (hermes.workspace / '.env').exists()
    told = [m for m in up.requests[-1].messages if m['role'] == 'tool'][-1]['content']
    assert told.startswith('error: not run: .env holds secrets')


def test_the_mode_off(asking):
    asking.put('config.yaml', 'approvals:\n  mode: off\n')
    asking.chat(CALL).ok()
    assert (asking.workspace / 'made').exists()
