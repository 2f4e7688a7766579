"""The ledger's journal in the hands of somebody who does not know it: overwritten, emptied,
removed, or with something else in its place. What was spent must not be spent again."""

import contextlib
import os
import re
import sqlite3
import struct

import pytest
from test_router_budget import BOUND, priced, refused

DAILY = {"own": {"budgets": [{"name": "daily", "max": BOUND, "period": "day"}]}}


def journals(router):
    return sorted(router.hermes.home.glob("ledger.journal.0*"))


def zeros(path):
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))


def noise(path):
    with open(path, "r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def emptied(path):
    path.write_bytes(b"")


def removed(path):
    path.unlink()


def first_end(path):
    length, = struct.unpack("<I", path.read_bytes()[4:8])
    return 16 + length


def cut_behind_the_first_record(path):
    os.truncate(path, first_end(path))


def zeros_behind_the_first_record(path):
    end = first_end(path)
    with open(path, "r+b") as file:
        file.seek(end)
        file.write(bytes(path.stat().st_size - end))


def spend(router):
    """All of the budget; the first record of it is on the disk before the first call goes out."""
    while (answer := router.ask(max_tokens=20)).status == 200:
        pass
    refused(answer, "daily")


def stored(hermes):
    with contextlib.closing(sqlite3.connect(hermes.home / "state.db")) as db:
        return db.execute("SELECT count(*) FROM ledger").fetchone()[0]


def start(router):
    router.start({"free": [priced(router)], "gratis": [priced(router, "cost:0", output=0)]},
                 **DAILY)


def is_closed(router):
    assert "records of the ledger's journal are lost" in refused(router.ask(max_tokens=20), "daily")
    assert router.ask("gratis", max_tokens=20).status == 200
    return True


@pytest.mark.parametrize("how", [zeros, noise, emptied, removed])
def test_a_journal_that_was_overwritten_renews_no_budget(hermes, router, up, how):
    """It is told, and stays so until the period ends or the owner says that it does not matter."""
    start(router)
    spend(router)
    router.kill()
    for path in journals(router):
        how(path)
    for _ in range(2):
        router.restart()
        assert is_closed(router)
        assert b"what was spent by then is not known" in router.process.err
        assert re.search(r"daily .*\n.*CLOSED until then: records", hermes.run("cost").ok().text)
        assert "daily is closed: records" in hermes.run("status").text
        router.stop()
    lost, = hermes.home.glob("ledger.lost.*")
    lost.unlink()
    router.restart()
    assert router.ask(max_tokens=20).status == 200


@pytest.mark.parametrize("how", [cut_behind_the_first_record, zeros_behind_the_first_record])
def test_a_journal_that_lost_its_later_records_renews_no_budget(router, how):
    """What was not stored yet is lost, and closes it; where all was, that is known."""
    start(router)
    spend(router)
    router.kill()
    for path in journals(router):
        how(path)
    for _ in range(2):
        router.restart()
        refused(router.ask(max_tokens=20), "daily")
        router.stop()


@pytest.mark.parametrize("how", [zeros, noise, emptied, removed])
def test_a_journal_that_is_overwritten_while_it_is_used_is_noticed(hermes, router, up, how):
    """And it is left: what is spent from then on is in a file that is read."""
    start(router)
    assert router.ask(max_tokens=20).status == 200
    before = journals(router)
    for path in before:
        how(path)
    router.ask(max_tokens=20)
    assert up.wait_for(lambda: b"what was spent by then is not known" in router.process.err, 60)
    assert is_closed(router)
    assert set(journals(router)) - set(before)
    rows = stored(hermes)
    assert router.ask("gratis", max_tokens=20).status == 200
    assert up.wait_for(lambda: stored(hermes) > rows, 60)
    assert router.process.err.count(b"what was spent by then is not known") == 1
    router.stop()
    router.restart()
    assert is_closed(router)


def test_a_journal_that_never_reached_the_disk_is_not_missed(router):
    """Zeros are what a power cut leaves of it. No call under a budget went out then."""
    start(router)
    router.kill()
    (router.hermes.home / "ledger.journal.0000000000000007").write_bytes(bytes(65536))
    router.restart()
    assert router.ask(max_tokens=20).status == 200
    assert b"not known" not in router.process.err


def test_a_pipe_in_a_journals_place_blocks_nobody(router, up):
    """Neither the end of the program, nor its next start, nor what costs nothing."""
    start(router)
    assert router.ask(max_tokens=20).status == 200
    path = journals(router)[-1]
    path.unlink()
    os.mkfifo(path)
    os.chown(path, *(getattr(router.hermes.home.stat(), name) for name in ("st_uid", "st_gid")))
    assert router.ask("gratis", max_tokens=20).status == 200
    router.stop()
    router.restart()
    answer = router.ask(max_tokens=20)
    assert answer.status == 503 and "is not a regular file" in answer.error["message"], answer.body
    assert router.ask("gratis", max_tokens=20).status == 200
    path.unlink()
    assert up.wait_for(lambda: router.ask(max_tokens=20).status == 400, 60)
    assert is_closed(router)
    router.stop()
