"""Keeps what is made for the tests under a name that says what it was made of.

A file in the cache is whole: it is made beside its final name and renamed. So whatever happens to
the machine in between, the next run either finds it or makes it again, and nobody sees a half.
Two runs at a time make it once: the second waits for the first.
"""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

UNUSED_DAYS = 30                        # an older making of the same thing goes after that long


def say(text):
    print(f'images: {text}', file=sys.stderr, flush=True)


def die(text):
    say(text)
    sys.exit(1)


def directory():
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(base) / 'hermes' / 'images'


def digest_of(inputs):
    """`inputs` are texts, and paths of files or folders of which the content counts."""
    digest = hashlib.sha256()
    for item in inputs:
        if isinstance(item, pathlib.Path):
            files = sorted(item.rglob('*')) if item.is_dir() else [item]
            parts = [(str(file.relative_to(item.parent)).encode(), file.read_bytes())
                     for file in files if file.is_file() and '__pycache__' not in file.parts]
        else:
            parts = [(b'', str(item).encode())]
        for name, data in parts:
            digest.update(b'%d %d ' % (len(name), len(data)) + name + data)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def locked(name):
    directory().mkdir(parents=True, exist_ok=True)
    with open(directory() / f'.lock-{name}', 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f'another run is making {name}; waiting for it')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_stale(name, kept):
    """What a killed run left, and what was made of older inputs and is not in use any more."""
    for path in directory().glob(f'.work-{name}.*'):
        shutil.rmtree(path, ignore_errors=True)
    for path in directory().glob(f'{name}-' + '[0-9a-f]' * 16 + '*'):
        if path != kept and path.stat().st_mtime < time.time() - UNUSED_DAYS * 86400:
            path.unlink()


def cached(name, inputs, make, suffix='.tar', again=False):
    """The path of the file that `make(work_folder, file)` writes, which is called if need be."""
    # Being ended by a signal is an exit like another one: the work folder goes away.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    final = directory() / f'{name}-{digest_of(inputs)}{suffix}'
    with locked(name):
        if final.exists() and not again:
            os.utime(final)
            return final
        remove_stale(name, final)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=directory(), prefix=f'.work-{name}.') as work:
            partial = pathlib.Path(work) / 'result'
            make(pathlib.Path(work), partial)
            partial.rename(final)
    size = final.stat().st_size / 1e6
    say(f'{final.name}: {size:.1f} MB, made in {time.monotonic() - started:.0f} s')
    return final
