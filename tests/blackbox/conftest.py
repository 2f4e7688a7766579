"""Fixtures of the black-box tests, and the markers that say where a test can run.

    HERMES_BIN=…          the binary (default: build/debug/hermes)
    HERMES_RUNNER=…       what runs it, e.g. "qemu-aarch64"; selects the qemu_user subset by itself
    HERMES_TEST_DEPTH=…   how much of all this runs (tests/depth.py)
    HERMES_KEEP=1         leave the directories of the tests behind
"""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fakes"), str(HERE.parent)]

import depth  # noqa: E402
from fixtures import binary, hermes, service  # noqa: E402, F401
from openai_upstream import Upstream  # noqa: E402
from router_service import Router  # noqa: E402
from telegram_api import TelegramApi  # noqa: E402
from terminal import Terminal  # noqa: E402


STATIC_PARTS = 6  # commits until the static binary has been asked everything


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "qemu_user: also holds under user-mode qemu (no file tools, no memory figures, "
        "no TLS timing)")
    config.addinivalue_line(
        "markers", "native: an exception within a qemu_user module: looks at the process itself")
    config.addinivalue_line(
        "markers", "release: about what a release build changes (memory, signals, the terminal, "
        "TLS, hardening, the file tools, kills), so it is asked of the static binary, too")
    config.addinivalue_line(
        "markers", "preload: puts a library of its own before the binary's, so that one must not "
        "be static")
    config.addinivalue_line(
        "markers", "debug_build: needs what only the debug build listens to")


def is_static():
    path = pathlib.Path(os.environ.get("HERMES_BIN") or HERE.parents[1] / "build/debug/hermes")
    return path.is_file() and b"/ld-linux" not in path.read_bytes()[:1 << 16]


def pytest_collection_modifyitems(config, items):
    """With a runner, the tests that an emulator would falsify are not even collected, nor those
    that a static binary has no place for. A run that is not of full depth takes a part of them,
    unless single tests are named."""
    emulated, static = bool(os.environ.get("HERMES_RUNNER")), is_static()
    kept = [item for item in items
            if not (emulated and (not item.get_closest_marker("qemu_user") or
                                  item.get_closest_marker("native")))
            and not (static and (item.get_closest_marker("preload") or
                                 item.get_closest_marker("debug_build")))]
    if any("::" in word for word in config.args):
        pass
    elif depth.depth() == depth.CHECK:
        kept = once_each(kept)
    elif depth.depth() == depth.CI and emulated:
        kept = one_of_each_module(kept)
    elif depth.depth() == depth.CI and static:
        kept = release_and_a_part(kept)
    taken = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in taken])
    items[:] = kept


def once_each(items):
    """Each function with its first parameters, but for those in slow.list."""
    slow, first = set((HERE / "slow.list").read_text().split()), {}
    for item in items:
        first.setdefault(f"{item.path.stem}::{item.originalname}", item)
    collected = {item.path.stem for item in items}
    elsewhere = {path.stem for path in HERE.glob("test_*.py")} - collected
    gone = {name for name in slow - first.keys() if name.partition("::")[0] not in elsewhere}
    if gone:
        raise pytest.UsageError(f"slow.list names tests that are gone: {', '.join(sorted(gone))}. "
                                "Take them out, or run tests/runner/slow.py")
    return [item for name, item in first.items() if name not in slow]


def release_and_a_part(items):
    """All that a release build changes; of the rest, which the debug binary was asked as well, a
    part takes its turn."""
    rest = set(depth.share([item for item in items if not item.get_closest_marker("release")],
                           STATIC_PARTS))
    return [item for item in items if item in rest or item.get_closest_marker("release")]


def one_of_each_module(items):
    """The emulated binary is the same program; which test shows that takes turns."""
    modules = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    return [tests[depth.turn(len(tests))] for tests in modules.values()]


@pytest.fixture
def up():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def tls_up():
    with Upstream(tls=True) as upstream:
        yield upstream


@pytest.fixture
def router(hermes, up):
    """A Router that a test starts; killed in the end."""
    made = Router(hermes, up)
    yield made
    made.kill()


@pytest.fixture
def api():
    """Telegram, as far as a bot knows it."""
    with TelegramApi() as server:
        yield server


@pytest.fixture
def terminal(hermes):
    """terminal("chat", env=…) starts the binary on a pseudo-terminal."""
    return lambda *args, **more: Terminal(hermes, args, **more)


@pytest.fixture
def talk(hermes, api, up, service):
    """talk(model=…, config=…) starts a daemon that is on Telegram and asks that model."""
    def start(model="echo", config="", **more):
        hermes.use_telegram(api)
        hermes.use(up, model)
        if config:
            hermes.put("config.yaml", config)
        return service(**more)
    return start
