"""The scripts run on other people's machines: bash 3.2, and BSD's or busybox' programs.

There is no such bash to be had here, so what it lacks is looked for as text; busybox stands for a
userland that is not GNU's, and everything that a script does is done once more with it.
"""

import pathlib
import re

import pytest
from cluster import ROOT, WELL, healthy, job, pod, container, problem
from node import busybox_userland

SCRIPTS = sorted(path for path in (ROOT / 'scripts/ai').iterdir() if path.suffix != '.tmpl')
NEWER_BASH = {
    'mapfile or readarray': r'\b(mapfile|readarray)\b',
    'associative arrays': r'\b(declare|local|typeset)\s+-\w*[Ang]',
    'changing case': r'\$\{\w+(\[[^]]*\])?(,,?|\^\^?)',
    '&>> and |&': r'&>>|\|&',
    'transformations': r'\$\{[\w@*]+@\w\}',
    'coproc': r'\bcoproc\b',
    'a variable that is set': r'\[\[? -v ',
    'times by printf': r'printf [^\n]*%\(',
    'wait -n': r'\bwait -\w*n',
    'fractions of read': r'\bread [^\n]*-t ?0?\.',
    'read -N': r'\bread -\w*N',
    'lastpipe and globstar': r'\bshopt\b',
    'BASHPID, EPOCHSECONDS': r'\b(BASHPID|EPOCHSECONDS|EPOCHREALTIME|SRANDOM)\b',
    'negative lengths': r'\$\{\w+:[^}]*: ?-',
    ';;& and ;&': r';;?&\s*$',
    'case inside $( )': r'\$\(\s*case\b',
}
NOT_EVERYWHERE = {
    'GNU options': r'\b(sed|grep|date|stat|sort|cp|ln|mktemp|readlink|xargs|tail|head|wc|tar|gzip'
                   r'|find)\b[^\n|]* --(?!version\b(?!-))[a-z]',
    'sed -i, -r, -z': r'\bsed -\w*[irz]',
    'grep -P': r'\bgrep -\w*P',
    'date -d': r'\bdate -\w*[dI]\b',
    'stat': r'(?:^|[|(;] *)stat\b',
    'readlink -f, realpath': r'\breadlink -\w*[fem]|\brealpath\b',
    'timeout, tac, nproc, seq, shuf': r'(?:^|[|(;] *)(timeout|tac|nproc|seq|shuf)\b',
    'find -printf, -delete': r'-printf\b|-delete\b',
    'sort -V': r'\bsort -\w*V',
    'base64 -w': r'\bbase64 -\w*w',
    'echo -e': r'\becho -',
    'GNU awk': r'\b(gensub|strftime|systime|asorti?|PROCINFO|length\(\w+\[)',
    'xargs -r, -d': r'\bxargs -\w*[rd]',
    'head -n -1': r'\b(head|tail) -n ?-',
    'escapes of GNU sed': r'\bsed [^\n]*\\[|+?wsb]',
    'jq': r'(?:^|[|(;] *)jq\b',
}


def code(path):
    """Without remarks, whose words are free."""
    return re.sub(r'(?m)^\s*#.*$', '', path.read_text())


@pytest.mark.parametrize('path', [*SCRIPTS, ROOT / 'registry/install-node'], ids=lambda p: p.name)
def test_nothing_that_a_mac_lacks(path):
    found = [f'{what}: {match[0]}' for what, pattern in {**NEWER_BASH, **NOT_EVERYWHERE}.items()
             for match in re.finditer(pattern, code(path), re.M)]
    assert not found


@pytest.mark.parametrize('sample, what', [
    ('mapfile -t x < y', 'mapfile or readarray'), ('echo ${x,,}', 'changing case'),
    ('declare -A x', 'associative arrays'), ('y=$(case $x in a) ;; esac)', 'case inside $( )'),
    ('date -d now', 'date -d'), ('sed -i s/a/b/ c', 'sed -i, -r, -z'),
    ('foo | timeout 3 x', 'timeout, tac, nproc, seq, shuf'), ('sort --version-sort', 'GNU options'),
])
def test_the_patterns_find_what_they_look_for(sample, what):
    assert re.search({**NEWER_BASH, **NOT_EVERYWHERE}[what], sample, re.M)


def test_arrays_that_may_be_empty_are_not_used():
    """bash before 4.4 calls an empty array unbound under set -u."""
    for path in SCRIPTS:
        assert not re.search(r'\[@\]|\[\*\]', code(path)), path.name


def test_every_script_is_one():
    for path in SCRIPTS:
        runs = path.stat().st_mode & 0o111
        assert bool(runs) == (path.suffix != '.sh')
        assert path.read_text().startswith('#!/usr/bin/env bash\n' if runs else
                                           '# shellcheck shell=bash\n')


@pytest.fixture
def busybox(tree, tmp_path):
    """The same tree with busybox in the place of everything but bash, git and kubectl."""
    folder = busybox_userland(tmp_path / 'busybox')
    for name in ('bash', 'git'):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(pathlib.Path('/usr/bin') / name)
    tree.userland = str(folder)
    return tree


def test_the_context_is_the_same_with_busybox(busybox):
    head = busybox.commit()
    assert busybox.run('context', '--tag').out.strip() == head
    busybox.write('src/main.c', 'changed')
    with_busybox = busybox.run('context', '--tag').out
    listed = busybox.run('context', '--list').out
    assert busybox.run('context').status == 0
    busybox.userland = None
    assert busybox.run('context', '--tag').out == with_busybox
    assert busybox.run('context', '--list').out == listed


def test_all_of_make_ai_with_busybox(busybox):
    busybox.secrets()
    cluster = busybox.kubectl
    cluster.sees('registry', healthy('registry'))
    cluster.sees('hermes', healthy('hermes'))
    for name in ('hermes-build', 'kubernetes-mcp-build'):
        cluster.sees(name, job(name, succeeded='1', end='Complete') +
                     pod(f'{name}-1', 'Succeeded') +
                     container(f'{name}-1', 'terminated', 'Completed',
                               message='sha256:' + 64 * 'd'))
    cluster.on('exec', WELL)
    for words in (['deploy', '--check'], ['registry'], ['build', 'hermes'],
                  ['build', 'kubernetes-mcp'], ['deploy'], ['logs']):
        done = busybox.run(*words)
        assert done.status == 0, done.text
    assert busybox.run('undeploy', YES='1').status == 0


def test_a_failure_is_explained_with_busybox(busybox):
    name = 'hermes-6b5-x'
    cluster = busybox.kubectl
    cluster.sees('registry', healthy('registry'))
    cluster.sees('hermes', healthy('hermes'))
    cluster.sees('hermes-build', job('hermes-build', failed='4', end='Failed', reason='Backoff') +
                 pod(name, 'Failed') + container(name, 'terminated', 'OOMKilled', '137'))
    cluster.on('exec', problem('telegram', 'refused', 'get @BotFather'), code=4)
    done = busybox.run('status')
    assert done.status == 1
    assert '-> raise limits.memory' in done.out and '-> put the right TELEGRAM' in done.out
