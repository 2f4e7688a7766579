"""Our page of metrics as others read it, beside LiteLLM's own page.

The parser is the Prometheus project's for Python. Names, types and labels are compared with what
the real LiteLLM tells after the same kinds of events.
"""

import collections
import pathlib
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ['tests/peers/metrics_page.c',
           *(f'src/router/observe/{name}.c' for name in ('metrics', 'series', 'families')),
           *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('src/base/*.c'))]
HOSTILE = 'a"b\\c\nd{},= ü? # {x="y"} 1'

# Labels of newer LiteLLMs that we leave out: two are whatever a stranger sends, and what the others
# name does not exist here.
LEFT_OUT = {'client_ip', 'user_agent', 'org_id', 'org_alias', 'service_tier'}
# It adds these to single families, always with the value None.
NEVER_KNOWN = {'litellm_llm_api_failed_requests_metric': {'user_email'},
               'litellm_deployment_successful_fallbacks': {'model_id'},
               'litellm_deployment_failed_fallbacks': {'model_id'},
               'litellm_spend_metric': {'user_email'}}
# Its queue time is told by caller and model, ours as one: it is a matter of the whole router.
ONE_SERIES = {'litellm_request_queue_time_seconds'}


def families(page):
    return {family.name: family for family in text_string_to_metric_families(page)}


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    program = tmp_path_factory.mktemp('page') / 'metrics_page'
    subprocess.run(['gcc', '-std=gnu17', '-D_GNU_SOURCE', '-O1', '-Isrc', *SOURCES, '-o', program],
                   cwd=ROOT, check=True)
    return subprocess.run([program], check=True, capture_output=True).stdout.decode()


@pytest.fixture(scope='module')
def ours(page):
    return families(page)


@pytest.fixture(scope='module')
def theirs(litellm):
    upstream, proxy = litellm
    for model in ('cheap', 'cheap', 'falls-back', 'no-such-model', 'bad'):
        for stream in (False, True):
            proxy.post('/v1/chat/completions', {
                'model': model, 'stream': stream,
                'messages': [{'role': 'user', 'content': 'hi'}]})
    status, _, told = proxy.get('/metrics/')
    assert status == 200
    return families(told.decode())


def labels_of(family):
    """The label names of a family, without those of a histogram's and a counter's own lines."""
    names = {name for sample in family.samples for name in sample.labels}
    return names - {'le'}


def test_every_line_is_read(page, ours):
    lines = [line for line in page.splitlines() if not line.startswith('#')]
    assert len(lines) == sum(len(family.samples) for family in ours.values())
    assert page.endswith('\n')
    names = [line.split()[2] for line in page.splitlines() if line.startswith('# TYPE ')]
    assert len(names) == len(set(names)), 'a family is told twice'
    series = collections.Counter(line.rsplit(' ', 1)[0] for line in lines)
    assert max(series.values()) == 1, 'a series is told twice'


def test_hostile_values_come_back_whole(ours):
    values = {sample.labels['api_key_alias'] for sample in ours['litellm_spend_metric'].samples}
    assert values == {HOSTILE}


def test_histograms_add_up(ours):
    for family in ours.values():
        if family.type != 'histogram':
            continue
        buckets = collections.defaultdict(list)
        counts = {}
        for sample in family.samples:
            key = tuple(sorted((k, v) for k, v in sample.labels.items() if k != 'le'))
            if sample.name.endswith('_bucket'):
                buckets[key].append((float(sample.labels['le']), sample.value))
            elif sample.name.endswith('_count'):
                counts[key] = sample.value
        for key, rows in buckets.items():
            assert [le for le, _ in rows] == sorted(le for le, _ in rows)
            assert [n for _, n in rows] == sorted(n for _, n in rows), 'not cumulative'
            assert rows[-1] == (float('inf'), counts[key])


def test_money_is_exact(ours):
    spent = ours['litellm_spend_metric'].samples
    assert [sample.value for sample in spent] == [3 * 0.000154]
    assert ours['hermes_router_budget_spent_dollars'].samples[0].value == 1e-12


def test_names_and_types_are_litellms(ours, theirs):
    for name, family in ours.items():
        if name.startswith('litellm_'):
            assert name in theirs, f'LiteLLM has no {name}'
            assert family.type == theirs[name].type, name


def test_labels_are_litellms(ours, theirs):
    compared = 0
    for name, family in ours.items():
        real = labels_of(theirs[name]) if name in theirs and theirs[name].samples else None
        if not real or name in ONE_SERIES:
            continue
        compared += 1
        added = labels_of(family) - real - NEVER_KNOWN.get(name, set())
        lacking = real - labels_of(family) - LEFT_OUT - NEVER_KNOWN.get(name, set())
        assert not added and not lacking, f'{name}: we add {added}, we lack {lacking}'
    assert compared >= 20, 'LiteLLM told too little to compare with'
