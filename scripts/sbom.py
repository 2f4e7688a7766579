#!/usr/bin/python3
"""Writes the list of what static binaries are made of, as SPDX 2.3 in JSON.

    sbom.py --version V --commit SHA --created EPOCH [--copyrights DIR] OUTPUT BINARY=BUILD...

BINARY is a file that is released, BUILD the folder that meson built it in. Nothing is listed from
memory: the linker's map says what was linked, the sysroot and dpkg say where that came from, and
the sources that apt verified say what it was built from. A library whose licence is not known below
is an error, and so is a file in the map that belongs to nobody.

--copyrights DIR also copies Debian's copyright file of everything that is in the binaries.
The same inputs give the same bytes: there is no time but EPOCH, and no number that is drawn.
"""

import argparse
import datetime
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse
import uuid

RELEASE = 'trixie'                              # of Debian, where a recipe names no other
NAMESPACE = 'https://spdx.org/spdxdocs/'        # of documents whose author has no site for them
COMPILER = 'GPL-3.0-or-later WITH GCC-exception-3.1'
PUBLIC_DOMAIN = 'LicenseRef-public-domain'

# What is in the binaries, by the name of its Debian package or recipe: the licence it comes with,
# and the one that is used here.
LICENCES = {
    'cjson': ('MIT', 'MIT'),
    'curl': ('curl', 'curl'),
    'libseccomp': ('LGPL-2.1-only', 'LGPL-2.1-only'),
    'libyaml': ('MIT', 'MIT'),
    'mbedtls': ('Apache-2.0 OR GPL-2.0-or-later', 'Apache-2.0'),
    'musl': ('MIT AND BSD-2-Clause', 'MIT AND BSD-2-Clause'),
    'sqlite': ('blessing', 'blessing'),
    'linux-headers': ('GPL-2.0-only WITH Linux-syscall-note',) * 2,
    'libgcc': (COMPILER, COMPILER),              # the part of the compiler that is linked
    'ca-certificates': ('MPL-2.0 AND GPL-2.0-or-later', 'MPL-2.0'),
    'tzdata': (PUBLIC_DOMAIN, PUBLIC_DOMAIN),
}
EMBEDDED = {
    'ca-certificates': 'the names and keys of its certificate authorities (scripts/ca_roots.py)',
    'tzdata': 'the rules of its time zones (scripts/zones.py)',
}
# Programs that decide about the bytes of a binary. The first are asked of the compiler.
COMPILER_PARTS = ['cc1', 'lto1', 'collect2', 'as', 'ld']
BUILD_PROGRAMS = ['meson', 'ninja', 'python3', 'tclsh']


class Bad(Exception):
    pass


# ---- what the machine says ----

@functools.cache                                # dpkg takes its time, and is asked the same twice
def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Bad(f'{" ".join(command)} failed: {done.stderr.strip()}')
    return done.stdout.strip()


def digest(path, algorithm):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def distribution():
    """(namespace of package URLs, release)"""
    text = pathlib.Path('/etc/os-release').read_text(encoding='utf-8')
    fields = dict(re.findall(r'(?m)^(\w+)="?([^"\n]*)"?$', text))
    return fields.get('ID', 'debian'), fields.get('VERSION_CODENAME', '')


class Installed:
    """A package of this machine's Debian."""

    def __init__(self, name):
        form = '${Package}\n${Version}\n${Architecture}\n${source:Package}\n${source:Version}\n'
        fields = output('dpkg-query', '-W', '-f', form, name).split('\n')
        self.name, self.version, self.arch, self.source, self.source_version = fields

    @classmethod
    def owner_of(cls, path):
        real = os.path.realpath(path)
        try:
            # A merged /usr is recorded by either of its names.
            found = output('dpkg-query', '-S', real)
        except Bad:
            found = output('dpkg-query', '-S', real.removeprefix('/usr'))
        return cls(found.split('\n')[0].rpartition(': ')[0].split(',')[0])

    def purl(self):
        vendor, release = distribution()
        return purl(vendor, self.name, self.version, self.arch, release)

    def origin(self):
        return f'built by Debian from its source package {self.source} {self.source_version}'

    def copyright(self):
        return pathlib.Path('/usr/share/doc', self.name, 'copyright')


def purl(vendor, name, version, arch, release):
    quoted = urllib.parse.quote(version, safe='~')
    text = f'pkg:deb/{vendor}/{urllib.parse.quote(name, safe="")}@{quoted}?arch={arch}'
    return text + (f'&distro={release}' if release else '')


# ---- what was linked ----

def linked_files(build):
    """The objects and archives that the linker's map says are in the program, as paths."""
    text = (build / 'hermes.map').read_text(encoding='utf-8', errors='replace')
    loaded = re.findall(r'(?m)^LOAD (\S+)$', text)
    # In this section of the map each archive member stands at the begin of a line.
    section = re.search(r'(?ms)^Archive member included .*?\n\n(.*?)\n\n(?=\S)', text)
    if not loaded or not section:
        raise Bad(f'{build}/hermes.map is no map of the linker')
    members = set(re.findall(r'(?m)^(\S+?)\([^()\n]+\)', section[1]))
    return sorted({name for name in loaded if not name.endswith('.a') or name in members})


class Sysroot:
    """The libraries that cross/sysroot built for one target."""

    def __init__(self, build):
        self.path = pathlib.Path((build / '.sysroot').read_text(encoding='utf-8').split('\n')[0])
        rows = (self.path / 'VERSIONS').read_text(encoding='utf-8').split('\n')
        self.versions = dict(row.split(' ', 1) for row in rows if row)
        self.target = build.name

    def library_of(self, path):
        """The recipe that made a file: the sysroot holds hard links to the files of libraries."""
        inside = path.relative_to(self.path)
        for name in self.versions:
            for kept in (self.path.parents[1] / 'libraries').glob(f'{name}-{self.target}-*'):
                if (kept / inside).exists() and (kept / inside).samefile(path):
                    return name
        raise Bad(f'no library of {self.path} has made {inside}')


def of_linked(build, sysroot):
    """Names of recipes and packages of the machine that the program is linked from."""
    recipes, packages = set(), {}
    for name in linked_files(build):
        path = pathlib.Path(os.path.normpath(build / name))
        if path.is_relative_to(build) or re.match(r'.*\.(ltrans\d*\.)?ltrans\.o$', name):
            continue                            # our own objects, and what LTO made of all of it
        if path.is_relative_to(sysroot.path):
            recipes.add(sysroot.library_of(path))
        else:
            package = Installed.owner_of(path)
            packages[package.name] = package
    if not recipes:
        raise Bad(f'{build}/hermes.map names no library of {sysroot.path}')
    return recipes, packages


# ---- where libraries come from ----

class Source:
    """The files of one Debian source package (or of a .deb), as apt verified them."""

    def __init__(self, folder, package, version, release=RELEASE):
        self.folder, self.package, self.version = folder, package, version
        self.release = release
        sums = (folder / 'SHA256SUMS').read_text(encoding='utf-8').split('\n')
        self.sums = dict(reversed(row.split('  ', 1)) for row in sums if row)
        plain = re.escape(version.replace(':', '%3a'))
        epochless = re.escape(version.rpartition(':')[2])
        pattern = rf'{re.escape(package)}_(?:{plain}|{epochless})(?:\.dsc|_\w+\.deb)'
        leading = [name for name in self.sums if re.fullmatch(pattern, name)]
        if len(leading) != 1:
            raise Bad(f'{folder} has no {package} {version}, which the libraries were built from. '
                      'Run the same command again; cross/sysroot fetches what is lacking.')
        self.leading = leading[0]
        self.binary = self.leading.endswith('.deb')
        end = self.leading.rpartition('_')[2]
        self.arch = end.removesuffix('.deb') if self.binary else 'source'
        names = [self.leading, *([] if self.binary else self.parts())]
        self.files = {name: self.verified(name) for name in sorted(names)}

    def parts(self):
        """What the .dsc lists, whose signature apt has checked through the archive's index."""
        text = (self.folder / self.leading).read_text(encoding='utf-8')
        block = re.search(r'(?m)^Checksums-Sha256: *\n((?: .*\n)+)', text)
        if not block:
            raise Bad(f'{self.leading} lists no files')
        for sha256, _, name in (row.split() for row in block[1].splitlines()):
            if self.sums.get(name) != sha256:
                raise Bad(f'{self.leading} and SHA256SUMS differ about {name}')
            yield name

    def verified(self, name):
        path = self.folder / name
        if digest(path, 'sha256') != self.sums[name]:
            raise Bad(f'{path} is not what SHA256SUMS says')
        return {'SHA1': digest(path, 'sha1'), 'SHA256': self.sums[name]}

    def upstream(self):
        """As upstream_of() of cross/sources.sh."""
        return re.split(r'[+~]', self.version.rpartition(':')[2].rpartition('-')[0])[0]

    def purl(self):
        return purl('debian', self.package, self.version, self.arch, self.release)


def recipe_field(root, name, field, default=None):
    text = (root / f'cross/recipes/{name}.sh').read_text(encoding='utf-8')
    found = re.search(rf'(?m)^{field}=(\S+)$', text)
    return found[1] if found or default is None else default


def sources_folder():
    cache = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(os.environ.get('HERMES_SOURCES') or pathlib.Path(cache) / 'hermes/sources')


# ---- the document ----

def spdx_id(kind, name):
    return f'SPDXRef-{kind}-' + re.sub(r'[^A-Za-z0-9.-]', '-', name)


def file_entry(name, kind, checksums, licence):
    return {
        'SPDXID': spdx_id('File', name), 'fileName': f'./{name}', 'fileTypes': [kind],
        'checksums': [{'algorithm': key, 'checksumValue': checksums[key]} for key in checksums],
        'licenseConcluded': licence, 'licenseInfoInFiles': ['NOASSERTION'],
        'copyrightText': 'NOASSERTION',
    }


def package_entry(name, version, purpose, source_info, licences=('NOASSERTION',) * 2, **more):
    return {
        'SPDXID': spdx_id('Package', name), 'name': name, 'versionInfo': version,
        'supplier': more.pop('supplier', 'Organization: Debian'),
        'downloadLocation': 'NOASSERTION', 'filesAnalyzed': False,
        'primaryPackagePurpose': purpose, 'sourceInfo': source_info,
        'licenseDeclared': licences[0], 'licenseConcluded': licences[1],
        'copyrightText': 'NOASSERTION', **more,
    }


def reference(locator):
    return [{'referenceCategory': 'PACKAGE-MANAGER', 'referenceType': 'purl',
             'referenceLocator': locator}]


def licences_of(name):
    if name not in LICENCES:
        raise Bad(f'the licence of {name} is not known. Read it, and add it to LICENCES of '
                  'scripts/sbom.py and to NOTICE')
    return LICENCES[name]


class Document:
    def __init__(self, root, arguments):
        self.root, self.version, self.commit = root, arguments.version, arguments.commit
        self.created = arguments.created
        self.copyrights = arguments.copyrights
        self.packages, self.files, self.relationships = {}, {}, set()
        self.hermes = self.package(package_entry(
            'hermes', self.version, 'APPLICATION', f'git commit {self.commit}',
            ('Apache-2.0', 'Apache-2.0'), supplier='NOASSERTION',
            externalRefs=reference(f'pkg:generic/hermes@{urllib.parse.quote(self.version)}')))
        self.relate('SPDXRef-DOCUMENT', 'DESCRIBES', self.hermes)

    def add(self, entries, entry):
        """Its id. The same thing twice is once; two things of one name are a contradiction."""
        known = entries.setdefault(entry['SPDXID'], entry)
        if known != entry:
            raise Bad(f'two versions of {entry.get("name") or entry["fileName"]}, which the '
                      'architectures must share. Run cross/sysroot --update for both')
        return entry['SPDXID']

    def package(self, entry):
        return self.add(self.packages, entry)

    def relate(self, element, kind, other):
        self.relationships.add((element, kind, other))

    def keep_copyright(self, name, path):
        if self.copyrights:
            shutil.copyfile(path, self.copyrights / name)

    def library(self, name, sysroot):
        """A recipe's library, and the files it was built from."""
        source = Source(sources_folder(), recipe_field(self.root, name, 'package'),
                        sysroot.versions[name],
                        recipe_field(self.root, name, 'release', RELEASE))
        purpose = 'ARCHIVE' if source.binary else 'LIBRARY'
        kind = 'binary' if source.binary else 'source'
        library = self.package(package_entry(
            source.package, source.version, purpose,
            f'Debian {kind} package {source.package} {source.version} of {source.release}, '
            f'upstream version {source.upstream()}, verified by apt; '
            f'built by cross/recipes/{name}.sh',
            licences_of(name), packageFileName=source.leading,
            checksums=[{'algorithm': 'SHA256', 'checksumValue': source.sums[source.leading]}],
            externalRefs=reference(source.purl())))
        for file, checksums in source.files.items():
            entry = self.add(self.files, file_entry(
                file, 'TEXT' if file.endswith(('.dsc', '.asc')) else 'ARCHIVE', checksums,
                licences_of(name)[0]))
            self.relate(library, 'GENERATED_FROM', entry)
        return library

    def installed(self, package, purpose, licences=('NOASSERTION',) * 2, **more):
        return self.package(package_entry(
            package.name, package.version, purpose, package.origin(), licences,
            externalRefs=reference(package.purl()), **more))

    def binary(self, path, build):
        sysroot = Sysroot(build)
        recipes, packages = of_linked(build, sysroot)
        names = [*recipes, *('libgcc' for _ in packages), *EMBEDDED]
        parts = sorted({part for name in names for part in
                        re.split(' AND ', licences_of(name)[1])} | {'Apache-2.0'})
        licence = ' AND '.join(f'({part})' if ' ' in part else part for part in parts)
        binary = self.add(self.files, file_entry(
            path.name, 'BINARY', {key.upper(): digest(path, key) for key in ('sha1', 'sha256')},
            licence))
        self.relate(binary, 'GENERATED_FROM', self.hermes)
        for name in recipes:
            self.relate(binary, 'STATIC_LINK', self.library(name, sysroot))
            self.keep_copyright(name, sysroot.path / 'licenses' / name)
        for name in set(sysroot.versions) - recipes:
            self.relate(self.library(name, sysroot), 'BUILD_DEPENDENCY_OF', binary)
        for package in packages.values():
            if not package.name.startswith('libgcc-'):
                raise Bad(f'{path.name} is linked with {package.name}, which is no library of '
                          'cross/recipes and not the compiler\'s')
            self.relate(binary, 'STATIC_LINK', self.installed(package, 'LIBRARY',
                                                              licences_of('libgcc')))
            self.keep_copyright(package.name, package.copyright())
        self.embedded(binary)
        self.tools(binary, build)

    def embedded(self, binary):
        for name, what in EMBEDDED.items():
            package = Installed(name)
            entry = self.installed(package, 'OTHER', licences_of(name),
                                   comment=f'Embedded are {what}.')
            self.relate(binary, 'GENERATED_FROM', entry)
            self.keep_copyright(name, package.copyright())

    def tools(self, binary, build):
        machine = (Sysroot(build).path / 'meson.ini').read_text(encoding='utf-8')
        compiler = re.search(r"(?m)^c = \['([^']+)'", machine)[1]
        strip = re.search(r"(?m)^strip = '([^']+)'", machine)[1]
        paths = [found(output(compiler, f'-print-prog-name={part}')) for part in COMPILER_PARTS]
        paths += [found(name) for name in (compiler, strip, *BUILD_PROGRAMS)]
        for path in paths:
            tool = self.installed(Installed.owner_of(path), 'APPLICATION')
            self.relate(tool, 'BUILD_TOOL_OF', binary)

    def as_json(self):
        public = {'licenseId': PUBLIC_DOMAIN, 'name': 'Public domain',
                  'extractedText': 'This database is in the public domain.'}
        created = datetime.datetime.fromtimestamp(self.created, datetime.timezone.utc)
        relationships = [{'spdxElementId': one, 'relationshipType': kind, 'relatedSpdxElement': two}
                         for one, kind, two in sorted(self.relationships)]
        document = {
            'spdxVersion': 'SPDX-2.3', 'dataLicense': 'CC0-1.0', 'SPDXID': 'SPDXRef-DOCUMENT',
            'name': f'hermes-{self.version}', 'documentNamespace': '',
            'creationInfo': {'created': created.strftime('%Y-%m-%dT%H:%M:%SZ'),
                             'creators': [f'Tool: hermes-sbom-{self.version}']},
            'documentDescribes': [self.hermes],
            'packages': [self.packages[key] for key in sorted(self.packages)],
            'files': [self.files[key] for key in sorted(self.files)],
            'relationships': relationships,
            'hasExtractedLicensingInfos': [public],
        }
        # A document's own name must be like no other one's, and the same when it is made again.
        unique = uuid.uuid5(uuid.NAMESPACE_URL, NAMESPACE + json.dumps(document, sort_keys=True))
        document['documentNamespace'] = f'{NAMESPACE}hermes-{self.version}-{unique}'
        return json.dumps(document, indent=2, ensure_ascii=False) + '\n'


def found(program):
    """Debian's program of this name, whatever stands before it in PATH (ccache, say)."""
    path = program if '/' in program else shutil.which(program, path='/usr/bin:/bin')
    if not path:
        raise Bad(f'there is no {program} in /usr/bin; run: scripts/deps build cross')
    return path


def main():
    parser = argparse.ArgumentParser(description='Writes an SPDX list of what binaries are made of')
    parser.add_argument('--version', required=True)
    parser.add_argument('--commit', required=True)
    parser.add_argument('--created', required=True, type=int, help='seconds since 1970')
    parser.add_argument('--copyrights', type=pathlib.Path, help='a folder')
    parser.add_argument('output', type=pathlib.Path)
    parser.add_argument('binaries', nargs='+', metavar='BINARY=BUILD')
    arguments = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parents[1]
    try:
        document = Document(root, arguments)
        for pair in arguments.binaries:
            binary, _, build = pair.partition('=')
            document.binary(pathlib.Path(binary), pathlib.Path(build).resolve())
        text = document.as_json()
    except (Bad, OSError) as problem:
        sys.exit(f'sbom: {problem}')
    arguments.output.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
