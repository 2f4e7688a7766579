"""Runs suites in lanes beside each other, and builds ahead of them.

Most of a test is waiting, so one suite after another leaves half of the processors idle. One suite
that runs many tests at a time and one that runs its tests one by one fill them. Tests must not fail
because the machine was slow, so what failed in company is asked again in the end, when nothing else
of this run is at work; what passes then has passed, is named as unsteady, and has to be mended.
"""

import concurrent.futures
import time

from runner import report, running, stamps
from runner.results import LOGS, Count
from runner.suites import BUILDS, LANES, command_at

AGAIN_MAX = 5                           # failed tests of a suite that are asked again, alone


class Lanes:
    def __init__(self, suites, depth, more=(), stamped=True):
        self.suites, self.depth, self.more, self.stamped = suites, depth, list(more), stamped
        self.counts, self.times = {}, {}
        self._stamps, self._builds = {}, {}

    def run(self):
        """[(suite, Count, Timed)] in the order in which they are listed."""
        LOGS.mkdir(parents=True, exist_ok=True)
        waiting = [suite for suite in self.suites if not self._cached(suite)]
        names = [name for name in BUILDS if any(name in suite.builds for suite in waiting)]
        with concurrent.futures.ThreadPoolExecutor(1) as builder, \
                concurrent.futures.ThreadPoolExecutor(len(LANES)) as lanes:
            self._builds = {name: builder.submit(self._build, name) for name in names}
            futures = [lanes.submit(self._lane, [suite for suite in waiting if suite.lane == lane])
                       for lane in LANES]
            try:
                concurrent.futures.wait([*futures, *self._builds.values()])
            except BaseException:
                running.STOP.set()
                raise
        for future in futures:
            future.result()
        self._again()
        return [(suite, self.counts[suite.name], self.times[suite.name]) for suite in self.suites]

    def _cached(self, suite):
        """Is there a stamp of these very inputs? Reported at once."""
        if not suite.depends or not stamps.HISTORY:
            return False
        self._stamps[suite.name] = [stamps.Stamp(suite, paths)
                                    for paths in (suite.depends, suite.core) if paths]
        said = self._stamps[suite.name][0].passed()
        if not said or not self.stamped:
            return False
        self._done(suite, Count(cached=True, why=said), running.Timed())
        return True

    def _part(self, suite):
        """Will a part do, because what matters passed whole as it is?"""
        return bool(suite.core and self.stamped and stamps.HISTORY
                    and self._stamps[suite.name][1].passed())

    def _build(self, name):
        timed = running.Timed()
        problem = running.build(name, timed)
        report.built(name, problem, timed)
        return problem

    def _lane(self, suites):
        """First those whose programs are there, or need none."""
        while suites and not running.STOP.is_set():
            ready = [suite for suite in suites
                     if all(self._builds[name].done() for name in suite.builds)]
            if not ready:
                time.sleep(0.1)
                continue
            suites.remove(ready[0])
            self._run(ready[0])

    def _run(self, suite):
        timed = running.Timed()
        problems = [problem for name in suite.builds if (problem := self._builds[name].result())]
        if problems:
            count = Count()
            count.fail(problems[0])
        else:
            command = [*command_at(suite, self.depth), *self.more]
            count = running.run_suite(suite, self.depth, command, timed, self._part(suite))
        self._done(suite, count, timed)

    def _done(self, suite, count, timed):
        self.counts[suite.name], self.times[suite.name] = count, timed
        if not self._to_be_asked(suite):
            self._stamp(suite)
            report.show(suite, count, timed)
        else:
            report.postponed(suite, count, timed)

    def _to_be_asked(self, suite):
        count = self.counts[suite.name]
        return bool(suite.alone and count.failed
                    and len(count.failures) == count.failed <= AGAIN_MAX)

    def _again(self):
        for suite in self.suites:
            if self._to_be_asked(suite) and not running.STOP.is_set():
                count = running.ask_again(suite, self.depth, self.counts[suite.name])
                self.counts[suite.name] = count
                self._stamp(suite)
                report.show(suite, count, self.times[suite.name])

    def _stamp(self, suite):
        """A part, or a filtered run, is no proof of the whole."""
        count = self.counts[suite.name]
        if count.passed and not (self.more or count.part or count.failed or count.unsteady):
            for stamp in self._stamps.get(suite.name, []):
                stamp.write(count)
