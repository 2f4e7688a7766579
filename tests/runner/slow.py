#!/usr/bin/env python3
"""Writes tests/blackbox/slow.list: the test functions that `make check` leaves out.

    tests/run --check blackbox-asan      # after emptying the list
    tests/runner/slow.py

It reads how long each took from build/test-logs/blackbox-asan.xml. A function is slow when it takes
more than SECONDS; of a module whose functions are all slow, the fastest is not, unless it takes
more than LONG.
"""

import pathlib
import xml.etree.ElementTree as ElementTree

REPO = pathlib.Path(__file__).resolve().parents[2]
SECONDS, LONG = 0.5, 15                 # on two busy cores
KEPT = {'test_kill_matrix::test_killed_after_every_change'}     # which is short in a check


def durations(path):
    """{module: {function: seconds}}, of its first parameters where it has several."""
    found = {}
    for case in ElementTree.parse(path).getroot().iter('testcase'):
        module = case.get('classname').rpartition('.')[2]
        function = case.get('name').partition('[')[0]
        found.setdefault(module, {}).setdefault(function, float(case.get('time')))
    return found


def slow(found):
    for module, functions in sorted(found.items()):
        fastest = min(functions, key=lambda name: (f'{module}::{name}' not in KEPT,
                                                   functions[name]))
        for function, seconds in sorted(functions.items()):
            if seconds > (LONG if function == fastest else SECONDS):
                yield f'{module}::{function}'


if __name__ == '__main__':
    rows = list(slow(durations(REPO / 'build/test-logs/blackbox-asan.xml')))
    (REPO / 'tests/blackbox/slow.list').write_text('\n'.join(rows) + '\n')
    print(f'{len(rows)} slow tests')
