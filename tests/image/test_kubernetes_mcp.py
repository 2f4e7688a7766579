"""kubernetes-mcp-server: the program that was asked for, alone, and it speaks."""
import http.client
import json
import subprocess
import time

import pytest
from builder import HOST_ARCH, LOGS
from pod import Pod
from ports import free_port

START_SECONDS = 30
DOCKERFILE = 'kaniko/Dockerfile.kubernetes-mcp'
KUBECONFIG = '''\
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
users: [{name: nobody, user: {token: none}}]
'''
HELLO = {'jsonrpc': '2.0', 'id': 1, 'method': 'initialize', 'params': {
    'protocolVersion': '2025-06-18', 'capabilities': {},
    'clientInfo': {'name': 'hermes-test', 'version': '0'}}}


@pytest.fixture(scope='module')
def image(builds, tree, registry, podman):
    """npm is asked over TLS, so what this machine trusts besides Debian's roots comes along."""
    base = builds.base(HOST_ARCH, '--trusting-this-machine')
    builds.build(HOST_ARCH, 'kubernetes-mcp-fetch', tree, DOCKERFILE, 'fetch', base)
    tag = builds.build(HOST_ARCH, 'kubernetes-mcp', tree, DOCKERFILE, base=base)
    reference = f'{registry.host}/kubernetes-mcp-server:test'
    builds.push(tag, reference)
    return podman.pull(reference, HOST_ARCH)


def ask(port, question):
    conn = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    conn.request('POST', '/mcp', json.dumps(question), {
        'Content-Type': 'application/json', 'Accept': 'application/json, text/event-stream'})
    answer = conn.getresponse()
    text = answer.read().decode()
    conn.close()
    data = [line[6:] for line in text.splitlines() if line.startswith('data: ')]
    return answer.status, json.loads(data[0] if data else text)


def test_answers_as_a_sidecar_would(image, podman, workspace):
    """Unprivileged, read-only, and without a cluster that answers."""
    pod = Pod(podman, image, workspace / 'pods')
    config = pod.folder / 'kubeconfig'
    config.write_text(KUBECONFIG)
    port = free_port()
    words = pod.words('--port', str(port), '--kubeconfig', '/kubeconfig', options=[
        '--user', '10001:10001', '--volume', f'{config}:/kubeconfig:ro'])
    with pod:
        pod.process = subprocess.Popen(podman.command(*words), env=podman.environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                status, answer = ask(port, HELLO)
                break
            except OSError:
                assert pod.process.poll() is None and time.monotonic() < until, \
                    f'it does not answer: {pod.process.stdout.read()}'
                time.sleep(0.2)
    assert status == 200 and answer['result']['serverInfo']['name'] == 'kubernetes-mcp-server'


def test_a_version_without_a_hash_is_refused(builds, tree):
    """What npm sends is not taken on trust, so a version that nobody has looked at is not built."""
    text = (tree / DOCKERFILE).read_text()
    wrong = tree / f'{DOCKERFILE}.unknown'
    wrong.write_text(text.replace('ARG VERSION=0.0.', 'ARG VERSION=9.9.'))
    with pytest.raises(AssertionError, match='no hash of kubernetes-mcp-server 9.9'):
        builds.build(HOST_ARCH, 'kubernetes-mcp-unknown', tree, wrong.relative_to(tree))
    assert 'no hash' in (LOGS / f'image-kubernetes-mcp-unknown-{HOST_ARCH}.log').read_text()
