"""The cluster that the tests of the manifests and of `make ai` share.

    HERMES_NODE=keep      use the node of `tests/cluster/node/run up`, and leave it running
    HERMES_TEST_SLOT=1    a node beside another run's

A failed test is shown with the cluster's events. Logs, pods' included, are in
build/test-logs/cluster.
"""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / 'node'), str(HERE.parent / 'fakes'), str(HERE.parent)]

import depth  # noqa: E402
from day import (  # noqa: E402, F401
    agent, base, build, built, clean_tree, deployed, laptop, mcp_built, node_told, pushed, rebuilt,
    registry_up, store, telegram, upstream, way_out)
from node import Node, printed_by  # noqa: E402
from proxy import Proxy  # noqa: E402

# Some ten minutes of waiting for what cannot come: before a release, and not for every change.
collect_ignore = [] if depth.full() else ['test_ai_4_troubles.py', 'test_ai_6_limits.py']
PROXY_PORT = 3128
SHOWN_EVENTS = 30
FIGURES = []
FIGURES_FILE = HERE.parents[1] / 'build/test-logs/cluster-figures.txt'


@pytest.fixture(scope='session')
def node():
    """A node that lives as long as the session."""
    with Node(keep=os.environ.get('HERMES_NODE') == 'keep') as running:
        yield running


@pytest.fixture
def kubectl(node):
    """kubectl(*arguments) gives what it prints; an error is an error of the test."""
    return lambda *arguments, **more: node.kubectl(*arguments, **more).stdout


@pytest.fixture(scope='session')
def proxy(node):
    """The way out for build pods: `proxy.url`; `proxy.asked` tells who was asked for."""
    with Proxy(node.place.host, PROXY_PORT) as server:
        yield server


@pytest.fixture(scope='session')
def image():
    """image('registry') makes tests/image/bases/registry and gives the path of its archive."""
    def make(name, *arguments):
        return printed_by(HERE.parent / 'image/bases' / name, *arguments)
    return make


@pytest.fixture(scope='session')
def probe_image(node):
    """A busybox, imported into the node under this name."""
    node.import_image(printed_by(HERE / 'probe'))
    return 'localhost/hermes-test/probe:1'


@pytest.fixture
def namespace(node, request):
    """namespace('restricted') makes one for this test with that Pod Security level."""
    made = []

    def make(level='restricted'):
        name = f'test-{len(made)}-{request.node.name}'.lower().replace('_', '-')[:60].rstrip('-')
        node.apply({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {
            'name': name, 'labels': {'pod-security.kubernetes.io/enforce': level}}})
        made.append(name)
        node.wait_for_account(name)
        return name

    yield make
    for name in made:
        node.kubectl('delete', 'namespace', name, '--wait=false')


def figure(name, value):
    """A line for the end of the run: a time, a peak of memory."""
    FIGURES.append((name, value))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    node = item.funcargs.get('node') if hasattr(item, 'funcargs') else None
    if report.when == 'call' and report.failed and node is not None:
        report.sections.append(('the cluster', events(node)))


def events(node):
    try:
        done = node.kubectl('get', 'events', '-A', '--sort-by=.lastTimestamp', check=False,
                            timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f'kubectl get events: {error}'
    return '\n'.join((done.stdout + done.stderr).splitlines()[-SHOWN_EVENTS:])


def pytest_terminal_summary(terminalreporter):
    if not FIGURES:
        return
    terminalreporter.section('measured in the test cluster')
    width = max(len(name) for name, _ in FIGURES)
    lines = [f'{name:{width}}  {value}' for name, value in FIGURES]
    for line in lines:
        terminalreporter.write_line(line)
    FIGURES_FILE.parent.mkdir(parents=True, exist_ok=True)
    FIGURES_FILE.write_text('\n'.join(lines) + '\n')
