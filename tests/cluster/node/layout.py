"""Names, addresses and places of a test node; what its parts have to agree upon.

A machine has room for several nodes, each in a slot (HERMES_TEST_SLOT, 0 by default): the slot is
part of every name and address that the node puts where others can see it. What is inside the node
is the same in every slot, because nothing outside can see it.
"""
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]

# Inside the node. The state folder is mounted here, so no path depends on where the checkout lies
# and no Unix socket's name grows beyond the 108 bytes it may have.
HOME = '/run/hermes-test'
# As K3s has them; both are private to the node.
K3S = '/var/lib/rancher/k3s'
CERTS = f'{K3S}/agent/etc/containerd/certs.d'
STORAGE = f'{K3S}/storage'
REGISTRIES = '/etc/rancher/k3s/registries.yaml'
CONTAINERD = '/run/k3s/containerd/containerd.sock'
CONTAINERD_CONFIG = f'{K3S}/agent/etc/containerd/config.toml'
CONTAINERD_COMMAND = ['containerd', '-c', CONTAINERD_CONFIG]
CONTAINERD_LOG = '/var/log/containerd.log'
RESTARTS = f'{HOME}/restarts'

POD_NETWORK = '10.42.0.0/16'
POD_SUBNET = '10.42.0.0/24'
SERVICE_NETWORK = '10.43.0.0/16'
API_SERVICE = '10.43.0.1'
REGISTRY_SERVICE = '10.43.0.50'
PAUSE_IMAGE = 'localhost/hermes-test/pause:1'


class Layout:
    def __init__(self, slot=None):
        self.slot = int(os.environ.get('HERMES_TEST_SLOT') or 0 if slot is None else slot)
        if not 0 <= self.slot <= 9:
            raise ValueError(f'HERMES_TEST_SLOT is {self.slot}, and there are slots 0 to 9')
        suffix = f'-{self.slot}' if self.slot else ''
        # Of the network namespace, the interface that leads there, the cgroups and the node.
        self.name = f'hermes-test{suffix}'
        self.address = f'10.99.{self.slot}.1'
        self.host = f'10.99.{self.slot}.254'
        self.state = ROOT / f'build/cluster/node{suffix}'
        self.logs = ROOT / f'build/test-logs/cluster{suffix}'
        self.namespace = pathlib.Path('/run/netns') / self.name
        self.lock = pathlib.Path('/run/lock') / f'{self.name}.lock'
        self.process = self.state / 'init'
        self.owner = self.state / 'owner'
        self.kubeconfig = self.state / 'kubeconfig'
        self.storage = self.state / 'storage'
        self.names = self.state / 'names'
