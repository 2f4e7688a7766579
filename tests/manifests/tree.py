"""The shipped files as the checks see them: a dictionary of texts, so that a test can change one
letter of one of them and ask again."""

import functools
import pathlib
import re

from objects import Rendered, Thing
from rendering import render

REPO = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ['registry', 'kaniko/hermes-build', 'kaniko/kubernetes-mcp-build', 'k8s']
# The folders that an overlay may add to another, and the sets of them that are looked at.
COMPONENTS = {'registry/auth': 'registry', 'registry/node-port': 'registry', 'k8s/router': 'k8s',
              'k8s/api': 'k8s', 'k8s/kubernetes-mcp': 'k8s'}
CHOICES = ([], ['registry/auth', 'k8s/router'],
           ['registry/node-port', 'k8s/kubernetes-mcp', 'k8s/api'])
PRIVATE = {'k8s/secrets.env', 'registry/htpasswd', 'registry/docker-config.json'}

# What scripts/ai adds to a build: everything that differs between two of them.
BUILD_KEYS = {'CONTEXT', 'DOCKERFILE', 'DESTINATION', 'LATEST', 'CACHE', 'REGISTRY', 'BASE_IMAGE',
              'HTTP_PROXY', 'CONTEXT_DIGEST'}
BUILDS = {'hermes-build': 'kaniko/Dockerfile',
          'kubernetes-mcp-build': 'kaniko/Dockerfile.kubernetes-mcp'}


def shipped():
    """path -> text of all that is checked. Private files may lie beside them and are not read."""
    files = {}
    for top in ('registry', 'kaniko', 'k8s'):
        for path in sorted((REPO / top).rglob('*')):
            name = path.relative_to(REPO).as_posix()
            if path.is_file() and name not in PRIVATE:
                files[name] = path.read_text(encoding='utf-8')
    files['.gitignore'] = (REPO / '.gitignore').read_text(encoding='utf-8')
    return files


def trees(files):
    """Everything as it would lie in a cluster, without and with the components."""
    for chosen in CHOICES:
        tree = Rendered(files)
        for folder in FOLDERS:
            tree.things += render(files, folder, [name for name in chosen
                                                  if COMPONENTS[name] == folder])
        for name in BUILDS:
            tree.things += supplied(name)
        yield tree


def supplied(name):
    """The ConfigMaps of a build: its settings, and its sources in parts."""
    contents = {name: {'data': {**dict.fromkeys(sorted(BUILD_KEYS), ''),
                                'DOCKERFILE': BUILDS[name]}}}
    for number in range(1, script_number('PARTS') + 1):
        contents[f'{name}-part-{number}'] = {'binaryData': {'part': ''}}
    return [Thing('scripts/ai', {'apiVersion': 'v1', 'kind': 'ConfigMap',
                                 'metadata': {'name': each, 'namespace': 'registry'}, **content})
            for each, content in contents.items()]


def script_number(name):
    """A constant of scripts/ai/source.sh, which packs the sources."""
    text = (REPO / 'scripts/ai/source.sh').read_text(encoding='utf-8')
    return int(re.search(rf'(?m)^readonly {name}=(\d+)', text)[1])


def example_names(files):
    """name -> the values behind it, of every line of the example, commented out or not."""
    names = {}
    for name, value in re.findall(r'(?m)^#?([A-Z][A-Z0-9_]*)=(.*)$',
                                  files['k8s/secrets.env.example']):
        names.setdefault(name, []).append(value)
    return names


@functools.cache
def program_default(key):
    """What the program takes where nothing is said, from its option tables."""
    text = '\n'.join(path.read_text(encoding='utf-8') for path in (REPO / 'src').rglob('*.c'))
    return re.search(rf'\.key = "{re.escape(key)}",[^}}]*?\.fallback = "([^"]*)"', text)[1]


def program_variables():
    """Every variable that the program reads, from its option tables."""
    text = '\n'.join(path.read_text(encoding='utf-8') for path in (REPO / 'src').rglob('*.c'))
    names = {name for group in re.findall(r'\.env = "([A-Z_,]+)"', text)
             for name in group.split(',')}
    return names | set(re.findall(r'"(HERMES_[A-Z_]+)"', text))
