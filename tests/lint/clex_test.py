#!/usr/bin/env python3
"""What the C scanner must get right, or every lint on top of it is wrong in silence."""

import unittest

import clex


def named(text):
    return [(f.name, f.first, f.last) for f in clex.functions(text)]


class Scanner(unittest.TestCase):
    def test_tokens_know_their_kind_and_line(self):
        text = 'a /* { \n */ "x\\"}" \'\\\'\' // }\nb\\\nc 0x1.8p+3 ->'
        self.assertEqual([(t.kind, t.line) for t in clex.tokens(text)],
                         [('word', 1), ('comment', 1), ('string', 2), ('char', 2), ('comment', 2),
                          ('word', 3), ('word', 4), ('number', 4), ('mark', 4)])

    def test_strings(self):
        self.assertEqual(clex.strings('f("a" "b",\n  "c" /* d */ "e", u8"g");\n#include "h"\n'
                                      '#define X "i"\n'),
                         [(1, 'ab'), (2, 'ce'), (2, 'g'), (4, 'i')])

    def test_includes(self):
        self.assertEqual(clex.includes('#include <a/b.h> // x\n# include "c.h"\n// #include "d"\n'
                                       'char *s = "#include <e.h>";\n'),
                         [(1, 'a/b.h', False), (2, 'c.h', True)])

    def test_functions(self):
        self.assertEqual(named('int f(void);\nint f(void)\n{\n    if (x) {\n    }\n}\n'),
                         [('f', 2, 6)])
        self.assertEqual(named('struct a { int b; };\nenum { C };\nint d[] = {1, 2};\n'
                               'struct s t = (struct s){1};\nstruct a f(struct a b)\n{\n}\n'),
                         [('f', 5, 7)])
        self.assertEqual(named('struct __attribute__((packed)) a { int b; };\n'
                               'NORETURN(1) static void g(int a) __attribute__((cold))\n{\n}\n'),
                         [('g', 2, 4)])
        self.assertEqual(named('TEST(a, b)\n{\n}\n'), [('TEST', 1, 3)])

    def test_a_function_is_static_where_its_head_says_so(self):
        text = 'static inline int f(void)\n{\n}\nint g(struct a *b)\n{\n    static int c;\n}\n'
        self.assertEqual([(f.name, f.is_static) for f in clex.functions(text)],
                         [('f', True), ('g', False)])

    def test_a_function_ends_where_it_ends(self):
        self.assertEqual(named('int f(void)\n{\n    char c = \'{\';\n}\nint g(void)\n{\n}\n'),
                         [('f', 1, 4), ('g', 5, 7)])
        self.assertEqual(named('int f(void)\n{\n    x = (struct a){{1}, {2}};\n}\n'), [('f', 1, 4)])

    def test_only_the_first_branch_of_a_conditional_opens_braces(self):
        self.assertEqual(named('#if A\nint f(int a) {\n#elif B\nint f(int b) {\n#else\n'
                               'int f(void) {\n#endif\n}\nint g(void) { }\n'),
                         [('f', 2, 8), ('g', 9, 9)])
        self.assertEqual(named('#if 0\n{ {\n#else\nint f(void) { }\n#endif\n'), [('f', 4, 4)])
        self.assertEqual(named('#ifdef A\n#if B\n{\n#endif\n#endif\n}\nint f(void) { }\n'),
                         [('f', 7, 7)])

    def test_directives(self):
        self.assertEqual([t.directive for t in clex.code('#define A \\\n b\nc\n#\n')],
                         ['#', 'define', 'define', 'define', '', '#'])


if __name__ == '__main__':
    if not unittest.main(verbosity=0, exit=False).result.wasSuccessful():
        raise SystemExit(1)
