"""Debian's docker-registry on the loopback: the program that serves the images in the cluster."""
import http.client
import pathlib
import subprocess
import time

from ports import free_port

START_SECONDS = 20
CONFIG = '''\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
'''


class Registry:
    def __init__(self, folder):
        self.folder, self.port = pathlib.Path(folder), free_port()
        self.host = f'127.0.0.1:{self.port}'
        self.process = None

    def __enter__(self):
        self.folder.mkdir()
        config = self.folder / 'config.yml'
        config.write_text(CONFIG.format(folder=self.folder / 'data', port=self.port))
        with open(self.folder / 'log', 'wb') as log:
            self.process = subprocess.Popen(['docker-registry', 'serve', config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < until, \
                f'the registry does not answer: {(self.folder / "log").read_text()}'
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def answers(self):
        try:
            return self.get('/v2/')[0] == 200
        except OSError:
            return False

    def get(self, path, accept='*/*'):
        conn = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        try:
            conn.request('GET', path, headers={'Accept': accept})
            answer = conn.getresponse()
            return answer.status, answer.read()
        finally:
            conn.close()
