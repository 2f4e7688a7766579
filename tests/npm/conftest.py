"""What others wrote, from npm: a server for bots, a client of models. And the fixtures of the
black-box tests.

    HERMES_BIN=…   the binary (default: build/debug/hermes)
"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox"), str(HERE.parent / "fakes")]

import pytest  # noqa: E402
from fixtures import binary, hermes, service  # noqa: E402, F401


def installed(*folder):
    """Where the packages of this folder of tests lie, or of that one."""
    done = subprocess.run([HERE / "install", *folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


@pytest.fixture(scope="session")
def packages():
    """The folder of the installed packages."""
    return installed()


@pytest.fixture(scope="session")
def mcp_packages():
    """The same of the servers of the Model Context Protocol."""
    return installed(HERE / "mcp")
