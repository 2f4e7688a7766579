#!/usr/bin/env python3
"""The formatting is what clang-format says, so that nobody has to talk about it.

Debian 12's version 14 is the judge. Newer versions agree with it except inside macros (braces of an
initializer), so where only a newer one is installed, its opinion on macros does not count.
`tests/lint/format.py --fix` (or `make fmt`) rewrites the files.
"""

import re
import shutil
import subprocess

import clex
import lintlib
from lintlib import Problem

COMPLAINT = re.compile(r'^(?P<path>.*?):(?P<line>\d+):\d+: error: .*clang-format', re.M)
BATCH = 40      # files for one call: one process each costs more than the formatting


def formatter():
    return shutil.which('clang-format-14') or shutil.which('clang-format')


def is_judge():
    said = subprocess.run([formatter(), '--version'], capture_output=True, text=True, check=False)
    return ' 14.' in said.stdout


def in_macros(text):
    """The lines that belong to a macro definition."""
    return {token.line for token in clex.code(text) if token.directive == 'define'}


def run(tree, options):
    """clang-format over every C file; the style is this repository's, also for planted trees."""
    style = f'--style=file:{lintlib.REPO}/.clang-format'
    names, said = tree.c_files(), ''
    for start in range(0, len(names), BATCH):
        done = subprocess.run([formatter(), style, *options, *names[start:start + BATCH]],
                              cwd=tree.root, capture_output=True, text=True, check=False)
        said += done.stderr
        if done.returncode and not COMPLAINT.search(done.stderr):
            said += f'\n{names[start]}:0:0: error: clang-format: {done.stderr.strip()[:200]}\n'
    return said


def check(tree):
    if not formatter():
        return [Problem('.clang-format', 0, 'clang-format is missing: run scripts/deps lint')]
    places, judge = {}, is_judge()
    for match in COMPLAINT.finditer(run(tree, ['--dry-run', '-Werror'])):
        name, line = match['path'], int(match['line'])
        if judge or line not in in_macros(tree.text(name)):
            places.setdefault(name, []).append(line)
    return [Problem(name, lines[0], f'not formatted ({len(lines)} places): run make fmt')
            for name, lines in places.items()]


def fix(tree):
    if formatter():
        run(tree, ['-i'])


GOOD = '#pragma once\n\nint f(const char *p);\n'

PLANTED = [
    ('badly formatted', {'src/base/a.h': GOOD.replace('char *p', 'char* p'), 'src/base/b.h': GOOD,
                         'tests/unit/base/t.c': 'int f(void) {\n  return 0;\n}\n'},
     ['src/base/a.h:3: not formatted', 'tests/unit/base/t.c:1: not formatted']),
    ('order of includes', {'src/base/a.c': '#include "base/a.h"\n\n#include "base/b.h"\n\n'
                                           '#include <stdio.h>\n',
                           'tests/unit/t.c': '#include <setjmp.h>\n#include <stdarg.h>\n'
                                             '#include <cmocka.h>\n\n#include "base/a.h"\n'},
     ['src/base/a.c']),
]

if __name__ == '__main__':
    lintlib.main(check, PLANTED, fix)
