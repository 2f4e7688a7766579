"""What a run prints: a line for each suite, the slowest tests, and `N passed, N failed` at last."""

import json
import os
import threading

from runner.results import LOGS, REPO

TAIL = 40                               # lines of a failed suite's log that are shown
SLOWEST = 15
ONE_AT_A_TIME = threading.Lock()        # lines of several lanes do not mix


def say(text):
    with ONE_AT_A_TIME:
        print(text, flush=True)


def line(mark, name, numbers, timed, why=''):
    return (f'{mark:6} {name:<17} {numbers:<25} {timed.seconds:7.1f} s {timed.cpu:7.1f} s CPU'
            f'{"   " + why if why else ""}')


def numbers_of(count):
    return '' if count.cached else f'{count.passed:5} passed, {count.failed:3} failed'


def show(suite, count, timed):
    mark = ('FAIL' if count.failed else 'cached' if count.cached
            else 'ok?' if count.unsteady else 'ok')
    text = line(mark, suite.name, numbers_of(count), timed, count.why)
    if count.failed or count.unsteady:
        text += '\n' + end_of_log(suite.name)
    say(text)


def postponed(suite, count, timed):
    say(line('...', suite.name, numbers_of(count), timed, 'asked again in the end, alone') + '\n'
        + end_of_log(suite.name))


def built(name, problem, timed):
    say(line('FAIL' if problem else 'built', name, '', timed, problem))
    if problem:
        say(end_of_log(f'build-{name}'))


def end_of_log(name):
    log = LOGS / f'{name}.log'
    lines = log.read_text(errors='replace').splitlines() if log.exists() else []
    return '\n'.join([f'       the end of {os.path.relpath(log, REPO)}:',
                      *('       | ' + text for text in lines[-TAIL:])])


def slowest(rows):
    """(seconds, suite, test), the longest first."""
    return sorted(rows, reverse=True)[:SLOWEST]


def timings(results):
    return [(seconds, suite.name, name) for suite, count, _ in results
            for seconds, name in count.slowest]


def close(results, seconds, target):
    """Everything that follows the suites' own lines; the exit status. The rows of a whole `target`
    are kept for --slowest; those of a few suites would stay there when others are newer."""
    passed = sum(count.passed for _, count, _ in results)
    failed = sum(count.failed for _, count, _ in results)
    cached = [suite.name for suite, count, _ in results if count.cached]
    unsteady = [name for _, count, _ in results for name in count.unsteady]
    broken = [(suite.name, name) for suite, count, _ in results for name in count.failures]
    rows = timings(results)
    if target:
        keep(target, rows)
    print(f'the {min(SLOWEST, len(rows))} slowest tests:')
    for taken, suite, name in slowest(rows):
        print(f'{taken:9.1f} s  {suite}: {name}')
    for name in unsteady:
        print(f'unsteady: {name}')
    for suite, name in broken:
        print(f'failed: {suite}: {name}')
    print(f'{len(results)} suites in {seconds:.0f} s, {sum(t.cpu for _, _, t in results):.0f} s '
          f'CPU; cached: {", ".join(cached) or "none"}; {len(unsteady)} unsteady tests')
    print(f'{passed} passed, {failed} failed', flush=True)
    return 0 if (passed or cached) and not failed else 1


def keep(target, rows):
    """For the table over several targets, which tests/run --slowest prints."""
    (LOGS / f'slowest-{target}.json').write_text(json.dumps(slowest(rows)))


def print_kept():
    """The slowest of every run whose rows were kept."""
    rows = [tuple(row) for path in LOGS.glob('slowest-*.json')
            for row in json.loads(path.read_text())]
    for taken, suite, name in slowest(rows):
        print(f'{taken:9.1f} s  {suite}: {name}')
