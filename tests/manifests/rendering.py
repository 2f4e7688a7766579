"""What `kubectl kustomize` makes of our folders.

The tests ask for some hundred trees, each with one letter changed. A folder is rendered once for
each of its contents, and the answer kept under a name that says what it was made of, so that a
second run of the tests starts kubectl only for what has changed since.
"""

import functools
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import time

import yaml
from objects import Thing

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 300                             # seconds; the first run fetches kubectl
UNUSED_DAYS = 30                        # an answer that nobody asked for goes after that long
Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


class RenderError(Exception):
    """What kubectl said of a folder that it could not render."""


@functools.cache
def kubectl():
    done = subprocess.run([HERE / 'kubectl'], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


@functools.cache
def answers():
    """The folder of kept answers; what another version of kubectl said is not among them."""
    base = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
    folder = base / 'hermes/manifests' / kubectl().parent.name
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.stat().st_mtime < time.time() - UNUSED_DAYS * 86400:
            path.unlink(missing_ok=True)
    return folder


def render(files, folder, components=()):
    """The objects of a folder, with the components that an overlay adds, as in `make ai`."""
    wanted = {path: text for path, text in sorted(files.items())
              if any(path.startswith(f'{place}/') for place in (folder, *components))}
    key = json.dumps([folder, components, wanted])
    return [Thing(folder, body) for body in parsed(key)]


@functools.cache
def parsed(key):
    """The same answer is read once; nobody changes what was read."""
    kept = answers() / hashlib.sha256(key.encode()).hexdigest()[:32]
    if kept.exists():
        os.utime(kept)
        text = kept.read_text(encoding='utf-8')
    else:
        text = asked(*json.loads(key))
        with tempfile.NamedTemporaryFile('w', dir=kept.parent, delete=False,
                                         encoding='utf-8') as partial:
            partial.write(text)
        os.replace(partial.name, kept)
    return [body for body in yaml.load_all(text, Loader) if body]


def asked(folder, components, files):
    with tempfile.TemporaryDirectory(prefix='hermes-manifests-') as work:
        for path, text in files.items():
            place = pathlib.Path(work, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding='utf-8')
        overlay = pathlib.Path(work, 'overlay')
        overlay.mkdir()
        (overlay / 'kustomization.yaml').write_text(json.dumps({
            'apiVersion': 'kustomize.config.k8s.io/v1beta1', 'kind': 'Kustomization',
            'resources': [f'../{folder}'], 'components': [f'../{name}' for name in components]}))
        done = subprocess.run([kubectl(), 'kustomize', overlay], capture_output=True, text=True,
                              timeout=LIMIT)
    if done.returncode != 0:
        raise RenderError(done.stderr)
    return done.stdout
