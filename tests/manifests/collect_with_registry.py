"""registry/collect.sh in a busybox shell, on the storage of a registry that is running.

Not one of `make test`, which needs no registry: `make test-image` has one and runs this file.
"""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'fakes')]

from registry_peer import INDEX, Registry, digest, layer  # noqa: E402

DAY = 24 * 60  # minutes


@pytest.fixture
def registry(tmp_path):
    peer = Registry(tmp_path)
    yield peer
    peer.stop()


def settle(registry):
    """All that was pushed so far was pushed two hours ago."""
    for link in registry.storage.rglob('link'):
        registry.age(link, 120)


def test_an_empty_registry_is_fine(registry):
    status, said = registry.collect()
    assert (status, said) == (0, 'collect: nothing was ever pushed\n')


def test_the_newest_tags_stay_and_the_space_of_the_others_comes_back(registry):
    for number in range(5):
        registry.push('hermes', f't{number}', number)
        registry.age_tag('hermes', f't{number}', 600 - number)
    status, said = registry.collect(KEEP_TAGS='2', QUIET_MINUTES='0')
    assert status == 0, said
    assert registry.tags('hermes') == ['t3', 't4']
    assert 'forgot hermes:t0, old' in said and 't3' not in said
    assert [registry.pull('hermes', tag) for tag in ('t3', 't4')] == [2, 2]
    assert not registry.blob_file(digest(layer(0, 100_000))).exists()
    assert registry.blob_file(digest(layer(4, 100_000))).exists()


def test_a_tag_pushed_again_is_new(registry):
    for number in range(3):
        registry.push('hermes', f't{number}', number)
        registry.age_tag('hermes', f't{number}', 600 - number)
    registry.push('hermes', 't0', 'again')
    registry.collect(KEEP_TAGS='1')
    assert registry.tags('hermes') == ['t0']
    assert registry.pull('hermes', 't0') == 2


def test_latest_stays_however_old_it_is(registry):
    registry.push('hermes', 'latest', 'old')
    for number in range(3):
        registry.push('hermes', f't{number}', number)
    registry.age_tag('hermes', 'latest', 100 * DAY)
    registry.collect(KEEP_TAGS='2', QUIET_MINUTES='0')
    assert 'latest' in registry.tags('hermes') and len(registry.tags('hermes')) == 3
    assert registry.pull('hermes', 'latest') == 2


def test_a_cache_goes_by_age_and_not_by_number(registry):
    for number in range(15):
        registry.push('hermes/cache', f'k{number}', number, size=320)
    registry.push('hermes', 'v1', 'image')
    settle(registry)
    registry.age_tag('hermes/cache', 'k0', 15 * DAY + 1)
    registry.age_tag('hermes/cache', 'k1', 15 * DAY - 5)
    registry.age_tag('hermes', 'v1', 99 * DAY)
    status, said = registry.collect()
    assert status == 0 and said.count('forgot') == 1, said
    assert 'k0' not in registry.tags('hermes/cache') and len(registry.tags('hermes/cache')) == 14
    assert registry.pull('hermes/cache', 'k1') == 2 and registry.pull('hermes', 'v1') == 2


def test_what_is_deleted_can_be_pushed_again_at_once(registry):
    """The registry must not claim a layer that is gone, or the push leaves it out."""
    old = registry.push('hermes', 't0', 'old')
    registry.age_tag('hermes', 't0', 600)
    registry.push('hermes', 't1', 'new')
    settle(registry)
    registry.age_tag('hermes', 't0', 600)
    registry.collect(KEEP_TAGS='1')
    assert registry.status('GET', f"hermes/manifests/{old['digest']}") == 404
    assert registry.status('HEAD', f"hermes/blobs/{digest(layer('old', 100_000))}") == 404
    registry.push('hermes', 't2', 'old')
    assert registry.pull('hermes', 't2') == 2


def test_nothing_is_touched_while_an_upload_is_open(registry):
    for number in range(3):
        registry.push('hermes', f't{number}', number)
    settle(registry)
    data = b'first half, second half'
    place = registry.begin_upload('other', data[:11])
    status, said = registry.collect(KEEP_TAGS='1')
    assert status == 1 and 'collect: did nothing' in said and 'other/_uploads' in said
    assert len(registry.tags('hermes')) == 3
    mark = '&' if '?' in place else '?'
    registry.ask('PUT', f'{place}{mark}digest={digest(data)}', data[11:],
                 Content_Type='application/octet-stream')
    assert registry.ask('GET', f'other/blobs/{digest(data)}').read() == data


def test_an_upload_that_was_given_up_does_not_stop_it_for_ever(registry):
    registry.push('hermes', 't0', 0)
    settle(registry)
    registry.begin_upload('other', b'and then the power went')
    assert registry.collect()[0] == 1
    registry.age(registry.repository('other') / '_uploads', 61)
    assert registry.collect()[0] == 0


def test_layers_that_wait_for_their_image_are_not_garbage(registry):
    registry.push('hermes', 't0', 0)
    settle(registry)
    registry.push_blob('hermes', layer('next', 3200))
    status, said = registry.collect()
    assert status == 1 and 'hermes/_layers' in said
    registry.push('hermes', 't1', 'next', size=3200)
    assert registry.collect()[0] == 0
    assert registry.pull('hermes', 't1') == 2


def test_an_image_for_two_architectures_is_complete_with_its_index(registry):
    parts = [registry.push('hermes', None, seed) for seed in ('amd64', 'arm64')]
    assert registry.collect()[0] == 1
    registry.push_manifest('hermes', 'both', INDEX, {'manifests': parts})
    assert registry.collect()[0] == 0
    assert registry.pull('hermes', 'both') == 4


def test_the_parts_of_an_image_for_two_architectures_stay(registry):
    parts = [registry.push('hermes', None, seed) for seed in ('amd64', 'arm64')]
    registry.push_manifest('hermes', 'both', INDEX, {'manifests': parts})
    loose = registry.push('hermes', None, 'nobody names it')
    settle(registry)
    status, said = registry.collect()
    assert status == 0 and 'forgot' not in said, said
    assert registry.pull('hermes', 'both') == 4
    assert registry.status('GET', f"hermes/manifests/{loose['digest']}") == 404


def test_a_repository_without_images_is_no_trouble(registry):
    registry.push_blob('half', b'pushed long ago, never named')
    registry.push('hermes', 't0', 0)
    settle(registry)
    status, said = registry.collect()
    assert status == 0, said
    assert not registry.blob_file(digest(b'pushed long ago, never named')).exists()


def test_a_broken_image_is_forgotten_and_can_be_pushed_again(registry):
    registry.push('hermes/cache', 'k', 'x')
    registry.push('hermes', 't', 'y')
    settle(registry)
    registry.blob_file(digest(layer('x', 100_000))).unlink()
    status, said = registry.collect()
    assert status == 0 and 'forgot hermes/cache:k, because a part of it is missing' in said
    assert registry.tags('hermes/cache') == [] and registry.tags('hermes') == ['t']
    registry.push('hermes/cache', 'k', 'x')
    assert registry.pull('hermes/cache', 'k') == 2


def test_a_half_of_two_architectures_that_is_missing_counts(registry):
    parts = [registry.push('hermes', None, seed) for seed in ('amd64', 'arm64')]
    registry.push_manifest('hermes', 'both', INDEX, {'manifests': parts})
    settle(registry)
    registry.blob_file(digest(layer('arm64', 100_000))).unlink()
    assert 'forgot hermes:both' in registry.collect()[1]


def test_the_reason_of_a_failure_is_the_last_thing_said(registry):
    registry.push('hermes', 't0', 0)
    settle(registry)
    collector = registry.commands / 'registry'
    collector.unlink()
    collector.write_text('#!/bin/sh\necho failed to mark: no space left on device\nexit 1\n')
    collector.chmod(0o755)
    status, said = registry.collect()
    assert status == 1 and said.splitlines()[-2:] == [
        'failed to mark: no space left on device',
        'collect: the garbage collector failed, see above']
