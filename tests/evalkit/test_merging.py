"""Laws of hand-split runs: the merged run is the whole run, and nothing that is missing or foreign goes unseen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.cache import Cache
from evalkit.cli import main
from evalkit.errors import UsageError
from evalkit.registry import build_task
from evalkit.results import read_run, read_samples
from evalkit.runner import RunSettings, Shard, ask, run, shard_of
from evalkit.types import Answer, Failure, Request
from evalkit.workspace import Workspace
from tests.fakes import CountingModel

TASK = "blocksworld_composition"
SETTINGS = RunSettings(limit=31)


class Moody(CountingModel):
    """Refuses two samples, which then are failures."""

    def generate(self, requests):  # type: ignore[no-untyped-def]
        for position, answer in super().generate(requests):
            yield position, self._refused(requests[position], answer)

    def _refused(self, request: Request, answer: Answer) -> Answer:
        return Failure("refusal", "no") if int(request.sample_id.rpartition("-")[2]) % 17 == 3 else answer


def shard(folder: Path, name: str, model: CountingModel | None = None, **changed: Any) -> Path:
    """The folder of the run of one shard, with a cache of its own, as on another machine."""
    workspace = Workspace(cache=folder / f"cache-{name.replace('/', '-')}", data="blocksworld")
    settings = replace(SETTINGS, shard=shard_of(name), **changed)
    with Cache(workspace.cache) as cache:
        return run(build_task(TASK, workspace, None, {}), model or Moody(), cache, settings, folder / "shards")[1]


def whole(folder: Path) -> Path:
    """The folder of the whole run."""
    workspace = Workspace(cache=folder / "cache-whole", data="blocksworld")
    with Cache(workspace.cache) as cache:
        return run(build_task(TASK, workspace, None, {}), Moody(), cache, SETTINGS, folder / "whole")[1]


@pytest.fixture
def merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The exit code and the messages of the command, whose cache and runs are new."""

    def call(*words: object) -> tuple[int, str]:
        more = ("--cache", tmp_path / "merged-cache", "-o", tmp_path / "merged")
        code = main([str(word) for word in ("merge", *words, *more)])
        written = capsys.readouterr()
        return code, written.out + written.err

    return call


def test_shards_part_the_samples(tmp_path: Path) -> None:
    task = build_task(TASK, Workspace(cache=tmp_path), None, {})
    parts = [
        [item.sample.id for item in ask(task, CountingModel(), RunSettings(limit=31, shard=Shard(number, 4)))]
        for number in range(1, 5)
    ]
    together = [sample for part in parts for sample in part]
    assert sorted(together) == sorted(item.sample.id for item in ask(task, CountingModel(), SETTINGS))
    assert {len(part) for part in parts} == {7, 8}


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5"])
def test_a_wrong_shard_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="should read 3/8"):
        shard_of(text)


def test_merged_shards_are_the_whole_run(tmp_path: Path, merge: Callable[..., tuple[int, str]]) -> None:
    for number in (2, 1, 3):
        assert read_run(shard(tmp_path, f"{number}/3")).estimates == {}
    code, said = merge(tmp_path / "shards")
    assert code == 1 and "2 samples failed" in said
    (merged,) = (tmp_path / "merged").iterdir()
    expected = whole(tmp_path)
    assert merged.name == expected.name
    together, at_once = read_run(merged), read_run(expected)
    assert together.estimates == at_once.estimates and together.estimates
    assert (together.coverage, together.stamps) == (at_once.coverage, at_once.stamps)
    assert together.coverage.failed == 2
    for left, right in zip(read_samples(merged), read_samples(expected), strict=True):
        assert (left.id, left.key, left.answer_parts, left.scores) == (
            right.id,
            right.key,
            right.answer_parts,
            right.scores,
        )
        assert left.failure == right.failure


def test_a_cache_that_was_moved_is_named(tmp_path: Path, merge: Callable[..., tuple[int, str]]) -> None:
    shard(tmp_path, "1/2"), shard(tmp_path, "2/2")
    shutil.move(tmp_path / "cache-2-2", tmp_path / "elsewhere")
    code, said = merge(tmp_path / "shards")
    assert code == 2 and "is in none of the caches" in said and "--from DIR" in said
    assert merge(tmp_path / "shards", "--from", tmp_path / "elsewhere", "--allow-failures", 2)[0] == 0


def test_what_is_missing_double_or_foreign_is_told(tmp_path: Path, merge: Callable[..., tuple[int, str]]) -> None:
    one, two = shard(tmp_path, "1/3"), shard(tmp_path, "2/3")
    assert "shard 3/3 is missing" in merge(one, two)[1]
    again = shutil.copytree(one, tmp_path / "again")
    assert "both shard 1/3" in merge(one, again)[1]
    three = shard(tmp_path, "3/3", seed=5)
    assert "settings" in merge(one, two, three)[1]
    three = shard(tmp_path, "3/3", model=Moody(weights="b"))
    code, said = merge(one, two, three)
    assert code == 2 and "they are not shards of one run" in said and "weights" in said
    assert "is not the run of a shard" in merge(one, two, whole(tmp_path))[1]
    assert "several splits" in merge(one, shard(tmp_path, "2/2"))[1]
