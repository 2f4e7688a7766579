"""The files of a release, and what scripts/release refuses."""

import hashlib
import re
import shutil
import subprocess
import tarfile

import pytest
from conftest import ARCHES, ROOT, VERSION, built, clone, git, run_release
from elf import Elf

BINARIES = [f'hermes-{VERSION}-linux-{arch}' for arch in ARCHES]
SBOM = f'hermes-{VERSION}.spdx.json'
LICENCES = f'hermes-{VERSION}-licenses.tar.gz'


def test_it_is_these_files(dist):
    assert sorted(path.name for path in dist.iterdir()) == \
        sorted([*BINARIES, SBOM, LICENCES, 'SHA256SUMS'])


@pytest.mark.parametrize('arch', ARCHES)
def test_the_binaries_are_those_that_were_built(dist, arch):
    path = dist / f'hermes-{VERSION}-linux-{arch}'
    assert path.read_bytes() == (built(arch) / 'hermes').read_bytes()
    assert path.stat().st_mode & 0o777 == 0o755
    elf = Elf(path)
    assert elf.machine == arch
    assert not {section.name for section in elf.sections} & {'.symtab', '.comment'}


def test_the_binary_knows_its_version(dist):
    shown = subprocess.run([dist / f'hermes-{VERSION}-linux-x86_64', 'version'], check=True,
                           capture_output=True, text=True).stdout
    assert shown == f'hermes {VERSION} (x86_64-linux-musl)\n'


def check_sums(folder):
    return subprocess.run(['sha256sum', '--strict', '--quiet', '-c', 'SHA256SUMS'], cwd=folder,
                          capture_output=True, text=True, check=False)


def test_the_checksums_are_right(dist):
    done = check_sums(dist)
    assert done.returncode == 0, done.stdout + done.stderr
    named = re.findall(r'(?m)^[0-9a-f]{64}  (\S+)$', (dist / 'SHA256SUMS').read_text())
    assert named == sorted([*BINARIES, SBOM, LICENCES])


def test_the_checksums_notice_a_changed_byte(dist, tmp_path):
    copy = shutil.copytree(dist, tmp_path / 'dist')
    data = bytearray((copy / BINARIES[1]).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / BINARIES[1]).write_bytes(data)
    done = check_sums(copy)
    assert done.returncode != 0 and f'{BINARIES[1]}: FAILED' in done.stdout


# -- licences -------------------------------------------------------------------------------------

# Where the text of each licence stands in the archive, and words that are nowhere but in it.
TEXTS = {
    'Apache-2.0': ('LICENSE', 'Apache License'),
    'MIT': ('NOTICE', 'to deal in the Software without restriction'),
    'BSD-2-Clause': ('NOTICE', 'Redistributions in binary form must reproduce'),
    'MPL-2.0': ('LICENSES/MPL-2.0.txt', 'Mozilla Public License Version 2.0'),
    'blessing': ('NOTICE', 'Put into the public domain'),
    'curl': ('NOTICE', 'any purpose\n    with or without fee is hereby granted'),
    'LGPL-2.1-only': ('LICENSES/LGPL-2.1.txt', 'GNU LESSER GENERAL PUBLIC LICENSE'),
    'LicenseRef-public-domain': ('debian/tzdata', 'This database is in the public domain'),
    'GPL-3.0-or-later': ('LICENSES/GPL-3.0.txt', 'GNU GENERAL PUBLIC LICENSE'),
    'GCC-exception-3.1': ('debian/libgcc-', 'GCC RUNTIME LIBRARY EXCEPTION'),
}


@pytest.fixture(scope='session')
def archive(dist):
    """name -> text of the licences' archive"""
    with tarfile.open(dist / LICENCES) as tar:
        return {member.name.partition('/')[2]: tar.extractfile(member).read().decode()
                for member in tar if member.isfile()}


def linked(sbom):
    """Packages that are in the binaries; their licences are those that we must pass on."""
    packages = {package['SPDXID']: package for package in sbom['packages']}
    names = {row['relatedSpdxElement'] for row in sbom['relationships']
             if row['relationshipType'] in ('STATIC_LINK', 'GENERATED_FROM')}
    return [packages[name] for name in sorted(names & set(packages))]


def test_every_licence_has_its_text(sbom, archive):
    assert len(linked(sbom)) >= 8
    for package in linked(sbom):
        for name in re.split(r' (?:AND|OR|WITH) ', package['licenseConcluded']):
            place, words = TEXTS[name]
            texts = [text for path, text in archive.items()
                     if path == place or (place.endswith('-') and path.startswith(place))]
            assert texts and all(words in text for text in texts), f'{name} of {package["name"]}'


def test_everything_in_the_binaries_has_its_copyright_file(sbom, archive):
    kept = {name.removeprefix('debian/') for name in archive if name.startswith('debian/')}
    names = {package['name'] for package in linked(sbom)} - {'hermes'}
    assert kept == {'sqlite' if name == 'sqlite3' else name for name in names}
    assert all(len(archive[f'debian/{name}']) > 200 for name in kept)


def test_the_trees_own_files_are_whole(archive):
    for name in ['LICENSE', 'NOTICE', *(f'LICENSES/{path.name}' for path in
                                        (ROOT / 'LICENSES').iterdir())]:
        assert archive[name] == (ROOT / name).read_text()


def test_the_archive_tells_nothing_of_the_machine(dist, first):
    epoch = int(git('log', '-1', '--format=%ct', tree=first))
    with tarfile.open(dist / LICENCES) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    for member in members:
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, '', '')
        assert member.mtime == epoch and member.mode == (0o755 if member.isdir() else 0o644)
    # Bytes 4 to 7 of a gzip file are a time, and its flags say whether it has a name.
    head = (dist / LICENCES).read_bytes()[:10]
    assert head[3] == 0 and head[4:8] == bytes(4)


# -- refusals -------------------------------------------------------------------------------------

def refused(tree, *words):
    out = tree.parent / 'refused'
    done = run_release(tree, *words, out)
    assert done.returncode == 1 and not out.exists(), done.stdout + done.stderr
    return done.stderr


def test_a_changed_tree_is_refused(tmp_path):
    tree = clone(tmp_path / 'hermes')
    with open(tree / 'src/daemon/main.c', 'a', encoding='utf-8') as file:
        file.write('\n')
    said = refused(tree, '--built')
    assert ' M src/daemon/main.c' in said and 'a release must be a commit' in said


def test_a_forgotten_file_is_refused(tmp_path):
    tree = clone(tmp_path / 'hermes')
    (tree / 'src/daemon/forgotten.c').write_text('int forgotten;\n')
    assert '?? src/daemon/forgotten.c' in refused(tree, '--built')


def test_a_tree_without_git_is_refused(tmp_path):
    tree = clone(tmp_path / 'hermes')
    shutil.rmtree(tree / '.git')
    assert 'no git checkout' in refused(tree, '--built')


def test_nothing_that_is_built_is_refused(tmp_path):
    tree = clone(tmp_path / 'hermes')
    assert 'make static ARCH=aarch64' in refused(tree, '--built', '--arch', 'aarch64')


def test_other_files_beside_a_release_stay(first, dist, tmp_path):
    """Files of an older release go, and nothing else does."""
    out = tmp_path / 'dist'
    out.mkdir()
    for name in ('hermes-0.0.1-linux-x86_64', 'SHA256SUMS', 'notes.txt'):
        (out / name).write_text('old\n')
    done = run_release(first, '--built', out)
    assert done.returncode == 0, done.stderr
    files = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in out.iterdir()}
    assert set(files) == {*BINARIES, SBOM, LICENCES, 'SHA256SUMS', 'notes.txt'}
    assert all(files[path.name] == hashlib.sha256(path.read_bytes()).digest()
               for path in dist.iterdir())
