"""What our kustomization files make of our manifests, without kubectl, which Debian 12 lacks.

Only what they use is known; anything else is an error, so that nothing is rendered half. `make
test-cluster` applies the same folders with the real one.
"""

import copy
from dataclasses import dataclass, field

import yaml

KNOWN = {'apiVersion', 'kind', 'namespace', 'resources', 'configMapGenerator', 'labels', 'images',
         'patches'}
CLUSTER_WIDE = {'Namespace', 'StorageClass', 'PersistentVolume', 'ClusterRole',
                'ClusterRoleBinding'}


class KustomizeError(Exception):
    pass


@dataclass
class Thing:
    """An object as it would be applied, and the file that it is written in."""
    file: str
    body: dict

    @property
    def kind(self):
        return self.body.get('kind', '')

    @property
    def name(self):
        return self.body.get('metadata', {}).get('name', '')

    @property
    def namespace(self):
        return self.body.get('metadata', {}).get('namespace', '')

    @property
    def spec(self):
        return self.body.get('spec', {})

    def __str__(self):
        return f'{self.file}: {self.kind}/{self.name}'


@dataclass
class Container:
    """A container, and the pod that it is in."""
    thing: Thing
    pod: dict
    body: dict
    place: str                          # 'containers' or 'initContainers'

    @property
    def environment(self):
        return self.body.get('env', [])

    def __str__(self):
        return f'{self.thing} {self.place}.{self.body.get("name")}'


@dataclass
class Rendered:
    """All objects of some folders, and what else a check wants to know."""
    files: dict                         # path -> text, of everything that is ours here
    things: list = field(default_factory=list)

    def of_kind(self, *kinds):
        return [thing for thing in self.things if thing.kind in kinds]

    def find(self, kind, name, namespace):
        for thing in self.of_kind(kind):
            if (thing.name, thing.namespace) == (name, namespace):
                return thing
        return None

    def pods(self):
        """(thing, pod template) of everything that makes pods."""
        for thing in self.things:
            template = pod_template(thing)
            if template is not None:
                yield thing, template

    def containers(self):
        for thing, template in self.pods():
            pod = template.get('spec', {})
            for place in ('initContainers', 'containers'):
                for body in pod.get(place, []):
                    yield Container(thing, pod, body, place)


def pod_template(thing):
    if thing.kind in ('Deployment', 'StatefulSet', 'DaemonSet', 'Job'):
        return thing.spec.get('template', {})
    if thing.kind == 'CronJob':
        return thing.spec.get('jobTemplate', {}).get('spec', {}).get('template', {})
    return None


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def read(files, folder, name):
    path = f'{folder}/{name}'
    if path not in files:
        raise KustomizeError(f'{folder}/kustomization.yaml names {name}, which is not there')
    return path, files[path]


def kustomization(files, folder):
    path, text = read(files, folder, 'kustomization.yaml')
    content = documents(text)[0]
    unknown = set(content) - KNOWN
    if unknown:
        raise KustomizeError(f'{path}: these tests do not know {", ".join(sorted(unknown))}')
    return content


def render(files, folder, components=()):
    """The objects of a folder, with the components that an overlay would add."""
    content = kustomization(files, folder)
    things = []
    for name in content.get('resources', []):
        path, text = read(files, folder, name)
        things += [Thing(path, copy.deepcopy(body)) for body in documents(text)]
    things += [generated(files, folder, entry) for entry in content.get('configMapGenerator', [])]
    for thing in things:
        if thing.kind not in CLUSTER_WIDE and 'namespace' in content:
            thing.body.setdefault('metadata', {})['namespace'] = content['namespace']
        for entry in content.get('labels', []):
            add_labels(thing, entry)
    for component in components:
        patch(files, component, things)
    for entry in content.get('images', []):
        if not name_image(things, entry):
            raise KustomizeError(f"{folder}/kustomization.yaml: no container has the image "
                                 f"{entry['name']}")
    return things


def generated(files, folder, entry):
    data = {}
    for name in entry.get('files', []):
        data[name] = read(files, folder, name)[1]
    for literal in entry.get('literals', []):
        name, _, value = literal.partition('=')
        data[name] = value
    return Thing(f'{folder}/kustomization.yaml',
                 {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': entry['name']},
                  'data': data})


def add_labels(thing, entry):
    if set(entry) != {'pairs'}:
        raise KustomizeError(f'labels: these tests do not know {sorted(entry)}')
    thing.body.setdefault('metadata', {}).setdefault('labels', {}).update(entry['pairs'])


def name_image(things, entry):
    found = False
    for container in Rendered({}, things).containers():
        if container.body.get('image') == entry['name']:
            container.body['image'] = f"{entry['name']}:{entry['newTag']}"
            found = True
    return found


def patch(files, folder, things):
    for entry in kustomization(files, folder).get('patches', []):
        path, text = read(files, folder, entry['path'])
        for body in documents(text):
            match = [thing for thing in things if (thing.kind, thing.name) ==
                     (body['kind'], body['metadata']['name'])]
            if len(match) != 1:
                raise KustomizeError(f'{path}: there is no {body["kind"]} that it patches')
            match[0].body = merged(match[0].body, body)


def merged(old, new):
    """Kubernetes' strategic merge as far as it matters here: things with a name in a list are told
    apart by it."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old[key], value) if key in old else value
                          for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and all('name' in item for item in new):
        by_name = {item['name']: item for item in old}
        for item in new:
            by_name[item['name']] = merged(by_name.get(item['name'], {}), item)
        return list(by_name.values())
    return new
