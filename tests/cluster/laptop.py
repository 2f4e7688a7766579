"""The laptop of the person who types `make ai`: a copy of the tree, and nothing but its settings.

The tree is a copy, because these tests change sources, break them and make manifests smaller, and
because the checkout may hold somebody's own secrets. It is a git repository of its own: the tag of
an image is its commit.

Everything that a target prints is kept: shown with a failed test, written beside the node's logs,
and looked through for secrets at the end of the day.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPIED = ['.gitignore', 'LICENSE', 'LICENSES', 'Makefile', 'NOTICE', 'cross', 'k8s', 'kaniko',
          'meson.build', 'meson_options.txt', 'registry', 'scripts', 'src']
# A developer's own, which no test has any business with.
PERSONAL = ['__pycache__', 'secrets.env', 'htpasswd', 'docker-config.json']
MAKE_SECONDS = 900
TAIL_LINES = 60


@dataclasses.dataclass
class Made:
    """One run of make, to its end."""

    command: str
    code: int
    out: str            # what it printed, errors too, as a person sees it
    seconds: float

    def __str__(self):
        lines = self.out.splitlines()
        if len(lines) > TAIL_LINES:
            lines = [f'... {len(lines) - TAIL_LINES} lines before', *lines[-TAIL_LINES:]]
        head = f'{self.command}: exit {self.code} after {self.seconds:.0f} s'
        return '\n    '.join([head, *lines])

    def ok(self):
        assert self.code == 0, f'expected success of {self}'
        return self

    def fails(self, *patterns):
        """It says no, and says why: each pattern is somewhere in what it printed."""
        assert self.code != 0, f'expected a failure of {self}'
        return self.says(*patterns)

    def says(self, *patterns):
        for pattern in patterns:
            assert re.search(pattern, self.out), f'nothing like {pattern!r} in {self}'
        return self

    def says_not(self, *patterns):
        for pattern in patterns:
            assert not re.search(pattern, self.out), f'something like {pattern!r} in {self}'
        return self


class Laptop:
    def __init__(self, node, folder, **settings):
        """settings: what goes along with every target, as NAME=value."""
        self.node, self.home = node, pathlib.Path(folder)
        self.tree = self.home / 'tree'
        self.settings = settings
        self.printed = []
        self._transcript = node.place.logs / 'make.log'
        copy_tree(self.tree)
        self.git('init', '-q', '-b', 'main')
        self.commit('The tree as it is')

    # -- the tree --------------------------------------------------------------------------------

    def git(self, *arguments):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith('GIT_')}
        done = subprocess.run(
            ['git', '-c', 'user.name=Operator', '-c', 'user.email=operator@example.org',
             '-c', 'commit.gpgsign=false', *arguments], cwd=self.tree, env=environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f'git {" ".join(arguments)}: {done.stderr}'
        return done.stdout.strip()

    def commit(self, subject):
        """Commits what is there; the tag that its image will have."""
        self.git('add', '-A')
        self.git('commit', '-q', '--allow-empty', '-m', subject)
        return self.tag

    @property
    def tag(self):
        return self.git('rev-parse', '--short', 'HEAD')

    def write(self, name, text, mode=0o644):
        """A file of the operator's own, beside the tree; its path."""
        file = self.home / name
        file.write_text(text)
        file.chmod(mode)
        return file

    def edit(self, path, old, new):
        """Replaces what must be there exactly once."""
        file = self.tree / path
        text = file.read_text()
        assert text.count(old) == 1, f'{path} has {old!r} {text.count(old)} times'
        file.write_text(text.replace(old, new))

    def restore(self):
        """The tree as it was committed last; ignored files stay."""
        self.git('reset', '-q', '--hard')
        self.git('clean', '-q', '-f', '-d')

    # -- make ------------------------------------------------------------------------------------

    def environment(self):
        """A shell's, with a cluster; nothing of the make that runs the tests."""
        given = self.node.environment()
        return {'KUBECONFIG': given['KUBECONFIG'], 'PATH': given['PATH'],
                'HOME': str(self.home), 'LANG': 'C.UTF-8', 'TERM': 'dumb'}

    def make(self, *targets, timeout=MAKE_SECONDS, **settings):
        words = [f'{name}={value}' for name, value in {**self.settings, **settings}.items()
                 if value is not None]
        command = ['make', '--no-print-directory', *targets, *words]
        started = time.monotonic()
        try:
            done = subprocess.run(command, cwd=self.tree, env=self.environment(),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=timeout,
                                  check=False)
            code, out = done.returncode, done.stdout
        except subprocess.TimeoutExpired as late:
            code, out = -1, (late.stdout or b'').decode(errors='replace')
            out += f'\n[it still ran after {timeout} s]\n'
        shown = ' '.join(['make', *targets, *(f'{name}={value}'
                                              for name, value in settings.items())])
        made = Made(shown, code, out, time.monotonic() - started)
        self._keep(made)
        return made

    def _keep(self, made):
        self.printed.append(made)
        with open(self._transcript, 'a', encoding='utf-8') as file:
            file.write(f'$ {made.command}\n{made.out}[{made.code}, {made.seconds:.0f} s]\n\n')

    def package_bytes(self):
        """How large the sources are, packed for the cluster."""
        done = subprocess.run(['scripts/ai/context'], cwd=self.tree, env=self.environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return (self.tree / 'build/ai/context.tar.gz').stat().st_size

    def double(self):
        """Another copy of what is packed beside it, so that the package is twice as large; how
        large it was, and is."""
        before = self.package_bytes()
        for name in ('src', 'cross', 'kaniko', 'LICENSES'):
            shutil.copytree(ROOT / name, self.tree / 'src/second' / name, symlinks=True)
        return before, self.package_bytes()

    def status(self, **settings):
        return self.make('ai-status', **settings)

    def status_is_well(self, seconds=60, **settings):
        """Once everything has come to rest. What it says until then is in the failure."""
        until = time.monotonic() + seconds
        while True:
            said = self.status(**settings)
            if said.code == 0:
                return said.says('everything is healthy')
            assert time.monotonic() < until, f'not well after {seconds} s: {said}'

    def status_tells(self, *patterns, seconds=90, **settings):
        """Says within this time that something is wrong, and what: all patterns in one answer."""
        until = time.monotonic() + seconds
        while True:
            said = self.status(**settings)
            if said.code != 0 and all(re.search(pattern, said.out) for pattern in patterns):
                return said
            assert time.monotonic() < until, f'never said {patterns} within {seconds} s: {said}'


def copy_tree(target):
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    skip = shutil.ignore_patterns(*PERSONAL)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, symlinks=True, ignore=skip)
        else:
            shutil.copy2(source, target / name)
