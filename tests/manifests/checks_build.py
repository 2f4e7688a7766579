"""The build inside the cluster, the registry, and the one address under which builds push and nodes
pull."""

import re

import yaml
from checking import check, expect, labels_of, quantity, selects
from tree import BUILDS, BUILD_KEYS, REPO, script_number

FLAGS = {
    '--context=$(CONTEXT)', '--dockerfile=$(DOCKERFILE)', '--destination=$(DESTINATION)',
    '--destination=$(LATEST)', '--build-arg=BASE=$(BASE_IMAGE)',
    '--build-arg=http_proxy=$(BUILD_HTTP_PROXY)', '--build-arg=https_proxy=$(BUILD_HTTP_PROXY)',
    '--compressed-caching=false', '--single-snapshot', '--snapshot-mode=redo', '--cache=true',
    '--cache-repo=$(CACHE)', '--cache-ttl=336h', '--insecure', '--insecure-registry=$(REGISTRY)',
    '--digest-file=/dev/termination-log', '--log-format=text', '--verbosity=info'}
# Variables that kaniko itself would obey, and the ConfigMap's names for them.
RENAMED = {'BUILD_HTTP_PROXY': 'HTTP_PROXY'}
OBEYED = {'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy',
          'DOCKER_CONFIG'}
OURS = 'registry.registry:5000/'
# The builder that the tests compile, and where its project publishes the image of each release.
TESTED = REPO / 'tests/image/bases/kaniko-module/go.mod'
PUBLISHED = {'github.com/GoogleContainerTools/kaniko': 'gcr.io/kaniko-project/executor'}


def executors(tree):
    return [container for container in tree.containers() if container.body['name'] == 'kaniko']


@check
def build_flags(tree):
    """Exactly the flags that were measured and decided: one too few is an OOM kill or a build that
    starts from nothing, one too many is something that nobody tried."""
    found = executors(tree)
    names = {container.thing.name for container in found}
    if names != set(BUILDS):
        yield 'kaniko', f'the builds are {sorted(names)}'
    for container in found:
        got = container.body.get('args', [])
        for flag in sorted(FLAGS - set(got)):
            yield container, f'{flag} is missing'
        for flag in got:
            if flag not in FLAGS or got.count(flag) > 1:
                yield container, f'{flag} is too much'


@check
def tested_builder(tree):
    """The builder that is shipped is the release that the tests compile and run."""
    module, version = re.search(r'(?m)^require (\S+) (v\S+)$', TESTED.read_text()).groups()
    for container in executors(tree):
        yield from expect(container, 'image', container.body.get('image'),
                          f'{PUBLISHED[module]}:{version}')


@check
def build_jobs(tree):
    """When a build gives up, and what stays of it."""
    for container in executors(tree):
        spec = container.thing.spec
        for name, want in (('backoffLimit', 3), ('activeDeadlineSeconds', 3600),
                           ('ttlSecondsAfterFinished', 86400)):
            yield from expect(container.thing, name, spec.get(name), want)
        yield from expect(container.thing, 'restartPolicy', container.pod.get('restartPolicy'),
                          'Never')
        yield from expect(container.thing, 'namespace', container.thing.namespace, 'registry')


@check
def build_inputs(tree):
    """All that differs between two builds comes from the build's own ConfigMaps, in a form that
    kaniko can use."""
    for container in executors(tree):
        name, taken = container.thing.name, set()
        for entry in [*container.environment, *joiner_of(container).get('env', [])]:
            source = entry.get('valueFrom', {}).get('configMapKeyRef', {})
            taken.add(source.get('key'))
            yield from expect(container, f"source of {entry['name']}", source.get('name'), name)
            yield from expect(container, f"key of {entry['name']}", source.get('key'),
                              RENAMED.get(entry['name'], entry['name']))
            if entry['name'] in OBEYED:
                yield container, f"{entry['name']} would change what kaniko itself does"
        yield from expect(container, 'keys', taken, BUILD_KEYS)
        if '/kaniko/.docker' not in mounts_of(container.body):
            yield container, 'nothing is mounted at /kaniko/.docker'


def mounts_of(body):
    return {mount['mountPath']: mount for mount in body.get('volumeMounts', [])}


def joiner_of(executor):
    found = executor.pod.get('initContainers', [])
    return found[0] if [body.get('name') for body in found] == ['join'] else {}


@check
def sources(tree):
    """The sources come in as many parts as are made of them, are joined in their order by a
    container that has seen nothing else, and reach the builder in a folder with room for all."""
    registry = tree.find('Deployment', 'registry', 'registry')
    limit = script_number('PARTS') * script_number('PART_KIB') << 10
    for container in executors(tree):
        name, body = container.thing.name, joiner_of(container)
        volumes = {volume['name']: volume for volume in container.pod['volumes']}
        got = [(source.get('configMap', {}).get('name'), source['configMap'].get('items'))
               for source in volumes.get('parts', {}).get('projected', {}).get('sources', [])]
        yield from expect(container, 'parts', got, [
            (f'{name}-part-{number}', [{'key': 'part', 'path': f'part-{number}'}])
            for number in range(1, script_number('PARTS') + 1)])
        room = volumes.get('context', {}).get('emptyDir', {}).get('sizeLimit', 0)
        if quantity(room) < limit:
            yield container, f'has {room} for sources of {limit} bytes'
        yield from expect(container, 'what joins them mounts', {
            place: mount['name'] for place, mount in mounts_of(body).items()},
            {'/parts': 'parts', '/context': 'context'})
        mount = mounts_of(container.body).get('/context', {})
        if mount.get('name') != 'context' or not mount.get('readOnly'):
            yield container, 'does not have the sources at /context, to read'
        yield from expect(container, 'image of what joins them', body.get('image'),
                          registry.spec['template']['spec']['containers'][0]['image'])


@check
def dockerfiles(tree):
    """What a build is told to build is there, and takes the base image that it is given."""
    for name, path in BUILDS.items():
        if tree.find('Job', name, 'registry') and not (REPO / path).is_file():
            yield name, f'there is no {path}'
        elif 'ARG BASE' not in tree.files.get(path, 'ARG BASE'):
            yield path, 'does not take BASE'


@check
def images(tree):
    """Of others a version is named; `latest` is for what is built here, and a node asks for it at
    every start: what it has under that name may be an earlier build."""
    for container in tree.containers():
        image = container.body.get('image', '')
        if image.startswith(OURS):
            continue
        tag = image.rpartition('/')[2].partition(':')[2]
        if '@sha256:' not in image and not re.fullmatch(r'v?\d+(\.\d+)+', tag):
            yield container, f'image {image} names no version'
    for container in tree.containers():
        moves = container.body.get('image', '').endswith(':latest')
        yield from expect(container, 'imagePullPolicy', container.body.get('imagePullPolicy'),
                          'Always' if moves else 'IfNotPresent')
    agent = [container.body['image'] for container in tree.containers()
             if container.body['name'] == 'hermes']
    if agent != [OURS + 'hermes:latest'] and tree.find('Deployment', 'hermes', 'hermes'):
        yield 'k8s', f'the agent is {agent}'


@check
def registry_address(tree):
    """One name for pushing and pulling, and the nodes' address for it."""
    service = tree.find('Service', 'registry', 'registry')
    text = tree.files.get('registry/registries.yaml')
    if service is None or text is None:
        yield 'registry', 'there is no Service, or no registries.yaml'
        return
    port = service.spec['ports'][0]['port']
    host = f'{service.name}.{service.namespace}:{port}'
    if host + '/' != OURS:
        yield service, f'is {host}, images are {OURS}...'
    want = {host: {'endpoint': [f"http://{service.spec.get('clusterIP')}:{port}"]}}
    content = yaml.safe_load(text)
    yield from expect('registry/registries.yaml', 'mirrors', content.get('mirrors'), want)
    if set(content) != {'mirrors'}:
        yield 'registry/registries.yaml', f'has {sorted(content)}'


@check
def registry_config(tree):
    """Deletion is on, nothing is remembered that is deleted, and it listens where it is asked."""
    content = yaml.safe_load(tree.files['registry/config.yml'])
    storage = content.get('storage', {})
    deployment = tree.find('Deployment', 'registry', 'registry')
    container = deployment.spec['template']['spec']['containers'][0]
    where = 'registry/config.yml'
    yield from expect(where, 'storage.delete', storage.get('delete'), {'enabled': True})
    if 'cache' in storage:
        yield where, 'has a cache'
    yield from expect(where, 'http.addr', content['http'].get('addr'),
                      f":{container['ports'][0]['containerPort']}")
    mounts = {mount['name']: mount['mountPath'] for mount in container['volumeMounts']}
    yield from expect(where, 'rootdirectory', storage.get('filesystem', {}).get('rootdirectory'),
                      mounts.get('data'))
    yield from expect(where, 'its place', mounts.get('config'), '/etc/docker/registry')
    for entry in container.get('env', []):
        if not entry['name'].startswith('REGISTRY_AUTH'):
            yield where, f"{entry['name']} beats it"


@check
def collection(tree):
    """The collector works on the registry's volume as the registry's user, beside it, and keeps the
    cache longer than kaniko looks at it."""
    cron = tree.find('CronJob', 'registry-collect', 'registry')
    registry = tree.find('Deployment', 'registry', 'registry')
    job = cron.spec['jobTemplate']['spec']
    pod, other = job['template']['spec'], registry.spec['template']['spec']
    container, served = pod['containers'][0], other['containers'][0]
    yield from expect(cron, 'schedule', bool(re.fullmatch(r'\d+ \d+ \* \* \*',
                                                          cron.spec['schedule'])), True)
    yield from expect(cron, 'concurrencyPolicy', cron.spec.get('concurrencyPolicy'), 'Forbid')
    yield from expect(cron, 'restartPolicy', pod.get('restartPolicy'), 'Never')
    yield from expect(cron, 'securityContext', pod.get('securityContext'),
                      other.get('securityContext'))
    yield from expect(cron, 'image', container['image'], served['image'])
    same = {mount['name']: mount for mount in served['volumeMounts'] if mount['name'] != 'auth'}
    for mount in container['volumeMounts']:
        if mount['name'] != 'collect':
            yield from expect(cron, f"mount of {mount['name']}", mount, same.get(mount['name']))
    near = [term['labelSelector']['matchLabels'] for term in
            pod.get('affinity', {}).get('podAffinity', {}).get(
                'requiredDuringSchedulingIgnoredDuringExecution', [])]
    if not near or not all(selects(term, labels_of(registry.spec['template'])) for term in near):
        yield cron, 'is not where the registry is'
    yield from collect_settings(tree, cron, container)


def collect_settings(tree, cron, container):
    script = tree.files['registry/collect.sh']
    values = {entry['name']: entry['value'] for entry in container.get('env', [])}
    for name, value in values.items():
        default = re.search(rf'\$\{{{name}:-(\d+)\}}', script)
        if not default:
            yield cron, f'{name} is nothing that collect.sh knows'
        else:
            yield from expect(cron, name, value, default[1])
    command = container.get('command', [])
    mounted = {mount['name']: mount['mountPath'] for mount in container['volumeMounts']}
    yield from expect(cron, 'command', command,
                      ['/bin/sh', f"{mounted.get('collect')}/collect.sh"])
    hours = [int(match) for job in executors(tree)
             for match in re.findall(r'--cache-ttl=(\d+)h', ' '.join(job.body.get('args', [])))]
    if hours and int(values.get('KEEP_CACHE_DAYS', 0)) * 24 <= max(hours):
        yield cron, 'forgets what kaniko would still use'
