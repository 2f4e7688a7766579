#!/usr/bin/env python3
"""Every header stands alone, once, and is proved to.

`#pragma once` everywhere. A source file includes its own header before anything else, so compiling
it proves the header. A header that no source file starts with is compiled alone here instead.
"""

import re
import shutil
import subprocess

import clex
import lintlib
from lintlib import Problem

PRAGMA = ['#', 'pragma', 'once']
COMPILE = ['gcc', '-std=gnu17', '-D_GNU_SOURCE', '-fsyntax-only', '-x', 'c', '-']


def own_header(name, files):
    """src/net/http.c -> net/http.h, when that exists."""
    header = name[:-2] + '.h'
    return header[len('src/'):] if header in files else None


def check_header(tree, name):
    stream = clex.code(tree.text(name))
    if [t.text for t in stream[:3]] != PRAGMA:
        yield Problem(name, 1, 'the first thing in a header is #pragma once')
    elif [t.text for t in stream].count('pragma') > 1 and \
            len(re.findall(r'^\s*#\s*pragma\s+once', tree.text(name), re.M)) > 1:
        yield Problem(name, 1, '#pragma once stands twice')


def compiles_alone(tree, header):
    """None, or the compiler's first complaint."""
    if not shutil.which('gcc'):
        return 'gcc is missing: run scripts/deps lint'
    done = subprocess.run(COMPILE + [f'-I{tree.root}/src'], input=f'#include "{header}"\n',
                          capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if 'error:' in line]
    return (errors or [done.stderr.strip()])[0].split('error:')[-1].strip() \
        if done.returncode else None


def check(tree):
    problems, proved = [], set()
    for name in tree.c_files('src'):
        if name.endswith('.h'):
            problems += check_header(tree, name)
            continue
        first = next(iter(clex.includes(tree.text(name))), (0, None, False))
        if first[2]:
            proved.add(first[1])
        own = own_header(name, tree.files)
        if own and first[1] != own:
            problems.append(Problem(name, first[0] or 1, f'include "{own}" before anything else'))
    for name in tree.c_files('src'):
        header = name[len('src/'):]
        if name.endswith('.h') and header not in proved:
            complaint = compiles_alone(tree, header)
            if complaint:
                problems.append(Problem(name, 0, f'does not compile alone: {complaint}'))
    return problems


PLANTED = [
    ('no pragma', {'src/base/a.h': '// why\n#ifndef A_H\n#define A_H\n#endif\n',
                   'src/base/b.h': '// why\n#pragma once\n'}, ['src/base/a.h:1: the first thing']),
    ('not first', {'src/base/a.h': '#include <stddef.h>\n#pragma once\n',
                   'src/base/b.h': '#pragma once\n#pragma once\n'},
     ['src/base/a.h:1: the first', 'src/base/b.h:1: #pragma once stands twice']),
    ('own header late', {'src/base/a.c': '#define _GNU_SOURCE\n#include <stdio.h>\n'
                                         '#include "base/a.h"\n',
                         'src/base/a.h': '#pragma once\n', 'src/base/b.c': '#include <stdio.h>\n'},
     ['src/base/a.c:2: include "base/a.h" before']),
    ('not alone', {'src/base/a.h': '#pragma once\nsize_t f(void);\n',
                   'src/base/b.h': '#pragma once\n#include <stddef.h>\nsize_t f(void);\n',
                   'src/base/c.c': '#include "base/c.h"\n',
                   'src/base/c.h': '#pragma once\nsize_t left_to_the_compiler_of_c;\n'},
     ['src/base/a.h: does not compile alone: unknown type name']),
]

if __name__ == '__main__':
    lintlib.main(check, PLANTED)
