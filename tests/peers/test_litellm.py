"""The peer itself: that it starts without a database, asks our fake and says what it did."""

import json
import re
import subprocess

import pytest
from litellm_proxy import HERE, Litellm, NotReady, deployment, installed
from prometheus_client.parser import text_string_to_metric_families

QUESTION = {'model': 'cheap', 'messages': [{'role': 'user', 'content': 'hi'}]}


@pytest.fixture
def proxy(litellm):
    return litellm[1]


def test_it_answers(litellm):
    upstream, proxy = litellm
    before = len(upstream.requests)
    status, headers, body = proxy.post('/v1/chat/completions', QUESTION)
    assert status == 200, proxy.log()
    answer = json.loads(body)
    assert answer['choices'][0]['message']['content'] == 'echo: hi'
    assert answer['model'] == 'cheap', 'it tells the name that was asked for'
    assert headers['x-litellm-model-group'] == 'cheap'
    asked = [request.model for request in upstream.requests[before:]
             if request.path.endswith('/completions')]
    assert asked == ['echo'] and not upstream.rejected


def test_it_streams(proxy):
    status, headers, body = proxy.post('/v1/chat/completions', {**QUESTION, 'stream': True})
    assert status == 200 and headers['content-type'].startswith('text/event-stream')
    events = [line[6:] for line in body.decode().split('\n') if line.startswith('data: ')]
    assert events[-1] == '[DONE]'
    deltas = [json.loads(event)['choices'][0]['delta'] for event in events[:-1]]
    assert ''.join(delta.get('content') or '' for delta in deltas) == 'echo: hi'


def test_what_it_refuses(proxy):
    for body in ({**QUESTION, 'model': 'no-such-model'}, {**QUESTION, 'model': 'bad'}):
        status, _, answer = proxy.post('/v1/chat/completions', body)
        assert 400 <= status < 500 and set(json.loads(answer)['error']) >= {'message', 'type'}
    assert proxy.post('/v1/chat/completions', QUESTION, key='sk-wrong')[0] in (400, 401)


def test_its_metrics(proxy):
    """The four families of its dashboard, by which ours are measured."""
    assert proxy.post('/v1/chat/completions', QUESTION)[0] == 200
    status, _, page = proxy.get('/metrics/')
    assert status == 200
    samples = {sample.name for family in text_string_to_metric_families(page.decode())
               for sample in family.samples}
    # The other two are told from the first failure and the first answer with rate headers on.
    assert {'litellm_proxy_total_requests_metric_total',
            'litellm_request_total_latency_metric_bucket'} <= samples


def test_one_that_cannot_start_says_why(upstream):
    with pytest.raises(NotReady, match='LiteLLM ended with'):
        with Litellm({'model_list': [deployment(upstream, 'cheap', 'echo')]},
                     environment={'PYTHONHOME': '/nonexistent'}):
            pass


def test_the_versions_are_the_pinned_ones():
    text = (HERE / 'requirements.txt').read_text()
    pinned = dict(re.findall(r'^([a-z0-9-]+)==(\S+)', text, re.M))
    assert pinned['litellm'] not in ('1.82.7', '1.82.8')
    frozen = subprocess.run([installed() / 'bin' / 'pip', 'freeze', '--local'], check=True,
                            capture_output=True, text=True).stdout
    assert f'litellm=={pinned["litellm"]}' in frozen.splitlines()
