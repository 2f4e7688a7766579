"""The fixtures of the black-box tests serve here too: what the documents say is tried as a user.

    HERMES_BIN=…   the binary (default: build/debug/hermes)
"""

import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "blackbox"), str(TESTS / "fakes")]

import pytest  # noqa: E402
from fixtures import binary  # noqa: E402, F401
from harness import directory  # noqa: E402
from openai_scenarios import SCENARIOS  # noqa: E402
from user import Reader  # noqa: E402


@pytest.fixture
def reader(binary):
    """A user who follows the documents."""
    with directory("hermes-docs-") as path:
        user = Reader(binary, path)
        yield user
        user.finish()


@pytest.fixture
def any_model(monkeypatch):
    """The fake upstream answers to every name of a model, as an echo."""
    class Every(dict):
        def __contains__(self, name):
            return True

        def __missing__(self, name):
            return SCENARIOS["echo"]

    monkeypatch.setattr("openai_upstream.SCENARIOS", Every(SCENARIOS))
