"""A K3s node for registry/install-node: its folders, its programs, and a registry that is there.

The programs do as little as they can: `systemctl restart` writes down for containerd what K3s
would, `k3s crictl pull` looks whether it was. Requests are made by the
machine's real curl or wget.
"""

import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 60

SYSTEMCTL = '''#!/bin/sh
case $1 in
cat) grep -qx "$2" "$NODE/units" ;;
restart)
    printf '%s\\n' "$2" >>"$NODE/restarts"
    if [ -e "$NODE/broken" ]; then echo "Job for $2.service failed"; exit 1; fi
    rm -rf "$K3S_DATA_DIR/agent/etc/containerd/certs.d"
    for name in $(sed -n 's/^  *"\\{0,1\\}\\([a-z.]*:[0-9]*\\)"\\{0,1\\}:.*/\\1/p' \\
        "$K3S_CONFIG_DIR/registries.yaml" 2>/dev/null); do
        mkdir -p "$K3S_DATA_DIR/agent/etc/containerd/certs.d/$name"
        grep -o 'http://[0-9.:]*' "$K3S_CONFIG_DIR/registries.yaml" \\
            >"$K3S_DATA_DIR/agent/etc/containerd/certs.d/$name/hosts.toml"
    done ;;
*) exit 1 ;;
esac
'''
K3S = '''#!/bin/sh
printf '%s\\n' "$*" >>"$NODE/k3s"
case "$1 $2" in
'crictl pull')
    cat "$NODE/pull" 2>/dev/null && exit 1
    [ -e "$K3S_DATA_DIR/agent/etc/containerd/certs.d/${3%%/*}/hosts.toml" ] ||
        { echo "lookup ${3%%/*}: no such host"; exit 1; } ;;
'kubectl get') cat "$NODE/service" 2>/dev/null ;;
esac
'''


class Registry(http.server.BaseHTTPRequestHandler):
    """Enough of the protocol for a push, and strict where a real one is."""

    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, code, text='', **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        body = text.encode()
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        store = self.server.store
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        store['asked'].append(f'{self.command} {self.path}')
        if store['password'] and self.path.startswith('/v2/'):
            if self.headers.get('Authorization') != store['password']:
                self.answer(401, '{}', **{'WWW-Authenticate': 'Basic realm="registry"'})
                return
        path, _, query = self.path.partition('?')
        method = getattr(self, f'{self.command.lower()}_', None)
        method(path, query, body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def get_(self, path, _query, _body):
        images = self.server.store['images']
        if path in ('/', '/v2/'):
            self.answer(200, '{}')
        elif path == '/v2/_catalog':
            self.answer(200, json.dumps({'repositories': sorted(images)}) + '\n')
        elif match := re.fullmatch(r'/v2/(.*)/tags/list', path):
            tags = sorted(images.get(match[1], {})) or None
            self.answer(200, json.dumps({'name': match[1], 'tags': tags}) + '\n')
        else:
            self.answer(404)

    def post_(self, path, _query, _body):
        self.answer(202, Location=f'http://{self.headers["Host"]}{path}some-id?_state=a%3D')

    def put_(self, path, query, body):
        store = self.server.store
        if '/blobs/uploads/' in path:
            digest = 'sha256:' + hashlib.sha256(body).hexdigest()
            if f'digest={digest}' not in query:
                self.answer(400)
                return
            store['blobs'][digest] = body
        else:
            manifest = json.loads(body)
            for part in [manifest['config'], *manifest['layers']]:
                if len(store['blobs'].get(part['digest'], b'')) != part['size']:
                    self.answer(400, 'blob unknown')
                    return
            assert self.headers['Content-Type'] == manifest['mediaType']
            name, tag = re.fullmatch(r'/v2/(.*)/manifests/(.*)', path).groups()
            store['images'].setdefault(name, {})[tag] = manifest
        self.answer(201)

    def delete_(self, path, _query, _body):
        self.server.store['images'].get(path.split('/')[2], {}).clear()
        self.answer(202)


class Node:
    def __init__(self, path, shell='sh', programs=()):
        self.path, self.shell, self.programs = path, shell, programs
        self.etc, self.data = path / 'etc', path / 'data'
        self.file = self.etc / 'registries.yaml'
        for folder in ('etc', 'data', 'bin', 'tmp', 'registry'):
            (path / folder).mkdir()
        self.units('k3s')
        for name, text in (('systemctl', SYSTEMCTL), ('k3s', K3S)):
            (path / 'bin' / name).write_text(text)
            (path / 'bin' / name).chmod(0o755)
        for name in ('install-node', 'registries.yaml'):
            shutil.copy(ROOT / 'registry' / name, path / 'registry' / name)
        self.server = None

    def start_registry(self, **images):
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Registry)
        self.server.store = {'images': {name.replace('__', '/'): dict.fromkeys(tags)
                                        for name, tags in images.items()},
                             'blobs': {}, 'asked': [], 'password': None}
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.points_at(self.server.server_port)
        return self.server.store

    def points_at(self, port):
        """The shipped file, but with an address that exists here."""
        ours = self.path / 'registry/registries.yaml'
        text = (ROOT / 'registry/registries.yaml').read_text()
        ours.write_text(text.replace('10.43.0.50:5000', f'127.0.0.1:{port}'))

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()

    def units(self, *names):
        (self.path / 'units').write_text(''.join(f'{name}\n' for name in names))

    def put(self, name, text=''):
        (self.path / name).write_text(text)

    def run(self, *words, stdin=subprocess.DEVNULL, **environment):
        path = f'{self.path}/bin:{self.programs or os.environ["PATH"]}'
        kept = {'PATH': path, 'NODE': str(self.path), 'K3S_CONFIG_DIR': str(self.etc),
                'K3S_DATA_DIR': str(self.data), 'TMPDIR': str(self.path / 'tmp'), 'WAIT': '2',
                'PAUSE': '1', 'LANG': 'C.UTF-8'}
        done = subprocess.run([*self.shell.split(), self.path / 'registry/install-node', *words],
                              env={**kept, **environment}, capture_output=True, text=True,
                              stdin=stdin, timeout=SECONDS)
        assert not list((self.path / 'tmp').iterdir())
        return done

    @property
    def restarts(self):
        path = self.path / 'restarts'
        return path.read_text().split() if path.exists() else []

    @property
    def asked_of_k3s(self):
        path = self.path / 'k3s'
        return path.read_text().splitlines() if path.exists() else []


def busybox_userland(folder):
    """Every program that busybox knows. Of others curl, since its own wget can send nothing, and
    cksum, which POSIX has and Debian's busybox has not."""
    folder.mkdir()
    busybox = shutil.which('busybox')
    for name in subprocess.run([busybox, '--list'], check=True, text=True,
                               capture_output=True).stdout.split():
        (folder / name).symlink_to(busybox)
    for name in ('curl', 'cksum'):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(shutil.which(name))
    return folder
