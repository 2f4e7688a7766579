"""What a pod may do, what it costs, and how it is looked after."""

import re

from checking import check, expect, quantity

# Pod Security Standards, as far as our fields go.
BASELINE_VOLUMES = {'configMap', 'secret', 'emptyDir', 'persistentVolumeClaim', 'projected',
                    'downwardAPI', 'ephemeral', 'csi'}
OF_THE_NODE = ('hostNetwork', 'hostPID', 'hostIPC')
# What kaniko needs to unpack files of every owner, and apt to become a user of its own.
BUILD_CAPABILITIES = {'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETGID', 'SETUID'}
USERS = {'hermes': 10000, 'registry': 1000, 'collect': 1000, 'kaniko': 0}
SIZES = {'hermes': ('16Mi', '50m', '128Mi'), 'kaniko': ('256Mi', '500m', '512Mi'),
         'registry': ('32Mi', '25m', '128Mi'), 'collect': ('32Mi', '25m', '128Mi')}
PROBES = {'hermes': ('/healthz', '/healthz', '/readyz'), 'registry': ('/', '/', '/')}
DRAIN = 15      # seconds: agent.restart_drain_timeout, and what the last messages get


def setting(container, name):
    """A container's own security setting, else its pod's."""
    own = container.body.get('securityContext', {})
    return own.get(name, container.pod.get('securityContext', {}).get(name))


def capabilities(container):
    found = container.body.get('securityContext', {}).get('capabilities', {})
    return set(found.get('drop', [])), set(found.get('add', []))


def level(tree, thing):
    namespace = tree.find('Namespace', thing.namespace, '')
    labels = namespace.body['metadata'].get('labels', {}) if namespace else {}
    return labels.get('pod-security.kubernetes.io/enforce')


@check
def pod_security(tree):
    """The levels themselves."""
    for name, want in (('hermes', 'restricted'), ('registry', 'baseline')):
        namespace = tree.find('Namespace', name, '')
        for mode in ('enforce', 'warn'):
            key = f'pod-security.kubernetes.io/{mode}'
            got = namespace.body['metadata'].get('labels', {}).get(key) if namespace else None
            yield from expect(f'Namespace/{name}', key, got, want)


@check
def baseline(tree):
    """No pod of ours sees its node."""
    for thing, template in tree.pods():
        for name in OF_THE_NODE:
            if template['spec'].get(name):
                yield thing, f'asks for {name}'
        for volume in template['spec'].get('volumes', []):
            if set(volume) - {'name'} - BASELINE_VOLUMES:
                yield thing, f"volume {volume['name']} is not one that `baseline` allows"
    for container in tree.containers():
        if setting(container, 'privileged'):
            yield container, 'is privileged'
        for port in container.body.get('ports', []):
            if port.get('hostPort'):
                yield container, 'asks for a hostPort'


@check
def restricted(tree):
    """What the API server refuses in a namespace of that level."""
    for container in tree.containers():
        if level(tree, container.thing) != 'restricted':
            continue
        if setting(container, 'runAsNonRoot') is not True:
            yield container, 'may run as root'
        if setting(container, 'runAsUser') == 0:
            yield container, 'runs as root'
        if container.body.get('securityContext', {}).get('allowPrivilegeEscalation') is not False:
            yield container, 'may gain rights'
        dropped, added = capabilities(container)
        if 'ALL' not in dropped or added - {'NET_BIND_SERVICE'}:
            yield container, 'has capabilities'
        if (setting(container, 'seccompProfile') or {}).get('type') not in ('RuntimeDefault',
                                                                            'Localhost'):
            yield container, 'has no seccomp profile'


@check
def hardened(tree):
    """Ours are stricter than their namespaces demand, and kaniko is the one exception."""
    for container in tree.containers():
        own, name = container.body.get('securityContext', {}), container.body['name']
        dropped, added = capabilities(container)
        want = BUILD_CAPABILITIES if name == 'kaniko' else set()
        yield from expect(container, 'user', setting(container, 'runAsUser'), USERS.get(name))
        yield from expect(container, 'dropped capabilities', dropped, {'ALL'})
        yield from expect(container, 'added capabilities', added, want)
        yield from expect(container, 'allowPrivilegeEscalation',
                          own.get('allowPrivilegeEscalation'), False)
        yield from expect(container, 'seccomp profile', setting(container, 'seccompProfile'),
                          {'type': 'RuntimeDefault'})
        if name != 'kaniko':
            yield from expect(container, 'readOnlyRootFilesystem',
                              own.get('readOnlyRootFilesystem'), True)
            yield from expect(container, 'runAsNonRoot', setting(container, 'runAsNonRoot'), True)
            yield from expect(container, 'fsGroup', setting(container, 'fsGroup'),
                              USERS.get(name))


@check
def no_token(tree):
    """Nobody here talks to the API server. (And REGISTRY_PORT, which a link to the Service named
    registry would set, is a setting of the registry.)"""
    for thing, template in tree.pods():
        for name in ('automountServiceAccountToken', 'enableServiceLinks'):
            yield from expect(thing, name, template['spec'].get(name), False)
        if 'serviceAccountName' in template['spec']:
            yield thing, 'has a service account'


@check
def resources(tree):
    """The figures are decided. CPU is not limited."""
    for container in tree.containers():
        found = container.body.get('resources', {})
        requests, limits = found.get('requests', {}), found.get('limits', {})
        got = requests.get('memory'), requests.get('cpu'), limits.get('memory')
        yield from expect(container, 'memory, CPU and memory limit', got,
                          SIZES.get(container.body['name']))
        if 'cpu' in limits:
            yield container, 'is throttled'
    for claim in tree.of_kind('PersistentVolumeClaim'):
        want = {'registry-data': '5Gi', 'hermes-data': '1Gi'}.get(claim.name)
        got = claim.spec.get('resources', {}).get('requests', {}).get('storage')
        yield from expect(claim, 'storage', got, want)


@check
def quantities(tree):
    """Each is one, and no request exceeds its limit."""
    for container in tree.containers():
        found = container.body.get('resources', {})
        requests, limits = found.get('requests', {}), found.get('limits', {})
        try:
            for name in {*requests, *limits}:
                if name in limits and quantity(requests.get(name, 0)) > quantity(limits[name]):
                    yield container, f'requests more {name} than its limit'
                quantity(requests.get(name, 0))
        except ValueError as error:
            yield container, str(error)


@check
def probes(tree):
    """A service is started, alive and ready by its own paths, on a port that it has; a Job is none
    of these."""
    for container in tree.containers():
        want = PROBES.get(container.body['name'], (None, None, None))
        for kind, path in zip(('startupProbe', 'livenessProbe', 'readinessProbe'), want):
            probe = container.body.get(kind)
            if (probe is None) != (path is None):
                yield container, f'{kind} is {probe}'
            elif probe:
                yield from probe_of(container, kind, probe, path)


def probe_of(container, kind, probe, path):
    target = probe.get('httpGet', {})
    names = {port.get('name') for port in container.body.get('ports', [])}
    numbers = {port.get('containerPort') for port in container.body.get('ports', [])}
    if target.get('port') not in names | numbers:
        yield container, f"{kind} asks port {target.get('port')}, which it has not"
    yield from expect(container, f'path of {kind}', target.get('path'), path)
    patience = probe.get('periodSeconds', 10) * probe.get('failureThreshold', 3)
    if patience < 30:
        yield container, f'{kind} gives up after {patience} s'


@check
def one_owner(tree):
    """A volume that one pod owns is never mounted by two, and who owns it has time to leave."""
    for thing in tree.of_kind('Deployment'):
        yield from expect(thing, 'replicas', thing.spec.get('replicas'), 1)
        yield from expect(thing, 'strategy', thing.spec.get('strategy'), {'type': 'Recreate'})
    for claim in tree.of_kind('PersistentVolumeClaim'):
        yield from expect(claim, 'accessModes', claim.spec.get('accessModes'), ['ReadWriteOnce'])
    hermes = tree.find('Deployment', 'hermes', 'hermes')
    if hermes:
        grace = hermes.spec['template']['spec'].get('terminationGracePeriodSeconds', 30)
        if grace <= DRAIN:
            yield hermes, f'is killed after {grace} s, and may need {DRAIN}'


@check
def last_words(tree):
    """What a container says as it fails stays in its pod's status, where `make ai-status` looks."""
    for container in tree.containers():
        yield from expect(container, 'terminationMessagePolicy',
                          container.body.get('terminationMessagePolicy'), 'FallbackToLogsOnError')
        if any('/dev/termination-log' in word for word in container.body.get('args', [])):
            yield container, 'writes its own last words, and its log is no longer looked at'


@check
def arguments(tree):
    """$(NAME) is replaced only by a variable that the container has; else it stays as it is."""
    for container in tree.containers():
        names = [entry['name'] for entry in container.environment]
        for name in {name for name in names if names.count(name) > 1}:
            yield container, f'{name} is set twice'
        words = [*container.body.get('command', []), *container.body.get('args', [])]
        asked = set(re.findall(r'\$\((\w+)\)', ' '.join(words)))
        for name in sorted(asked - set(names)):
            yield container, f'$({name}) is no variable of it'
        if container.body['name'] == 'kaniko':
            for name in sorted(set(names) - asked):
                yield container, f'{name} is used by no argument'
