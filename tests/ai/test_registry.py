"""make ai-registry."""

import pytest
from cluster import container, deployment, event, healthy, pod, volume

OWN = '-l app.kubernetes.io/name=registry'


def test_it_waits_until_the_registry_answers(tree):
    waiting = deployment('registry', ready=False) + pod('registry-6b5-x', 'Pending')
    tree.kubectl.sees('registry', '', deployment('registry', ready=False), waiting,
                      healthy('registry'))
    done = tree.run('registry')
    assert done.status == 0, done.text
    assert 'ok  the registry runs on pi1' in done.out
    assert 'registry/install-node' in done.out
    assert len(tree.kubectl.calls(OWN)) == 4
    applied = tree.kubectl.calls('apply')
    assert [call['words'] for call in applied] == [['apply', '--server-side', '--force-conflicts',
                                                    '-f', '-']]
    assert applied[0]['stdin'] == 'rendered\n'


def test_the_overlay_says_what_was_asked_for(tree):
    tree.kubectl.sees('registry', healthy('registry'))
    done = tree.run('registry', REGISTRY_IP='10.43.0.99',
                    REGISTRY_IMAGE='mirror.example.org:5000/library/registry:2.8.3')
    assert done.status == 0, done.text
    overlay = tree.kubectl.overlay('registry')
    assert "value: '10.43.0.99'" in overlay
    assert "newName: 'mirror.example.org:5000/library/registry'" in overlay
    assert "newTag: '2.8.3'" in overlay and 'auth' not in overlay
    assert 'REGISTRY_IP=10.43.0.99 registry/install-node' in done.out


def test_an_image_by_digest_and_one_without_a_tag(tree):
    tree.kubectl.sees('registry', healthy('registry'))
    tree.run('registry', REGISTRY_IMAGE='registry@sha256:' + 'a' * 64)
    assert "digest: 'sha256:" + 'a' * 64 in tree.kubectl.overlay('registry')
    tree.run('registry', REGISTRY_IMAGE='here:5000/registry@sha256:' + 'a' * 64)
    assert "newName: 'here:5000/registry'\n    digest: 'sha256:" in tree.kubectl.overlay('registry')
    tree.run('registry', REGISTRY_IMAGE='here:5000/registry')
    assert "newName: 'here:5000/registry'\n    newTag: 'latest'" in tree.kubectl.overlay('registry')


def policy(tree, name='registry'):
    return tree.rendered('registry')['NetworkPolicy', name]['spec']['ingress']


def test_the_nodes_that_there_are_may_ask(tree):
    """By their own addresses, and by the first two of their pods' range: a tunnel's and a
    bridge's."""
    tree.kubectl.on('get nodes .*podCIDR', 'pi1 192.168.1.11\npi1 10.42.0.0/24\n'
                    'pi2 192.168.1.12\npi2 fd00::12\npi2 10.42.7.0/24\npi2 fd42:0:0:7::/64\n')
    tree.kubectl.sees('registry', healthy('registry'))
    done = tree.run('registry')
    assert done.status == 0, done.text
    builds, nodes = policy(tree)
    assert builds['from'][0]['podSelector']
    assert [peer['ipBlock']['cidr'] for peer in nodes['from']] == [
        '192.168.1.11/32', '10.42.0.0/32', '10.42.0.1/32', '192.168.1.12/32', 'fd00::12/128',
        '10.42.7.0/32', '10.42.7.1/32', 'fd42:0:0:7::/128']
    assert nodes['ports'] == builds['ports'] == [{'port': 5000, 'protocol': 'TCP'}]


def test_further_addresses_of_nodes_may_ask_too(tree):
    """Of a network plugin whose tunnels have others."""
    tree.kubectl.sees('registry', healthy('registry'))
    done = tree.run('registry', NODE_ADDRESSES='10.244.36.64,fd00::9, 10.1.0.0/16')
    assert done.status == 0, done.text
    assert [peer['ipBlock']['cidr'] for peer in policy(tree)[1]['from']] == [
        '192.168.1.11/32', '10.42.0.0/32', '10.42.0.1/32', '10.244.36.64/32', 'fd00::9/128',
        '10.1.0.0/16']


@pytest.mark.parametrize('given', ['pi1', '10.1.2', '10.1.2.3/x', '10.1.2.3,"}'])
def test_what_is_no_address_is_not_admitted(tree, given):
    done = tree.run('registry', NODE_ADDRESSES=given)
    assert done.status == 1 and f'NODE_ADDRESSES={given} is not a list' in done.err
    assert not tree.kubectl.calls('^(apply|delete)')


def test_nodes_that_the_cluster_does_not_tell(tree):
    tree.kubectl.on('get nodes .*podCIDR', code=1, err='nodes is forbidden\n')
    done = tree.run('registry')
    assert done.status == 1 and 'does not tell its nodes: nodes is forbidden' in done.err
    assert not tree.kubectl.calls('^(apply|delete)')


def with_password(tree):
    tree.write('registry/htpasswd', 'hermes:$2y$05$verysecret')
    tree.write('registry/docker-config.json', '{"auths": "verysecret"}')


def test_nobody_but_the_cluster_reaches_it(tree):
    tree.kubectl.sees('registry', healthy('registry'))
    with_password(tree)
    assert tree.run('registry').status == 0
    things = tree.rendered('registry')
    service = things['Service', 'registry']['spec']
    assert service['type'] == 'ClusterIP' and 'nodePort' not in service['ports'][0]
    assert ('NetworkPolicy', 'registry-from-outside') not in things
    gone, = tree.kubectl.calls('^delete networkpolicy')
    assert 'registry-from-outside' in gone['words'] and '--ignore-not-found' in gone['words']


def test_other_machines_reach_it_when_asked_for_and_with_a_password(tree):
    tree.kubectl.sees('registry', healthy('registry'))
    with_password(tree)
    done = tree.run('registry', NODE_PORT='1')
    assert done.status == 0, done.text
    things = tree.rendered('registry')
    service = things['Service', 'registry']['spec']
    assert service['type'] == 'NodePort' and service['clusterIP'] == '10.43.0.50'
    assert service['ports'] == [{'name': 'http', 'port': 5000, 'targetPort': 'http',
                                 'nodePort': 30500}]
    container, = things['Deployment', 'registry']['spec']['template']['spec']['containers']
    assert 'REGISTRY_AUTH' in {entry['name'] for entry in container['env']}
    assert things['NetworkPolicy', 'registry-from-outside']
    assert 'port 30500 of every node' in done.out
    assert not tree.kubectl.calls('^delete')


@pytest.mark.parametrize('value, why', [('1', 'without a password'), ('30500', 'NODE_PORT=30500')])
def test_without_a_password_no_other_machine_reaches_it(tree, value, why):
    done = tree.run('registry', NODE_PORT=value)
    assert done.status == 1 and why in done.err, done.text
    assert not tree.kubectl.calls('apply')


def test_a_password_goes_from_its_file_to_a_secret(tree):
    tree.write('registry/htpasswd', 'hermes:$2y$05$verysecret')
    tree.write('registry/docker-config.json', '{"auths": "verysecret"}')
    tree.kubectl.on('create secret', 'kind: Secret\ndata: {x: dmVyeXNlY3JldA==}\n')
    tree.kubectl.sees('registry', healthy('registry'))
    done = tree.run('registry')
    assert done.status == 0, done.text
    assert '../../../registry/auth' in tree.kubectl.overlay('registry')
    made = [' '.join(call['words']) for call in tree.kubectl.calls('create secret')]
    assert ['registry-auth' in made[0], 'registry-credentials' in made[1]] == [True, True]
    assert '--from-file=htpasswd=registry/htpasswd' in made[0]
    assert all('--dry-run=client' in words for words in made)
    assert 'verysecret' not in done.text + str([c['words'] for c in tree.kubectl.calls()])


def test_half_a_password_is_refused(tree):
    tree.write('registry/htpasswd', 'hermes:x')
    done = tree.run('registry')
    assert done.status == 1 and 'registry/docker-config.json is missing or empty' in done.err
    assert not tree.kubectl.calls('apply')


def test_an_address_that_cannot_be_changed(tree):
    tree.kubectl.on('get service registry', '10.43.0.77')
    done = tree.run('registry')
    assert done.status == 1
    assert 'has the address 10.43.0.77, not REGISTRY_IP=10.43.0.50' in done.err
    assert 'delete service registry' in done.err and not tree.kubectl.calls('apply')


def test_an_address_that_is_taken(tree):
    tree.kubectl.on('apply', code=1, err='The Service "registry" is invalid: spec.clusterIPs: '
                    'Invalid value: ["10.43.0.50"]: failed to allocate IP 10.43.0.50: provided IP '
                    'is already allocated\n')
    done = tree.run('registry')
    assert done.status == 1 and 'cannot have the address 10.43.0.50' in done.err
    assert 'REGISTRY_IP=ADDRESS' in done.err


def test_another_registry_is_left_alone(tree):
    done = tree.run('registry', REGISTRY='ghcr.io/somebody')
    assert done.status == 0 and 'does not manage' in done.out
    assert not tree.kubectl.calls()


def test_its_image_cannot_be_pulled(tree):
    name = 'registry-6b5-x'
    tree.kubectl.sees('registry', deployment('registry', ready=False) + pod(name, 'Pending') +
                      container(name, 'waiting', 'ImagePullBackOff', message='Back-off pulling '
                                'image "registry:2.8.3"'))
    tree.kubectl.warns(event('Pod', name, 'Failed', 'Failed to pull image "registry:2.8.3": failed '
                             'to resolve reference "docker.io/library/registry:2.8.3": dial tcp: '
                             'lookup registry-1.docker.io: no such host'))
    done = tree.run('registry')
    assert done.status == 1
    assert 'pi1 cannot pull registry:2.8.3' in done.err and 'no such host' in done.err
    assert 'give the node pi1 a way to the internet' in done.err


def test_a_volume_that_stays_pending(tree):
    tree.kubectl.sees('registry', deployment('registry', ready=False) + volume('registry-data',
                      'Pending', '') + pod('registry-6b5-x', 'Pending', node='', scheduled='False',
                      message='0/1 nodes are available: pod has unbound immediate '
                      'PersistentVolumeClaims.'))
    done = tree.run('registry', TIMEOUT='1')
    assert done.status == 1
    assert 'the volume is pending: 0/1 nodes are available' in done.err
    assert 'kubectl get storageclass' in done.err


def test_it_lives_through_a_restart_of_the_api(tree):
    tree.kubectl.sees('registry', {'code': 1, 'err': 'connection refused\n'},
                      {'code': 1, 'err': 'connection refused\n'}, healthy('registry'))
    assert tree.run('registry').status == 0


def test_an_api_that_stays_away_ends_it(tree):
    tree.kubectl.sees('registry', {'code': 1, 'err': 'connection refused\n'})
    done = tree.run('registry', OUTAGE_LIMIT='1')
    assert done.status == 1 and 'has not replied for 1 s: connection refused' in done.err
    assert 'make ai-status' in done.err


def test_time_is_up(tree):
    tree.kubectl.sees('registry', deployment('registry', ready=False) + pod('registry-6b5-x',
                                                                            'Pending'))
    done = tree.run('registry', TIMEOUT='1')
    assert done.status == 1 and 'not ready after 1 s' in done.err and 'TIMEOUT=SECONDS' in done.err
