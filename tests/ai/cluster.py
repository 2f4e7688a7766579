"""What a cluster looks like to the scripts: the lines that scripts/ai/objects.tmpl makes of it.

The template itself is Go's and wants a real kubectl; that it and these lines agree is what
test_template.py sees of a pod, and tests/cluster of everything.
"""

import dataclasses
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIME = '2026-01-31T12:00:00Z'
SECONDS = 60                                # that a script under test may take
PACKED = ('LICENSE', 'NOTICE', 'meson.build', 'meson_options.txt')
ADMITTED = '192.168.1.11/32\n10.42.0.0/32\n10.42.0.1/32\n'    # of the node that there is
SCRIPTS = ('build', 'ca_roots.py', 'deps', 'embed.py', 'jobs', 'zones.py')


def real_kubectl(*words):
    """The output of a command of one that needs no cluster."""
    program = subprocess.run([ROOT / 'tests/manifests/kubectl'], check=True, capture_output=True,
                             text=True).stdout.strip()
    done = subprocess.run([program, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def quoted(text):
    return json.dumps(text) if text else ''


def deployment(name, ready=True, image='registry.registry:5000/hermes:abc', revision=1):
    return f'deployment|{name}|1|1|1|1|{"1" if ready else ""}|1|{revision}|{image} \n' \
           f'replicaset|{name}-6b5|{revision}|6b5\n'


def pod(name, phase='Running', node='pi1', scheduled='True', reason='', message='', hash_='6b5',
        created=TIME, leaving=''):
    return f'pod|{name}|{phase}|{leaving}|{node}|{hash_}|{created}|{reason}|{scheduled}|' \
           f'{quoted(message)}\n'


def container(name, state='running', reason='', code='', ready='', restarts='', last='',
              last_code='', message='', container_name='hermes'):
    return f'container|{name}|{container_name}|{ready}|{restarts}|{state}|{reason}|{code}|{TIME}|' \
           f'{last}|{last_code}|{TIME if last else ""}|{quoted(message)}\n'


def job(name, active='', succeeded='', failed='', end='', reason='', message=''):
    done = '2026-01-31T12:02:03Z' if end == 'Complete' else ''
    return f'job|{name}|{active}|{succeeded}|{failed}|{TIME}|{done}|{end}|{reason}|{TIME}|' \
           f'{quoted(message)}\n'


def volume(name, phase='Bound', size='1Gi'):
    return f'volume|{name}|{phase}|{size}|local-path|pv\n'


def event(kind, name, reason, message, when=TIME):
    return f'event|{kind}|{name}|{reason}|3|{when}|{quoted(message)}\n'


def healthy(name, **more):
    return deployment(name, **more) + pod(f'{name}-6b5-x') + \
        container(f'{name}-6b5-x', ready='ready')


WELL = '''hermes    0.1.0, pid 1
state     ready
database  ready
telegram  polling as @hermes_fake_bot
          last heard 2026-01-31 12:00, 4 updates, 4 messages sent
outbox    empty
'''


def problem(what, why, todo):
    return f'PROBLEM   {what}: {why}\n  do      {todo}\n'


@dataclasses.dataclass
class Result:
    status: int
    out: str
    err: str
    seconds: float

    @property
    def text(self):
        return self.out + self.err


class Kubectl:
    """The fake and what it was asked. Later rules go before earlier ones."""

    def __init__(self, folder):
        self.folder = folder
        self.rules = []
        folder.mkdir()
        shutil.copy(HERE / 'fake_kubectl', folder / 'kubectl')
        self.on('kustomize', 'rendered\n')
        self.on('apply --server-side', 'a/b serverside-applied\n')
        self.on('auth can-i', 'yes\n')
        self.on('get --raw /version', '{\n  "gitVersion": "v1.32.4+k3s1"\n}\n')
        self.on('config current-context', 'pi\n')
        self.on('get (configmap|service|job|secret) ', '')
        self.on('get configmap hermes-images .*-o name', 'configmap/hermes-images\n')
        self.on('get namespace', code=1, err='not found\n')
        self.on('(create namespace|annotate|delete|create secret|create configmap|patch)', '')
        self.on('logs', '')
        self.on('get (events|pods)', '')
        self.on('get deployments.apps', '')
        self.on('get nodes', 'node|pi1|True|arm64|v1.32.4+k3s1||\n')
        self.on('get nodes .*podCIDR', 'pi1 192.168.1.11\npi1 10.42.0.0/24\n')
        self.on('get networkpolicy', ADMITTED)

    def on(self, words, *answers, **answer):
        """Answers are texts, or dictionaries with out, err, code and seconds."""
        given = [each if isinstance(each, dict) else {'out': each, **answer} for each in answers]
        self.rules.insert(0, {'words': words, 'answers': given or [answer]})
        (self.folder / 'rules.json').write_text(json.dumps(self.rules))

    def sees(self, name, *texts):
        """What there is of a workload, look after look."""
        self.on(f'get deployments.apps.* -l app.kubernetes.io/name={name} ', *texts)

    def warns(self, *texts):
        self.on('get events', ''.join(texts))

    def calls(self, pattern=''):
        path = self.folder / 'calls.jsonl'
        calls = map(json.loads, path.read_text().splitlines()) if path.exists() else []
        return [call for call in calls if re.search(pattern, ' '.join(call['words']))]

    def overlay(self, name):
        return self.calls(f'kustomize build/ai/{name}')[-1]['overlay']


class Tree:
    """A checkout in miniature with the real scripts, and a cluster that does as told."""

    def __init__(self, path):
        self.path = path
        self.root = path / 'tree'
        for folder in ('scripts/ai', 'k8s', 'kaniko', 'registry'):
            shutil.copytree(ROOT / folder, self.root / folder,
                            ignore=shutil.ignore_patterns('*.env', 'htpasswd', '*.json'))
        for name in (*PACKED, *(f'scripts/{script}' for script in SCRIPTS)):
            shutil.copy(ROOT / name, self.root / name)
        for name in ('cross/sysroot', 'src/main.c', 'LICENSES/one.txt'):
            self.write(name, f'the content of {name}\n')
        self.kubectl = Kubectl(path / 'kubectl')
        self.temporary = path / 'tmp'
        self.temporary.mkdir()
        self.userland = None

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def git(self, *words):
        subprocess.run(['git', '-c', 'user.name=t', '-c', 'user.email=t@example.org', *words],
                       cwd=self.root, check=True, capture_output=True)

    def commit(self):
        self.write('.gitignore', '/build/\n*.env\n')
        self.git('init', '-q')
        self.git('add', '-A')
        self.git('commit', '-q', '-m', 'one')
        head = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=self.root, check=True,
                              capture_output=True, text=True)
        return head.stdout.strip()

    def secrets(self, text='TELEGRAM_BOT_TOKEN=4711:real-SECRET_value\nOPENROUTER_API_KEY=sk-q\n'):
        self.write('k8s/secrets.env', text).chmod(0o600)

    def environment(self, **more):
        path = self.userland or os.environ['PATH']
        kept = {'LANG': 'C.UTF-8', 'PATH': f'{self.kubectl.folder}:{path}', 'HOME': str(self.path),
                'FAKE_KUBECTL': str(self.kubectl.folder), 'TMPDIR': str(self.temporary),
                'POLL': '0.05', 'PATIENCE': '0', 'GIT_CONFIG_NOSYSTEM': '1'}
        return {**kept, **more}

    def run(self, script, *words, seconds=SECONDS, **environment):
        start = time.monotonic()
        done = subprocess.run(['bash', f'scripts/ai/{script}', *words], cwd=self.root, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds,
                              env=self.environment(**environment))
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - start)

    def on_terminal(self, script, answer, **environment):
        """The same with a person before it, who types an answer to the first question."""
        master, slave = pty.openpty()
        process = subprocess.Popen(['bash', f'scripts/ai/{script}'], cwd=self.root, stdin=slave,
                                   stdout=slave, stderr=slave, start_new_session=True,
                                   env=self.environment(TERM='xterm', **environment))
        os.close(slave)
        shown, deadline = b'', time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    shown += os.read(master, 65536)
                except OSError:
                    break
            if answer is not None and b'[y/N]' in shown:
                os.write(master, answer.encode())
                answer = None
        process.kill()
        os.close(master)
        return Result(process.wait(SECONDS), shown.decode(errors='replace'), '', 0)

    def rendered(self, name):
        """(kind, name) -> object, of what a real kubectl makes of a script's overlay."""
        done = real_kubectl('kustomize', self.root / 'build/ai' / name)
        return {(thing['kind'], thing['metadata']['name']): thing
                for thing in yaml.safe_load_all(done)}

    def leftovers(self):
        return list(self.temporary.iterdir())
