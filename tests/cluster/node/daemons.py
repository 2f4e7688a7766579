"""Configuration and command lines of what runs on a test node.

The settings are those of K3s where it matters to a manifest (networks, socket and folder names,
storage class), and otherwise what a machine asks for that is not a node: no rights beyond those of
a container's root (CAP_SYS_RESOURCE is often missing, so nobody's OOM score can be lowered),
cgroups of any version below one folder of our own, and no sysctl outside the network namespace.
"""
import json

import layout
import pki
from layout import HOME

DNS_DOMAIN = 'cluster.local'
PKI = f'{HOME}/pki'


def containerd_config(credentials):
    """credentials: host -> (user, password), as registries.yaml has them under `configs`."""
    text = f'''version = 2
root = "{HOME}/containerd"
state = "/run/k3s/containerd/state"
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs"]
[grpc]
  address = "{layout.CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{layout.PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{HOME}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{layout.CERTS}"
'''
    for host, (user, password) in credentials.items():
        text += (f'[plugins."io.containerd.grpc.v1.cri".registry.configs."{host}".auth]\n'
                 f'  username = {json.dumps(user)}\n  password = {json.dumps(password)}\n')
    return text


def cni_config():
    bridge = {'type': 'bridge', 'bridge': 'cni0', 'isGateway': True, 'ipMasq': True,
              'hairpinMode': True,
              'ipam': {'type': 'host-local', 'ranges': [[{'subnet': layout.POD_SUBNET}]],
                       'routes': [{'dst': '0.0.0.0/0'}], 'dataDir': f'{HOME}/ipam'}}
    portmap = {'type': 'portmap', 'capabilities': {'portMappings': True}}
    return json.dumps({'cniVersion': '0.4.0', 'name': 'hermes-test', 'plugins': [bridge, portmap]})


def kubelet_config(place):
    return json.dumps({
        'apiVersion': 'kubelet.config.k8s.io/v1beta1',
        'kind': 'KubeletConfiguration',
        'address': place.address,
        'authentication': {'anonymous': {'enabled': False}, 'webhook': {'enabled': True},
                           'x509': {'clientCAFile': f'{PKI}/ca.crt'}},
        'authorization': {'mode': 'Webhook'},
        'containerRuntimeEndpoint': f'unix://{layout.CONTAINERD}',
        'cgroupDriver': 'cgroupfs',
        'cgroupRoot': f'/{place.name}',
        'failCgroupV1': False,
        'failSwapOn': False,
        'oomScoreAdj': 0,
        'clusterDNS': [place.address],
        'clusterDomain': DNS_DOMAIN,
        'resolvConf': '/etc/resolv.conf',
        # Elsewhere it would make a folder on the machine.
        'volumePluginDir': f'{HOME}/volume-plugins',
        'serializeImagePulls': False,
        # A test machine's disk may well be full enough for a kubelet to start throwing away.
        'evictionHard': {'memory.available': '100Mi', 'nodefs.available': '1%',
                         'imagefs.available': '1%'},
        'imageGCHighThresholdPercent': 100,
        'imageGCLowThresholdPercent': 99,
    })


def dns_command(place):
    """Knows nobody but services: a name it was not given does not exist."""
    return ['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts',
            '--user=root', '--pid-file=', '--bind-interfaces', f'--listen-address={place.address}',
            '--except-interface=lo', f'--hostsdir={HOME}/names', '--local=/#/', '--local-ttl=5',
            '--log-facility=-', '--log-queries']


def etcd_command():
    client, peer = 'http://127.0.0.1:2379', 'http://127.0.0.1:2380'
    return ['etcd', '--data-dir', f'{HOME}/etcd', '--unsafe-no-fsync',
            '--listen-client-urls', client, '--advertise-client-urls', client,
            '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
            '--initial-cluster', f'default={peer}']


def apiserver_command(place):
    issuer = f'https://kubernetes.default.svc.{DNS_DOMAIN}'
    return ['kube-apiserver',
            '--etcd-servers=http://127.0.0.1:2379',
            f'--bind-address={place.address}', f'--advertise-address={place.address}',
            '--secure-port=6443', f'--service-cluster-ip-range={layout.SERVICE_NETWORK}',
            f'--client-ca-file={PKI}/ca.crt', f'--tls-cert-file={PKI}/apiserver.crt',
            f'--tls-private-key-file={PKI}/apiserver.key',
            f'--service-account-key-file={PKI}/sa.pub',
            f'--service-account-signing-key-file={PKI}/sa.key',
            f'--service-account-issuer={issuer}', f'--api-audiences={issuer}',
            f'--kubelet-client-certificate={PKI}/kubelet-client.crt',
            f'--kubelet-client-key={PKI}/kubelet-client.key',
            '--kubelet-preferred-address-types=InternalIP',
            '--authorization-mode=Node,RBAC', '--enable-admission-plugins=NodeRestriction',
            '--allow-privileged', '--anonymous-auth=true']


def controller_manager_command():
    return ['kube-controller-manager', f'--kubeconfig={HOME}/kubeconfigs/controller-manager',
            f'--service-account-private-key-file={PKI}/sa.key', f'--root-ca-file={PKI}/ca.crt',
            '--use-service-account-credentials', '--leader-elect=false',
            '--allocate-node-cidrs', f'--cluster-cidr={layout.POD_NETWORK}',
            # Elsewhere it would make a folder on the machine.
            f'--flex-volume-plugin-dir={HOME}/volume-plugins', '--bind-address=127.0.0.1']


def scheduler_command():
    return ['kube-scheduler', f'--kubeconfig={HOME}/kubeconfigs/scheduler', '--leader-elect=false',
            '--bind-address=127.0.0.1']


def kubelet_command(place):
    return ['kubelet', f'--config={HOME}/kubelet.json', f'--kubeconfig={HOME}/kubeconfigs/kubelet',
            f'--root-dir={HOME}/kubelet', f'--cert-dir={HOME}/kubelet-pki',
            f'--node-ip={place.address}', f'--hostname-override={place.name}', '--v=2']


def proxy_command(place):
    """Limits of connection tracking are the machine's, so they stay as they are."""
    return ['kube-proxy', f'--kubeconfig={HOME}/kubeconfigs/proxy', '--proxy-mode=iptables',
            f'--cluster-cidr={layout.POD_NETWORK}', f'--hostname-override={place.name}',
            '--oom-score-adj=0', '--conntrack-max-per-core=0', '--conntrack-min=0',
            '--conntrack-tcp-timeout-established=0', '--conntrack-tcp-timeout-close-wait=0',
            '--metrics-bind-address=127.0.0.1:10249', '--healthz-bind-address=127.0.0.1:10256']


def provisioner_command():
    return ['/usr/bin/python3', '-B', str(layout.HERE / 'provisioner.py'),
            f'{HOME}/kubeconfigs/admin']


def write_configuration(place):
    """Writes the state folder of a node that has not started yet."""
    for folder in ('cni', 'kubeconfigs', 'names', 'storage', 'etcd'):
        (place.state / folder).mkdir()
    (place.state / 'etcd').chmod(0o700)
    pki.make_all(place.state / 'pki', place.name, [place.address, layout.API_SERVICE])
    server = f'https://{place.address}:6443'
    for user in pki.USERS:
        path = place.state / 'kubeconfigs' / user
        path.write_text(pki.kubeconfig(place.state / 'pki', user, server, place.name))
        path.chmod(0o600)
    place.kubeconfig.write_text((place.state / 'kubeconfigs/admin').read_text())
    place.kubeconfig.chmod(0o600)
    (place.state / 'cni/10-bridge.conflist').write_text(cni_config())
    (place.state / 'kubelet.json').write_text(kubelet_config(place))
    (place.names / 'cluster').write_text(
        f'{layout.API_SERVICE} kubernetes.default.svc.{DNS_DOMAIN}\n'
        f'{layout.REGISTRY_SERVICE} registry.registry.svc.{DNS_DOMAIN}\n')
