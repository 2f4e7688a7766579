"""A file that is removed loses its mark; one that is moved, copied or linked keeps it."""

import json
import time

import pytest
from harness import comes_true
from taints import call, last_is_tainted, marks, shell, theirs  # noqa: F401


@pytest.mark.parametrize('command', ['rm d/a', 'rm -r d', 'cp d/a b; rm d/a b', 'mv d/a b; rm b',
                                     'mv d/a ${TMPDIR:-/tmp}/x'])
def test_what_is_removed_loses_its_mark(hermes, theirs, command):
    theirs(shell(command))
    assert 'd/a' not in marks(hermes) and 'b' not in marks(hermes)
    theirs(shell('ls -R; rm -rf d'))
    theirs(shell('ls -R; echo new > c'))
    assert not last_is_tainted(hermes)
    assert marks(hermes) == []


def test_a_file_that_a_patch_removes(hermes, theirs):
    theirs(('patch', {'patch': '*** Begin Patch\n*** Delete File: d/a\n*** End Patch'}))
    assert marks(hermes) == ['d']


WASHING = {
    'rename': ('mv d/a b', 'b'),
    'rename to the old': ('touch -d 2000-01-01 d/a; mv d/a b; touch -d 2000-01-01 b', 'b'),
    'link': ('ln d/a b; rm d/a', 'b'),
    'copy': ('cp -a d/a b; rm d/a', 'b'),
    'again': ('cat d/a > b; rm d/a; mv b d/a', 'd/a'),
    'directory': ('mv d e', 'e/a'),
    'directory within': ('mkdir x; mv d x/e', 'x/e/a'),
    'new directory': ('mv d e; mkdir d', 'e/a'),
    'to a link': ('mv d e; ln -s e d', 'e/a'),
    'archive': ('tar cf b.tar d; rm -r d', 'b.tar'),
    'swap': ('echo x > b; mv b c; mv d/a b; mv c d/a', 'b'),
    'closed': ('mkdir e; mv d/a e/b; chmod 0 e', 'e/'),
    'symbolic link': ('ln -s d/a b', 'b'),
}


@pytest.mark.parametrize('way', WASHING)
def test_nothing_is_washed(hermes, theirs, way):
    time.sleep(1.1)  # so that it is this command that counts
    command, path = WASHING[way]
    theirs(shell(command))
    assert path in marks(hermes)
    if path.endswith('/'):
        theirs(shell('chmod 700 ' + path))
    else:
        theirs(('read_file', {'path': path}))
    assert last_is_tainted(hermes)


def test_a_link_that_was_there_before(hermes, call):
    hermes.put(hermes.workspace / 'b', 'x')
    call(shell('ln b a'))
    call(shell('echo theirs > a'), tainted=True)
    call(shell('rm a'))
    assert marks(hermes) == ['b']


def test_a_command_in_the_background_keeps_marks(hermes, theirs):
    """It has read what it likes, and writes when nobody looks."""
    theirs(shell('cat d/a > /tmp/k; sleep 2; cat /tmp/k > b', background=True),
           shell('sleep 4; rm -r d'))
    assert marks(hermes, 'handle')
    assert 'd/a' in marks(hermes)
    theirs(shell('true'))
    assert last_is_tainted(hermes)


def test_a_clean_command_in_the_background_keeps_marks(hermes, call, service, api):
    """It began before anything was marked."""
    hermes.use_telegram(api)
    service()

    def says(*calls):
        before = len(api.texts(42))
        api.user_says(42, '\n'.join(f'call {name} {json.dumps(given)}' for name, given in calls))
        api.wait_messages(42, before + 1)
        api.wait_quiet()
        api.user_says(42, '/new')
        api.wait_messages(42, before + 2)
    recall = ('call_tool', {'name': 'recall', 'arguments': {'query': 'page'}})
    says(shell('sleep 600', background=True))
    assert marks(hermes, 'handle') == []
    says(recall, shell('echo theirs > a'))
    assert [name[:5] for name in marks(hermes, 'handle')] == ['proc_']
    says(shell('rm a'))
    assert 'a' in marks(hermes)


@pytest.mark.parametrize('length,gone', [(20, True), (200, False)])
def test_many_marks(hermes, call, length, gone):
    """More names than are noted: nothing is dropped, and all else is as it was."""
    call(shell('echo theirs > a'), tainted=True)
    hermes.sql(f"db.executemany(\"INSERT INTO taints VALUES('file', ?, '', 1)\","
               f" [('x%d' % i + 'y' * {length},) for i in range(1500)]); db.commit()",
               hermes.home / 'state.db')
    call(shell('rm a; echo theirs > b'))
    found = marks(hermes)
    assert 'b' in found and ('a' not in found) == gone and len(found) >= 1501


def test_an_owner_who_moves_it(hermes, theirs):
    """Nobody saw that, so nothing is certain."""
    (hermes.workspace / 'd' / 'a').rename(hermes.workspace / 'b')
    theirs(shell('true'))
    assert 'd/a' in marks(hermes)


def test_a_kill_while_it_is_removed(hermes, call, service, api):
    hermes.use_telegram(api)
    call(shell('echo theirs > a'), tainted=True)
    daemon = service()
    api.user_says(42, 'call terminal ' + json.dumps({'command': 'rm a; touch gone; sleep 60'}))
    assert comes_true(lambda: (hermes.workspace / 'gone').exists())
    daemon.kill()
    assert marks(hermes) == ['a']
    daemon.start()
    assert comes_true(lambda: 'gone' in marks(hermes), 30)
    assert 'a' in marks(hermes)
