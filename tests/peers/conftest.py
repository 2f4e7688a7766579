"""Programs that do what we do, run for real beside us.

    make test-peers
    HERMES_BIN=build/debug/hermes /usr/bin/python3 -m pytest tests/peers

The first run installs them (tests/peers/install); afterwards no network is needed.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ('blackbox', 'fakes'))]

import pytest  # noqa: E402
from fixtures import binary  # noqa: E402, F401
from litellm_proxy import Litellm, deployment  # noqa: E402
from openai_upstream import Upstream  # noqa: E402


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
