"""What a client and an upstream can see of one ask, as a flat {path: value} that can be compared.

What differs by its nature is left out or named by its kind: ids, times, ports, durations.
"""

import json
import re

PORT = re.compile(r'(?<=127\.0\.0\.1:)\d+')
CALL = re.compile(r'call_\d{6}')  # the fake's own numbers
OF_ONE_CONNECTION = {'date', 'server', 'content-length', 'transfer-encoding', 'connection',
                     'keep-alive'}
# Present or not is compared, what they say is not: it is measured or made up anew.
ONLY_THERE = re.compile(r'x-litellm-(call-id|version|(response|overhead|callback)-duration-ms|'
                        r'timing-.*)|llm_provider-(date|x-generation-id|content-length)')
NUMBER = re.compile(r'-?\d+(\.\d+)?(e-?\d+)?\Z')


class Gone:
    """Where one side has nothing."""

    def __repr__(self):
        return '(nothing)'


GONE = Gone()


def flat(value, path, found):
    """Every leaf of JSON under its path; an empty container is a leaf."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            flat(item, f'{path}.{key}', found)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            flat(item, f'{path}.{number}', found)
    else:
        found[path] = value
    return found


def plain(value):
    """Without the ids, times and ports that are new each time."""
    if isinstance(value, dict):
        return {key: named(key, plain(item)) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return CALL.sub('call_…', PORT.sub('PORT', value)) if isinstance(value, str) else value


def named(key, value):
    if key == 'created' and isinstance(value, int):
        return 'a time'
    if key in ('id', 'tool_call_id') and isinstance(value, str):
        for kind in ('gen-', 'call_', 'chatcmpl-'):
            if value.startswith(kind):
                return f'{kind}…'
    return value


def headers_of(answer, found):
    for name, value in answer.headers.items():
        if name in OF_ONE_CONNECTION:
            continue
        if ONLY_THERE.fullmatch(name):
            value = 'is there'
        elif NUMBER.match(value):
            value = float(value)
        else:
            value = PORT.sub('PORT', value)
        found[f'header.{name}'] = value


CLASS = re.compile(r'litellm\.(\w+): ')


def sentence(message):
    """Of a message the exception's name counts; the sentence behind it is for people."""
    named = CLASS.match(str(message))
    return f'{named[1]}: a sentence' if named else message


# -- streams --------------------------------------------------------------------------------------

def merge_call(calls, part):
    call = calls.setdefault(part.get('index'), {'arguments': ''})
    function = part.get('function') or {}
    for key, value in (('id', part.get('id')), ('type', part.get('type')),
                       ('name', function.get('name'))):
        if value:
            call[key] = value
    arguments = function.get('arguments')
    call['arguments'] += arguments if isinstance(arguments, str) else json.dumps(arguments)


def merge_choice(choice, told):
    """One choice of one chunk, into what the choice said so far."""
    told['keys'] |= set(choice)
    if choice.get('finish_reason') is not None:
        told['finish'].append(choice['finish_reason'])
    delta = choice.get('delta')
    if delta is None and 'text' in choice:
        delta = {'content': choice['text']}
    for key, value in (delta or {}).items():
        if value is None or value == '' or value == []:
            continue
        if key == 'tool_calls':
            for part in value:
                merge_call(told['calls'], part)
        elif key == 'content':
            told['pieces'].append(value)
        elif isinstance(value, str) and key != 'role':
            told['delta'][key] = told['delta'].get(key, '') + value
        else:
            told['delta'][key] = value


def stream_of(answer, found):
    """The events, each delta counted, and how it ended."""
    choices, keys, models, errors, usages = {}, set(), [], [], []
    events = answer.events
    for event in events:
        if not isinstance(event, dict):
            continue
        if 'error' in event and 'choices' not in event:
            errors.append(event['error'])
            continue
        keys |= set(event)
        if event.get('model') not in models:
            models.append(event.get('model'))
        if event.get('usage'):
            usages.append(event['usage'])
        if event.get('error'):
            errors.append(event['error'])
        for choice in event.get('choices') or []:
            if isinstance(choice, dict):
                told = choices.setdefault(choice.get('index'), {
                    'keys': set(), 'finish': [], 'pieces': [], 'calls': {}, 'delta': {}})
                merge_choice(choice, told)
    found.update({f'sse.key.{key}': True for key in keys})
    found.update({'sse.models': ', '.join(map(str, models)), 'sse.cut': answer.cut,
                  'sse.done': events.count('[DONE]'), 'sse.errors': len(errors),
                  'sse.usages': len(usages)})
    for number, error in enumerate(errors):
        error = {**error, 'message': sentence(error.get('message'))}
        flat(plain(error), f'sse.error.{number}', found)
    for usage in usages[-1:]:
        flat(usage, 'sse.usage', found)
    for index, told in choices.items():
        told = {**told, 'keys': {key: True for key in told['keys']},
                'text': ''.join(told['pieces'])}
        flat(plain(told), f'sse.{index}', found)


def error_of(found):
    if 'body.error.message' in found:
        found['body.error.message'] = sentence(found['body.error.message'])


def by_name(value):
    """The list of models has no order."""
    data = value.get('data') if isinstance(value, dict) else None
    if data and all(isinstance(item, dict) and item.get('object') == 'model' for item in data):
        return {**value, 'data': {item['id']: item for item in data}}
    return value


def outcome(answer, requests):
    """How it ended and who was asked for it: where this differs, the rest says nothing more."""
    kind = 'refused'
    if answer.headers.get('content-type', '').startswith('text/event-stream'):
        whole = not answer.cut and b'\ndata: [DONE]' in b'\n' + answer.body
        kind = 'stream, whole' if whole else 'stream, broken off'
    elif answer.status < 400:
        kind = 'answered'
    asked = ', '.join(request.model or request.path for request in requests)
    return f'{kind}; asked: {asked or "nobody"}'


def seen(answer, requests):
    """{path: value} of an answer and of what the upstream was asked for it."""
    found = {'outcome': outcome(answer, requests), 'status': answer.status}
    headers_of(answer, found)
    kind = answer.headers.get('content-type', '')
    if kind.startswith('text/event-stream'):
        try:
            stream_of(answer, found)
        except ValueError as problem:
            found['sse.broken'] = type(problem).__name__
    else:
        found['cut'] = answer.cut
        try:
            flat(plain(by_name(json.loads(answer.body))), 'body', found)
            error_of(found)
        except ValueError:
            found['body'] = PORT.sub('PORT', answer.body.decode(errors='replace'))
    for number, request in enumerate(requests):
        found[f'sent.{number}.path'] = request.path
        flat(plain(request.json or {}), f'sent.{number}', found)
    return found


def differences(theirs, ours):
    """[(path, LiteLLM's value, ours)] of two of those."""
    if theirs['outcome'] != ours['outcome']:
        return [('outcome', *(f'{side["status"]}, {side["outcome"]}' for side in (theirs, ours)))]
    return [(path, theirs.get(path, GONE), ours.get(path, GONE))
            for path in sorted(theirs.keys() | ours.keys())
            if theirs.get(path, GONE) != ours.get(path, GONE)
            or isinstance(theirs.get(path), bool) != isinstance(ours.get(path), bool)]
