"""Makes volumes on a test node as K3s' local-path provisioner does.

    provisioner.py KUBECONFIG

For a claim of the class `local-path` that the scheduler has given a node: a folder that anybody may
write to, owned by root (there is no fsGroup for a host path), of whatever size the disk has, bound
to this node; when the claim goes, so does the folder. The real one does the same with a pod of its
own for each folder, from an image that a test machine does not have.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import layout

NAME = 'rancher.io/local-path'
CLASS = 'local-path'
SELECTED = 'volume.kubernetes.io/selected-node'
RETRY_SECONDS = 1
KUBECTL = f'{layout.HOME}/kubernetes/kubectl'


class Cluster:
    def __init__(self, kubeconfig):
        self._command = [KUBECTL, f'--kubeconfig={kubeconfig}']

    def run(self, *arguments, **options):
        return subprocess.run([*self._command, *arguments], check=False, **options)

    def watch(self, kind):
        """Every object there is, then every change of one, until the connection ends."""
        with subprocess.Popen([*self._command, 'get', kind, '-A', '-o', 'json', '--watch',
                               '--output-watch-events'], stdout=subprocess.PIPE,
                              text=True) as process:
            yield from map(json.loads, process.stdout)      # one document a line


def volume_of(claim):
    meta = claim['metadata']
    return f'pvc-{meta["uid"]}', f'pvc-{meta["uid"]}_{meta["namespace"]}_{meta["name"]}'


def wanted(claim):
    annotations = claim['metadata'].get('annotations', {})
    return (claim['spec'].get('storageClassName') == CLASS and SELECTED in annotations
            and not claim['spec'].get('volumeName')
            and 'deletionTimestamp' not in claim['metadata'])


def manifest(claim):
    name, folder = volume_of(claim)
    meta, spec = claim['metadata'], claim['spec']
    return {
        'apiVersion': 'v1', 'kind': 'PersistentVolume',
        'metadata': {'name': name, 'annotations': {'pv.kubernetes.io/provisioned-by': NAME}},
        'spec': {
            'capacity': {'storage': spec['resources']['requests']['storage']},
            'accessModes': spec['accessModes'],
            'persistentVolumeReclaimPolicy': 'Delete',
            'storageClassName': CLASS,
            'claimRef': {'apiVersion': 'v1', 'kind': 'PersistentVolumeClaim', 'uid': meta['uid'],
                         'namespace': meta['namespace'], 'name': meta['name']},
            'hostPath': {'path': f'{layout.STORAGE}/{folder}', 'type': 'DirectoryOrCreate'},
            'nodeAffinity': {'required': {'nodeSelectorTerms': [{'matchExpressions': [{
                'key': 'kubernetes.io/hostname', 'operator': 'In',
                'values': [meta['annotations'][SELECTED]]}]}]}},
        },
    }


def provide(cluster, claim):
    folder = pathlib.Path(layout.STORAGE) / volume_of(claim)[1]
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    # `create`, so that a claim which is seen twice gets no second volume.
    done = cluster.run('create', '-f', '-', input=json.dumps(manifest(claim)), text=True)
    print(f'{folder}: {"created" if done.returncode == 0 else "not created"}', flush=True)


def remove(cluster, volume):
    """A volume whose claim is gone; one that was not made here is somebody else's."""
    path = volume['spec'].get('hostPath', {}).get('path', '')
    ours = volume['metadata'].get('annotations', {}).get('pv.kubernetes.io/provisioned-by') == NAME
    if not ours or volume.get('status', {}).get('phase') not in ('Released', 'Failed'):
        return
    if os.path.dirname(path) == layout.STORAGE:
        shutil.rmtree(path, ignore_errors=True)
    cluster.run('delete', 'pv', volume['metadata']['name'], '--wait=false')
    print(f'{path}: removed', flush=True)


def follow(cluster, kind):
    for event in cluster.watch(kind):
        if event.get('type') == 'DELETED':
            continue
        thing = event['object']
        if kind == 'pv':
            remove(cluster, thing)
        elif wanted(thing):
            provide(cluster, thing)


def main():
    cluster = Cluster(sys.argv[1])
    # Two kinds, two followers; each comes back when its watch ends.
    kind = 'pv' if os.fork() else 'pvc'
    while True:
        follow(cluster, kind)
        time.sleep(RETRY_SECONDS)


if __name__ == '__main__':
    main()
