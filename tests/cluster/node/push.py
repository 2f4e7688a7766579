"""Pushes an image archive to a registry, over its HTTP interface and without a container tool.

containerd could push what it has imported. But then it has the image's parts already, and a pull by
the same containerd would prove nothing; so what a test's pull is to fetch comes in from outside.

The registry is reached from within the cluster only, so a connection to its Service is opened in
the node's network namespace, as a program of the node would do it.
"""
import base64
import ctypes
import gzip
import hashlib
import http.client
import json
import os
import socket
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT = 120
CLONE_NEWNET = 0x40000000
GZIP_LEVEL = 1
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
ACCEPTED = f'{DOCKER_MANIFEST}, {MANIFEST}'


class PushError(Exception):
    """The registry refused; the text is its own."""


def connected(address, namespace):
    """A socket of that network namespace. It stays there when the thread that went in is gone."""
    made = []

    def connect():
        try:
            with open(namespace, encoding='ascii') as file:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            made.append(socket.create_connection(address, timeout=TIMEOUT))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class Inside(urllib.request.HTTPHandler):
    """Opens connections in a network namespace."""

    def __init__(self, namespace):
        super().__init__()
        self.namespace = namespace

    def http_open(self, request):
        class Connection(http.client.HTTPConnection):
            def connect(connection):
                connection.sock = connected((connection.host, connection.port), self.namespace)

        return self.do_open(Connection, request)


class Registry:
    def __init__(self, base, credentials=None, namespace=None):
        """base: http://HOST:PORT; credentials: (user, password); namespace: the file of a network
        namespace from which to ask."""
        self._base = base.rstrip('/')
        self._headers = {}
        if credentials:
            token = base64.b64encode(':'.join(credentials).encode()).decode()
            self._headers['Authorization'] = f'Basic {token}'
        # Whatever proxy this machine has, it does not lead to the node.
        inside = [Inside(namespace)] if namespace else []
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *inside)

    def ask(self, method, path, body=None, **headers):
        """(status, headers, content) of an answer; one that is no success is a PushError."""
        url = urllib.parse.urljoin(f'{self._base}/', path)
        request = urllib.request.Request(url, data=body, method=method, headers={
            **self._headers, **{name.replace('_', '-'): value for name, value in headers.items()}})
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors='replace').strip()
            raise PushError(f'{method} {url}: {error.code} {said}') from None
        except OSError as error:
            raise PushError(f'{method} {url}: {error}') from None

    def has_blob(self, name, digest):
        try:
            self.ask('HEAD', f'/v2/{name}/blobs/{digest}')
        except PushError:
            return False
        return True

    def put_blob(self, name, digest, size, content):
        if self.has_blob(name, digest):
            return
        _, headers, _ = self.ask('POST', f'/v2/{name}/blobs/uploads/', b'')
        place = headers['Location']
        place += ('&' if '?' in place else '?') + f'digest={digest}'
        self.ask('PUT', place, content, Content_Length=str(size),
                 Content_Type='application/octet-stream')

    def digest(self, name, tag):
        """Of the manifest that a tag names."""
        return self.ask('HEAD', f'/v2/{name}/manifests/{tag}', Accept=ACCEPTED)[1][
            'Docker-Content-Digest']

    def tags(self, name):
        return json.loads(self.ask('GET', f'/v2/{name}/tags/list')[2]).get('tags') or []


def blob_path(digest):
    return 'blobs/' + digest.replace(':', '/')


def compressed(layer, content):
    """(part of a manifest, bytes) as every client pushes a layer. It is more than a matter of size:
    where kaniko puts a stage aside, it takes all its layers to be packed as the lowest one is."""
    data = gzip.compress(content, GZIP_LEVEL, mtime=0)
    return {**layer, 'mediaType': layer['mediaType'] + '+gzip', 'size': len(data),
            'digest': 'sha256:' + hashlib.sha256(data).hexdigest()}, data


def push(archive, registry, reference):
    """Pushes the one image of an archive (an OCI layout in a tar) as NAME:TAG; gives its digest."""
    name, _, tag = reference.rpartition(':')
    with tarfile.open(archive) as tar:
        def content(part):
            return tar.extractfile(blob_path(part['digest'])).read()

        manifest = json.loads(content(json.load(tar.extractfile('index.json'))['manifests'][0]))
        packed = [compressed(layer, content(layer)) for layer in manifest['layers']]
        for part, data in [(manifest['config'], content(manifest['config'])), *packed]:
            registry.put_blob(name, part['digest'], part['size'], data)
    manifest['layers'] = [part for part, _ in packed]
    raw = json.dumps(manifest).encode()
    registry.ask('PUT', f'/v2/{name}/manifests/{tag}', raw, Content_Type=manifest['mediaType'])
    return 'sha256:' + hashlib.sha256(raw).hexdigest()
