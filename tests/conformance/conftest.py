"""The public conformance suite of the Model Context Protocol, from npm, against what is built here.

    HERMES_BIN=…   the binary (default: build/debug/hermes); the fixture server lies beside it
"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox"), str(HERE.parent / "fakes")]

import pytest  # noqa: E402
from fixtures import binary, hermes, service  # noqa: E402, F401
from suite import Suite  # noqa: E402


@pytest.fixture(scope="session")
def suite():
    done = subprocess.run([ROOT / "tests/npm/install", HERE], capture_output=True, text=True,
                          timeout=600)
    assert done.returncode == 0, done.stderr
    return Suite(pathlib.Path(done.stdout.strip()) / "node_modules")


@pytest.fixture
def fixture_server():
    """Its URL. What a sanitizer finds in it, leaks included, fails the test."""
    child = subprocess.Popen([ROOT / "build/debug/tests/conformance_server"], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield child.stdout.readline().strip()
        _, notes = child.communicate(timeout=20)
        assert (child.returncode, notes) == (0, "")
    finally:
        child.kill()
