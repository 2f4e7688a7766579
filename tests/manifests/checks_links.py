"""Whatever names something else: does that exist, and is it what is meant?"""

import ipaddress

import yaml
from checking import check, expect, labels_of, selects
from tree import program_default

SERVICE_RANGE = ipaddress.ip_network('10.43.0.0/16')    # K3s' own
NODE_PORTS = range(30000, 32768)
# Secrets that are made from private files: name -> (keys, may it be missing).
SECRETS = {('hermes', 'hermes-secrets'): (None, False),
           ('registry', 'registry-auth'): ({'htpasswd'}, False),
           ('registry', 'registry-credentials'): ({'config.json'}, True)}
CLUSTER_WIDE = ('Namespace', 'ClusterRole', 'ClusterRoleBinding')
MADE_BY_KUBERNETES = {'kube-root-ca.crt'}   # a ConfigMap in each namespace
# Policies about pods that others bring.
FOR_OTHERS = {'hermes-clients', 'hermes-router-clients', 'hermes-api-clients'}
# What a component opens to other pods: its name -> the options of its port and of its address.
FACES = {'router': ('router.port', 'HERMES_ROUTER_HOST'),
         'api': ('gateway.api_server.port', 'API_SERVER_HOST')}


@check
def unique(tree):
    """One object of a kind and name in a namespace."""
    seen = {}
    for thing in tree.things:
        key = (thing.kind, thing.namespace, thing.name)
        if key in seen:
            yield thing, f'is also in {seen[key].folder}'
        seen[key] = thing


@check
def namespaces(tree):
    """Every namespace that is used is made here."""
    made = {thing.name for thing in tree.of_kind('Namespace')}
    for thing in tree.things:
        if thing.kind not in CLUSTER_WIDE and thing.namespace not in made:
            yield thing, f'namespace {thing.namespace!r} is not one of ours'


@check
def labels(tree):
    """Whose it is: `make ai-undeploy` and `make ai-status` go by these."""
    for thing in tree.things:
        found = labels_of(thing.body)
        if found.get('app.kubernetes.io/part-of') != 'hermes' and thing.folder != 'scripts/ai':
            yield thing, 'has no label app.kubernetes.io/part-of: hermes'
        if 'app.kubernetes.io/name' not in found and thing.kind != 'ConfigMap':
            yield thing, 'has no label app.kubernetes.io/name'
    for thing, template in tree.pods():
        if labels_of(template).get('app.kubernetes.io/name') != thing.name:
            yield thing, f'its pods are called {labels_of(template)}'


@check
def selectors(tree):
    """A Deployment finds its own pods; a Job's selector is Kubernetes' affair."""
    for thing, template in tree.pods():
        selector = thing.spec.get('selector')
        if thing.kind in ('Job', 'CronJob'):
            if selector is not None:
                yield thing, 'sets a selector'
        elif not selector or not selector.get('matchLabels'):
            yield thing, 'has no selector'
        elif not selects(selector['matchLabels'], labels_of(template)):
            yield thing, f"selects {selector['matchLabels']}, its pods are {labels_of(template)}"


@check
def services(tree):
    """A Service leads to one Deployment's port and to nobody's Job."""
    for service in tree.of_kind('Service'):
        chosen = [(thing, template) for thing, template in tree.pods()
                  if thing.namespace == service.namespace
                  and selects(service.spec.get('selector', {}), labels_of(template))]
        if [thing.kind for thing, _ in chosen] != ['Deployment']:
            yield service, f'selects the pods of {[str(thing) for thing, _ in chosen]}'
        for port in service.spec.get('ports', []):
            for _, template in chosen:
                if not has_port(template['spec'], port.get('targetPort', port.get('port'))):
                    yield service, f"targetPort {port.get('targetPort')} is no port of its pods"


def has_port(pod, wanted):
    return any(wanted in (port.get('name'), port.get('containerPort'))
               for container in pod.get('containers', []) for port in container.get('ports', []))


@check
def addresses(tree):
    """Fixed addresses and ports lie where Kubernetes gives them out, and are given out once."""
    taken = {}
    for service in tree.of_kind('Service'):
        address = service.spec.get('clusterIP')
        fixed = [('port', port['nodePort']) for port in service.spec.get('ports', [])
                 if 'nodePort' in port]
        for _, number in fixed:
            if service.spec.get('type') != 'NodePort' or number not in NODE_PORTS:
                yield service, f'nodePort {number} is not possible here'
        if address:
            fixed.append(('address', address))
            if ipaddress.ip_address(address) not in SERVICE_RANGE:
                yield service, f'{address} is not in {SERVICE_RANGE}'
        for key in fixed:
            if key in taken:
                yield service, f'{key[0]} {key[1]} is also that of {taken[key]}'
            taken[key] = service


@check
def ports(tree):
    """What a container declares is what its program listens on, by its default or its file."""
    address = yaml.safe_load(tree.files['registry/config.yml'])['http']['addr']
    listens = {'hermes': [int(program_default('admin.port'))],
               'registry': [int(address.rpartition(':')[2])]}
    listens['hermes'] += [int(program_default(port)) for face, (port, _) in FACES.items()
                          if is_open(tree, face)]
    for container in tree.containers():
        declared = sorted(port.get('containerPort') for port in container.body.get('ports', []))
        want = sorted(listens.get(container.body['name'], []))
        if declared != want:
            yield container, f'its ports are {declared}, its program listens on {want}'


def is_open(tree, face):
    return tree.find('Service', f'hermes-{face}', 'hermes') is not None


@check
def router(tree):
    """Closed to others unless the component is there; then its Service, its port, its policy and
    the program's own address open together, for pods that say that they are its clients."""
    yield from opened_together(tree, 'router')


@check
def api(tree):
    """As the router."""
    yield from opened_together(tree, 'api')


def opened_together(tree, face):
    opened, (option, variable) = is_open(tree, face), FACES[face]
    port, label = int(program_default(option)), f'hermes/{face}-client'
    policy = tree.find('NetworkPolicy', f'hermes-{face}', 'hermes')
    if bool(policy) != opened:
        yield f'k8s/{face}', 'a Service and a policy belong together'
    yield from clients(tree, f'hermes-{face}-clients', label, port * opened)
    for container in tree.containers():
        if container.body['name'] == 'hermes':
            hosts = [entry.get('value') for entry in container.environment
                     if entry['name'] == variable]
            yield from expect(container, variable, hosts, ['0.0.0.0'] * opened)
    if opened:
        service = tree.find('Service', f'hermes-{face}', 'hermes')
        yield from expect(service, 'ports', [one['port'] for one in service.spec['ports']], [port])
        yield from expect(service, 'type', service.spec.get('type', 'ClusterIP'), 'ClusterIP')
    if policy:
        asking = {'namespaceSelector': {}, 'podSelector': {'matchLabels': {label: 'true'}}}
        yield from expect(policy, 'ingress', policy.spec.get('ingress'), [
            {'from': [asking], 'ports': [{'port': port, 'protocol': 'TCP'}]}])


def clients(tree, name, label, port):
    """The other end of what the agent admits: pods of its namespace with this label may send to its
    port, and nowhere else. Port 0: there is no such policy."""
    policy = tree.find('NetworkPolicy', name, 'hermes')
    if policy is None and port and tree.find('Deployment', 'hermes', 'hermes'):
        yield 'k8s', f'pods with the label {label} cannot send to port {port}'
    if policy is not None:
        agent = {'podSelector': {'matchLabels': {'app.kubernetes.io/name': 'hermes'}}}
        yield from expect(policy, 'its rules', policy.spec, {
            'podSelector': {'matchLabels': {label: 'true'}}, 'policyTypes': ['Egress'],
            'egress': [{'to': [agent], 'ports': [{'port': port, 'protocol': 'TCP'}]},
                       {'ports': [{'port': 53, 'protocol': 'UDP'},
                                  {'port': 53, 'protocol': 'TCP'}]}]})


@check
def configmaps(tree):
    """Every ConfigMap and key that is asked for is there, and every one that is there is asked
    for."""
    asked = {}
    for container in tree.containers():
        for entry in container.environment:
            source = entry.get('valueFrom', {}).get('configMapKeyRef')
            if source:
                asked.setdefault((container.thing.namespace, source['name']), []).append(
                    (container, source['key']))
    for thing, template in tree.pods():
        for volume in template.get('spec', {}).get('volumes', []):
            for source in [volume, *volume.get('projected', {}).get('sources', [])]:
                if 'configMap' in source:
                    wanted = asked.setdefault((thing.namespace, source['configMap']['name']), [])
                    wanted += [(thing, item['key'])
                               for item in source['configMap'].get('items', [])]
    for (namespace, name), wanted in asked.items():
        if name in MADE_BY_KUBERNETES:
            continue
        yield from asked_of(tree.find('ConfigMap', name, namespace), name, wanted)
    for thing in tree.of_kind('ConfigMap'):
        if (thing.namespace, thing.name) not in asked:
            yield thing, 'nobody uses it'


def asked_of(configmap, name, wanted):
    if configmap is None:
        yield name, 'there is no such ConfigMap'
        return
    keys = {**configmap.body.get('data', {}), **configmap.body.get('binaryData', {})}
    for user, key in wanted:
        if key not in keys:
            yield user, f'ConfigMap {name} has no key {key}'


@check
def secrets(tree):
    """Secrets are made from private files, under these names; none is written here. Only a file
    may hold one: an environment is inherited, and shown by too many tools."""
    for thing in tree.of_kind('Secret'):
        yield thing, 'is a Secret in the tree'
    for thing, template in tree.pods():
        for volume in template['spec'].get('volumes', []):
            if 'secret' in volume:
                yield from secret_volume(thing, volume['secret'])
    for container in tree.containers():
        for entry in [*container.environment, *container.body.get('envFrom', [])]:
            if 'secretKeyRef' in entry.get('valueFrom', {}) or 'secretRef' in entry:
                yield container, 'takes a secret into its environment'


def secret_volume(thing, volume):
    known = SECRETS.get((thing.namespace, volume.get('secretName')))
    if known is None:
        yield thing, f"Secret {volume.get('secretName')} is made by nobody"
        return
    keys, optional = known
    if bool(volume.get('optional')) != optional:
        yield thing, f"Secret {volume['secretName']}: optional is {volume.get('optional')}"
    if volume.get('defaultMode', 0o644) & 0o007:
        yield thing, f"Secret {volume['secretName']} can be read by everybody in the pod"
    for item in volume.get('items', []):
        if keys is not None and item['key'] not in keys:
            yield thing, f"Secret {volume['secretName']} has no key {item['key']}"


@check
def volumes(tree):
    """Each mount has its volume, each volume its mount, each claim its volume, and no two mounts
    share a place."""
    claimed = set()
    for thing, template in tree.pods():
        have = {volume['name']: volume for volume in template['spec'].get('volumes', [])}
        used = set()
        for container in [*template['spec'].get('initContainers', []),
                          *template['spec'].get('containers', [])]:
            mounts = container.get('volumeMounts', [])
            places = [mount['mountPath'] for mount in mounts]
            for place in {place for place in places if places.count(place) > 1}:
                yield thing, f'two volumes are mounted at {place}'
            used |= {mount['name'] for mount in mounts}
            yield from writable(thing, have, mounts)
        for name in sorted(used - set(have)):
            yield thing, f'there is no volume {name}'
        for name in sorted(set(have) - used):
            yield thing, f'volume {name} is mounted nowhere'
        for volume in have.values():
            if 'persistentVolumeClaim' in volume:
                claim = volume['persistentVolumeClaim']['claimName']
                claimed.add((thing.namespace, claim))
                if tree.find('PersistentVolumeClaim', claim, thing.namespace) is None:
                    yield thing, f'there is no claim {claim}'
    for claim in tree.of_kind('PersistentVolumeClaim'):
        if (claim.namespace, claim.name) not in claimed:
            yield claim, 'no pod uses it'


def writable(thing, have, mounts):
    """Kubernetes mounts these read-only anyhow; a reader should see it."""
    for mount in mounts:
        source = have.get(mount['name'], {})
        if {'configMap', 'secret', 'projected'} & set(source) and not mount.get('readOnly'):
            yield thing, f"{mount['mountPath']} is not readOnly"


@check
def policies(tree):
    """Nothing goes in or out of the agent's namespace but what is meant to, and each rule is about
    pods and ports that exist."""
    chosen = [thing for thing in tree.of_kind('NetworkPolicy')]
    if not any(thing.namespace == 'hermes' and denies_all(thing.spec) for thing in chosen):
        yield 'k8s', 'no NetworkPolicy refuses everything in namespace hermes'
    for thing in chosen:
        picked = [template for owner, template in tree.pods()
                  if owner.namespace == thing.namespace and selects(
                      thing.spec['podSelector'].get('matchLabels', {}), labels_of(template))]
        if not picked and thing.name not in FOR_OTHERS:
            yield thing, 'is about no pod'
        for kind in ('ingress', 'egress'):
            if kind in thing.spec and kind.capitalize() not in thing.spec.get('policyTypes', []):
                yield thing, f'has {kind} rules, and policyTypes lacks it'
        for rule in thing.spec.get('ingress', []):
            yield from inbound(thing, rule, picked)
    if found := tree.find('NetworkPolicy', 'hermes', 'hermes'):
        yield from outbound(found)
        yield from clients(tree, 'hermes-clients', 'hermes/client', int(program_default(
            'admin.port')))


def denies_all(spec):
    return spec.get('podSelector') == {} and 'ingress' not in spec and 'egress' not in spec \
        and sorted(spec.get('policyTypes', [])) == ['Egress', 'Ingress']


def inbound(thing, rule, picked):
    if not rule.get('from') or not rule.get('ports'):
        yield thing, 'lets everybody in, or to every port'
    for port in rule.get('ports', []):
        if not all(has_port(template['spec'], port['port']) for template in picked):
            yield thing, f"port {port['port']} is no port of its pods"


def outbound(thing):
    """Names, and HTTPS to addresses that are nobody's home."""
    found = set()
    for rule in thing.spec.get('egress', []):
        for port in rule.get('ports', [{}]):
            found.add((port.get('protocol', 'TCP'), port.get('port')))
            if port.get('port') == 443:
                yield from to_the_internet(thing, rule.get('to', []))
    if found != {('UDP', 53), ('TCP', 53), ('TCP', 443)}:
        yield thing, f'lets out to {sorted(found, key=str)}'


def to_the_internet(thing, peers):
    inside = [ipaddress.ip_address(address) for address in (
        '10.42.0.7', '10.43.0.1', '10.0.0.1', '100.100.1.2', '169.254.169.254', '172.20.1.1',
        '192.168.1.1', 'fd00::1', 'fe80::1')]
    outside = [ipaddress.ip_address(address) for address in ('149.154.167.220', '2606:4700::1')]
    for address in inside + outside:
        reached = not peers or any(reaches(peer.get('ipBlock'), address) for peer in peers)
        if reached != (address in outside):
            yield thing, f'HTTPS to {address} is {"" if reached else "not "}allowed'


def reaches(block, address):
    def within(text):
        return address.version == ipaddress.ip_network(text).version \
            and address in ipaddress.ip_network(text)

    return bool(block) and within(block['cidr']) and not any(map(within, block.get('except', [])))


def admits(peer, source):
    """Does a peer of an ingress rule pick a source? That is an address, or (namespace, labels) of a
    pod; the policy is one of the namespace `registry`."""
    if isinstance(source, str):
        return reaches(peer.get('ipBlock'), ipaddress.ip_address(source))
    namespace, labels = source
    if 'namespaceSelector' in peer or 'podSelector' not in peer or namespace != 'registry':
        return False
    wanted = peer['podSelector']
    return selects(wanted.get('matchLabels', {}), labels) and all(
        one['operator'] == 'In' and labels.get(one['key']) in one['values']
        for one in wanted.get('matchExpressions', []))


BUILD_PODS = [('registry', {'app.kubernetes.io/name': name})
              for name in ('hermes-build', 'kubernetes-mcp-build')]
OTHER_PODS = [('hermes', {'app.kubernetes.io/name': 'hermes'}), ('registry', {'app': 'x'}),
              ('default', {'app.kubernetes.io/name': 'hermes-build'}), '10.42.0.7', '10.42.1.7']
NODES = ['10.42.0.0', '10.42.1.0']      # as K3s' nodes ask pods on another node
LAN, INTERNET = ['192.168.1.77', '10.1.2.3'], ['192.0.2.7', '203.0.113.7', '2001:db8::1']


@check
def registry_access(tree):
    """Builds and nodes are admitted to the registry, and nobody else; with the component, machines
    of the own network are too, by a port of the nodes and with a password. The password is what
    holds there: a connection through another node has an address of that node."""
    service = tree.find('Service', 'registry', 'registry')
    template = tree.find('Deployment', 'registry', 'registry').spec['template']
    outside = service.spec.get('type') == 'NodePort'
    yield from expect(service, 'type', service.spec.get('type'),
                      'NodePort' if outside else 'ClusterIP')
    if outside and 'REGISTRY_AUTH' not in {entry['name'] for entry in
                                           template['spec']['containers'][0].get('env', [])}:
        yield service, 'is open to other machines, and has no password'
    peers = [peer for policy in tree.of_kind('NetworkPolicy') if policy.namespace == 'registry'
             and policy.spec['podSelector'].get('matchLabels') == {
                 'app.kubernetes.io/name': 'registry'}
             for rule in policy.spec.get('ingress', []) for peer in rule.get('from', [{}])]
    admitted = [*BUILD_PODS, *NODES, *(LAN if outside else [])]
    for source in [*BUILD_PODS, *NODES, *OTHER_PODS, *LAN, *INTERNET]:
        reached = any(admits(peer, source) for peer in peers)
        if reached != (source in admitted):
            yield 'registry', f'{source} is {"" if reached else "not "}admitted'
