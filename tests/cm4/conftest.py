"""The machines that the tests share, and the figures that they read off them.

    HERMES_BIN=…      the static aarch64 binary (default: build/aarch64-linux-musl/hermes)

A failed test is shown with what the guest's console got during it.
"""
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fakes"), str(HERE.parent)]

from machine import ROOT, Machine, prepared_folder  # noqa: E402
from openai_upstream import Upstream  # noqa: E402
from telegram_api import TelegramApi  # noqa: E402

FIGURES = []
GUEST_CA = "/etc/fake-ca.pem"
SPARE_PORT = 8000
TELEGRAM_PORT = 8443
IDLE_BESIDE_BINARY_KIB = 1280  # resident, more than the size of the binary
IDLE_OWN_KIB = 1638            # anonymous memory, and what the kernel keeps for it


@pytest.fixture(scope="session")
def upstream():
    with Upstream(tls=True) as server:
        yield server


def binary():
    return pathlib.Path(os.environ.get("HERMES_BIN") or ROOT / "build/aarch64-linux-musl/hermes")


def judge_idle(what, got):
    """What `rss_of` and `memory_of` told of a daemon at rest. Its pages of the binary come and go
    with the page cache, so at worst it holds all of them; what is its own is judged by itself."""
    for name in ("processes", "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmHWM", "anon", "kernel"):
        figure(f"{what}: {name}", f"{got.get(name)}" + (" KiB" if name != "processes" else ""))
    assert got["processes"] >= 1, got
    assert got["VmRSS"] <= binary().stat().st_size / 1024 + IDLE_BESIDE_BINARY_KIB, got
    assert got["anon"] + got["kernel"] <= IDLE_OWN_KIB, got


@pytest.fixture(scope="session")
def pi(upstream):
    """As Raspberry Pi OS ships: without Landlock. Port 443 of fake.test is the upstream; 8443 is
    Telegram in a test that has it."""
    files = {GUEST_CA: upstream.ca_file, "/bin/busybox-probe": prepared_folder() / "busybox"}
    if binary().is_file():
        files["/bin/hermes"] = binary()
    ports = {443: upstream.port, SPARE_PORT: upstream.port, TELEGRAM_PORT: upstream.port}
    with Machine(files=files, forwards=ports) as machine:
        figure("boot to the first job", f"{machine.boot_seconds:.1f} s ({machine.kernel})")
        yield machine


@pytest.fixture
def machine(pi):
    yield from with_console(pi)


@pytest.fixture
def telegram(pi):
    """A Bot API of the test's own, over TLS; to the guest it is https://fake.test:8443."""
    with TelegramApi(tls=True) as api:
        pi.forward(TELEGRAM_PORT, api.port)
        yield api
        assert not api.violations, api.violations


@pytest.fixture(scope="session")
def landlocked_pi():
    files = {"/bin/hermes": binary()} if binary().is_file() else {}
    with Machine(files=files, landlock=True) as machine:
        yield machine


@pytest.fixture
def landlocked(landlocked_pi):
    yield from with_console(landlocked_pi)


def with_console(machine):
    before = len(machine.console)
    yield machine
    print(machine.console[before:])


def figure(name, value):
    FIGURES.append((name, value))


def pytest_terminal_summary(terminalreporter):
    if not FIGURES:
        return
    terminalreporter.section("read off the emulated CM4")
    width = max(len(name) for name, _ in FIGURES)
    for name, value in FIGURES:
        terminalreporter.write_line(f"{name:{width}}  {value}")
