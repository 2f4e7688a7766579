"""The sources that cross/sysroot takes: how new they must be, and whom it asks for newer ones.

Debian is a script here, and the sources are empty files with the right names.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSIONS = {'libyaml': '0.2.5-2', 'mbedtls': '3.6.7-3', 'musl': '1.2.5-3.1~deb13u1',
            'sqlite3': '3.46.1-7', 'linux-libc-dev': '6.12.1-1', 'cjson': '1.7.18-3.1',
            'curl': '8.14.1-2+deb13u5', 'libseccomp': '2.6.0-2'}
OLD = {**VERSIONS, 'mbedtls': '3.6.6-0.1~deb13u2'}
DEBIAN = """#!/bin/bash
[ "$1" != repositories ] || { echo 'http://mirror.test/ trixie'; exit; }
name=${!#} dir=${@: -2:1} ending=.dsc
[ "$1" = source ] || ending=_all.deb
printf '%s\\n' "$1 $HERMES_DEBIAN_RELEASE${HERMES_DEBIAN_REFRESH:+ anew}" >>"$ASKED"
version=$(sed -n "s/^$name //p" "$VERSIONS")
: >"$dir/${name}_$version$ending"
echo "$dir/${name}_$version$ending"
"""


@pytest.fixture
def sysroot(tmp_path):
    """sysroot(versions, *words): a run of ours in a tree of its own, with this Debian."""
    shutil.copytree(ROOT / 'cross', tmp_path / 'cross')
    (tmp_path / 'scripts').mkdir()
    shutil.copy(ROOT / 'scripts/jobs', tmp_path / 'scripts')
    (tmp_path / 'cross/debian-fetch').write_text(DEBIAN)

    def run(versions, *words):
        (tmp_path / 'versions').write_text(
            ''.join(f'{name} {version}\n' for name, version in versions.items()))
        return subprocess.run(
            [tmp_path / 'cross/sysroot', *words], capture_output=True, text=True, timeout=60,
            env={'PATH': os.environ['PATH'], 'HOME': str(tmp_path), 'ASKED': tmp_path / 'asked',
                 'VERSIONS': tmp_path / 'versions'})
    return run


def saved(folder, versions):
    folder.mkdir()
    names = [f'{name}_{version}' + ('_all.deb' if name.startswith('linux') else '.dsc')
             for name, version in versions.items()]
    for name in names:
        (folder / name).touch()
    nothing = hashlib.sha256(b'').hexdigest()
    (folder / 'SHA256SUMS').write_text(''.join(f'{nothing}  {name}\n' for name in names))
    return folder


def test_sources_that_are_new_enough_are_taken(sysroot, tmp_path):
    done = sysroot(OLD, '--offline', saved(tmp_path / 'saved', VERSIONS), '--save-sources',
                   tmp_path / 'copy')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'copy/mbedtls_3.6.7-3.dsc').is_file()
    assert not (tmp_path / 'asked').exists()


@pytest.mark.parametrize('words', [['x86_64-linux-gnu'], ['--save-sources', 'copy']])
def test_saved_sources_that_are_too_old_are_not_built(sysroot, tmp_path, words):
    done = sysroot(VERSIONS, '--offline', saved(tmp_path / 'saved', OLD), *words)
    assert done.returncode == 1
    assert 'mbedtls 3.6.6-0.1~deb13u2 is too old: recipes/mbedtls.sh needs 3.6.7' in done.stderr
    assert '--save-sources DIR' in done.stderr


@pytest.mark.parametrize('word', [[], ['--update']])
def test_a_mirror_that_stands_still_does_not_bring_back_what_was_mended(sysroot, tmp_path, word):
    done = sysroot(OLD, *word, '--save-sources', tmp_path / 'copy')
    assert done.returncode == 1 and 'mbedtls 3.6.6-0.1~deb13u2 is too old' in done.stderr
    assert 'HERMES_DEBIAN_MIRROR' in done.stderr and not (tmp_path / 'copy').exists()


def test_an_update_asks_every_release_anew_once(sysroot, tmp_path):
    done = sysroot(VERSIONS, '--update', '--save-sources', tmp_path / 'copy')
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / 'asked').read_text().splitlines()
    assert sorted(line for line in asked if line.endswith(' anew')) == [
        'binary trixie anew', 'source forky anew', 'source trixie anew']
    assert len(asked) == len(VERSIONS)
