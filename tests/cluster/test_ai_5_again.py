"""The days after: everything again, other secrets, another configuration, another version, none."""
import base64
import hashlib
import json
import re

import push
import pytest
from conftest import figure
from outside import ADMIN_KEY, OWNER, config, secrets
from pods import create, log, pod

AGAIN_SECONDS = 120


def test_the_image_of_kubernetes_mcp_server(mcp_built, store):
    assert {'v0.0.66', 'latest'} <= set(store.tags('kubernetes-mcp-server'))


def test_sources_twice_as_large_reach_the_build(clean_tree, build, node, mcp_built):
    """In the build that needs nothing of them, since what counts is their way: the ConfigMaps, the
    container that joins them, and the executor that unpacks what it gets."""
    before, size = clean_tree.double()
    assert size > 1.9 * before
    build('kubernetes-mcp', FORCE=1)
    parts = [node.get('configmap', f'kubernetes-mcp-build-part-{number}', 'registry')
             for number in (1, 2, 3, 4)]
    sent = b''.join(base64.b64decode(part.get('binaryData', {}).get('part', '')) for part in parts)
    settings = node.get('configmap', 'kubernetes-mcp-build', 'registry')['data']
    assert len(sent) == size
    assert hashlib.sha256(sent).hexdigest() == settings['CONTEXT_DIGEST']


def test_a_part_of_other_sources_is_refused(agent, laptop, node, mcp_built):
    """As if somebody else's build had come in between: the pod says so, and what to do."""
    name = 'kubernetes-mcp-build'
    job = node.get('job', name, 'registry')
    node.kubectl('delete', 'job', name, '-n', 'registry')
    other = base64.b64encode(b'of another tree').decode()
    node.kubectl('patch', 'configmap', f'{name}-part-1', '-n', 'registry', '--type', 'merge', '-p',
                 json.dumps({'binaryData': {'part': other}}))
    template = job['spec']['template']
    template['metadata'] = {'labels': {'app.kubernetes.io/name': name}}
    node.apply({'apiVersion': 'batch/v1', 'kind': 'Job',
                'metadata': {'name': name, 'namespace': 'registry',
                             'labels': {'app.kubernetes.io/name': name}},
                'spec': {'backoffLimit': 0, 'template': template}})
    laptop.status_tells('the sources did not arrive whole',
                        'make ai-kubernetes-mcp-build FORCE=1, which sends them again')
    laptop.make('ai-kubernetes-mcp-build', FORCE=1).ok()
    laptop.status_is_well()


def seen(node):
    """What a run that changes nothing leaves as it is."""
    listed = json.loads(node.kubectl('get', 'deployment,job,pod,pvc,secret,service', '-A', '-o',
                                     'json').stdout)['items']
    return {(thing['kind'], thing['metadata']['name'], thing['metadata']['uid'],
             thing['metadata'].get('generation'))
            for thing in listed if thing['metadata']['namespace'] in ('hermes', 'registry')}


def test_make_ai_again_changes_nothing(agent, laptop, mcp_built, node):
    before = seen(node)
    made = laptop.make('ai').ok().says('the registry runs', 'the registry has it already',
                                       'the agent runs', 'your bot listens')
    figure('make ai, when everything is there', f'{made.seconds:.0f} s')
    assert seen(node) == before
    assert made.seconds < AGAIN_SECONDS, made
    laptop.status_is_well()


def test_a_changed_secret_restarts_the_pod(agent, laptop):
    before = agent.uid
    laptop.write('secrets.env', secrets(HERMES_ADMIN_KEY=ADMIN_KEY[::-1]), 0o600)
    laptop.make('ai-hermes-deploy').ok()
    assert agent.uid != before
    assert agent.run('cat', '/run/secrets/hermes/HERMES_ADMIN_KEY') == ADMIN_KEY[::-1]
    laptop.status_is_well()


def test_a_changed_configuration_restarts_the_pod(agent, laptop, telegram, upstream):
    before = agent.uid
    text = config(telegram, upstream).replace('level: info', 'level: debug')
    laptop.write('config.yaml', text)
    laptop.make('ai-hermes-deploy').ok()
    assert agent.uid != before
    assert agent.run('cat', '/etc/hermes/config.yaml') == text
    assert agent.ask('under other rules') == 'done with under other rules'


def test_another_version_and_back(agent, laptop, built, rebuilt, store):
    for tag in (built.tag, rebuilt.tag):
        laptop.make('ai-hermes-deploy', TAG=tag).ok().says(f'hermes:{tag}@sha256:')
        container = agent.wait_ready()['spec']['containers'][0]
        assert container['image'] == \
            f'registry.registry:5000/hermes:{tag}@{store.digest("hermes", tag)}'
        assert container['imagePullPolicy'] == 'IfNotPresent'
        assert agent.ask(f'version {tag}') == f'done with version {tag}'
    laptop.status_is_well()


def test_everything_is_taken_by_a_dry_run(agent, laptop, node, mcp_built):
    """What the targets put together, asked of the API server, with its defaults and admission."""
    for name in ('registry', 'hermes'):
        rendered = node.kubectl('kustomize', laptop.tree / 'build/ai' / name).stdout
        done = node.kubectl('apply', '--server-side', '--dry-run=server', '--force-conflicts',
                            '-f', '-', input=rendered)
        assert 'Warning' not in done.stderr, done.stderr
    for name in ('hermes-build', 'kubernetes-mcp-build'):
        rendered = node.kubectl('kustomize', laptop.tree / 'build/ai' / name).stdout
        renamed = re.sub(rf'(?m)^  name: {name}(-part-\d)?$', rf'  name: {name}\1-dry', rendered)
        done = node.kubectl('create', '--dry-run=server', '-f', '-', input=renamed)
        assert 'Warning' not in done.stderr, done.stderr


PASSWORD = 'a-password-for-a-test'
HASHED = '$2b$04$f6IKkkhhR4oXvZgyIwWa0eiP2Rju53a/O13tbhdmEbHTN8gWTmN2G'


@pytest.fixture
def password(laptop):
    """The registry wants one, and its files lie where docs/kubernetes.md says; none, afterwards."""
    credentials = base64.b64encode(f'hermes:{PASSWORD}'.encode()).decode()
    files = {'htpasswd': f'hermes:{HASHED}\n', 'docker-config.json': json.dumps(
        {'auths': {'registry.registry:5000': {'auth': credentials}}})}
    for name, text in files.items():
        (laptop.tree / 'registry' / name).write_text(text)
    yield 'hermes', PASSWORD
    for name in files:
        (laptop.tree / 'registry' / name).unlink()
    laptop.make('ai-registry').ok()


def refusal(registry):
    """The words of a registry that does not list its tags; None while nothing answers there: a node
    forwards to a new pod a moment after its Deployment is ready."""
    try:
        return f'listed {registry.tags("hermes")}'
    except push.PushError as error:
        return None if 'refused' in str(error) else str(error)


def test_other_machines_push_with_a_password_while_that_is_wanted(laptop, agent, node, password):
    outside = f'http://{node.place.address}:30500'
    made = laptop.make('ai-registry', NODE_PORT='1').ok()
    made.says('port 30500 of every node').says_not(password[1])
    refused = node.wait(lambda: refusal(push.Registry(outside)), 30, 'the port did not answer')
    assert ': 401 ' in refused
    assert laptop.tag in push.Registry(outside, password).tags('hermes')
    laptop.make('ai-registry').ok()
    with pytest.raises(push.PushError, match='refused|timed out|unreachable'):
        push.Registry(outside, password).tags('hermes')
    kinds = node.kubectl('get', 'networkpolicy', '-n', 'registry', '-o', 'name').stdout.split()
    assert kinds == ['networkpolicy.networking.k8s.io/registry']
    refused = node.wait(lambda: refusal(node.registry()), 30, 'the registry did not answer')
    assert ': 401 ' in refused
    # The image is still known to be there, although this machine does not tell the password.
    laptop.make('ai-hermes-build').ok().says('the registry has it already')


ASK = (r"printf 'GET /v1/models HTTP/1.1\r\nHost: router\r\nConnection: close\r\n{}\r\n' | "
       'nc -w 20 {} 4000')


def test_other_pods_use_the_router_with_its_key_while_that_is_wanted(
        laptop, agent, node, namespace, probe_image):
    key, place = 'sk-for-the-router-of-a-test', namespace('restricted')
    laptop.make('ai-hermes-deploy', ROUTER='1').fails('there is no key for it')
    laptop.write('secrets.env', secrets(LITELLM_MASTER_KEY=key), 0o600)
    laptop.make('ai-hermes-deploy', ROUTER='1').ok().says('http://hermes-router.hermes:4000/v1')
    address = node.get('service', 'hermes-router', 'hermes')['spec']['clusterIP']
    commands = {'client': ASK.format(rf'Authorization: Bearer {key}\r\n', address),
                'stranger': ASK.format('', address)}
    for name, command in commands.items():
        client = pod(name, probe_image, command)
        client['metadata']['labels'] = {'hermes/router-client': 'true'}
        create(node, place, client)
        node.wait_for_pod(name, place)
    client, stranger = (log(node, place, name) for name in commands)
    assert client.startswith('HTTP/1.1 200 ') and '"free"' in client, client
    assert stranger.startswith('HTTP/1.1 401 '), stranger
    laptop.write('secrets.env', secrets(), 0o600)
    laptop.make('ai-hermes-deploy').ok()
    assert node.get('service', 'hermes-router', 'hermes') is None
    for name in ('hermes-router', 'hermes-router-clients'):
        assert node.get('networkpolicy', name, 'hermes') is None
    laptop.status_is_well()


def test_undeployed_it_leaves_what_it_remembers(agent, laptop, node):
    assert agent.ask('the boiler code is 4711') == 'done with the boiler code is 4711'
    claim = node.get('pvc', 'hermes-data', 'hermes')['metadata']['uid']
    laptop.make('ai-undeploy').fails('there is no terminal to ask on', 'YES=1')
    assert agent.pods()
    laptop.make('ai-undeploy', YES=1).ok().says('the agent is gone', 'the volume hermes-data')
    listed = json.loads(node.kubectl('get', 'all,configmap,secret,networkpolicy', '-n', 'hermes',
                                     '-o', 'json').stdout)['items']
    assert [thing['metadata']['name'] for thing in listed] == ['kube-root-ca.crt']
    assert node.get('pvc', 'hermes-data', 'hermes')['metadata']['uid'] == claim
    laptop.status_tells('the agent is not deployed', 'make ai-hermes-deploy')
    laptop.make('ai-undeploy', YES=1).ok()
    laptop.make('ai-hermes-deploy').ok()
    assert 'the boiler code is 4711' in agent.ask('recount what was said')
    laptop.status_is_well()


def test_what_was_asked_meanwhile_is_answered(agent, laptop, telegram):
    """A bot that is away for an upgrade has a backlog."""
    before = len(telegram.messages(OWNER))
    laptop.make('ai-undeploy', YES=1).ok()
    for number in range(3):
        telegram.user_says(OWNER, f'while it was away {number}')
    laptop.make('ai-hermes-deploy').ok()
    telegram.wait_messages(OWNER, before + 3, 60)
    telegram.wait_quiet(2)
    assert telegram.texts(OWNER)[before:] == [f'done with while it was away {number}'
                                              for number in range(3)]
