"""registry/install-node: other people's registries.yaml is kept, and a pull is really tried.

What it writes is read back by a YAML parser, which the script itself has not got.
"""

import json
import os
import pathlib
import pty
import stat
import time

import pytest
import yaml
from node import Node, busybox_userland

NAME = 'registry.registry:5000'
SHELLS = ['dash', 'bash --posix', 'busybox']


@pytest.fixture(params=SHELLS)
def node(request, tmp_path):
    """Under Debian's shell, bash, and with busybox in the place of everything."""
    if request.param == 'busybox':
        programs = busybox_userland(tmp_path / 'busybox')
        node = Node(tmp_path, f'{programs}/sh', programs)
    else:
        node = Node(tmp_path, request.param)
    yield node
    node.stop()


@pytest.fixture
def plain(tmp_path):
    node = Node(tmp_path)
    yield node
    node.stop()


def mirrors(node):
    return yaml.safe_load(node.file.read_text())['mirrors']


def ours(port=5000, address='10.43.0.50'):
    return {'endpoint': [f'http://{address}:{port}']}


# ---- the file

def test_nothing_was_there(node):
    node.points_at(1)
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert yaml.safe_load(node.file.read_text()) == {'mirrors': {NAME: ours(1, '127.0.0.1')}}
    assert node.restarts == ['k3s']
    assert stat.S_IMODE(node.file.stat().st_mode) == 0o644
    assert 'not checked: nothing replies at http://127.0.0.1:1' in done.stdout


def test_again_changes_and_restarts_nothing(node):
    node.points_at(1)
    node.run()
    before = node.file.stat().st_mtime_ns
    done = node.run()
    assert done.returncode == 0 and 'already says' in done.stdout
    assert node.restarts == ['k3s'] and node.file.stat().st_mtime_ns == before


def test_the_shipped_file_put_there_by_hand_is_read_at_last(node):
    """Somebody copied it and did not restart: K3s has not written anything for containerd."""
    node.points_at(1)
    node.file.write_text((node.path / 'registry/registries.yaml').read_text())
    (node.data / 'agent/etc/containerd').mkdir(parents=True)
    before = node.file.read_text()
    done = node.run()
    assert done.returncode == 0 and node.restarts == ['k3s'] and node.file.read_text() == before


def test_an_agent_node(node):
    node.points_at(1)
    node.units('k3s-agent')
    assert node.run().returncode == 0 and node.restarts == ['k3s-agent']


OTHERS = {
    'two mirrors': 'mirrors:\n  docker.io:\n    endpoint:\n      - "https://m.example.org"\n'
                   '  "*":\n    endpoint: ["http://10.0.0.1:5000"]\n',
    'deep indentation, remarks': '# mine\n---\nmirrors:   # where from\n\n    # first\n'
                                 '    docker.io:\n        endpoint:\n        - https://m\n'
                                 'configs:\n    "m":\n        tls: {insecure_skip_verify: true}\n',
    'only configs': 'configs:\n  m.example.org:\n    auth:\n      username: "a: b"\n'
                    "      password: 'it''s # secret'\n",
    'empty mirrors': 'mirrors: {}\nconfigs:\n  x:\n    auth: {username: u, password: p}\n',
    'mirrors without children': 'mirrors:\n',
    'only remarks': '# nothing yet\n\n',
    'a rewrite': "mirrors:\n  'ghcr.io':\n    endpoint:\n    - https://m\n    rewrite:\n"
                 '      "^(.*)$": "ghcr/$1"\n',
    'windows': 'mirrors:\r\n  docker.io:\r\n    endpoint:\r\n      - "https://m"\r\n',
    'no last newline': 'mirrors:\n  docker.io:\n    endpoint: ["https://m"]',
    'similar names': 'mirrors:\n  registry.registry:\n    endpoint: ["http://a"]\n'
                     '  xregistry.registry:5000:\n    endpoint: ["http://b"]\n',
}


@pytest.mark.parametrize('what', OTHERS)
def test_other_peoples_entries_are_kept(node, what):
    node.points_at(1)
    before = OTHERS[what]
    node.file.write_bytes(before.encode())
    old = yaml.safe_load(before) or {}
    done = node.run()
    assert done.returncode == 0, done.stderr
    wanted = {**old, 'mirrors': {**(old.get('mirrors') or {}), NAME: ours(1, '127.0.0.1')}}
    assert yaml.safe_load(node.file.read_text()) == wanted
    assert [line for line in before.split() if line.startswith('#')] == \
        [line for line in node.file.read_text().split() if line.startswith('#')]
    backup = node.etc / 'registries.yaml.before-hermes'
    assert backup.read_bytes() == before.encode()
    done = node.run('--uninstall')
    assert done.returncode == 0, done.stderr
    left = yaml.safe_load(node.file.read_text()) if node.file.exists() else {}
    old.pop('mirrors', None) if not old.get('mirrors') else None
    assert (left or {}) == old
    assert node.restarts == ['k3s', 'k3s']


PRESENT = {
    'bare': f'mirrors:\n  {NAME}:\n    endpoint:\n      - http://127.0.0.1:1\n',
    'single quotes, less indentation': f"mirrors:\n '{NAME}':\n  endpoint:\n    - "
                                       "'http://127.0.0.1:1'\n",
}


@pytest.mark.parametrize('what', PRESENT)
def test_our_entry_in_other_words_is_our_entry(node, what):
    node.points_at(1)
    node.file.write_text(PRESENT[what])
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert mirrors(node) == {NAME: ours(1, '127.0.0.1')}


def test_the_layout_that_is_shipped_is_left_as_it_is(node):
    node.points_at(1)
    text = PRESENT['bare'].replace('endpoint:\n      - http', 'endpoint:\n    - http')
    node.file.write_text(text)
    node.run()
    assert mirrors(node) == {NAME: ours(1, '127.0.0.1')}


def test_another_address_replaces_ours_and_nothing_else(node):
    node.points_at(1)
    node.file.write_text('mirrors:\n  docker.io:\n    endpoint: ["https://m"]\n'
                         f'  "{NAME}":\n    # the old place\n    endpoint:\n'
                         '      - "http://10.43.0.7:5000"\n  quay.io:\n    endpoint: [a]\n')
    done = node.run(REGISTRY_IP='127.0.0.2')
    assert done.returncode == 0, done.stderr
    assert mirrors(node) == {'docker.io': {'endpoint': ['https://m']},
                             'quay.io': {'endpoint': ['a']}, NAME: ours(1, '127.0.0.2')}
    assert node.restarts == ['k3s']


REFUSED = {
    'flow': 'mirrors: {docker.io: {endpoint: ["https://m"]}}\n',
    'json': '{"mirrors": {}}\n',
    'tabs': 'mirrors:\n\tdocker.io:\n\t\tendpoint: [a]\n',
    'two documents': 'mirrors:\n  a:\n    endpoint: [b]\n---\nmirrors:\n',
    'twice': 'mirrors:\n  a:\n    endpoint: [b]\nmirrors:\n  c:\n    endpoint: [d]\n',
    'an anchor': 'mirrors: &m\n  a:\n    endpoint: [b]\n',
    'a list': '- mirrors\n',
    'a merge': 'mirrors:\n  <<: *m\n',
    'a complex key': 'mirrors:\n  ? a\n  : {endpoint: [b]}\n',
    'an alias': 'mirrors: *m\n',
    'ragged': 'mirrors:\n    a:\n      endpoint: [b]\n  c:\n    endpoint: [d]\n',
}


@pytest.mark.parametrize('what', REFUSED)
def test_what_is_not_understood_is_refused_and_left_alone(node, what):
    node.file.write_text(REFUSED[what])
    for words in ([], ['--uninstall']):
        done = node.run(*words)
        assert done.returncode == 1
        assert 'does not understand the layout' in done.stderr
        assert 'line ' in done.stderr and 'endpoint:' in done.stderr
        assert node.file.read_text() == REFUSED[what] and node.restarts == []


def test_uninstalling_what_was_never_there(node):
    assert node.run('--uninstall').returncode == 0
    node.file.write_text(OTHERS['two mirrors'])
    done = node.run('--uninstall')
    assert done.returncode == 0 and 'has no ' in done.stdout
    assert node.file.read_text() == OTHERS['two mirrors'] and node.restarts == []


# ---- K3s

def test_a_k3s_that_does_not_come_back_gets_its_file_back(node):
    node.points_at(1)
    node.file.write_text(OTHERS['two mirrors'])
    node.put('broken')
    done = node.run()
    assert done.returncode == 1 and 'K3s does not start' in done.stderr
    assert 'journalctl -u k3s' in done.stderr
    assert node.file.read_text() == OTHERS['two mirrors']
    assert node.restarts == ['k3s', 'k3s']


def test_no_service_that_is_known(node):
    node.points_at(1)
    node.units()
    done = node.run()
    assert done.returncode == 1 and 'Restart it your way' in done.stderr
    assert node.file.exists()


def test_without_rights(plain):
    done = plain.run(K3S_CONFIG_DIR='/proc/none')
    assert done.returncode == 1 and 'as root: sudo registry/install-node' in done.stderr


def test_alone_without_its_file(plain):
    (plain.path / 'registry/registries.yaml').unlink()
    done = plain.run()
    assert done.returncode == 1 and 'Copy registries.yaml of the folder registry/' in done.stderr


@pytest.mark.parametrize('words', [['--no'], ['x'], ['--user'], ['--password-file', 'x']])
def test_words_that_mean_nothing(plain, words):
    done = plain.run(*words)
    assert done.returncode == 2 and 'usage' in done.stderr


@pytest.mark.parametrize('address', ['10.43.0.x', 'registry', '10.43.0.', '.1'])
def test_what_is_no_address(plain, address):
    done = plain.run(REGISTRY_IP=address)
    assert done.returncode == 1 and 'is not an address' in done.stderr


# ---- the pull

def test_an_image_that_is_there_is_pulled(node):
    node.start_registry(hermes__cache=['x'], debian=['trixie'], hermes=['abc', 'latest'])
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert f'containerd pulls {NAME}/hermes:abc: this node is ready' in done.stdout
    assert f'crictl pull {NAME}/hermes:abc' in node.asked_of_k3s


def test_caches_and_emptied_repositories_are_no_images(plain):
    store = plain.start_registry(a__cache=['x'], emptied=[], zeta=['1'])
    assert f'{NAME}/zeta:1' in plain.run().stdout
    assert not store['blobs']


def test_an_empty_registry_gets_an_image_to_try(plain):
    store = plain.start_registry()
    done = plain.run()
    assert done.returncode == 0, done.stderr
    assert f'containerd pulls {NAME}/hermes-probe:check' in done.stdout
    assert len(store['blobs']) == 2
    image = json.loads(min(store['blobs'].values(), key=lambda blob: blob[:1] != b'{'))
    assert image['os'] == 'linux' and image['architecture'] in ('amd64', 'arm64')
    assert store['images']['hermes-probe'] == {}, 'and it is taken away again'
    assert f'crictl rmi {NAME}/hermes-probe:check' in plain.asked_of_k3s
    assert plain.run('--check').returncode == 0


def test_check_only_looks(node):
    node.start_registry(hermes=['abc'])
    done = node.run('--check')
    assert done.returncode == 1 and 'Run: registry/install-node' in done.stderr
    assert 'no such host' in done.stderr
    assert not node.file.exists() and node.restarts == []
    node.run()
    assert node.run('--check').returncode == 0 and node.restarts == ['k3s']


def test_a_k3s_that_has_not_read_the_file(plain):
    plain.start_registry(hermes=['abc'])
    plain.file.write_text((plain.path / 'registry/registries.yaml').read_text())
    (plain.data / 'agent/etc/containerd').mkdir(parents=True)
    done = plain.run('--check')
    assert done.returncode == 1 and 'K3s has not read' in done.stderr
    assert 'systemctl restart k3s' in done.stderr and plain.restarts == []


def test_a_failed_pull_shows_what_containerd_says(plain):
    plain.start_registry(hermes=['abc'])
    plain.run()
    log = plain.data / 'agent/containerd/containerd.log'
    log.parent.mkdir(parents=True)
    log.write_text(f'time=x level=error msg="PullImage {NAME}/hermes:abc failed" error=deep\n'
                   'time=x msg="something else"\n')
    plain.put('pull', 'rpc error: unexpected media type\n')
    done = plain.run('--check')
    assert done.returncode == 1
    assert 'unexpected media type' in done.stderr and 'error=deep' in done.stderr
    assert 'something else' not in done.stderr


@pytest.mark.parametrize('said, todo', [
    ('failed to authorize: 401 Unauthorized', '--user NAME'),
    ('no match for platform in manifest', 'not for this kind of node'),
    ('content at x not found', 'make ai-hermes-build FORCE=1'),
])
def test_what_a_failed_pull_means(plain, said, todo):
    plain.start_registry(hermes=['abc'])
    plain.run()
    plain.put('pull', said + '\n')
    done = plain.run('--check')
    assert done.returncode == 1 and todo in done.stderr


def test_no_registry_yet_is_no_failure_of_the_installation(plain):
    plain.points_at(1)
    done = plain.run()
    assert done.returncode == 0 and 'make ai-registry' in done.stdout
    assert plain.run('--check').returncode == 1


def test_a_registry_that_exists_and_does_not_answer_is_one(plain):
    plain.points_at(1)
    plain.put('service', 'service/registry\n')
    done = plain.run()
    assert done.returncode == 1 and 'does not' in done.stderr and 'reach services' in done.stderr


def test_a_node_without_curl(plain):
    store = plain.start_registry()
    store['password'] = BASIC
    for folder in ('/usr/bin', '/bin'):
        for path in pathlib.Path(folder).iterdir():
            link = plain.path / 'bin' / path.name
            if path.name != 'curl' and not link.exists():
                link.symlink_to(path)
    plain.programs = plain.path / 'bin'
    plain.put('password', PASSWORD + '\n')
    done = plain.run('--user', 'hermes', '--password-file', str(plain.path / 'password'))
    assert done.returncode == 0, done.stderr
    assert 'hermes-probe:check: this node is ready' in done.stdout


# ---- passwords

BASIC = 'Basic aGVybWVzOml0J3MgInNlY3JldCJcIw=='    # hermes:it's "secret"\#
PASSWORD = 'it\'s "secret"\\#'


def test_a_password_is_kept_and_used(node):
    store = node.start_registry(hermes=['abc'])
    store['password'] = BASIC
    done = node.run()
    assert done.returncode == 1 and '--user NAME --password-file FILE' in done.stderr
    node.put('password', PASSWORD + '\n')
    done = node.run('--user', 'hermes', '--password-file', str(node.path / 'password'))
    assert done.returncode == 0, done.stderr
    port = node.server.server_port
    assert yaml.safe_load(node.file.read_text())['configs'] == {
        f'127.0.0.1:{port}': {'auth': {'username': 'hermes', 'password': PASSWORD}}}
    assert stat.S_IMODE(node.file.stat().st_mode) == 0o600
    assert node.run('--check').returncode == 0, 'it is read from the file again'
    assert 'secret' not in done.stdout + done.stderr + str(node.asked_of_k3s)
    assert node.run('--uninstall').returncode == 0 and not node.file.exists()


def test_a_password_is_never_an_argument(plain):
    store = plain.start_registry(hermes=['abc'])
    store['password'] = BASIC
    spy = plain.path / 'bin/curl'
    spy.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >>"$NODE/curl"\nexec /usr/bin/curl "$@"\n')
    spy.chmod(0o755)
    plain.put('password', PASSWORD + '\n')
    assert plain.run('--user', 'hermes', '--password-file',
                     str(plain.path / 'password')).returncode == 0
    assert 'secret' not in (plain.path / 'curl').read_text()


def test_a_password_that_is_typed_is_not_shown(plain):
    store = plain.start_registry(hermes=['abc'])
    store['password'] = BASIC
    master, slave = pty.openpty()
    os.write(master, (PASSWORD + '\n').encode())
    done = plain.run('--user', 'hermes', stdin=slave)
    os.close(slave)
    assert done.returncode == 0, done.stderr
    time.sleep(0.1)
    os.set_blocking(master, False)
    try:
        shown = os.read(master, 4096).decode()
    except OSError:
        shown = ''
    os.close(master)
    assert 'password of hermes' in done.stdout and 'secret' not in done.stdout
    assert yaml.safe_load(plain.file.read_text())['configs']
    assert shown.count('secret') <= 1, 'what was typed ahead, and not by the script'


def test_nobody_to_type_it(plain):
    done = plain.run('--user', 'hermes')
    assert done.returncode == 1 and '--password-file FILE' in done.stderr


def test_an_empty_password(plain):
    plain.put('password', '')
    done = plain.run('--user', 'hermes', '--password-file', str(plain.path / 'password'))
    assert done.returncode == 1 and 'empty' in done.stderr
