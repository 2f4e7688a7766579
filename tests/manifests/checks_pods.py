"""What a pod may do, what it costs, and how it is looked after.

Nothing here repeats a manifest: a figure is compared with the one that it has to agree with, in the
image, in the program or in the documents, or with a bound.
"""

import re

from checking import check, expect, quantity
from tree import REPO, program_default

# Pod Security Standards, as far as our fields go.
BASELINE_VOLUMES = {'configMap', 'secret', 'emptyDir', 'persistentVolumeClaim', 'projected',
                    'downwardAPI', 'ephemeral', 'csi'}
OF_THE_NODE = ('hostNetwork', 'hostPID', 'hostIPC')
# More than unpacking files of every owner, and becoming a user of its own, no build has to do.
BUILD_CAPABILITIES = {'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETGID', 'SETUID'}
PROBES = ('startupProbe', 'livenessProbe', 'readinessProbe')
NODE = 1 << 30  # bytes: the smallest machine that the documents speak of, a CM4 of 1 GiB


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
        own, build = container.body.get('securityContext', {}), container.body['name'] == 'kaniko'
        dropped, added = capabilities(container)
        yield from expect(container, 'dropped capabilities', dropped, {'ALL'})
        for name in sorted(added - (BUILD_CAPABILITIES if build else set())):
            yield container, f'may do {name}'
        yield from expect(container, 'allowPrivilegeEscalation',
                          own.get('allowPrivilegeEscalation'), False)
        yield from expect(container, 'seccomp profile', setting(container, 'seccompProfile'),
                          {'type': 'RuntimeDefault'})
        if not build:
            yield from expect(container, 'readOnlyRootFilesystem',
                              own.get('readOnlyRootFilesystem'), True)
            yield from expect(container, 'runAsNonRoot', setting(container, 'runAsNonRoot'), True)


@check
def users(tree):
    """The agent is the user of its image; the others have a number of their own, which may not be
    root's; and what a volume holds belongs to the group of those who use it."""
    image = re.search(r'(?m)^USER (\d+):(\d+)$', tree.files['kaniko/Dockerfile'])
    for container in tree.containers():
        user, group = setting(container, 'runAsUser'), setting(container, 'runAsGroup')
        if container.body['name'] == 'kaniko':
            yield from expect(container, 'user', user, 0)
            continue
        if not user or not group:
            yield container, f'runs as {user}:{group}'
        if any('persistentVolumeClaim' in volume for volume in container.pod.get('volumes', [])):
            yield from expect(container, 'fsGroup', setting(container, 'fsGroup'), group)
        if container.body['name'] in ('hermes', 'hands'):
            yield from expect(container, 'user and group, and those of the image', (user, group),
                              (int(image[1]), int(image[2])) if image else None)


@check
def no_token(tree):
    """Nobody here talks to the API server, except through what `token` looks at. (And
    REGISTRY_PORT, which a link to the Service named registry would set, is a setting of the
    registry.)"""
    for thing, template in tree.pods():
        for name in ('automountServiceAccountToken', 'enableServiceLinks'):
            yield from expect(thing, name, template['spec'].get(name), False)
        named = [container['name'] for container in template['spec']['containers']]
        want = 'kubernetes-mcp' if 'kubernetes-mcp' in named else 'default'
        yield from expect(thing, 'service account',
                          template['spec'].get('serviceAccountName', 'default'), want)


@check
def resources(tree):
    """Each asks for memory and a share of a CPU, memory is bounded and CPU is not; all that runs at
    a time, with one build, fits on the smallest node; and the limit that the documents explain is
    the one that is set."""
    needed = {}
    for container in tree.containers():
        found = container.body.get('resources', {})
        requests, limits = found.get('requests', {}), found.get('limits', {})
        for where, name in ((requests, 'memory'), (requests, 'cpu'), (limits, 'memory')):
            if name not in where:
                yield container, f'says nothing of its {name}'
        if 'cpu' in limits:
            yield container, 'is throttled'
        try:
            needed[container.body['name']] = quantity(requests.get('memory', 0))
        except ValueError:
            continue                    # `quantities` says so
        if container.body['name'] == 'kaniko':
            yield from expect(container, 'memory limit', {limits.get('memory')}, told_limits())
    if sum(needed.values()) > NODE // 2:        # the other half is Kubernetes' own
        yield 'all', f'{sum(needed.values())} bytes are asked for, half of {NODE} are to be had'


def told_limits():
    """The sizes that the documents speak of; the only ones are about a build's limit."""
    text = (REPO / 'docs/kubernetes.md').read_text(encoding='utf-8')
    return set(re.findall(r'\b\d+[KMG]i\b', text))


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
    """A service is started, alive and ready, on a port that it has; a Job is none of these, and the
    hands and the view of the cluster have no port that a node reaches, and must not decide whether
    the agent is ready. What ends a container is never asked of what makes it wait, and the registry
    is asked nothing that wants a password. (That the agent answers on its paths, the agent itself
    is asked.)"""
    for container in tree.containers():
        found = [container.body[kind] for kind in PROBES if kind in container.body]
        serves = container.thing.kind == 'Deployment' and container.body['name'] not in (
            'hands', 'kubernetes-mcp')
        if len(found) != (len(PROBES) if serves else 0):
            yield container, f'has {len(found)} probes'
            continue
        for kind in PROBES if serves else ():
            yield from probe_of(container, kind, container.body[kind])
        paths = [probe.get('httpGet', {}).get('path', '') for probe in found]
        if container.body['name'] == 'hermes' and not paths[0] == paths[1] != paths[2]:
            yield container, f'asks {paths} whether it is started, alive and ready'
        if container.body['name'] == 'registry' and any(path.startswith('/v2') for path in paths):
            yield container, f'asks {paths}, where a password is wanted'


def probe_of(container, kind, probe):
    target = probe.get('httpGet', {})
    names = {port.get('name') for port in container.body.get('ports', [])}
    numbers = {port.get('containerPort') for port in container.body.get('ports', [])}
    if target.get('port') not in names | numbers:
        yield container, f"{kind} asks port {target.get('port')}, which it has not"
    patience = probe.get('periodSeconds', 10) * probe.get('failureThreshold', 3)
    if patience < 30:
        yield container, f'{kind} gives up after {patience} s'


@check
def one_owner(tree):
    """A volume that one pod owns is never mounted by two, and who owns it has time to leave: the
    turn that is on its way, and then the last messages."""
    for thing in tree.of_kind('Deployment'):
        yield from expect(thing, 'replicas', thing.spec.get('replicas'), 1)
        yield from expect(thing, 'strategy', thing.spec.get('strategy'), {'type': 'Recreate'})
    for claim in tree.of_kind('PersistentVolumeClaim'):
        yield from expect(claim, 'accessModes', claim.spec.get('accessModes'), ['ReadWriteOnce'])
    hermes = tree.find('Deployment', 'hermes', 'hermes')
    if hermes:
        grace = hermes.spec['template']['spec'].get('terminationGracePeriodSeconds', 30)
        turn = int(program_default('agent.restart_drain_timeout').removesuffix('s'))
        needed = turn + last_messages()
        if grace <= needed:
            yield hermes, f'is killed after {grace} s, and may need {needed}'


def last_messages():
    """What the program gives them, in seconds."""
    text = (REPO / 'src/daemon/service.c').read_text(encoding='utf-8')
    return int(re.search(r'LEAVE_FLIGHT_MS = (\d+)000\b', text)[1])


@check
def last_words(tree):
    """What a container says as it fails stays in its pod's status, where `make ai-status` looks."""
    for container in tree.containers():
        yield from expect(container, 'terminationMessagePolicy',
                          container.body.get('terminationMessagePolicy'), 'FallbackToLogsOnError')


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
