"""Pods of a test's own, under the restrictions that the product's have."""
import json

USER = 10000


def pod(name, image, command, claim=None, memory='128Mi', cpu='10m'):
    mounts, volumes = [], []
    if claim:
        mounts = [{'name': 'data', 'mountPath': '/opt/data'}]
        volumes = [{'name': 'data', 'persistentVolumeClaim': {'claimName': claim}}]
    return {
        'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name},
        'spec': {
            'restartPolicy': 'Never', 'automountServiceAccountToken': False,
            'terminationGracePeriodSeconds': 1,
            'securityContext': {'runAsUser': USER, 'runAsGroup': USER, 'fsGroup': USER,
                                'runAsNonRoot': True,
                                'seccompProfile': {'type': 'RuntimeDefault'}},
            'containers': [{
                'name': 'probe', 'image': image, 'command': ['sh', '-c', command],
                'securityContext': {'readOnlyRootFilesystem': True,
                                    'allowPrivilegeEscalation': False,
                                    'capabilities': {'drop': ['ALL']}},
                'resources': {'requests': {'memory': memory, 'cpu': cpu},
                              'limits': {'memory': memory}},
                'volumeMounts': mounts}],
            'volumes': volumes}}


def create(node, place, *objects):
    for thing in objects:
        node.kubectl('create', '-n', place, '-f', '-', input=json.dumps(thing))


def log(node, place, name):
    return node.kubectl('logs', '-n', place, name).stdout
