"""What a pod costs: the processor time and the memory of its cgroup, looked at while it runs.

A pod's cgroup goes with the pod, so what it used in the end is what was seen last. The peak of
`rss` is the high-water mark of what programs themselves hold, and is sampled; `usage` also counts
the page cache, which fills every limit and is given back, and its peak is the kernel's own.
"""
import contextlib
import json
import pathlib
import threading
import time

CGROUPS = pathlib.Path('/sys/fs/cgroup')
PAUSE_SECONDS = 0.2
LOOK_SECONDS = 1.0
MIB = 1 << 20


def number(path):
    return int(path.read_text().split()[0])


def field(path, name):
    for line in path.read_text().splitlines():
        key, _, value = line.partition(' ')
        if key == name:
            return int(value)
    raise ValueError(f'{path} has no {name}')


def folder_of(place, uid, controller):
    """A pod's folder in the hierarchy of this controller, or None."""
    top = CGROUPS if (CGROUPS / 'cgroup.controllers').exists() else CGROUPS / controller
    names = (f'pod{uid}', f'pod{uid.replace("-", "_")}')
    found = [path for name in names for path in (top / place.name).glob(f'**/{name}')]
    return found[0] if found else None


class Cost:
    """What is known of one pod."""

    def __init__(self, uid):
        self.uid, self.cpu_seconds, self.rss, self.usage = uid, 0.0, 0, 0

    def __str__(self):
        return (f'{self.cpu_seconds:.0f} s of CPU, {self.rss / MIB:.0f} MiB held by programs, '
                f'{self.usage / MIB:.0f} MiB with the page cache')

    def look(self, place):
        """False when there is nothing to be seen."""
        memory = folder_of(place, self.uid, 'memory')
        if not memory:
            return False
        with contextlib.suppress(OSError, ValueError):
            if (memory / 'memory.stat').exists() and (memory / 'memory.usage_in_bytes').exists():
                self._look_v1(place, memory)
            else:
                self._look_v2(memory)
        return True

    def _look_v1(self, place, memory):
        self.rss = max(self.rss, field(memory / 'memory.stat', 'total_rss'))
        self.usage = max(self.usage, number(memory / 'memory.max_usage_in_bytes'))
        cpu = folder_of(place, self.uid, 'cpuacct')
        if cpu:
            self.cpu_seconds = max(self.cpu_seconds, number(cpu / 'cpuacct.usage') / 1e9)

    def _look_v2(self, folder):
        self.rss = max(self.rss, field(folder / 'memory.stat', 'anon'))
        peak = folder / 'memory.peak'
        self.usage = max(self.usage, number(peak if peak.exists() else folder / 'memory.current'))
        self.cpu_seconds = max(self.cpu_seconds, field(folder / 'cpu.stat', 'usage_usec') / 1e6)


class Meter:
    """with Meter(node, 'registry', 'hermes-build') as meter: ...; then meter.costs, one a pod."""

    def __init__(self, node, namespace, name):
        self._node, self._namespace, self._name = node, namespace, name
        self.costs = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before = {pod['metadata']['uid'] for pod in self._pods()}

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join(30)

    @property
    def last(self):
        assert self.costs, f'no pod of {self._name} was ever seen'
        return self.costs[-1]

    def _pods(self):
        done = self._node.kubectl('get', 'pods', '-n', self._namespace, '-o', 'json', '-l',
                                  f'app.kubernetes.io/name={self._name}', check=False)
        return json.loads(done.stdout)['items'] if done.returncode == 0 else []

    def _watch(self):
        looked = 0
        while not self._done.is_set():
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                self._note_pods()
            for cost in self.costs:
                cost.look(self._node.place)
            self._done.wait(PAUSE_SECONDS)

    def _note_pods(self):
        known = self._before | {cost.uid for cost in self.costs}
        for pod in self._pods():
            if pod['metadata']['uid'] not in known:
                self.costs.append(Cost(pod['metadata']['uid']))
