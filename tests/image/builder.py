"""buildah, with a storage of its own that outlives a run: in it are the layers that need not be
built again. The machine's own storage is left alone.

What is built is a copy of the tree as git sees it, because that is what a user builds, and with
files beside it that must never get into an image.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
LOGS = REPO / 'build' / 'test-logs'
TAIL = 40                               # lines of a failed command's log that are shown
HOST_ARCH = {'x86_64': 'amd64', 'aarch64': 'arm64'}[os.uname().machine]
# Who is root without CAP_SYS_RESOURCE cannot raise what a container engine would raise.
ULIMITS = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']
# A build that is ended takes along what it started, also in a chroot, and its mounts.
CONFINED = ['unshare', '--mount', '--propagation', 'private', '--pid', '--fork',
            '--kill-child=KILL', '--mount-proc']
CANARY = 'canary-5f0c1e9a77d24b6b'
PLANTED = ['.env', 'k8s/secrets.env', 'registry/docker-config.json', 'registry/htpasswd',
           'src/daemon/.env', 'kaniko/notes.env']


def foreign_options(arch):
    """How the base of a foreign architecture is wanted (tests/image/bases/debian says why)."""
    pure = arch == HOST_ARCH or os.environ.get('HERMES_ARM64') == 'pure'
    return [] if pure else ['--our-compiler']


def cache_folder():
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(base) / 'hermes'


def run(command, log=None, **more):
    """Its standard output. All of what it says goes to a log, if there is one, and the end of that
    is in the error."""
    with contextlib.ExitStack() as stack:
        if log:
            err = stack.enter_context(open(log, 'a', encoding='utf-8'))
            err.write(f'+ {" ".join(map(str, command))}\n')
            err.flush()
        else:
            err = subprocess.PIPE
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, check=False,
                              stdout=err if log else subprocess.PIPE, stderr=err, **more)
    if done.returncode != 0:
        said = pathlib.Path(log).read_text(errors='replace') if log else done.stderr.decode()
        lines = '\n'.join(said.splitlines()[-TAIL:])
        raise AssertionError(f'{" ".join(map(str, command))}: status {done.returncode}\n{lines}')
    return '' if log else done.stdout.decode()


@contextlib.contextmanager
def context():
    """A folder with the tree and, where secrets would lie, a word that is looked for later."""
    with tempfile.TemporaryDirectory(prefix='hermes-context-') as path:
        folder = pathlib.Path(path)
        listed = run(['git', '-C', REPO, 'ls-files', '-z', '-co', '--exclude-standard'])
        for name in filter(None, listed.split('\0')):
            if (REPO / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPO / name, folder / name, follow_symlinks=False)
        for name in PLANTED:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f'TELEGRAM_BOT_TOKEN={CANARY}\n')
        yield folder


class Builder:
    def __init__(self):
        self.folder = cache_folder() / 'containers'
        self.folder.mkdir(parents=True, exist_ok=True)
        LOGS.mkdir(parents=True, exist_ok=True)
        config = self.folder / 'storage.conf'
        config.write_text('[storage]\ndriver = "overlay"\n'
                          f'graphroot = "{self.folder}/graph"\nrunroot = "{self.folder}/run"\n')
        self.environment = {**os.environ, 'CONTAINERS_STORAGE_CONF': str(config),
                            'TMPDIR': str(self.folder)}
        self.seconds = {}               # of each build

    def buildah(self, *words, arch=HOST_ARCH, log=None):
        wrapper = [HERE / 'with-arm64'] if arch == 'arm64' != HOST_ARCH else []
        return run([*CONFINED, *wrapper, 'buildah', *words], log, env=self.environment)

    def has(self, name):
        return bool(self.buildah('images', '--noheading', '--quiet', '--filter',
                                 f'reference={name}').strip())

    def base(self, arch, *options):
        """The name of the base image, which is taken over from its archive once."""
        archive = self._archive(arch, *options)
        name = f'localhost/{archive.stem}:test'
        if not self.has(name):
            self._take_over(archive, arch, name)
        return name

    def _archive(self, arch, *options):
        done = subprocess.run([HERE / 'bases' / 'debian', arch, *options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              check=False)
        assert done.returncode == 0, 'no base image; see above what tests/image/bases/debian said'
        return pathlib.Path(done.stdout.strip())

    def _take_over(self, archive, arch, name):
        """Not `buildah pull`: an image without a history cannot be built upon by buildah 1.28."""
        working = self.buildah('from', 'scratch').strip()
        try:
            with tarfile.open(archive) as outer, tempfile.TemporaryDirectory(dir=self.folder) as at:
                described = json.load(outer.extractfile('manifest.json'))[0]
                config = json.load(outer.extractfile(described['Config']))['config']
                for number, layer in enumerate(described['Layers']):
                    path = pathlib.Path(at) / f'{number}.tar'
                    with open(path, 'wb') as file:
                        shutil.copyfileobj(outer.extractfile(layer), file)
                    self.buildah('add', '--quiet', working, path, '/')
            words = [word for line in config['Env'] for word in ('--env', line)]
            self.buildah('config', '--arch', arch, '--cmd', 'bash', *words, working)
            self.buildah('commit', '--quiet', '--timestamp', '0', working, name)
        finally:
            self.buildah('rm', working)

    def build(self, arch, name, folder, file='kaniko/Dockerfile', target=None, base=None):
        """Builds localhost/NAME:ARCH. A name keeps the layers beneath it from being tidied away."""
        tag, log = f'localhost/{name}:{arch}', LOGS / f'image-{name}-{arch}.log'
        log.unlink(missing_ok=True)
        wanted = ['--target', target] if target else []
        proxies = [word for key in ('http_proxy', 'https_proxy') if os.environ.get(key)
                   for word in ('--build-arg', f'{key}={os.environ[key]}')]
        started = time.monotonic()
        self.buildah('bud', '--isolation', 'chroot', '--layers', '--pull-never', *ULIMITS,
                     '--platform', f'linux/{arch}',
                     '--build-arg', f'BASE={base or self.base(arch)}',
                     *proxies, *wanted, '--tag', tag, '--file', folder / file, folder,
                     arch=arch, log=log)
        self.seconds[f'{name} {arch}'] = time.monotonic() - started
        return tag

    def push(self, tag, reference):
        self.buildah('push', '--quiet', '--tls-verify=false', tag, f'docker://{reference}')

    def tidy(self):
        """What no name leads to any more: layers of older sources."""
        self.buildah('rm', '--all')
        self.buildah('rmi', '--prune')
