"""Fixtures of the black-box tests, and the markers that say where a test can run.

    HERMES_BIN=…      the binary (default: build/debug/hermes)
    HERMES_RUNNER=…   what runs it, e.g. "qemu-aarch64"; selects the qemu_user subset by itself
    HERMES_KEEP=1     leave the directories of the tests behind
"""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fakes")]

from harness import Binary, Hermes, directory  # noqa: E402
from openai_upstream import Upstream  # noqa: E402
from service import Service  # noqa: E402
from telegram_api import TelegramApi  # noqa: E402
from terminal import Terminal  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "qemu_user: also holds under user-mode qemu (no file tools, no memory figures, "
        "no TLS timing)")
    config.addinivalue_line(
        "markers", "native: an exception within a qemu_user module: looks at the process itself")


def pytest_collection_modifyitems(config, items):
    """With a runner, the tests that an emulator would falsify are not even collected."""
    if not os.environ.get("HERMES_RUNNER"):
        return
    kept = [item for item in items
            if item.get_closest_marker("qemu_user") and not item.get_closest_marker("native")]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.fixture(scope="session")
def binary():
    with directory("hermes-binary-") as path:
        try:
            yield Binary(path)
        except FileNotFoundError as problem:
            pytest.exit(str(problem), returncode=2)


@pytest.fixture
def hermes(binary):
    with directory("hermes-test-") as path:
        user = Hermes(binary, path)
        yield user
        user.finish()


@pytest.fixture
def up():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def tls_up():
    with Upstream(tls=True) as upstream:
        yield upstream


@pytest.fixture
def api():
    """Telegram, as far as a bot knows it."""
    with TelegramApi() as server:
        yield server


@pytest.fixture
def service(hermes):
    """service(env=…) starts `hermes run`; what still runs at the end is ended."""
    started = []

    def start(**more):
        started.append(Service(hermes, **more))
        return started[-1].start()
    yield start
    for running in started:
        running.kill()


@pytest.fixture
def terminal(hermes):
    """terminal("chat", env=…) starts the binary on a pseudo-terminal."""
    return lambda *args, **more: Terminal(hermes, args, **more)
