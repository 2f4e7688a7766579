"""A tool that runs only when somebody approves the call; in the debug build any can be made one."""

import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import comes_true
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


def test_the_console_shows_what_nobody_sees(asking, terminal):
    call = {'path': 'ab\u200bc', 'content': 'x'}
    with terminal('chat') as chat:
        chat.say('call write_file ' + json.dumps(call, ensure_ascii=False))
        asked = chat.expect(r'may this run\? write_file .*y/N')[0]
        chat.ready().say('n').ready()
    assert r'ab\u200bc' in asked, asked


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


def test_the_status_tells_of_an_open_question(asking, api, service):
    asking.put('config.yaml', 'approvals:\n  mode: manual\n')
    asking.use_telegram(api)
    service()
    api.user_says(OWNER, 'call write_file ' + json.dumps({'path': 'AGENTS.md', 'content': 'x'}))
    api.wait_text(OWNER, 'write_file')
    api.wait_quiet(1)
    why = 'AGENTS.md holds instructions for the agent'
    told = json.loads(asking.run('status', '--json').ok().text)['questions']
    assert [(q['tool'], q['why'].split(';')[0]) for q in told] == [('write_file', why)]
    text = asking.run('status').ok().text
    assert f"/approve {told[0]['code']}; {why}" in text
    api.user_says(OWNER, '/status')
    shown = api.wait_text(OWNER, 'Text that nobody vouches for: none')
    assert f"Not answered: {told[0]['code']}, write_file ({why}" in api.texts(OWNER)[-1], shown


def test_what_the_agent_obeys_asks_in_every_mode(hermes, up, terminal):
    hermes.mkdir(hermes.workspace)
    hermes.use(up, 'tools')
    hermes.put('config.yaml', 'approvals:\n  mode: off\n')
    call = 'call write_file ' + json.dumps({'path': 'AGENTS.md', 'content': 'obey'})
    with terminal('chat') as chat:
        chat.say(call).expect(r'may this run\? write_file .*"AGENTS.md".*y/N')
        chat.ready()
        assert not (hermes.workspace / 'AGENTS.md').exists()
        chat.say('y').quiet(1).say('what else').ready()
    assert (hermes.workspace / 'AGENTS.md').read_text() == 'obey'
    hermes.chat('call write_file ' + json.dumps({'path': '.env', 'content': 'x'})).ok()
    assert not (hermes.workspace / '.env').exists()
    told = [m for m in up.requests[-1].messages if m['role'] == 'tool'][-1]['content']
    assert told.startswith('error: not run: .env holds secrets')


def test_the_mode_off(asking):
    asking.put('config.yaml', 'approvals:\n  mode: off\n')
    asking.chat(CALL).ok()
    assert (asking.workspace / 'made').exists()


# -- what an approval is bound to ------------------------------------------------------------------

RUN = 'call terminal ' + json.dumps({'command': 'sh run.sh'})


@pytest.fixture
def script(hermes, up):
    hermes.mkdir(hermes.workspace)
    hermes.environment['HERMES_DEBUG_ASKS'] = 'terminal'
    hermes.put(hermes.workspace / 'run.sh', 'touch made\n')
    return hermes.use(up, 'tools')


def told(up):
    return [m for m in up.requests[-1].messages if m['role'] == 'tool'][-1]['content']


@pytest.mark.parametrize('changed', [False, True])
def test_the_file_that_a_command_names(script, up, terminal, changed):
    with terminal('chat') as chat:
        chat.say(RUN).expect(r'may this run\? terminal .*run.sh')
        chat.ready()
        if changed:
            script.put(script.workspace / 'run.sh', 'touch worse\n')
        chat.say('y').quiet(1)
        assert comes_true(lambda: 'tool' in [m['role'] for m in up.requests[-1].messages])
    assert (script.workspace / 'made').exists() == (not changed)
    assert not (script.workspace / 'worse').exists()
    assert ('run.sh has changed' in told(up)) == changed


def test_the_file_changes_while_nothing_runs(script, up, api, service):
    script.use_telegram(api)
    daemon = service()
    api.user_says(OWNER, RUN)
    question = api.wait_text(OWNER, 'terminal')
    api.wait_quiet(1)
    daemon.kill()
    script.put(script.workspace / 'run.sh', 'touch worse\n')
    daemon.start()
    api.user_presses(question, '✅ Approve')
    api.wait_messages(OWNER, 3)
    api.wait_quiet(1)
    assert 'run.sh has changed' in told(up)
    assert not (script.workspace / 'worse').exists() and not (script.workspace / 'made').exists()


def test_the_question_says_what_it_is_not_bound_to(script, terminal):
    with open(script.workspace / 'large', 'wb') as file:
        file.truncate(33 << 20)
    with terminal('chat') as chat:
        chat.say('call terminal ' + json.dumps({'command': 'cat large'}))
        chat.expect(r'large may change before it runs: only 64 files of 32 MiB')
        chat.ready().say('n').ready()
