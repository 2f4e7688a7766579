#!/usr/bin/env python3
"""Functions and constructs that are not used here, each with what to use instead.

An exception is a row in exceptions.table with its reason: `banned | path | function | reason`.
The compiler's -Wvla is the judge on variable-length arrays; the guess here says so before the
build, and for code that the build does not compile.
"""

import clex
import lintlib
from lintlib import Problem

UNBOUNDED = 'unbounded; write through struct buf or snprintf with a checked result'
STATEFUL = 'hidden state between calls; use a span or strcspn'
SILENT = 'silent or global errors, and the locale matters; use the checked parser in base/'
ENDS = 'ends the process under everybody; return an error and let daemon/main.c decide'
SHELL = 'runs a shell with our rights; start a child through loop/ or sandbox/'
STACK = 'unbounded stack; use a constant bound or the heap'
PREDICTABLE = 'predictable; use base/random'
SHARED = 'one static result for all callers; use the _r form'
SIGNALS = 'handlers interrupt everything; signals are read from a signalfd in loop/'
ENVIRONMENT = 'not safe beside threads, and secrets linger; pass values explicitly'
RACES = 'races with other processes; use mkstemp, memfd_create or O_TMPFILE'

BANNED = {
    **dict.fromkeys(['sprintf', 'vsprintf', 'strcpy', 'stpcpy', 'strcat', 'gets', 'wcscpy',
                     'wcscat'], UNBOUNDED),
    'strtok': STATEFUL,
    **dict.fromkeys(['atoi', 'atol', 'atoll', 'atof', 'strtol', 'strtoll', 'strtoul', 'strtoull',
                     'strtoimax', 'strtoumax', 'strtod', 'strtof', 'strtold'], SILENT),
    **dict.fromkeys(['exit', 'quick_exit'], ENDS),
    **dict.fromkeys(['system', 'popen'], SHELL),
    **dict.fromkeys(['alloca', '__builtin_alloca', 'strdupa', 'strndupa'], STACK),
    **dict.fromkeys(['rand', 'rand_r', 'srand', 'random', 'srandom', 'drand48', 'lrand48'],
                    PREDICTABLE),
    **dict.fromkeys(['localtime', 'gmtime', 'ctime', 'ctime_r', 'asctime', 'asctime_r',
                     'getpwnam', 'getpwuid', 'getgrnam', 'getgrgid', 'gethostbyname',
                     'inet_ntoa'], SHARED),
    **dict.fromkeys(['signal', 'sigset', 'bsd_signal'], SIGNALS),
    **dict.fromkeys(['setenv', 'putenv', 'unsetenv', 'clearenv'], ENVIRONMENT),
    **dict.fromkeys(['mktemp', 'tmpnam', 'tempnam', 'tmpfile'], RACES),
}

STATEMENT_WORDS = {'return', 'else', 'do', 'goto', 'case', 'sizeof', 'typeof', '__typeof__', 'if',
                   'while', 'for', 'switch', 'default', 'break', 'continue'}
CONSTANT_CALLS = {'sizeof', 'offsetof', '_Alignof', 'alignof'}


def is_variable_size(expression):
    """Does an array bound name something that is not a constant by our spelling (UPPER_CASE)?"""
    depth, constant_until = 0, None
    for token in expression:
        if token.text == '(':
            depth += 1
        elif token.text == ')':
            depth -= 1
            if constant_until == depth:
                constant_until = None
        elif token.kind == 'word' and constant_until is None:
            if token.text in CONSTANT_CALLS:
                constant_until = depth
            elif not token.text.isupper():
                return True
    return False


def variable_arrays(text):
    """Line of every local declaration `type name[expression]` with a bound that is no constant."""
    stream, depth, start = clex.first_branches(text), 0, 0
    for position, token in enumerate(stream):
        if token.text in ('{', '}'):
            depth += 1 if token.text == '{' else -1
            start = position + 1
        elif token.text in (';', ')'):
            start = position + 1
        elif token.text == '[' and depth > 0:
            head = stream[start:position]
            words = [t.text for t in head if t.kind == 'word']
            plain = all(t.kind == 'word' or t.text == '*' for t in head)
            if plain and len(words) > 1 and not STATEMENT_WORDS & set(words):
                bound = []
                for inner in stream[position + 1:]:
                    if inner.text == ']':
                        break
                    bound.append(inner)
                if is_variable_size(bound):
                    yield token.line


def banned_calls(text):
    """(line, name) of every use of a banned function; members and our own names are not meant."""
    stream = clex.code(text)
    for before, token, after in zip([None] + stream, stream, stream[1:] + [None]):
        if token.kind != 'word' or token.text not in BANNED or not after or after.text != '(':
            continue
        if before is not None and before.text in ('.', '->'):
            continue
        yield token.line, token.text


def check(tree):
    problems = []
    for name in tree.c_files():
        text = tree.text(name)
        for line, function in banned_calls(text):
            if not tree.excepted('banned', name, function):
                problems.append(Problem(name, line, f'{function}(): {BANNED[function]}'))
        if not tree.excepted('banned', name, 'vla'):
            problems += [Problem(name, line, f'array of variable length: {STACK}')
                         for line in variable_arrays(text)]
    return problems


PLANTED = [
    ('calls', {'src/base/a.c': 'void f(void)\n{\n    sprintf(p, "x");\n    n = atoi (s);\n}\n'},
     ['src/base/a.c:3: sprintf()', 'src/base/a.c:4: atoi()']),
    ('every name', {'src/base/a.c': ''.join(f'int v{i} = {n}(0);\n'
                                            for i, n in enumerate(sorted(BANNED)))},
     [f': {name}():' for name in BANNED]),
    ('in a macro', {'src/base/a.h': '#define X(a) \\\n    strcpy(b, a)\n'}, ['a.h:2: strcpy()']),
    ('not calls', {'src/base/a.c': '// sprintf(x)\nchar *s = "exit(1)"; struct t { int exit; };\n'
                                   'void f(void) { l->exit(1); l.signal(2); my_exit(3); _exit(4); '
                                   'localtime_r(a, b); snprintf(a, 1, ""); }\n'}, []),
    ('vla', {'src/base/a.c': 'void f(int n)\n{\n    char a[n];\n    struct x *b[n + 1];\n'
                             '    char c[MAX_N], d[3 * sizeof(struct x)];\n    a[n] = 1;\n'
                             '    return a[n];\n    char e[] = "x";\n}\nchar g[4];\n'},
     ['a.c:3: array of variable', 'a.c:4: array of variable']),
    ('exceptions', {'src/daemon/main.c': 'int main(void) { exit(1); }\n',
                    'src/daemon/wire.c': 'int f(void) { exit(1); }\n',
                    lintlib.EXCEPTIONS: 'banned | src/daemon/main.c | exit | it is the end\n'},
     ['src/daemon/wire.c:1: exit()']),
]

if __name__ == '__main__':
    lintlib.main(check, PLANTED)
