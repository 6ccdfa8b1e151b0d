"""The index can be made again from the journals, with every answer and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.cache import Cache, RebuildReport, rebuild, verify
from evalkit.cache.journal import journals
from evalkit.cache.replay import lagging
from evalkit.errors import CacheError, UsageError
from tests.evalkit.cache.entries import commit, key


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A store of five answers in two journals."""
    for numbers in (range(3), range(3, 5)):
        with Cache(tmp_path) as cache:
            for number in numbers:
                commit(cache, number)
    return tmp_path


def answers(directory: Path) -> dict[str, object]:
    with Cache(directory) as cache:
        assert verify(cache) == []
        return dict(cache.get_many(map(key, range(5))))


def delete_index(directory: Path) -> None:
    for path in directory.glob("index.sqlite*"):
        path.unlink()


def test_rebuilding_changes_no_answer(stored: Path) -> None:
    before = answers(stored)
    assert rebuild(stored) == RebuildReport(5, 2, 0, 0, ())
    assert answers(stored) == before and len(before) == 5
    assert not (stored / "set-aside").exists()


def test_a_deleted_index_is_an_error_and_rebuilding_restores_all(stored: Path) -> None:
    before = answers(stored)
    delete_index(stored)
    with pytest.raises(CacheError, match=r"index.sqlite is missing.*evalkit cache rebuild"):
        Cache(stored)
    assert rebuild(stored).generations == 5
    assert answers(stored) == before


def test_answers_that_only_the_index_holds_are_salvaged(stored: Path) -> None:
    before = answers(stored)
    first, _ = journals(stored / "journal")
    first.unlink()
    report = rebuild(stored)
    assert (report.generations, report.salvaged) == (5, 3)
    assert answers(stored) == before
    delete_index(stored)
    assert rebuild(stored).generations == 5
    assert answers(stored) == before


def test_a_damaged_line_stops_it_unless_it_may_be_set_aside(stored: Path) -> None:
    first, _ = journals(stored / "journal")
    sound = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(sound[0] + b"damaged\n" + sound[2])
    original = first.read_bytes()
    delete_index(stored)
    with pytest.raises(CacheError, match=r"jsonl, the line that ends at byte .* `evalkit cache rebuild --set-aside`"):
        rebuild(stored)
    report = rebuild(stored, set_aside=True)
    assert (report.generations, report.damaged_lines) == (4, 1)
    assert [path.read_bytes() for path in report.set_aside] == [original]
    assert set(answers(stored)) == {key(0), key(2), key(3), key(4)}


def test_what_a_damaged_line_held_is_salvaged_from_the_index(stored: Path) -> None:
    before = answers(stored)
    first, _ = journals(stored / "journal")
    first.write_bytes(first.read_bytes().replace(b"s1", b"s9"))
    assert rebuild(stored, set_aside=True).salvaged == 1
    assert answers(stored) == before


def test_a_store_that_another_process_writes_to_is_left_alone(stored: Path) -> None:
    with Cache(stored) as cache:
        cache.claim(["a"])
        with pytest.raises(CacheError, match="a running process writes to"):
            rebuild(stored)


def test_where_there_is_no_store_there_is_nothing_to_rebuild(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no cache in"):
        rebuild(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_cannot_be_read_whole_is_set_aside(stored: Path) -> None:
    index = stored / "index.sqlite"
    content = index.read_bytes()
    index.write_bytes(content[: len(content) // 2])
    report = rebuild(stored)
    assert report.generations == 5
    assert [path.read_bytes() for path in report.set_aside if "wal" not in path.name] == [content[: len(content) // 2]]
    assert len(answers(stored)) == 5


def test_a_rebuilt_index_lacks_no_line_of_a_journal(stored: Path) -> None:
    rebuild(stored)
    with Cache(stored) as cache, cache.reading() as connection:
        assert lagging(connection, cache.places.journals) == {}


def test_a_rebuild_leaves_nothing_beside_the_index(stored: Path) -> None:
    rebuild(stored)
    assert sorted(path.name for path in stored.iterdir()) == ["blobs", "index.lock", "index.sqlite", "journal"]
