"""The agent's view of the cluster: what kubernetes-mcp-server may read, that only it can, and that
all of it is there together or not at all."""

import yaml
from checking import check, expect

CONTAINER, POLICY = 'kubernetes-mcp', 'hermes-kubernetes-mcp'
SWITCH = 'HERMES_KUBERNETES_MCP'
TOKEN_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'
READING = {'get', 'list'}
# These hold secrets, or let one act by what looks like reading; nodes/proxy is a way into every
# pod.
CLOSED = {'secrets', 'pods/exec', 'pods/attach', 'pods/portforward', 'pods/proxy', 'pods/eviction',
          'pods/ephemeralcontainers', 'services/proxy', 'nodes/proxy', 'nodes/log', 'nodes/stats',
          'nodes/metrics', 'serviceaccounts/token'}
# What it needs to answer of what is most often asked.
NEEDED = {('', 'pods'), ('', 'pods/log'), ('', 'nodes'), ('', 'events'), ('', 'namespaces'),
          ('apps', 'deployments'), ('batch', 'jobs'), ('metrics.k8s.io', 'pods'),
          ('metrics.k8s.io', 'nodes')}


def sidecar(tree):
    return next((container for container in tree.containers()
                 if container.body['name'] == CONTAINER), None)


@check
def access(tree):
    """Reading, of named things, for one account."""
    for role in tree.of_kind('ClusterRole', 'Role'):
        granted = set()
        for rule in role.body.get('rules', []):
            groups, resources = rule.get('apiGroups', []), rule.get('resources', [])
            if set(rule) != {'apiGroups', 'resources', 'verbs'} or '*' in [*groups, *resources]:
                yield role, f'{rule} is not about named things'
            yield from expect(role, f'verbs for {resources}', set(rule['verbs']), READING)
            granted |= {(group, resource) for group in groups for resource in resources}
        for resource in sorted(CLOSED & {resource for _, resource in granted}):
            yield role, f'lets it read {resource}'
        for missing in sorted(NEEDED - granted):
            yield role, f'does not let it read {missing}'
    for binding in tree.of_kind('ClusterRoleBinding', 'RoleBinding'):
        account, = tree.of_kind('ServiceAccount')
        yield from expect(binding, 'subjects', binding.body['subjects'], [
            {'kind': 'ServiceAccount', 'name': account.name, 'namespace': account.namespace}])
        role = binding.body['roleRef']
        if tree.find(role['kind'], role['name'], '') is None:
            yield binding, f"there is no {role['kind']} {role['name']}"


@check
def token(tree):
    """An account of its own and the account's token, in its container and in no other."""
    own = sidecar(tree)
    for thing in tree.of_kind('ServiceAccount'):
        yield from expect(thing, 'automountServiceAccountToken',
                          thing.body.get('automountServiceAccountToken'), False)
    for thing, template in tree.pods():
        volumes = [volume['name'] for volume in template['spec'].get('volumes', [])
                   if any('serviceAccountToken' in source
                          for source in volume.get('projected', {}).get('sources', []))]
        has_it = own is not None and own.thing is thing
        yield from expect(thing, 'volumes with a token', len(volumes), int(has_it))
        for container in template['spec']['containers']:
            places = [mount['mountPath'] for mount in container.get('volumeMounts', [])
                      if mount['name'] in volumes]
            yield from expect(thing, f"the token's place in {container['name']}", places,
                              [TOKEN_FOLDER] * (has_it and container['name'] == CONTAINER))
        if has_it and tree.find('ServiceAccount', template['spec'].get('serviceAccountName'),
                                thing.namespace) is None:
            yield thing, 'has an account that is not made here'
    if own is not None:
        yield from expect(own, 'mounts', len(own.body['volumeMounts']), 1)


@check
def view(tree):
    """The agent is told of it if, and only if, it is there; it listens where the agent asks, offers
    what reads, and the API server can be reached with it only."""
    own, where = sidecar(tree), 'k8s/config.yaml'
    server = yaml.safe_load(tree.files[where]).get('mcp_servers', {}).get('kubernetes', {})
    for container in tree.containers():
        if container.body['name'] == 'hermes':
            told = {entry['name']: entry.get('value') for entry in container.environment}
            yield from expect(container, SWITCH, told.get(SWITCH),
                              'true' if own is not None else 'false')
    yield from expect(where, 'enabled', server.get('enabled'), f'os.environ/{SWITCH}')
    policy = tree.find('NetworkPolicy', POLICY, 'hermes')
    if (policy is None) != (own is None):
        yield 'k8s', 'the container and its policy belong together'
    if policy is not None:
        yield from expect(policy, 'its rules', policy.spec, {
            'podSelector': {'matchLabels': {'app.kubernetes.io/name': 'hermes'}},
            'policyTypes': ['Egress'],
            'egress': [{'ports': [{'port': 6443, 'protocol': 'TCP'}]}]})
    if own is not None:
        given = dict(word.partition('=')[::2] for word in own.body['args'])
        yield from expect(own, 'arguments', given, {
            '--port': '8080', '--bind-address': '127.0.0.1', '--stateless': '', '--read-only': '',
            '--toolsets': 'core', '--disable-multi-cluster': '',
            '--cluster-provider': 'in-cluster'})
        yield from expect(where, 'url', server.get('url'),
                          f"http://{given.get('--bind-address')}:{given.get('--port')}/mcp")
        yield from expect(where, 'trust', server.get('trust'), 'full')
        yield from expect(where, 'tools that need nodes/proxy',
                          set(server.get('tools', {}).get('exclude', [])),
                          {'nodes_log', 'nodes_stats_summary'})
