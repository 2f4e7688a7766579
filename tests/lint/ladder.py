#!/usr/bin/env python3
"""The include ladder: who may know whom, who owns which library, who may spell what.

The architecture is the include lines, so this is its test. The rows are in ladder.table. Beside
them stand two sentences that no include line shows: only store/ spells SQL, and only llm/ spells
the host of a model's vendor. They look at string literals; a comment may name anything.
"""

import re

import clex
import lintlib
from lintlib import Problem

TABLE = 'tests/lint/ladder.table'

# What libc, POSIX and the kernel bring. Anything else in <> is a library and needs an owner.
SYSTEM = set('''
    assert.h complex.h ctype.h errno.h fenv.h float.h inttypes.h iso646.h limits.h locale.h math.h
    setjmp.h signal.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h
    stdnoreturn.h string.h tgmath.h threads.h time.h uchar.h wchar.h wctype.h
    alloca.h byteswap.h dirent.h dlfcn.h elf.h endian.h err.h fcntl.h features.h fnmatch.h ftw.h
    getopt.h glob.h grp.h iconv.h ifaddrs.h langinfo.h libgen.h link.h malloc.h mntent.h netdb.h
    paths.h poll.h pthread.h pwd.h regex.h resolv.h sched.h semaphore.h shadow.h spawn.h stdio_ext.h
    strings.h syscall.h syslog.h termios.h ucontext.h unistd.h utime.h wordexp.h
    execinfo.h'''.split())
SYSTEM_FOLDERS = ('sys/', 'linux/', 'asm/', 'arpa/', 'net/', 'netinet/', 'sanitizer/')

SQL = re.compile(r'''\bSELECT\s|\bINSERT\s+(?:OR\s+\w+\s+)?INTO\b|\bREPLACE\s+INTO\b
    |\bUPDATE\s+(?:OR\s+\w+\s+)?[\w"%]+\s+SET\b|\bDELETE\s+FROM\b|\bPRAGMA\s+\w
    |\b(?:CREATE|DROP|ALTER)\s+(?:(?:UNIQUE|VIRTUAL|TEMP)\s+)?(?:TABLE|INDEX|TRIGGER|VIEW)\b
    |\bBEGIN\s+(?:IMMEDIATE|EXCLUSIVE|TRANSACTION)\b''', re.X)
VENDOR = re.compile(r'''openrouter\.ai|(?:openai|chatgpt)\.com|openai\.azure\.com|anthropic\.com
    |claude\.ai|deepseek\.com|googleapis\.com|mistral\.ai|groq\.com|together\.(?:ai|xyz)
    |fireworks\.ai|cerebras\.ai|api\.x\.ai|cohere\.(?:ai|com)|perplexity\.ai|api\.nvidia\.com
    |moonshot\.(?:ai|cn)|api\.z\.ai|bigmodel\.cn|minimax\.(?:io|chat)
    |dashscope[\w.-]*\.aliyuncs\.com|huggingface\.co
    |bedrock[\w.-]*\.amazonaws\.com|ollama\.com|sambanova\.ai|hyperbolic\.xyz''',
                    re.X | re.I)
SENTENCES = [('store', 'sql', SQL, 'SQL belongs to store/'),
             ('llm', 'vendor', VENDOR, "a model vendor's host belongs to llm/")]


def read_ladder(path):
    """folder -> folders it may include, header pattern -> the folder that owns it, and header of
    the tree -> the only folders above its own that may include it."""
    may, owner, only = {}, {}, {}
    for number, fields in lintlib.table(path):
        if len(fields) == 2:
            only.update(dict.fromkeys(fields[0].split(), set(fields[1].split())))
            continue
        if len(fields) != 3:
            raise SystemExit(f'{path}:{number}: want "folder | may include | headers it owns" or '
                             '"headers | only folders"')
        folder, below, headers = fields
        known = set(may)
        may[folder] = known if below == 'everything above' else set(below.split()) - {'-'}
        may[folder] |= {room for room in known
                        if room.rpartition('/')[0] in may[folder] | {folder}}
        for higher in may[folder] - known:
            raise SystemExit(f'{path}:{number}: {folder} may not include {higher}, '
                             'which is not below it')
        for header in set(headers.split()) - {'-'}:
            owner[header] = folder
    for header, folders in only.items():
        for folder in folders - set(may):
            raise SystemExit(f'{path}: {header} is for {folder}, which is not on the ladder')
    return may, owner, only


def folder_of(path, may):
    """The room ("router/wire/scan.h" is in "router/wire") or the folder that a path of src/ is in;
    None when it is in neither."""
    parts = path.split('/')[:-1]
    names = ['/'.join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    return next((name for name in names if name in may), None)


def owner_of(header, owner):
    """The folder that owns a header of another library; None when nobody does."""
    for pattern, folder in owner.items():
        if header == pattern or (pattern.endswith('/') and header.startswith(pattern)):
            return folder
    return None


def is_system(header):
    return header in SYSTEM or header.startswith(SYSTEM_FOLDERS)


def judge_include(folder, header, quoted, may, owner, only, ours):
    """Why this include is wrong, or None. `ours` are the files of the tree."""
    home = owner_of(header, owner)
    if home is not None:
        return None if home == folder else f'<{header}> belongs to {home}/'
    if not quoted and f'src/{header}' in ours:
        return f'spell <{header}> as "folder/file.h"'
    if not quoted:
        return None if is_system(header) else f'<{header}> has no owner in {TABLE}'
    first, slash, _ = header.partition('/')
    if not slash or first in ('.', '..'):
        return f'spell "{header}" as "folder/file.h"'
    there = folder_of(header, may)
    if there is None:
        return f'"{header}": {first}/ is not on the ladder'
    if there != folder and there not in may[folder]:
        return f'{folder}/ may not include "{header}"'
    if header in only and there != folder and folder.split('/')[0] not in only[header]:
        return f'"{header}" is not for {folder}/ ({TABLE})'
    return None


def check_file(tree, name, may, owner, only):
    folder = folder_of(name[len('src/'):], may)
    if folder is None:
        there = name.split('/')[1]
        yield Problem(name, 0, f'{there}/ is not on the ladder' if name.count('/') > 1 else
                      'a source file belongs in a folder of the ladder')
        return
    text = tree.text(name)
    for line, header, quoted in clex.includes(text):
        why = judge_include(folder, header, quoted, may, owner, only, tree.files)
        if why and not tree.excepted('ladder', name, header):
            yield Problem(name, line, why)
    for home, what, pattern, why in SENTENCES:
        if folder.split('/')[0] == home or tree.excepted('ladder', name, what):
            continue
        for line, value in clex.strings(text):
            if pattern.search(value):
                yield Problem(name, line, f'{why}: "{pattern.search(value)[0].strip()}"')


def check(tree):
    path = tree.root / TABLE
    may, owner, only = read_ladder(path if path.exists() else lintlib.REPO / TABLE)
    return [problem for name in tree.c_files('src')
            for problem in check_file(tree, name, may, owner, only)]


PLANTED = [
    ('upward include', {'src/base/a.c': '#include "base/a.h"\n#include "codec/json.h"\n'},
     ['src/base/a.c:2: base/ may not include "codec/json.h"']),
    ('sideways include', {'src/channels/a.c': '#include "llm/chat.h"\n#include "agent/turn.h"\n'},
     ['channels/ may not include "llm/chat.h"']),
    ('everything above', {'src/serve/a.c': '#include "watch/a.h"\n#include "daemon/b.h"\n',
                          'src/daemon/b.c': '#include "serve/a.h"\n#include "base/b.h"\n'},
     ['serve/ may not include "daemon/b.h"']),
    ('rooms', {'src/router/wire/a.c': '#include "router/wire/a.h"\n#include "router/plan/a.h"\n',
               'src/router/plan/a.c': '#include "router/wire/a.h"\n#include "router/router.h"\n',
               'src/router/a.c': '#include "router/plan/a.h"\n#include "router/wire/a.h"\n',
               'src/agent/a.c': '#include "router/plan/a.h"\n#include "router/router.h"\n',
               'src/tools/a.c': '#include "router/plan/a.h"\n'},
     ['src/router/wire/a.c:2: router/wire/ may not include "router/plan/a.h"',
      'src/router/plan/a.c:2: router/plan/ may not include "router/router.h"',
      'tools/ may not include "router/plan/a.h"']),
    ('unknown folder', {'src/util/a.c': '\n', 'src/base/a.c': '#include "util/x.h"\n'},
     ['src/util/a.c: util/ is not on the ladder', '"util/x.h": util/ is not on the ladder']),
    ('no folder', {'src/main.c': '\n'}, ['belongs in a folder']),
    ('flat spelling', {'src/base/a.c': '#include "a.h"\n#include "../base/a.h"\n'},
     ['spell "a.h"', 'spell "../base/a.h"']),
    ('owned headers', {
        'src/net/a.c': '#include <psa/crypto.h>\n#include <mbedtls/ssl.h>\n# include <seccomp.h>\n',
        'src/agent/a.c': '#include "yaml.h"\n#include <sys/epoll.h>\n#include <sqlite3.h>\n'},
     ['<seccomp.h> belongs to sandbox', '<yaml.h> belongs to codec',
      '<sys/epoll.h> belongs to loop', '<sqlite3.h> belongs to store']),
    ('header for some folders', {
        'src/serve/a.c': '#include "codec/document.h"\n#include "codec/json_write.h"\n',
        'src/router/a.c': '#include "codec/json.h"\n#include "codec/document.h"\n',
        'src/codec/a.c': '#include "codec/json.h"\n#include "codec/document.h"\n',
        'src/serve/b.c': '#include "codec/json_write.h"\n#include <cjson/cJSON.h>\n',
        lintlib.EXCEPTIONS: 'ladder | src/serve/b.c | codec/json_write.h | a stream\n'},
     ['src/serve/a.c:2: "codec/json_write.h" is not for serve/',
      'src/router/a.c:2: "codec/document.h" is not for router/',
      'src/serve/b.c:2: <cjson/cJSON.h> belongs to codec']),
    ('library without owner', {'src/net/a.c': '#include <zlib.h>\n#include <netinet/in.h>\n'},
     ['<zlib.h> has no owner']),
    ('commented out', {
        'src/base/a.c': '// #include "codec/a.h"\n/*\n#include "net/a.h"\n*/\n'}, []),
    ('own header in <>', {'src/base/a.c': '#include <net/a.h>\n', 'src/net/a.h': '\n'},
     ['spell <net/a.h> as "folder/file.h"']),
    ('sql', {'src/router/a.c': 'const char *q = "SELECT "\n    "a FROM b";\n',
             'src/router/b.c': 'f("DELETE /v1", "UPDATE %s SET x=1"); // SELECT a FROM b\n',
             'src/store/a.c': 'f("CREATE TABLE t(a)");\n'},
     ['src/router/a.c:1: SQL', 'src/router/b.c:1: SQL belongs to store/: "UPDATE %s SET"']),
    ('vendor', {'src/config/a.c': 'f("https://openrouter.ai/api/v1"); // api.deepseek.com\n',
                'src/llm/a.c': 'f("https://api.openai.com/v1");\n'},
     ['src/config/a.c:1: a model vendor']),
    ('exception', {'src/config/a.c': 'f("https://openrouter.ai/");\n',
                   'src/config/b.c': 'f("https://openrouter.ai/");\n',
                   lintlib.EXCEPTIONS: 'ladder | src/config/a.c | vendor | a reason\n'},
     ['src/config/b.c:1']),
]

if __name__ == '__main__':
    lintlib.main(check, PLANTED)
