"""What is shipped passes every check; each mistake in it is seen by the check that is there for it.

The mistakes are in mutations.py. A check that no mistake wakes proves nothing, so each has one.

    HERMES_BIN=...    the program that is asked about its configuration (build/debug/hermes)
"""

import os
import pathlib
import subprocess

import pytest
import tree as shipping
from judged import JUDGES, OURS, Judged, ours, rendered
from mutations import MUTATIONS, StaleMutation, apply, name_of

FILES = shipping.shipped()
# Manifests of another project, three of them wrong on purpose, where a checkout has them beside it.
OTHERS = pathlib.Path(shipping.REPO).parent / 'shared/cluster/manifests'
WRONG = [('typo', 'types'), ('bad', 'types'), ('bad', 'schema'), ('bad', 'quantities'),
         ('sel', 'selectors')] if OTHERS.is_dir() else []


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
def foreign():
    return {name: shipping.foreign(OTHERS / f'{name}.yaml')
            for name in {'app', *(name for name, _ in WRONG)}} if WRONG else {}


@pytest.fixture(scope='session')
def judged(packages, tmp_path_factory, wrong, foreign):
    theirs = [wrong[name_of(mutation)] for mutation in MUTATIONS if mutation[3] in JUDGES]
    trees = [tree for made, _ in [rendered(FILES), *theirs] for tree in made]
    bodies = [thing.body for tree in [*trees, *foreign.values()] for thing in tree.things]
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
    binary = os.environ.get('HERMES_BIN') or shipping.REPO / 'build/debug/hermes'
    environment = {**dict.fromkeys(shipping.example_names(FILES), 'x'), 'HERMES_MODEL': 'free',
                   'HERMES_HOME': str(tmp_path)}
    done = subprocess.run([binary, 'config', 'check', '--config',
                           shipping.REPO / 'k8s/config.yaml'], capture_output=True, text=True,
                          env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.endswith(': 0 errors, 0 findings\n')


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


if WRONG:
    @pytest.mark.parametrize('name,check', WRONG)
    def test_the_wrong_manifests_of_others_are_seen(name, check, foreign, judged):
        """Of the same manifests without the mistake, the check says nothing."""
        def findings(tree):
            return judged.findings(check, tree.things) if check in JUDGES else ours(check, [tree])

        assert findings(foreign['app']) == []
        assert findings(foreign[name])
