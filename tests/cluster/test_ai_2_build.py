"""The image, built inside the cluster by kaniko under the limits of the Job that is shipped."""
import gzip
import json
import re

from conftest import figure
from meter import MIB
from push import ACCEPTED

REPOSITORY = 'hermes'
IMAGE_BYTES = 6_000_000
LIMIT_BYTES = 512 * MIB
LIBRARIES_RUN = r'RUN set -eu;.* cross/sysroot '
SOURCES_RUN = r'RUN set -eu;.* scripts/build static '
CACHED = 'Using caching version of cmd: '
LIBRARY_BUILT = r'^\[\d/\d\] \S+ +\S+ +\d+ s '
SOURCES_BUILT = r'^built build/\S+-linux-musl/hermes \(\d+ bytes\)'
LIBRARIES = 8


def note(name, build):
    figure(f'{name}: wall time', f'{build.made.seconds:.0f} s')
    figure(f'{name}: CPU', f'{build.cost.cpu_seconds:.0f} s')
    figure(f'{name}: peak memory of its programs', f'{build.cost.rss / MIB:.0f} MiB')
    figure(f'{name}: peak with the page cache', f'{build.cost.usage / MIB:.0f} MiB of 512')


def libraries_from_cache(log):
    return re.search(CACHED + LIBRARIES_RUN, log)


def judge(build):
    build.made.says(rf'ok +built registry\.registry:5000/{REPOSITORY}:\S+ in .* on hermes-test',
                    r'sha256:[0-9a-f]{64}')
    assert 0 < build.cost.rss < LIMIT_BYTES and build.cost.cpu_seconds > 1, build
    assert not re.search(CACHED + SOURCES_RUN, build.log), 'our sources came out of the cache'
    assert re.search(SOURCES_BUILT, build.log, re.M), 'our sources were not compiled'


def test_the_first_build(built, laptop, store):
    judge(built)
    if libraries_from_cache(built.log):
        assert built.restored, 'a fresh registry cannot have had the libraries'
    else:
        assert len(re.findall(LIBRARY_BUILT, built.log, re.M)) == LIBRARIES
        assert built.asked, 'it got its packages from nobody'
        note('cold build', built)
    assert {laptop.tag, 'latest'} <= set(store.tags(REPOSITORY))


def test_a_second_build_compiles_our_sources_and_nothing_else(rebuilt, laptop, store):
    judge(rebuilt)
    assert libraries_from_cache(rebuilt.log), 'the libraries were built again'
    assert not re.search(LIBRARY_BUILT, rebuilt.log, re.M), 'a library was compiled'
    assert not rebuilt.asked, f'it asked outside: {rebuilt.asked}'
    assert laptop.tag in store.tags(REPOSITORY)
    note('warm build', rebuilt)


def test_what_is_there_is_not_built_again(rebuilt, laptop, node):
    job = node.get('job', 'hermes-build', 'registry')['metadata']['uid']
    laptop.make('ai-hermes-build').ok().says('the registry has it already')
    assert node.get('job', 'hermes-build', 'registry')['metadata']['uid'] == job


def test_the_job_is_held_to_what_it_says(built, node):
    job = node.get('job', 'hermes-build', 'registry')
    container = job['spec']['template']['spec']['containers'][0]
    assert container['image'] == 'registry.registry:5000/kaniko:test'
    assert container['resources']['limits']['memory'] == '512Mi'
    assert container['securityContext']['capabilities']['drop'] == ['ALL']
    assert job['spec']['activeDeadlineSeconds'] == 3600 and job['spec']['backoffLimit'] == 3


def unpacked_bytes(store, tag):
    manifest = json.loads(store.ask('GET', f'/v2/{REPOSITORY}/manifests/{tag}',
                                    Accept=ACCEPTED)[2])
    blobs = [store.ask('GET', f'/v2/{REPOSITORY}/blobs/{layer["digest"]}')[2]
             for layer in manifest['layers']]
    return sum(len(gzip.decompress(blob) if blob[:2] == b'\x1f\x8b' else blob) for blob in blobs)


def test_the_image_is_small(rebuilt, laptop, store):
    size = unpacked_bytes(store, laptop.tag)
    figure('the image, unpacked', f'{size / 1e6:.2f} MB')
    assert size <= IMAGE_BYTES


def test_its_pod_tells_the_digest_that_the_registry_has(rebuilt, node, laptop, store):
    pod, = json.loads(node.kubectl('get', 'pods', '-n', 'registry', '-o', 'json', '-l',
                                   'app.kubernetes.io/name=hermes-build').stdout)['items']
    ended = pod['status']['containerStatuses'][0]['state']['terminated']
    assert ended['message'] == store.digest(REPOSITORY, laptop.tag)


def test_a_build_that_nobody_waited_for_is_recorded(rebuilt, laptop, node, store):
    job = node.get('job', 'hermes-build', 'registry')['metadata']['uid']
    node.kubectl('annotate', 'configmap', 'hermes-build', '-n', 'registry', 'hermes/built-')
    node.kubectl('patch', 'configmap', 'hermes-images', '-n', 'registry', '--type', 'merge', '-p',
                 json.dumps({'data': {laptop.tag: None}}))
    laptop.make('ai-hermes-build').ok().says('is not recorded yet', 'ok +built')
    assert node.get('job', 'hermes-build', 'registry')['metadata']['uid'] == job
    images = node.get('configmap', 'hermes-images', 'registry')['data']
    assert images[laptop.tag].endswith('@' + store.digest(REPOSITORY, laptop.tag))
    laptop.make('ai-hermes-build').ok().says('the registry has it already')
