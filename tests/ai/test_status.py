"""make ai-status, ai-logs and ai-undeploy."""

import datetime
import re

import pytest
from cluster import (WELL, container, deployment, event, healthy, job, pod, problem, volume)

POD = 'hermes-6b5-x'
JOB = 'hermes-build'
DOWN = deployment('hermes', ready=False)


@pytest.fixture
def well(tree):
    tree.kubectl.sees('registry', healthy('registry') + volume('registry-data', size='5Gi'))
    tree.kubectl.sees('hermes', healthy('hermes') + volume('hermes-data'))
    tree.kubectl.sees(JOB, job(JOB, succeeded='1', end='Complete'))
    tree.kubectl.on('get configmap hermes-build', 'registry.registry:5000/hermes:abc|'
                    '2026-01-31T12:02:03Z\n')
    tree.kubectl.on('get secret hermes-secrets', 'secret/hermes-secrets\n')
    tree.kubectl.on('exec', WELL)
    return tree


def todo(done):
    """The lines that say what to do."""
    assert done.status == 1, done.text
    return [line[3:] for line in done.out.splitlines() if line.startswith('-> ')]


def only(done):
    lines = todo(done)
    assert len(lines) == 1, done.text
    return lines[0]


def test_all_is_well(well):
    done = well.run('status')
    assert done.status == 0, done.text
    assert done.out.endswith('ok  everything is healthy\n')
    for line in ('cluster   v1.32.4+k3s1 (context pi)', 'nodes     pi1 (arm64, v1.32.4+k3s1)',
                 'image     registry.registry:5000/hermes:abc', 'volume    hermes-data 1Gi'):
        assert line in done.out, done.out
    assert re.search(r'^registry  registry.registry:5000, ready on pi1 for .*volume '
                     r'registry-data 5Gi$', done.out, re.M)
    assert re.search(r'^build     registry.registry:5000/hermes:abc, hermes-build done .* ago, '
                     r'took 2 min 3 s$', done.out, re.M)
    assert '| telegram  polling as @hermes_fake_bot' in done.out
    assert not well.kubectl.calls('^(apply|delete|create|annotate)')


def test_a_node_that_the_registry_does_not_know(well):
    """It came later than the registry's policy, and cannot pull."""
    well.kubectl.on('get nodes .*podCIDR', 'pi1 192.168.1.11\npi1 10.42.0.0/24\n'
                    'pi2 192.168.1.12\npi2 10.42.1.0/24\n')
    line = only(well.run('status'))
    assert line.startswith('make ai-registry') and 'does not admit every address of pi2' in line


def test_a_node_whose_address_has_changed(well):
    """With a tunnel it can still pull, so nothing else is said of it."""
    well.kubectl.on('get nodes .*podCIDR', 'pi1 192.168.1.99\npi1 10.42.0.0/24\n')
    line = only(well.run('status'))
    assert 'every address of pi1 (added or changed since the last make ai-registry)' in line
    assert 'pull' not in line


def test_a_cluster_that_has_no_policies_of_ours(well):
    """One from before there were any."""
    well.kubectl.on('get networkpolicy', '')
    line = only(well.run('status'))
    assert line.startswith('make ai-registry') and 'does not admit every address of pi1' in line


def test_it_asks_the_agent_in_its_namespace(well):
    assert well.run('status', NAMESPACE='cellar').status == 0
    assert well.kubectl.calls('^exec -n cellar')


def test_nothing_is_there(tree):
    lines = todo(tree.run('status'))
    assert [line.split('  [')[0] for line in lines] == [
        'make ai-registry', 'make ai-hermes-build', 'make ai-hermes-deploy']


# ---- the five that must be plain

def test_a_bad_token(well):
    well.kubectl.on('exec', problem(
        'telegram', 'the bot token is refused (Telegram replied "Unauthorized" (401))',
        'get the token from @BotFather (/mybots, API Token), set'), code=4)
    line = only(well.run('status'))
    assert line.startswith('put the right TELEGRAM_BOT_TOKEN into k8s/secrets.env')
    assert 'make ai-hermes-deploy' in line and 'Unauthorized' in line


def test_a_missing_secret(well):
    well.kubectl.on('get secret hermes-secrets', '')
    well.kubectl.sees('hermes', DOWN + pod(POD, 'Pending') +
                      container(POD, 'waiting', 'ContainerCreating'))
    line = only(well.run('status'))
    assert line.startswith('fill in k8s/secrets.env') and 'make ai-hermes-deploy' in line
    assert 'the Secret hermes-secrets is missing' in line


def test_a_full_volume(well):
    well.kubectl.on('exec', 'disk      0 of 64 MiB free\n' + problem(
        'disk', 'nothing can be stored: the disk that holds /opt/data/state.db is full',
        'free some space on that disk or volume, or enlarge it'), code=4)
    line = only(well.run('status'))
    assert line.startswith('make room on the volume hermes-data (node pi1)')
    assert 'state.db is full' in line


def test_a_volume_that_was_full_at_the_start(well):
    well.kubectl.sees('hermes', DOWN + pod(POD) + container(POD))
    well.kubectl.warns(event('Pod', POD, 'Unhealthy', 'Readiness probe failed: 503'))
    well.kubectl.on('exec', problem('database', 'no messages can be stored: the disk is full',
                                    'free some space'), code=1)
    lines = todo(well.run('status'))
    assert any(line.startswith('make room on the volume hermes-data') for line in lines)


def test_an_upstream_that_is_away(well):
    well.kubectl.on('exec', problem(
        'upstream', 'the model free does not answer: cannot connect to 127.0.0.1:9',
        'check the base URL and the network (hermes doctor)'), code=4)
    line = only(well.run('status'))
    assert line.startswith('check the base URL and the network')
    assert 'the model free does not answer: cannot connect' in line and 'k8s/config.yaml' in line


@pytest.mark.parametrize('reason, code, log, todo_, why', [
    ('Error', '1', 'src/a.c:1: error: x\n', 'fix what its last line says, then: make '
     'ai-hermes-build', 'src/a.c:1: error: x'),
    ('OOMKilled', '137', 'INFO snapshot\n', 'raise limits.memory in kaniko/hermes-build/job.yaml',
     'out of memory'),
])
def test_a_failing_build(well, reason, code, log, todo_, why):
    failed = 'hermes-build-q'
    well.kubectl.sees(JOB, job(JOB, failed='4', end='Failed', reason='BackoffLimitExceeded') +
                      pod(failed, 'Failed', hash_='') +
                      container(failed, 'terminated', reason, code))
    well.kubectl.on('logs', log)
    done = well.run('status')
    line = only(done)
    assert line.startswith(todo_) and why in line
    assert 'hermes-build FAILED' in done.out and 'the last good one: registry' in done.out


def test_a_build_that_fails_and_is_tried_again(well):
    one, two = 'hermes-build-1', 'hermes-build-2'
    well.kubectl.sees(JOB, job(JOB, active='1', failed='1') + pod(one, 'Failed', hash_='') +
                      container(one, 'terminated', 'Error', '1') +
                      pod(two, hash_='', created='2026-01-31T12:05:00Z') + container(two))
    well.kubectl.on(f'logs .*{one}', 'error: expected ;\n')
    done = well.run('status')
    assert 'expected ;' in only(done) and 'after 1 failed attempts' in done.out


def test_a_build_that_ran_out_of_time(well):
    well.kubectl.sees(JOB, job(JOB, failed='1', end='Failed', reason='DeadlineExceeded',
                               message='Job was active longer than specified deadline'))
    assert 'it took longer than the Job allows' in only(well.run('status'))


# ---- others

def test_a_build_whose_job_is_long_gone(well):
    well.kubectl.sees(JOB, '')
    done = well.run('status')
    assert done.status == 0 and 'registry.registry:5000/hermes:abc, built ' in done.out


def test_a_node_that_is_away_and_one_that_is_full(well):
    well.kubectl.on('get nodes', 'node|pi1|True|arm64|v1|DiskPressure |\n'
                    'node|pi2|Unknown|arm64|v1||cordoned\n')
    done = well.run('status')
    assert 'pi2 (arm64, v1) not ready cordoned' in done.out
    lines = todo(done)
    assert lines[0].startswith('free space on the disk of the node pi1')
    assert lines[1].startswith('check the node pi2')


def test_a_node_that_was_not_told(well):
    image = 'registry.registry:5000/hermes:abc'
    well.kubectl.sees('hermes', DOWN + pod(POD, 'Pending') + container(
        POD, 'waiting', 'ImagePullBackOff', message=f'Back-off pulling image "{image}"'))
    well.kubectl.warns(event('Pod', POD, 'Failed', f'Failed to pull image "{image}": failed to do '
                             'request: dial tcp: lookup registry.registry: no such host'))
    line = only(well.run('status'))
    assert line.startswith('tell the node pi1 where the registry is (it lacks registries.yaml)')


def test_an_agent_that_ends_shows_its_last_words(well):
    well.kubectl.sees('hermes', DOWN + pod(POD) + container(
        POD, 'waiting', 'CrashLoopBackOff', restarts='3', last='Error', last_code='1'))
    well.kubectl.on('logs .*--previous', 'hermes: error: TELEGRAM_BOT_TOKEN is not a token\n')
    done = well.run('status')
    assert 'hermes: error: TELEGRAM_BOT_TOKEN is not a token' in only(done)
    assert 'NOT ready on pi1: Running, CrashLoopBackOff, 3 restarts' in done.out
    assert not well.kubectl.calls('^exec')


def test_restarts_of_an_agent_that_is_well_again(well):
    well.kubectl.sees('hermes', deployment('hermes') + pod(POD) + container(
        POD, ready='ready', restarts='2', last='OOMKilled', last_code='137'))
    done = well.run('status')
    assert done.status == 0
    said = r'2 restarts \(the last one: OOMKilled, exit 137, .* ago\)'
    assert re.search(said, done.out), done.out


def test_hands_that_do_not_start_keep_the_pod_from_being_ready(well):
    """The kubelet names containers by the alphabet."""
    well.kubectl.sees('hermes', DOWN + pod(POD) + container(
        POD, 'waiting', 'CrashLoopBackOff', restarts='3', last='Error', last_code='1',
        container_name='hands') + container(POD, ready='ready'))
    well.kubectl.on('logs .*-c hands.*--previous', 'hermes: cannot listen on /run/hands/socket\n')
    assert 'cannot listen on /run/hands/socket' in only(well.run('status'))


def test_hands_that_wait_do_not_hide_why_the_agent_does(well):
    well.kubectl.sees('hermes', DOWN + pod(POD) + container(
        POD, 'waiting', 'ContainerCreating', container_name='hands') + container(
        POD, 'waiting', 'CrashLoopBackOff', restarts='3', last='Error', last_code='1'))
    well.kubectl.on('logs .*-c hermes.*--previous', 'hermes: error: no token\n')
    assert 'no token' in only(well.run('status'))


def test_hands_that_were_started_again_are_no_trouble(well):
    well.kubectl.sees('hermes', deployment('hermes') + pod(POD) + container(
        POD, ready='ready', restarts='5', last='OOMKilled', last_code='137',
        container_name='hands') + container(POD, ready='ready'))
    done = well.run('status')
    assert done.status == 0 and 'restarts' not in done.out, done.out


def test_an_agent_that_hangs(well):
    well.kubectl.on('exec', seconds=3600)
    assert 'the agent cannot be asked' in only(well.run('status', AGENT_LIMIT='1', seconds=300))


def test_a_notice_wants_nobody(well):
    well.kubectl.on('exec', WELL + 'notice    telegram: not receiving messages\n  do      wait\n')
    assert well.run('status').status == 0


def test_a_bar_in_what_the_agent_says(well):
    well.kubectl.on('exec', problem('upstream', 'a|b "c" \\d %s', 'e|f'), code=4)
    line = only(well.run('status'))
    assert 'e' in line and 'a|b "c" \\d %s' in line


def test_times_are_told_in_words(tree):
    now = datetime.datetime.now(datetime.timezone.utc)
    for back, said in ((5, r'\d+ s ago'), (600, r'(9|10) min \d+ s ago'), (90000, '25 h 0 min ago'),
                       (900000, '10 days ago')):
        when = (now - datetime.timedelta(seconds=back)).strftime('%Y-%m-%dT%H:%M:%SZ')
        tree.kubectl.on('get configmap hermes-build', f'registry.registry:5000/hermes:a|{when}\n')
        assert re.search(f'built {said}', tree.run('status').out)


# ---- logs

def test_logs_of_the_agent(well):
    well.kubectl.on('logs', 'one line\n')
    done = well.run('logs')
    assert done.status == 0 and done.out == 'one line\n'
    assert '-f' not in well.kubectl.calls('^logs')[0]['words']


def test_logs_follow_on_a_terminal(well):
    well.kubectl.on('logs', 'one line\n')
    assert 'one line' in well.on_terminal('logs', None).out
    assert well.kubectl.calls('^logs')[0]['words'][-1] == '-f'


def test_logs_of_a_run_that_ended_come_first(well):
    well.kubectl.sees('hermes', deployment('hermes') + pod(POD) + container(
        POD, ready='ready', restarts='1', last='Error', last_code='1'))
    well.kubectl.on('logs', 'now\n')
    well.kubectl.on('logs .*--previous', 'before\n')
    assert well.run('logs').out == 'before the last of 1 restarts (Error, exit 1):\n' \
        '    | before\nsince then:\n    | now\n'.replace('    | now', 'now')


def test_logs_of_something_else(well):
    name = 'hermes-build-1'
    well.kubectl.sees(JOB, job(JOB) + pod(name, 'Failed', hash_='') + container(name, 'terminated'))
    well.kubectl.on('logs', 'built\n')
    assert well.run('logs', OF=JOB, LAST='7').out == 'built\n'
    assert '--tail=7' in well.kubectl.calls(f'^logs -n registry {name}')[0]['words']
    done = well.run('logs', OF='x')
    assert done.status == 1 and 'OF=x is not known' in done.err


def test_no_logs(tree, well):
    well.kubectl.sees('hermes', '')
    done = well.run('logs')
    assert done.status == 1 and 'there is no pod of hermes' in done.err


# ---- undeploy

DELETES = '^delete'


def test_it_refuses_when_nobody_can_be_asked(tree):
    done = tree.run('undeploy')
    assert done.status == 1 and 'YES=1' in done.err and not tree.kubectl.calls(DELETES)


@pytest.mark.parametrize('answer', ['n\n', '\n', 'x\n', '\x04'])
def test_it_does_nothing_unless_told(tree, answer):
    done = tree.on_terminal('undeploy', answer)
    assert done.status == 1 and 'nothing was done' in done.out
    assert not tree.kubectl.calls(DELETES)


@pytest.mark.parametrize('how', ['a person', 'YES=1'])
def test_it_keeps_the_volume_and_the_registry(tree, how):
    tree.kubectl.on('get pods', 'pod/hermes-6b5-x\n', '')
    if how == 'a person':
        done = tree.on_terminal('undeploy', 'y\n')
    else:
        done = tree.run('undeploy', YES='1')
    assert done.status == 0, done.text
    assert 'the volume hermes-data' in done.out
    words = [' '.join(call['words']) for call in tree.kubectl.calls(DELETES)]
    assert len(words) == 4
    assert words[0].startswith('delete clusterrolebinding/hermes-kubernetes-mcp clusterrole/')
    assert words[1].startswith('delete serviceaccount/kubernetes-mcp networkpolicy/')
    assert 'deployments.apps,services,networkpolicies' in words[2]
    assert '-n hermes -l app.kubernetes.io/part-of=hermes' in words[2]
    assert words[3].startswith('delete secret hermes-secrets -n hermes')
    assert not [each for each in words if re.search('persistentvolume|namespace|-n registry', each)]


def test_a_pod_that_does_not_go(tree):
    tree.kubectl.on('get pods', 'pod/hermes-6b5-x\n')
    done = tree.run('undeploy', YES='1', TIMEOUT='1')
    assert done.status == 1 and "the agent's pod is still there" in done.err


def test_what_cannot_be_removed(tree):
    tree.kubectl.on('^delete deployments', code=1, err='forbidden\n')
    done = tree.run('undeploy', YES='1')
    assert done.status == 1 and 'could not all be removed: forbidden' in done.err
