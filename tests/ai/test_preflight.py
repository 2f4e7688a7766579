"""What is known before anything is changed: no kubectl, no cluster, no rights."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

SCRIPTS = ['registry', 'build', 'deploy', 'status', 'logs', 'undeploy']
WORDS = {'build': ['hermes']}
YES = {'undeploy': {'YES': '1'}}


def run(tree, script, **environment):
    tree.secrets()
    return tree.run(script, *WORDS.get(script, []), **YES.get(script, {}), **environment)


def changes(tree):
    return tree.kubectl.calls(r'^(apply|create namespace|delete|annotate)\b')


@pytest.mark.parametrize('script', SCRIPTS)
def test_no_kubectl(tree, script):
    done = run(tree, script, KUBECTL='no-such-kubectl')
    assert done.status == 1
    assert 'there is no no-such-kubectl on this machine' in done.err
    assert 'https://kubernetes.io/docs/tasks/tools/' in done.err


@pytest.mark.parametrize('script', SCRIPTS)
def test_no_cluster(tree, script):
    tree.kubectl.on('get --raw /version', code=1, err='E1121 08:00:00.1 1 memcache.go:265] x\n'
                    'The connection to the server 192.168.1.11:6443 was refused - did you specify '
                    'the right host or port?\n')
    done = run(tree, script, KUBE_CONTEXT='cellar')
    assert done.status == 1
    assert 'no cluster replies (context: cellar)' in done.err
    assert '192.168.1.11:6443 was refused' in done.err and 'memcache' not in done.err
    assert 'kubectl config get-contexts' in done.err
    assert not changes(tree)


def test_a_cluster_that_hangs_is_not_waited_for(tree):
    tree.kubectl.on('get --raw /version', seconds=50)
    done = tree.run('status', CALL_LIMIT='1')
    assert done.status == 1 and 'no answer within 1 s' in done.err
    assert done.seconds < 40


@pytest.mark.parametrize('script', ['registry', 'build', 'deploy', 'undeploy'])
def test_no_rights(tree, script):
    tree.kubectl.on('auth can-i', 'no - no RBAC policy matched\n', code=1)
    done = run(tree, script)
    assert done.status == 1
    assert "kubectl's user may not" in done.err and 'KUBECONFIG=FILE' in done.err
    assert not changes(tree)


@pytest.mark.parametrize('script, right, settings', [
    ('registry', 'get nodes', {}),
    ('registry', 'create networkpolicies.networking.k8s.io -n registry', {}),
    ('build', 'patch configmaps -n registry', {'REGISTRY': 'ghcr.io/me'}),
    ('build', 'create pods --subresource=exec -n registry', {})])
def test_no_right_that_a_script_needs_later(tree, script, right, settings):
    tree.kubectl.on(f'auth can-i {right}$', 'no\n', code=1)
    done = run(tree, script, **settings)
    assert done.status == 1 and "kubectl's user may not" in done.err, done.text
    assert not changes(tree)


def test_a_registry_elsewhere_needs_no_look_into_it(tree):
    run(tree, 'build', REGISTRY='ghcr.io/me', TIMEOUT='1')
    assert tree.kubectl.calls('auth can-i') and not tree.kubectl.calls('subresource')


def test_what_answers_is_something_else(tree):
    tree.kubectl.on('get --raw /version', '<html>router</html>\n')
    done = tree.run('status')
    assert done.status == 1 and 'is not Kubernetes' in done.err


def test_the_context_goes_with_every_call(tree):
    tree.secrets()
    tree.run('deploy', KUBE_CONTEXT='the cellar', TIMEOUT='1')
    asked = [call for call in tree.kubectl.calls() if 'config' not in call['words']]
    assert len(asked) > 5
    assert all(call['words'][0] == '--context=the cellar' for call in asked)


def test_kubectl_may_be_two_words(tree):
    other = tree.kubectl.folder / 'k3s'
    other.write_text('#!/bin/sh\n[ "$1" = kubectl ] || exit 9\nshift\nexec kubectl "$@"\n')
    other.chmod(0o755)
    done = tree.run('deploy', '--check', KUBECTL='k3s kubectl')
    assert 'k8s/secrets.env is missing' in done.err
    tree.secrets()
    assert tree.run('deploy', '--check', KUBECTL='k3s kubectl').status == 0


@pytest.mark.parametrize('given', ['x', '1m', '-1'])
def test_a_timeout_must_be_a_number(tree, given):
    done = tree.run('status', TIMEOUT=given)
    assert done.status == 1 and f'TIMEOUT={given} is not a number' in done.err


def test_it_runs_from_anywhere(tree):
    done = subprocess.run(['bash', tree.root / 'scripts/ai/context', '--tag'], cwd='/', text=True,
                          env=tree.environment(), capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith('tree-')


def test_an_interrupt_is_obeyed_at_once_and_says_what_goes_on(tree):
    """As Ctrl-C does it: to everything in the foreground. What was started in the background of a
    shell inherits the signal as ignored, and bash cannot trap it then."""
    tree.kubectl.sees('registry', {'seconds': 60})
    process = subprocess.Popen(['bash', 'scripts/ai/registry'], cwd=tree.root, text=True,
                               env=tree.environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 20
    while not tree.kubectl.calls('get deployments') and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert 'stopped waiting; the cluster goes on' in err


def test_no_colours_where_nobody_looks(tree):
    done = tree.run('status', TERM='xterm')
    assert '\033' not in done.text


def test_colours_on_a_terminal_unless_unwanted(tree):
    assert '\033[1m' in tree.on_terminal('status', None).out
    assert '\033[1m' not in tree.on_terminal('status', None, NO_COLOR='1').out


def test_the_makefile_hands_its_variables_on(tree):
    root = pathlib.Path(__file__).resolve().parents[2]
    shutil.copy(root / 'Makefile', tree.root / 'Makefile')
    done = subprocess.run(['make', 'ai-hermes-deploy', 'SECRETS=else/where.env'], cwd=tree.root,
                          env=tree.environment(), capture_output=True, text=True)
    assert done.returncode == 2 and 'else/where.env is missing' in done.stderr
    shown = subprocess.run(['make', 'help'], cwd=tree.root, env=tree.environment(), text=True,
                           capture_output=True).stdout
    before, _, after = shown.partition('in a Kubernetes cluster')
    assert '\n  make ai' not in before
    for target in ('ai', 'ai-registry', 'ai-hermes-build', 'ai-kubernetes-mcp-build',
                   'ai-hermes-deploy', 'ai-status', 'ai-logs', 'ai-undeploy'):
        assert f'make {target} ' in after
