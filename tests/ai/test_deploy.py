"""make ai-hermes-deploy: secrets that never show, and failures that are told early."""

import re

import pytest
from cluster import (WELL, container, deployment, event, healthy, pod, problem)

POD = 'hermes-6b5-x'
SECRET = '4711:real-SECRET_value'
DOWN = deployment('hermes', ready=False)


def well(tree):
    tree.secrets()
    tree.kubectl.on('get secret hermes-secrets .*resourceVersion', '815')
    tree.kubectl.sees('hermes', healthy('hermes'))
    tree.kubectl.on('exec', WELL)
    tree.kubectl.on('get networkpolicy hermes-kubernetes-mcp', '')


def deploy(tree, **environment):
    return tree.run('deploy', **{'TAG': 'v1', **environment})


def test_a_bot_that_listens(tree):
    well(tree)
    done = deploy(tree)
    assert done.status == 0, done.text
    assert 'your bot listens as @hermes_fake_bot' in done.out
    overlay = tree.kubectl.overlay('hermes')
    assert "namespace: hermes" in overlay
    annotations = tree.rendered('hermes')['Deployment', 'hermes']['spec']['template']['metadata'][
        'annotations']
    assert annotations == {'hermes/secrets-version': '815',
                           'kubectl.kubernetes.io/default-container': 'hermes'}
    assert "- 'hermes_model=free'" in overlay
    assert tree.kubectl.calls('^exec')[0]['words'][:6] == [
        'exec', '-n', 'hermes', POD, '-c', 'hermes']


def containers(tree):
    """The agent and its hands, as they are deployed."""
    found = tree.rendered('hermes')['Deployment', 'hermes']['spec']['template']['spec'][
        'containers']
    assert [container['name'] for container in found] == ['hermes', 'hands']
    return found


def test_no_secret_in_an_argument_or_a_word(tree):
    well(tree)
    tree.kubectl.on('create secret', 'data:\n  TELEGRAM_BOT_TOKEN: NDcxMQ==\n')
    done = deploy(tree)
    assert done.status == 0, done.text
    made = ' '.join(tree.kubectl.calls('^create secret')[0]['words'])
    assert '--from-env-file=k8s/secrets.env' in made and '--dry-run=client' in made
    applied = tree.kubectl.calls('apply --server-side')[0]
    assert applied['stdin'] == 'data:\n  TELEGRAM_BOT_TOKEN: NDcxMQ==\n'
    everything = done.text + ''.join(str((call['words'], call['environment']))
                                     for call in tree.kubectl.calls())
    assert SECRET not in everything and 'sk-q' not in everything
    written = [path for path in (tree.root / 'build').rglob('*') if path.is_file()]
    assert written and not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_settings(tree):
    well(tree)
    tree.write('mine.yaml', 'model: strong\n')
    done = deploy(tree, NAMESPACE='cellar', CONFIG='mine.yaml', HERMES_MODEL='cheap',
                  REGISTRY='ghcr.io/me')
    assert done.status == 0, done.text
    overlay = tree.kubectl.overlay('hermes')
    assert 'namespace: cellar' in overlay and "'hermes_model=cheap'" in overlay
    assert "newName: 'ghcr.io/me/hermes'" in overlay
    assert (tree.root / 'build/ai/hermes/config.yaml').read_text() == 'model: strong\n'
    assert tree.kubectl.calls('^create namespace cellar')


# ---- which image

BUILT = 'get configmap hermes-build .*hermes/built-image'


def test_it_is_deployed_by_the_digest_that_was_built(tree):
    """So that neither who pushes under this tag, nor what a node has, can be in its place."""
    well(tree)
    digest = 'sha256:' + 'd' * 64
    tree.kubectl.on('get configmap hermes-images .*"v1"', f'registry.registry:5000/hermes@{digest}')
    done = deploy(tree)
    for container in containers(tree):
        assert container['image'] == f'registry.registry:5000/hermes:v1@{digest}'
        assert container['imagePullPolicy'] == 'IfNotPresent'
    assert f'registry.registry:5000/hermes:v1@{digest}' in done.out, done.text


def test_an_image_of_ones_own_is_deployed_by_its_digest(tree):
    """Pushed from another machine, so no build has recorded it."""
    well(tree)
    digest = 'sha256:' + 'e' * 64
    done = deploy(tree, TAG=f'mine@{digest}')
    assert done.status == 0, done.text
    for container in containers(tree):
        assert container['image'] == f'registry.registry:5000/hermes:mine@{digest}'
        assert container['imagePullPolicy'] == 'IfNotPresent'
    assert 'no build recorded' not in done.err


@pytest.mark.parametrize('tag', ['mine@latest', 'mine@sha256:' + 'e' * 63, '@sha256:' + 'e' * 64,
                                 'mi:ne', 'mine"}}'])
def test_a_tag_that_is_none(tree, tag):
    tree.secrets()
    done = deploy(tree, TAG=tag)
    assert done.status == 1 and f'TAG={tag} ' in done.err, done.text
    assert not tree.kubectl.calls('^(get configmap|apply|create)')


@pytest.mark.parametrize('recorded', ['', 'ghcr.io/me/hermes@sha256:' + 'd' * 64])
def test_without_its_digest_the_tag_is_asked_for_at_every_start(tree, recorded):
    well(tree)
    tree.kubectl.on('get configmap hermes-images ', recorded)
    done = deploy(tree)
    assert done.status == 0, done.text
    for container in containers(tree):
        assert container['image'] == 'registry.registry:5000/hermes:v1'
        assert container['imagePullPolicy'] == 'Always'
    assert 'make ai-hermes-build' in done.out and 'no build recorded which content' in done.err


@pytest.mark.parametrize('asked', ['images', 'build'])
def test_a_cluster_that_does_not_tell_what_was_built_is_not_taken_for_one_without_builds(tree,
                                                                                        asked):
    well(tree)
    tree.kubectl.on(f'get configmap hermes-{asked} ', code=1, err='etcdserver: request timed out\n')
    done = deploy(tree, TAG='' if asked == 'build' else 'v1')
    assert done.status == 1
    assert 'does not tell what was built: etcdserver: request timed out' in done.err
    assert 'no build recorded' not in done.err and not tree.kubectl.calls('^(apply|create)')


def test_what_was_built_last_is_deployed_when_the_tree_moved_on(tree):
    well(tree)
    tree.kubectl.on(BUILT, 'registry.registry:5000/hermes:1234567')
    done = deploy(tree, TAG='')
    assert done.status == 0 and "newTag: '1234567'" in tree.kubectl.overlay('hermes')
    assert 'the last build was of 1234567, which is deployed' in done.out


def test_the_tree_is_deployed_when_it_was_built(tree):
    head = tree.commit()
    well(tree)
    tree.kubectl.on(BUILT, f'registry.registry:5000/hermes:{head}')
    done = deploy(tree, TAG='')
    assert f"newTag: '{head}'" in tree.kubectl.overlay('hermes') and 'last build' not in done.out


def test_a_build_for_another_registry_does_not_count(tree):
    head = tree.commit()
    well(tree)
    tree.kubectl.on(BUILT, 'elsewhere/hermes:1234567')
    deploy(tree, TAG='')
    assert f"newTag: '{head}'" in tree.kubectl.overlay('hermes')


# ---- the router and the agent's API, for other pods

KEY = 'LITELLM_MASTER_KEY=sk-1\n'
API_KEY = 'API_SERVER_KEY=12345678\n'
ROUTERS = {'service/hermes-router', 'networkpolicy/hermes-router',
           'networkpolicy/hermes-router-clients'}
APIS = {word.replace('-router', '-api') for word in ROUTERS}


def test_the_router_is_opened_when_asked_for_and_with_a_key(tree):
    well(tree)
    tree.secrets(KEY)
    done = deploy(tree, ROUTER='1', AGENT_API='', NAMESPACE='cellar')
    assert done.status == 0, done.text
    things = tree.rendered('hermes')
    for kind, name in (('Service', 'hermes-router'), ('NetworkPolicy', 'hermes-router'),
                       ('NetworkPolicy', 'hermes-router-clients')):
        found = things[kind, name]['metadata']
        assert found['namespace'] == 'cellar'
        assert found['labels']['app.kubernetes.io/part-of'] == 'hermes', 'undeploy goes by it'
    agent = things['Deployment', 'hermes']['spec']['template']['spec']['containers'][0]
    assert {'name': 'HERMES_ROUTER_HOST', 'value': '0.0.0.0'} in agent['env']
    assert 'http://hermes-router.cellar:4000/v1' in done.out and 'hermes-api' not in done.out
    gone, = tree.kubectl.calls('^delete')
    assert APIS <= set(gone['words']) and not ROUTERS & set(gone['words'])


def test_the_api_is_opened_when_asked_for_and_with_a_key(tree):
    well(tree)
    tree.secrets(KEY + API_KEY)
    done = deploy(tree, ROUTER='1', AGENT_API='1', NAMESPACE='cellar')
    assert done.status == 0, done.text
    things = tree.rendered('hermes')
    for kind, name in (('Service', 'hermes-api'), ('NetworkPolicy', 'hermes-api'),
                       ('NetworkPolicy', 'hermes-api-clients'), ('Service', 'hermes-router')):
        found = things[kind, name]['metadata']
        assert found['namespace'] == 'cellar'
        assert found['labels']['app.kubernetes.io/part-of'] == 'hermes', 'undeploy goes by it'
    agent = things['Deployment', 'hermes']['spec']['template']['spec']['containers'][0]
    for name in ('API_SERVER_HOST', 'HERMES_ROUTER_HOST'):
        assert {'name': name, 'value': '0.0.0.0'} in agent['env']
    assert sorted(port['containerPort'] for port in agent['ports']) == [4000, 8642, 9119]
    assert 'http://hermes-api.cellar:8642/v1' in done.out and '12345678' not in done.text
    assert not tree.kubectl.calls('^delete')


def test_without_being_asked_for_it_is_closed_again(tree):
    well(tree)
    tree.secrets(KEY)
    assert deploy(tree).status == 0
    services = {name for kind, name in tree.rendered('hermes') if kind == 'Service'}
    assert services == {'hermes'}
    gone, = tree.kubectl.calls('^delete')
    assert ROUTERS | APIS <= set(gone['words'])
    assert '--ignore-not-found' in gone['words']


@pytest.mark.parametrize('settings', [
    'general_settings:\n  master_key: sk-1  # mine\n', 'general_settings: {master_key: sk-1}\n',
    'general_settings: {a: b, "master_key": "os.environ/OTHER_KEY", c: d}\n',
    'general_settings:\n  master_key: os.environ/OTHER_KEY\n'])
def test_a_key_in_the_configuration_opens_it_too(tree, settings):
    well(tree)
    tree.secrets('OTHER_KEY=sk-1\n')
    tree.write('mine.yaml', settings)
    done = deploy(tree, ROUTER='1', CONFIG='mine.yaml')
    assert done.status == 0, done.text
    assert 'sk-1' not in done.text


@pytest.mark.parametrize('value, wanted', [
    ('""', 'LITELLM_MASTER_KEY'), ("''", 'LITELLM_MASTER_KEY'), ('null', 'LITELLM_MASTER_KEY'),
    ('~', 'LITELLM_MASTER_KEY'), ('# sk-1', 'LITELLM_MASTER_KEY'),
    ('os.environ/OTHER_KEY', 'OTHER_KEY')])
@pytest.mark.parametrize('form', ['general_settings:\n  master_key: %s\n',
                                  'general_settings: {master_key: %s}\n', '#   master_key: %s\n',
                                  'x: y # master_key: %s\n'])
def test_a_key_that_is_none_does_not_open_it(tree, form, value, wanted):
    tree.secrets()
    tree.write('mine.yaml', form % value)
    done = tree.run('deploy', '--check', ROUTER='1', CONFIG='mine.yaml')
    assert done.status == 1 and 'there is no key for it' in done.err, done.text
    assert f'Put {wanted if "#" not in form else "LITELLM_MASTER_KEY"} into' in done.err


@pytest.mark.parametrize('secrets', ['', 'API_SERVER_KEY=\n', 'API_SERVER_KEY=1234567\n'])
@pytest.mark.parametrize('name', ['ROUTER', 'AGENT_API'])
@pytest.mark.parametrize('value, why', [('1', 'there is no key'), ('yes', '=yes means nothing')])
def test_without_a_key_it_is_not_opened(tree, secrets, name, value, why):
    tree.secrets('OPENROUTER_API_KEY=sk-q\n' + secrets)
    done = deploy(tree, **{name: value})
    assert done.status == 1 and why in done.err and not tree.kubectl.calls()


# ---- the view of the cluster

MCP_DIGEST = 'sha256:' + 'c' * 64
MCP_BUILT = f'registry.registry:5000/kubernetes-mcp-server@{MCP_DIGEST}'
GRANTED = [('ClusterRole', 'cellar-kubernetes-mcp'),
           ('ClusterRoleBinding', 'cellar-kubernetes-mcp'),
           ('NetworkPolicy', 'hermes-kubernetes-mcp'), ('ServiceAccount', 'kubernetes-mcp')]


def test_the_agent_sees_the_cluster_once_the_image_for_it_is_built(tree):
    well(tree)
    tree.kubectl.on('get configmap kubernetes-mcp-images ', MCP_BUILT)
    done = deploy(tree, NAMESPACE='cellar')
    assert done.status == 0, done.text
    things = tree.rendered('hermes')
    assert set(GRANTED) <= set(things)
    binding = things['ClusterRoleBinding', 'cellar-kubernetes-mcp']
    assert binding['roleRef']['name'] == 'cellar-kubernetes-mcp'
    assert binding['subjects'] == [{'kind': 'ServiceAccount', 'name': 'kubernetes-mcp',
                                    'namespace': 'cellar'}]
    pod_ = things['Deployment', 'hermes']['spec']['template']['spec']
    own, = [each for each in pod_['containers'] if each['name'] == 'kubernetes-mcp']
    assert re.fullmatch(r'registry\.registry:5000/kubernetes-mcp-server:v[\d.]+@' + MCP_DIGEST,
                        own['image'])
    assert own['imagePullPolicy'] == 'IfNotPresent'
    assert pod_['serviceAccountName'] == 'kubernetes-mcp'
    assert f'@{MCP_DIGEST}, through which the agent sees the cluster' in done.out
    assert 'delete clusterrole' not in str(tree.kubectl.calls())
    assert tree.kubectl.calls('^auth can-i create clusterroles')


@pytest.mark.parametrize('settings, built, why', [
    ({'KUBERNETES_MCP': '0'}, MCP_BUILT, ''),
    ({'CONFIG': 'mine.yaml'}, MCP_BUILT, 'mine.yaml has no mcp_servers.kubernetes'),
    ({}, '', 'make ai-kubernetes-mcp-build'),
    ({}, MCP_BUILT.replace('registry.registry:5000', 'ghcr.io/me'), 'was not built here')])
def test_else_it_does_not_and_is_told_why(tree, settings, built, why):
    well(tree)
    tree.write('mine.yaml', 'model: strong\n# no HERMES_KUBERNETES_MCP\n')
    tree.kubectl.on('get configmap kubernetes-mcp-images ', built)
    done = deploy(tree, NAMESPACE='cellar', **settings)
    assert done.status == 0 and why in done.out, done.text
    assert not set(GRANTED) & set(tree.rendered('hermes'))
    assert len(containers(tree)) == 2


def test_what_was_granted_goes_when_it_is_not_deployed(tree):
    well(tree)
    tree.kubectl.on('get networkpolicy hermes-kubernetes-mcp',
                    'networkpolicy.networking.k8s.io/hermes-kubernetes-mcp\n')
    assert deploy(tree, NAMESPACE='cellar', KUBERNETES_MCP='0').status == 0
    gone = {word for each in tree.kubectl.calls('^delete') for word in each['words']}
    assert {'clusterrole/cellar-kubernetes-mcp', 'clusterrolebinding/cellar-kubernetes-mcp',
            'serviceaccount/kubernetes-mcp', 'networkpolicy/hermes-kubernetes-mcp'} <= gone


def test_what_cannot_be_removed_is_told(tree):
    well(tree)
    tree.kubectl.on('get networkpolicy hermes-kubernetes-mcp', 'networkpolicy/x\n')
    tree.kubectl.on('delete clusterrolebinding', code=1, err='Error: is forbidden\n')
    done = deploy(tree, KUBERNETES_MCP='0')
    assert done.status == 0
    assert 'to see the cluster could not be removed: Error: is forbidden' in done.err, done.text


def test_a_cluster_that_does_not_tell_of_its_image_is_not_taken_for_one_without(tree):
    well(tree)
    tree.kubectl.on('get configmap kubernetes-mcp-images ', code=1, err='etcdserver: timed out\n')
    done = deploy(tree)
    assert done.status == 1 and 'does not tell what was built' in done.err
    assert not tree.kubectl.calls('^(apply|create)')


def test_a_setting_that_is_none(tree):
    tree.secrets()
    done = deploy(tree, KUBERNETES_MCP='no')
    assert done.status == 1 and 'KUBERNETES_MCP=no means nothing' in done.err
    assert not tree.kubectl.calls()


# ---- the file with the secrets

def refused(tree, text=None):
    if text is not None:
        tree.secrets(text)
    done = deploy(tree)
    assert done.status == 1
    assert not tree.kubectl.calls()
    return done.err


def test_no_file(tree):
    assert 'cp k8s/secrets.env.example k8s/secrets.env && chmod 600' in refused(tree)


def test_no_configuration(tree):
    tree.secrets()
    done = deploy(tree, CONFIG='none.yaml')
    assert done.status == 1 and 'no configuration none.yaml' in done.err


@pytest.mark.parametrize('line, why', [
    ('OPENROUTER_API_KEY="sk-hidden"', 'quotes would become part'),
    ("OPENROUTER_API_KEY='sk-hidden'", 'quotes would become part'),
    ('OPENROUTER_API_KEY=sk-hidden # mine', 'a remark behind it'),
    ('OPENROUTER_API_KEY=sk-hidden ', 'blanks around it'),
    ('OPENROUTER_API_KEY= sk-hidden', 'blanks around it'),
    ('OPENROUTER_API_KEY', 'there is no ='),
    ('sk-hidden something', 'not of the form NAME=VALUE'),
    ('OPENROUTER API KEY=sk-hidden', 'not of the form NAME=VALUE'),
    ('OPENROUTER_API_KEY=<sk-hidden>', 'the placeholder'),
    ('OPENROUTER_API_KEY=changeme', 'the placeholder'),
    ('OPENROUTER_API_KEY=sk-or-...', 'the placeholder'),
    ('OPENROUTER_API_KEY=your-hidden-key', 'the placeholder'),
    ('OPENROUTER_API_KEY=XXXXXXXX', 'the placeholder'),
    ('TELEGRAM_BOT_TOKEN=sk-hidden', 'not a token'),
    ('TELEGRAM_ALLOWED_USERS=@sk-hidden', 'numeric ids'),
    ('A=1\nA=2', 'named a second time'),
])
def test_a_mistake_is_told_by_its_place_and_not_by_what_stands_there(tree, line, why):
    err = refused(tree, f'# a remark\n\n{line}\n')
    assert why in err and re.search(r'line [34], ', err), err
    assert 'hidden' not in err


def test_the_example_as_it_is_can_be_deployed_and_says_what_lacks(tree):
    """Without any value there is a bot that is offline and not on Telegram."""
    well(tree)
    tree.secrets((tree.root / 'k8s/secrets.env.example').read_text())
    tree.kubectl.on('exec', WELL.replace('polling as @hermes_fake_bot', 'off'))
    done = deploy(tree)
    assert done.status == 0 and 'no TELEGRAM_BOT_TOKEN' in done.out
    assert 'not on Telegram: kubectl exec -it -n hermes' in done.out


def test_a_value_that_an_example_brings(tree):
    tree.write('k8s/secrets.env.example', 'TELEGRAM_BOT_TOKEN=1:AAexample\nURL=https://a\n')
    assert 'still the value of the example' in refused(tree, 'TELEGRAM_BOT_TOKEN=1:AAexample\n')


@pytest.mark.parametrize('text', [
    'OPENROUTER_API_KEY=sk=with=equals#and-hash\n',
    '\ufeffTELEGRAM_BOT_TOKEN=1:aB-_\n',
    'TELEGRAM_BOT_TOKEN=1:aB-_\r\nOPENAI_API_KEY=\r\n',
    'TELEGRAM_ALLOWED_USERS=1,2, 3\n',
    'TELEGRAM_ALLOWED_USERS=*',
])
def test_what_is_fine(tree, text):
    tree.secrets(text)
    done = tree.run('deploy', '--check')
    assert done.status == 0, done.text
    assert not tree.kubectl.calls('^(apply|create)')


def test_a_file_that_everybody_can_read(tree):
    tree.secrets()
    (tree.root / 'k8s/secrets.env').chmod(0o644)
    assert 'chmod 600 k8s/secrets.env' in tree.run('deploy', '--check').err


def test_kubectl_that_cannot_read_the_file_does_not_quote_it(tree):
    tree.secrets()
    tree.kubectl.on('create secret', code=1, err=f'error: "{SECRET} x" is not a valid key name\n')
    done = deploy(tree)
    assert done.status == 1 and SECRET not in done.text
    assert 'kubectl cannot read k8s/secrets.env' in done.err


def test_a_server_that_refuses_the_secret(tree):
    tree.secrets()
    tree.kubectl.on('apply', code=1, err='Error from server (Forbidden): secrets is forbidden\n')
    done = deploy(tree)
    assert done.status == 1 and 'secrets is forbidden' in done.err


# ---- failures

def fails(tree, state, *warnings, logs='', **environment):
    well(tree)
    tree.kubectl.sees('hermes', DOWN + state)
    tree.kubectl.warns(*warnings)
    tree.kubectl.on('logs', logs)
    done = deploy(tree, **environment)
    assert done.status == 1
    assert done.seconds < 30
    return done.err


IMAGE = 'registry.registry:5000/hermes:v1'
BACKOFF = pod(POD, 'Pending') + container(
    POD, 'waiting', 'ImagePullBackOff', message=f'Back-off pulling image "{IMAGE}"')


@pytest.mark.parametrize('said, todo', [
    ('dial tcp: lookup registry.registry: no such host', 'lacks registries.yaml'),
    ('dial tcp: lookup registry.registry on 127.0.0.53:53: server misbehaving',
     'sudo registry/install-node'),
    ('http: server gave HTTP response to HTTPS client', 'lacks registries.yaml'),
    (f'{IMAGE}: not found', 'make ai-hermes-build'),
    ('dial tcp 10.43.0.50:5000: connect: connection refused', 'make ai-registry'),
    ('dial tcp 10.43.0.50:5000: i/o timeout', '--check'),
    ('unexpected status from HEAD request: 401 Unauthorized', '--user NAME --password-file FILE'),
    ('no match for platform in manifest: not found', 'nodeSelector'),
])
def test_an_image_that_the_node_cannot_pull(tree, said, todo):
    err = fails(tree, BACKOFF, event('Pod', POD, 'Failed', 'Error: ImagePullBackOff'),
                event('Pod', POD, 'Failed', f'Failed to pull image "{IMAGE}": failed to resolve '
                      f'reference "{IMAGE}": failed to do request: Head "https://x": {said}'))
    assert todo in err and said in err and 'pi1' in err, err


def test_the_reason_is_in_the_container_itself_in_newer_clusters(tree):
    state = pod(POD, 'Pending') + container(
        POD, 'waiting', 'ImagePullBackOff', message=f'Back-off pulling image "{IMAGE}": '
        f'ErrImagePull: failed to pull and unpack image "{IMAGE}": failed to resolve reference '
        f'"{IMAGE}": dial tcp: lookup registry.registry: no such host')
    err = fails(tree, state, event('Pod', POD, 'Failed', 'Error: ImagePullBackOff'))
    assert 'tell the node pi1 where the registry is' in err


def test_an_image_is_told_as_the_pod_names_it(tree):
    """containerd leaves out the tag beside a digest, and a person knows the tag."""
    pinned = f'{IMAGE}@sha256:{64 * "d"}'
    state = pod(POD, 'Pending') + container(
        POD, 'waiting', 'ImagePullBackOff', message=f'Back-off pulling image "{pinned}"')
    err = fails(tree, state, event(
        'Pod', POD, 'Failed', f'Failed to pull image "{pinned}": failed to pull and unpack image '
        f'"registry.registry:5000/hermes@sha256:{64 * "d"}": failed to resolve reference: '
        'not found'))
    assert f'pi1 needs {pinned}, which is not in the registry' in err


def test_a_secret_that_is_missing(tree):
    state = pod(POD, 'Pending') + container(POD, 'waiting', 'ContainerCreating')
    err = fails(tree, state, event('Pod', POD, 'FailedMount', 'MountVolume.SetUp failed for volume '
                                   '"secrets" : secret "hermes-secrets" not found'))
    assert 'the Secret hermes-secrets is missing' in err and 'make ai-hermes-deploy' in err


def test_a_configmap_without_the_key(tree):
    state = pod(POD, 'Pending') + container(
        POD, 'waiting', 'CreateContainerConfigError',
        message="couldn't find key hermes_model in ConfigMap hermes/hermes-env")
    assert "couldn't find key hermes_model" in fails(tree, state)


def test_an_agent_that_ends_at_once(tree):
    state = pod(POD) + container(POD, 'waiting', 'CrashLoopBackOff', restarts='2', last='Error',
                                 last_code='1', message='back-off 20s restarting failed container')
    err = fails(tree, state, logs='hermes: error: config.yaml:3: "modle" is not known\n')
    assert 'it ended with exit 1 (Error): hermes: error: config.yaml:3: "modle" is not known' in err


def test_an_agent_that_is_out_of_memory(tree):
    state = pod(POD) + container(POD, 'waiting', 'CrashLoopBackOff', restarts='1',
                                 last='OOMKilled', last_code='137')
    err = fails(tree, state)
    assert 'out of memory on pi1' in err and 'limits.memory in k8s/deployment.yaml' in err


def test_a_disk_that_is_full_at_the_start(tree):
    """It stays up and is not ready, and knows why."""
    well(tree)
    tree.kubectl.sees('hermes', DOWN + pod(POD) + container(POD))
    tree.kubectl.warns(event('Pod', POD, 'Unhealthy', 'Readiness probe failed: statuscode: 503'))
    tree.kubectl.on('exec', 'state     not ready\n' + problem(
        'database', 'no messages can be stored: the disk that holds /opt/data/state.db is full',
        'free some space on that disk or volume, or enlarge it'), code=1)
    done = deploy(tree)
    assert done.status == 1
    assert 'the disk that holds /opt/data/state.db is full' in done.err
    assert 'make room on the volume hermes-data (node pi1)' in done.err


def test_a_pod_of_the_revision_before_does_not_count(tree):
    old = 'replicaset|hermes-old|1|old\n' + pod('hermes-old-x', hash_='old') + container(
        'hermes-old-x', 'waiting', 'CrashLoopBackOff', restarts='9', last='Error', last_code='1')
    well(tree)
    tree.kubectl.sees('hermes', deployment('hermes', ready=False, revision=2) + old,
                      old + healthy('hermes', revision=2))
    assert deploy(tree).status == 0


def test_a_rollout_that_was_not_seen_yet_is_not_done(tree):
    well(tree)
    before = healthy('hermes').replace('deployment|hermes|1|1', 'deployment|hermes|2|1')
    tree.kubectl.sees('hermes', before, before, healthy('hermes'))
    assert deploy(tree).status == 0
    assert len(tree.kubectl.calls('get deployments')) == 3


# ---- it runs, and is not well

def test_a_token_that_telegram_refuses(tree):
    well(tree)
    refused_token = 'the bot token is refused (Telegram replied "Unauthorized" (401))'
    tree.kubectl.on('exec', WELL.replace('polling as @hermes_fake_bot', 'unauthorized') + problem(
        'telegram', refused_token, 'get the token from @BotFather (/mybots, API Token), set'),
        code=4)
    done = deploy(tree)
    assert done.status == 1 and refused_token in done.err
    assert 'put the right TELEGRAM_BOT_TOKEN into k8s/secrets.env' in done.out


def test_telegram_that_needs_a_moment(tree):
    well(tree)
    tree.kubectl.on('exec', WELL.replace('polling as @hermes_fake_bot', 'connecting'), WELL)
    done = deploy(tree)
    assert done.status == 0 and 'listens' in done.out


def test_an_agent_that_cannot_be_asked(tree):
    well(tree)
    tree.kubectl.on('exec', code=1, err='error: unable to upgrade connection\n')
    done = deploy(tree, AGENT_LIMIT='1')
    assert 'does not report its status: unable to upgrade connection' in done.err
    assert done.status == 1
