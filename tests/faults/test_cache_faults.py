"""Each fault of a disk is a clear error that names the entry and the mend, and nothing that was stored is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from evalkit.cache import Cache, rebuild, verify
from evalkit.cache.index import SCHEMA
from evalkit.cache.journal import journals
from evalkit.errors import CacheError
from tests.evalkit.cache.entries import commit, key

COUNT = 8


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A store of eight answers that was closed as it should be."""
    directory = tmp_path / "cache"
    with Cache(directory) as cache:
        for number in range(COUNT):
            commit(cache, number)
    return directory


def crashed_copy(source: Path, target: Path) -> Path:
    """A copy of an open store, as a machine that lost its power leaves it: rows still in the write-ahead log."""
    with Cache(source) as cache:
        for number in range(COUNT, 2 * COUNT):
            commit(cache, number)
        shutil.copytree(source, target)
    assert (target / "index.sqlite-wal").stat().st_size > 0
    return target


def require_all(directory: Path, count: int = COUNT) -> None:
    with Cache(directory) as cache:
        assert set(cache.get_many(map(key, range(count)))) == set(map(key, range(count)))
        assert [damage for damage in verify(cache) if not damage.harmless] == []


@contextmanager
def mounted(path: Path, options: str, source: str = "tmpfs", kind: str = "tmpfs") -> Iterator[Path]:
    """A file system of its own at `path`; skips where this user may not mount one."""
    path.mkdir(exist_ok=True)
    flags = ["--bind"] if kind == "bind" else ["-t", kind, "-o", options]
    done = subprocess.run(["mount", *flags, source, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    try:
        if kind == "bind":
            subprocess.run(["mount", "-o", f"remount,bind,{options}", str(path)], check=True)
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


# Full disk


def test_a_full_disk_is_an_error_and_what_was_committed_stays(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=2m") as disk:
        committed = []
        with Cache(disk / "cache") as cache:
            with pytest.raises(CacheError, match="free space") as caught:
                for number in range(1000):
                    commit(cache, number, size=64)
                    committed.append(key(number))
            assert str(disk) in str(caught.value)
            assert cache.lookup(committed) == set(committed) and len(committed) > 10
        with Cache(disk / "cache") as cache:
            assert set(cache.get_many(committed)) == set(committed)
            assert [damage for damage in verify(cache) if not damage.harmless] == []


@pytest.mark.parametrize("left", range(0, 60_000, 4000))
def test_a_disk_that_fills_at_any_step_of_a_commit_loses_nothing(tmp_path: Path, left: int) -> None:
    with mounted(tmp_path / "small", "size=2m") as disk:
        with Cache(disk / "cache") as cache:
            for number in range(3):
                commit(cache, number)
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            ballast = disk / "ballast"
            ballast.write_bytes(bytes(max(0, free - left)))
            committed = list(range(3))
            try:
                for number in range(3, 12):
                    commit(cache, number, size=32)
                    committed.append(number)
            except CacheError as error:
                assert "free space" in str(error)
            ballast.unlink()
            commit(cache, 20)  # the same process goes on once there is space,
            journaled = sum(path.read_bytes().count(b"\n") for path in journals(cache.places.journals))
            assert len(cache.keys()) == journaled  # with what the index had no space for
        with Cache(disk / "cache") as cache:
            asked = list(map(key, [*committed, 20]))
            assert set(cache.get_many(asked)) == set(asked)
            assert [damage for damage in verify(cache) if not damage.harmless] == []


LIMITED = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from entries import commit, key
from evalkit.cache import Cache
from evalkit.errors import CacheError
with Cache(Path(sys.argv[1])) as cache:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        for number in range(1000):
            commit(cache, number)
            print(key(number), flush=True)
    except CacheError as error:
        print(error, file=sys.stderr)
        sys.exit(7)
"""


@pytest.mark.parametrize("limit", [100, 5000, 20_000, 100_000])
def test_a_file_that_may_not_grow_is_an_error_and_what_was_committed_stays(tmp_path: Path, limit: int) -> None:
    entries = Path(__file__).parents[1] / "evalkit" / "cache"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(limit), str(entries)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert str(tmp_path) in done.stderr and "Traceback" not in done.stderr
    with Cache(tmp_path) as cache:
        assert cache.lookup(done.stdout.split()) == set(done.stdout.split())
        assert [damage for damage in verify(cache) if not damage.harmless] == []


# A cache that cannot be written


def test_a_read_only_cache_is_read_and_a_write_is_an_error(stored: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "ro", "ro", str(stored), "bind") as directory, Cache(directory) as cache:
        assert cache.lookup(map(key, range(COUNT + 1))) == set(map(key, range(COUNT)))
        assert len(cache.get_many(map(key, range(COUNT)))) == COUNT
        assert verify(cache) == []
        for write in (lambda: commit(cache, COUNT), lambda: cache.claim(["a"])):
            with pytest.raises(CacheError, match=r"ro.*read-only|ro.*cannot be stored.*write access"):
                write()


def test_a_read_only_cache_of_a_crashed_machine_loses_no_row(stored: Path, tmp_path: Path) -> None:
    crashed = crashed_copy(stored, tmp_path / "crashed")
    with mounted(tmp_path / "ro", "ro", str(crashed), "bind") as directory, Cache(directory) as cache:
        assert cache.lookup(map(key, range(2 * COUNT))) == set(map(key, range(2 * COUNT)))


def test_a_read_only_cache_whose_index_lags_is_an_error_and_no_miss(stored: Path, tmp_path: Path) -> None:
    crashed = crashed_copy(stored, tmp_path / "crashed")
    (crashed / "index.sqlite-wal").unlink()
    (crashed / "index.sqlite-shm").unlink()
    with (
        mounted(tmp_path / "ro", "ro", str(crashed), "bind") as directory,
        pytest.raises(CacheError, match=r"read-only, and its index lacks lines of .*jsonl; open it once with write"),
    ):
        Cache(directory)
    require_all(crashed, 2 * COUNT)


def test_an_empty_read_only_directory_is_an_error_with_the_mend(tmp_path: Path) -> None:
    with (
        mounted(tmp_path / "ro", "ro,size=1m") as directory,
        pytest.raises(CacheError, match=r"cannot be made .* grant write access, or name another directory"),
    ):
        Cache(directory)


# A damaged index


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble_header(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough" + path.read_bytes()[38:])


def garble_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


@pytest.mark.parametrize("harm", [halve, garble_header, garble_pages, empty, foreign, Path.unlink])
def test_a_damaged_index_is_an_error_and_rebuilding_restores_all(stored: Path, harm: Callable[[Path], None]) -> None:
    harm(stored / "index.sqlite")
    with pytest.raises(CacheError, match=r"index\.sqlite.*evalkit cache rebuild"), Cache(stored) as cache:
        cache.get_many(map(key, range(COUNT)))
    report = rebuild(stored)
    assert report.generations == COUNT
    assert harm is Path.unlink or [path.name for path in report.set_aside][:1] == ["index.sqlite.1"]
    require_all(stored)


@pytest.mark.parametrize("position", range(0, 40_000, 1237))
def test_a_flipped_byte_of_the_index_is_never_another_answer(stored: Path, position: int) -> None:
    with Cache(stored) as cache:
        before = cache.get_many(map(key, range(COUNT)))
    path = stored / "index.sqlite"
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 0x10
    path.write_bytes(content)
    try:
        with Cache(stored) as cache:
            found = cache.get_many(map(key, range(COUNT)))
            assert all(found[name] == before[name] for name in found)
            assert len(found) == COUNT or [d for d in verify(cache) if not d.harmless]
    except CacheError as error:
        assert str(stored) in str(error) or "cache entry" in str(error)
    rebuild(stored)
    require_all(stored)


def test_a_lost_write_ahead_log_is_made_good_from_the_journals(stored: Path, tmp_path: Path) -> None:
    crashed = crashed_copy(stored, tmp_path / "crashed")
    (crashed / "index.sqlite-wal").unlink()
    require_all(crashed, 2 * COUNT)


def test_the_log_of_a_deleted_index_is_not_taken_for_that_of_the_next(stored: Path, tmp_path: Path) -> None:
    crashed = crashed_copy(stored, tmp_path / "crashed")
    (crashed / "index.sqlite").unlink()
    rebuild(crashed)
    require_all(crashed, 2 * COUNT)


def test_the_log_of_a_deleted_store_is_not_taken_for_that_of_a_new_one(stored: Path, tmp_path: Path) -> None:
    crashed = crashed_copy(stored, tmp_path / "crashed")
    (crashed / "index.sqlite").unlink()
    shutil.rmtree(crashed / "journal")
    with Cache(crashed) as cache:
        assert cache.keys() == set()
        commit(cache)
        assert [damage for damage in verify(cache) if not damage.harmless] == []


def test_a_torn_write_ahead_log_is_made_good_from_the_journals(stored: Path, tmp_path: Path) -> None:
    crashed = crashed_copy(stored, tmp_path / "crashed")
    log = crashed / "index.sqlite-wal"
    log.write_bytes(log.read_bytes()[: log.stat().st_size * 2 // 3])
    require_all(crashed, 2 * COUNT)


def test_the_index_of_a_newer_evalkit_is_refused_and_left_as_it_is(stored: Path) -> None:
    with closing(sqlite3.connect(stored / "index.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = (stored / "index.sqlite").read_bytes()
    for act in (lambda: Cache(stored), lambda: rebuild(stored)):
        with pytest.raises(CacheError, match=f"has schema {SCHEMA + 1}, this evalkit knows {SCHEMA}.*upgrade evalkit"):
            act()
    assert (stored / "index.sqlite").read_bytes() == before


def test_the_index_of_an_older_evalkit_is_an_error_and_made_again(stored: Path) -> None:
    with closing(sqlite3.connect(stored / "index.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 0")
    with pytest.raises(CacheError, match="half-written or older; `evalkit cache rebuild`"):
        Cache(stored)
    rebuild(stored)
    require_all(stored)


def test_a_damaged_line_beyond_the_index_is_an_error_that_names_the_journal(stored: Path, tmp_path: Path) -> None:
    crashed = crashed_copy(stored, tmp_path / "crashed")
    (crashed / "index.sqlite-wal").unlink()
    last = journals(crashed / "journal")[-1]
    content = bytearray(last.read_bytes())
    content[100] ^= 1
    last.write_bytes(content)
    with pytest.raises(CacheError, match=rf"{last.name}.* is damaged .*evalkit cache rebuild --set-aside"):
        Cache(crashed)
    report = rebuild(crashed, set_aside=True)
    assert (report.generations, report.damaged_lines) == (2 * COUNT - 1, 1)


def test_an_unreadable_journal_folder_is_an_error(stored: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may read everything")
    path = journals(stored / "journal")[0]
    path.chmod(0)
    (stored / "index.sqlite").unlink()
    try:
        with pytest.raises(CacheError, match="grant read access"):
            rebuild(stored)
    finally:
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
