"""A small C scanner for the lints: tokens, literals, includes and functions.

Regular expressions over raw text see `exit(` in a comment and a brace in a string, and a lint that
cries wolf is switched off. A real parser would need the include paths of every library. This is
the middle: it knows comments, strings, characters, continued lines and preprocessor directives,
and nothing of types. Of an #if it keeps the first branch when it tracks braces, so that two
branches that each open a brace do not count twice.
"""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r'''(?P<comment>//(?:[^\\\n]|\\.|\\\n)*|/\*.*?\*/)
      | (?P<string>(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*")
      | (?P<char>(?:[uUL])?'(?:[^'\\\n]|\\.)*')
      | (?P<number>\.?[0-9](?:[eEpP][+-]|[\w.])*)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<splice>\\\n)
      | (?P<newline>\n)
      | (?P<space>[^\S\n]+)
      | (?P<mark>->|\#\#|.)''',
    re.X | re.S)

NOT_FUNCTIONS = {'__attribute__', '__declspec', '_Alignas', 'alignas', '_Static_assert',
                 'static_assert', '__typeof__', 'typeof', 'sizeof'}


@dataclass(frozen=True)
class Token:
    kind: str           # comment string char number word mark
    text: str
    line: int           # from 1
    directive: str      # the preprocessor directive it stands in ("include", "define"), or ""


@dataclass(frozen=True)
class Function:
    name: str
    first: int          # line of its first token
    last: int           # line of its closing brace
    is_static: bool

    @property
    def lines(self):
        return self.last - self.first + 1


def tokens(text):
    """All tokens, comments included; white space is dropped."""
    found, line = [], 1
    directive, at_start, wants_name = '', True, False
    for match in TOKEN.finditer(text):
        kind, part = match.lastgroup, match.group()
        if kind == 'newline':
            directive, at_start, wants_name = '', True, False
        elif kind not in ('space', 'splice'):
            if kind == 'mark' and part == '#' and at_start:
                directive, wants_name = '#', True
            elif wants_name and kind != 'comment':
                directive, wants_name = part, False
            if kind != 'comment':
                at_start = False
            found.append(Token(kind, part, line, directive))
        line += part.count('\n')
    return found


def code(text):
    """Tokens without comments."""
    return [t for t in tokens(text) if t.kind != 'comment']


def unquote(literal):
    """What a string literal spells, as far as the lints care: escaped quotes are undone."""
    return literal[literal.index('"') + 1:-1].replace('\\"', '"').replace('\\n', '\n')


def strings(text):
    """(line, value) of every string; adjacent literals are one string. #include is no string."""
    result, open_string = [], None
    for token in code(text):
        if token.kind == 'string' and token.directive != 'include':
            if open_string is None:
                open_string = [token.line, '']
                result.append(open_string)
            open_string[1] += unquote(token.text)
        else:
            open_string = None
    return [(line, value) for line, value in result]


def includes(text):
    """(line, name, quoted) of every #include, in order."""
    result, parts = [], {}
    for token in code(text):
        if token.directive == 'include':
            parts.setdefault(token.line, []).append(token)
    for line, found in parts.items():
        spelled = ''.join(t.text for t in found)
        match = re.match(r'include(?:"([^"]*)"|<([^>]*)>)', spelled)
        if match:
            result.append((line, match[1] or match[2], match[1] is not None))
    return result


def first_branches(text):
    """Code tokens outside directives; of a conditional the first branch, of `#if 0` the second."""
    kept, stack = [], []                # a stack entry: this branch is kept, one has been kept
    all_tokens = code(text)
    for before, token, after in zip([None] + all_tokens, all_tokens, all_tokens[1:] + [None]):
        if not token.directive:
            if all(keep for keep, _ in stack):
                kept.append(token)
        elif before is not None and before.directive == '#' and token.text == token.directive:
            if token.text in ('if', 'ifdef', 'ifndef'):
                keep = not (token.text == 'if' and after and after.text == '0')
                stack.append((keep, keep))
            elif token.text in ('else', 'elif') and stack:
                taken = stack.pop()[1]
                stack.append((not taken, True))
            elif token.text == 'endif' and stack:
                stack.pop()
    return kept


def functions(text):
    """Every function definition with its extent."""
    found, head, depth = [], [], 0
    name, first, is_static = None, 0, False
    for token in first_branches(text):
        if token.text == '{' and token.kind == 'mark':
            if depth == 0:
                name = function_name(head)
                first = head[0].line if head else token.line
                is_static = any(word.text == 'static' for word in head)
            depth += 1
        elif token.text == '}' and token.kind == 'mark':
            depth = max(0, depth - 1)
            if depth == 0 and name:
                found.append(Function(name, first, token.line, is_static))
                name, head = None, []
        elif depth == 0:
            head = [] if token.text == ';' else head + [token]
    return found


def function_name(head):
    """The name that the tokens before a `{` define as a function, or None (struct, array, enum)."""
    depth, candidates = 0, []
    for token, after in zip(head, head[1:] + [None]):
        if token.text == '(':
            depth += 1
        elif token.text == ')':
            depth -= 1
        elif depth == 0 and token.text == '=':
            return None
        elif depth == 0 and token.kind == 'word' and after and after.text == '(':
            if token.text not in NOT_FUNCTIONS:
                candidates.append(token.text)
    ordinary = [c for c in candidates if not c.isupper()]
    return (ordinary or candidates or [None])[0]
