"""The lines that a real kubectl makes of a pod by scripts/ai/objects.tmpl, as the fake ones are."""

import json

import pytest
from cluster import ROOT, TIME, container, pod, real_kubectl

NAME = 'hermes-build-x'
WAITING = {'waiting': {'reason': 'PodInitializing'}}


def ended(code, reason, **more):
    return {'terminated': {'exitCode': code, 'reason': reason, 'finishedAt': TIME, **more}}


def lines(tmp_path, init, main):
    """Those that the template makes of a pod with these states of its two containers."""
    def status(name, state):
        return {'name': name, 'image': 'x', 'imageID': 'y', 'ready': False, 'restartCount': 0,
                'state': state}

    (tmp_path / 'pod.json').write_text(json.dumps({
        'apiVersion': 'v1', 'kind': 'Pod',
        'metadata': {'name': NAME, 'creationTimestamp': TIME},
        'spec': {'nodeName': 'pi1', 'containers': [{'name': 'kaniko', 'image': 'x'}]},
        'status': {'phase': 'Pending', 'initContainerStatuses': [status('join', init)] * bool(init),
                   'containerStatuses': [status('kaniko', main)]}}))
    text = (ROOT / 'scripts/ai/objects.tmpl').read_text()
    definitions, _, _ = text.partition('{{- range .items -}}')
    (tmp_path / 'pod.tmpl').write_text(definitions + '{{template "pod" .}}')
    return real_kubectl('annotate', '--local', '-f', tmp_path / 'pod.json', 'a=b', '-o',
                        f'go-template-file={tmp_path}/pod.tmpl').lstrip()


@pytest.mark.parametrize('init', [None, ended(0, 'Completed')])
def test_a_pod_whose_init_container_is_done_is_its_container(tmp_path, init):
    main = ended(137, 'OOMKilled', message='one | two\n')
    row = container(NAME, 'terminated', 'OOMKilled', '137', message='one | two\n',
                    container_name='kaniko')
    assert lines(tmp_path, init, main) == pod(NAME, 'Pending', hash_='', scheduled='') + row


def test_an_init_container_that_failed_stands_before_those_that_wait(tmp_path):
    found = lines(tmp_path, ended(1, 'Error'), WAITING).splitlines(keepends=True)
    assert found[1] == container(NAME, 'terminated', 'Error', '1', container_name='join')
    assert found[2].startswith(f'container|{NAME}|kaniko|||waiting|PodInitializing|')
