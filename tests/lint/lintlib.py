"""What every lint shares: the tree, the exceptions, the command line, and the self-test.

A lint is a module with `check(tree) -> [Problem]` and `PLANTED`, a list of trees in which something
is wrong together with the words by which it must be reported. A lint that has never failed proves
nothing, so the planted trees run with every `make lint`, as tests of their own.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
EXCEPTIONS = 'tests/lint/exceptions.table'
SKIPPED_FOLDERS = {'.git', 'build', '__pycache__', '.pytest_cache', '.cache', 'node_modules'}


@dataclass(frozen=True, order=True)
class Problem:
    path: str
    line: int
    text: str

    def __str__(self):
        where = f'{self.path}:{self.line}' if self.line else self.path
        return f'{where}: {self.text}'


class Tree:
    """The files under one root: the repository, or a planted tree of a self-test."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = sorted(self._list())
        self.notes = []                 # worth reading, not wrong
        self._texts = {}
        self._exceptions = None

    def _list(self):
        listed = None
        if (self.root / '.git').exists():
            done = subprocess.run(
                ['git', '-C', str(self.root), 'ls-files', '-z', '--cached', '--others',
                 '--exclude-standard'], capture_output=True, check=False)
            if done.returncode == 0:    # git may be absent, or distrust the owner of the tree
                listed = [name for name in done.stdout.decode().split('\0') if name]
        if listed is None:
            listed = [path.relative_to(self.root).as_posix() for path in self.root.rglob('*')]
        return [name for name in listed
                if not SKIPPED_FOLDERS & set(name.split('/')[:-1]) and (self.root / name).is_file()
                and not (self.root / name).is_symlink()]

    def data(self, name):
        return (self.root / name).read_bytes()

    def text(self, name):
        if name not in self._texts:
            self._texts[name] = self.data(name).decode('utf-8', errors='replace')
        return self._texts[name]

    def c_files(self, *folders):
        """C sources and headers below the folders (all of ours when none is named)."""
        folders = folders or ('src', 'tests', 'cross', 'benchmarks')
        return [name for name in self.files
                if name.endswith(('.c', '.h')) and name.split('/')[0] in folders]

    def exception_rows(self, lint):
        """(path, what) of every row that the table of exceptions has for this lint."""
        if self._exceptions is None:
            path = self.root / EXCEPTIONS
            self._exceptions = read_exceptions(path) if path.exists() else []
        return [(path, what) for e_lint, path, what in self._exceptions if e_lint == lint]

    def excepted(self, lint, name, what):
        """Does the table of exceptions allow this lint's finding `what` in file `name`?"""
        return any(what == e_what and name.startswith(prefix)
                   for prefix, e_what in self.exception_rows(lint))


def table(path):
    """Rows of a table file: fields between `|`, comments from `#` at the start of a line."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith('#'):
            yield number, [field.strip() for field in line.split('|')]


def read_exceptions(path):
    rows = []
    for number, fields in table(path):
        if len(fields) != 4 or not all(fields):
            sys.exit(f'{path}:{number}: want "lint | path | what | reason", all four')
        rows.append(tuple(fields[:3]))
    return rows


def plant(files):
    """A tree of its own in a temporary folder; the caller cleans up."""
    folder = tempfile.TemporaryDirectory(prefix='hermes-lint-')
    for name, content in files.items():
        path = pathlib.Path(folder.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def self_test(check, planted):
    """Each planted tree must yield the problems that contain its words, and no others."""
    wrong = []
    if not any(expected for _, _, expected in planted):
        wrong.append('no planted violation: this lint is not tested')
    for name, files, expected in planted:
        with plant(files) as folder:
            found = [str(problem) for problem in sorted(check(Tree(folder)))]
        missed = [words for words in expected if not any(words in line for line in found)]
        extra = [line for line in found if not any(words in line for words in expected)]
        wrong += [f'{name}: not caught: {words}' for words in missed]
        wrong += [f'{name}: reported without reason: {line}' for line in extra]
    return wrong


def main(check, planted, fix=None):
    """The command line of a lint: check the tree, or prove that the check can fail."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--self-test', action='store_true')
    parser.add_argument('--root', default=REPO)
    if fix:
        parser.add_argument('--fix', action='store_true')
    arguments = parser.parse_args()
    if arguments.self_test:
        problems = self_test(check, planted)
    else:
        tree = Tree(arguments.root)
        if fix and arguments.fix:
            fix(tree)
        problems = sorted(check(tree))
        for note in tree.notes:
            print(f'note: {note}')
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)
