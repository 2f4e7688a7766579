"""The edges: as many sources as fit, a registry that is cleaned, and nothing secret
anywhere that it does not belong."""
import base64
import json
import os
import pathlib

import pytest
from outside import SECRET_VALUES
from push import ACCEPTED, DOCKER_MANIFEST

PART_BYTES, PARTS = 900 << 10, 4
LIMIT_BYTES = PARTS * PART_BYTES
SLACK_BYTES = 4096                 # what packing adds to noise
COLLECT_SECONDS = 120
KINDS_MIN = 30


def test_more_sources_than_fit_are_told_before_anything_happens(clean_tree, node):
    before = node.get('configmap', 'hermes-build', 'registry')['metadata']['resourceVersion']
    (clean_tree.tree / 'src/noise.bin').write_bytes(os.urandom(LIMIT_BYTES))
    clean_tree.make('ai-hermes-build').fails(
        r'the packed sources are \d+ KiB, more than 3600 KiB', r'src/noise\.bin',
        'CONTEXT=git://')
    assert node.get('configmap', 'hermes-build', 'registry')['metadata'][
        'resourceVersion'] == before


def test_sources_as_large_as_may_be_reach_the_build(clean_tree, build, mcp_built):
    noise = os.urandom(LIMIT_BYTES - clean_tree.package_bytes() - SLACK_BYTES)
    (clean_tree.tree / 'src/noise.bin').write_bytes(noise)
    found = build('kubernetes-mcp', FORCE=1)
    found.made.says(r'packed (359\d|3600) of at most 3600 KiB')


@pytest.fixture
def collect(node):
    """collect(name, VARIABLE='value') runs the CronJob's Job once; what its first pod said, and
    whether that ended well."""
    names = []

    def run(name, **variables):
        job = json.loads(node.kubectl('create', 'job', name, '-n', 'registry', '-o', 'json',
                                      '--from=cronjob/registry-collect', '--dry-run=client').stdout)
        for variable in job['spec']['template']['spec']['containers'][0]['env']:
            variable['value'] = variables.get(variable['name'], variable['value'])
        names.append(name)
        node.apply(job)

        def ended():
            pods = json.loads(node.kubectl('get', 'pods', '-n', 'registry', '-l',
                                           f'job-name={name}', '-o', 'json').stdout)['items']
            return [pod for pod in pods if pod['status']['phase'] in ('Succeeded', 'Failed')]

        pod = node.wait(ended, COLLECT_SECONDS, f'no pod of {name} ended')[0]
        said = node.kubectl('logs', '-n', 'registry', pod['metadata']['name']).stdout
        return said, pod['status']['phase'] == 'Succeeded'

    yield run
    for name in names:
        node.kubectl('delete', 'job', name, '-n', 'registry', '--ignore-not-found')


def test_a_registry_that_was_just_pushed_to_is_cleaned_or_says_why_not(collect, rebuilt):
    """A build that ended by force leaves its upload open, and nobody can tell it from one that
    goes on."""
    said, well = collect('as-it-is')
    if well:
        assert 'MiB before' in said, said
    else:
        assert 'did nothing: a push began within the last 60 minutes' in said, said


def test_the_registry_is_cleaned_and_its_images_still_pull(collect, agent, node, built, rebuilt,
                                                           store):
    raw = store.ask('GET', f'/v2/hermes/manifests/{built.tag}', Accept=ACCEPTED)[2]
    store.ask('PUT', '/v2/hermes/manifests/newest', raw, Content_Type=DOCKER_MANIFEST)
    said, well = collect('at-once', QUIET_MINUTES='0', KEEP_TAGS='2')
    assert well and 'MiB before' in said and f'forgot hermes:{built.tag}' in said, said
    assert built.tag not in store.tags('hermes')
    for tag in (rebuilt.tag, 'latest', 'newest'):
        name = f'registry.registry:5000/hermes:{tag}'
        node.sh(f'k3s ctr images rm --sync {name}; k3s crictl pull {name}')


def test_the_log_is_shown(agent, laptop):
    laptop.make('ai-logs').ok().says('"event":"?telegram|telegram')
    laptop.make('ai-logs', OF='registry').ok()
    laptop.make('ai-logs', OF='something').fails('hermes, registry, hermes-build')


def everything_but_secrets(node):
    """All objects of all kinds that the API server has, events too, as YAML."""
    kinds = node.kubectl('api-resources', '--verbs=list', '-o', 'name').stdout.split()
    kinds = [kind for kind in kinds if kind != 'secrets']
    assert len(kinds) > KINDS_MIN and 'events' in kinds and 'pods' in kinds, kinds
    return node.kubectl('get', '-A', '-o', 'yaml', '--show-managed-fields', ','.join(kinds)).stdout


def test_nothing_secret_is_anywhere_but_in_the_secret(agent, laptop, node):
    values = {value: base64.b64encode(value.encode()).decode() for value in SECRET_VALUES}
    objects = everything_but_secrets(node)
    assert 'hermes-secrets' in objects
    printed = '\n'.join(made.out for made in laptop.printed)
    logs = '\n'.join(path.read_text(errors='replace')
                     for path in pathlib.Path(node.place.logs).rglob('*.log') if path.is_file())
    logs += agent.run('sh', '-c', 'cat /opt/data/logs/*')
    left = '\n'.join(path.read_text(errors='replace')
                     for path in (laptop.tree / 'build/ai').rglob('*') if path.is_file())
    for plain, encoded in values.items():
        for where, text in (('objects', objects), ('output', printed), ('logs', logs),
                            ('build/ai', left)):
            assert plain not in text and encoded not in text, f'{plain[:12]}... is in {where}'
    secret = node.get('secret', 'hermes-secrets', 'hermes')
    assert json.dumps(secret['data']).count(values[SECRET_VALUES[0]]) == 1
    assert 'annotations' not in secret['metadata'], secret['metadata']
