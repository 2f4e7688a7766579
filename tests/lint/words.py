#!/usr/bin/env python3
"""Words that do not belong in the tree, and the small hygiene of text files.

- Hosts of package mirrors and registries: where packages come from is the machine's configuration,
  and a host in a script outlives the mirror. Beside a list of well-known ones, this machine's own
  apt mirrors are looked for.
- Paths of somebody's machine: home directories, and the very place of this checkout.
- Notes to self. What is not done is left out and said, not marked.
- Trailing blanks, a missing last newline, carriage returns.

The patterns below are spelled so that they do not find themselves.
"""

import pathlib
import re

import lintlib
from lintlib import Problem

MIRRORS = re.compile(r'''\b(?:deb|ftp(?:\.\w\w)?|security|snapshot|archive|ports|cdn-fastly\.deb)
    \.(?:debian|ubuntu)\.(?:org|com)|\bmirrors?\.[\w-]+\.\w+/(?:debian|ubuntu|pub)
    |\b(?:registry\.npmjs|registry\.yarnpkg)\.\w+|\b(?:test\.)?pypi\.(?:org|python\.org)
    |\bfiles\.pythonhosted\.org|\bproxy\.golang\.org|\bsum\.golang\.org
    |\b(?:static\.|index\.)?crates\.io|\brubygems\.org|\brepo1?\.maven\.(?:apache\.)?org
    |\bdl-cdn\.alpinelinux\.org''', re.X | re.I)
HOMES = re.compile(r'(?<![\w.$}])/(?:home/[a-z][\w-]*|root(?=/\w)|Users/[A-Za-z][\w-]*)(?=/|\b)')
HOMES_FINE = {'/home/user', '/home/you', '/home/hermes', '/home/pi'}
NOTES = re.compile(r'\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b')
RECORDED = {'fixtures', 'corpus'}       # folders whose bytes are what is being tested
ORDINARY = set('''bin boot build builds code data dev etc home lib media mnt opt proc repo root run
                  sbin src srv sys tmp usr var workspace app'''.split())
MIRROR_URI = r'\w+://(?:[^/@\s]*@)?([\w.-]+)[:\w./-]*/(?:debian|ubuntu|raspbian)'
SOURCES = pathlib.Path('/etc/apt')


def apt_hosts():
    """Hosts in this machine's apt sources that mirror a distribution."""
    found = set()
    for path in [*SOURCES.glob('*.list'), *SOURCES.glob('sources.list.d/*')]:
        try:
            text = path.read_text(errors='replace')
        except OSError:
            continue
        for line in text.splitlines():
            if not line.lstrip().startswith('#'):
                found |= set(re.findall(MIRROR_URI, line))
    return {host for host in found if '.' in host and not re.fullmatch(r'[\d.]+', host)}


def checkout_pattern(root):
    """The place of this checkout, and the folder around it unless that is an ordinary one."""
    around = root.parent
    places = [re.escape(str(root))] if len(root.parts) > 2 else []
    if len(around.parts) > 1 and not (len(around.parts) == 2 and around.name in ORDINARY):
        places.append(re.escape(str(around)) + '/')
    return re.compile(r'(?<![\w.])(?:' + '|'.join(places) + ')') if places else None


def rules(root):
    """(what, pattern, why) of every word that is looked for."""
    found = [('mirror', MIRRORS, 'names a package mirror or registry'),
             ('note', NOTES, 'a note to self'),
             ('home', HOMES, "a path of somebody's machine")]
    hosts = apt_hosts()
    if hosts:
        pattern = re.compile('|'.join(rf'(?<![\w.-]){re.escape(h)}' for h in sorted(hosts)), re.I)
        found.append(('mirror', pattern, "names this machine's package mirror"))
    checkout = checkout_pattern(root)
    if checkout:
        found.append(('home', checkout, 'the place of this checkout'))
    return found


def check_lines(tree, name, patterns):
    for number, line in enumerate(tree.text(name).split('\n'), 1):
        said = set()                    # one word may break two rules of a kind
        for what, pattern, why in patterns:
            for match in pattern.finditer(line):
                if what in said or match[0] in HOMES_FINE or tree.excepted('words', name, what):
                    continue
                said.add(what)
                yield Problem(name, number, f'{why}: {match[0]}')


def check_blanks(tree, name, data):
    if tree.excepted('words', name, 'blanks'):
        return
    if data and not data.endswith(b'\n'):
        yield Problem(name, 0, 'no newline at the end')
    if data.endswith(b'\n\n') and len(data) > 1 and not data.strip(b'\n') == b'':
        yield Problem(name, 0, 'blank lines at the end')
    for number, line in enumerate(data.split(b'\n'), 1):
        if line.endswith(b'\r'):
            yield Problem(name, number, 'a carriage return')
        elif line != line.rstrip():
            yield Problem(name, number, 'trailing blanks')


def check(tree):
    problems, patterns = [], rules(tree.root)
    for name in tree.files:
        data = tree.data(name)
        if RECORDED & set(name.split('/')) or b'\0' in data:
            continue
        problems += check_lines(tree, name, patterns)
        problems += check_blanks(tree, name, data)
    return problems


def spell(*parts):
    """A forbidden word, put together so that this file does not hold it."""
    return ''.join(parts)


PLANTED = [
    ('mirrors', {'a.sh': spell('http://deb.', 'debian.org/x\n'),
                 'b.md': spell('pip: https://py', 'pi.org/simple\n'),
                 'c.js': spell('//registry.', 'npmjs.org\n'),
                 'd.md': 'https://www.debian.org/ and https://github.com/\n'},
     ['a.sh:1: names a package mirror', 'b.md:1: names a package', 'c.js:1: names a package']),
    ('machine paths', {'a': spell('cd /ho', 'me/jane/x\n'), 'b': spell('-v /ro', 'ot/ssh\n'),
                       'c': 'src/home/x $HOME/root /home/user /rooted\n'},
     ['a:1: a path of somebody', 'b:1: a path of somebody']),
    ('notes', {'a.c': spell('// TO', 'DO later\n'), 'b.c': spell('/* X', 'XX */\n'),
               'c.py': 'todo = "hermes-XXXXXX"\n'}, ['a.c:1: a note', 'b.c:1: a note']),
    ('blanks', {'a': 'x \n', 'b': 'x', 'c': 'x\r\n', 'd': 'x\n\n', 'e': '', 'f': 'x\n',
                'tests/fuzz/sse/corpus/g': 'x \r', 'h': b'\0x '},
     ['a:1: trailing', 'b: no newline', 'c:1: a carriage', 'd: blank lines']),
    ('exception', {'a': spell('// TO', 'DO\n'),
                   lintlib.EXCEPTIONS: 'words | a | note | quotes a user\n'}, []),
]


def check_with_own_mirror(tree):
    """The check, after one more file that names this machine's mirror and one that names its place.

    Both are known only at run time, so they are planted here."""
    return check(tree) + own_words_missed()


def own_words_missed():
    samples = [(f'x http://{host}/y', "this machine's package mirror") for host in apt_hosts()]
    place = pathlib.Path('/somewhere/odd/hermes')
    if not checkout_pattern(place).search(f'cat {place}/README.md'):
        return [Problem('self-test', 0, 'the place of the checkout is not seen')]
    if checkout_pattern(pathlib.Path('/opt/x/hermes')).search('/opt/data'):
        return [Problem('self-test', 0, '/opt/data is taken for the place of the checkout')]
    return [Problem('self-test', 0, f'not caught: {text}') for text, why in samples
            if not any(p.search(text) for _, p, w in rules(place) if why in w)]


if __name__ == '__main__':
    import sys
    lintlib.main(check_with_own_mirror if '--self-test' in sys.argv else check, PLANTED)
