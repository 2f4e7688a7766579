"""Keeps a layer of kaniko's build cache between runs of the tests.

The layer with the compiler and the libraries takes minutes to make and is the same until cross/,
scripts/deps or the base image change. Where a machine keeps its caches, the registry of a new node
gets it back before the first build, which then is what a second build is for an operator. Whether
kaniko really takes it is for kaniko to decide: its own key is in the layer's tag.

Only that layer is kept: with the layer of our sources too, a build would compile nothing at all.
"""
import json
import os
import pathlib
import re
import shutil
import sys
import tarfile

import push

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / 'image/bases'))

import cache  # noqa: E402
import pack  # noqa: E402

KEPT = 2                        # of each repository


def architecture():
    return pack.architecture()


def folder():
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(base) / 'hermes' / 'cluster' / 'layers'


def digest_of_archive(path):
    with tarfile.open(path) as tar:
        return json.load(tar.extractfile('index.json'))['manifests'][0]['digest']


def first_stage(dockerfile):
    """Up to the second FROM."""
    text = dockerfile.read_text()
    starts = [found.start() for found in re.finditer(r'^FROM ', text, re.M)]
    return text[:starts[1]]


class Kept:
    """One layer. `recipe`: what it is made of, as cache.digest_of takes it."""

    def __init__(self, registry, repository, recipe):
        self._registry, self._repository = registry, repository
        self._name = repository.replace('/', '-')
        self.path = folder() / f'{self._name}-{cache.digest_of(recipe)}'

    def restore(self):
        """Pushes it; False when there is none."""
        if not self.path.is_dir():
            return False
        os.utime(self.path)
        raw = (self.path / 'manifest').read_bytes()
        manifest = json.loads(raw)
        for part in [manifest['config'], *manifest['layers']]:
            with open(self.path / part['digest'].partition(':')[2], 'rb') as blob:
                self._registry.put_blob(self._repository, part['digest'], part['size'], blob)
        tag = (self.path / 'tag').read_text()
        self._registry.ask('PUT', f'/v2/{self._repository}/manifests/{tag}', raw,
                           Content_Type=manifest['mediaType'])
        return True

    def save(self, log):
        """Fetches the layer of the first stage if this build, whose log this is, has made it; its
        tag, or None when it came from the cache itself."""
        layer = rf'\S+/{re.escape(self._repository)}:([0-9a-f]+)'
        asked = re.search(rf'Checking for cached layer {layer}\.\.\.', log)
        if not asked or asked.group(1) not in re.findall(rf'Pushing layer {layer} to cache', log):
            return None
        tag, partial = asked.group(1), self.path.with_suffix('.new')
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        raw = self._get(f'manifests/{tag}', Accept=push.ACCEPTED)
        (partial / 'manifest').write_bytes(raw)
        (partial / 'tag').write_text(tag)
        manifest = json.loads(raw)
        for part in [manifest['config'], *manifest['layers']]:
            blob = self._get(f'blobs/{part["digest"]}')
            (partial / part['digest'].partition(':')[2]).write_bytes(blob)
        shutil.rmtree(self.path, ignore_errors=True)
        partial.rename(self.path)
        self._forget_old()
        return tag

    def _get(self, what, **headers):
        return self._registry.ask('GET', f'/v2/{self._repository}/{what}', **headers)[2]

    def _forget_old(self):
        kept = sorted(folder().glob(f'{self._name}-' + '[0-9a-f]' * 16),
                      key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[KEPT:]:
            shutil.rmtree(path, ignore_errors=True)


def first_layer(registry, repository, dockerfile, base_archive, proxy_url):
    """What the first stage of a Dockerfile makes, known by all that goes into it."""
    stage = first_stage(ROOT / dockerfile)
    copied = [ROOT / source for line in re.findall(r'^COPY (.*)$', stage, re.M)
              for source in line.split()[:-1]]
    return Kept(registry, f'{repository}/cache',
                [stage, *copied, digest_of_archive(base_archive), proxy_url])
