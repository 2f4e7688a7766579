#!/usr/bin/env python3
"""What shellcheck says of every shell program and of what it sources: warnings and worse. Of those
that run on other people's machines, where nobody can look (scripts/ai, registry), nothing at all.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import lintlib
from lintlib import Problem

PROGRAM = re.compile(rb'#!(?!.*busybox).*\b(?:ba)?sh\b')
PART = re.compile(rb'# shellcheck shell=')
ABROAD = ('scripts/ai/', 'registry/')
FOUND = re.compile(r'^(?P<path>.*?):(?P<line>\d+):\d+: (?P<text>.*)$', re.M)


def scripts(tree):
    """A part that another file sources is read with that one, and abroad by itself as well."""
    for name in tree.files:
        data = tree.data(name)
        if 'corpus' not in name.split('/') and (
                PROGRAM.match(data) or (PART.match(data) and name.startswith(ABROAD))):
            yield name


def check_some(tree, names, severity):
    """One process for all of them. It takes seconds, so what passed as it is is not read again."""
    stamp = stamp_of(tree, names, severity)
    if not names or stamp.exists():
        return []
    done = subprocess.run(['shellcheck', '-x', '-P', 'SCRIPTDIR', '-f', 'gcc', '-S', severity,
                           *names], cwd=tree.root, capture_output=True, text=True, check=False)
    found = [Problem(match['path'], int(match['line']), match['text'])
             for match in FOUND.finditer(done.stdout)]
    if done.returncode and not found:
        found.append(Problem(names[0], 0, f'shellcheck: {done.stderr.strip()[:200]}'))
    if not found:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    return found


def stamp_of(tree, names, severity):
    """The name of a file that is there when every shell file of the tree passed as it is."""
    digest = hashlib.sha256(pathlib.Path(shutil.which('shellcheck')).read_bytes())
    for name in sorted({*names, *(name for name in tree.files if name.endswith('.sh'))}):
        digest.update(f'{severity} {name} {len(tree.data(name))} '.encode() + tree.data(name))
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(base) / 'hermes/passed' / f'shellcheck-{digest.hexdigest()[:24]}'


def check(tree):
    if not shutil.which('shellcheck'):
        return [Problem('scripts/deps', 0, 'shellcheck is missing: run scripts/deps lint')]
    names = list(scripts(tree))
    abroad = [name for name in names if name.startswith(ABROAD)]
    return [*check_some(tree, abroad, 'style'),
            *check_some(tree, [name for name in names if name not in abroad], 'warning')]


PLANTED = [
    ('an unused variable and a style', {
        'scripts/ai/a': '#!/usr/bin/env bash\necho "`date`"\n',
        'scripts/ai/c.sh': '# shellcheck shell=bash\ny=1\n',
        'scripts/b': '#!/usr/bin/env bash\nx=1\necho "`date`"\n',
        'tests/d.py': '#!/usr/bin/env python3\nx = `1`\n'},
     ['scripts/ai/a:2: note', 'scripts/b:2: warning', 'scripts/ai/c.sh:2: warning']),
    ('what is sourced is found beside the script', {
        'scripts/a': '#!/usr/bin/env bash\n# shellcheck source=b.sh\n. "$(dirname "$0")/b.sh"\n'
                     'echo "$told" "$unknown"\n',
        'scripts/b.sh': '# shellcheck shell=bash disable=SC2034\ntold=1\n'},
     ['scripts/a:4: warning: unknown']),
]

if __name__ == '__main__':
    lintlib.main(check, PLANTED)
