"""The feature cache: what goes in comes out, and damage is an error that names the entry."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import CacheError
from evalkit.features.cache import SCHEMA, FeatureCache, FileState


def _vectors(n: int, dim: int = 4, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features")


@given(stored=st.sets(st.integers(0, 30)), asked=st.lists(st.integers(0, 30)))
@settings(max_examples=30, deadline=None)
def test_vectors_come_back_bit_for_bit_in_the_order_asked(
    tmp_path_factory: pytest.TempPathFactory, stored: set[int], asked: list[int]
) -> None:
    every = _vectors(31)
    with FeatureCache(tmp_path_factory.mktemp("features")) as cache:
        order = sorted(stored)
        cache.put_many([f"p{i}" for i in order], "net", every[order])
        cache.put_many([f"p{i}" for i in order], "other", -every[order])
        vectors, found = cache.get_many([f"p{i}" for i in asked], "net", 4)
    assert found.tolist() == [i in stored for i in asked]
    for row, i in enumerate(asked):
        assert np.array_equal(vectors[row], every[i] if i in stored else np.zeros(4, np.float32))


def test_extractors_do_not_share_vectors(cache: FeatureCache) -> None:
    cache.put_many(["a"], "net", _vectors(1))
    assert not cache.get_many(["a"], "another", 4)[1].any()


def test_what_is_missing_is_counted_once_each(cache: FeatureCache) -> None:
    cache.put_many(["a", "b"], "net", _vectors(2))
    assert cache.missing(["a", "b", "c", "c", "d"], "net") == 2
    assert cache.missing(["a", "b"], "another") == 2
    assert cache.missing([], "net") == 0


def test_storing_again_changes_nothing(cache: FeatureCache) -> None:
    cache.put_many(["a"], "net", _vectors(1, seed=1))
    cache.put_many(["a", "b"], "net", _vectors(2, seed=2))
    vectors, found = cache.get_many(["a", "b"], "net", 4)
    assert found.all()
    assert np.array_equal(vectors, [_vectors(1, seed=1)[0], _vectors(2, seed=2)[1]])


def _damage(cache: FeatureCache, statement: str) -> None:
    cache.close()
    with sqlite3.connect(cache.directory / "features.sqlite") as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE features SET vector = zeroblob(16) WHERE picture = 'b'",
        "UPDATE features SET vector = substr(vector, 1, 15) WHERE picture = 'b'",
        "UPDATE features SET crc = crc + 1 WHERE picture = 'b'",
    ],
)
def test_a_damaged_entry_is_an_error_not_a_miss(cache: FeatureCache, statement: str) -> None:
    cache.put_many(["a", "b"], "fingerprint-of-net", _vectors(2))
    _damage(cache, statement)
    assert cache.get_many(["a"], "fingerprint-of-net", 4)[1].all()
    with pytest.raises(CacheError, match=r"features of b under extractor fingerprint-.*damaged.*delete"):
        cache.get_many(["a", "b"], "fingerprint-of-net", 4)


def test_a_vector_of_another_length_is_an_error(cache: FeatureCache) -> None:
    cache.put_many(["a"], "net", _vectors(1))
    with pytest.raises(CacheError, match="damaged"):
        cache.get_many(["a"], "net", 5)


def test_a_file_that_is_no_database_is_an_error_with_the_mend(cache: FeatureCache) -> None:
    cache.directory.mkdir()
    (cache.directory / "features.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(CacheError, match=r"features\.sqlite is damaged.*delete it"):
        cache.get_many(["a"], "net", 4)


def test_a_cut_off_database_is_an_error(cache: FeatureCache) -> None:
    cache.put_many([f"{i}" for i in range(200)], "net", _vectors(200, 256))
    cache.close()
    path = cache.directory / "features.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CacheError, match=r"features\.sqlite"):
        cache.get_many([f"{i}" for i in range(200)], "net", 256)


def test_a_cache_of_a_newer_schema_is_left_alone(cache: FeatureCache) -> None:
    cache.put_many(["a"], "net", _vectors(1))
    _damage(cache, f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(CacheError, match=f"schema {SCHEMA + 1}.*upgrade evalkit"):
        cache.put_many(["b"], "net", _vectors(1))


def test_a_folder_that_cannot_be_made_is_an_error_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    cache = FeatureCache(tmp_path / "taken" / "features")
    with pytest.raises(CacheError, match="free disk space"):
        cache.put_many(["a"], "net", _vectors(1))
    with pytest.raises(CacheError, match="free disk space"):
        cache.put_statistics("0" * 64, {"mean": _vectors(1)})


def test_a_full_disk_is_an_error_and_what_was_stored_stays(cache: FeatureCache) -> None:
    cache.put_many(["a"], "net", _vectors(1))
    with cache._access("read") as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(CacheError, match=r"features\.sqlite cannot be written \(database or disk is full\)"):
        cache.put_many([f"{i}" for i in range(50)], "net", _vectors(50, 2048))
    assert cache.get_many(["a", "0", "49"], "net", 4)[1].tolist() == [True, False, False]


def test_several_processes_write_at_once_and_nothing_is_lost(cache: FeatureCache) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from evalkit.features.cache import FeatureCache\n"
        "cache = FeatureCache(Path(sys.argv[1])); me = int(sys.argv[2])\n"
        "for i in range(30): cache.put_many([f'{me}-{i}'], 'net', np.full((1, 4), 100 * me + i, np.float32))\n"
    )
    args = [[sys.executable, "-c", code, str(cache.directory), str(me)] for me in range(3)]
    processes = [subprocess.Popen(arg) for arg in args]
    assert [process.wait() for process in processes] == [0, 0, 0]
    vectors, found = cache.get_many([f"{me}-{i}" for me in range(3) for i in range(30)], "net", 4)
    assert found.all()
    assert vectors[:, 0].tolist() == [100 * me + i for me in range(3) for i in range(30)]


def test_a_remembered_digest_holds_while_every_field_does(cache: FeatureCache) -> None:
    state = FileState("/a.jpg", "", 10, 20, 30, 40)
    cache.remember_files({state: "f" * 64})
    assert cache.known_files([state]) == {state: "f" * 64}
    for field in range(2, len(state)):
        other = FileState(*(99 if place == field else value for place, value in enumerate(state)))  # type: ignore[arg-type]
        assert cache.known_files([other]) == {}
    later = state._replace(mtime_ns=21)
    cache.remember_files({later: "e" * 64})
    assert cache.known_files([state, later]) == {later: "e" * 64}


def test_members_of_one_archive_are_told_apart(cache: FeatureCache) -> None:
    one, two = (FileState("/a.zip", name, 1, 2, 3, 4) for name in "ab")
    cache.remember_files({one: "1" * 64, two: "2" * 64})
    assert cache.known_files([one, two]) == {one: "1" * 64, two: "2" * 64}


def test_statistics_come_back_bit_for_bit(cache: FeatureCache) -> None:
    assert cache.get_statistics("k") is None
    arrays = {"mean": np.arange(5.0), "n": np.asarray(7)}
    cache.put_statistics("k", arrays)
    found = cache.get_statistics("k")
    assert found is not None
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    cache.put_statistics("k", {"mean": np.zeros(2)})
    again = cache.get_statistics("k")
    assert again is not None
    assert list(again) == ["mean"]
    assert len(list((cache.directory / "statistics").iterdir())) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "pickle"])
def test_damaged_statistics_are_an_error_not_a_miss(cache: FeatureCache, damage: str) -> None:
    cache.put_statistics("k", {"mean": np.arange(500.0)})
    path = cache.directory / "statistics" / "k.npz"
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    np.save(path.with_suffix(".npy"), np.asarray([{}]), allow_pickle=True)
    damaged = {
        "flip": bytes(content),
        "cut": path.read_bytes()[:-30],
        "empty": b"",
        "pickle": path.with_suffix(".npy").read_bytes(),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(CacheError, match=r"k\.npz are damaged.*delete the file"):
        cache.get_statistics("k")


@pytest.mark.slow
def test_thirty_thousand_vectors_are_read_in_under_two_seconds(cache: FeatureCache) -> None:
    vectors = _vectors(1000, 2048)
    names = [f"file:{i:064x}" for i in range(30_000)]
    for start in range(0, len(names), 1000):
        cache.put_many(names[start : start + 1000], "net", vectors)
    started = time.process_time()  # which other work on the machine does not lengthen
    _, found = cache.get_many(names, "net", 2048)
    assert found.all()
    assert time.process_time() - started < 2
