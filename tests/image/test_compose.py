"""compose.yaml for real: Debian's docker-compose, podman as the engine, and a talk on Telegram.

compose.yaml is for Docker, which a test machine lacks; podman answers the same requests at a
socket. Everything goes as docs/vps.md says, but for the network: the container gets the machine's
own, so that it reaches the fakes on the loopback. That nothing is published is checked in the file
itself (tests/docs/test_compose.py).
"""
import json
import os
import subprocess
import time

import pytest
import yaml
from builder import REPO
from conftest import ADMIN_KEY, OWNER
from pod import USER
from telegram_api import TelegramApi

PROJECT = 'hermes-test'
NAME = f'{PROJECT}_hermes_1'
TAG = 'docker.io/library/hermes:local'  # what compose.yaml calls what it builds
SECONDS = 30                            # for anything that happens here
IDLE_SECONDS = 300                      # after which the engine of a killed run ends by itself
OVERRIDE = {'HERMES_ADMIN_PORT': '0', 'HERMES_ADMIN_HOST': '127.0.0.1'}


def eventually(what, otherwise):
    until = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < until, otherwise()
        time.sleep(0.2)


class Engine:
    """podman behind Docker's interface."""

    def __init__(self, podman):
        self.podman, self.socket = podman, podman.folder / 'socket'
        self.environment = {**podman.environment, 'DOCKER_HOST': f'unix://{self.socket}'}
        self.service = None

    def __enter__(self):
        self.service = subprocess.Popen(
            self.podman.command('system', 'service', f'--time={IDLE_SECONDS}',
                                f'unix://{self.socket}'),
            env=self.podman.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        eventually(self.socket.exists, lambda: 'podman does not serve')
        return self

    def __exit__(self, *_):
        self.service.terminate()
        self.service.wait()

    def compose(self, *words, environment=None, check=True):
        """(exit status, what it printed)"""
        done = subprocess.run(['docker-compose', '--ansi', 'never', *map(str, words)], check=False,
                              env=environment or self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=4 * SECONDS)
        assert not check or done.returncode == 0, f'docker-compose {words}\n{done.stdout}'
        return done.returncode, done.stdout


@pytest.fixture(scope='module')
def engine(podman, image):
    podman('tag', image, TAG)
    with Engine(podman) as serving:
        yield serving


class Vps:
    """What an owner has on the machine: secrets, settings, and docker-compose."""

    def __init__(self, engine, folder, telegram):
        self.engine, self.podman, self.telegram = engine, engine.podman, telegram
        self.secrets, self.override = folder / 'secrets', folder / 'override.yaml'
        self.secrets.mkdir()
        self.put(TELEGRAM_BOT_TOKEN=telegram.token, TELEGRAM_ALLOWED_USERS=str(OWNER),
                 HERMES_ADMIN_KEY=ADMIN_KEY)
        config = folder / 'config.yaml'
        config.write_text('logging:\n  level: info\n')
        # The network that podman has anyway, so that none need be made, and removed again.
        self.override.write_text(yaml.safe_dump({
            'services': {'hermes': {
                'network_mode': 'host',
                'environment': {**OVERRIDE, 'TELEGRAM_API_BASE': telegram.base_url}}},
            'networks': {'default': {'external': True, 'name': 'podman'}}}))
        self.environment = {**engine.environment, 'SECRETS_DIR': str(self.secrets),
                            'CONFIG': str(config), 'HERMES_MODEL': 'offline'}

    def put(self, **secrets):
        for name, value in secrets.items():
            (self.secrets / name).write_text(value + '\n')
        for path in (*self.secrets.iterdir(), self.secrets):
            os.chown(path, USER, USER)
            path.chmod(0o700 if path.is_dir() else 0o400)

    def compose(self, *words, check=True):
        return self.engine.compose('--project-name', PROJECT, '--project-directory', REPO,
                                   '-f', REPO / 'compose.yaml', '-f', self.override, *words,
                                   environment=self.environment, check=check)

    def inside(self, *words, check=True):
        done = self.podman.result('exec', NAME, *words)
        assert not check or done.returncode == 0, done
        return done.returncode, done.stdout + done.stderr

    def inspected(self):
        return json.loads(self.podman('inspect', NAME))[0]

    def healthy(self):
        return self.podman.result('healthcheck', 'run', NAME).returncode == 0

    def log(self):
        return self.compose('logs', '--no-color', 'hermes', check=False)[1]

    def up(self):
        self.compose('up', '-d')
        eventually(self.healthy, self.log)

    def says(self, text):
        """What the bot answers."""
        count = len(self.telegram.messages(OWNER))
        self.telegram.user_says(OWNER, text)
        self.telegram.wait_messages(OWNER, count + 1)
        self.telegram.wait_quiet(0.5)
        return self.telegram.texts(OWNER)[-1]


@pytest.fixture(scope='module')
def vps(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp('vps')
    with TelegramApi() as telegram:
        one = Vps(engine, folder, telegram)
        one.up()
        yield one
        one.compose('down', '--volumes', check=False)
        assert not telegram.violations, telegram.violations


def test_it_answers(vps):
    assert 'remembered' in vps.says('remember the router is in the cellar')
    assert 'in the cellar' in vps.says('recall router')


def status_of_first_process(vps):
    text = vps.inside('cat', '/proc/1/status')[1]
    return dict(line.split(':\t', 1) for line in text.splitlines() if ':\t' in line)


def test_it_has_the_restrictions_of_the_pod(vps):
    told = status_of_first_process(vps)
    assert told['Name'] == 'hermes'
    assert set(told['Uid'].split()) == {str(USER)} == set(told['Gid'].split())
    assert int(told['CapEff'], 16) == int(told['CapBnd'], 16) == 0 and told['NoNewPrivs'] == '1'
    host = vps.inspected()['HostConfig']
    assert host['Memory'] == host['MemorySwap'] == 128 << 20 and host['PidsLimit'] == 64
    assert vps.inspected()['Config']['StopTimeout'] == 30
    assert host['RestartPolicy']['Name'] == 'unless-stopped'
    for path in ('/x', '/etc/hermes/x', '/etc/hermes/config.yaml', '/run/secrets/x'):
        status, text = vps.inside('sh', '-c', f'echo >{path}', check=False)
        assert status and 'Read-only file system' in text, (path, text)
    vps.inside('sh', '-c', 'echo >/tmp/x && rm /tmp/x')


def test_the_secrets_are_files_and_nothing_else(vps):
    told = json.dumps(vps.inspected()) + vps.inside('cat', '/proc/1/environ')[1] + \
        vps.log()
    for secret in (vps.telegram.token, ADMIN_KEY):
        assert secret not in told
    status, _ = vps.inside('sh', '-c', 'test -r /run/secrets/TELEGRAM_BOT_TOKEN')
    assert status == 0


def test_a_fresh_volume_belongs_to_the_user(vps):
    """The engine takes owner and mode over from the image's own folder."""
    mounted = next(mount for mount in vps.inspected()['Mounts']
                   if mount['Destination'] == '/opt/data')
    assert mounted['Type'] == 'volume' and mounted['Name'] == 'hermes-data'
    at = os.stat(mounted['Source'])
    assert (at.st_uid, at.st_gid) == (USER, USER)


def test_what_it_knows_outlives_the_container(vps):
    vps.says('remember the boiler code is 4711')
    started = time.monotonic()
    vps.compose('stop', 'hermes')
    assert time.monotonic() - started < 25 and vps.inspected()['State']['ExitCode'] == 0
    vps.compose('down')
    vps.up()
    assert '4711' in vps.says('recall boiler')


def test_a_changed_secret_counts_after_a_restart(vps):
    vps.put(TELEGRAM_BOT_TOKEN='7000000002:AAsomebodyelses')
    vps.compose('restart', 'hermes')
    eventually(lambda: 'PROBLEM   telegram' in vps.inside('hermes', 'status', check=False)[1],
               vps.log)
    assert not vps.healthy()
    vps.put(TELEGRAM_BOT_TOKEN=vps.telegram.token)
    vps.compose('restart', 'hermes')
    eventually(vps.healthy, vps.log)
    assert vps.says('hi')


def test_a_copy_of_the_home(vps):
    """The command of docs/vps.md, with podman in docker's place."""
    vps.compose('stop', 'hermes')
    done = subprocess.run(
        vps.podman.command('run', '--rm', '--network', 'none', '--entrypoint', '/bin/tar',
                           '-v', 'hermes-data:/opt/data:ro', TAG, '-C', '/opt', '-cz', 'data'),
        env=vps.podman.environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        timeout=4 * SECONDS)
    assert done.returncode == 0, done.stderr.decode()
    listed = subprocess.run(['tar', '-tz'], input=done.stdout, capture_output=True, check=True)
    assert b'data/state.db\n' in listed.stdout
    vps.compose('start', 'hermes')


def test_the_profile_is_not_started_by_itself(vps):
    assert vps.podman('ps', '--format', '{{.Names}}').split() == [NAME]


def test_the_profile_is_read(engine):
    """Its image comes from the internet, so no further than what docker-compose makes of it."""
    _, shown = engine.compose('-f', REPO / 'compose.yaml', '--profile', 'tailscale', 'config')
    assert 'tailscale-authkey' in shown and 'TS_SERVE_CONFIG: /config/serve.json' in shown
