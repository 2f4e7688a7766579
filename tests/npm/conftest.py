"""What others wrote to test bots with, from npm, and the fixtures of the black-box tests.

    HERMES_BIN=…   the binary (default: build/debug/hermes)
"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox"), str(HERE.parent / "fakes")]

import pytest  # noqa: E402
from harness import Binary, Hermes, directory  # noqa: E402
from service import Service  # noqa: E402


@pytest.fixture(scope="session")
def packages():
    """The folder of the installed packages."""
    done = subprocess.run([HERE / "install"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


@pytest.fixture(scope="session")
def binary():
    with directory("hermes-npm-binary-") as path:
        try:
            yield Binary(path)
        except FileNotFoundError as problem:
            pytest.exit(str(problem), returncode=2)


@pytest.fixture
def hermes(binary):
    with directory("hermes-npm-") as path:
        user = Hermes(binary, path)
        yield user
        user.finish()


@pytest.fixture
def service(hermes):
    started = []

    def start(**more):
        started.append(Service(hermes, **more))
        return started[-1].start()
    yield start
    for running in started:
        running.kill()
