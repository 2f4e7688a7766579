"""Two routers behind one configuration, and one way to ask either.

Each has a fake upstream of its own, so that what was asked of it is known to be its doing.
"""

import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import urllib.parse

from harness import Hermes, directory
from litellm_proxy import MASTER_KEY, Litellm
from openai_upstream import Upstream
from router_service import Answer, Router

ASK_SECONDS = 60
# Its pauses before a retry, which are half a second and more; ours are what they are.
NO_PAUSES = {'INITIAL_RETRY_DELAY': '0.01', 'MAX_RETRY_DELAY': '0.05', 'JITTER': '0'}


class Side:
    """One router: `name`, its upstream, and the port that it listens on."""

    def __init__(self, name, upstream, port, asked=contextlib.nullcontext):
        self.name, self.upstream, self.port, self.asked = name, upstream, port, asked

    def ask(self, ask):
        """(Answer, [what the upstream got meanwhile]). A redirect within the router is followed, as
        clients do."""
        before = len(self.upstream.requests)
        answer = self._once(ask)
        if answer.status == 307:
            path = urllib.parse.urlsplit(answer.headers['location']).path
            answer = self._once(dataclasses.replace(ask, path=path))
        return answer, self.upstream.requests[before:]

    def page(self, path):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=ASK_SECONDS)
        with contextlib.closing(connection):
            connection.request('GET', path, headers={'Authorization': f'Bearer {MASTER_KEY}'})
            return connection.getresponse().read().decode()

    def _once(self, ask):
        headers = {} if ask.key is None else {'Authorization': f'Bearer {ask.key}'}
        body = ask.body
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode()
            headers['Content-Type'] = 'application/json'
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=ASK_SECONDS)
        with contextlib.closing(connection), self.asked():
            connection.request(ask.method, ask.path, body, {**headers, **ask.headers})
            return self._read(connection.getresponse())

    def _read(self, response):
        """All of it; and when the first words are there, the upstream hears of it."""
        parts, cut = [], False
        try:
            while part := response.read1(65536):
                parts.append(part)
                if b'"content":"one ' in b''.join(parts).replace(b'": "', b'":"'):
                    self.upstream.release.set()
        except (http.client.IncompleteRead, ConnectionError) as problem:
            parts.append(getattr(problem, 'partial', b''))
            cut = True
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, b''.join(parts), cut)


class Sides:
    """LiteLLM and Hermes under the configuration that `make(upstream)` returns."""

    def __init__(self, make, binary):
        self.make, self.binary = make, binary

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            theirs, ours = stack.enter_context(Upstream()), stack.enter_context(Upstream())
            user = Hermes(self.binary, stack.enter_context(directory('hermes-peers-')))
            router = Router(user, ours)
            stack.callback(user.finish)
            config = self.make(ours)
            config['general_settings'] = {'master_key': MASTER_KEY}
            user.put('router.yaml', json.dumps(config))
            router.restart()
            self.proxy = stack.enter_context(Litellm(self.make(theirs), NO_PAUSES))
            self.litellm = Side('LiteLLM', theirs, self.proxy.port, self.proxy.asked)
            self.hermes = Side('Hermes', ours, router.port)
            self._threads = stack.enter_context(concurrent.futures.ThreadPoolExecutor(2))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def ask(self, ask):
        """What became of it at LiteLLM, and at Hermes."""
        both = [self._threads.submit(side.ask, ask) for side in (self.litellm, self.hermes)]
        return tuple(done.result() for done in both)
