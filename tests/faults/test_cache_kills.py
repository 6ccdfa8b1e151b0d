"""A process may be killed at any moment: what it said was committed is there, and the store is whole."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from evalkit.cache import Cache, rebuild, verify
from tests.evalkit.cache.entries import committer, key

KILLS = 20
WRITERS = 2


@pytest.mark.slow
def test_nothing_that_was_committed_is_lost_to_twenty_kills(tmp_path: Path) -> None:
    dice = random.Random(9)
    printed: set[str] = set()
    for kill in range(KILLS):
        first = 1000 * (kill // 2)  # every second process meets what the one before it has left
        process = committer(tmp_path, first, first + 1000)
        assert process.stdout is not None and process.stderr is not None
        with process:
            lines = [process.stdout.readline()]  # let it get going
            time.sleep(dice.uniform(0, 0.2))
            process.kill()
            lines += process.stdout.read().splitlines(keepends=True)
            assert process.stderr.read() == ""
        printed |= {line.strip() for line in lines if line.endswith("\n")}
        with Cache(tmp_path) as cache:
            assert printed - cache.keys() == set()
    require_whole(tmp_path, printed)
    rebuild(tmp_path)
    require_whole(tmp_path, printed)


def require_whole(directory: Path, keys: set[str]) -> None:
    assert len(keys) > KILLS
    with Cache(directory) as cache:
        assert set(cache.get_many(keys)) == keys
        assert [damage for damage in verify(cache) if not damage.harmless] == []


@pytest.mark.slow
def test_processes_that_commit_the_same_and_other_keys_agree(tmp_path: Path) -> None:
    processes = [committer(tmp_path, 100 * n, 100 * n + 200) for n in range(WRITERS)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [err for _, err in outputs] == [""] * WRITERS
    with Cache(tmp_path) as cache:
        assert cache.keys() == set(map(key, range(100 * WRITERS + 100)))
        lines = [line for path in (tmp_path / "journal").iterdir() for line in path.read_text().splitlines()]
        assert len(lines) == len(cache.keys())  # what both committed was written once
        assert verify(cache) == []
