"""How deep a run of the tests goes, and what takes turns in it.

    check   an answer in 90 seconds: each test function once, without the slow ones
    ci      all that can break, with the long matrices taking turns; the default
    full    everything, for a release or a night

HERMES_TEST_DEPTH says which; tests/run sets it. Where tests take turns, the number of commits
decides: consecutive commits see all of them, and two runs of the same commit see the same.
HERMES_TEST_TURN is that number for those who cannot ask git: a C test, or a tree without history.
HERMES_TEST_PART is set where a suite as a whole takes turns, because it passed whole and nothing
that decides its results has changed since.
"""

import functools
import os
import pathlib
import subprocess

CHECK, CI, FULL = 'check', 'ci', 'full'
DEPTHS = (CHECK, CI, FULL)
VARIABLE, TURN, PART = 'HERMES_TEST_DEPTH', 'HERMES_TEST_TURN', 'HERMES_TEST_PART'
REPO = pathlib.Path(__file__).resolve().parents[1]


def depth():
    chosen = os.environ.get(VARIABLE) or CI
    if chosen not in DEPTHS:
        raise ValueError(f'{VARIABLE} is {chosen!r}; it must be one of {", ".join(DEPTHS)}')
    return chosen


def full():
    return depth() == FULL


@functools.cache
def commits():
    """0 where there is no history: then the first part has its turn. A shallow clone cannot count
    its commits; there the hash of the last one decides, by chance instead of in order."""
    if os.environ.get(TURN, '').isdigit():
        return int(os.environ[TURN])
    if not (REPO / '.git').exists():
        return 0
    if git('rev-parse', '--is-shallow-repository') == 'true':
        return int(git('rev-parse', 'HEAD')[:8], 16)
    return int(git('rev-list', '--count', 'HEAD'))


def git(*words):
    return subprocess.run(['git', '-C', REPO, *words], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def turn(parts):
    """Which of so many parts this commit looks at: 0 to parts - 1."""
    return commits() % parts


def part():
    return bool(os.environ.get(PART))


def share(items, parts):
    """Every `parts`-th item, beginning with this commit's; all of them at full depth."""
    items = list(items)
    return items if full() else items[turn(parts)::parts]
