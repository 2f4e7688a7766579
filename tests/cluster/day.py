"""The steps of an operator's day in the cluster, as fixtures.

Each is done once in a session and needs those before it, so the scenarios can be run together, in
the order in which a person would live through them, or one alone. A step that fails fails every
test that builds on it, with what was printed.
"""
import dataclasses
import json
import time

import layers
import outside
import pytest
from laptop import Laptop, Made
from layout import ROOT
from meter import Cost, Meter

REGISTRY = 'registry.registry:5000'
KANIKO = f'{REGISTRY}/kaniko:test'
BASE = f'{REGISTRY}/debian:trixie-slim'
INSTALL_NODE = 'registry/install-node'
COLD_SECONDS = 3000


@dataclasses.dataclass
class Build:
    """One build in the cluster: what the laptop saw, the executor's log, what the pod cost."""

    made: Made
    log: str
    cost: Cost
    asked: list         # (host, port) that were asked for outside meanwhile
    tag: str
    restored: bool = False

    def __str__(self):
        return f'{self.made.seconds:.0f} s, {self.cost}'


@pytest.fixture(scope='session')
def telegram(node):
    """Telegram, as far as the bot in the cluster knows it."""
    with outside.telegram(node.place.host) as api:
        yield api


@pytest.fixture(scope='session')
def upstream(node):
    """The model."""
    with outside.upstream(node.place.host) as server:
        yield server


@pytest.fixture(scope='session')
def way_out(node, proxy):
    """The proxy's URL by a name, because the URL is in the key of kaniko's cache, and addresses
    differ between slots."""
    node.resolve('proxy.test')
    return f'http://proxy.test:{proxy.server_address[1]}'


@pytest.fixture(scope='session')
def laptop(node, way_out, telegram, upstream):
    suffix = f'-{node.place.slot}' if node.place.slot else ''
    home = ROOT / f'build/cluster/laptop{suffix}'
    found = Laptop(node, home, KANIKO_IMAGE=KANIKO, BASE_IMAGE=BASE, BUILD_HTTP_PROXY=way_out,
                   CONFIG=home / 'config.yaml', SECRETS=home / 'secrets.env', POLL=1)
    found.write('config.yaml', outside.config(telegram, upstream))
    found.write('secrets.env', outside.secrets(), 0o600)
    return found


@pytest.fixture
def clean_tree(laptop):
    """The laptop's tree, to be changed for one test."""
    yield laptop
    laptop.restore()


@pytest.fixture(scope='session')
def registry_up(node, laptop, image):
    """What `make ai-registry` printed on a node that had nothing."""
    node.import_image(image('registry'))
    return laptop.make('ai-registry').ok()


@pytest.fixture(scope='session')
def node_told(node, laptop, registry_up):
    """What the first run of registry/install-node printed, and how often K3s was restarted."""
    before = node.restarts()
    done = node.sh(laptop.tree / INSTALL_NODE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, node.restarts() - before


@pytest.fixture(scope='session')
def base(image):
    """Debian's slim image, as an archive. Where a machine reaches the internet through somebody who
    reads along, builds on it have to trust that somebody, too."""
    return image('debian', layers.architecture(), '--trusting-this-machine')


@pytest.fixture(scope='session')
def pushed(node, image, base, node_told):
    """The images that builds start from, in the cluster's registry."""
    node.push(image('kaniko'), 'kaniko:test')
    node.push(base, 'debian:trixie-slim')


@pytest.fixture(scope='session')
def store(node, registry_up):
    """The registry over its HTTP interface."""
    return node.registry()


@pytest.fixture(scope='session')
def build(node, laptop, proxy, pushed):
    """build('hermes') does one that is expected to end well; the Build."""
    def run(what='hermes', timeout=COLD_SECONDS, **settings):
        asked = len(proxy.asked)
        with Meter(node, 'registry', f'{what}-build') as meter:
            made = laptop.make(f'ai-{what}-build', timeout=timeout, **settings).ok()
        log = (laptop.tree / f'build/ai/{what}-build.log').read_text()
        return Build(made, log, meter.last, proxy.asked[asked:], laptop.tag)
    return run


@pytest.fixture(scope='session')
def built(build, base, store, way_out):
    """The first build of this cluster. With a layer from an earlier run it begins with that."""
    kept = layers.first_layer(store, 'hermes', 'kaniko/Dockerfile', base, way_out)
    restored = kept.restore()
    found = build()
    found.restored = restored
    kept.save(found.log)
    return found


@pytest.fixture(scope='session')
def rebuilt(built, build, laptop):
    """The second build, after one change of our sources."""
    laptop.edit('src/daemon/main.c', '\nint main(', '\n// changed by its operator\nint main(')
    laptop.commit('Change a line')
    return build()


@pytest.fixture(scope='session')
def mcp_built(build, base, store, way_out):
    """The image of kubernetes-mcp-server; its one layer may come from an earlier run, too."""
    kept = layers.first_layer(store, 'kubernetes-mcp-server', 'kaniko/Dockerfile.kubernetes-mcp',
                              base, way_out)
    kept.restore()
    found = build('kubernetes-mcp')
    kept.save(found.log)
    return found


@pytest.fixture(scope='session')
def deployed(laptop, rebuilt, telegram):
    """What the first `make ai-hermes-deploy` printed."""
    return laptop.make('ai-hermes-deploy').ok()


@pytest.fixture
def agent(node, laptop, deployed, telegram, upstream):
    """The agent in its pod, well at the beginning of a test."""
    running = Agent(node, telegram, upstream)
    running.wait_ready()
    return running


class Agent:
    """The pod that is there now, and the conversation with it."""

    def __init__(self, node, telegram, upstream, namespace='hermes'):
        self.node, self.telegram, self.upstream = node, telegram, upstream
        self.namespace = namespace

    def pods(self):
        """Those that are not about to go."""
        listed = self.node.kubectl('get', 'pods', '-n', self.namespace, '-o', 'json', '-l',
                                   'app.kubernetes.io/name=hermes').stdout
        return [pod for pod in json.loads(listed)['items']
                if 'deletionTimestamp' not in pod['metadata']]

    def wait_ready(self, seconds=90, other_than=()):
        """The pod, once there is exactly one that is ready and not among those uids."""
        def ready():
            found = self.pods()
            if len(found) != 1 or found[0]['metadata']['uid'] in other_than:
                return None
            conditions = found[0]['status'].get('conditions', [])
            return found[0] if any(condition['type'] == 'Ready' and condition['status'] == 'True'
                                   for condition in conditions) else None
        return self.node.wait(ready, seconds, 'no pod of the agent was ready')

    @property
    def uid(self):
        return self.wait_ready()['metadata']['uid']

    @property
    def name(self):
        return self.wait_ready()['metadata']['name']

    def run(self, *command, container='hermes'):
        """In its container."""
        return self.node.kubectl('exec', '-n', self.namespace, self.name, '-c', container, '--',
                                 *command).stdout

    def ask(self, text, seconds=60):
        """Says it, and gives the one answer."""
        before = len(self.telegram.messages(outside.OWNER))
        self.telegram.user_says(outside.OWNER, text)
        self.telegram.wait_messages(outside.OWNER, before + 1, seconds)
        self.telegram.wait_quiet(1, seconds)
        texts = self.telegram.texts(outside.OWNER)[before:]
        assert len(texts) == 1, f'{texts}; {self.telegram.story()}'
        return texts[0]

    def stored(self, query):
        """One value out of its database, read beside it on the node as its own user."""
        folder = self.node.sh(f'echo /var/lib/rancher/k3s/storage/*_{self.namespace}_hermes-data'
                              ).stdout.strip()
        script = ('import sqlite3, sys; db = sqlite3.connect(f"file:{sys.argv[1]}/state.db?mode=ro"'
                  ', uri=True, timeout=10); print(db.execute(sys.argv[2]).fetchone()[0])')
        return self.node.sh(f"setpriv --reuid 10000 --regid 10000 --clear-groups /usr/bin/python3 "
                            f"-c '{script}' {folder} \"{query}\"").stdout.strip()

    def wait_shown(self, text, seconds=60):
        """The growing message, once Telegram's answer to it is written down: a death before that
        may double it, and nobody could know."""
        message = self.telegram.wait_text(outside.OWNER, text, seconds)
        until = time.monotonic() + seconds
        query = "SELECT count(*) FROM outbox WHERE state = 'open' AND message_id IS NOT NULL"
        while self.stored(query) != '1':
            assert time.monotonic() < until, f'{text!r} was never written down'
            time.sleep(0.2)
        return message
