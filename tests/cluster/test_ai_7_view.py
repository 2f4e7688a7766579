"""The agent sees the cluster: kubernetes-mcp-server in its pod, which may read and nothing else.

A model finds its tools and calls them, and so does `hermes mcp call`; the API server is asked what
the account may; what was granted goes with it.
"""
import json
import os
import re
import signal

import pytest
from conftest import figure
from laptop import ROOT
from meter import MIB, field, folder_of, number
from outside import config
from pods import create, pod

ACCOUNT = 'system:serviceaccount:hermes:kubernetes-mcp'
TOKEN_FOLDER = '/var/run/secrets/kubernetes.io'
PORT_8080 = ':1F90'             # as /proc/net/tcp spells it
LIMITS = {'hermes': 128, 'kubernetes-mcp': 128, 'hands': 256}       # MiB
SETTLE_SECONDS = 60
NAMED = ['kubernetes-mcp', 'hermes-kubernetes-mcp']
MAY = [f'{verb} {what}' for verb in ('get', 'list') for what in (
    'pods', 'pods/log', 'nodes', 'events', 'namespaces', 'services', 'configmaps',
    'persistentvolumes', 'persistentvolumeclaims', 'resourcequotas', 'limitranges',
    'serviceaccounts', 'deployments.apps', 'replicasets.apps', 'statefulsets.apps',
    'daemonsets.apps', 'jobs.batch', 'cronjobs.batch', 'ingresses.networking.k8s.io',
    'networkpolicies.networking.k8s.io', 'endpointslices.discovery.k8s.io',
    'horizontalpodautoscalers.autoscaling', 'poddisruptionbudgets.policy',
    'storageclasses.storage.k8s.io', 'leases.coordination.k8s.io',
    'roles.rbac.authorization.k8s.io', 'clusterrolebindings.rbac.authorization.k8s.io',
    'customresourcedefinitions.apiextensions.k8s.io')]
MAY_NOT = [
    'get secrets', 'list secrets', 'watch secrets', 'get pods/exec', 'create pods/exec',
    'get pods/attach', 'create pods/attach', 'get pods/portforward', 'create pods/portforward',
    'get pods/proxy', 'get services/proxy', 'create services/proxy', 'get nodes/proxy',
    'create nodes/proxy', 'get nodes/log', 'get nodes/stats', 'create serviceaccounts/token',
    'impersonate users', 'impersonate serviceaccounts', 'create pods/eviction',
    'bind clusterroles.rbac.authorization.k8s.io', 'escalate roles.rbac.authorization.k8s.io',
    *(f'{verb} {what}' for verb in ('create', 'update', 'patch', 'delete', 'deletecollection')
      for what in ('pods', 'configmaps', 'deployments.apps', 'nodes', 'namespaces',
                   'clusterrolebindings.rbac.authorization.k8s.io'))]


def mcp_settings():
    """The server as k8s/config.yaml has it."""
    text = (ROOT / 'k8s/config.yaml').read_text()
    return re.search(r'(?ms)^mcp_servers:\n.*?(?=^\S)', text)[0]


@pytest.fixture(scope='module')
def viewing(laptop, deployed, mcp_built, telegram, upstream):
    """What the deploy printed. The configuration of the tests before these has no such server."""
    plain = config(telegram, upstream)
    laptop.make('ai-hermes-deploy').ok().says('has no mcp_servers.kubernetes')
    laptop.write('config.yaml', config(telegram, upstream, mcp_settings()))
    yield laptop.make('ai-hermes-deploy').ok()
    laptop.write('config.yaml', plain)


@pytest.fixture
def viewer(viewing, agent, node):
    """The agent, once it is connected."""
    node.wait(lambda: server_of(agent)['state'] == 'ready', SETTLE_SECONDS, 'it never connected')
    return agent


def server_of(agent):
    server, = json.loads(agent.run('hermes', 'mcp', 'list', '--json'))['mcp_servers']
    return server


def asked(agent, tool, **arguments):
    """By the agent's own command in its pod; how that ended."""
    return agent.node.kubectl('exec', '-n', 'hermes', agent.name, '-c', 'hermes', '--', 'hermes',
                              'mcp', 'call', 'kubernetes', tool, json.dumps(arguments),
                              check=False)


def call(agent, tool, *, fails=False, **arguments):
    """What the server says."""
    done = asked(agent, tool, **arguments)
    assert bool(done.returncode) == fails, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def crashing(node, probe_image, viewing):
    """A namespace with a pod that said something and failed, and a Secret."""
    name = 'workshop'
    node.apply({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': name}},
               {'apiVersion': 'v1', 'kind': 'Secret', 'stringData': {'key': 'never-to-be-seen'},
                'metadata': {'name': 'safe', 'namespace': name}})
    node.wait_for_account(name)
    node.kubectl('delete', 'pod', 'lathe', '-n', name, '--ignore-not-found')
    create(node, name, pod('lathe', probe_image, 'echo the belt is broken; exit 3'))
    node.wait_for_pod('lathe', name)
    yield name
    node.kubectl('delete', 'namespace', name, '--wait=false')


# -- what it is ----------------------------------------------------------------------------------

def test_it_is_deployed_by_its_digest(viewing, viewer, store, laptop):
    digest = store.digest('kubernetes-mcp-server', 'v0.0.66')
    viewing.says(rf'kubernetes-mcp-server:v0.0.66@{digest}, through which the agent sees')
    found = {container['name']: container
             for container in viewer.wait_ready()['spec']['containers']}
    assert set(found) == set(LIMITS)
    own = found['kubernetes-mcp']
    assert own['image'] == f'registry.registry:5000/kubernetes-mcp-server:v0.0.66@{digest}'
    assert {container['imagePullPolicy'] for container in found.values()} == {'IfNotPresent'}
    laptop.status_is_well()


def test_the_token_is_in_its_container_only(viewer):
    for name in ('hermes', 'hands'):
        assert viewer.run('sh', '-c', f'ls {TOKEN_FOLDER} 2>&1; true', container=name).endswith(
            'No such file or directory\n')
    mounts = {container['name']: [mount['mountPath'] for mount in container['volumeMounts']]
              for container in viewer.wait_ready()['spec']['containers']}
    assert mounts['kubernetes-mcp'] == [f'{TOKEN_FOLDER}/serviceaccount']


def test_nobody_outside_the_pod_can_ask_it(viewer):
    """It listens on the pod's own 127.0.0.1 and nowhere else."""
    lines = viewer.run('cat', '/proc/net/tcp', '/proc/net/tcp6').splitlines()
    listening = [words[1] for words in map(str.split, lines) if words[3:4] == ['0A']]
    assert [place for place in listening if place.endswith(PORT_8080)] == ['0100007F' + PORT_8080]


def can(node, what):
    verb, resource = what.split()
    name, _, part = resource.partition('/')
    words = [verb, name, *([f'--subresource={part}'] if part else [])]
    return node.kubectl('auth', 'can-i', *words, f'--as={ACCOUNT}', '-A',
                        check=False).stdout.strip()


def test_what_it_may_and_what_not(viewing, node):
    """Asked of the API server itself."""
    assert [what for what in MAY if can(node, what) != 'yes'] == []
    assert [what for what in MAY_NOT if can(node, what) != 'no'] == []


# -- what it says --------------------------------------------------------------------------------

def test_it_offers_what_reads_and_works(viewer):
    shown = json.loads(viewer.run('hermes', 'mcp', 'tools', 'kubernetes', '--json'))['list']
    offered = {tool['original'] for tool in shown if tool['state'] == 'offered'}
    assert {'pods_list', 'pods_list_in_namespace', 'pods_get', 'pods_log', 'pods_top', 'nodes_top',
            'events_list', 'namespaces_list', 'resources_list', 'resources_get'} <= offered
    assert not offered & {'nodes_log', 'nodes_stats_summary', 'configuration_view', 'pods_exec',
                          'pods_delete', 'pods_run', 'resources_delete'}
    assert all(tool['reads'] and not tool['asks'] for tool in shown
               if tool['state'] == 'offered'), shown


def test_it_lists_gets_and_reads_logs_and_events(viewer, crashing):
    assert re.search(r'workshop\s+.*lathe', call(viewer, 'pods_list'))
    assert 'lathe' in call(viewer, 'pods_list_in_namespace', namespace=crashing)
    found = call(viewer, 'pods_get', name='lathe', namespace=crashing)
    assert 'exitCode: 3' in found and 'kind: Pod' in found
    assert 'the belt is broken' in call(viewer, 'pods_log', name='lathe', namespace=crashing)
    assert 'lathe' in call(viewer, 'events_list', namespace=crashing)
    assert 'hermes' in call(viewer, 'resources_list', apiVersion='apps/v1', kind='Deployment')
    assert 'hermes-test' in call(viewer, 'resources_list', apiVersion='v1', kind='Node')


def test_without_metrics_it_says_that_there_are_none(viewer):
    for tool in ('pods_top', 'nodes_top'):
        assert 'metrics API is not available' in call(viewer, tool, fails=True)


def test_secrets_stay_closed(viewer, crashing):
    for told in (call(viewer, 'resources_list', fails=True, apiVersion='v1', kind='Secret'),
                 call(viewer, 'resources_get', fails=True, apiVersion='v1', kind='Secret',
                      name='safe', namespace=crashing)):
        assert 'forbidden' in told and 'never-to-be-seen' not in told


def test_a_conversation_about_the_cluster(viewer, crashing):
    """Found and called by the model, without a question to the owner."""
    calls = [('find_tools', {'query': 'logs of a pod'}),
             ('call_tool', {'name': 'mcp__kubernetes__pods_log',
                            'arguments': {'name': 'lathe', 'namespace': crashing}})]
    question = '\n'.join(f'call {name} {json.dumps(arguments)}' for name, arguments in calls)
    assert viewer.ask(f'why did it fail\n{question}') == 'done with why did it fail'
    results = [str(message['content']) for message in viewer.upstream.requests[-1].messages
               if message['role'] == 'tool'][-2:]
    assert 'mcp__kubernetes__pods_log' in results[0]
    assert 'the belt is broken' in results[1]


# -- what it costs, and how it ends --------------------------------------------------------------

def cgroup_of(node, described, name):
    """Of one container of the pod."""
    status, = [status for status in described['status']['containerStatuses']
               if status['name'] == name]
    top = folder_of(node.place, described['metadata']['uid'], 'memory')
    return top / status['containerID'].partition('://')[2]


def memory_of(folder):
    """(what the programs of a container hold, its peak with the page cache), in bytes."""
    if (folder / 'memory.max_usage_in_bytes').exists():
        return field(folder / 'memory.stat', 'total_rss'), number(
            folder / 'memory.max_usage_in_bytes')
    return field(folder / 'memory.stat', 'anon'), number(folder / 'memory.peak')


def test_it_stays_within_its_memory(viewer, node, crashing):
    """And the agent, which has its own limit, within its own."""
    for _ in range(3):
        call(viewer, 'pods_list')
        call(viewer, 'resources_list', apiVersion='v1', kind='ConfigMap')
        call(viewer, 'events_list')
    described, total = viewer.wait_ready(), 0
    for name, limit in LIMITS.items():
        held, peak = memory_of(cgroup_of(node, described, name))
        total += held
        figure(f'{name}: memory of its programs, and the peak with the page cache',
               f'{held / MIB:.1f} MiB, {peak / MIB:.1f} MiB of {limit}')
        assert 0 < held < limit * MIB * 3 // 4, (name, held)
    figure('the three containers together: memory of their programs', f'{total / MIB:.1f} MiB')


def test_after_its_death_the_next_call_works(viewer, node, crashing):
    described = viewer.wait_ready()
    for pid in (cgroup_of(node, described, 'kubernetes-mcp') / 'cgroup.procs').read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    node.wait(lambda: 'the belt is broken' in asked(viewer, 'pods_log', name='lathe',
                                                    namespace=crashing).stdout,
              SETTLE_SECONDS, 'it did not answer again')
    assert viewer.wait_ready()['metadata']['uid'] == described['metadata']['uid']


def granted(node):
    """What is there for it alone."""
    listed = json.loads(node.kubectl('get', 'serviceaccount,networkpolicy,clusterrole,'
                                     'clusterrolebinding', '-n', 'hermes', '-o', 'json').stdout)
    return sorted(thing['kind'] for thing in listed['items'] if thing['metadata']['name'] in NAMED)


def test_without_it_nothing_is_left_that_was_granted(viewer, laptop, node):
    assert granted(node) == ['ClusterRole', 'ClusterRoleBinding', 'NetworkPolicy',
                             'ServiceAccount']
    laptop.make('ai-hermes-deploy', KUBERNETES_MCP='0').ok()
    assert granted(node) == []
    assert [container['name'] for container in viewer.wait_ready()['spec']['containers']] == [
        'hermes', 'hands']
    assert server_of(viewer)['state'] != 'ready'
    laptop.status_is_well()
    laptop.make('ai-hermes-deploy').ok()
    laptop.make('ai-undeploy', YES='1').ok()
    assert granted(node) == []
    laptop.make('ai-hermes-deploy').ok()
