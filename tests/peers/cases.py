"""What both routers are asked: the groups of one configuration, and the requests.

A case has groups of its own, so that no cooldown and no count of one case is seen by another. The
models that the upstream is asked for begin with the name of their case.
"""

import dataclasses

from litellm_proxy import MASTER_KEY

HELLO = [{'role': 'user', 'content': 'hello'}]
CHAT = '/v1/chat/completions'
PATIENCE = 1  # seconds that a deployment may hang
LATE_PATIENCE = 3  # the same, when it has begun to answer, which may take a slow machine a while
TOOLS = [{'type': 'function', 'function': {
    'name': name, 'description': 'd', 'parameters': {
        'type': 'object', 'properties': {'path': {'type': 'string'}}}}}
    for name in ('read_file', 'list_files', 'current_time')]


@dataclasses.dataclass(frozen=True)
class Ask:
    body: object = None  # bytes as they are, anything else as JSON
    path: str = CHAT
    method: str = 'POST'
    headers: dict = dataclasses.field(default_factory=dict)
    key: str | None = MASTER_KEY


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    asks: list
    groups: dict = dataclasses.field(default_factory=dict)  # name -> scenarios or dicts with one
    settings: object = ()  # one or several {name of a router setting: what it gets more}


def chat(model, stream=False, **more):
    return Ask({'model': model, 'messages': HELLO, **({'stream': True} if stream else {}), **more})


def entries(case, upstream):
    """The case's part of model_list."""
    for group, deployments in case.groups.items():
        for number, wanted in enumerate(deployments):
            wanted = {'scenario': wanted} if isinstance(wanted, str) else dict(wanted)
            identity = f'{group}.{number}'
            base = upstream.base_url if wanted.pop('reachable', True) else 'http://127.0.0.1:9/v1'
            provider = wanted.pop('provider', 'openai')
            info = {'id': identity, **wanted.pop('info', {})}
            model = wanted.pop('model', f'{provider}/{identity}/{wanted.pop("scenario", "echo")}')
            yield {'model_name': group, 'model_info': info,
                   'litellm_params': {'model': model, 'api_base': base,
                                      'api_key': upstream.api_key, **wanted}}


def config_of(cases, upstream):
    """config.yaml as a dict."""
    settings = {'num_retries': 0, 'fallbacks': [], 'context_window_fallbacks': [],
                'content_policy_fallbacks': [], 'model_group_alias': {}}
    models = []
    for case in cases:
        models += entries(case, upstream)
        several = [case.settings] if isinstance(case.settings, dict) else case.settings
        for name, value in (pair for one in several for pair in one.items()):
            if isinstance(settings[name], list):
                settings[name].append(value)
            else:
                settings[name].update(value)
    return {'model_list': models, 'router_settings': settings,
            'litellm_settings': {'callbacks': ['prometheus']}}


# -- the ways to fail -----------------------------------------------------------------------------

HANGS = ['hang', 'hang-first-byte', 'slow-comments:3']
# Of gateways' known ones: refusals, pages, silence, cuts, errors inside a 200, nonsense.
FAULTS = [
    '400-context', '400-too-long', '400-string', '400-detail', '400-policy', 'gemini-array', '401',
    '402', '403', '403-guidelines', '403-page', '404', '404-image', '408', '413', '422',
    '429-forever', '429-long', '500-html', '500-empty', '502', '503', '504', '529', 'unreachable',
    *HANGS, 'cut-headers', '200-error', '200-limit', 'empty-answer', 'withheld', 'empty-choices',
    'empty-body', 'not-sse', 'wrong-types', 'not-an-object', 'not-http', 'redirect', 'deep-json']
STREAM_FAULTS = [
    'stream-error-bare', 'empty-stream', 'no-events', 'json-for-stream', 'raw-nul',
    *(f'late-{how}' for how in ('cut', 'half', 'reset', 'end', 'close', 'hang', 'call',
                                'error', 'error-string', 'error-event', 'choice-error'))]
OWN_LISTS = {'400-context': 'context_window_fallbacks', '400-too-long': 'context_window_fallbacks',
             '400-policy': 'content_policy_fallbacks'}
JSON_FAULTS = ['stream-for-json', 'cut-json', 'cut-json-clean', 'cut-utf8', 'choice-error']


def failing(fault):
    """The deployment that fails so."""
    if fault == 'unreachable':
        return {'scenario': 'echo', 'reachable': False}
    if fault == 'late-hang':
        return {'scenario': fault, 'timeout': LATE_PATIENCE, 'stream_timeout': LATE_PATIENCE}
    if fault in HANGS:
        return {'scenario': fault, 'timeout': PATIENCE, 'stream_timeout': PATIENCE}
    return fault


def faults():
    """Each fault alone, and with somebody behind it who answers; JSON and SSE."""
    for fault in FAULTS + STREAM_FAULTS + JSON_FAULTS:
        for stream in (False, True):
            if fault in (STREAM_FAULTS if not stream else JSON_FAULTS):
                continue
            how = 'sse' if stream else 'json'
            alone, first, second = (f'{what}.{fault}.{how}' for what in ('alone', 'first', 'next'))
            yield Case(alone, [chat(alone, stream)], {alone: [failing(fault)]})
            kind = OWN_LISTS.get(fault, 'fallbacks')
            yield Case(first, [chat(first, stream)], {first: [failing(fault)], second: ['echo']},
                       {kind: {first: [second]}})


def kept_connections():
    """The provider closes a connection that was kept since an earlier answer."""
    for stream in (False, True):
        how = 'sse' if stream else 'json'
        warm, cold = f'warm.{how}', f'closed.{how}'
        yield Case(f'kept.{how}', [chat(warm, stream), chat(cold, stream)],
                   {warm: ['fixed'], cold: ['cut-before-headers']})


# -- answers --------------------------------------------------------------------------------------

ANSWERS = ['echo', 'fixed', 'length', 'content-filter', 'no-usage', 'no-done', 'comments', 'crlf',
           'reasoning', 'split-utf8', 'escapes', 'nul-bytes', 'lone-surrogate', 'bad-utf8',
           'weird-usage', 'terminal-escapes', 'ollama', 'llamacpp', 'deepseek', 'litellm']
STREAM_ANSWERS = ['sse-forms', 'usage-on-last']
CALLS = ['tools', 'parallel-tools', 'text-and-tools', 'null-content', 'ollama', 'ollama-old',
         'llamacpp', 'deepseek', 'gemini', 'big-int', 'object-arguments', 'legacy-id', 'empty-id',
         'same-id', 'bad-arguments', 'array-arguments', 'empty-arguments', 'long-name', 'bad-name',
         'unknown-tool', 'wild-index']


def answers():
    for scenario in ANSWERS + STREAM_ANSWERS:
        for stream in (False, True):
            if scenario in STREAM_ANSWERS and not stream:
                continue
            name = f'answer.{scenario}.{"sse" if stream else "json"}'
            yield Case(name, [chat(name, stream)], {name: [scenario]})
    for scenario in CALLS:
        for stream in (False, True):
            name = f'call.{scenario}.{"sse" if stream else "json"}'
            ask = {'messages': [{'role': 'user', 'content': 'call current_time {} now'}]}
            yield Case(name, [chat(name, stream, tools=TOOLS, **ask)], {name: [scenario]})


# -- what is asked --------------------------------------------------------------------------------

LARGE = [{'role': 'user', 'content': 'Grüße, 世界 🌍! ' * 20000}]
EXACT = '{"n": 9007199254740993, "max": 18446744073709551615, "x": 0.1000000000000000055511}'
HISTORY = [*HELLO,
           {'role': 'assistant', 'content': None, 'tool_calls': [
               {'id': 'call_a', 'type': 'function',
                'function': {'name': 'read_file', 'arguments': EXACT}},
               {'id': 'call_b', 'type': 'function',
                'function': {'name': 'list_files', 'arguments': '{}'}}]},
           {'role': 'tool', 'tool_call_id': 'call_a', 'content': 'one'},
           {'role': 'tool', 'tool_call_id': 'call_b', 'content': 'two'}]
PARAMETERS = {
    'plain': {},
    'numbers': {'temperature': 0.3, 'top_p': 0.9, 'max_tokens': 50, 'seed': 7, 'stop': ['x'],
                'presence_penalty': 0.1, 'frequency_penalty': 0.2, 'user': 'somebody'},
    'completion-tokens': {'max_completion_tokens': 50},
    'two-choices': {'n': 2},
    'tools': {'tools': TOOLS, 'tool_choice': 'auto', 'parallel_tool_calls': True},
    'history': {'messages': HISTORY, 'tools': TOOLS},
    'json-object': {'response_format': {'type': 'json_object'}},
    'metadata': {'metadata': {'team': 'a'}, 'store': False},
    'vendor': {'provider': {'order': ['a']}, 'models': ['x/y'], 'transforms': []},
    'reasoning': {'reasoning_effort': 'low'},
    'large': {'messages': LARGE},
    'null': {'temperature': None, 'stop': None, 'tools': None},
    'logprobs': {'logprobs': True, 'top_logprobs': 2},
    'images': {'messages': [{'role': 'user', 'content': [
        {'type': 'text', 'text': 'what is this'},
        {'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,iVBORw0KGgo='}}]}]},
}


def parameters():
    for what, more in PARAMETERS.items():
        for stream in (False, True):
            name = f'ask.{what}.{"sse" if stream else "json"}'
            yield Case(name, [chat(name, stream, **more)], {name: ['fixed']})
    for what, wanted in (('usage', True), ('no-usage', False)):
        name = f'ask.{what}.sse'
        yield Case(name, [chat(name, True, stream_options={'include_usage': wanted})],
                   {name: ['echo']})
    name = 'ask.unknown-field'
    yield Case(name, [chat(name, frobnicate=7)], {name: ['echo']})
    name = 'ask.defaults'
    yield Case(name, [chat(name), chat(name, max_tokens=7)],
               {name: [{'temperature': 0.5, 'max_tokens': 99, 'seed': 3}]})


def paths():
    """The other paths, and the ways to write these."""
    name = 'path'
    group = {name: ['echo']}
    hello = {'model': name, 'messages': HELLO}
    prompt, text = {'model': name, 'prompt': 'hello'}, {'model': name, 'input': 'hello'}
    posts = {
        'chat': ('/v1/chat/completions', hello), 'chat-without-v1': ('/chat/completions', hello),
        'chat-slash': ('/v1/chat/completions/', hello),
        'engines': ('/engines/path/chat/completions', hello),
        'deployments': ('/openai/deployments/path/chat/completions', hello),
        'deployments-other': ('/openai/deployments/path/chat/completions',
                              {**hello, 'model': 'none'}),
        'deployments-bare': ('/openai/deployments/path/chat/completions', {'messages': HELLO}),
        'completions': ('/v1/completions', prompt),
        'completions-without-v1': ('/completions', prompt),
        'completions-sse': ('/v1/completions', {**prompt, 'stream': True}),
        'completions-list': ('/v1/completions', {**prompt, 'prompt': ['a', 'b']}),
        'embeddings': ('/v1/embeddings', text), 'embeddings-without-v1': ('/embeddings', text),
        'embeddings-list': ('/v1/embeddings', {**text, 'input': ['hello', 'wörld']}),
        'embeddings-base64': ('/v1/embeddings', {**text, 'encoding_format': 'base64'}),
        'embeddings-tokens': ('/v1/embeddings', {**text, 'input': [1, 2, 3]}),
    }
    asks = {what: Ask(body, path) for what, (path, body) in posts.items()}
    for what, path in (('models', '/v1/models'), ('models-without-v1', '/models'),
                       ('model', '/v1/models/path'), ('model-unknown', '/v1/models/none'),
                       ('info', '/model/info?litellm_model_id=path.0'),
                       ('info-v1', '/v1/model/info?litellm_model_id=path.0'),
                       ('liveliness', '/health/liveliness'), ('liveness', '/health/liveness'),
                       ('readiness', '/health/readiness'), ('health', '/health?model=path'),
                       ('nothing', '/v1/nothing'), ('root', '/')):
        asks[what] = Ask(path=path, method='GET')
    for what in ('liveliness', 'readiness', 'models', 'info', 'health', 'nothing'):
        asks[f'{what}-without-key'] = dataclasses.replace(asks[what], key=None)
    asks['chat-get'] = Ask(path=CHAT, method='GET')
    asks['chat-put'] = Ask(hello, method='PUT')
    asks['models-post'] = Ask({}, '/v1/models')
    asks['preflight'] = Ask(path=CHAT, method='OPTIONS', key=None, headers={
        'Origin': 'http://page.test', 'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type'})
    asks['from-a-page'] = Ask(hello, headers={'Origin': 'http://page.test'})
    for what, ask in asks.items():
        yield Case(f'path.{what}', [ask], group)
        group = {}  # once


def bad_requests():
    name = 'bad'
    hello = {'model': name, 'messages': HELLO}
    raw = {'malformed': b'{"model": "bad", "messages": [', 'empty': b'', 'array': b'[]',
           'text': b'hello', 'not-utf8': b'{"model": "bad", "messages": "\xff"}',
           'twice': b'{"model": "none", "model": "bad", "messages": [{"role": "user", '
                    b'"content": "hello"}]}',
           'surrogate': b'{"model": "bad", "messages": [{"role": "user", "content": "\\ud83c"}]}'}
    kind = {'Content-Type': 'application/json'}
    asks = {what: Ask(body, headers=kind) for what, body in raw.items()}
    asks |= {
        'no-key': dataclasses.replace(chat(name), key=None),
        'wrong-key': dataclasses.replace(chat(name), key='sk-wrong'),
        'odd-key': dataclasses.replace(chat(name), key='no-sk'),
        'api-key-header': Ask(hello, key=None, headers={'x-api-key': MASTER_KEY}),
        'api-key-azure': Ask(hello, key=None, headers={'api-key': MASTER_KEY}),
        'unknown-model': chat('none'), 'unknown-model-sse': chat('none', True),
        'no-model': Ask({'messages': HELLO}), 'null-model': chat(None), 'number-model': chat(7),
        'empty-model': chat(''),
        'no-messages': Ask({'model': name}), 'empty-messages': Ask({**hello, 'messages': []}),
        'null-messages': Ask({**hello, 'messages': None}),
        'text-messages': Ask({**hello, 'messages': 'hello'}),
        'unknown-role': Ask({**hello, 'messages': [{'role': 'king', 'content': 'hello'}]}),
        'text-stream': Ask({**hello, 'stream': 'true'}),
        'negative-max': Ask({**hello, 'max_tokens': -5}),
        'no-input': Ask({'model': name}, '/v1/embeddings'),
        'no-prompt': Ask({'model': name}, '/v1/completions'),
        'plain-type': Ask(b'{"model": "bad", "messages": [{"role": "user", "content": "hello"}]}',
                          headers={'Content-Type': 'text/plain'}),
        'no-type': Ask(b'{"model": "bad", "messages": [{"role": "user", "content": "hello"}]}'),
        'form-type': Ask(b'model=bad&messages=hello',
                         headers={'Content-Type': 'application/x-www-form-urlencoded'}),
    }
    group = {name: ['echo']}
    for what, ask in asks.items():
        yield Case(f'bad.{what}', [ask], group)
        group = {}


# -- chains ---------------------------------------------------------------------------------------

def chains():
    for stream in (False, True):
        how = 'sse' if stream else 'json'

        def name(what):
            return f'{what}.{how}'
        ask = name('retry')
        yield Case(ask, [chat(ask, stream, num_retries=2)], {ask: ['500-once']})
        ask = name('retry-in-vain')
        yield Case(ask, [chat(ask, stream, num_retries=2)], {ask: ['502']})
        ask = name('no-retry-401')
        yield Case(ask, [chat(ask, stream, num_retries=2)], {ask: ['401']})
        ask = name('retry-429')
        yield Case(ask, [chat(ask, stream, num_retries=2)], {ask: ['429-nonsense']})
        ask = name('retry-hang')
        yield Case(ask, [chat(ask, stream, num_retries=1)],
                   {ask: [{'scenario': 'hang', 'timeout': PATIENCE, 'stream_timeout': PATIENCE}]})
        ask = name('deployment-retries')
        yield Case(ask, [chat(ask, stream)], {ask: [{'scenario': '502', 'num_retries': 1}]})
        ask = name('two')
        yield Case(ask, [chat(ask, stream, num_retries=1)],
                   {ask: [{'scenario': '502', 'order': 1}, {'scenario': 'echo', 'order': 2}]})
        ask = name('order')
        yield Case(ask, [chat(ask, stream)],
                   {ask: [{'scenario': 'fixed', 'order': 2}, {'scenario': 'echo', 'order': 1}]})
        ask, b, c = name('far'), name('far-b'), name('far-c')
        yield Case(ask, [chat(ask, stream)], {ask: ['502'], b: ['401'], c: ['echo']},
                   {'fallbacks': {ask: [b, c]}})
        ask, b, c = name('nested'), name('nested-b'), name('nested-c')
        yield Case(ask, [chat(ask, stream), chat(b, stream)],
                   {ask: ['502'], b: ['503:30'], c: ['echo']},
                   [{'fallbacks': {ask: [b]}}, {'fallbacks': {b: [c]}}])
        ask, b, c = name('all-fail'), name('all-fail-b'), name('all-fail-c')
        yield Case(ask, [chat(ask, stream)], {ask: ['401'], b: ['502'], c: ['429-forever']},
                   {'fallbacks': {ask: [b, c]}})
        ask, b = name('switched-off'), name('switched-off-b')
        yield Case(ask, [chat(ask, stream, disable_fallbacks=True)], {ask: ['502'], b: ['echo']},
                   {'fallbacks': {ask: [b]}})
        ask, b = name('own'), name('own-b')
        yield Case(ask, [chat(ask, stream, fallbacks=[b])], {ask: ['502'], b: ['echo']})
        ask, b = name('alias'), name('alias-of')
        yield Case(ask, [chat(ask, stream)], {b: ['echo']}, {'model_group_alias': {ask: b}})
        ask, b, c = name('alias-falls'), name('alias-falls-of'), name('alias-falls-b')
        yield Case(ask, [chat(ask, stream)], {b: ['502'], c: ['echo']},
                   [{'model_group_alias': {ask: b}}, {'fallbacks': {b: [c]}}])
        ask = name('wild')
        yield Case(ask, [chat(f'{ask}/a/echo', stream)],
                   {f'{ask}/*': [{'model': f'openai/{ask}/*'}]})
    # Whoever repeats a refused call waits ever longer, so that of these there are few.
    for ask, scenario, more in (('by-id', 'echo', {'model': 'by-id.0'}),
                                ('provider-name', 'echo', {'model': 'openai/provider-name.0/echo'}),
                                ('own-unknown', '502', {'fallbacks': ['none']})):
        yield Case(ask, [chat(**{'model': ask, **more})], {ask: [scenario]})
    ask = 'flagged'
    yield Case(ask, [chat(ask)], {ask: ['403'], 'flagged-b': ['echo']},
               {'content_policy_fallbacks': {ask: ['flagged-b']}})
    ask = 'down'
    yield Case(ask, [chat(ask)] * 5, {ask: ['502'], 'down-b': ['echo']},
               {'fallbacks': {ask: ['down-b']}})
    ask = 'no-images'
    yield Case(ask, [chat(ask)] * 2, {ask: [{'scenario': '404-image', 'order': 1},
                                            {'scenario': 'echo', 'order': 2}]})
    ask = 'limited'
    yield Case(ask, [chat(ask)] * 3, {ask: ['429-long'], 'limited-b': ['echo']},
               {'fallbacks': {ask: ['limited-b']}})


def money():
    prices = {'input_cost_per_token': 0.000001, 'output_cost_per_token': 0.000002}
    for stream in (False, True):
        for scenario in ('priced', 'echo', '502'):
            name = f'price.{scenario}.{"sse" if stream else "json"}'
            yield Case(name, [chat(name, stream)], {name: [{'scenario': scenario, **prices}]})
        name = f'price.openrouter.{"sse" if stream else "json"}'
        yield Case(name, [chat(name, stream)],
                   {name: [{'scenario': 'echo', 'provider': 'openrouter'}]})
    name = 'price.embeddings'
    yield Case(name, [Ask({'model': name, 'input': 'hello'}, '/v1/embeddings')],
               {name: [{'scenario': 'echo', **prices}]})


CASES = [*faults(), *kept_connections(), *answers(), *parameters(), *paths(), *bad_requests(),
         *chains(), *money()]
