"""What is shipped passes every check; each mistake in it is seen by the check that is there for it.

The mistakes are in mutations.py. A check that no mistake wakes proves nothing, so each has one.

    HERMES_BIN=...    the program that is asked about its configuration (build/debug/hermes)
"""

import os
import re
import subprocess
import time
import urllib.error
import urllib.request

import checks_pods
import pytest
import tree as shipping
import yaml
from judged import JUDGES, OURS, Judged, ours, rendered
from mutations import MUTATIONS, StaleMutation, apply, name_of

FILES = shipping.shipped()
BINARY = os.environ.get('HERMES_BIN') or shipping.REPO / 'build/debug/hermes'


def mutated(mutation):
    """(its trees, why there are none)"""
    try:
        return rendered(apply(mutation, FILES))
    except StaleMutation as error:
        return [], error


@pytest.fixture(scope='session')
def wrong():
    return {name_of(mutation): mutated(mutation) for mutation in MUTATIONS}


@pytest.fixture(scope='session')
def judged(packages, tmp_path_factory, wrong):
    theirs = [wrong[name_of(mutation)] for mutation in MUTATIONS if mutation[3] in JUDGES]
    trees = [tree for made, _ in [rendered(FILES), *theirs] for tree in made]
    bodies = [thing.body for tree in trees for thing in tree.things]
    return Judged(packages, tmp_path_factory.mktemp('types'), bodies)


@pytest.fixture(scope='session')
def good():
    trees, why = rendered(FILES)
    assert not why, why
    return trees


@pytest.mark.parametrize('name', OURS)
def test_what_is_shipped_is_right(name, good):
    assert ours(name, good) == []


@pytest.mark.parametrize('name', JUDGES)
def test_what_is_shipped_fits_the_schemas(name, good, judged):
    assert [finding for tree in good for finding in judged.findings(name, tree.things)] == []


def test_the_program_takes_its_configuration(tmp_path):
    environment = {**dict.fromkeys(shipping.example_names(FILES), 'x'), 'HERMES_MODEL': 'free',
                   'HERMES_HOME': str(tmp_path), 'HERMES_KUBERNETES_MCP': 'true'}
    done = subprocess.run([BINARY, 'config', 'check', '--config',
                           shipping.REPO / 'k8s/config.yaml'], capture_output=True, text=True,
                          env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.endswith(': 0 errors, 0 other findings\n')


@pytest.fixture
def agent(tmp_path):
    """The address of the program, started as the pod starts it. Its keys open nothing, and there is
    no way out."""
    environment = {**dict.fromkeys(shipping.example_names(FILES), 'x'), 'HERMES_MODEL': 'free',
                   'HERMES_HOME': str(tmp_path / 'home'), 'https_proxy': 'http://127.0.0.1:9',
                   'TELEGRAM_BOT_TOKEN': '', 'API_SERVER_KEY': '',
                   'HERMES_ALLOW_ROOT_GATEWAY': '1',
                   'HERMES_KUBERNETES_MCP': 'false'}
    config, log = tmp_path / 'config.yaml', tmp_path / 'log'
    content = yaml.safe_load(FILES['k8s/config.yaml'])
    content.setdefault('router', {})['port'] = 0        # one that is free here
    config.write_text(yaml.safe_dump(content))
    with log.open('wb') as written:
        child = subprocess.Popen([BINARY, 'run', '--port', '0', '--config', config],
                                 env=environment, stdin=subprocess.DEVNULL, stdout=written,
                                 stderr=written)
    try:
        until = time.monotonic() + 60
        while not (found := re.search(r'admin: (http://127\.0\.0\.1:\d+)', log.read_text())):
            assert child.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        child.kill()
        child.wait()


def status_of(address):
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_program_answers_its_probes(agent, good):
    probes = [container.body[kind]['httpGet']['path'] for container in good[0].containers()
              if container.body['name'] == 'hermes' for kind in checks_pods.PROBES]
    assert len(probes) == 3 and status_of(f'{agent}/nothing') == 404
    until = time.monotonic() + 60
    while 503 in (found := [status_of(agent + path) for path in probes]):   # not ready yet
        assert time.monotonic() < until, probes
        time.sleep(0.05)
    assert found == [200] * 3, probes


def test_the_daily_cap_applies_to_what_costs_money(agent, tmp_path):
    """Without a way out nobody knows what the model costs, so under a cap it is not asked."""
    router = re.search(r'router: (http://127\.0\.0\.1:\d+)', (tmp_path / 'log').read_text())[1]
    call = urllib.request.Request(
        f'{router}/v1/chat/completions', headers={'Authorization': 'Bearer x'},
        data=b'{"model": "cheap", "messages": [{"role": "user", "content": "hello"}]}')
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(call, timeout=60)
    assert refused.value.headers['x-hermes-budget'] == 'max_budget'
    assert re.search(r'it resets at \S+T00:00:00Z', refused.value.read().decode())


@pytest.mark.parametrize('mutation', MUTATIONS, ids=name_of)
def test_a_mistake_is_seen(mutation, wrong, judged):
    trees, why = wrong[name_of(mutation)]
    check = mutation[3]
    assert not isinstance(why, StaleMutation), why
    if check == 'kustomization':
        assert why
        return
    assert not why, why
    found = [finding for tree in trees for finding in judged.findings(check, tree.things)] \
        if check in JUDGES else ours(check, trees)
    assert found


def test_every_check_has_a_mistake_of_its_own():
    assert {mutation[3] for mutation in MUTATIONS} == {*OURS, *JUDGES, 'kustomization'}
    assert len({name_of(mutation) for mutation in MUTATIONS}) == len(MUTATIONS)
