"""What `make release` gives to other people: two builds of it are the same, and its list is true.

    HERMES_TEST_DEPTH=full    repeats both architectures, builds their libraries anew too, and asks
                              another party's SPDX validator; otherwise the architectures take
                              turns by the number of commits

The first of two builds is the one that `make static` has left in build/. The second is made from
nothing in a fresh clone.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

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
LIMIT = 50 * 60                         # seconds for a release from nothing on a busy machine


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


def built(arch):
    """The folder of this tree's static binary."""
    folder = ROOT / 'build' / f'{arch}-linux-musl'
    if not (folder / 'hermes').is_file():
        pytest.fail(f'no {folder.relative_to(ROOT)}/hermes: make static ARCH={arch}', pytrace=False)
    return folder


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
                          stdin=subprocess.DEVNULL, timeout=LIMIT, check=False, **more)


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
