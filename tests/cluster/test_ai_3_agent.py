"""The agent: deployed, talked to on Telegram, and taken away in the middle of an answer.

What a message gets is exactly one answer, whatever happens to the pod. A model that streams is
held at a known place (`hold`), the pod is ended there in the ways in which pods end, and the next
one has to go on.
"""
import contextlib
import json
import os
import re
import signal
import time

import pytest
from conftest import figure
from meter import MIB, Cost, field, folder_of
from outside import OWNER, SECRET_VALUES

LIMIT_BYTES = 128 * MIB
AT_WORK_BYTES = 24 * MIB            # programs of the pod, after a conversation with tools
SETTLE_SECONDS = 120
BASE_KINDS = {'CronJob', 'Deployment', 'Namespace', 'NetworkPolicy', 'PersistentVolumeClaim',
              'Service', 'ConfigMap'}


# -- before it is there --------------------------------------------------------------------------

def test_the_base_is_taken_as_it_is(laptop, node, kubectl, built):
    """By a cluster that knows no custom resource, and without `make`: what the base itself says
    at its top."""
    assert not json.loads(kubectl('get', 'crd', '-o', 'json'))['items']
    kubectl('apply', '-k', laptop.tree / 'k8s')
    rendered = kubectl('kustomize', laptop.tree / 'k8s') + '\n---\n' + \
        kubectl('kustomize', laptop.tree / 'registry')
    assert BASE_KINDS <= set(re.findall(r'^kind: (\w+)', rendered, re.M))
    kubectl('apply', '--server-side', '--dry-run=server', '--force-conflicts', '-f', '-',
            input=rendered)
    laptop.status_tells('the Secret hermes-secrets is missing',
                        'secrets.env.example', 'make ai-hermes-deploy')


def test_without_secrets_nothing_is_begun(laptop):
    missing = laptop.home / 'nowhere.env'
    laptop.make('ai-hermes-deploy', SECRETS=missing).fails(
        f'{missing} is missing', r'cp k8s/secrets\.env\.example')
    laptop.make('ai', SECRETS=missing).fails(f'{missing} is missing').says_not('registry:')


# -- there ---------------------------------------------------------------------------------------

def test_it_is_deployed_and_says_that_it_is_well(deployed, laptop):
    deployed.says(rf'registry\.registry:5000/hermes:{laptop.tag}', 'the agent runs on hermes-test',
                  'your bot listens as @hermes_fake_bot')
    laptop.status_is_well().says('telegram +polling', 'registry +registry.registry:5000, ready',
                                 rf'build +registry\.registry:5000/hermes:{laptop.tag}')


def test_its_image_came_from_the_registry_in_the_cluster(agent, laptop, node, store):
    pod = agent.wait_ready()
    digest = store.digest('hermes', laptop.tag)
    assert [container['name'] for container in pod['spec']['containers']] == ['hermes', 'hands']
    for container in pod['spec']['containers']:
        assert container['image'] == f'registry.registry:5000/hermes:{laptop.tag}@{digest}'
        assert container['imagePullPolicy'] == 'IfNotPresent'
    for status in pod['status']['containerStatuses']:
        assert digest in status['imageID'], status
    assert 'http://10.43.0.50:5000' in node.sh(
        'cat /var/lib/rancher/k3s/agent/etc/containerd/certs.d/registry.registry:5000/hosts.toml'
    ).stdout


def test_it_has_no_rights(agent, node):
    level = node.get('namespace', 'hermes')['metadata']['labels']
    assert level['pod-security.kubernetes.io/enforce'] == 'restricted'
    assert agent.run('id').startswith('uid=10000(hermes) gid=10000(hermes)')
    status = agent.run('cat', '/proc/1/status')
    assert re.search(r'^CapBnd:\s+0+$', status, re.M) and re.search(r'^Seccomp:\s+2$', status, re.M)
    written = agent.run('sh', '-c', 'for place in / /etc /etc/hermes /run/secrets/hermes /tmp '
                        '/opt/data; do touch $place/x 2>/dev/null && echo $place; done; true')
    assert written.split() == ['/tmp', '/opt/data']
    assert 'kubernetes.io' not in agent.run('cat', '/proc/1/mounts')
    agent.run('rm', '/tmp/x', '/opt/data/x')


def test_its_secrets_are_files_and_not_its_environment(agent):
    environment = agent.run('sh', '-c', "tr '\\0' '\\n' </proc/1/environ; env")
    assert not [value for value in SECRET_VALUES if value in environment]
    assert 'HERMES_SECRETS_DIR=/run/secrets/hermes' in environment
    assert {'TELEGRAM_BOT_TOKEN', 'OPENAI_API_KEY'} <= set(
        agent.run('ls', '/run/secrets/hermes').split())


def test_it_answers_and_uses_its_tools(agent):
    assert agent.ask('hello from a phone') == 'done with hello from a phone'
    assert agent.ask('files\ncall write_file {"path": "a.txt", "content": "from a pod"}\n'
                     'call read_file {"path": "a.txt"}') == 'done with files'
    assert agent.run('cat', '/opt/data/workspace/a.txt') == 'from a pod'
    results = [message for message in agent.upstream.requests[-1].messages
               if message['role'] == 'tool']
    assert len(results) == 2 and 'from a pod' in str(results[1]), results


def test_a_stranger_hears_nothing(agent):
    agent.telegram.user_says(666, 'who are you')
    agent.ask('and hello again')
    assert not agent.telegram.messages(666)


def test_it_needs_a_fraction_of_its_limit(agent, node):
    for number in range(5):
        agent.ask(f'question {number}\ncall current_time {{}}')
    cost = Cost(agent.uid)
    assert cost.look(node.place), 'its cgroup was not found'
    figure('the agent: memory of its programs', f'{cost.rss / MIB:.1f} MiB')
    figure('the agent: peak with the page cache', f'{cost.usage / MIB:.1f} MiB of 128')
    assert 0 < cost.rss <= AT_WORK_BYTES and cost.usage < LIMIT_BYTES, cost


# -- its hands -----------------------------------------------------------------------------------

def status_of(pod, name):
    return next(status for status in pod['status']['containerStatuses'] if status['name'] == name)


def terminal(agent, command, number, **more):
    """What the model is told of a command."""
    call = json.dumps({'command': command, **more})
    answer = agent.ask(f'command {number}\ncall terminal {call}', 120)
    assert answer == f'done with command {number}'
    results = [message for message in agent.upstream.requests[-1].messages
               if message['role'] == 'tool']
    return str(results[-1]['content'])  # those before it are of earlier turns


def test_commands_run_in_the_hands(agent):
    told = terminal(agent, 'id -u; pwd; cat a.txt; echo made >made.txt; ls /opt/data', 1)
    assert re.match(r'10000\n/opt/data/workspace\nfrom a podworkspace\n', told), told
    assert '[exit code 0' in told
    assert agent.run('cat', '/opt/data/workspace/made.txt') == 'made\n'
    assert 'kept apart by the hands container' in agent.run(
        'sh', '-c', 'hermes doctor || true')


def test_the_hands_hold_nothing_but_the_workspace(agent):
    """Neither for a command nor for the container itself."""
    for run in (lambda script: terminal(agent, script, 2),
                lambda script: agent.run('sh', '-c', script, container='hands')):
        told = run('ls -d /run/secrets /etc/hermes/config.yaml /opt/data/state.db '
                   '/opt/data/hermes.lock '
                   '/var/run/secrets/kubernetes.io 2>&1; ls -A /opt/data; '
                   'cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"; '
                   'touch /x /opt/data/x 2>&1; true')
        assert not [value for value in SECRET_VALUES if value in told]
        assert told.count('No such file') == 5 and told.count('Read-only') == 2, told
        assert 'TOKEN' not in told and 'HERMES_SECRETS_DIR' not in told
    told = terminal(agent, 'wget -T 2 -O- http://127.0.0.1:9119/', 3)
    assert 'there is no network' in told, told


def oom_kills(node, pod):
    """In the hands, since they were started."""
    container = status_of(pod, 'hands')['containerID'].partition('://')[2]
    folder = folder_of(node.place, pod['metadata']['uid'], 'memory') / container
    version_1 = folder / 'memory.oom_control'
    return field(version_1 if version_1.exists() else folder / 'memory.events', 'oom_kill')


def test_a_memory_bomb_ends_the_hands_and_not_the_agent(agent):
    """Each command stays within its own limit, and all together they do not stay within that of
    the container. With cgroups of version 1 the kernel ends one process, else all of them."""
    before = agent.wait_ready()
    fill = 'head -c 100000000 /dev/zero | tail -c 100000000'
    for number in range(10, 13):
        terminal(agent, f'{fill} | {{ sleep 60; cat >/dev/null; }}', number, background=True)
    terminal(agent, f'{fill} | {{ sleep 20; wc -c; }}', 13)
    after = agent.wait_ready(SETTLE_SECONDS)
    assert after['metadata']['uid'] == before['metadata']['uid']
    assert status_of(after, 'hermes')['restartCount'] == 0
    again, killed = status_of(after, 'hands')['restartCount'], oom_kills(agent.node, after)
    figure('a memory bomb: the hands were started again, or processes killed',
           f'{again} times, {killed}')
    assert again or killed
    assert '[exit code 0' in terminal(agent, 'echo works again', 14)


# -- taken away ----------------------------------------------------------------------------------

def delete_orderly(agent):
    agent.node.kubectl('delete', 'pod', '-n', 'hermes', agent.name, '--wait=false')


def delete_by_force(agent):
    agent.node.kubectl('delete', 'pod', '-n', 'hermes', agent.name, '--grace-period=0', '--force')


def kill_its_process(agent):
    """As for want of memory: every process of the container at once, and the pod stays."""
    pod = agent.wait_ready()
    container = status_of(pod, 'hermes')['containerID'].partition('://')[2]
    folder = folder_of(agent.node.place, pod['metadata']['uid'], 'memory') / container
    for pid in (folder / 'cgroup.procs').read_text().split():
        with contextlib.suppress(ProcessLookupError):  # a child ends with its parent
            os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def held(upstream):
    """The model stays in mid-answer until `upstream.release` is set."""
    upstream.release.clear()
    yield upstream
    upstream.release.set()


@pytest.mark.parametrize('take_away', [kill_its_process, delete_orderly, delete_by_force])
def test_in_mid_turn_nothing_is_lost(agent, held, take_away):
    telegram, what = agent.telegram, take_away.__name__
    known, before = {agent.uid}, len(telegram.messages(OWNER))
    telegram.user_says(OWNER, f'hold {what}')
    message = agent.wait_shown(f'answer to hold {what}: begun')
    asked, started = held.count('day'), time.monotonic()
    take_away(agent)
    telegram.user_says(OWNER, f'asked while {what}')
    assert held.wait_for(lambda: held.count('day') > asked, SETTLE_SECONDS), \
        f'the answer was not taken up again; {agent.pods()}'
    figure(f'{what}: until the answer is taken up again', f'{time.monotonic() - started:.1f} s')
    held.release.set()
    telegram.wait_text(OWNER, f'answer to hold {what}: begun and finished', SETTLE_SECONDS)
    telegram.wait_text(OWNER, f'done with asked while {what}', SETTLE_SECONDS)
    telegram.wait_quiet(2)
    answers = telegram.messages(OWNER)[before:]
    assert sorted(answer.text for answer in answers) == [
        f'answer to hold {what}: begun and finished', f'done with asked while {what}'], \
        telegram.story()
    assert message.id in {answer.id for answer in answers}, 'the message that had begun was left'
    agent.wait_ready(SETTLE_SECONDS, () if take_away is kill_its_process else known)


def test_afterwards_it_is_well_and_telegram_resents_nothing(agent, laptop):
    laptop.status_is_well()
    assert not agent.telegram.violations, agent.telegram.violations
    assert not agent.upstream.rejected, agent.upstream.rejected
