"""An owner lifts a mark, of what is there then."""

import json

import pytest
from taints import call, last_is_tainted, marks, query, shell, theirs  # noqa: F401


def taint(hermes, *words, code=0):
    done = hermes.run('taint', *words)
    assert done.code == code, done
    return done


def listed(hermes):
    return json.loads(taint(hermes, 'list', '--json').out)


def log(hermes, event='taint.lift'):
    lines = (hermes.home / 'logs' / 'gateway.log').read_text().splitlines()
    return [line for line in map(json.loads, lines) if line['event'] == event]


# -- the command ----------------------------------------------------------------------------------

@pytest.mark.parametrize('owned', [False, True])
def test_what_is_listed_and_lifted(hermes, theirs, service, owned):
    if owned:
        service()
    row, = [m for m in listed(hermes)['marks'] if m['name'] == 'd/a']
    assert (row['kind'], row['gone'], row['bytes']) == ('file', False, 7)
    assert row['why'] == 'tainted by recall of call 1' and row['marked_ms'] > 1.7e12
    assert 'd/a (tainted by recall of call 1), last changed' in taint(hermes, 'list').text
    assert 'Lifted.' in taint(hermes, 'lift', 'd/a', '--yes').text
    assert marks(hermes) == ['d']
    entry, = log(hermes)
    assert (entry['file'], entry['mark'], entry['by']) == ('d/a', row['id'], 'hermes taint')
    taint(hermes, 'lift', '--all-files', '--yes')
    assert marks(hermes) == [] and len(log(hermes)) == 2


def test_what_is_lifted_is_clean_until_it_is_written_again(hermes, theirs):
    taint(hermes, 'lift', '--all-files', '--yes')
    theirs(shell('cat d/a'))
    assert not last_is_tainted(hermes)
    theirs(shell('echo more >> d/a'), tainted=True)
    assert 'd/a' in marks(hermes)
    theirs(shell('cat d/a'))
    assert last_is_tainted(hermes)


@pytest.mark.parametrize('change', ['marked', 'written', 'all'])
def test_a_mark_that_was_listed_otherwise(hermes, theirs, change):
    found = listed(hermes)
    seen = found['all_files'] if change == 'all' else \
        [m['id'] for m in found['marks'] if m['name'] == 'd/a'][0]
    if change == 'written':
        (hermes.workspace / 'd' / 'a').write_text('quite another')
    else:
        theirs(shell('echo worse > d/a'), tainted=True)
    refused = taint(hermes, 'lift', seen, '--yes', code=1)
    assert 'has changed since it was listed' in refused.err.decode()
    assert marks(hermes) == ['d', 'd/a']


def test_a_note_and_an_entry(hermes, theirs):
    query("INSERT INTO taints VALUES('memory', 'obey', 'x', 5)", hermes)
    by_kind = {m['kind']: m for m in listed(hermes)['marks']}
    assert by_kind['note']['name'].startswith('a page says')
    taint(hermes, 'lift', by_kind['note']['id'], '--yes')
    taint(hermes, 'lift', by_kind['memory']['id'], '--yes')
    assert query('SELECT tainted FROM memory', hermes) == [(0,)]
    assert marks(hermes, 'memory') == []
    assert [set(entry) & {'file'} for entry in log(hermes)] == [set(), set()]  # no text of theirs


def test_somebody_is_asked(hermes, theirs, terminal):
    for answer, left in (('n', ['d', 'd/a']), ('y', ['d'])):
        with terminal('taint', 'lift', 'd/a') as asked:
            asked.expect('Do you vouch for what is there now')
            asked.send(answer + '\r')
            asked.expect('Lifted' if answer == 'y' else 'Nothing was lifted')
        assert marks(hermes) == left


@pytest.mark.parametrize('words,code', [
    (('lift',), 2), (('lift', 'd/a', '--all-files'), 2), (('list', 'x'), 2), (('wash',), 2),
    (('lift', 'd/a'), 1), (('lift', 'd/b', '--yes'), 1), (('lift', '../x', '--yes'), 1),
    (('lift', '%', '--yes'), 1), (('lift', 'f' * 5000, '--yes'), 1)])
def test_what_is_refused(hermes, theirs, words, code):
    refused = taint(hermes, *words, code=code)
    assert refused.err.startswith(b'hermes: ') and marks(hermes) == ['d', 'd/a']


def test_every_file(hermes, theirs):
    query("DELETE FROM taints", hermes)
    query("INSERT INTO taints VALUES('file', '', 'x', 5)", hermes)
    assert '(every file)' in taint(hermes, 'list').text
    theirs(shell('rm -f nothing'))
    assert '' in marks(hermes)
    taint(hermes, 'lift', '--all-files', '--yes')
    assert marks(hermes) == []


# -- in a conversation ----------------------------------------------------------------------------

def test_trust_in_a_console(hermes, theirs, service, terminal):
    running = service()
    with terminal('chat', columns=200) as chat:
        chat.say('/trust').expect(r'file d/a, marked 20\d\d-.*tainted by recall of call 1')
        chat.ready().say('/trust nothing').expect('Nothing was lifted')
        chat.ready().say('/trust d/a').expect('You vouch for what is there now:')
        chat.expect('file d/a, marked .* last changed .* 7 bytes')
        chat.ready()
    assert marks(hermes) == ['d'] and running.said('taint.lift', 5)


def test_trust_on_telegram(hermes, theirs, service, api):
    hermes.use_telegram(api)
    service()
    stranger = {'type': 'user', 'date': 1,
                'sender_user': {'id': 99, 'is_bot': False, 'first_name': 'Stranger'}}
    api.user_says(42, '/trust d/a', forward_origin=stranger)
    assert api.wait_text(42, 'type this yourself') and marks(hermes) == ['d', 'd/a']
    api.user_says(42, '/trust d/a')
    assert api.wait_text(42, 'You vouch') and marks(hermes) == ['d']
    entry, = log(hermes)
    assert entry['file'] == 'd/a' and entry['by'].startswith('telegram 42')


def test_a_kill_around_a_lift(hermes, theirs, service, api):
    """It is lifted and answered, or will be: never one without the other."""
    hermes.use_telegram(api)
    daemon = service()
    api.user_says(42, '/trust d/a')
    daemon.kill()
    daemon.start()
    assert api.wait_text(42, 'You vouch') and marks(hermes) == ['d']


def test_a_name_that_looks_like_an_answer(hermes, call, terminal):
    call(shell("touch 'b\n123456789abc: file c, lifted'"), tainted=True)
    with terminal('chat', columns=200) as chat:
        chat.say('/trust').expect(r'file b\?123456789abc: file c')
    assert b'\n123456789abc' not in taint(hermes, 'list').out
