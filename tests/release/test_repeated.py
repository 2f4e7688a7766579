"""A release that is built again has the same bytes.

The second one is made from nothing in a fresh clone, deep in another folder, by one job, with
another umask, home, language and time zone, and later. At full depth the libraries are built anew
too, from saved sources, in a cache that lies elsewhere.
"""

import os
import shutil
import subprocess

import depth
import pytest
from conftest import ARCHES, CACHE, FULL, LIMIT, git, make_release


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
                   env=environment, capture_output=True, timeout=LIMIT)
    return {**environment, 'HERMES_SOURCES': str(folder / 'sources'),
            'XDG_CACHE_HOME': str(folder / 'cache')}


@pytest.mark.parametrize('arch', depth.share(ARCHES, len(ARCHES)))
def test_a_release_built_again_is_the_same(first, tmp_path, arch):
    once = make_release(first, tmp_path / 'once', '--built', '--arch', arch)
    tree = tmp_path / 'much' / 'deeper' / 'tree'
    git('clone', '--quiet', str(first), str(tree))
    environment = another_person(tmp_path)
    if FULL:
        environment = with_libraries_of_their_own(tree, tmp_path, environment)
    again = make_release(tree, tmp_path / 'again', '--arch', arch, env=environment, umask=0o077)

    assert not different(once, again), f'compare {once} with {again}'


def different(once, again):
    """Names of files that are not the same in two folders."""
    names = {path.name for folder in (once, again) for path in folder.iterdir()}
    return sorted(name for name in names if not (once / name).exists()
                  or not (again / name).exists()
                  or (once / name).read_bytes() != (again / name).read_bytes()
                  or (once / name).stat().st_mode != (again / name).stat().st_mode)


def test_one_byte_one_mode_and_one_file_are_noticed(dist, tmp_path):
    other = shutil.copytree(dist, tmp_path / 'other')
    assert different(dist, other) == []
    binaries = sorted(path for path in other.iterdir() if '-linux-' in path.name)
    with open(binaries[0], 'ab') as file:
        file.write(b'\0')
    binaries[1].chmod(0o700)
    (other / 'more').touch()
    assert different(dist, other) == [binaries[0].name, binaries[1].name, 'more']
