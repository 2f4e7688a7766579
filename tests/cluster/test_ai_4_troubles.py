"""What goes wrong: each says its reason where a person looks, and is well again once it is mended.

`make ai-hermes-deploy` and the builds shall not wait for what cannot come, and `make ai-status` has
to tell the same story afterwards, with what to do about it. Doing exactly that is how these tests
mend it.
"""
import pytest
from day import INSTALL_NODE, Agent
from outside import OTHER_TOKEN, OWNER, WRONG_TOKEN, config, secrets, telegram

REGISTRIES = '/etc/rancher/k3s/registries.yaml'
JOB = 'kaniko/hermes-build/job.yaml'
FAILS_SOON_SECONDS = 60


def on_the_node(node, laptop):
    """What a person who was told to does there."""
    done = node.sh(laptop.tree / INSTALL_NODE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# -- the agent -----------------------------------------------------------------------------------

def test_a_token_that_telegram_refuses(agent, laptop):
    wrong = laptop.write('wrong.env', secrets(WRONG_TOKEN), 0o600)
    refused = r'telegram: the bot token is refused \(Telegram replied "Unauthorized" \(401\)\)'
    laptop.make('ai-hermes-deploy', SECRETS=wrong).fails(
        refused, 'put the right TELEGRAM_BOT_TOKEN into .*wrong.env', '@BotFather')
    laptop.status_tells(refused, 'put the right TELEGRAM_BOT_TOKEN into', 'NOT|what to do')
    laptop.make('ai-hermes-deploy').ok()
    laptop.status_is_well()


@pytest.mark.parametrize('line, complaint', [
    ('TELEGRAM_BOT_TOKEN=no-token-at-all-3141', 'line 2, TELEGRAM_BOT_TOKEN: not a token'),
    ('OPENAI_API_KEY="in-quotes-3141"',
     'line 2, OPENAI_API_KEY: the quotes would become part of it'),
    ('just some words 3141', 'line 2, this line: not of the form NAME=VALUE')])
def test_a_mistake_in_the_secrets_is_told_without_showing_them(laptop, line, complaint):
    file = laptop.write('mistaken.env', f'# mine\n{line}\n', 0o600)
    laptop.make('ai-hermes-deploy', SECRETS=file).fails(complaint).says_not('3141')


def test_a_secret_that_is_missing(agent, laptop, node):
    node.kubectl('delete', 'secret', 'hermes-secrets', '-n', 'hermes')
    node.kubectl('delete', 'pod', '-n', 'hermes', agent.name)
    laptop.status_tells('the Secret hermes-secrets is missing', 'make ai-hermes-deploy')
    laptop.make('ai-hermes-deploy').ok()
    laptop.status_is_well()


def test_a_model_that_cannot_be_reached(agent, laptop, upstream):
    upstream.wanted_port = upstream.port
    upstream.stop()
    try:
        agent.ask('is anybody there', 120)
        laptop.status_tells(
            'upstream: the model .* does not answer: cannot connect to',
            'check the base URL and the network .*models: .*config.yaml')
    finally:
        upstream.start()
    assert agent.ask('and now') == 'done with and now'
    laptop.status_is_well()


@pytest.fixture
def full(node, laptop, deployed, upstream):
    """An agent beside the other, on a volume of its own that can be full."""
    place = 'hermes-full'
    with telegram(node.place.host, OTHER_TOKEN) as api:
        settings = {'NAMESPACE': place,
                    'CONFIG': laptop.write('full.yaml', config(api, upstream)),
                    'SECRETS': laptop.write('full.env', secrets(OTHER_TOKEN), 0o600)}
        folder = node.small_volume(place, 'hermes-data', '24m')
        laptop.make('ai-hermes-deploy', **settings).ok()
        yield Agent(node, api, upstream, place), folder, {'NAMESPACE': place}
        node.kubectl('delete', 'namespace', place, '--timeout=60s')


def test_a_volume_that_is_full(full, node, laptop):
    agent, folder, where = full
    assert agent.ask('while there is room') == 'done with while there is room'
    node.sh(f'dd if=/dev/zero of={folder}/filler bs=1M', check=False)
    agent.telegram.user_says(OWNER, 'when there is none')
    laptop.status_tells('(disk|database): nothing can be stored: .* is full',
                        'make room on the volume hermes-data', **where)
    assert len(agent.telegram.messages(OWNER)) == 1
    node.sh(f'rm {folder}/filler')
    agent.telegram.wait_text(OWNER, 'done with when there is none', 60)
    agent.telegram.wait_quiet(2)
    assert len(agent.telegram.messages(OWNER)) == 2, agent.telegram.story()
    laptop.status_is_well(**where)


def test_an_image_that_the_node_cannot_pull(agent, laptop, node, built, rebuilt):
    """Its registries.yaml is gone, and the image is one that it does not have."""
    node.sh(f'mv {REGISTRIES} /etc/rancher/k3s/away; systemctl restart k3s')
    try:
        tag = built.tag
        lacks = r'hermes-test\S* cannot pull registry\.registry:5000/hermes:' + tag
        made = laptop.make('ai-hermes-deploy', TAG=tag).fails(
            lacks, 'it lacks registries.yaml', 'sudo registry/install-node')
        assert made.seconds < FAILS_SOON_SECONDS, made
        laptop.status_tells(lacks, 'it lacks registries.yaml', 'ImagePullBackOff|ErrImagePull')
    finally:
        on_the_node(node, laptop)
    laptop.make('ai-hermes-deploy').ok()
    laptop.status_is_well()


# -- builds --------------------------------------------------------------------------------------

@pytest.fixture
def impatient(laptop):
    """The tree of somebody whose Job tries once, so that a test need not wait for four times."""
    laptop.edit(JOB, 'backoffLimit: 3', 'backoffLimit: 0')
    yield laptop
    laptop.restore()


def test_sources_that_do_not_compile(impatient, rebuilt):
    impatient.edit('src/base/buf.c', '#include "base/buf.h"',
                   '#include "base/buf.h"\n#error "spoilt by its operator"')
    impatient.make('ai-hermes-build').fails(
        r'the build of registry\.registry:5000/hermes:\S+-dirty-\S+ failed',
        'spoilt by its operator')
    impatient.status_tells('hermes-build FAILED', 'the build hermes-build failed: .*spoilt by',
                           'the last good one: registry.registry:5000/hermes:' + rebuilt.tag)
    impatient.make('ai-logs', OF='hermes-build').ok().says('spoilt by its operator')


def test_a_base_that_cannot_be_pulled(impatient, rebuilt):
    base = 'registry.registry:5000/debian:nonesuch'
    impatient.make('ai-hermes-build', BASE_IMAGE=base).fails('nonesuch', '(?i)manifest.unknown')
    impatient.status_tells('hermes-build FAILED', 'nonesuch')


def test_a_build_that_is_out_of_memory(impatient, rebuilt):
    """The executor itself is killed, or its compiler is: what is told is the same."""
    impatient.edit('src/base/buf.c', '#include "base/buf.h"', '#include "base/buf.h"\n// changed')
    impatient.edit(JOB, 'memory: 256Mi', 'memory: 16Mi')
    impatient.edit(JOB, 'memory: 512Mi', 'memory: 20Mi')
    reason = r'out of memory on hermes-test\S* \('
    advice = r'raise limits.memory in kaniko/hermes-build/job.yaml'
    impatient.make('ai-hermes-build').fails(reason, advice)
    impatient.status_tells('hermes-build FAILED', reason, advice)


def test_pod_security_that_refuses_the_build(laptop, node, rebuilt):
    label = 'pod-security.kubernetes.io/enforce'
    node.kubectl('label', 'namespace', 'registry', f'{label}=restricted', '--overwrite')
    reason = 'Pod Security refuses the pod: .*violates PodSecurity "restricted:latest"'
    made = laptop.make('ai-hermes-build', FORCE=1).fails(reason, 'make ai-registry')
    assert made.seconds < FAILS_SOON_SECONDS, made
    laptop.status_tells(reason, 'make ai-registry')
    laptop.make('ai-registry').ok()
    assert node.get('namespace', 'registry')['metadata']['labels'][label] == 'baseline'
    node.kubectl('delete', 'job', 'hermes-build', '-n', 'registry')     # it would begin now


def test_after_all_that_a_good_tree_is_well(agent, laptop, rebuilt):
    """The image of these sources is there, so nothing is built; what failed is told no more."""
    laptop.make('ai-hermes-build').ok()
    laptop.status_is_well()
