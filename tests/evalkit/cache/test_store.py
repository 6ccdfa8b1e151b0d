"""An answer is committed once and found ever after; of two answers to one request the first stays."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from evalkit.cache import Cache, verify
from evalkit.errors import CacheError, UsageError
from evalkit.keys import digest
from evalkit.types import Generation, Text
from tests.evalkit.cache.entries import IDENTITY, commit, committer, file_of, key, picture, request


def test_what_was_committed_is_found_by_another_cache_on_the_directory(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        assert cache.get(key()) is None
        stored = commit(cache)
        assert cache.get(key()) == stored
    with Cache(tmp_path) as again:
        assert again.get(key()) == stored
        assert again.keys() == {key()}


def test_the_stored_form_is_the_answer_with_its_picture_in_a_file(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        stored = commit(cache)
        assert stored == Generation((picture(),))
        assert file_of(stored).is_relative_to(tmp_path / "blobs")


def test_lookup_and_get_many_find_just_what_is_there(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        for number in range(5):
            commit(cache, number)
        asked = [key(number) for number in range(3, 8)]
        assert cache.lookup(asked) == {key(3), key(4)}
        assert set(cache.get_many(asked)) == {key(3), key(4)}
        assert cache.lookup([]) == set() and cache.get_many([]) == {}


def test_of_two_answers_to_one_request_the_first_stays(tmp_path: Path) -> None:
    with Cache(tmp_path) as one, Cache(tmp_path) as two:
        first = one.commit(IDENTITY, request(), Generation((Text("first"),)))
        assert two.commit(IDENTITY, request(), Generation((Text("second"),))) == first
        assert one.get(key()) == two.get(key()) == first


def test_summaries_count_by_task_and_model(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache, 0)
        commit(cache, 1)
        cache.commit({"model": "other"}, request(0, task="other@1"), Generation((Text("x"),)))
        found = {(s.task, s.model): s.entries for s in cache.summaries()}
        assert found == {("tiny@1", digest(dict(IDENTITY))): 2, ("other@1", digest({"model": "other"})): 1}
        assert {tuple(sorted(s.identity)) for s in cache.summaries()} == {("model",), ("model", "weights")}


def test_records_hold_the_whole_key_document(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache, 7)
        (record,) = cache.records()
        assert record.key == key(7) == digest(dict(record.document))
        assert (record.task, record.sample_id) == ("tiny@1", "s7")


def test_threads_share_one_cache(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        threads = [
            threading.Thread(target=lambda first=first: [commit(cache, n) for n in range(first, 40, 4)])
            for first in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert cache.lookup(map(key, range(40))) == set(map(key, range(40)))


def test_no_thread_sees_what_another_has_not_finished(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache)
        seen: list[set[str]] = []
        reader = threading.Thread(target=lambda: seen.append(cache.keys()))
        with cache.writing() as connection:
            connection.execute("DELETE FROM generations")
            reader.start()
            reader.join(0.2)
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
        reader.join()
        assert seen == [{key()}]


def test_a_commit_of_a_picture_takes_under_two_milliseconds(tmp_path: Path) -> None:
    pictures = [Generation((picture(number, 256),)) for number in range(50)]
    with Cache(tmp_path) as cache:
        cache.claim([])
        start = time.process_time()  # of this process: other work on the machine does not count
        for number, generation in enumerate(pictures):
            cache.commit(IDENTITY, request(number), generation)
        assert (time.process_time() - start) / len(pictures) < 2e-3


def test_a_lookup_of_thirty_thousand_keys_takes_under_a_second(tmp_path: Path) -> None:
    keys = [digest(number) for number in range(30_000)]
    with Cache(tmp_path) as cache:
        for number in range(100):
            commit(cache, number)
        start = time.process_time()
        assert cache.lookup([*keys, *map(key, range(100))]) == set(map(key, range(100)))
        assert time.process_time() - start < 1.0


def test_a_directory_is_made_where_there_is_none(tmp_path: Path) -> None:
    with Cache(tmp_path / "a" / "b") as cache:
        commit(cache)
    assert (tmp_path / "a" / "b" / "index.sqlite").exists()


def test_a_directory_that_cannot_be_made_is_an_error_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match=r"cannot be made .* name another directory with --cache"):
        Cache(tmp_path / "file" / "cache")


def test_a_closed_cache_is_an_error_and_closing_twice_is_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.close()
    cache.close()
    with pytest.raises(CacheError):
        cache.keys()


def test_a_process_that_commits_nothing_leaves_no_journal(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.claim([key()])
    assert list((tmp_path / "journal").iterdir()) == []


@pytest.mark.slow
def test_processes_that_open_a_new_directory_at_once_all_commit(tmp_path: Path) -> None:
    processes = [committer(tmp_path, 25 * n, 25 * n + 50) for n in range(4)]  # half of it is committed by the next too
    printed = [process.communicate(timeout=60) for process in processes]
    assert [(process.returncode, err) for process, (_, err) in zip(processes, printed, strict=True)] == [(0, "")] * 4
    with Cache(tmp_path) as cache:
        assert cache.keys() == set(map(key, range(125))) == {line for out, _ in printed for line in out.split()}
        assert verify(cache) == []


def test_a_forked_child_is_refused(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache)
        child = os.fork()
        if child == 0:
            try:
                cache.get(key())
            except UsageError:
                os._exit(17)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17
        assert cache.get(key()) is not None
