"""Reading what a suite counted, deliberately hard to please: a green line that is not true is worse
than a red one. A skipped test is a failed test: what CI does not run, CI does not hold."""

import json
import pathlib
import re
import signal
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

REPO = pathlib.Path(__file__).resolve().parents[2]
LOGS = REPO / 'build' / 'test-logs'


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    why: str = ''                       # what the numbers do not say
    failures: list = field(default_factory=list)    # the name of each failed test, as its command
                                        # takes it; a C program's for each test that failed in it
    unsteady: list = field(default_factory=list)    # those that failed beside others, passed alone
    slowest: list = field(default_factory=list)     # (seconds, name) of every test that was timed
    cached: bool = False                # it passed before with the same inputs, and did not run
    part: bool = False                  # only the part whose turn it was ran

    def fail(self, why):
        self.failed += 1
        self.why = f'{self.why}; {why}' if self.why else why


RUN = re.compile(r'^\[ RUN\s+\]', re.M)
OK = re.compile(r'^\[\s+OK \]', re.M)


def count_cmocka(text):
    """(run, ok) of a cmocka program's output; (0, 0) for any other program."""
    return len(RUN.findall(text)), len(OK.findall(text))


def count_meson(suite, since):
    """A cmocka program counts by its tests, any other test as one."""
    path = REPO / 'build/debug/meson-logs' / f'{suite.name}.json'
    if not path.exists() or path.stat().st_mtime < since:
        return Count()
    return count_meson_lines(path.read_text().splitlines())


def count_meson_lines(lines):
    count, skipped = Count(), 0
    for line in filter(None, lines):
        test = json.loads(line)
        good = test['result'] in ('OK', 'EXPECTEDFAIL')
        run, ok = count_cmocka((test.get('stdout') or '') + '\n' + (test.get('stderr') or ''))
        if run == 0:
            run, ok = 1, int(good)
        elif not good and ok >= run:    # every test was fine and the program was not: a leak, say
            run += 1
        count.passed += ok
        count.failed += run - ok
        count.failures += [test['name'].rpartition(' / ')[2]] * (run - ok)
        count.slowest.append((test.get('duration') or 0, test['name']))
        skipped += test['result'] == 'SKIP'
    if skipped:
        count.why = f'{skipped} skipped'
    return count


def count_pytest(suite, since):
    path = LOGS / f'{suite.name}.xml'
    if not path.exists() or path.stat().st_mtime < since:
        return Count()
    return count_junit(path.read_text())


def count_junit(text):
    """Expected failures stand as skipped in this format and count so: as failed."""
    count, skipped = Count(), 0
    root = ElementTree.fromstring(text)
    count.failures = [name_of_case(case) for case in root.iter('testcase')
                      if case.find('failure') is not None or case.find('error') is not None]
    count.slowest = [(float(case.get('time') or 0), name_of_case(case).partition('/')[2])
                     for case in root.iter('testcase')]
    for suite in [root] if root.tag == 'testsuite' else root.findall('testsuite'):
        bad = sum(int(suite.get(kind, 0)) for kind in ('failures', 'errors', 'skipped'))
        tests = max(int(suite.get('tests', 0)), bad)
        count.passed += tests - bad
        count.failed += bad
        skipped += int(suite.get('skipped', 0))
    if skipped:
        count.why = f'{skipped} skipped'
    return count


def name_of_case(case):
    """As a command line takes it. One with odd characters, which XML changed, is not found again,
    and so stays failed."""
    return f'{case.get("classname", "").replace(".", "/")}.py::{case.get("name")}'


CLOSING = re.compile(r'^(\d+) passed, (\d+) failed$')


def count_closing(suite, _since):
    return count_closing_line((LOGS / f'{suite.name}.log').read_text(errors='replace'))


def count_closing_line(text):
    """A suite of ours says it itself, in its last line."""
    lines = text.strip().splitlines()
    match = CLOSING.match(lines[-1]) if lines else None
    return Count(int(match[1]), int(match[2])) if match else Count()


COUNTERS = {'meson': count_meson, 'pytest': count_pytest, 'closing': count_closing}


def read(suite, since):
    try:
        return COUNTERS[suite.count](suite, since)
    except (OSError, ValueError, KeyError, ElementTree.ParseError) as error:
        count = Count()
        count.fail(f'its results cannot be read: {error}')
        return count


def judge(count, status, limit=None, kind='pytest'):
    """Adds what the counters cannot see: how the suite ended. The status of pytest is 1 where tests
    failed and higher where it broke off; that of meson is their number."""
    if status == 'timeout':
        count.fail(f'ended after its limit of {limit} s')
    elif isinstance(status, str):
        count.fail(status)
    elif status < 0:
        count.fail(f'killed by {signal.Signals(-status).name}')
    elif status and not count.failed or kind == 'pytest' and status > 1 and count.failures:
        count.fail(f'ended with status {status}')
    elif not count.passed and not count.failed:
        count.fail('no test ran')
    return count
