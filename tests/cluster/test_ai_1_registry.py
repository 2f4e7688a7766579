"""The morning: a cluster that has nothing gets its own registry, and its node learns of it."""
import json
import socket

import pytest
from day import INSTALL_NODE

REGISTRIES = '/etc/rancher/k3s/registries.yaml'
HOSTS = '/var/lib/rancher/k3s/agent/etc/containerd/certs.d/registry.registry:5000/hosts.toml'


def test_the_registry_comes_up_on_a_fresh_node(registry_up, kubectl):
    registry_up.says(r'registry: registry\.registry:5000 at 10\.43\.0\.50',
                     r'ok +the registry runs on hermes-test', r'registry/install-node')
    found = json.loads(kubectl('get', 'service', 'registry', '-n', 'registry', '-o', 'json'))
    assert found['spec']['clusterIP'] == '10.43.0.50' and found['spec']['type'] == 'ClusterIP'
    claim = json.loads(kubectl('get', 'pvc', 'registry-data', '-n', 'registry', '-o', 'json'))
    assert claim['status']['phase'] == 'Bound'
    pod, = json.loads(kubectl('get', 'pods', '-n', 'registry', '-o', 'json'))['items']
    assert pod['spec']['securityContext']['runAsUser'] == 1000


def test_no_other_machine_reaches_it_and_its_nodes_may(registry_up, kubectl, node):
    """That the policy is enforced cannot be seen here: no plugin does so on this node."""
    policy, = json.loads(kubectl('get', 'networkpolicy', '-n', 'registry', '-o', 'json'))['items']
    builds, nodes = policy['spec']['ingress']
    address = node.place.address
    assert {peer['ipBlock']['cidr'] for peer in nodes['from']} == {
        f'{address}/32', '10.42.0.0/32', '10.42.0.1/32'}
    assert set(builds['from'][0]['podSelector']['matchExpressions'][0]['values']) == {
        'hermes-build', 'kubernetes-mcp-build'}
    for port in (5000, 30500):
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=5)


def test_the_node_is_told_and_its_pull_is_a_real_one(node, node_told):
    said, restarts = node_told
    assert restarts == 1 and 'this node is ready' in said, said
    assert 'http://10.43.0.50:5000' in node.sh(f'cat {HOSTS}').stdout
    # It found the registry empty, so it pushed what it pulled. That is not left behind.
    assert 'hermes-probe' in said, said


def test_telling_it_again_changes_nothing(node, laptop, node_told):
    before, restarts = node.sh(f'ls -li --time-style=full-iso {REGISTRIES}').stdout, node.restarts()
    done = node.sh(laptop.tree / INSTALL_NODE)
    assert 'already says' in done.stdout and 'this node is ready' in done.stdout, done.stdout
    assert node.sh(f'ls -li --time-style=full-iso {REGISTRIES}').stdout == before
    assert node.restarts() == restarts


def test_a_wrong_address_is_told_and_can_be_mended(node, laptop, node_told):
    restarts, unused = node.restarts(), node.place.address + '9'
    done = node.sh(laptop.tree / INSTALL_NODE, check=False, env={'REGISTRY_IP': unused})
    assert done.returncode != 0
    assert f'nothing replies at http://{unused}:5000' in done.stderr, done.stderr
    assert 'is another REGISTRY_IP in use?' in done.stderr, done.stderr
    mended = node.sh(laptop.tree / INSTALL_NODE).stdout
    assert 'this node is ready' in mended, mended
    assert node.restarts() == restarts + 2


def test_making_it_again_changes_nothing(laptop, kubectl, registry_up):
    def seen():
        found = json.loads(kubectl('get', 'deployment,service,pvc,pod', '-n', 'registry', '-o',
                                   'json'))['items']
        return {(thing['kind'], thing['metadata']['uid'], thing['metadata'].get('generation'))
                for thing in found}

    before = seen()
    laptop.make('ai-registry').ok()
    assert seen() == before


def test_another_address_for_it_is_refused_before_anything_happens(laptop, registry_up):
    laptop.make('ai-registry', REGISTRY_IP='10.43.0.51').fails(
        r'the registry has the address 10\.43\.0\.50, not REGISTRY_IP=10\.43\.0\.51',
        'Keep it: make .* REGISTRY_IP=10.43.0.50')
