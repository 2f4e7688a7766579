"""What a proxied request costs, in instructions, which a busy machine does not change.

The counting is the benchmark's own, so that the table and the gate never disagree.
"""

import json
import subprocess

import pytest

from conftest import ROOT

LOADS = {"router_json": "json-16", "router_sse": "sse-16", "ledger_row": "a row, folded"}


TRIES = 3  # the least counts: on a busy machine fewer requests share a pass of the loop


def count():
    """{load: instructions of user space per request, or per row}, all threads."""
    done = subprocess.run([ROOT / "benchmarks" / "router", "--instructions", "--json", "--only",
                           "hermes", "--loads", "json-16,sse-16"],
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    table, = json.loads(done.stdout)
    return {row["load"]: row["instructions"] for row in table["rows"]}


@pytest.fixture(scope="module")
def counted(bars):
    least = count()
    for _ in range(TRIES - 1):
        if all(least[load] <= bars[name]["most"] for name, load in LOADS.items()):
            break
        again = count()
        least = {load: min(least[load], again[load]) for load in least}
    return least


@pytest.mark.parametrize("name", LOADS)
def test_a_proxied_request_and_its_row_are_cheap(counted, bars, name):
    bar, count = bars[name], counted[LOADS[name]]
    assert 3_000 < count <= bar["most"], f"{count} instructions; {bar['why']}"
