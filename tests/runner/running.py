"""Running one command of a suite or of a build: its log, its limit, its end."""

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace

from depth import FULL, PART, TURN, VARIABLE, commits
from runner import results
from runner.results import REPO, Count
from runner.suites import BUILDS, alone_name

GRACE = 10                              # seconds between asking a suite to end and making it
FULL_LIMITS = 3                         # times the limit of a suite, at full depth
STOP = threading.Event()                # set when the run is interrupted: all suites end


class Timed:
    """What a suite took: seconds on the clock, and of the processors."""

    def __init__(self):
        self.seconds, self.cpu = 0.0, 0.0


def run_logged(command, environment, limit, log, timed=None):
    """The exit status, 'timeout', or why it could not start."""
    started = time.monotonic()
    try:
        process = subprocess.Popen(command, cwd=REPO, env={**os.environ, **environment},
                                   stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   start_new_session=True)
    except OSError as error:
        return f'{command[0]}: {error.strerror}; run scripts/deps build test lint'
    try:
        return wait(process, limit, timed)
    finally:
        end_group(process)
        if timed:
            timed.seconds += time.monotonic() - started


def wait(process, limit, timed):
    """Like process.wait(), and with what it used, its ended children included."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            if timed:
                timed.cpu += usage.ru_utime + usage.ru_stime
            return process.returncode
        if STOP.wait(0.05):
            return 'interrupted'
    return 'timeout'


def end_group(process):
    """Nothing of a suite outlives it, whether it ended, hung, or we were interrupted.

    It is asked first, so that pytest's fixtures end what they started in groups of their own."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.poll()


def run_suite(suite, depth, command, timed=None, part=False):
    """Its Count, from what it wrote during this run and from how it ended."""
    since = time.time() - 1             # older results are another run's
    environment = {'PYTHONDONTWRITEBYTECODE': '1', VARIABLE: depth, TURN: str(commits()),
                   PART: '1' if part else '', **suite.environment}
    limit = suite.limit * (FULL_LIMITS if depth == FULL else 1)
    with open(results.LOGS / f'{suite.name}.log', 'w', encoding='utf-8') as log:
        status = run_logged(command, environment, limit, log, timed)
    count = results.judge(results.read(suite, since), status, limit, suite.count)
    if part:
        count.part, count.why = True, f'{count.why}; a part' if count.why else 'a part'
    return count


def ask_again(suite, depth, first):
    """The tests that failed beside others, one by one, when nothing else of this run does."""
    again = replace(suite, name=alone_name(suite.name))
    names = list(dict.fromkeys(first.failures))
    second = run_suite(again, depth, [*suite.alone, *names])
    if second.failed or len(second.slowest) != len(names):
        return first
    return replace(first, passed=first.passed + first.failed, failed=0, failures=[],
                   why='passed only when asked again, alone', unsteady=names)


@contextlib.contextmanager
def build_lock():
    """Two runs of one checkout build one after the other; the self-test has a lock of its own."""
    with open(results.LOGS / '.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(name, timed=None):
    """'' when it is built, else the end of what was printed."""
    path = results.LOGS / f'build-{name}.log'
    with build_lock(), open(path, 'w', encoding='utf-8') as log:
        for command in BUILDS[name][0]:
            status = run_logged(command, {}, 60 * 60, log, timed)
            if status != 0:
                return f'{" ".join(command)} failed ({status}): see {os.path.relpath(path, REPO)}'
    return ''
