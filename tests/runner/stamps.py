"""A suite that passed need not pass again until something changes that it depends on.

A stamp is an empty promise unless its inputs are complete, so a suite with a `depends` names whole
folders. Such a suite is reported as `cached` and counts as nothing, neither passed nor failed. Full
depth and filters ask anew. Stamps lie in ~/.cache/hermes/passed and name the commit that passed.
"""

import contextlib
import hashlib
import os
import pathlib
import subprocess
import time

from runner.results import REPO

KEPT_DAYS = 30
HISTORY = (REPO / '.git').exists()      # without it nothing lists the inputs, and all suites run


def folder():
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(base) / 'hermes' / 'passed'


def files_below(paths, root=REPO):
    """As git sees them, uncommitted ones included."""
    done = subprocess.run(['git', '-C', root, 'ls-files', '-z', '-co', '--exclude-standard', '--',
                           *paths], check=True, capture_output=True)
    return sorted(name for name in done.stdout.decode().split('\0') if name)


def digest(suite, paths, root=REPO):
    """Of the suite's command and of every file below these: name, mode and content."""
    found = hashlib.sha256(repr((suite.name, suite.command, os.uname().machine)).encode())
    for name in files_below(paths, root):
        path = pathlib.Path(root) / name
        if path.is_symlink():
            data, mode = os.readlink(path).encode(), 'link'
        elif path.is_file():
            data, mode = path.read_bytes(), oct(path.stat().st_mode & 0o111)
        else:
            continue                    # deleted, and not yet told to git
        found.update(f'{name} {mode} {len(data)} '.encode() + data)
    return found.hexdigest()[:24]


class Stamp:
    """Of one suite and the files below `paths`, as they are now."""

    def __init__(self, suite, paths):
        self.suite, self.paths = suite, paths
        self.path = self._path()

    def _path(self):
        return folder() / f'{self.suite.name}-{digest(self.suite, self.paths)}'

    def passed(self):
        """What was said when it passed, or None."""
        return self.path.read_text().strip() if self.path.exists() else None

    def write(self, count):
        """Unless somebody changed an input while the suite ran."""
        if self._path() != self.path:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for old in self.path.parent.glob('*'):
            with contextlib.suppress(FileNotFoundError):        # another run removed it
                if old.stat().st_mtime < time.time() - KEPT_DAYS * 86400:
                    old.unlink()
        commit = subprocess.run(['git', '-C', REPO, 'rev-parse', '--short', 'HEAD'], check=False,
                                capture_output=True, text=True).stdout.strip()
        partial = self.path.with_suffix(f'.{os.getpid()}')
        partial.write_text(f'{count.passed} passed at {commit or "no commit"}\n')
        partial.rename(self.path)
