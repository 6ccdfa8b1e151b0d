"""Cleaning up takes what nobody needs, and nothing that an answer refers to or that is on its way."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from evalkit.blobs import Blobs
from evalkit.cache import Cache, GcReport, gc, rebuild, verify
from evalkit.errors import UsageError
from tests.evalkit.cache.entries import commit, file_of, key, picture

HOURS = 3600.0


def aged(path: Path, hours: float = 2.0) -> Path:
    then = time.time() - hours * HOURS
    os.utime(path, (then, then))
    return path


def test_a_store_in_use_loses_nothing(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        for number in range(3):
            aged(file_of(commit(cache, number)))
        assert gc(cache) == GcReport(0, 0, 0, 0)
        assert verify(cache) == [] and len(cache.keys()) == 3


def test_old_unused_pictures_and_leftovers_go_and_young_ones_stay(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache)
        old = aged(Blobs(cache.places.blobs).path(cache.blobs.put(picture(8)).digest))
        young = Blobs(cache.places.blobs).path(cache.blobs.put(picture(9)).digest)
        half = young.with_name(".abc.tmp")
        half.write_bytes(b"12345")
        index = tmp_path / ".index.sqlite.0.tmp-wal"
        index.write_bytes(b"")
        size = old.stat().st_size
        assert gc(cache) == GcReport(0, 1, 0, size)
        aged(half), aged(index)
        assert gc(cache) == GcReport(0, 0, 2, 5)
        assert not old.exists() and young.exists() and not half.exists() and not index.exists()


def test_a_dry_run_tells_the_same_and_takes_nothing(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        old = aged(Blobs(cache.places.blobs).path(cache.blobs.put(picture(8)).digest))
        commit(cache)
        told = gc(cache, dry_run=True, older_than_days=0)
        assert old.exists() and cache.keys() == {key()}
        assert gc(cache, older_than_days=0) == told == GcReport(1, 1, 0, told.bytes)


def test_answers_that_were_used_of_late_stay(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        aged(file_of(commit(cache, 0)))
        commit(cache, 1)
        with cache.writing() as connection:
            connection.execute("UPDATE generations SET used = used - 864000")
        assert gc(cache, older_than_days=11, dry_run=True).generations == 0
        assert cache.get(key(1)) is not None  # a use
        report = gc(cache, older_than_days=9)
        assert (report.generations, report.pictures) == (1, 1)
        assert cache.keys() == {key(1)}


def test_what_was_dropped_stays_dropped_after_a_rebuild_and_may_be_made_again(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache, 0)
        commit(cache, 1)
        gc(cache, older_than_days=0)
        commit(cache, 1)
    rebuild(tmp_path)
    with Cache(tmp_path) as cache:
        assert cache.keys() == {key(1)}
        assert verify(cache) == []


def test_a_picture_that_is_taken_before_its_row_is_written_is_put_again(tmp_path: Path) -> None:
    with Cache(tmp_path) as sweeper, Cache(tmp_path) as cache:
        path = Blobs(cache.places.blobs).path(picture(0).digest)
        with sweeper.writing():
            committing = threading.Thread(target=commit, args=(cache, 0))
            committing.start()  # it puts the picture, then waits for the lock that we hold
            while not path.exists():
                time.sleep(0.001)
            path.unlink()
        committing.join()
        assert path.exists() and cache.get(key(0)) is not None


def test_the_claims_and_empty_journals_of_the_dead_go(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.claim(["mine"])
        dead = tmp_path / "journal" / "dead.jsonl"
        dead.write_bytes(b"")
        with cache.writing() as connection:
            connection.execute("INSERT INTO claims VALUES ('theirs', 'dead.jsonl')")
        gc(cache)
        with cache.reading() as connection:
            assert connection.execute("SELECT key FROM claims").fetchall() == [("mine",)]
        assert not dead.exists()


def test_a_negative_age_is_refused(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache, pytest.raises(UsageError, match="is negative"):
        gc(cache, older_than_days=-1)
