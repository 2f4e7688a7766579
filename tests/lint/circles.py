#!/usr/bin/env python3
"""Circles between the .c files of one folder.

A circle is a set of files none of which can be read, tested or linked without the others: A.c calls
what B.c defines, B.c what C.c defines, and C.c what A.c does. The ladder sees to that between
folders, and this within one. Each circle that may stay has a row in the table of exceptions, with
exactly its files; a row that no circle fits any more has to go.
"""

import posixpath

import clex
import lintlib
from lintlib import Problem


NO_USES = {'.', '->', 'struct', 'union', 'enum'}    # before a word that names no function


def uses(text):
    """Words that may name a function: no members, no tags, and of directives only #define."""
    before, found = '', set()
    for token in clex.code(text):
        if token.kind == 'word' and token.directive in ('', 'define') and before not in NO_USES:
            found.add(token.text)
        before = token.text
    return found


def graph(tree, names):
    """For each file of one folder the files of the same folder whose functions it uses."""
    home, own = {}, {}
    for name in names:
        defined = clex.functions(tree.text(name))
        own[name] = {function.name for function in defined}
        home.update({function.name: name for function in defined if not function.is_static})
    return {name: {home[word] for word in (uses(tree.text(name)) & home.keys()) - own[name]}
            for name in names}


def reachable(edges, start):
    seen, open_ends = set(), [start]
    while open_ends:
        for there in edges[open_ends.pop()] - seen:
            seen.add(there)
            open_ends.append(there)
    return seen


def circles(edges):
    """The strongly connected components of more than one file, each as a sorted tuple."""
    from_here = {name: reachable(edges, name) for name in edges}
    together = {tuple(sorted(there for there in from_here[name] if name in from_here[there]))
                for name in edges if name in from_here[name]}
    return sorted(together)


def stem(name):
    return posixpath.basename(name)[:-len('.c')]


def shown(edges, circle):
    """Who uses whom inside of it."""
    return '; '.join(f'{stem(name)} -> {" ".join(sorted(map(stem, edges[name] & set(circle))))}'
                     for name in circle)


def check(tree):
    folders, problems = {}, []
    for name in tree.c_files('src'):
        if name.endswith('.c'):
            folders.setdefault(posixpath.dirname(name), []).append(name)
    allowed = tree.exception_rows('circles')
    for folder, names in folders.items():
        edges = graph(tree, names)
        for circle in circles(edges):
            row = (folder, ' '.join(map(stem, circle)))
            if row in allowed:
                allowed.remove(row)
            else:
                problems.append(Problem(folder, 0, f'a circle of files: {row[1]} '
                                                   f'({shown(edges, circle)})'))
    return problems + [Problem(lintlib.EXCEPTIONS, 0, f'no circle is made of "{files}" in {folder}')
                       for folder, files in allowed]


A_USES_B = 'void a_one(void)\n{\n    b_one();\n}\n'
B_USES_A = 'void b_one(void)\n{\n    a_one();\n}\n'
B_ALONE = 'void b_one(void)\n{\n}\n'

PLANTED = [
    ('two files', {'src/base/a.c': A_USES_B, 'src/base/b.c': B_USES_A},
     ['src/base: a circle of files: a b (a -> b; b -> a)']),
    ('three files', {
        'src/net/a.c': A_USES_B, 'src/net/b.c': 'void b_one(void)\n{\n    c_one();\n}\n',
        'src/net/c.c': 'void c_one(void)\n{\n    a_one();\n}\n',
        'src/net/d.c': 'void d_one(void)\n{\n    a_one();\n}\n'},
     ['src/net: a circle of files: a b c (a -> b; b -> c; c -> a)']),
    ('a callback that is handed over', {
        'src/base/a.c': A_USES_B, 'src/base/b.c': 'void b_one(void)\n{\n    f(a_one);\n}\n'},
     ['a circle of files: a b']),
    ('two circles', {
        'src/base/a.c': A_USES_B, 'src/base/b.c': B_USES_A,
        'src/base/c.c': 'int c_one(void)\n{\n    return d_one();\n}\n',
        'src/base/d.c': 'int d_one(void)\n{\n    return c_one();\n}\n'},
     ['files: a b', 'files: c d']),
    ('one way', {'src/base/a.c': A_USES_B, 'src/base/b.c': B_ALONE}, []),
    ('what is no use', {
        'src/base/a.c': A_USES_B,
        'src/base/b.c': '// a_one() is called later\n' + B_ALONE
                        + 'int b_two(struct a_one *x)\n{\n    x->a_one = "a_one";\n'
                          '    return x->y.a_one;\n}\n'}, []),
    ('a static of the same name', {
        'src/base/a.c': A_USES_B,
        'src/base/b.c': 'static void a_one(void)\n{\n}\n' + B_USES_A}, []),
    ('two folders', {'src/router/a.c': A_USES_B, 'src/router/money/b.c': B_USES_A}, []),
    ('exceptions', {
        'src/base/a.c': A_USES_B, 'src/base/b.c': B_USES_A,
        lintlib.EXCEPTIONS: 'circles | src/base | a b | to be cut\n'}, []),
    ('an exception of fewer files', {
        'src/base/a.c': A_USES_B, 'src/base/b.c': B_USES_A + 'int b_two(void)\n{\n    c();\n}\n',
        'src/base/c.c': 'int c(void)\n{\n    return b_two();\n}\n',
        lintlib.EXCEPTIONS: 'circles | src/base | a b | to be cut\n'},
     ['a circle of files: a b c', 'no circle is made of "a b" in src/base']),
    ('an exception that is over', {
        'src/base/a.c': A_USES_B, 'src/base/b.c': B_ALONE,
        lintlib.EXCEPTIONS: 'circles | src/base | a b | to be cut\n'},
     ['no circle is made of "a b" in src/base']),
]

if __name__ == '__main__':
    lintlib.main(check, PLANTED)
