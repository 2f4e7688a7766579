"""What came of text that nobody vouches for is known as such in every later conversation."""

import json
import re
import time

import pytest
from harness import comes_true
from taints import STRANGE, call, last_is_tainted, marks, query, shell  # noqa: F401


def test_a_command_of_a_tainted_turn(hermes, call):
    hermes.put(hermes.workspace / 'mine', 'x')
    time.sleep(1.5)  # which is how exact times of files are
    call(shell('mkdir d; echo theirs > d/a; cp d/a b'), tainted=True)
    assert marks(hermes) == ['b', 'd', 'd/a']


@pytest.mark.parametrize('daemon', [False, True])
def test_the_status_names_the_conversation(hermes, call, service, daemon):
    def status():
        text = hermes.run('status').text
        return text, json.loads(hermes.run('status', '--json').text)['tainted']
    if daemon:
        service()
    call(('current_time', {}))
    assert status()[1] == [] and 'tainted' not in status()[0]
    call(('current_time', {}), tainted=True)
    text, [told] = status()
    session, = (row[0] for row in query('SELECT id FROM sessions ORDER BY number DESC LIMIT 1',
                                        hermes))
    assert (told['session'], told['channel']) == (session, 'console')
    assert told['why'] == 'tainted by recall of call 1'
    head = r'tainted +1 conversation with text that nobody vouches for\n'
    line = rf' +console: .* \({session[:8]}\): tainted by recall of call 1, 20'
    assert re.search(head + line, text), text
    call(('current_time', {}))
    assert len(status()[1]) == 1, 'each talk in a terminal is one of its own'


def test_a_command_where_nothing_is_marked(hermes, call):
    call(shell('echo mine > d'))
    call(shell('cat d'))
    assert not last_is_tainted(hermes) and marks(hermes) == []


@pytest.mark.parametrize('command', ['cat d/a', 'tar c .', 'cat $(ls d)', 'make', 'ls'])
def test_a_command_sees_every_file(hermes, call, command):
    call(shell('mkdir d; echo theirs > d/a'), tainted=True)
    call(shell(f'{command} > out; true'))
    assert last_is_tainted(hermes)
    # Without the model having seen any of it.
    assert [name for name in marks(hermes) if name.endswith('out')]


def test_output_that_is_kept(hermes, call):
    call(shell('mkdir d; echo theirs > d/a'), tainted=True)
    call(shell('cat d/a; seq 100000'))
    handle, = marks(hermes, 'handle')
    assert handle.startswith('out_')
    call(('call_tool', {'name': 'read_result', 'arguments': {'handle': handle}}))
    assert last_is_tainted(hermes)


def test_a_turn_that_was_killed(hermes, call, service, api):
    hermes.use_telegram(api)
    daemon = service()
    recall = json.dumps({'name': 'recall', 'arguments': {'query': 'page'}})
    slow = json.dumps({'command': 'echo theirs > a; sleep 60'})
    api.user_says(42, f'call call_tool {recall}\ncall terminal {slow}')
    assert comes_true(lambda: (hermes.workspace / 'a').exists())
    time.sleep(0.5)
    daemon.kill()
    assert marks(hermes) == []
    daemon.start()
    assert comes_true(lambda: 'a' in marks(hermes), 30)


def test_the_status_and_the_log_say_why(hermes, call, service, terminal):
    running = service()
    recall = json.dumps({'name': 'recall', 'arguments': {'query': 'page'}})
    with terminal('chat') as chat:
        chat.say('/status').expect('Text that nobody vouches for: none')
        chat.ready().say(f'call call_tool {recall}').expect(STRANGE)
        chat.ready().say('/status').expect(r'tainted by recall of call 1, 20\d\d-')
    assert running.said('turn.tainted', 5)
