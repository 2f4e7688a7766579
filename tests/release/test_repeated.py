"""A release that is built again has the same bytes.

The second one is made from nothing in a fresh clone, deep in another folder, by one job, with
another umask, home, language and time zone, and later. At full depth the libraries are built anew
too, from saved sources, in a cache that lies elsewhere.
"""

import os
import subprocess

import pytest
from conftest import ARCHES, CACHE, FULL, clone, make_release, turn_of_commit

HOURS = 60 * 60     # seconds


def another_person(folder):
    """The environment of somebody else's shell."""
    (folder / 'home').mkdir()
    environment = {'PATH': '/usr/local/bin:/usr/bin:/bin', 'HOME': str(folder / 'home'),
                   'JOBS': '1', 'TZ': 'Pacific/Kiritimati', 'LANG': 'C.UTF-8',
                   'CFLAGS': '-O0 -g', 'XDG_CACHE_HOME': str(CACHE)}
    environment |= {name: os.environ[name] for name in ('HERMES_SOURCES', 'TMPDIR')
                    if name in os.environ}
    return environment


def with_libraries_of_their_own(tree, folder, environment):
    subprocess.run([tree / 'cross/sysroot', '--save-sources', folder / 'sources'], check=True,
                   env=environment, capture_output=True, timeout=HOURS)
    return {**environment, 'HERMES_SOURCES': str(folder / 'sources'),
            'XDG_CACHE_HOME': str(folder / 'cache')}


@pytest.mark.parametrize('arch', turn_of_commit(ARCHES))
def test_a_release_built_again_is_the_same(first, tmp_path, arch):
    once = make_release(first, tmp_path / 'once', '--built', '--arch', arch)
    tree = clone(tmp_path / 'much' / 'deeper' / 'tree')
    environment = another_person(tmp_path)
    if FULL:
        environment = with_libraries_of_their_own(tree, tmp_path, environment)
    again = make_release(tree, tmp_path / 'again', '--arch', arch, env=environment, umask=0o077)

    names = sorted(path.name for path in once.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    differ = [name for name in names if (once / name).read_bytes() != (again / name).read_bytes()]
    assert not differ, f'{differ} differ: compare {once} with {again}'
