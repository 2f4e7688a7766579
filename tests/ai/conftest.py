"""The scripts of `make ai-*` before a cluster that is made up, so that all of its moods are tried.

Nothing here needs a cluster or a network; tests/cluster does the same on a real one.
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from cluster import Tree  # noqa: E402


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    yield tree
    assert tree.leftovers() == [], 'a script left temporary files behind'
