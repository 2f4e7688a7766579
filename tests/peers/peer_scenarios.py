"""What only these tests ask of the fake upstream.

What breaks late breaks when its first words have arrived at the client, which whoever asks tells by
`upstream.release`: a router that still held them could mend it, and whether it did would be chance.
"""

import openai_wire as wire
from openai_scenarios import scenario

HELD = 20.0  # seconds; longer than any reader takes, and no test waits for it


@scenario('400-policy')
def content_policy(turn):
    """OpenAI's own words for it."""
    turn.conn.answer(400, {'error': {
        'message': 'Your request was rejected as a result of our safety system.',
        'type': 'invalid_request_error', 'param': None, 'code': 'content_policy_violation'}})


@scenario('400-too-long')
def too_long(turn):
    """OpenAI's own words for it."""
    turn.conn.answer(400, {'error': {
        'message': "This model's maximum context length is 8192 tokens. However, your messages "
                   'resulted in 9000 tokens. Please reduce the length of the messages.',
        'type': 'invalid_request_error', 'param': 'messages', 'code': 'context_length_exceeded'}})


@scenario('priced')
def priced(turn):
    """Tokens, and no word on what they cost: the configuration's prices count."""
    answer = wire.Answer('priced', usage=wire.usage(1000, 200))
    for key in ('cost', 'is_byok', 'cost_details'):
        del answer.usage[key]
    turn.say(answer)


# -- what breaks late -----------------------------------------------------------------------------

def begin(turn, until_close=False):
    """Some words, and that they have arrived."""
    turn.upstream.release.clear()
    if until_close:
        turn.conn.start_until_close()
    else:
        turn.start()
    for word in ('one ', 'two ', 'three '):
        turn.send(turn.dialect.chunk({'role': 'assistant', 'content': word}))
    turn.conn.wait(HELD, turn.upstream.release)


@scenario('late-cut')
def late_cut(turn):
    begin(turn)
    turn.conn.cut()


@scenario('late-half')
def late_half(turn):
    """In the middle of an event."""
    begin(turn)
    data = turn.event(turn.dialect.chunk({'content': 'never complete'}))
    turn.conn.send(data[:len(data) // 2])
    turn.conn.cut()


@scenario('late-reset')
def late_reset(turn):
    begin(turn)
    turn.conn.reset()


@scenario('late-end')
def late_end(turn):
    """A flawless end of the HTTP message, in the middle of what was being said."""
    begin(turn)
    turn.conn.end()


@scenario('late-close')
def late_close(turn):
    """The same, where the end of the connection is the end of the message."""
    begin(turn, until_close=True)
    turn.conn.cut()


@scenario('late-hang')
def late_hang(turn):
    begin(turn)
    turn.conn.wait(HELD)


@scenario('late-call')
def late_call(turn):
    """A flawless end inside a tool call whose arguments happen to be valid JSON so far."""
    begin(turn)
    call = turn.dialect.call(wire.Call('write_file', '{"path":"half.txt"}'), 0)
    turn.send(turn.dialect.chunk({'tool_calls': [call]}))
    turn.conn.end()


def error_chunk(turn, code):
    value = turn.dialect.chunk({'content': ''}, 'error')
    value['error'] = {'code': code, 'message': 'Provider disconnected unexpectedly'}
    turn.send(value)
    turn.conn.end()


@scenario('late-error')
def late_error(turn):
    begin(turn)
    error_chunk(turn, 502)


@scenario('late-error-string')
def late_error_string(turn):
    begin(turn)
    error_chunk(turn, 'server_error')


@scenario('late-error-event')
def late_error_event(turn):
    begin(turn)
    turn.conn.send(b'event: error\ndata: {"error":{"message":"it broke","code":500}}\n\n')
    turn.conn.end()


@scenario('late-choice-error')
def late_choice_error(turn):
    begin(turn)
    value = turn.dialect.chunk({'content': ''}, 'error')
    value['choices'][0]['error'] = {'code': 502, 'message': 'Upstream broke off'}
    turn.send(value)
    turn.conn.end()
