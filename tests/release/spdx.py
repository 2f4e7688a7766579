"""What SPDX 2.3 asks of a document (its clauses 6 to 11), as far as ours has such things.

`problems(document)` returns sentences; an empty list is a valid document.
"""

import re

# The expressions that we use are made of these; all are in the SPDX licence list.
IDS = {'Apache-2.0', 'BSD-2-Clause', 'GPL-2.0-only', 'GPL-2.0-or-later', 'GPL-3.0-or-later',
       'LGPL-2.1-only', 'MIT', 'MPL-2.0', 'blessing', 'curl'}
EXCEPTIONS = {'GCC-exception-3.1', 'Linux-syscall-note'}
RELATIONSHIPS = {'DESCRIBES', 'STATIC_LINK', 'GENERATED_FROM', 'BUILD_TOOL_OF',
                 'BUILD_DEPENDENCY_OF'}
PURPOSES = {'APPLICATION', 'LIBRARY', 'ARCHIVE', 'OTHER'}
HEX_LENGTH = {'SHA1': 40, 'SHA256': 64}

DOCUMENT = {'spdxVersion': 'SPDX-2.3', 'dataLicense': 'CC0-1.0', 'SPDXID': 'SPDXRef-DOCUMENT',
            'name': r'\S+', 'documentNamespace': r'https://[^#\s]+'}
PACKAGE = {'name': r'\S+', 'versionInfo': r'\S+', 'downloadLocation': r'\S+',
           'SPDXID': r'SPDXRef-[A-Za-z0-9.-]+', 'sourceInfo': '.+', 'licenseConcluded': '.+',
           'licenseDeclared': '.+', 'copyrightText': '.+',
           'supplier': r'NOASSERTION|(Organization|Person): .+'}
FILE = {'fileName': r'\./[^/]+', 'SPDXID': r'SPDXRef-[A-Za-z0-9.-]+', 'licenseConcluded': '.+',
        'copyrightText': '.+'}
PURL = r'pkg:(deb/[a-z]+|generic)/[a-z0-9.%+-]+@[A-Za-z0-9.~%-]+(\?arch=\w+(&distro=[a-z]+)?)?'


def fields(where, found, wanted):
    for key, pattern in wanted.items():
        if not re.fullmatch(pattern, str(found.get(key, ''))):
            yield f'{where}: {key} is {found.get(key)!r}'


def licence(where, text, extracted):
    if text == 'NOASSERTION':
        return
    if text.count('(') != text.count(')'):
        yield f'{where}: unbalanced {text!r}'
    for part in re.split(r' (?:AND|OR) ', re.sub(r'[()]', '', text)):
        name, _, exception = part.partition(' WITH ')
        if name not in IDS | extracted or (exception and exception not in EXCEPTIONS):
            yield f'{where}: {part!r} is no licence'


def checksums(where, entry, needed):
    found = {row['algorithm']: row['checksumValue'] for row in entry.get('checksums', [])}
    if not needed <= set(found):
        yield f'{where}: no {needed - set(found)}'
    for algorithm, value in found.items():
        if not re.fullmatch(rf'[0-9a-f]{{{HEX_LENGTH.get(algorithm, 0)}}}', value):
            yield f'{where}: {algorithm} {value!r}'


def elements(document, extracted):
    for package in document['packages']:
        where = f'package {package.get("name")}'
        yield from fields(where, package, PACKAGE)
        yield from checksums(where, package, set())
        if package.get('filesAnalyzed') is not False:
            yield f'{where}: with its files analysed it needs a verification code'
        if package.get('primaryPackagePurpose') not in PURPOSES:
            yield f'{where}: for {package.get("primaryPackagePurpose")}'
        references = package.get('externalRefs', [])
        if not any(re.fullmatch(PURL, row['referenceLocator']) for row in references
                   if (row['referenceCategory'], row['referenceType'])
                   == ('PACKAGE-MANAGER', 'purl')):
            yield f'{where}: no package URL'
        for key in ('licenseConcluded', 'licenseDeclared'):
            yield from licence(where, package.get(key, ''), extracted)
    for file in document['files']:
        where = f'file {file.get("fileName")}'
        yield from fields(where, file, FILE)
        yield from checksums(where, file, {'SHA1', 'SHA256'})
        yield from licence(where, file.get('licenseConcluded', ''), extracted)


def relations(document, ids):
    for row in document['relationships']:
        for key in ('spdxElementId', 'relatedSpdxElement'):
            if row[key] not in ids:
                yield f'a relationship of {row[key]}, which is not there'
        if row['relationshipType'] not in RELATIONSHIPS:
            yield f'a relationship {row["relationshipType"]}'
    related = {row[key] for row in document['relationships']
               for key in ('spdxElementId', 'relatedSpdxElement')}
    yield from (f'{name} belongs to nothing' for name in sorted(ids - related))


def problems(document):
    found = list(fields('document', document, DOCUMENT))
    creation = document['creationInfo']
    if not re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', creation['created']):
        found.append(f'created {creation["created"]}')
    if not any(re.fullmatch(r'(Tool|Person|Organization): \S.*', who)
               for who in creation['creators']):
        found.append('nobody created it')
    infos = document.get('hasExtractedLicensingInfos', [])
    found += [f'{info} has no text' for info in infos if not info.get('extractedText')]
    found += elements(document, {info['licenseId'] for info in infos})
    names = [entry['SPDXID'] for entry in document['packages'] + document['files']]
    found += [f'{name} is there twice' for name in sorted(set(names)) if names.count(name) > 1]
    found += relations(document, {*names, 'SPDXRef-DOCUMENT'})
    if not set(document['documentDescribes']) <= set(names):
        found.append('it describes what is not there')
    return found
