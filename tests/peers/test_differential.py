"""LiteLLM and Hermes under one configuration: every difference is ours to mend, or has its row.

The rows are those of docs/router.md (known.py says what each of them covers).
"""

import http.client
import pathlib
import re
import subprocess
import time
import warnings

import cases
import known
import observe
import peer_scenarios  # noqa: F401  registers them
import pytest
from litellm_proxy import HungUp, Litellm
from prometheus_client.parser import text_string_to_metric_families
from sides import Sides

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'router.md'
LOGGED_SECONDS = 30  # until a call is in LiteLLM's metrics
ENTRIES_MAX = 190  # of one model_list, whose limit here is 200


def shards():
    """The cases in as many configurations as they need."""
    parts, entries = [[]], 0
    for case in cases.CASES:
        own = sum(map(len, case.groups.values()))
        if entries + own > ENTRIES_MAX:
            parts.append([])
            entries = 0
        parts[-1].append(case)
        entries += own
    return parts


SHARDS = shards()


def shown(theirs, ours, wanted):
    """Both sides whole, for whoever has to find out."""
    lines = []
    for path in sorted(theirs.keys() | ours.keys()):
        mark = '!' if path in wanted else ' '
        left, right = (repr(side.get(path, observe.GONE))[:300] for side in (theirs, ours))
        lines.append(f'{mark} {path}: {left}' if left == right else
                     f'{mark} {path}:\n      LiteLLM {left}\n      Hermes  {right}')
    return '\n'.join(lines)


def judged(case, number, theirs, ours, used):
    """A sentence for each difference without a row, or with two."""
    wrong = []
    for path, left, right in observe.differences(theirs, ours):
        shows = {row.here: row.covering(case.name, path, left, right) for row in known.ROWS}
        rows = [here for here, found in shows.items() if found]
        used.update(show for found in shows.values() for show in found)
        if len(rows) != 1:
            wrong.append((path, f'{path}: LiteLLM {left!r:.400}, Hermes {right!r:.400}: '
                          f'{rows or "no row"}'))
    if not wrong:
        return []
    told = '\n'.join(sentence for _, sentence in wrong)
    return [f'{case.name}, request {number}:\n{told}\n\n'
            f'{shown(theirs, ours, {path for path, _ in wrong})}']


PRICED = re.compile(r'price\.(priced|embeddings)')


def spent(page):
    """{model that the upstream was asked for: dollars} of the calls whose price is configured."""
    return {re.sub(r'.*(price\..*)', r'\1', sample.labels['model']): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples if sample.name == 'litellm_spend_metric_total'
            and PRICED.search(sample.labels['model'])}


def pages(sides, priced):
    """Both pages of metrics; LiteLLM's tells of a call some time after its end."""
    until = time.monotonic() + LOGGED_SECONDS
    while True:
        found = sides.proxy.get('/metrics/')[2].decode(), sides.hermes.page('/metrics')
        if len(spent(found[0])) >= priced or time.monotonic() > until:
            return found
        time.sleep(0.1)


class Matrix:
    """What became of every case; a shard is asked as a whole, since starting takes seconds."""

    def __init__(self, binary):
        self.binary, self.found, self.used, self.pages = binary, {}, set(), []

    def run(self, shard):
        """Once more where LiteLLM hangs up: that is no difference. Where Hermes does it is one."""
        try:
            self._run(shard)
        except HungUp as problem:
            warnings.warn(str(problem), stacklevel=1)
            self._run(shard)

    def _run(self, shard):
        with Sides(lambda upstream: cases.config_of(shard, upstream), self.binary) as sides:
            for case in shard:
                self.found[case.name] = [
                    sentence for number, ask in enumerate(case.asks) for sentence in
                    judged(case, number, *(observe.seen(*side) for side in sides.ask(ask)),
                           self.used)]
            self.pages.append(pages(sides, sum(bool(PRICED.match(one.name)) for one in shard)))

    def of(self, name):
        if name not in self.found:
            self.run(next(shard for shard in SHARDS if any(case.name == name for case in shard)))
        return self.found[name]

    def whole(self):
        for case in cases.CASES:
            self.of(case.name)
        return self


@pytest.fixture(scope='module')
def matrix(binary):
    return Matrix(binary)


@pytest.mark.parametrize('name', [case.name for case in cases.CASES])
def test_no_client_notices(matrix, name):
    assert not matrix.of(name), '\n\n'.join(matrix.of(name))


def test_a_peer_that_hangs_up_is_asked_again(monkeypatch, tmp_path):
    proxy = Litellm({})
    proxy.process, proxy._log = subprocess.Popen(['true']), tmp_path / 'log'
    proxy._log.write_text('its last words')
    matrix, tries = Matrix(None), []

    def run(shard):
        tries.append(shard)
        with proxy.asked():
            if len(tries) == 1:
                raise http.client.RemoteDisconnected
    monkeypatch.setattr(matrix, '_run', run)
    with pytest.warns(UserWarning, match='ended with 0: its last words'):
        matrix.run('a shard')
    assert tries == ['a shard', 'a shard']


def test_names_are_told_apart():
    names = [case.name for case in cases.CASES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize('row', known.ROWS, ids=range(1, len(known.ROWS) + 1))
def test_every_row_is_seen(matrix, row):
    unseen = set(row.shows) - matrix.whole().used
    assert row.shows and not unseen, f'no case shows this any more: {row.here}: {unseen}'


def test_the_document_has_these_rows():
    assert len(known.ROWS) <= known.ROWS_MAX
    section = DOCUMENT.read_text().split('## What differs from LiteLLM')[1].split('\n## ')[0]
    table = [tuple(cell.strip() for cell in line.strip('|').split(' | '))
             for line in section.splitlines() if line.startswith('| ')][1:]
    assert table == [(row.here, row.litellm, row.why) for row in known.ROWS]


def test_they_spend_the_same(matrix):
    """By the configured prices, JSON and SSE; where a provider names its own figure, a row says."""
    matrix.whole()
    theirs, ours = ({model: dollars for pages in matrix.pages for model, dollars in
                     spent(pages[side]).items()} for side in (0, 1))
    assert len(theirs) == 3 and theirs.keys() == ours.keys(), (theirs, ours)
    for model, dollars in theirs.items():
        assert ours[model] == pytest.approx(dollars, rel=1e-9), model
