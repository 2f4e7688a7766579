"""make ai-hermes-build and ai-kubernetes-mcp-build."""

import base64
import hashlib
import json
import os
import random
import re
import subprocess

import pytest
from cluster import container, event, job, pod

JOB = 'hermes-build'
POD = 'hermes-build-x7k'
DIGEST = 'sha256:' + 'd' * 64
IMAGE = f'registry.registry:5000/hermes@{DIGEST}'
COMPLETE = job(JOB, succeeded='1', end='Complete')
DONE = COMPLETE + pod(POD, 'Succeeded', hash_='') + \
    container(POD, 'terminated', 'Completed', message=DIGEST)
RUNNING = job(JOB, active='1') + pod(POD, hash_='') + container(POD)


def failed_pod(name=POD, reason='Error', code='1', created='2026-01-31T12:00:00Z'):
    return pod(name, 'Failed', hash_='', created=created) + \
        container(name, 'terminated', reason, code)


def build(tree, what='hermes', **environment):
    return tree.run('build', what, **{'TAG': 'v1', **environment})


def test_a_build_from_the_tree(tree):
    tree.kubectl.sees(JOB, job(JOB), RUNNING, RUNNING, DONE)
    tree.kubectl.on('logs', 'INFO[0007] Running: scripts/build\n')
    done = build(tree, TAG='')
    assert done.status == 0, done.text
    tag = re.search(r'built registry.registry:5000/hermes:(tree-\w+) in 2 min 3 s on pi1', done.out)
    assert tag, done.out
    assert DIGEST in done.out
    overlay = tree.kubectl.overlay(JOB)
    for literal in ('CONTEXT=tar:///context/context.tar.gz', 'DOCKERFILE=kaniko/Dockerfile',
                    f'DESTINATION=registry.registry:5000/hermes:{tag[1]}',
                    'LATEST=registry.registry:5000/hermes:latest',
                    'CACHE=registry.registry:5000/hermes/cache', 'REGISTRY=registry.registry:5000',
                    'CONTEXT_DIGEST=' + digest_of(tree.root / 'build/ai/context.tar.gz'),
                    'BASE_IMAGE=debian:trixie-slim', 'HTTP_PROXY='):
        assert f"      - '{literal}'\n" in overlay
    assert 'disableNameSuffixHash: true' in overlay and 'kaniko-project' not in overlay
    assert tree.kubectl.calls('kustomize')[0]['files'] == ['kustomization.yaml', *PARTS]
    noted = ' '.join(tree.kubectl.calls('annotate')[0]['words'])
    assert f'hermes/built-image=registry.registry:5000/hermes:{tag[1]}' in noted
    assert (tree.root / 'build/ai/hermes-build.log').read_text().startswith('INFO[0007]')
    kept, = tree.kubectl.calls('patch configmap hermes-images')
    assert json.loads(kept['words'][-1]) == {
        'data': {tag[1]: IMAGE}}


def test_a_digest_is_kept_where_none_was_kept_before(tree):
    tree.kubectl.sees(JOB, DONE)
    tree.kubectl.on('get configmap hermes-images .*-o name', '')
    done = build(tree)
    assert done.status == 0, done.text
    made, = tree.kubectl.calls('create configmap hermes-images')
    assert f'--from-literal=v1={IMAGE}' in made['words']
    assert not tree.kubectl.calls('^patch')


@pytest.mark.parametrize('verb', ['get', 'patch'])
def test_a_digest_that_cannot_be_kept_is_told_with_the_reason(tree, verb):
    tree.kubectl.sees(JOB, DONE)
    tree.kubectl.on(f'^{verb} configmap hermes-images .*(-o name|--type merge)', code=1,
                    err='admission webhook denied it\n')
    done = build(tree)
    assert done.status == 1
    assert 'could not be recorded in the cluster: admission webhook denied it' in done.err
    assert not tree.kubectl.calls('^(create configmap|annotate)')


@pytest.mark.parametrize('state', [
    COMPLETE + pod(POD, 'Succeeded', hash_='') + container(POD, 'terminated', 'Completed'),
    COMPLETE + pod(POD, 'Failed', hash_='') + container(POD, 'terminated', 'Error', '1',
                                                        message=DIGEST),
    COMPLETE], ids=['no message', 'of a push that failed', 'no pod'])
def test_a_digest_that_the_builder_did_not_tell_is_missed(tree, state):
    tree.kubectl.sees(JOB, state)
    done = build(tree)
    assert done.status == 1 and 'does not say which content it pushed' in done.err
    assert 'make ai-hermes-build FORCE=1' in done.err
    assert not tree.kubectl.calls('^(patch|annotate) configmap')


def test_a_log_that_cannot_be_read_does_not_fail_a_good_build(tree):
    tree.kubectl.sees(JOB, DONE)
    tree.kubectl.on('logs', 'INFO[0007] Runn', code=1, err='unexpected EOF\n')
    done = build(tree)
    assert done.status == 0 and 'its log could not be read' in done.err, done.text
    assert tree.kubectl.calls('patch configmap hermes-images')


def test_a_job_goes_before_its_successor_comes(tree):
    tree.kubectl.sees(JOB, DONE)
    build(tree)
    words = [' '.join(call['words']) for call in tree.kubectl.calls('^(delete|apply)')]
    assert words[0].startswith('delete job hermes-build') and '--cascade=foreground' in words[0]
    assert words[1].startswith('apply --server-side')


def test_settings_reach_the_job(tree):
    tree.kubectl.sees(JOB, DONE)
    build(tree, KANIKO_IMAGE='registry.registry:5000/kaniko:test', BASE_IMAGE="de'bian:x",
          BUILD_HTTP_PROXY='http://10.99.0.254:3128', REGISTRY='ghcr.io/me')
    overlay = tree.kubectl.overlay(JOB)
    assert "newName: 'registry.registry:5000/kaniko'\n    newTag: 'test'" in overlay
    assert "'BASE_IMAGE=de''bian:x'" in overlay
    assert "'HTTP_PROXY=http://10.99.0.254:3128'" in overlay
    assert "'DESTINATION=ghcr.io/me/hermes:v1'" in overlay


def test_the_other_build_has_the_version_that_its_dockerfile_pins(tree):
    name = 'kubernetes-mcp-build'
    tree.kubectl.sees(name, DONE.replace(JOB, name))
    done = build(tree, 'kubernetes-mcp')
    assert done.status == 0, done.text
    overlay = tree.kubectl.overlay(name)
    assert "'DESTINATION=registry.registry:5000/kubernetes-mcp-server:v0.0.66'" in overlay
    assert "'DOCKERFILE=kaniko/Dockerfile.kubernetes-mcp'" in overlay


def test_sources_from_git(tree):
    tree.kubectl.sees(JOB, DONE)
    done = build(tree, CONTEXT="git://example.org/h.git#refs/heads/main", TAG='')
    assert done.status == 0, done.text
    assert "'CONTEXT=git://example.org/h.git#refs/heads/main'" in tree.kubectl.overlay(JOB)
    assert (tree.root / 'build/ai/context.tar.gz').stat().st_size < 100
    assert re.search(r'hermes:git-\d{14}', done.out)


def test_too_large_a_tree_starts_nothing(tree):
    (tree.root / 'src/huge').write_bytes(random.Random(1).randbytes(4 << 20))
    done = build(tree)
    assert done.status == 1 and 'more than 3600 KiB' in done.err
    assert not tree.kubectl.calls('^(delete|apply|create)')


# ---- the sources, in parts

PARTS = [f'part-{number}' for number in (1, 2, 3, 4)]
PART_BYTES = 900 << 10


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def parted(tree):
    """A build whose sources fill one part and some of the next: the objects that a cluster gets,
    and the archive itself."""
    (tree.root / 'src/noise').write_bytes(random.Random(1).randbytes(PART_BYTES + (64 << 10)))
    tree.kubectl.sees(JOB, DONE)
    done = build(tree, REGISTRY_IMAGE='mirror.test/registry:2.8.3')
    assert done.status == 0, done.text
    return tree.rendered(JOB), (tree.root / 'build/ai/context.tar.gz').read_bytes()


def parts_of(things):
    """In the order in which the pod sees them, by the names of their files."""
    pod_spec = things['Job', JOB]['spec']['template']['spec']
    volume, = [one for one in pod_spec['volumes'] if one['name'] == 'parts']
    for source in volume['projected']['sources']:
        item, = source['configMap']['items']
        made = things['ConfigMap', source['configMap']['name']]
        data = made.get('data', {}).get(item['key'])
        yield item['path'], (base64.b64decode(made['binaryData'][item['key']]) if data is None
                             else data.encode())


def test_sources_larger_than_a_configmap_come_in_parts(parted):
    things, archive = parted
    parts = dict(parts_of(things))
    assert sorted(parts) == PARTS and all(len(part) <= PART_BYTES for part in parts.values())
    assert [len(parts[name]) for name in PARTS] == [PART_BYTES, len(archive) - PART_BYTES, 0, 0]
    assert b''.join(parts[name] for name in PARTS) == archive


def joined(things, folder, parts):
    """The init container of the Job, run here over these parts; its result."""
    init, = things['Job', JOB]['spec']['template']['spec']['initContainers']
    assert init['image'] == 'mirror.test/registry:2.8.3'
    for name, content in parts.items():
        (folder / 'parts').mkdir(exist_ok=True)
        (folder / 'parts' / name).write_bytes(content)
    (folder / 'context').mkdir()
    shell, *options, script = init['command']
    for place in ('parts', 'context'):
        script = script.replace(f'/{place}/', f'{folder}/{place}/')
    digest = things['ConfigMap', JOB]['data']['CONTEXT_DIGEST']
    assert shell == '/bin/sh'
    return subprocess.run(['busybox', 'sh', *options, script], capture_output=True, text=True,
                          env={'CONTEXT_DIGEST': digest, 'PATH': os.environ['PATH']})


def test_the_parts_are_joined_and_compared(parted, tmp_path):
    things, archive = parted
    done = joined(things, tmp_path, dict(parts_of(things)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / 'context/context.tar.gz').read_bytes() == archive


@pytest.mark.parametrize('damage', ['lost', 'changed', 'of an earlier build'])
def test_parts_that_are_not_what_was_packed_are_refused(parted, tmp_path, damage):
    things, _ = parted
    parts = dict(parts_of(things))
    if damage == 'lost':
        del parts['part-2']
    elif damage == 'changed':
        parts['part-2'] = parts['part-2'][:-1] + b'!'
    else:
        parts['part-3'] = b'what stood there before'
    done = joined(things, tmp_path, parts)
    assert done.returncode == 1 and 'the sources did not arrive whole' in done.stdout + done.stderr


def test_sources_that_did_not_arrive_are_told(tree):
    tree.kubectl.sees(JOB, job(JOB, failed='4', end='Failed', reason='BackoffLimitExceeded') +
                      pod(POD, 'Failed', hash_='') + container(
                          POD, 'terminated', 'Error', '1', container_name='join') + container(
                          POD, 'waiting', 'PodInitializing', container_name='kaniko'))
    tree.kubectl.on('logs .*-c join', 'the sources did not arrive whole\n')
    tree.kubectl.on('logs .*-c kaniko', code=1, err='is waiting to start: PodInitializing\n')
    done = build(tree)
    assert done.status == 1 and 'the sources did not arrive whole' in done.err
    assert 'what to do: make ai-hermes-build FORCE=1' in done.err


# ---- again

RECIPE = 'registry.registry:5000/hermes:v1 debian:trixie-slim tar:///context/context.tar.gz'


def started(tree, recipe=RECIPE, state='1/'):
    tree.kubectl.on('get job', state)
    tree.kubectl.on('get configmap hermes-build .*DESTINATION', recipe)


def test_the_same_build_that_runs_is_awaited(tree):
    started(tree)
    tree.kubectl.sees(JOB, RUNNING, DONE)
    done = build(tree)
    assert done.status == 0 and 'waiting for that one' in done.out
    assert not tree.kubectl.calls('^(delete|apply)')


@pytest.mark.parametrize('recipe, force', [
    (RECIPE.replace('v1', 'v0'), ''), (RECIPE.replace('trixie', 'sid'), ''), (RECIPE, '1')])
def test_another_build_that_runs_is_replaced_and_with_force_the_same(tree, recipe, force):
    started(tree, recipe)
    tree.kubectl.sees(JOB, RUNNING, DONE)
    assert build(tree, FORCE=force).status == 0
    assert tree.kubectl.calls('^delete job') and tree.kubectl.calls('^apply')


@pytest.mark.parametrize('before', ['', RECIPE.replace('v1', 'v0')])
def test_a_build_that_ended_while_nobody_waited_is_recorded(tree, before):
    started(tree, state='/1')
    tree.kubectl.on(r'get configmap hermes-build .*hermes/built}', before)
    tree.kubectl.sees(JOB, DONE)
    done = build(tree)
    assert done.status == 0 and 'is not recorded yet' in done.out, done.text
    assert not tree.kubectl.calls('^(delete|apply)')
    assert tree.kubectl.calls('patch configmap hermes-images')
    assert f'hermes/built={RECIPE}' in tree.kubectl.calls('annotate')[0]['words']


@pytest.mark.parametrize('state, before', [('/1', RECIPE), ('/', '')], ids=['recorded', 'failed'])
def test_a_build_that_ended_otherwise_is_not_taken_for_it(tree, state, before):
    started(tree, state=state)
    tree.kubectl.on(r'get configmap hermes-build .*hermes/built}', before)
    tree.kubectl.sees(JOB, DONE)
    assert build(tree).status == 0
    assert tree.kubectl.calls('^delete job') and tree.kubectl.calls('^apply')


def built_before(tree):
    tree.kubectl.on(r'get configmap hermes-build .*hermes/built}', RECIPE)
    tree.kubectl.on('get configmap hermes-images .*"v1"', IMAGE)
    tree.kubectl.on('exec -n registry deployment/registry -- test -s /var/lib/registry/docker/'
                    'registry/v2/repositories/hermes/_manifests/revisions/sha256/d{64}/link', '')
    tree.kubectl.sees(JOB, DONE)


def test_what_the_registry_holds_is_not_built_again(tree):
    built_before(tree)
    done = build(tree)
    assert done.status == 0 and 'has it already (FORCE=1' in done.out
    assert not tree.kubectl.calls('^(delete|apply)')


@pytest.mark.parametrize('why', ['forced', 'lost', 'other base', 'digest is not known',
                                 'digest is not told', 'registry is elsewhere'])
def test_it_is_built_again_when(tree, why):
    built_before(tree)
    if why == 'lost':
        tree.kubectl.on('exec ', code=1)
    if why == 'digest is not known':
        tree.kubectl.on('get configmap hermes-images', '')
    if why == 'digest is not told':
        tree.kubectl.on('get configmap hermes-images .*go-template', code=1, err='timed out\n')
    environment = {'forced': {'FORCE': '1'}, 'other base': {'BASE_IMAGE': 'debian:sid'},
                   'registry is elsewhere': {'REGISTRY': 'ghcr.io/me'}}
    if why == 'registry is elsewhere':
        tree.kubectl.on(r'get configmap hermes-build .*hermes/built}',
                        RECIPE.replace('registry.registry:5000', 'ghcr.io/me'))
        tree.kubectl.on('get configmap hermes-images .*"v1"',
                        IMAGE.replace('registry.registry:5000', 'ghcr.io/me'))
    done = build(tree, **environment.get(why, {}))
    assert done.status == 0 and tree.kubectl.calls('^apply')


def test_what_cannot_be_removed(tree):
    tree.kubectl.on('^delete job', code=1, err='timed out waiting for the condition\n')
    done = build(tree)
    assert done.status == 1 and 'could not be removed: timed out waiting' in done.err


# ---- failures

def test_out_of_memory(tree):
    tree.kubectl.sees(JOB, job(JOB, failed='4', end='Failed', reason='BackoffLimitExceeded') +
                      failed_pod(reason='OOMKilled', code='137'))
    tree.kubectl.on('logs', 'INFO[0100] Taking snapshot of full filesystem...\n')
    done = build(tree)
    assert done.status == 1
    assert 'out of memory on pi1 (ended by OOMKilled, exit 137)' in done.err
    assert 'raise limits.memory in kaniko/hermes-build/job.yaml' in done.err
    assert 'Taking snapshot of full filesystem' in done.err


def test_a_compiler_that_was_killed_is_out_of_memory_too(tree):
    tree.kubectl.sees(JOB, job(JOB, failed='4', end='Failed', reason='BackoffLimitExceeded') +
                      failed_pod())
    tree.kubectl.on('logs', 'gcc: fatal error: Killed signal terminated program cc1\n'
                    'ninja: stopped\n')
    done = build(tree)
    assert done.status == 1 and 'out of memory on pi1 (its compiler was killed)' in done.err


def test_a_mistake_in_the_sources_is_told_at_once_and_at_the_end(tree):
    first = job(JOB, active='1', failed='1') + failed_pod()
    again = first + pod('hermes-build-two', hash_='', created='2026-01-31T12:01:00Z') + \
        container('hermes-build-two')
    end = job(JOB, failed='4', end='Failed', reason='BackoffLimitExceeded',
              message='Job has reached the specified backoff limit') + \
        failed_pod('hermes-build-two', created='2026-01-31T12:01:00Z')
    tree.kubectl.sees(JOB, RUNNING, first, first, again, end)
    tree.kubectl.on('logs', 'src/base/buf.c:7:1: error: expected ;\nninja: build stopped\n')
    done = build(tree)
    assert done.status == 1
    assert done.out.count('an attempt failed') == 2
    assert 'Kubernetes tries again' in done.out
    assert 'buf.c:7:1: error: expected ;' in done.out
    assert 'it ended with exit 1 (Error): src/base/buf.c:7:1: error: expected ;' in done.err
    assert not tree.kubectl.calls('annotate')


def test_a_second_attempt_that_works(tree):
    first = job(JOB, active='1', failed='1') + failed_pod()
    tree.kubectl.sees(JOB, first, DONE)
    tree.kubectl.on('logs', 'Temporary failure resolving\n')
    done = build(tree)
    assert done.status == 0 and 'an attempt failed' in done.out and 'ok  built' in done.out


def test_a_deadline_whose_pod_is_gone(tree):
    tree.kubectl.sees(JOB, RUNNING, RUNNING, job(JOB, failed='1', end='Failed',
                                                 reason='DeadlineExceeded'))
    tree.kubectl.on('logs', 'INFO[3590] Running: cross/sysroot\n')
    done = build(tree)
    assert done.status == 1
    assert "longer than the Job's activeDeadlineSeconds" in done.err
    assert 'Running: cross/sysroot' in done.err


FAILED = job(JOB, failed='4', end='Failed', reason='BackoffLimitExceeded') + failed_pod()


@pytest.mark.parametrize('said, why, todo', [
    ('error checking push permissions -- make sure you entered the correct tag name: checking push '
     'permission for "r": creating push check transport: Get "http://r": connection refused',
     'does not reach the registry', 'make ai-registry'),
    ('error checking push permissions: checking push permission for "r": UNAUTHORIZED: '
     'authentication required', 'the registry refuses the build', 'registry/docker-config.json'),
    ('error building image: unable to complete operation after 0 attempts, last error: GET '
     'http://r/manifests/1: MANIFEST_UNKNOWN: manifest unknown', 'base image', 'BASE_IMAGE'),
    ('error building image: last error: Get "https://index.docker.io/v2/": dial tcp: lookup x: no '
     'such host', 'does not reach what it fetches', 'BUILD_HTTP_PROXY'),
    ('error pushing image: UNKNOWN: unknown error; map[DriverName:filesystem Enclosed:map[Err:28 '
     'Op:write', 'a disk is full', 'registry-collect'),
])
def test_what_the_builder_says_of_the_world(tree, said, why, todo):
    tree.kubectl.sees(JOB, FAILED)
    tree.kubectl.on('logs', f'INFO[0001] x\n{said}\n')
    done = build(tree)
    assert done.status == 1 and why in done.err and todo in done.err and said in done.err


def test_a_cause_before_pages_of_usage_is_found(tree):
    tree.kubectl.sees(JOB, FAILED)
    tree.kubectl.on('logs', 'Error: error resolving source context: reference not found\nUsage:\n' +
                    '      --flag   what it does\n' * 110)
    done = build(tree)
    assert 'the sources cannot be fetched: Error: error resolving source' in done.err
    assert done.err.count('--flag') < 25


def test_a_command_of_the_build_that_failed_is_the_cause(tree):
    tree.kubectl.sees(JOB, FAILED)
    tree.kubectl.on('logs', 'done.\nsysroot: mbedtls could not be fetched\nerror building image: '
                    'failed to execute command: waiting for process to exit: exit status 1\n')
    err = build(tree).err
    assert 'exit 1 (Error): sysroot: mbedtls could not be fetched' in err
    assert 'make ai-logs OF=hermes-build)' in err


def test_pod_security_refuses_it(tree):
    tree.kubectl.sees(JOB, job(JOB))
    tree.kubectl.warns(event('Job', JOB, 'FailedCreate', 'Error creating: pods "hermes-build-x" is '
                             'forbidden: violates PodSecurity "restricted:latest": runAsUser=0'))
    done = build(tree)
    assert done.status == 1
    assert 'Pod Security refuses the pod' in done.err and 'runAsUser=0' in done.err


def test_the_builder_cannot_be_pulled(tree):
    tree.kubectl.sees(JOB, job(JOB, active='1') + pod(POD, 'Pending', hash_='') +
                      container(POD, 'waiting', 'ErrImagePull', message='rpc error: failed to pull '
                                'and unpack image "gcr.io/kaniko-project/executor:v9": '
                                'not found'))
    tree.kubectl.warns(event('Pod', POD, 'Failed', 'Failed to pull image "gcr.io/'
                             'kaniko-project/executor:v9": rpc error: code = NotFound desc = '
                             'gcr.io/kaniko-project/executor:v9: not found'))
    done = build(tree)
    assert done.status == 1
    assert 'pi1 cannot pull gcr.io/kaniko-project/executor:v9' in done.err
    assert 'KANIKO_IMAGE' in done.err


def test_no_node_has_the_memory(tree):
    tree.kubectl.sees(JOB, job(JOB, active='1') + pod(
        POD, 'Pending', node='', scheduled='False', hash_='',
        message='0/1 nodes are available: 1 Insufficient memory.'))
    done = build(tree)
    assert done.status == 1 and 'no node has the memory: 0/1 nodes' in done.err


def test_the_registry_is_full(tree):
    tree.kubectl.sees(JOB, job(JOB, failed='4', end='Failed', reason='BackoffLimitExceeded') +
                      failed_pod())
    tree.kubectl.on('logs', 'error pushing image: write /var/lib/registry: no space left on '
                    'device\n')
    done = build(tree)
    assert done.status == 1 and 'a disk is full' in done.err
    assert 'cronjob/registry-collect' in done.err


def test_an_apply_that_is_refused(tree):
    tree.kubectl.on('apply', code=1, err='Error from server (Forbidden): configmaps is forbidden\n')
    done = build(tree)
    assert done.status == 1 and 'the cluster refuses it' in done.err
    assert 'configmaps is forbidden' in done.err


def test_a_kubectl_that_knows_no_kustomize(tree):
    tree.kubectl.on('kustomize', code=1, err='error: json: unknown field "labels"\n')
    done = build(tree)
    assert done.status == 1 and '1.24 is new enough' in done.err and 'unknown field' in done.err


def test_a_warning_of_the_api_is_shown(tree):
    tree.kubectl.on('apply', 'x\n', err='Warning: would violate PodSecurity "restricted"\n')
    tree.kubectl.sees(JOB, DONE)
    assert 'would violate PodSecurity' in build(tree).out
