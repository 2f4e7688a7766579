"""Programs that do what we do, run for real beside us.

    make test-peers
    HERMES_BIN=build/debug/hermes /usr/bin/python3 -m pytest tests/peers

The first run installs them (tests/peers/install); afterwards no network is needed.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ('blackbox', 'fakes', ''))]

import depth  # noqa: E402
import pytest  # noqa: E402
from fixtures import binary  # noqa: E402, F401
from litellm_proxy import Litellm, deployment  # noqa: E402
from openai_upstream import Upstream  # noqa: E402


def pytest_collection_modifyitems(config, items):
    """Where a part will do (tests/depth.py), one shard of the cases has its turn."""
    if not depth.part():
        return
    import test_differential
    shards = test_differential.SHARDS
    names = {case.name for case in shards[depth.turn(len(shards))]}
    taken = [item for item in items if item.module.__name__ != 'test_differential'
             or getattr(item, 'callspec', None) and item.callspec.params.get('name') in names]
    config.hook.pytest_deselected(items=[item for item in items if item not in taken])
    items[:] = taken


@pytest.fixture
def upstream():
    with Upstream() as up:
        yield up


@pytest.fixture(scope='session')
def litellm():
    """(upstream, proxy) that are shared, since LiteLLM takes some seconds to start."""
    with Upstream() as up:
        config = {'model_list': [deployment(up, 'cheap', 'echo', rpm=1000, tpm=100000),
                                 deployment(up, 'bad', 'no-such-scenario'),
                                 deployment(up, 'falls-back', 'no-such-scenario')],
                  'router_settings': {'fallbacks': [{'falls-back': ['cheap']}]},
                  'litellm_settings': {'callbacks': ['prometheus']}}
        with Litellm(config) as running:
            yield up, running
