"""Wrong results in, failures out. Real processes for the endings, samples for the formats."""

import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import tempfile
from dataclasses import replace

from depth import CI
from runner import results, running, stamps
from runner.lanes import Lanes
from runner.report import close
from runner.results import Count, judge
from runner.suites import CROWD, SINGLE, SUITES, Suite

ENDINGS = [
    ('a good suite', 'echo x; echo 3 passed, 0 failed', (3, 0)),
    ('a failed test', 'echo 3 passed, 2 failed; exit 1', (3, 2)),
    ('no closing line', 'echo 3 passed', (0, 1)),
    ('a closing line that is not last', 'echo 3 passed, 0 failed; echo oops', (0, 1)),
    ('nothing ran', 'echo 0 passed, 0 failed', (0, 1)),
    ('a status that no test explains', 'echo 3 passed, 0 failed; exit 7', (3, 1)),
    ('a crash', 'echo 3 passed, 0 failed; kill -SEGV $$', (3, 1)),
    ('a hang', 'echo 3 passed, 0 failed; sleep 60', (3, 1)),
]

# What two runs of a suite say, a letter for each test: passed, failed. The second is of what failed
# in the first.
AGAIN = [
    ('passed alone', 'ppf', 'p', (3, 0)),
    ('two passed alone', 'pff', 'pp', (3, 0)),
    ('failed alone', 'ppf', 'f', (2, 1)),
    ('one of two failed alone', 'pff', 'pf', (1, 2)),
    ('not found alone', 'ppf', '', (2, 1)),
    ('another one passed alone', 'pff', 'p', (1, 2)),
    ('too many to be asked again', 'pffffff', 'pppppp', (1, 6)),
]

JUNIT = '''<?xml version="1.0"?><testsuites>
<testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1"/></testsuites>'''


def run():
    """Sentences about what did not hold; none when all did."""
    wrong = []

    def expect(what, got, want):
        if got != want:
            wrong.append(f'{what}: got {got}, want {want}')

    kept = results.LOGS, os.environ.get('XDG_CACHE_HOME')
    with tempfile.TemporaryDirectory(prefix='hermes-run-') as folder, \
            contextlib.redirect_stdout(io.StringIO()):
        try:
            move_logs(pathlib.Path(folder))
            os.environ['XDG_CACHE_HOME'] = folder
            for part in (formats, endings, second_asking, closing, stamped, in_part, complete):
                part(expect)
        finally:
            move_logs(kept[0])
            os.environ.pop('XDG_CACHE_HOME')
            if kept[1]:
                os.environ['XDG_CACHE_HOME'] = kept[1]
    return wrong


def move_logs(folder):
    from runner import lanes, report
    for module in (results, lanes, report):
        module.LOGS = folder


def numbers(count):
    return count.passed, count.failed


def run_one(suite, **more):
    (_, count, _), = Lanes([suite], CI, **more).run()
    return count


def formats(expect):
    def line(result, stdout='', stderr=''):
        return json.dumps({'name': 'x:unit / a/b', 'result': result, 'stdout': stdout,
                           'stderr': stderr})

    def counted(lines):
        return numbers(results.count_meson_lines(lines))

    good = '[ RUN      ] a\n[       OK ] a\n'
    expect('meson', counted([line('OK'), '', line('FAIL'), line('TIMEOUT'), line('ERROR'),
                             line('SKIP'), line('UNEXPECTEDPASS')]), (1, 5))
    expect('cmocka', counted([line('OK', good + good)]), (2, 0))
    expect('cmocka, failed', counted(
        [line('FAIL', good, '[ RUN      ] b\n[  FAILED  ] b\n')]), (1, 1))
    expect('cmocka, skipped', counted(
        [line('OK', good + '[ RUN      ] b\n[  SKIPPED ] b\n')]), (1, 1))
    expect('cmocka, crashed', counted([line('FAIL', good + '[ RUN      ] b\n')]), (1, 1))
    expect('cmocka, leaked', counted([line('FAIL', good, 'LeakSanitizer')]), (1, 1))
    expect('cmocka, two failed of one program', results.count_meson_lines(
        [line('FAIL', good + '[ RUN      ] b\n[ RUN      ] c\n')]).failures, ['a/b', 'a/b'])
    for what, text, want in [('junit', JUNIT, (4, 6)),
                             ('junit, one suite', '<testsuite tests="2" failures="0"/>', (2, 0)),
                             ('junit, no test',
                              '<testsuites><testsuite tests="0"/></testsuites>', (0, 0))]:
        expect(what, numbers(results.count_junit(text)), want)
    expect('killed', numbers(judge(Count(5, 0), -signal.SIGKILL)), (5, 1))
    expect('meson, with two failures',
           numbers(judge(Count(5, 2, failures=['a', 'b']), 2, kind='meson')), (5, 2))
    expect('broke off after a failure', numbers(judge(Count(5, 1, failures=['a']), 2)), (5, 2))


def endings(expect):
    for what, script, want in ENDINGS:
        suite = Suite('sample', '', ['sh', '-c', script], 'closing', limit=1)
        expect(what, numbers(run_one(suite)), want)
    absent = Suite('sample', '', ['/nonexistent'], 'closing')
    expect('a command that is not there', numbers(run_one(absent)), (0, 1))
    (results.LOGS / 'sample.xml').write_text(JUNIT)
    os.utime(results.LOGS / 'sample.xml', (0, 0))
    stale = Suite('sample', '', ['true'], 'pytest')
    expect('results of another run', numbers(run_one(stale)), (0, 1))
    running.BUILDS['sample'] = ([['false']], 'nothing')
    unbuilt = Suite('sample', '', ['echo', '1 passed, 0 failed'], 'closing', builds=('sample',))
    expect('a build that failed', numbers(run_one(unbuilt)), (0, 1))
    del running.BUILDS['sample']


def written(name, letters):
    """A command that writes such results, and ends as pytest does."""
    cases = ''.join(f'<testcase classname="a.b" name="t{at}">{"<failure/>" * (letter == "f")}'
                    '</testcase>' for at, letter in enumerate(letters))
    text = (f'<testsuite tests="{len(letters)}" failures="{letters.count("f")}">'
            f'{cases}</testsuite>')
    return ['sh', '-c',
            f"echo '{text}' >{results.LOGS}/{name}.xml; exit {int('f' in letters)}"]


def second_asking(expect):
    for what, first, again, want in AGAIN:
        suite = Suite('beside', '', written('beside', first), 'pytest',
                      alone=written('beside-alone', again))
        count = run_one(suite)
        expect(what, numbers(count), want)
        expect(f'{what}, named as unsteady', len(count.unsteady),
               first.count('f') if want[1] == 0 else 0)


    suite = Suite('beside', '', [], 'pytest', alone=written('beside-alone', 'p'))
    first = Count(1, 2, failures=['a', 'a'])
    expect('two failures of one program, which passed alone',
           numbers(running.ask_again(suite, CI, first)), (3, 0))


def closing(expect):
    good = Suite('good', '', ['echo', '1 passed, 0 failed'], 'closing', lane=CROWD)
    bad = Suite('bad', '', ['false'], 'closing', lane=SINGLE)
    statuses = [close(Lanes(suites, CI).run(), 0, 'sample')
                for suites in ([good], [good, bad], [])]
    expect('exit status of good, good and bad, none', statuses, [0, 1, 1])
    cached = [(good, Count(cached=True), running.Timed())]
    expect('exit status where all is cached', close(cached, 0, 'sample'), 0)


def stamped(expect):
    """A suite counts its runs; a stamp keeps it from running until a file changes."""
    with tempfile.TemporaryDirectory(prefix='hermes-stamp-') as root:
        subprocess.run(['git', 'init', '-q', root], check=True)
        (pathlib.Path(root) / 'input').write_text('one')
        (pathlib.Path(root) / 'other').write_text('one')
        suite = Suite('stamped', '', ['echo', '1 passed, 0 failed'], 'closing',
                      depends=('input',))

        def digest():
            return stamps.digest(suite, suite.depends, root)

        before = digest()
        (pathlib.Path(root) / 'other').write_text('two')
        expect('a file that does not matter', digest() == before, True)
        (pathlib.Path(root) / 'input').chmod(0o755)
        expect('another mode', digest() == before, False)
        (pathlib.Path(root) / 'input').write_text('two')
        expect('another content', digest() == before, False)
    suite = replace(suite, depends=('meson_options.txt',))
    failing = replace(suite, command=['false'])
    expect('what failed is not stamped', [numbers(run_one(failing)) for _ in range(2)],
           [(0, 1), (0, 1)])
    expect('what passed is', [run_one(suite).cached for _ in range(2)], [False, True])
    expect('full depth asks anew', run_one(suite, stamped=False).cached, False)
    filtered = replace(suite, name='filtered')
    run_one(filtered, more=['-k'])
    expect('a part is no proof of the whole', run_one(filtered).cached, False)


def in_part(expect):
    """Where the core passed whole, the next run is told that a part will do; not at full depth."""
    told = results.LOGS / 'part'
    script = f'echo "part:$HERMES_TEST_PART" >{told}; echo 1 passed, 0 failed'
    suite = Suite('parted', '', ['sh', '-c', script], 'closing',
                  depends=('meson_options.txt', 'Makefile'), core=('meson_options.txt',))

    def run_and_read(**more):
        stamps.Stamp(suite, suite.depends).path.unlink(missing_ok=True)
        run_one(suite, **more)
        return told.read_text().strip()

    expect('the first run, the next, one of full depth',
           [run_and_read(), run_and_read(), run_and_read(stamped=False)],
           ['part:', 'part:1', 'part:'])
    run_and_read()
    expect('a part that passed is no stamp', run_one(suite).cached, False)


def complete(expect):
    """Inputs exist, or a typing error would make a stamp last for ever."""
    for suite in SUITES:
        for path in (*suite.depends, *suite.core):
            expect(f'{suite.name} depends on {path}', bool(stamps.files_below([path])), True)
