"""A container as the Deployment in k8s/ runs it, without Kubernetes.

podman stands in for the kubelet: the same restrictions, the same mounts, laid out as the kubelet
lays them out. Secrets and configuration are links into a folder that is replaced as a whole; the
data's folder belongs to root and is open to all, as the local-path provisioner of K3s makes it.

podman keeps nothing: its storage is made for the run and goes with it. The network is the
machine's, because the fakes are on its loopback.
"""
import contextlib
import http.client
import os
import pathlib
import shutil
import subprocess
import threading
import time

from builder import HERE, HOST_ARCH, run

USER = 10000
MEMORY = '128m'
START_SECONDS = 60
GRACE_SECONDS = 12                      # restart_drain_timeout is 10 s
# Not static_dir: the clean-up after a container is told of every folder but that, and then podman
# waits 20 seconds for what has failed.
CONFIG = '''\
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
lock_type = "file"
events_logger = "none"
tmp_dir = "{0}/tmp"
volume_path = "{0}/volumes"
[containers]
log_driver = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
'''


class Podman:
    """podman with everything of its own in one folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        (self.folder / 'containers.conf').write_text(CONFIG.format(self.folder))
        (self.folder / 'storage.conf').write_text(
            '[storage]\ndriver = "overlay"\n'
            f'graphroot = "{self.folder}/graph"\nrunroot = "{self.folder}/run"\n')
        self.environment = {**os.environ, 'CONTAINERS_CONF': str(self.folder / 'containers.conf'),
                            'CONTAINERS_STORAGE_CONF': str(self.folder / 'storage.conf')}

    def command(self, *words, arch=HOST_ARCH):
        wrapper = [HERE / 'with-arm64'] if arch == 'arm64' != HOST_ARCH else []
        return list(map(str, [*wrapper, 'podman', *words]))

    def __call__(self, *words, arch=HOST_ARCH):
        return run(self.command(*words, arch=arch), env=self.environment)

    def result(self, *words, arch=HOST_ARCH, limit=120):
        """The completed process, whatever its status."""
        return subprocess.run(self.command(*words, arch=arch), env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=limit)

    def pull(self, reference, arch):
        self('pull', '--quiet', '--tls-verify=false', '--arch', arch, reference)
        return reference


def end(folder):
    """Stops and removes what a Podman made, also one whose run was killed."""
    folder = pathlib.Path(folder)
    if (folder / 'storage.conf').exists():
        environment = {**os.environ, 'CONTAINERS_CONF': str(folder / 'containers.conf'),
                       'CONTAINERS_STORAGE_CONF': str(folder / 'storage.conf')}
        subprocess.run(['podman', 'rm', '--all', '--force', '--time', '0'], env=environment,
                       stdin=subprocess.DEVNULL, capture_output=True, check=False)
    mounts = [line.split()[1] for line in pathlib.Path('/proc/mounts').read_text().splitlines()]
    for place in sorted((m for m in mounts if m.startswith(f'{folder}/')), reverse=True):
        subprocess.run(['umount', '--lazy', place], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def kubelet_volume(folder, files, mode, group=0):
    """A Secret or ConfigMap on disk, as the kubelet's atomic writer leaves it."""
    real = folder / '..2026_01_01_00_00_00.000000001'
    real.mkdir(parents=True)
    for name, text in files.items():
        (real / name).write_text(text)
        os.chown(real / name, 0, group)
        (real / name).chmod(mode)
        (folder / name).symlink_to(f'..data/{name}')
    (folder / '..data').symlink_to(real.name)
    for place in (folder, real):
        os.chown(place, 0, group)
    folder.chmod(0o3777 if group else 0o777)
    return folder


class Pod:
    """One life of the agent in its container. As a context manager, what is left of it is ended."""

    count = 0

    def __init__(self, podman, image, folder, arch=HOST_ARCH):
        Pod.count += 1
        self.podman, self.image, self.arch = podman, image, arch
        self.name = f'agent-{Pod.count}'
        self.folder = pathlib.Path(folder) / self.name
        self.data = self.folder / 'data'
        self.data.mkdir(parents=True)
        self.data.chmod(0o777)          # whatever the umask
        self.env, self.mounts, self.port = {}, [], None
        self.process, self.output = None, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.podman.result('kill', self.name, arch=self.arch)
            self.process.wait()

    def configure(self, config, secrets):
        self.mounts = [
            f'{kubelet_volume(self.folder / "config", {"config.yaml": config}, 0o644)}'
            ':/etc/hermes:ro',
            f'{kubelet_volume(self.folder / "secrets", secrets, 0o440, USER)}'
            ':/run/secrets/hermes:ro']
        self.env['HERMES_SECRETS_DIR'] = '/run/secrets/hermes'
        return self

    def restrictions(self):
        return ['--network', 'host', '--user', f'{USER}:{USER}', '--read-only',
                '--read-only-tmpfs=false', '--cap-drop', 'all',
                '--security-opt', 'no-new-privileges', '--memory', MEMORY, '--memory-swap', MEMORY,
                '--pids-limit', '64', '--tmpfs', '/tmp:rw,nosuid,nodev,size=16m,mode=1777',
                '--volume', f'{self.data}:/opt/data']

    def words(self, *command, options=()):
        volumes = [word for mount in self.mounts for word in ('--volume', mount)]
        env = [word for key, value in self.env.items() for word in ('--env', f'{key}={value}')]
        return ['run', '--rm', '--name', self.name, '--arch', self.arch, '--pull', 'never',
                *self.restrictions(), *volumes, *env, *options, self.image, *command]

    def once(self, *command, options=(), limit=120):
        """A container that ends by itself."""
        return self.podman.result(*self.words(*command, options=options), arch=self.arch,
                                  limit=limit)

    def start(self, limit=START_SECONDS):
        """The image's own command, until it is ready."""
        self.process = subprocess.Popen(
            self.podman.command(*self.words(), arch=self.arch), env=self.podman.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True)
        threading.Thread(target=self._listen, daemon=True).start()
        until = time.monotonic() + limit
        while self.get('/readyz')[0] != 200:
            assert self.process.poll() is None and time.monotonic() < until, \
                f'it does not get ready: {self.said}'
            time.sleep(0.1)
        return self

    def _listen(self):
        for line in self.process.stdout:
            self.output.append(line)

    @property
    def said(self):
        return ''.join(self.output)

    def get(self, path):
        """(status, body); (0, '') while nobody listens."""
        conn = http.client.HTTPConnection('127.0.0.1', self.port, timeout=5)
        with contextlib.closing(conn):
            try:
                conn.request('GET', path)
                answer = conn.getresponse()
                return answer.status, answer.read().decode()
            except OSError:
                return 0, ''

    def exec(self, *command, check=True):
        """What `kubectl exec` does."""
        done = self.podman.result('exec', self.name, *command, arch=self.arch)
        assert not check or done.returncode == 0, done
        return done

    def shell(self, script):
        return self.exec('sh', '-c', script).stdout

    def stop(self, limit=GRACE_SECONDS):
        """(exit status, seconds) after SIGTERM, as the kubelet ends a pod; without the SIGKILL."""
        started = time.monotonic()
        self.podman('kill', '--signal', 'TERM', self.name)
        status = self.process.wait(limit)
        return status, time.monotonic() - started
