"""A real single-node Kubernetes in a network namespace of this machine.

    with Node() as node:
        node.kubectl('apply', '-f', '-', input=manifest)

Nothing of it is simulated but what says so: etcd, API server, controllers, scheduler, kubelet,
containerd, runc, kube-proxy and the bridge plug-in are the real ones, and so is everything that
they refuse. Stand-ins are dnsmasq for CoreDNS, provisioner.py for the local-path provisioner, and
k3s and systemctl for what an operator types on a node. Network policies are accepted and not
enforced; there is no load balancer and no ingress.

The node can reach this machine (`place.host`) and nothing else: there is no NAT and no forwarding.
This machine can reach the node (`place.address`): the API at :6443, and node ports.

How it ends: every process of the node descends from init.py in a process namespace of its own, so
one SIGKILL ends them all, and their mounts with them. What remains are a network namespace, cgroups
and the state folder; `remove` takes those away, whatever state they are in. A node belongs to the
process that started it: a guard, which notices the end of that process however it comes, removes
it. Only one that was started with keep=True stays.

One node at a time can have a slot (see layout.py); a second one waits. The lock is held by init.py,
hence for exactly as long as the node lives.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import daemons
import layout
import push
from layout import HERE, HOME, ROOT, Layout

# Several times what a busy machine takes; only something that hangs gets there.
API_SECONDS = 300
NODE_SECONDS = 300
STOP_SECONDS = 60
LOCK_SECONDS = 1800
GUARD_SECONDS = 10
LOG_TAIL_LINES = 15
IMAGES = ROOT / 'tests/image/bases'
REGISTRY_PORT = 5000

CLUSTER_OBJECTS = '''
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: local-path
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: rancher.io/local-path
reclaimPolicy: Delete
volumeBindingMode: WaitForFirstConsumer
'''


class NodeError(Exception):
    """The node itself failed; the text says what, and ends with the log that explains it."""


def say(text):
    print(f'node: {text}', file=sys.stderr, flush=True)


# -- processes, by number and start so that a number's next owner is not taken for the old ------

def identity(pid):
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    fields = stat.rpartition(')')[2].split()
    return None if fields[0] == 'Z' else f'{pid} {fields[19]}'


def living(path):
    """The process that a file names, or None."""
    try:
        line = path.read_text().strip()
    except OSError:
        return None
    pid = line.split()[0] if line else ''
    return int(pid) if pid.isdigit() and identity(pid) == line else None


def wait_for(condition, seconds, what, pause=0.1):
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NodeError(f'{what} within {seconds} s')
        time.sleep(pause)


# -- removing ----------------------------------------------------------------------------------

def kill_processes(place):
    """The first process, and with it all others; then whoever else sits in the network namespace,
    in case the state folder is gone and nobody knows who the first was."""
    inside = []
    if place.namespace.exists():
        found = subprocess.run(['ip', 'netns', 'pids', place.name], capture_output=True, text=True,
                               check=False)
        inside = [int(word) for word in found.stdout.split()]
    first = living(place.process)
    for pid in {*inside, *([first] if first else [])}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not place.process.exists() or not living(place.process), STOP_SECONDS,
             f'{place.name}: its first process did not end')


def cgroup_folders(place):
    """Those of the node in every hierarchy, the innermost first."""
    top = pathlib.Path('/sys/fs/cgroup')
    for tree in [*top.glob(place.name), *top.glob(f'*/{place.name}')]:
        yield from sorted((folder for folder in [tree, *tree.rglob('*')] if folder.is_dir()),
                          key=lambda folder: len(folder.parts), reverse=True)


def kill_cgroup_members(place):
    """Members that are not in the process namespace either; there should be none."""
    for folder in cgroup_folders(place):
        with contextlib.suppress(OSError, ValueError):
            for line in (folder / 'cgroup.procs').read_text().split():
                if int(line) > 0:
                    os.kill(int(line), signal.SIGKILL)


def remove_cgroups(place):
    def gone():
        kill_cgroup_members(place)
        for folder in cgroup_folders(place):
            with contextlib.suppress(OSError):      # busy while its last member is still ending
                folder.rmdir()
        return not list(cgroup_folders(place))

    wait_for(gone, STOP_SECONDS, f'{place.name}: its cgroups could not be removed')


def remove_network(place):
    quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL, 'check': False}
    if place.namespace.exists():
        subprocess.run(['ip', 'netns', 'del', place.name], **quiet)
    # The pair goes with the namespace's end of it, a moment after the namespace's last process.
    subprocess.run(['ip', 'link', 'del', place.name], **quiet)


@contextlib.contextmanager
def changing(place):
    """Held while a node is being made or removed: its end frees the slot before all of it is gone,
    and whoever waits for the slot must not begin among the remains."""
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    with open(place.lock.with_suffix('.change'), 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove(place, owner=None):
    """Ends the node, unless it belongs to somebody else than `owner`, if that is given."""
    with changing(place):
        if owner is None or belongs_to(place, owner):
            remove_all(place)


def belongs_to(place, owner):
    try:
        return place.owner.read_text().strip() == owner
    except OSError:
        return False


def remove_all(place):
    """Removes every trace but the logs; fine on a node that is half there, or not at all."""
    kill_processes(place)
    remove_network(place)
    remove_cgroups(place)
    shutil.rmtree(place.state, ignore_errors=True)
    if place.state.exists():
        raise NodeError(f'{place.state} could not be removed; is something mounted in it?')


# -- the slot ----------------------------------------------------------------------------------

def holder(place):
    """Who has a slot that is locked: 'nobody' yet or any more, a node that is 'kept', one that is
    'owned' by a living process, or a 'stale' one, whose owner and guard were both killed."""
    if not living(place.process):
        return 'nobody'
    if not place.owner.exists():
        return 'kept'
    return 'owned' if living(place.owner) else 'stale'


def take_slot(place):
    """Returns the locked file; whoever inherits it holds the slot."""
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = open(place.lock, 'w', encoding='ascii')
    said, began = False, time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            pass
        whose = holder(place)
        if whose == 'stale' and time.monotonic() > began + GUARD_SECONDS:
            remove(place)
        if whose == 'kept':
            raise NodeError(f'{place.name} was started by hand and is still there. Use it with '
                            f'HERMES_NODE=keep, or end it: tests/cluster/node/run down')
        if time.monotonic() > began + LOCK_SECONDS:
            raise NodeError(f'{place.name} has been in use for {LOCK_SECONDS} s. Is it a run of '
                            f'another checkout? HERMES_TEST_SLOT=1 makes a node beside it')
        if not said:
            say(f'another run uses {place.name}; waiting for it')
            said = True
        time.sleep(1)


def guard(place, owner):
    """Waits for the end of `owner`, on whose open pipe it reads, and removes what it has left.

    A process closes its files a moment before it is gone. One that closes them and lives on has
    removed its node itself; and by then the slot may be another's."""
    sys.stdin.buffer.read()
    deadline = time.monotonic() + GUARD_SECONDS
    while belongs_to(place, owner):
        if not living(place.owner):
            remove(place, owner)
        elif time.monotonic() > deadline:
            return
        time.sleep(0.05)


# -- the node ----------------------------------------------------------------------------------

def need_machine():
    if os.geteuid() != 0:
        raise NodeError('a node needs root: it makes namespaces, mounts and cgroups')
    for program, package in (('etcd', 'etcd-server'), ('containerd', 'containerd'),
                             ('runc', 'runc'), ('iptables', 'iptables'), ('ip', 'iproute2'),
                             ('dnsmasq', 'dnsmasq-base'), ('nsenter', 'util-linux')):
        if not shutil.which(program, path=search_path()):
            raise NodeError(f'{program} is missing (Debian: {package}). Run: scripts/deps cluster')


def search_path():
    return os.environ.get('PATH', '/usr/bin:/bin') + ':/usr/local/sbin:/usr/sbin:/sbin'


def printed_by(*command):
    """The last line that a program of ours prints; what it says meanwhile is for people."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode != 0 or not done.stdout.strip():
        raise NodeError(f'{command[0]} failed; see above')
    return pathlib.Path(done.stdout.split('\n')[-2])


class Node:
    def __init__(self, slot=None, keep=False):
        """keep: use the node that is there, else start one; and leave it running."""
        self.place = Layout(slot)
        self.keep = keep
        self.programs = None            # folder of Kubernetes' programs
        self._started = {}              # component -> Popen
        self._guard = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    # -- life ----------------------------------------------------------------------------------

    def start(self):
        need_machine()
        self.programs = printed_by(HERE / 'build')
        if self.keep and holder(self.place) == 'kept':
            return
        pause = printed_by(IMAGES / 'pause')
        with take_slot(self.place) as lock, changing(self.place):
            try:
                remove_all(self.place)
                self._start(lock, pause)
            except BaseException:
                self.collect()
                remove_all(self.place)
                self._forget()
                raise

    def _start(self, lock, pause):
        began = time.monotonic()
        self._make_state()
        self._make_network()
        self._make_cgroups()
        self._start_init(lock)
        if not self.keep:
            self._start_guard()
        self._start_components(pause)
        say(f'{self.place.name} is ready after {time.monotonic() - began:.1f} s; '
            f'logs are in {self.place.logs.relative_to(ROOT)}')

    def stop(self):
        if not self.keep:
            self.collect()
            remove(self.place, identity(os.getpid()))
            self._forget()

    def _forget(self):
        for process in self._started.values():
            process.wait()
        self._started = {}
        if self._guard:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None

    def _make_state(self):
        place = self.place
        shutil.rmtree(place.logs, ignore_errors=True)
        place.logs.mkdir(parents=True)
        place.state.mkdir(parents=True)
        if not self.keep:
            place.owner.write_text(identity(os.getpid()) + '\n')
        daemons.write_configuration(place)
        (place.state / 'kubernetes').symlink_to(self.programs)
        tools = place.state / 'bin'
        tools.mkdir()
        for name in ('k3s', 'systemctl'):
            (tools / name).symlink_to(HERE / name)

    def _make_network(self):
        place = self.place
        for command in (f'netns add {place.name}',
                        f'link add {place.name} type veth peer name eth0 netns {place.name}',
                        f'addr add {place.host}/24 dev {place.name}',
                        f'link set {place.name} up',
                        f'-n {place.name} link set lo up',
                        f'-n {place.name} addr add {place.address}/24 dev eth0',
                        f'-n {place.name} link set eth0 up',
                        # A service's address is rewritten before it is routed, but only if there
                        # is a route at all. An address that no service has shall not get out, and
                        # what leads nowhere shall fail at once.
                        f'-n {place.name} route add {layout.SERVICE_NETWORK} dev eth0',
                        f'-n {place.name} route add unreachable default'):
            done = subprocess.run(['ip', *command.split()], capture_output=True, text=True,
                                  check=False)
            if done.returncode != 0:
                raise NodeError(f'ip {command}: {done.stderr.strip()}')

    def _make_cgroups(self):
        """One folder in each hierarchy: in each controller's, and in the unified one."""
        top = pathlib.Path('/sys/fs/cgroup')
        if (top / 'cgroup.controllers').exists():
            (top / self.place.name).mkdir()
            return
        hierarchies = {tree.resolve() for tree in top.iterdir()
                       if (tree / 'cgroup.procs').exists()}
        if not hierarchies:
            raise NodeError('no cgroups are mounted in /sys/fs/cgroup')
        for tree in hierarchies:
            (tree / self.place.name).mkdir()
        cpuset = top / 'cpuset'
        for name in ('cpuset.cpus', 'cpuset.mems'):     # empty at first, and then nobody may enter
            if (cpuset / name).exists():
                (cpuset / self.place.name / name).write_text((cpuset / name).read_text())

    def _start_init(self, lock):
        place = self.place
        log = open(place.logs / 'init.log', 'wb')
        with log:
            process = subprocess.Popen(
                ['nsenter', f'--net={place.namespace}', 'unshare', '--mount', '--pid', '--fork',
                 '--propagation', 'private', '/usr/bin/python3', '-B', str(HERE / 'init.py'),
                 str(place.state), str(place.logs)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd='/',
                env=self._inner_environment(), pass_fds=[lock.fileno()], start_new_session=True)
        self._started['init'] = process
        with process.stdout:
            if process.stdout.readline() != b'ready\n':
                raise self._failure('the namespaces could not be made', 'init')

    def _start_guard(self):
        self._guard = subprocess.Popen(
            ['/usr/bin/python3', '-B', str(HERE / 'run'), 'guard', str(self.place.slot),
             identity(os.getpid())],
            stdin=subprocess.PIPE, start_new_session=True)

    def _start_components(self, pause):
        place = self.place
        self.sh(f'rm -f /etc/resolv.conf; echo nameserver {place.address} >/etc/resolv.conf')
        self.sh('k3s configure')
        self._spawn('etcd', daemons.etcd_command())
        self._spawn('containerd', layout.CONTAINERD_COMMAND)
        self._spawn('dnsmasq', daemons.dns_command(place))
        self._spawn('kube-apiserver', daemons.apiserver_command(place))
        self._wait('kube-apiserver', API_SECONDS, lambda: self._quiet('get', '--raw', '/readyz'))
        self._spawn('kube-controller-manager', daemons.controller_manager_command())
        self._spawn('kube-scheduler', daemons.scheduler_command())
        self._wait('containerd', API_SECONDS, lambda: self.sh('k3s ctr version', check=False)
                   .returncode == 0)
        self.import_image(pause)
        self._spawn('kubelet', daemons.kubelet_command(place))
        self._spawn('kube-proxy', daemons.proxy_command(place))
        self._spawn('provisioner', daemons.provisioner_command())
        self.kubectl('apply', '-f', '-', input=CLUSTER_OBJECTS)
        self._wait('kubelet', NODE_SECONDS, self._node_is_ready)
        self._wait('kube-controller-manager', NODE_SECONDS,
                   lambda: self._quiet('get', 'serviceaccount', 'default'))

    def _node_is_ready(self):
        found = self._quiet('get', 'node', self.place.name, '-o', 'json')
        conditions = json.loads(found)['status'].get('conditions', []) if found else []
        return any(condition['type'] == 'Ready' and condition['status'] == 'True'
                   for condition in conditions)

    def _quiet(self, *arguments):
        """What kubectl prints, or nothing when it fails, as it does until a part is up."""
        try:
            done = self.kubectl(*arguments, check=False, timeout=10)
        except subprocess.TimeoutExpired:
            return ''
        return done.stdout if done.returncode == 0 else ''

    # -- processes of the node -----------------------------------------------------------------

    def _inner_environment(self):
        return {'PATH': f'{HOME}/bin:{HOME}/kubernetes:/usr/sbin:/usr/bin:/sbin:/bin',
                'HOME': '/root', 'LANG': 'C.UTF-8'}

    def _enter(self, folder='/'):
        first = living(self.place.process)
        if not first:
            raise self._failure(f'{self.place.name} is not running', 'init')
        return ['nsenter', '-t', str(first), '-m', '-n', '-p', f'--wdns={folder}']

    def _spawn(self, name, command):
        with open(self.place.logs / f'{name}.log', 'ab') as log:
            self._started[name] = subprocess.Popen(
                [*self._enter(), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._inner_environment(), start_new_session=True)

    def _wait(self, name, seconds, condition):
        def ready():
            for component, process in self._started.items():
                if process.poll() is not None:
                    raise self._failure(f'{component} ended with {process.returncode}', component)
            return condition()

        try:
            wait_for(ready, seconds, f'{name} was not ready')
        except NodeError as error:
            raise self._failure(str(error), name) from None

    def _failure(self, text, component):
        log = self.place.logs / f'{component}.log'
        lines = log.read_text(errors='replace').splitlines() if log.exists() else []
        tail = '\n    '.join(lines[-LOG_TAIL_LINES:])
        return NodeError(f'{text}\nThe end of {log}:\n    {tail}')

    # -- use -----------------------------------------------------------------------------------

    def environment(self):
        """What an operator's shell has: the cluster, and kubectl in its path."""
        return {**os.environ, 'KUBECONFIG': str(self.place.kubeconfig),
                'PATH': f'{self.programs}:{os.environ["PATH"]}'}

    def kubectl(self, *arguments, input=None, check=True, timeout=120):
        """Runs the cluster's own kubectl on this machine, as its operator would."""
        done = subprocess.run([str(self.programs / 'kubectl'), *map(str, arguments)], input=input,
                              capture_output=True, text=True, timeout=timeout, check=False,
                              env=self.environment())
        if check and done.returncode != 0:
            raise NodeError(f'kubectl {" ".join(map(str, arguments))}: {done.stderr.strip()}')
        return done

    def apply(self, *objects):
        """Applies objects, each a dict or a text of YAML documents."""
        for thing in objects:
            text = thing if isinstance(thing, str) else json.dumps(thing)
            self.kubectl('apply', '-f', '-', input=text)

    def get(self, kind, name, namespace='default'):
        """An object as a dict, or None where there is none."""
        done = self.kubectl('get', kind, name, '-n', namespace, '-o', 'json', check=False)
        if done.returncode == 0:
            return json.loads(done.stdout)
        if '(NotFound)' in done.stderr:
            return None
        raise NodeError(f'kubectl get {kind} {name}: {done.stderr.strip()}')

    def wait(self, condition, seconds, what):
        """Calls condition() until it gives something true, which is returned; else a NodeError."""
        return wait_for(condition, seconds, what, pause=0.3)

    def wait_for_pod(self, name, namespace, phases=('Succeeded', 'Failed'), seconds=180):
        """The pod as a dict once it is in one of these phases."""
        def there():
            pod = self.get('pod', name, namespace)
            return pod if pod and pod['status'].get('phase') in phases else None

        return self.wait(there, seconds, f'pod {namespace}/{name} was not {"/".join(phases)}')

    def wait_for_account(self, namespace):
        """A namespace takes pods once it has its default service account."""
        self.wait(lambda: self.get('serviceaccount', 'default', namespace), 120,
                  f'{namespace} got no service account')

    def sh(self, script, check=True, timeout=600, env=None):
        """Runs a shell script on the node, as root; `k3s` and `systemctl` are the stand-ins."""
        done = subprocess.run([*self._enter(), 'bash', '-c', script], capture_output=True,
                              text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
                              env={**self._inner_environment(), **(env or {})})
        if check and done.returncode != 0:
            raise NodeError(f'on the node: {script}: {(done.stdout + done.stderr).strip()}')
        return done

    def import_image(self, archive):
        """An archive (docker's or OCI's) becomes an image of the node's containerd."""
        return self.sh(f"k3s ctr images import --all-platforms '{archive}'").stdout

    def push(self, archive, reference, credentials=None):
        """Pushes an archive to the registry in the cluster as NAME:TAG; gives its digest."""
        return push.push(archive, self.registry(credentials), reference)

    def registry(self, credentials=None):
        """The registry in the cluster, asked from the node at its Service's address."""
        return push.Registry(f'http://{layout.REGISTRY_SERVICE}:{REGISTRY_PORT}', credentials,
                             self.place.namespace)

    def use_registries(self, source):
        """Puts a registries.yaml on the node and restarts "K3s", as registry/install-node does."""
        text = pathlib.Path(source).read_bytes()
        fresh = self.place.state / 'registries.yaml'
        fresh.write_bytes(text)
        self.sh(f'cp {HOME}/registries.yaml {layout.REGISTRIES} && systemctl restart k3s')

    def resolve(self, name, address=None):
        """From now on pods find `name` at an address, this machine's unless told."""
        fresh = self.place.state / 'name.new'
        fresh.write_text(f'{address or self.place.host} {name}\n')
        os.replace(fresh, self.place.names / name)

    def volume(self, namespace, claim):
        """The folder of a claim's volume, on this machine."""
        found = list(self.place.storage.glob(f'*_{namespace}_{claim}'))
        if len(found) != 1:
            raise NodeError(f'{namespace}/{claim} has {len(found)} volumes')
        return found[0]

    def small_volume(self, namespace, claim, size):
        """Makes the volume that a claim to come will get: one that can really be full.

        size: as in mount(8), '4m'. Only the node sees the file system: look at it with `sh`.
        Returns its path there."""
        name = f'small-{namespace}-{claim}'
        path = f'{layout.STORAGE}/{name}'
        self.sh(f'mkdir -p {path}; mountpoint -q {path} && umount {path}; '
                f'mount -t tmpfs -o size={size},mode=777 tmpfs {path}')
        self.kubectl('apply', '-f', '-', input=json.dumps({
            'apiVersion': 'v1', 'kind': 'PersistentVolume', 'metadata': {'name': name},
            'spec': {'capacity': {'storage': '100Gi'}, 'accessModes': ['ReadWriteOnce'],
                     'persistentVolumeReclaimPolicy': 'Retain', 'storageClassName': 'local-path',
                     'claimRef': {'namespace': namespace, 'name': claim},
                     'hostPath': {'path': path}}}))
        return path

    def restarts(self):
        """How often K3s has been restarted on this node."""
        log = self.place.state / pathlib.Path(layout.RESTARTS).name
        return len(log.read_text().splitlines()) if log.exists() else 0

    def collect(self):
        """Leaves beside the logs what a person asks first when a test has failed."""
        if not living(self.place.process) or not self.programs:
            return
        for name, arguments in (('events', ('get', 'events', '-A', '--sort-by=.lastTimestamp')),
                                ('objects', ('get', 'all,pvc,pv', '-A', '-o', 'wide')),
                                ('pods', ('describe', 'pods', '-A'))):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                done = self.kubectl(*arguments, check=False, timeout=15)
                (self.place.logs / f'{name}.txt').write_text(done.stdout + done.stderr)
