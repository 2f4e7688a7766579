"""scripts/jobs: a build in a small container must not be killed for want of memory."""
import contextlib
import os
import pathlib
import subprocess

import pytest
from builder import REPO

V1, V2 = pathlib.Path('/sys/fs/cgroup/memory'), pathlib.Path('/sys/fs/cgroup')
MIB = 1 << 20


@contextlib.contextmanager
def cgroup(limit_mib):
    """A cgroup with this limit and one inside it that has none; the path of that one."""
    old = V1.is_dir()
    outer = (V1 if old else V2) / f'hermes-jobs-{os.getpid()}'
    inner = outer / 'inner'
    inner.mkdir(parents=True)
    try:
        limit = 'memory.limit_in_bytes' if old else 'memory.max'
        (outer / limit).write_text(str(limit_mib * MIB))
        yield inner
    finally:
        inner.rmdir()
        outer.rmdir()


@pytest.fixture
def processors(tmp_path):
    """processors(4): a PATH in which nproc says so."""
    def pretend(count):
        fake = tmp_path / 'nproc'
        fake.write_text(f'#!/bin/sh\necho {count}\n')
        fake.chmod(0o755)
        return f'{tmp_path}:{os.environ["PATH"]}'
    return pretend


def jobs(path, within=None, **env):
    def enter():
        if within:
            (within / 'cgroup.procs').write_text(str(os.getpid()))
    done = subprocess.run([REPO / 'scripts' / 'jobs'], env={'PATH': path, **env}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                          preexec_fn=enter)
    return int(done.stdout)


@pytest.mark.parametrize('limit, expected', [(256, 1), (400, 2), (512, 3), (4096, 4)])
def test_a_job_for_each_piece_of_memory(processors, limit, expected):
    """On a CM4 with four processors; the Job's limit is 512 MiB."""
    path = processors(4)
    with cgroup(limit) as inside:
        assert jobs(path, inside) == expected


def test_without_a_limit_the_processors_count(processors):
    assert jobs(processors(1)) == 1
    assert jobs(processors(2)) == 2


def test_it_can_be_told(processors):
    path = processors(2)
    assert jobs(path, JOBS='7') == 7
    with pytest.raises(subprocess.CalledProcessError):
        jobs(path, JOBS='many')
