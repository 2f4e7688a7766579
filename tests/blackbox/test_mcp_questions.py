"""A server asks the person something in the middle of a call, and the call goes on with that."""

import json
import os
import signal

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from harness import comes_true
from mcp_fakes import servers, tool, wait_ready  # noqa: F401  servers is a fixture
from telegram_owner import OWNER

FORM = {'message': 'Where to?', 'requestedSchema': {
    'type': 'object', 'required': ['city'], 'properties': {
        'city': {'type': 'string', 'title': 'City', 'minLength': 2},
        'nights': {'type': 'integer', 'minimum': 1, 'maximum': 9, 'default': 3},
        'note': {'type': 'string'}}}}
CONFIRM = {'message': 'Delete the pod?', 'requestedSchema': {'type': 'object', 'properties': {}}}
COLOUR = {'message': 'Pick', 'requestedSchema': {'type': 'object', 'properties': {
    'colour': {'type': 'string', 'oneOf': [{'const': 'r', 'title': 'Red'},
                                           {'const': 'b', 'title': 'Blue'}]}}}}
MANY = {'message': 'Pick', 'requestedSchema': {'type': 'object', 'properties': {
    'days': {'type': 'array', 'minItems': 1,
             'items': {'type': 'string', 'enum': ['mon', 'tue', 'wed', 'thu', 'fri']}}}}}
PAGE = {'mode': 'url', 'message': 'Sign in', 'elicitationId': '1',
        'url': 'https://login.example/start?x=1'}


def asks(*questions, name='ask'):
    return tool(name, asks=list(questions))


@pytest.fixture(params=['legacy', 'modern'])
def asking(request, hermes, up, servers):  # noqa: F811
    servers.use(request.param)
    hermes.mkdir(hermes.workspace)
    hermes.use(up, 'tools')
    servers.era = request.param
    return servers


def told(up):
    """What the last call came to."""
    return [m['content'] for m in up.requests[-1].messages if m['role'] == 'tool'][-1:] \
        if up.requests else []


def came_to(up, *said):
    return comes_true(lambda: [json.dumps(said)] == [t.strip() for t in told(up)]) or told(up)


def test_a_form_is_asked_field_by_field(asking, hermes, up, service, terminal):
    service()
    wait_ready(hermes)
    with terminal('chat') as chat:
        chat.say(asks(FORM)).expect(r'MCP server fake asks you:\s+hermes: > Where to[?]')
        chat.expect(r'1 of 3: City')
        chat.ready().say('Z').expect('too small')
        chat.ready().say('Zürich')
        chat.expect(r'2 of 3: nights')
        chat.expect('at most 9')
        chat.ready().say('12')
        chat.expect('too large')
        chat.ready().say('-')
        chat.expect(r'3 of 3: note')
        chat.expect('leaves it out')
        chat.ready().say('-')
        chat.expect('This would be sent')
        chat.expect('City: "Zürich"')
        chat.ready().say('Send it')
        assert came_to(up, {'action': 'accept', 'content': {'city': 'Zürich', 'nights': 3}}) is True
    assert len(asking.calls) == (1 if asking.era == 'legacy' else 2)


@pytest.mark.parametrize('typed,said', [
    ('y', {'action': 'accept', 'content': {}}), ('2', {'action': 'decline'}),
    ('/deny', {'action': 'decline'})])
def test_a_confirmation(asking, hermes, up, service, terminal, typed, said):
    service()
    wait_ready(hermes)
    with terminal('chat') as chat:
        chat.say(asks(CONFIRM)).expect('> Delete the pod')
        chat.ready().say(typed)
        assert came_to(up, said) is True


def test_choices_and_a_page_one_after_the_other(asking, hermes, up, service, terminal):
    service()
    wait_ready(hermes)
    with terminal('chat') as chat:
        chat.say(asks(COLOUR, MANY, PAGE)).expect('1[.] Red')
        chat.ready().say('blue')
        chat.expect('not among')
        chat.ready().say('Blue').expect('5[.] fri')
        chat.ready().say('1, thu')
        chat.expect('On login[.]example:')
        chat.expect('https://login[.]example/start')
        chat.ready().say('1')
        assert came_to(up, {'action': 'accept', 'content': {'colour': 'b'}},
                       {'action': 'accept', 'content': {'days': ['mon', 'thu']}},
                       {'action': 'accept'}) is True


@pytest.mark.parametrize('pressed', [False, True])
def test_telegram(asking, hermes, api, up, service, pressed):
    hermes.use_telegram(api)
    service()
    wait_ready(hermes)
    api.user_says(OWNER, asks(COLOUR))
    question = api.wait_text(OWNER, 'The MCP server fake asks you')
    if pressed:
        api.user_presses(question, 'Red')
    else:
        api.user_says(OWNER, 'red')
        question = api.wait_text(OWNER, 'not among the choices')
        api.user_says(OWNER, 'r')
    assert came_to(up, {'action': 'accept', 'content': {'colour': 'r'}}) is True


def test_nobody_is_at_the_console(asking, hermes, up):
    hermes.chat(asks(CONFIRM)).ok()
    assert told(up) == [json.dumps([{'action': 'decline'}])]


def test_nobody_can_be_asked(asking, hermes):
    said = hermes.run('mcp', 'call', 'fake', 'ask', json.dumps({'asks': [CONFIRM]})).ok()
    assert json.loads(said.text) == [{'action': 'cancel'}]


@pytest.mark.parametrize('question', [
    {'message': 'x' * 4000, 'requestedSchema': {'type': 'object', 'properties': {}}},
    {'message': 'x', 'requestedSchema': {'type': 'object', 'properties': {'a': {}}}},
    {'message': 'x', 'requestedSchema': 'nonsense'},
    {'mode': 'url', 'message': 'x', 'url': 'file:///etc/passwd'},
    {'mode': 'url', 'message': 'x', 'url': 'https://login.example@evil.example/'},
    {'mode': 'url', 'message': 'x', 'url': 'https://exämple.com/'}])
def test_what_cannot_be_asked_is_cancelled(asking, hermes, up, question):
    hermes.chat(asks(question)).ok()
    assert told(up) == [json.dumps([{'action': 'cancel'}])]


def soon(hermes):
    config = hermes.home / 'config.yaml'
    config.write_text(config.read_text().replace('{mode: off}', '{mode: off, timeout: 2s}'))


def test_the_time_for_an_answer_is_over(asking, hermes, api, up, service):
    soon(hermes)
    hermes.use_telegram(api)
    service()
    wait_ready(hermes)
    api.user_says(OWNER, asks(CONFIRM))
    api.wait_text(OWNER, 'Delete the pod')
    assert came_to(up, {'action': 'cancel'}) is True


def test_whoever_was_asked_has_left(asking, hermes, up, service, terminal):
    soon(hermes)
    service()
    wait_ready(hermes)
    with terminal('chat') as chat:
        chat.say(asks(CONFIRM)).expect('> Delete the pod')
        chat.expect('has expired')
    if asking.era == 'legacy':
        assert comes_true(lambda: (asking.state / 'cancelled').exists())
    said = hermes.chat(tool('echo', text='and on')).ok()  # nothing holds the server
    assert told(up) == ['and on'], said


def test_a_stop_ends_the_call(asking, hermes, up, service, terminal):
    service()
    wait_ready(hermes)
    with terminal('chat') as chat:
        chat.say(asks(CONFIRM)).expect('> Delete the pod')
        chat.ready().say('/stop').expect('Stopped')
        if asking.era == 'legacy':
            assert comes_true(lambda: (asking.state / 'cancelled').exists())
        chat.ready().say(tool('echo', text='and on')).expect('and on')
        assert comes_true(lambda: told(up) == ['and on'])
        before = [m['content'] for m in up.requests[-1].messages if m['role'] == 'tool'][0]
        assert 'it may have had an effect' in before


@pytest.mark.parametrize('name,again', [('ask', True), ('asknote', False)])
def test_a_restart_while_the_question_is_open(asking, hermes, api, up, service, name, again):
    hermes.use_telegram(api)
    daemon = service()
    wait_ready(hermes)
    api.user_says(OWNER, asks(CONFIRM, name=name))
    api.wait_text(OWNER, 'Delete the pod')
    api.wait_quiet(1)
    daemon.kill()
    daemon.start()
    wait_ready(hermes)
    api.user_says(OWNER, 'yes')
    if again:  # it only reads, so it is called anew, and asks anew
        assert comes_true(lambda: sum('Delete the pod' in text for text in api.texts(OWNER)) == 2)
        api.wait_quiet(1)
        api.user_says(OWNER, 'yes')
        assert came_to(up, {'action': 'accept', 'content': {}}) is True
    else:
        assert comes_true(lambda: told(up) and 'was restarted while its question' in told(up)[0])
        assert sum(line.startswith('ask ') for line in asking.calls) == 1


def test_the_server_dies_while_its_question_is_open(asking, hermes, up, service, terminal):
    service()
    wait_ready(hermes)
    with terminal('chat') as chat:
        chat.say(asks(CONFIRM, name='asknote')).expect('> Delete the pod')
        chat.ready()
        for number in asking.processes():
            os.kill(number, signal.SIGKILL)
        chat.say('yes')
        assert comes_true(lambda: told(up) and 'MCP server' in told(up)[0]), told(up)
        chat.ready()
