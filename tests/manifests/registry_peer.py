"""A real registry (Debian's docker-registry, which is registry:2) under the shipped configuration,
and the little of its protocol that a test needs to push and to look."""

import hashlib
import json
import os
import pathlib
import subprocess
import time
import urllib.error
import urllib.request

import yaml
from ports import free_port

REPO = pathlib.Path(__file__).resolve().parents[2]
APPLETS = 'cut date du find grep head ls rm sed sort tail tr'.split()

MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
INDEX = 'application/vnd.oci.image.index.v1+json'


def digest(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


class Registry:
    """Started in `folder`; storage, configuration and log lie there."""

    def __init__(self, folder):
        self.folder = folder
        self.storage = folder / 'storage'
        self.storage.mkdir()
        port = free_port()
        self.url = f'http://127.0.0.1:{port}/v2/'
        self.config = folder / 'config.yml'
        self.config.write_text(yaml.safe_dump(self._configuration(port)))
        self._make_commands()
        self.log = open(folder / 'registry.log', 'w', encoding='utf-8')
        self.child = subprocess.Popen(['docker-registry', 'serve', self.config], stdout=self.log,
                                      stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self._wait()

    def _configuration(self, port):
        shipped = yaml.safe_load((REPO / 'registry/config.yml').read_text())
        shipped['http']['addr'] = f'127.0.0.1:{port}'
        shipped['storage']['filesystem']['rootdirectory'] = str(self.storage)
        return shipped

    def _make_commands(self):
        """The whole PATH of the script: busybox, and the registry under its upstream name."""
        self.commands = self.folder / 'bin'
        self.commands.mkdir()
        for applet in [*APPLETS, 'sh']:
            (self.commands / applet).symlink_to('/bin/busybox')
        (self.commands / 'registry').symlink_to('/usr/bin/docker-registry')

    def _wait(self):
        until = time.monotonic() + 30
        while True:
            try:
                return self.ask('GET', '').status
            except OSError:
                assert time.monotonic() < until and self.child.poll() is None, self.log_text()
                time.sleep(0.05)

    def stop(self):
        self.child.terminate()
        self.child.wait(30)
        self.log.close()

    def log_text(self):
        return (self.folder / 'registry.log').read_text(encoding='utf-8', errors='replace')

    def collect(self, **environment):
        """Runs the script as the CronJob does; (exit status, what it said)."""
        done = subprocess.run(
            [self.commands / 'sh', REPO / 'registry/collect.sh'], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            env={'PATH': str(self.commands), 'STORAGE': str(self.storage),
                 'CONFIG': str(self.config), **environment})
        return done.returncode, done.stdout

    # ---- the protocol ----

    def ask(self, method, path, data=None, **headers):
        url = path if path.startswith('http') else self.url + path
        headers = {name.replace('_', '-'): value for name, value in headers.items()}
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        return urllib.request.urlopen(request, timeout=30)

    def status(self, method, path, **headers):
        try:
            return self.ask(method, path, **headers).status
        except urllib.error.HTTPError as error:
            return error.code

    def begin_upload(self, repository, data=b''):
        """An upload that has begun and not ended; its address."""
        place = self.ask('POST', f'{repository}/blobs/uploads/', b'').headers['Location']
        if data:
            place = self.ask('PATCH', place, data,
                             Content_Type='application/octet-stream').headers['Location']
        return place

    def push_blob(self, repository, data):
        place = self.begin_upload(repository)
        mark = '&' if '?' in place else '?'
        self.ask('PUT', f'{place}{mark}digest={digest(data)}', data,
                 Content_Type='application/octet-stream')
        return {'digest': digest(data), 'size': len(data)}

    def push_manifest(self, repository, reference, kind, content):
        data = json.dumps({'schemaVersion': 2, 'mediaType': kind, **content}).encode()
        self.ask('PUT', f'{repository}/manifests/{reference or digest(data)}', data,
                 Content_Type=kind)
        return {'mediaType': kind, 'digest': digest(data), 'size': len(data)}

    def push(self, repository, tag, seed, size=100_000):
        """An image of one layer, its bytes a function of `seed`; without a tag when that is None.
        A blob that is there already is not pushed again, as kaniko does it."""
        config = json.dumps({'architecture': 'arm64', 'os': 'linux', 'seed': seed}).encode()
        parts = []
        for data in (config, layer(seed, size)):
            there = self.status('HEAD', f'{repository}/blobs/{digest(data)}') == 200
            parts.append({'digest': digest(data), 'size': len(data)} if there
                         else self.push_blob(repository, data))
        config_type, layer_type = (f'application/vnd.oci.image.{end}'
                                   for end in ('config.v1+json', 'layer.v1.tar'))
        return self.push_manifest(repository, tag, MANIFEST, {
            'config': {'mediaType': config_type, **parts[0]},
            'layers': [{'mediaType': layer_type, **parts[1]}],
            'annotations': {'org.opencontainers.image.base.digest': 'sha256:' + 64 * '0'}})

    def pull(self, repository, reference):
        """Everything of an image, as a node fetches it: the number of its blobs."""
        answer = self.ask('GET', f'{repository}/manifests/{reference}',
                          Accept=f'{MANIFEST}, {INDEX}')
        content = json.load(answer)
        if content['mediaType'] == INDEX:
            return sum(self.pull(repository, part['digest']) for part in content['manifests'])
        for part in [content['config'], *content['layers']]:
            assert digest(self.ask('GET', f"{repository}/blobs/{part['digest']}").read()) == \
                part['digest']
        return 1 + len(content['layers'])

    def tags(self, repository):
        return sorted(json.load(self.ask('GET', f'{repository}/tags/list'))['tags'] or [])

    # ---- the storage ----

    def blob_file(self, name):
        name = name.removeprefix('sha256:')
        return self.storage / f'docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data'

    def repository(self, name):
        return self.storage / 'docker/registry/v2/repositories' / name

    def age(self, path, minutes):
        """As if everything beneath had been written so many minutes ago."""
        then = time.time() - 60 * minutes
        for file in [path, *path.rglob('*')]:
            os.utime(file, (then, then))

    def age_tag(self, repository, tag, minutes):
        self.age(self.repository(repository) / '_manifests/tags' / tag, minutes)


def layer(seed, size):
    return hashlib.sha256(str(seed).encode()).digest() * (size // 32)
