#!/usr/bin/env python3
"""Ceilings: a file, a header, a function, a line. What outgrows them wants to be two things.

Functions between the wish and the ceiling are listed, so that a reviewer sees them grow.
"""

import clex
import lintlib
from lintlib import Problem

SOURCE_LINES = 600
HEADER_LINES = 150
FUNCTION_LINES = 100
FUNCTION_LINES_WISHED = 60
COLUMNS = 100
MEASURED = ('.c', '.h', '.py', '.sh')     # what has a column limit


def is_measured(tree, name):
    if 'fixtures' in name.split('/') or 'corpus' in name.split('/'):
        return False
    return name.endswith(MEASURED) or tree.data(name)[:2] == b'#!'


def long_lines(tree, name):
    for number, line in enumerate(tree.text(name).split('\n'), 1):
        if len(line) > COLUMNS:
            yield Problem(name, number, f'{len(line)} columns, at most {COLUMNS}')


def check_c(tree, name):
    text = tree.text(name)
    lines, limit = text.count('\n'), HEADER_LINES if name.endswith('.h') else SOURCE_LINES
    if lines > limit and not tree.excepted('sizes', name, 'file'):
        yield Problem(name, 0, f'{lines} lines, at most {limit}')
    for function in clex.functions(text):
        size = function.lines
        if size > FUNCTION_LINES and not tree.excepted('sizes', name, function.name):
            yield Problem(name, function.first,
                          f'{function.name}() has {size} lines, at most {FUNCTION_LINES}')
        elif size > FUNCTION_LINES_WISHED:
            tree.notes.append(f'{name}:{function.first}: {function.name}() has {size} lines')


def check(tree):
    problems = [p for name in tree.c_files() for p in check_c(tree, name)]
    problems += [p for name in tree.files if is_measured(tree, name)
                 and not tree.excepted('sizes', name, 'columns') for p in long_lines(tree, name)]
    return problems


def body(count, inside='    x();\n'):
    """A function of exactly `count` lines."""
    return 'static int long_one(struct x *x,\n                    int y)\n{\n' \
        + inside * (count - 4) + '}\n'


TRICKY = '    f("}", \'{\'); // }\n'

PLANTED = [
    ('lines of a file', {'src/base/a.c': '\n' * 601, 'src/base/b.c': '\n' * 600,
                         'src/base/a.h': '\n' * 151, 'src/base/b.h': '\n' * 150},
     ['src/base/a.c: 601 lines', 'src/base/a.h: 151 lines']),
    ('lines of a function', {'src/base/a.c': body(101), 'src/base/b.c': body(100)},
     ['src/base/a.c:1: long_one() has 101 lines']),
    ('braces in literals', {'src/base/a.c': body(101, TRICKY) + '\n' + body(100, TRICKY)},
     ['src/base/a.c:1: long_one() has 101']),
    ('attributes', {'src/base/a.c': '__attribute__((noreturn)) PRINTF(1, 2)\n' + body(101)[7:]},
     ['a.c:1: long_one() has 102']),
    ('branches', {'src/base/a.c': '#ifdef A\nint f(void) {\n#else\nint f(int a) {\n#endif\n}\n'
                                  + body(101)}, ['a.c:7: long_one()']),
    ('not functions', {'src/base/a.c': 'struct x {\n' + '    int (*f)(int);\n' * 120 + '};\n'
                                       'static const struct x y[] = {\n' + '    {f(1)},\n' * 120
                                       + '};\n'}, []),
    ('columns', {'src/base/a.c': 'x' * 101 + '\n' + 'é' * 100 + '\n', 'scripts/x': '#!/bin/sh\n'
                 + '#' * 101 + '\n', 'README.md': 'y' * 200 + '\n'},
     ['src/base/a.c:1: 101 columns', 'scripts/x:2: 101 columns']),
    ('a program that is called like a folder of products', {
        'scripts/build': '#!/bin/sh\n' + '#' * 101 + '\n',
        'build/x': '#!/bin/sh\n' + '#' * 101 + '\n'}, ['scripts/build:2: 101 columns']),
    ('exceptions', {'src/base/a.c': body(101), 'src/base/b.c': body(101) + 'x' * 101 + '\n',
                    lintlib.EXCEPTIONS: 'sizes | src/base/a.c | long_one | a table in disguise\n'
                                        'sizes | src/base/b.c | columns | a recorded answer\n'},
     ['src/base/b.c:1: long_one()']),
]

if __name__ == '__main__':
    lintlib.main(check, PLANTED)
