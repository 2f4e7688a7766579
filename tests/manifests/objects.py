"""Kubernetes' objects as the checks see them."""

import re
from dataclasses import dataclass, field


@dataclass
class Thing:
    """An object as it would be applied, and the folder that it comes from."""
    folder: str
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
        return f'{self.folder}: {self.kind}/{self.name}'


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

    def generated(self, name, namespace):
        """The ConfigMap of a generator, whose name ends in a hash of its content."""
        for thing in self.of_kind('ConfigMap'):
            if thing.namespace == namespace and re.fullmatch(f'{name}-[a-z0-9]{{10}}', thing.name):
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
