"""What the tests share: the images, built once; a registry to push them to; podman to run them.

    HERMES_ARM64=pure       build the arm64 image with nothing native about its compiler: hours

Needs root, what `scripts/deps image` installs, and a Debian mirror. Kept between runs, in
~/.cache/hermes: the base images and buildah's layers. Everything else goes with the run, and what a
killed run left goes with the next.
"""
import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'fakes'), str(HERE / 'bases')]

import builder  # noqa: E402
import pod  # noqa: E402
import telegram_models  # noqa: E402,F401  registers its scenarios
from openai_upstream import Upstream  # noqa: E402
from ports import free_port  # noqa: E402
from registry import Registry  # noqa: E402
from telegram_api import TelegramApi  # noqa: E402

PREFIX = 'hermes-image-'
OWNER = 42
ADMIN_KEY = 'admin-key-of-the-image-tests'
# What the file says and no variable does shows that it is read where the pod has it.
CONFIG = '''\
model: echo
admin:
  port: {port}
'''
FIGURES = []


def figure(name, value):
    FIGURES.append((name, value))


def pytest_sessionstart(session):
    # Being ended is an end like another: what runs is stopped and what lies about is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.getuid() != 0:
        pytest.exit('the image tests need root: they build and run containers', returncode=2)


def sweep():
    """Ends what killed runs left: whoever is alive holds the lock in his folder."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f'{PREFIX}*'):
        with contextlib.suppress(OSError), open(folder / 'alive', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            pod.end(folder / 'podman')
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope='session')
def workspace():
    sweep()
    folder = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
    with open(folder / 'alive', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.chmod(0o755)             # user 10000 of a container passes through
        try:
            yield folder
        finally:
            pod.end(folder / 'podman')
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope='session')
def builds():
    """Several runs take turns: what one tidies away, another might be building upon."""
    made = builder.Builder()
    with open(made.folder / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield made
        made.tidy()
        for name, seconds in made.seconds.items():
            figure(f'build of {name}', f'{seconds:.0f} s')


@pytest.fixture(scope='session')
def tree():
    with builder.context() as folder:
        yield folder


@pytest.fixture(scope='session')
def registry(workspace):
    with Registry(workspace / 'registry') as server:
        yield server


@pytest.fixture(scope='session')
def podman(workspace):
    return pod.Podman(workspace / 'podman')


@pytest.fixture(scope='session')
def delivered(builds, tree, registry, podman):
    """delivered(arch): the agent's image after it was built, pushed and pulled."""
    made = {}

    def deliver(arch):
        if arch not in made:
            base = builds.base(arch, *builder.foreign_options(arch))
            # The stages have names so that their layers are still there the next time.
            builds.build(arch, 'hermes-libraries', tree, target='libraries', base=base)
            builds.build(arch, 'hermes-build', tree, target='build', base=base)
            tag = builds.build(arch, 'hermes', tree, base=base)
            reference = f'{registry.host}/hermes:{arch}'
            builds.push(tag, reference)
            made[arch] = podman.pull(reference, arch)
        return made[arch]
    return deliver


@pytest.fixture(scope='session')
def image(delivered):
    return delivered(builder.HOST_ARCH)


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server
        assert not server.rejected, server.rejected


@pytest.fixture
def telegram():
    with TelegramApi() as api:
        yield api
        assert not api.violations, api.violations


@pytest.fixture
def agent(podman, workspace):
    """agent(image, arch) makes a pod; agent(…).start() runs it. What runs at the end is ended."""
    with contextlib.ExitStack() as stack:
        def make(reference, arch=builder.HOST_ARCH):
            return stack.enter_context(pod.Pod(podman, reference, workspace / 'pods', arch))
        yield make


@pytest.fixture
def connected(agent, upstream, telegram):
    """connected(image, arch): a pod with its configuration, its secrets and the fakes."""
    def make(reference, arch=builder.HOST_ARCH):
        made = agent(reference, arch)
        made.port = free_port()
        made.env.update(OPENAI_BASE_URL=upstream.base_url, TELEGRAM_API_BASE=telegram.base_url)
        return made.configure(CONFIG.format(port=made.port), {
            'OPENAI_API_KEY': upstream.api_key, 'TELEGRAM_BOT_TOKEN': telegram.token,
            'TELEGRAM_ALLOWED_USERS': str(OWNER), 'HERMES_ADMIN_KEY': ADMIN_KEY})
    return make


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section('the images')
        width = max(len(name) for name, _ in FIGURES)
        for name, value in FIGURES:
            terminalreporter.write_line(f'{name:{width}}  {value}')
