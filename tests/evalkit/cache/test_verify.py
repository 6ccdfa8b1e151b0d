"""Verification finds each kind of damage, names it, and its mend mends it without losing anything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalkit.blobs import Blobs
from evalkit.cache import Cache, Damage, rebuild, set_aside, verify
from evalkit.cache.journal import journals
from evalkit.errors import CacheError
from tests.evalkit.cache.entries import commit, file_of, key, picture


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A store of three answers."""
    with Cache(tmp_path) as cache:
        for number in range(3):
            commit(cache, number)
    return tmp_path


def found(directory: Path) -> list[Damage]:
    with Cache(directory) as cache:
        return verify(cache)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_a_sound_store_has_no_damage(stored: Path) -> None:
    assert found(stored) == []


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "delete", "swap"])
def test_a_damaged_picture_is_found_put_aside_and_made_again(stored: Path, harm: str) -> None:
    with Cache(stored) as cache:
        path = Blobs(cache.places.blobs).path(picture(1).digest)
        content = path.read_bytes()
        path.unlink()
        harmed = {
            "flip": content[:60] + bytes([content[60] ^ 1]) + content[61:],
            "truncate": content[:-30],
            "empty": b"",
            "swap": Blobs(cache.places.blobs).path(picture(0).digest).read_bytes(),
        }
        if harm != "delete":
            path.write_bytes(harmed[harm])
        (damage,) = verify(cache)
        assert (damage.kind, damage.what, damage.harmless) == ("picture", str(path), False)
        assert key(1) in damage.why and "evalkit cache verify --set-aside" in damage.mend
        assert set_aside(cache, [damage]) == 1
        assert cache.lookup(map(key, range(3))) == {key(0), key(2)}
        assert (stored / "set-aside").exists() == (harm != "delete")
        commit(cache, 1)
        assert verify(cache) == []
    rebuild(stored)
    with Cache(stored) as cache:
        assert cache.keys() == set(map(key, range(3)))


def test_a_missing_picture_is_an_error_and_never_a_miss(stored: Path) -> None:
    with Cache(stored) as cache:
        answer = cache.get(key(1))
        assert answer is not None
        file_of(answer).unlink()
        with pytest.raises(CacheError, match=f"{key(1)} lacks a picture") as caught:
            cache.get(key(1))
        assert "evalkit cache verify --set-aside" in str(caught.value)


CHANGES = {
    "answer": "UPDATE generations SET answer = replace(answer, 'stop', 'length') WHERE key = ?",
    "key": "UPDATE generations SET key = replace(key, substr(key, 1, 8), '00000000') WHERE key = ?",
    "request": "UPDATE generations SET request = replace(request, 'picture', 'pixture') WHERE key = ?",
    "request syntax": "UPDATE generations SET request = substr(request, 2) WHERE key = ?",
    "sample": "UPDATE generations SET sample_id = 's2' WHERE key = ?",
    "model": "UPDATE generations SET model = 99 WHERE key = ?",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_row_is_found_and_rebuilt_from_the_journal(stored: Path, change: str) -> None:
    with Cache(stored) as cache:
        before = cache.get(key(1))
        with cache.writing() as connection:
            assert connection.execute(CHANGES[change], (key(1),)).rowcount == 1
        kinds = {damage.kind for damage in verify(cache)}
        assert "entry" in kinds
    rebuild(stored)
    with Cache(stored) as cache:
        assert verify(cache) == []
        assert cache.get(key(1)) == before
        assert cache.keys() == set(map(key, range(3)))


def test_a_changed_answer_is_an_error_when_it_is_read(stored: Path) -> None:
    with Cache(stored) as cache:
        with cache.writing() as connection:
            connection.execute(CHANGES["answer"], (key(1),))
        with pytest.raises(CacheError, match=rf"{key(1)} .* is not what was stored; `evalkit cache rebuild`"):
            cache.get(key(1))
        assert cache.get(key(0)) is not None


def test_a_damaged_journal_line_is_found(stored: Path) -> None:
    (path,) = journals(stored / "journal")
    flip(path, 100)
    (damage,) = found(stored)
    assert (damage.kind, damage.what) == ("journal", str(path))
    assert "line 1" in damage.why


def test_a_torn_line_is_harmless(stored: Path) -> None:
    (path,) = journals(stored / "journal")
    with path.open("ab") as file:
        file.write(b'{"body":{"answer"')
    (damage,) = found(stored)
    assert (damage.kind, damage.harmless) == ("torn line", True)


def test_an_answer_that_the_index_lost_is_found(stored: Path) -> None:
    with Cache(stored) as cache:
        with cache.writing() as connection:
            connection.execute("DELETE FROM generations WHERE key = ?", (key(1),))
        (damage,) = verify(cache)
    assert (damage.kind, damage.what) == ("index", key(1))


def test_an_unused_picture_is_a_harmless_leftover_once_it_is_old(stored: Path) -> None:
    with Cache(stored) as cache:
        image = cache.blobs.put(picture(9))
        assert verify(cache) == []
        path = Path(cache.blobs.place(image.digest))
        os.utime(path, (0, 0))
        (damage,) = verify(cache)
        assert (damage.kind, damage.what, damage.harmless) == ("leftover", str(path), True)
        assert set_aside(cache, [damage]) == 0 and path.exists()
