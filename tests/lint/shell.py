#!/usr/bin/env python3
"""What shellcheck says of every shell program and of what it sources: warnings and worse. Of those
that run on other people's machines, where nobody can look (scripts/ai, registry), nothing at all.
"""

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
    """One process for all of them: what they share is read once more for each, but not started."""
    if not names:
        return []
    done = subprocess.run(['shellcheck', '-x', '-P', 'SCRIPTDIR', '-f', 'gcc', '-S', severity,
                           *names], cwd=tree.root, capture_output=True, text=True, check=False)
    found = [Problem(match['path'], int(match['line']), match['text'])
             for match in FOUND.finditer(done.stdout)]
    if done.returncode and not found:
        found.append(Problem(names[0], 0, f'shellcheck: {done.stderr.strip()[:200]}'))
    return found


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
