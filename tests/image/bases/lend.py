"""What this machine lends a foreign image, so that something can be compiled in it under qemu.

An emulated program of some megabytes takes a second before it does anything, and a build starts ten
thousands: the C library alone compiles 1300 files, and each test of a configure script is a dozen
shells. So the programs that are started most are Debian's of the same release for the machine at
hand: the inner parts of gcc (cc1, lto1, as: of the cross compiler of the same version, which has
the same sources and writes the same code), the shell and what shells call, and Tcl's, which would
take eight minutes over SQLite. The driver of gcc, the linker, apt, dpkg, Python, uname and all
libraries stay foreign, so whatever asks what machine this is gets the foreign answer, and what is
linked is linked by the image's own.

They lie where the packages of the image put theirs, and dpkg is told to put those elsewhere. Two
families of libraries lie side by side in Debian, each in a folder named by its machine; only the
loader has a place of its own.
"""
import os
import re
import subprocess

GCC = 14
MACHINES = {'amd64': 'x86_64-linux-gnu', 'arm64': 'aarch64-linux-gnu'}
# Packages, and which of their programs are lent. What coreutils says of the machine is not.
PROGRAMS = {
    'dash': ['dash'],
    'bash': ['bash'],
    'coreutils': ['basename', 'cat', 'chmod', 'cp', 'cut', 'date', 'dirname', 'echo', 'env', 'expr',
                  'false', 'head', 'id', 'install', 'ln', 'ls', 'mkdir', 'mktemp', 'mv', 'od',
                  'printf', 'pwd', 'readlink', 'rm', 'rmdir', 'sha256sum', 'sleep', 'sort', 'stat',
                  'tail', 'test', 'touch', 'tr', 'true', 'uniq', 'wc'],
    'dpkg': ['dpkg-deb'],
    'diffutils': ['cmp', 'diff'],
    'findutils': ['find', 'xargs'],
    'grep': ['egrep', 'fgrep', 'grep'],
    'gzip': ['gzip'],
    'make': ['make'],
    'mawk': ['mawk'],
    'sed': ['sed'],
    'tar': ['tar'],
    'tcl8.6': ['tclsh8.6'],             # makes SQLite's one file out of a hundred
    'xz-utils': ['xz'],
}
COMPILER = ['gcc-{gcc}-{foreign}', 'cpp-{gcc}-{foreign}', 'binutils-{foreign}']
LIBRARIES = ['libacl1', 'libattr1', 'libbz2-1.0', 'libc6', 'libcap2', 'libgmp10', 'libisl23',
             'liblzma5', 'libmd0', 'libmpc3', 'libmpfr6', 'libpcre2-8-0', 'libselinux1',
             'libsframe1', 'libssl3t64', 'libtcl8.6', 'libtinfo6', 'libzstd1', 'zlib1g']
# Installing Python compiles every module, to start faster later, which nothing here starts often
# enough to earn back; and apt reads its lists anew for each package that might have a question,
# which nobody would be there to answer. Under qemu that is most of the installation.
LEFT_OUT = {'/usr/bin/py3compile': b'#!/bin/sh\n',
            '/usr/sbin/dpkg-preconfigure': b'#!/bin/sh\n',
            '/usr/lib/python3.13/py_compile.py': b''}


def packages(foreign):
    compiler = [name.format(gcc=GCC, foreign=foreign) for name in COMPILER]
    return compiler + list(PROGRAMS) + LIBRARIES


def lent(foreign, tree):
    """{where it is to lie: the file}"""
    programs = [f'/usr/bin/{name}' for names in PROGRAMS.values() for name in names]
    places = {place: tree / place[1:] for place in programs}
    for name in ('cc1', 'lto1'):
        places[f'/usr/libexec/gcc/{foreign}/{GCC}/{name}'] = \
            tree / f'usr/libexec/gcc-cross/{foreign}/{GCC}/{name}'
    places[f'/usr/bin/{foreign}-as'] = tree / f'usr/bin/{foreign}-as'
    return places


def needed(file, folder):
    """The libraries of `folder` that a program is linked with, directly or not."""
    found, waiting = set(), [file]
    while waiting:
        with open(waiting[-1], 'rb') as start:
            if start.read(4) != b'\x7fELF':     # egrep is a script
                return set()
        done = subprocess.run(['readelf', '-d', waiting.pop()], stdout=subprocess.PIPE, text=True,
                              check=True)
        for name in re.findall(r'\(NEEDED\).*\[(.*)\]', done.stdout):
            if name not in found:
                found.add(name)
                waiting.append(folder / name)
    return found


def fill(layer, tree, ours, foreign, diversions):
    """Puts what is lent into a layer. `tree` is where the packages are unpacked, `diversions` what
    the image's dpkg knows already."""
    libraries = tree / 'usr/lib' / ours
    places = lent(foreign, tree)
    for place, file in places.items():
        layer.file(place, file, mode=0o755)
        for name in needed(file, libraries):
            layer.file(f'usr/lib/{ours}/{name}', (libraries / name).resolve(), mode=0o755)
    for place, content in LEFT_OUT.items():
        layer.file(place, content, mode=0o755)
    for loader in (tree / 'usr/lib64').glob('ld-linux*'):
        layer.symlink(f'usr/lib64/{loader.name}', os.readlink(loader))
        layer.symlink('lib64', 'usr/lib64')
    # A cross compiler looks for headers where a native one does not.
    layer.symlink(f'usr/lib/gcc-cross/{foreign}/{GCC}', f'../../gcc/{foreign}/{GCC}')
    layer.symlink(f'usr/{foreign}/include', '../include')
    diverted = ''.join(f'{place}\n{place}.foreign\n:\n' for place in (*places, *LEFT_OUT))
    layer.file('var/lib/dpkg/diversions', diversions + diverted.encode())
