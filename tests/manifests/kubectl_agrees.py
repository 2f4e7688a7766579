"""Our own rendering of the kustomizations is kubectl's.

Not one of `make test`, which needs no kubectl: `make test-cluster` makes one and runs this file.

    KUBECTL=...    the kubectl to ask (default: the test cluster's)
"""

import functools
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import pytest  # noqa: E402
import tree  # noqa: E402
import yaml  # noqa: E402
from kustomize import render  # noqa: E402

HASH = re.compile(r'-[bcdfghkmt2456789]{10}$')      # what kustomize appends to generated names


def without_hashes(value):
    if isinstance(value, dict):
        return {key: without_hashes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_hashes(item) for item in value]
    return HASH.sub('', value) if isinstance(value, str) else value


@functools.cache
def program():
    made = [HERE.parent / 'cluster' / 'node' / 'build']
    return os.environ.get('KUBECTL') or pathlib.Path(
        subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip(), 'kubectl')


def kubectl(folder):
    done = subprocess.run([program(), 'kustomize', folder],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return without_hashes(list(yaml.safe_load_all(done.stdout)))


def ours(folder, components=()):
    files = tree.shipped()
    return without_hashes([thing.body for thing in render(files, folder, components)])


def in_order(objects):
    """By name; and volumes, mounts and variables, whose order a patch may change, by theirs."""
    def sort(value):
        if isinstance(value, dict):
            return {key: sort(item) for key, item in value.items()}
        if isinstance(value, list):
            items = [sort(item) for item in value]
            named = all(isinstance(item, dict) and 'name' in item for item in items)
            return sorted(items, key=lambda item: item['name']) if named else items
        return value

    return sort(sorted(objects, key=lambda body: (body['kind'], body['metadata']['name'])))


@pytest.mark.parametrize('folder', tree.FOLDERS)
def test_a_folder(folder):
    assert in_order(ours(folder)) == in_order(kubectl(tree.REPO / folder))


def test_the_registry_with_a_password(tmp_path):
    up = os.path.relpath(tree.REPO, tmp_path)
    (tmp_path / 'kustomization.yaml').write_text(
        'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n'
        f'resources: [{up}/registry]\ncomponents: [{up}/{tree.AUTH}]\n')
    assert in_order(ours('registry', (tree.AUTH,))) == in_order(kubectl(tmp_path))
