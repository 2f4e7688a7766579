"""The real LiteLLM proxy, without a database, for as long as a `with` lasts.

    with Upstream() as up, Litellm(model_list(up, 'cheap', 'echo')) as proxy:
        status, headers, body = proxy.post('/v1/chat/completions', {...})

It runs with an environment of its own: no proxy settings, no keys, no telemetry, and prices from
the package instead of the network.
"""

import contextlib
import functools
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from ports import free_port

HERE = pathlib.Path(__file__).resolve().parent
MASTER_KEY = 'sk-peers-9c1e5b7a'
READY_SECONDS = 120  # it imports for 4 s on an idle machine
STOP_SECONDS = 10


class NotReady(Exception):
    """It did not come up; the message ends with what it said."""


class HungUp(Exception):
    """It closed a connection without a word, as it does once in some thousand requests; the message
    ends with what it said before."""


@functools.cache
def install():
    """What tests/peers/install said; asked once, since each failure of pip takes half a minute."""
    return subprocess.run([HERE / 'install'], stdout=subprocess.PIPE, text=True, timeout=900)


def installed():
    """Where the environment is; made if need be."""
    done = install()
    if done.returncode:
        raise NotReady('tests/peers/install failed; see above')
    return pathlib.Path(done.stdout.strip())


def deployment(upstream, group, model, **params):
    """An entry of model_list; `model` chooses the fake's scenario."""
    return {'model_name': group,
            'litellm_params': {'model': f'openai/{model}', 'api_base': upstream.base_url,
                               'api_key': upstream.api_key, **params}}


class Litellm:
    """`config` is config.yaml as a dict; a master key is added unless it names one."""

    def __init__(self, config, environment=None):
        general = {'master_key': MASTER_KEY, **config.get('general_settings', {})}
        self.config = {**config, 'general_settings': general}
        self.key = general['master_key']
        self.environment = environment or {}
        self.port = self.process = self._folder = None

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}'

    def log(self):
        return self._log.read_text(errors='replace')

    @contextlib.contextmanager
    def asked(self):
        """Around a request that it may leave without an answer."""
        try:
            yield
        except ConnectionError as problem:
            try:
                state = f'ended with {self.process.wait(0.2)}'
            except subprocess.TimeoutExpired:
                state = 'goes on'
            raise HungUp(f'LiteLLM hung up and {state}: {self.log()[-3000:]}') from problem

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix='hermes-peers-')
        folder = pathlib.Path(self._folder.name)
        self._log = folder / 'log'
        (folder / 'config.yaml').write_text(json.dumps(self.config))  # JSON is YAML
        try:
            self._start(folder, installed())
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, folder, environment):
        self.port = free_port()
        # It ends with us, also when nobody is left to end it.
        command = ['setpriv', '--pdeathsig', 'TERM', environment / 'bin' / 'litellm', '--config',
                   folder / 'config.yaml', '--host', '127.0.0.1', '--port', str(self.port)]
        with open(self._log, 'wb') as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=folder, start_new_session=True,
                env={'PATH': f'{environment}/bin:/usr/bin:/bin', 'HOME': str(folder),
                     'TMPDIR': str(folder), 'LANG': 'C.UTF-8', 'TZ': 'UTC', 'NO_PROXY': '*',
                     'LITELLM_LOCAL_MODEL_COST_MAP': 'True', 'LITELLM_TELEMETRY': 'False',
                     **self.environment})
        self._wait()

    def _wait(self):
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise NotReady(f'LiteLLM ended with {self.process.returncode}: '
                               f'{self.log()[-3000:]}')
            with contextlib.suppress(HungUp, OSError, http.client.HTTPException):
                if self.ask('GET', '/health/liveliness')[0] == 200:
                    return
            time.sleep(0.1)
        raise NotReady(f'LiteLLM did not answer in {READY_SECONDS} s: {self.log()[-3000:]}')

    def ask(self, method, path, body=None, key=None, headers=None, timeout=60):
        """(status, headers with lower-case names, body); an object is sent as JSON."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        sent = {'Authorization': f'Bearer {key or self.key}', **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault('Content-Type', 'application/json')
        with contextlib.closing(connection), self.asked():
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()

    def get(self, path, **how):
        return self.ask('GET', path, **how)

    def post(self, path, body, **how):
        return self.ask('POST', path, body, **how)

    def __exit__(self, *_):
        if self.process:
            self._signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            self._signal(signal.SIGKILL)  # and what it started, which has its session
            self.process.wait()
        if self._folder:
            self._folder.cleanup()

    def _signal(self, which):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, which)
