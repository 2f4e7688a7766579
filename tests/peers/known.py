"""Where we differ from LiteLLM on purpose: the table of docs/router.md, and what shows each row.

A row's `shows` says in which cases, at which paths and with which values on either side the
difference may be seen; regular expressions for all of the text. A difference that no row shows, or
that two do, is a failure; so is one of `shows` that is seen nowhere. Keep them narrow: what a row
covers by accident is what nobody looks at any more.
"""

import dataclasses
import re

ROWS_MAX = 25
ANY = '.*'
NOTHING = r'\(nothing\)'


@dataclasses.dataclass(frozen=True)
class Row:
    here: str
    litellm: str
    why: str
    shows: tuple  # of (cases, paths, LiteLLM's values, ours)

    def covering(self, case, path, theirs, ours):
        """Those of `shows` that say so."""
        return [show for show in self.shows
                if all(re.fullmatch(pattern, text, re.S) for pattern, text in
                       zip(show, (case, path, str(theirs), str(ours)), strict=True))]


def outcome(cases, theirs, ours):
    return (cases, 'outcome', theirs, ours)


REFUSED = r'(400|401|403|408|429|500|502|503), refused.*'
FALLBACK = r'200, (answered|stream, whole); asked: .*/echo'
BEGUN = r'200, (answered|stream, whole|stream, broken off); asked: \S*'
BROKEN = r'200, stream, broken off; asked: \S*'
EMPTY = r'(200-error|200-limit|choice-error|empty-answer|empty-choices|empty-body|not-sse|' \
        r'empty-stream|no-events|withheld)'
FIRST_EVENT = r'alone\.(hang-first-byte|wrong-types|not-an-object|deep-json|stream-error-bare|' \
              r'raw-nul)\.sse'
LATE_ERROR = r'(alone|first)\.late-(error|error-string|error-event|choice-error)\.sse'
CHAT = r'(?!path\.(completions|info|models)).*'
NO_KEY = r'path\.(models|info|health|nothing)-without-key|bad\.(no|wrong|odd)-key'
COMPLETIONS = r'path\.completions.*'
ERRORS = r'(alone|bad|ask|retry|deployment|no-retry|all-fail|switched-off|price|kept)\b.*'

ROWS = [
    Row('a group of one deployment is cooled down',
        'it is exempt',
        'otherwise, during an outage, every request pays for its attempts',
        (outcome('down|limited', r'200, answered; asked: (\w+)\.0/\S+, \1-b\.0/echo',
                 r'200, answered; asked: (down|limited)-b\.0/echo'),
         outcome(r'nested\.(json|sse)', r'200, .*; asked: nested-b\S*/503:30, nested-c\S*/echo',
                 r'200, .*; asked: nested-c\S*/echo'))),
    Row('a 403 or 404 about one request alone pauses no deployment',
        'a 404 pauses it',
        "one client's request must not take a model from all others",
        (outcome('no-images', r'200, answered; asked: no-images.1/echo',
                 r'200, answered; asked: no-images.0/404-image, no-images.1/echo'),)),
    Row('a timeout is not retried on the same deployment',
        'it is',
        'a client that has waited once should not wait again',
        (outcome(r'retry-hang\.(json|sse)', r'408, refused; asked: (\S+), \1',
                 r'408, refused; asked: \S+'),)),
    Row('a 429 is retried on the same deployment only if the provider says when',
        'it is retried at once',
        'asking again does not lift a limit',
        (outcome(r'retry-429\.(json|sse)', r'200, .*asked: (\S+), \1',
                 '429, refused; asked: .*'),)),
    Row('`model` in an answer is what the provider wrote',
        'it is set to the requested name, unless a fallback answered with JSON',
        'the owner sees which model answered, and the bytes are unchanged',
        ((ANY, r'body\.model|sse\.models', r'[\w.:/-]+', r'[\w.:/-]+\.\d/[\w.:-]+'),)),
    Row('an empty answer, an error inside a 200, and a stream of nothing but comments are '
        'failures: the next deployment is tried',
        'they are passed on, or waited for',
        'a chain exists to produce an answer',
        (outcome(r'alone\.slow-comments:3\.sse', BEGUN, '408, refused.*'),
         outcome(r'first\.slow-comments:3\.sse', BEGUN, FALLBACK),
         outcome(rf'alone\.{EMPTY}\.(json|sse)', BEGUN, REFUSED),
         outcome(rf'first\.{EMPTY}\.(json|sse)', BEGUN, FALLBACK))),
    Row('a truncated stream ends with an error event and without `[DONE]`',
        'if the connection ended in order, the stream ends as if it were complete',
        'a part is not the whole',
        (outcome(r'(alone|first)\.late-(end|close|call)\.sse', BEGUN, BROKEN),
         (r'(alone|first)\.late-hang\.sse', r'sse\.error\.0\.(code|message)',
          '500|APIConnectionError: a sentence', '408|Timeout: a sentence'))),
    Row("a provider's own error event in a stream is passed on unchanged",
        'it is rewritten as an `APIConnectionError` with 500',
        'its status and its reason are not lost',
        ((LATE_ERROR, r'sse\.error\.0\..*', ANY, ANY),
         (LATE_ERROR, r'sse\.0\.finish(\.0)?', rf'\[\]|{NOTHING}', rf'error|{NOTHING}'),
         (LATE_ERROR, r'sse\.(0\.keys|key)\.error', NOTHING, 'True'))),
    Row("an error before a stream's first content has the status that it would have without "
        "streaming",
        'most are a 500 without a type',
        'clients decide by the status whether to try again',
        ((FIRST_EVENT, 'status', '500', '408|500|503'),
         (FIRST_EVENT, r'body\.error\.(code|type|message)', ANY, ANY),
         (FIRST_EVENT, r'header\.(x-litellm-(version|model-.*|attempted-.*|(response|overhead)-'
          r'duration-ms)|llm_provider-(cache-control|x-generation-id))', ANY, NOTHING),
         (r'alone\.(slow-comments:3|wrong-types)\.json', r'status|body\.error\.(code|type|message)',
          ANY, ANY))),
    Row("a provider's answer is passed on byte for byte: nulls, unusual fields, ids, finish "
        "reasons, text that is not UTF-8",
        'it is parsed and rewritten: fields are renamed, added and dropped, some answers fail',
        'nothing that the provider sent is lost, and it costs no time',
        ((CHAT, r'body\.choices\.\d\.(message\.)?(logprobs|refusal)', NOTHING, 'None'),
         (CHAT, r'body\.choices\.\d\.message\.provider_specific_fields\.refusal', 'None', NOTHING),
         (CHAT, r'body\.choices\.\d\.native_finish_reason', NOTHING, r'\w+'),
         (CHAT, r'body\.choices\.\d\.provider_specific_fields\.native_finish_reason', r'\w+',
          NOTHING),
         (CHAT, r'(body|sse)\.usage\.[\w.]*', 'None|0', NOTHING),
         (CHAT, r'sse\.\d\.keys\.(logprobs|native_finish_reason|finish_reason)', NOTHING, 'True'),
         (r'answer\.reasoning\..*', r'(body|sse)\..*reasoning(_content)?', ANY, ANY),
         (r'call\.ollama(-old)?\.json', r'body\.choices\.0\.finish_reason', 'tool_calls', 'stop'),
         (r'call\.(object-arguments|legacy-id|empty-id)\.json',
          r'body\.choices\.0\.message\.tool_calls\.\d\.(id|function\..*)', ANY, ANY),
         (r'call\.ollama-old\.sse', r'sse\.0\.calls\.(0|None)\..*', ANY, ANY),
         (r'answer\.nul-bytes\.sse|call\.wild-index\.sse|.*\.json-for-stream\.sse',
          r'sse\.0\.delta(\.role)?', ANY, ANY),
         (r'answer\.usage-on-last\.sse', r'sse\.(key\.usage|usages|usage\..*)', rf'{NOTHING}|0',
          ANY),
         (r'ask\.usage\.sse', r'sse\.usage\.(is_byok|cost_details\..*)', NOTHING, 'False|None'),
         (r'answer\.litellm\.sse', r'sse\.key\.citations', NOTHING, 'True'),
         (r'call\.null-content\.sse', r'sse\.key\.usage', NOTHING, 'True'),
         (r'price\.openrouter\.sse|.*\.json-for-stream\.sse',
          r'sse\.key\.(provider|system_fingerprint)', NOTHING, 'True'),
         outcome(r'answer\.((lone-surrogate|bad-utf8|weird-usage)\.(json|sse)|sse-forms\.sse)',
                 '500, refused.*|200, stream, broken off.*', '200, (answered|stream, whole).*'))),
    Row("a client's request is passed on byte for byte, except for the router's own fields; the "
        "provider validates it",
        'nulls, `user` and other fields are dropped, and some requests are rejected before any '
        'provider is asked',
        'providers know more fields than a router does',
        ((r'ask\.history\..*', r'sent\.0\.messages\.1\.content', NOTHING, 'None'),
         (r'ask\.numbers\..*', r'sent\.0\.user', NOTHING, 'somebody'),
         (r'price\.openrouter\.json', r'sent\.0\.stream', 'False', NOTHING),
         outcome(r'ask\.null\..*', FALLBACK.replace('echo', 'fixed'), '400, refused; asked: /.*'),
         outcome(r'bad\.(not-utf8|surrogate|text-messages)', '400, refused; asked: nobody',
                 '400, refused; asked: /.*'))),
    Row('an ambiguous request is refused',
        'a duplicate member, or `"stream": "true"`, is interpreted somehow; a body that is not an '
        'object is a 500',
        'to limit spending, the router must read the request as the provider does',
        (outcome(r'bad\.(twice|text-stream)', FALLBACK, '400, refused; asked: nobody'),
         (r'bad\.array', r'status|body|header\.content-type', '500|Internal Server Error|text/.*',
          rf'400|{NOTHING}|application/json'),
         (r'bad\.array', r'body\.error\..*|header\.x-litellm-call-id', NOTHING,
          '400|Invalid JSON payload: .*|request_body|invalid_request_error|is there'),
         (r'bad\.(malformed|text|empty|form-type)', r'body\.error\.(message|param)', ANY,
          'Invalid JSON payload: .*|request_body'),
         (r'bad\.(malformed|text)', r'header\.x-litellm-call-id', NOTHING, 'is there'),
         (r'bad\.number-model', r'body\.error\.(message|param|type)', ANY,
          '"model" must be a string|None|invalid_request_error'))),
    Row('without the right key: 401, for every path but the health probes',
        'without a database 400 or 500, and 404 for a path that does not exist',
        'a stranger learns nothing',
        ((NO_KEY, 'status', '400|404|500', '401'),
         (NO_KEY, r'body(\.detail)?', 'Internal Server Error|Not Found', NOTHING),
         (NO_KEY, r'body\.error\..*', rf'{NOTHING}|None|400|no_db_connection|No connected db\.',
          '401|auth_error|None|Authentication Error, .*'),
         (NO_KEY, r'header\.(content-type|www-authenticate)', rf'text/plain.*|{NOTHING}',
          'application/json|Bearer'))),
    Row('only the names of `model_list` and their aliases can be requested',
        "a deployment's id and a provider's own name for a model work as well, missing fallbacks "
        "are found only when they are needed, and OpenRouter's `models` is passed on",
        'a name that is not listed does not exist',
        (outcome('by-id|provider-name', FALLBACK, '400, refused; asked: nobody'),
         outcome('own-unknown', '502, refused; asked: .*/502', '400, refused; asked: nobody'),
         (r'ask\.vendor\..*', r'sent\.0\.models\.0', 'x/y', NOTHING))),
    Row('fallbacks of a group hold for its aliases',
        'they do not',
        'an alias is another name for the same group',
        (outcome(r'alias-falls\.(json|sse)', '502, refused; asked: alias-falls-of.*', FALLBACK),)),
    Row('`x-litellm-attempted-fallbacks` counts the groups that were switched to',
        'it is 1 after any fallback, and after a change of `order`',
        'it shows how far the chain was followed',
        ((r'(far|nested)\.(json|sse)', r'header\.x-litellm-attempted-fallbacks', '1.0', '2.0'),
         (r'two\.(json|sse)|no-images', r'header\.x-litellm-attempted-fallbacks', '1.0', '0.0'))),
    Row("an answer's cost is the provider's own figure, and absent if nothing is known",
        'it is computed from tokens and a list of prices, and 0 for errors and unknown models',
        'the amount that is charged is the one that counts',
        ((ANY, r'header\.x-litellm-response-cost', rf'{NOTHING}|8e-06', '0.00014'),
         (ANY, r'header\.x-litellm-response-cost', '0.0', NOTHING),
         (r'price\.openrouter\.(json|sse)', r'sent\.0\.usage\.include', 'True', NOTHING),
         (r'price\.openrouter\.json', r'header\.llm_provider-x-litellm-response-cost', '0.00014',
          NOTHING))),
    Row("headers about discounts, margins, the key's spending, timeouts and connections are "
        "omitted",
        'there are about ten of them, most of them 0',
        'no margin is charged here, and the others apply to one connection only',
        ((ANY, r'header\.x-litellm-(key-spend|timeout|callback-duration-ms)', ANY, NOTHING),
         (ANY, r'header\.x-litellm-response-cost-(original|input|output|tool-usage|discount-amount|'
          r'margin-amount|margin-percent)', ANY, NOTHING),
         (ANY, r'header\.llm_provider-(connection|content-length|transfer-encoding)', ANY,
          NOTHING))),
    Row('an error carries `Retry-After`',
        "only `llm_provider-retry-after`, among all of the provider's headers",
        'clients know the standard header, and wait',
        ((ERRORS, r'header\.llm_provider-(retry-after|content-type)', ANY, NOTHING),
         (r'bad\.no-input', r'header\.x-litellm-version', ANY, NOTHING),
         (r'alone\.(429-forever|429-long|503)\.(json|sse)', r'header\.retry-after', NOTHING,
          '1.0|3600.0'))),
    Row('no page at `/`, and no headers that would protect one',
        'there is a web page',
        'programs call the router, not people',
        ((ANY, r'header\.(content-security-policy|vary|x-(content-type|frame)-options)', ANY,
          NOTHING),
         (r'path\.preflight', r'header\.access-control-allow-methods', ANY, '.*POST.*'),
         (r'path\.from-a-page', r'header\.access-control-expose-headers', ANY, r'\*'),
         outcome(r'path\.root', '200, answered; asked: nobody', '404, refused.*'))),
    Row('a JSON answer to a streaming request is re-sent as a stream',
        'it is lost: the stream is empty',
        'it was paid for',
        ((r'(alone|first)\.json-for-stream\.sse', r'sse\.0\.(pieces(\.0)?|text)',
          rf'\[\]|{NOTHING}|', rf'{NOTHING}|whole in spite of the question'),)),
    Row('text completions have the same headers, usage and fields as chat',
        'they are derived from chat, and lose some',
        'both work the same way',
        ((COMPLETIONS, r'header\.(llm_provider-(cache-control|content-type|x-generation-id)|'
          r'x-litellm-(model-api-base|overhead-duration-ms))', NOTHING, ANY),
         (r'path\.completions-sse', r'sent\.0\.stream_options\.include_usage', NOTHING, 'True'),
         (COMPLETIONS, r'body\.usage\..*', 'None|0', NOTHING),
         (r'path\.completions-sse', r'sse\.(0\.keys|key)\.(logprobs|provider|system_fingerprint)',
          NOTHING, 'True'),
         (r'path\.completions-sse', r'sse\.(key\.usage|usages|usage\..*)', 'True|4|0',
          rf'{NOTHING}|0'))),
    Row('`/health` reports what the last calls have shown, `/health/readiness` the state of its '
        'own store',
        'it asks every model; readiness is about its database',
        'a probe should cost nothing',
        (outcome(r'path\.health', '200, answered; asked: path.0/echo',
                 '200, answered; asked: nobody'),
         (r'path\.readiness.*', r'body\.(db|litellm_version)', rf'Not connected|{NOTHING}', ANY))),
    Row('`/v1/models` lists a wildcard as it is written, `/model/info` what is configured',
        "both are filled from LiteLLM's list of all models",
        'only the provider knows its models',
        ((r'path\.models.*', r'body\.data\.wild\..*', ANY, NOTHING),
         (r'path\.models.*', r'body\.data\.wild\.(json|sse)/\*\..*', NOTHING, ANY),
         (r'path\.info.*', r'body\.data\.0\.(model_info|litellm_params)\..*', ANY, NOTHING),
         (r'path\.info.*', r'body\.data\.0\.model_info\.mode', 'None', 'chat'))),
    Row("a conversation that is too long, or was flagged, is also recognized by OpenRouter's "
        "wording",
        'only by the wording of some providers',
        'this is what their fallbacks are for',
        ((r'alone\.400-context\..*', r'body\.error\.message', 'BadRequestError: a sentence',
          'ContextWindowExceededError: a sentence'),
         outcome(r'first\.400-context\..*', '400, refused.*', FALLBACK),
         outcome('flagged', '403, refused.*', FALLBACK))),
]
