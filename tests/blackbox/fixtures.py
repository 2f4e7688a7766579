"""The fixtures that every suite with a real binary shares; each conftest imports what it uses."""

import pytest
from harness import Binary, Hermes, directory
from service import Service


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
def service(hermes):
    """service(env=…) starts `hermes run`; what still runs at the end is ended."""
    started = []

    def start(**more):
        started.append(Service(hermes, **more))
        return started[-1].start()
    yield start
    for running in started:
        running.kill()
