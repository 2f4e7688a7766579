"""The list of what the binaries are made of: well-formed, complete, nothing else in it, and true.

The list is made from the linker's map. Whether it is complete is asked of something else: of the
names of functions, of which a library leaves its own in the program.
"""

import copy
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import ARCHES, FULL, HERE, ROOT, SOURCES, VERSION, built, git, lend_built
from elf import Elf
from spdx import problems

ARCHIVES = {'libc.a': 'musl', 'libmbedtls.a': 'mbedtls', 'libmbedx509.a': 'mbedtls',
            'libmbedcrypto.a': 'mbedtls', 'libsqlite3.a': 'sqlite3', 'libyaml.a': 'libyaml',
            'libcjson.a': 'cjson', 'libcurl.a': 'curl', 'libseccomp.a': 'libseccomp'}
PACKAGES = {'linux-headers': 'linux-libc-dev', 'sqlite': 'sqlite3'}    # where recipes differ
EVIDENCE = 3        # functions of an archive in a program: fewer than these may be chance


def packages(sbom):
    return {package['name']: package for package in sbom['packages']}


def related(sbom, arch, kind, from_it=True):
    """Names of what the binary of an architecture is related to in this way."""
    names = {entry['SPDXID']: entry.get('name') or entry['fileName'][2:]
             for entry in sbom['packages'] + sbom['files']}
    ends = ('spdxElementId', 'relatedSpdxElement') if from_it else \
        ('relatedSpdxElement', 'spdxElementId')
    return {names[row[ends[1]]] for row in sbom['relationships']
            if row['relationshipType'] == kind
            and names.get(row[ends[0]]) == f'hermes-{VERSION}-linux-{arch}'}


def sysroot(arch):
    return (ROOT / f'build/sysroot/{arch}-linux-musl').resolve()


def versions(arch):
    rows = (row.split() for row in (sysroot(arch) / 'VERSIONS').read_text().splitlines())
    return {PACKAGES.get(name, name): version for name, version in rows}


def installed(name, field='${Version}'):
    return subprocess.run(['dpkg-query', '-W', '-f', field, name], check=True, capture_output=True,
                          text=True).stdout


# -- its form -------------------------------------------------------------------------------------

def test_it_is_valid(sbom):
    assert problems(sbom) == []


def spoil(document, change):
    spoiled = copy.deepcopy(document)
    change(spoiled)
    return problems(spoiled)


@pytest.mark.parametrize('change', [
    lambda d: d.update(spdxVersion='SPDX-2.2'),
    lambda d: d.update(documentNamespace='hermes'),
    lambda d: d['creationInfo'].update(created='yesterday'),
    lambda d: d['creationInfo'].update(creators=[]),
    lambda d: d['packages'][0].pop('downloadLocation'),
    lambda d: d['packages'][0].update(filesAnalyzed=True),
    lambda d: d['packages'][0].update(SPDXID='SPDXRef-a_b'),
    lambda d: d['packages'][0].update(licenseConcluded='MITT'),
    lambda d: d['packages'][0].update(externalRefs=[]),
    lambda d: d['packages'].append(d['packages'][0]),
    lambda d: d['files'][0]['checksums'].pop(),
    lambda d: d['files'][0]['checksums'][0].update(checksumValue='00'),
    lambda d: d['relationships'][0].update(relationshipType='LINKS'),
    lambda d: d['relationships'][0].update(relatedSpdxElement='SPDXRef-none'),
    lambda d: d['relationships'].clear(),
    lambda d: d.pop('hasExtractedLicensingInfos'),
    lambda d: d.update(documentDescribes=['SPDXRef-none']),
], ids=range(17))
def test_the_check_can_fail(sbom, change):
    assert spoil(sbom, change)


if FULL:    # it comes from PyPI, which no suite of `make test` needs
    def test_the_validator_of_the_spdx_project_agrees(dist, tmp_path):
        place = subprocess.run([ROOT / 'tests/venv', 'spdx-tools', HERE / 'requirements.txt'],
                               check=True, capture_output=True, text=True)
        validator = f'{place.stdout.strip()}/bin/pyspdxtools'
        name = f'hermes-{VERSION}.spdx.json'
        done = subprocess.run([validator, '-i', dist / name], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        spoiled = tmp_path / name
        spoiled.write_text((dist / name).read_text().replace('"MIT"', '"MITT"'))
        assert subprocess.run([validator, '-i', spoiled], capture_output=True).returncode != 0


# -- what is in it --------------------------------------------------------------------------------

def functions_of(nm, archive):
    listed = subprocess.run([nm, '--defined-only', archive], check=True, capture_output=True,
                            text=True).stdout
    return set(re.findall(r'(?m)^[0-9a-f]* *[Tt] ([A-Za-z_]\w*)$', listed))


def linked_by_symbols(arch):
    """The sysroot's libraries whose functions, which no other library has, are in the program."""
    prefix = '' if arch == os.uname().machine else f'{arch}-linux-gnu-'
    there = {path.name: functions_of(f'{prefix}gcc-nm', path)
             for path in sorted((sysroot(arch) / 'lib').glob('*.a'))}
    program = {symbol.name.partition('.')[0] for symbol in
               Elf(built(arch) / 'hermes.unstripped').symbols()}
    found = set()
    for name, functions in there.items():
        others = set().union(*(there[other] for other in there if other != name))
        if len((functions - others) & program) >= EVIDENCE:
            found.add(ARCHIVES.get(name, f'{name}, which no one has named'))
    return found


@pytest.mark.parametrize('arch', ARCHES)
def test_every_linked_library_is_in_it_and_nothing_else(sbom, arch):
    listed = related(sbom, arch, 'STATIC_LINK')
    compilers = {name for name in listed if name.startswith('libgcc-')}
    assert listed - compilers == linked_by_symbols(arch) == set(ARCHIVES.values())
    assert len(compilers) == 1, 'the start files of the compiler are in every program'


@pytest.mark.parametrize('arch', ARCHES)
def test_versions_are_those_that_the_sysroot_recorded(sbom, arch):
    listed = related(sbom, arch, 'STATIC_LINK') | \
        related(sbom, arch, 'BUILD_DEPENDENCY_OF', from_it=False)
    found = {name: packages(sbom)[name]['versionInfo'] for name in listed
             if not name.startswith('libgcc-')}
    assert found == versions(arch)


def test_nothing_is_in_it_twice_or_for_nothing(sbom):
    known = {'hermes'}
    for arch in ARCHES:
        known |= related(sbom, arch, 'STATIC_LINK') | related(sbom, arch, 'GENERATED_FROM')
        for kind in ('BUILD_DEPENDENCY_OF', 'BUILD_TOOL_OF'):
            known |= related(sbom, arch, kind, from_it=False)
    assert sorted(known) == sorted(package['name'] for package in sbom['packages'])


def test_hermes_is_the_commit(sbom, first):
    hermes = packages(sbom)['hermes']
    assert (hermes['versionInfo'], hermes['licenseConcluded']) == (VERSION, 'Apache-2.0')
    assert hermes['sourceInfo'] == f'git commit {git("rev-parse", "HEAD", tree=first)}'
    assert sbom['documentDescribes'] == [hermes['SPDXID']]
    date = git('log', '-1', '--format=%cd', '--date=format-local:%Y-%m-%dT%H:%M:%SZ', tree=first,
               env={**os.environ, 'TZ': 'UTC'})
    assert sbom['creationInfo']['created'] == date


@pytest.mark.parametrize('name', ['ca-certificates', 'tzdata'])
def test_embedded_data_is_in_it(sbom, name):
    assert packages(sbom)[name]['versionInfo'] == installed(name)
    assert all({'hermes', name} <= related(sbom, arch, 'GENERATED_FROM') for arch in ARCHES)


@pytest.mark.parametrize('arch', ARCHES)
def test_the_compiler_and_the_linker_are_in_it(sbom, arch):
    tools = related(sbom, arch, 'BUILD_TOOL_OF', from_it=False)
    suffix = '' if arch == os.uname().machine else f'-{arch}-linux-gnu'
    compiler = [name for name in tools if re.fullmatch(rf'gcc-\d+{suffix}', name)]
    linker = [name for name in tools if name.startswith(f'binutils-{arch.replace("_", "-")}')]
    assert len(compiler) == len(linker) == 1, tools
    assert {'meson', 'ninja-build'} <= tools
    for name in tools:
        assert packages(sbom)[name]['versionInfo'] == installed(name)


def test_binaries_have_their_checksums(sbom, dist):
    files = {file['fileName'][2:]: file for file in sbom['files']}
    for arch in ARCHES:
        data = (dist / f'hermes-{VERSION}-linux-{arch}').read_bytes()
        found = {row['algorithm']: row['checksumValue'] for row in
                 files[f'hermes-{VERSION}-linux-{arch}']['checksums']}
        assert found == {'SHA1': hashlib.sha1(data).hexdigest(),
                         'SHA256': hashlib.sha256(data).hexdigest()}


def test_sources_have_the_checksums_that_debian_signed(sbom):
    """The .dsc files carry them, and are signed; our own SHA256SUMS is not asked. The cache may
    hold those of another tree's libraries."""
    signed = {}
    used = {f'{name}_{version}.dsc' for name, version in versions('x86_64').items()}
    for dsc in (path for path in SOURCES.glob('*.dsc') if path.name in used):
        block = re.search(r'(?m)^Checksums-Sha256: *\n((?: .*\n)+)', dsc.read_text())[1]
        signed |= {name: sha256 for sha256, _, name in map(str.split, block.splitlines())}
        signed[dsc.name] = hashlib.sha256(dsc.read_bytes()).hexdigest()
    signed |= {deb.name: hashlib.sha256(deb.read_bytes()).hexdigest()
               for deb in SOURCES.glob('linux-libc-dev_*.deb')}
    listed = {file['fileName'][2:]: row['checksumValue'] for file in sbom['files']
              for row in file['checksums'] if row['algorithm'] == 'SHA256'
              and not file['fileName'].startswith('./hermes-')}
    assert listed == signed


def test_a_library_comes_from_its_sources(sbom):
    names = {entry['SPDXID']: entry.get('name') or entry['fileName'][2:]
             for entry in sbom['packages'] + sbom['files']}
    made = {(names[row['spdxElementId']], names[row['relatedSpdxElement']])
            for row in sbom['relationships'] if row['relationshipType'] == 'GENERATED_FROM'
            and row['spdxElementId'].startswith('SPDXRef-Package-')}
    for name, version in versions('x86_64').items():
        upstream = re.split('[+~]', version.rpartition('-')[0])[0]
        end = f'_{version}_all.deb' if name == 'linux-libc-dev' else f'_{version}.dsc'
        assert (name, name + end) in made
        assert f'upstream version {upstream}' in packages(sbom)[name]['sourceInfo']
        purl = packages(sbom)[name]['externalRefs'][0]['referenceLocator']
        assert purl.startswith(f'pkg:deb/debian/{name}@{version.replace("+", "%2B")}?arch=')


# -- what it refuses to list ----------------------------------------------------------------------

@pytest.fixture
def own_build(tmp_path):
    """A build of one's own to spoil, and what scripts/sbom.py says of it."""
    folder = lend_built(tmp_path, 'x86_64')
    script = ROOT / 'scripts/sbom.py'

    def listed(**environment):
        return subprocess.run(
            [script, '--version', VERSION, '--commit', 'x', '--created', '0',
             tmp_path / 'out.json', f'{folder / "hermes"}={folder}'], capture_output=True,
            text=True, check=False, env={**os.environ, **environment})
    return folder, listed


def test_a_build_as_it_is_is_listed(own_build, tmp_path):
    done = own_build[1]()
    assert done.returncode == 0, done.stderr
    assert problems(json.loads((tmp_path / 'out.json').read_text())) == []


def spoil_map(folder, archive, member=True):
    text = (folder / 'hermes.map').read_text()
    if member:
        head = text.index('\n\n') + 2
        text = f'{text[:head]}{archive}(x.o)\n{text[head:]}'
    (folder / 'hermes.map').write_text(f'{text}\nLOAD {archive}\n')


def test_a_library_of_the_machine_is_refused(own_build):
    folder, listed = own_build
    archive = next(pathlib.Path('/usr/lib').glob('*-linux-gnu/libm.a'))
    spoil_map(folder, archive)
    done = listed()
    assert done.returncode == 1 and 'is linked with libc6-dev, which is no library' in done.stderr


def test_a_library_that_gave_nothing_is_not_listed(own_build):
    folder, listed = own_build
    spoil_map(folder, next(pathlib.Path('/usr/lib').glob('*-linux-gnu/libm.a')), member=False)
    assert listed().returncode == 0


def test_a_file_that_belongs_to_nobody_is_refused(own_build, tmp_path):
    folder, listed = own_build
    shutil.copy(sysroot('x86_64') / 'lib/libyaml.a', tmp_path / 'libstrange.a')
    spoil_map(folder, tmp_path / 'libstrange.a')
    done = listed()
    assert done.returncode == 1 and 'libstrange.a' in done.stderr


def test_no_map_is_refused(own_build):
    folder, listed = own_build
    (folder / 'hermes.map').write_text('\n')
    done = listed()
    assert done.returncode == 1 and 'no map of the linker' in done.stderr


def test_sources_of_another_version_are_refused(own_build, tmp_path):
    _, listed = own_build
    other = tmp_path / 'sources'
    shutil.copytree(SOURCES, other, ignore=shutil.ignore_patterns('.*'))
    sums = (other / 'SHA256SUMS').read_text().replace('libyaml_0', 'libyaml_9')
    (other / 'SHA256SUMS').write_text(sums)
    done = listed(HERMES_SOURCES=str(other))
    assert done.returncode == 1 and 'has no libyaml' in done.stderr


def test_changed_sources_are_refused(own_build, tmp_path):
    _, listed = own_build
    other = tmp_path / 'sources'
    shutil.copytree(SOURCES, other, ignore=shutil.ignore_patterns('.*'))
    with open(next(other.glob('libyaml_*.orig.tar.*')), 'ab') as file:
        file.write(b'\0')
    done = listed(HERMES_SOURCES=str(other))
    assert done.returncode == 1 and 'is not what SHA256SUMS says' in done.stderr
