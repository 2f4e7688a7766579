"""What `make release` gives to other people: two builds of it are the same, and its list is true.

    HERMES_TEST_DEPTH=full    repeats both architectures, builds their libraries anew too, and asks
                              another party's SPDX validator; otherwise the architectures take
                              turns by the number of commits

The first of two builds is the one that `make static` has left in build/; it is brought up to date
where it is not. The second is made from nothing in a fresh clone.
"""

import fcntl
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / 'tests/binary'), str(ROOT / 'tests')]

import depth  # noqa: E402

ARCHES = ['x86_64', 'aarch64']
VERSION = re.search(r"version: '([^']+)'", (ROOT / 'meson.build').read_text())[1]
CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
SOURCES = pathlib.Path(os.environ.get('HERMES_SOURCES') or CACHE / 'hermes/sources')
FULL = depth.full()
SECONDS = 60 * 60                       # for a release from nothing; a busy machine takes long


def git(*words, tree=ROOT, **more):
    return subprocess.run(['git', *words], cwd=tree, check=True, capture_output=True, text=True,
                          **more).stdout.strip()


def clone(folder):
    """A fresh clone of this tree; what is not committed yet is there as one more commit."""
    git('clone', '--quiet', str(ROOT), str(folder))
    changed = git('ls-files', '-z', '--modified', '--deleted', '--others', '--exclude-standard')
    changed += '\0' + git('diff', '-z', '--name-only', '--cached', '--no-renames')
    for name in filter(None, changed.split('\0')):
        (folder / name).unlink(missing_ok=True)
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git('add', '--all', tree=folder)
    if git('status', '--porcelain', tree=folder):
        date = git('log', '-1', '--format=%cI')
        identity = {f'GIT_{who}_{what}': value for who in ('AUTHOR', 'COMMITTER') for what, value in
                    (('NAME', 'test'), ('EMAIL', 'test@localhost'), ('DATE', date))}
        git('commit', '--quiet', '--message', 'What is not committed yet', tree=folder,
            env={**os.environ, **identity})
    return folder


@functools.cache
def built(arch):
    """The folder of this tree's static binary, brought up to date."""
    target = f'{arch}-linux-musl'
    folder = ROOT / 'build' / target
    if not (folder / 'hermes').is_file():
        pytest.fail(f'no {folder.relative_to(ROOT)}/hermes: make static ARCH={arch}', pytrace=False)
    with open(ROOT / 'build/.release-tests.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        drop_old_authorities(folder)
        done = subprocess.run([ROOT / 'scripts/build', 'static', target], capture_output=True,
                              text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def drop_old_authorities(folder):
    """One may have expired between the commit that the tree was built at and this one."""
    built_in = folder / 'src/net/ca_roots_data.c'
    with tempfile.NamedTemporaryFile(suffix='.c') as now:
        subprocess.run([ROOT / 'scripts/ca_roots.py', now.name], check=True, capture_output=True,
                       env={**os.environ, 'SOURCE_DATE_EPOCH': git('log', '-1', '--format=%ct')})
        if built_in.exists() and built_in.read_bytes() != pathlib.Path(now.name).read_bytes():
            built_in.unlink()


def lend_built(tree, arch):
    """Gives a clone the binary that this tree has built, for --built."""
    folder = tree / 'build' / f'{arch}-linux-musl'
    if not folder.exists():
        folder.mkdir(parents=True)
        for name in ('hermes', 'hermes.unstripped', 'hermes.map', '.sysroot'):
            shutil.copy2(built(arch) / name, folder / name)
    return folder


def run_release(tree, *words, **more):
    return subprocess.run([tree / 'scripts/release', *words], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=SECONDS, check=False, **more)


def make_release(tree, out, *words, **more):
    done = run_release(tree, *words, out, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope='session')
def first(tmp_path_factory):
    """A clone that has this tree's binaries."""
    tree = clone(tmp_path_factory.mktemp('first') / 'hermes')
    for arch in ARCHES:
        lend_built(tree, arch)
    return tree


@pytest.fixture(scope='session')
def dist(first, tmp_path_factory):
    """A release of both architectures."""
    return make_release(first, tmp_path_factory.mktemp('release') / 'dist', '--built')


@pytest.fixture(scope='session')
def sbom(dist):
    return json.loads((dist / f'hermes-{VERSION}.spdx.json').read_text())
