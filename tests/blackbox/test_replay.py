"""A turn that was recorded is done once more: nothing has an effect, and what differs is shown."""

import json

import pytest

import skills_home
import telegram_models  # noqa: F401  registers its scenarios
from harness import tree

ASKED = ('do it\n'
         'call call_tool {"name": "skill_view", "arguments": {"name": "drain"}}\n'
         'call write_file {"path": "made.txt", "content": "x"}')


@pytest.fixture
def recorded(hermes, up):
    """A turn of a home with a skill that loads it and writes a file; its recording."""
    hermes.use(up, 'two-steps')
    hermes.put('skills/ops/drain/SKILL.md', skills_home.skill('drain', 'Drains it.'))
    hermes.chat(ASKED).ok()
    session, = json.loads(hermes.run('sessions', 'list', '--json').ok().out)['sessions']
    hermes.session = session['id']
    text = hermes.run('replay', '--record', session['id'][:8]).ok().out.decode()
    hermes.put('skills/ops/drain/tests/a.json', text)
    return json.loads(text)


def replay(hermes, *words, code=0, **more):
    done = hermes.run('replay', *words, **more)
    assert done.code == code, done
    return done.text


def keep(hermes, recording, name='a.json'):
    path = f'skills/ops/drain/tests/{name}'
    hermes.put(path, json.dumps(recording))
    return str(hermes.home / path)


def test_a_recording(hermes, recorded):
    assert recorded['hermes_recording'] == 1 and recorded['question'] == ASKED
    steps = recorded['steps']
    assert [[c['name'] for c in s.get('calls', [])] for s in steps] == \
        [['call_tool'], ['write_file'], []]
    assert steps[1]['calls'][0]['result'] == 'wrote 1 bytes to made.txt'
    assert steps[2]['text'].endswith('wrote 1 bytes to made.txt')


@pytest.mark.parametrize('daemon', [False, True])
def test_nothing_differs_and_nothing_is_done(hermes, up, recorded, service, daemon):
    (hermes.workspace / 'made.txt').unlink()
    asked = len(up.requests)
    path = str(hermes.home / 'skills/ops/drain/tests/a.json')
    if daemon:
        service()
    before = tree(hermes.home / 'skills')
    assert 'The same as recorded.' in replay(hermes, path)
    assert 'The same as recorded.' in replay(hermes, hermes.session)
    assert not (hermes.workspace / 'made.txt').exists()
    assert len(up.requests) == asked and tree(hermes.home / 'skills') == before


def test_a_skill_that_was_changed(hermes, recorded):
    hermes.put('skills/ops/drain/SKILL.md', skills_home.skill('drain', 'Drains it.',
                                                              text='1. Do it twice.\n'))
    shown = replay(hermes, hermes.session, code=1)
    assert 'the result of call 1 differs:' in shown
    assert '- 1. Do it.\n' in shown and '+ 1. Do it twice.\n' in shown
    assert 'Drains' not in shown  # which is as it was


def test_a_command_with_a_skill(hermes, up):
    hermes.use(up, 'echo')
    hermes.put('skills/drain/SKILL.md', skills_home.skill('drain', 'Drains it.'))
    hermes.chat('/drain now').ok()
    session, = json.loads(hermes.run('sessions', 'list', '--json').ok().out)['sessions']
    text = hermes.run('replay', '--record', session['id']).ok().out.decode()
    assert json.loads(text)['question'] == '/drain now'
    assert 'The same' in replay(hermes, session['id'])
    hermes.put('skills/drain/SKILL.md', skills_home.skill('drain', 'Fills it.'))
    shown = replay(hermes, session['id'], code=1)
    assert 'what is sent with the question differs:' in shown
    assert '+ description: Fills it.' in shown


def test_a_live_model(hermes, up, recorded):
    (hermes.workspace / 'made.txt').unlink()
    asked = len(up.requests)
    assert 'The same' in replay(hermes, hermes.session, '--live')
    assert len(up.requests) == asked + 3
    recorded['steps'][1]['calls'][0]['arguments'] = '{"path":"made.txt","content":"y"}'
    path = keep(hermes, recorded)
    shown = replay(hermes, path, '--live', code=1)
    assert 'call 2 differs:' in shown and '"content":"y"' in shown
    assert 'this call is not in the recording' in shown  # as the answer repeats it
    assert not (hermes.workspace / 'made.txt').exists()


def test_what_an_answer_must_hold(hermes, recorded):
    recorded['expect'] = {'contains': ['wrote 1 bytes'], 'lacks': ['no such']}
    recorded['steps'][2]['text'] = 'wrote 1 bytes, in other words'
    path = keep(hermes, recorded)
    replay(hermes, path)
    replay(hermes, path, '--live')
    recorded['expect'] = {'contains': ['a miracle'], 'lacks': ['wrote']}
    shown = replay(hermes, keep(hermes, recorded), code=1)
    assert 'the answer lacks:\n- a miracle' in shown and 'the answer contains:\n+ wrote' in shown


@pytest.mark.parametrize('text', ['', '[]', '{"hermes_recording": 2}', '{"hermes_recording": 1}',
                                  '{"hermes_recording": 1, "question": "x", "steps": []}',
                                  '{"hermes_recording": 1, "question": "x", "steps": {"a": 1}}x'])
def test_what_is_no_recording(hermes, up, text):
    hermes.use(up, 'echo')
    hermes.put('x.json', text)
    hermes.run('replay', str(hermes.home / 'x.json')).failed('replay: ')


def test_a_strange_recording(hermes, up):
    hermes.use(up, 'echo')
    hermes.put('x.json', json.dumps({'hermes_recording': 1, 'question': 'x', 'steps': [
        {'calls': [{'name': 'no_such', 'arguments': 'no json'}, {}]}, {'text': 7, 'calls': 7}]}))
    hermes.run('replay', str(hermes.home / 'x.json')).exits(1)


def test_the_tests_of_a_skill(hermes, recorded):
    done = hermes.run('skills', 'test', 'drain')
    assert done.code == 0 and 'a.json: the same as recorded' in done.text, done
    recorded['steps'][0]['calls'][0]['result'] = 'something else'
    keep(hermes, recorded, 'b.json')
    done = hermes.run('skills', 'test', 'drain')
    assert done.code == 1 and 'b.json: 1 difference\n' in done.text, done
    hermes.run('skills', 'test', 'none').failed('there is no skill')
