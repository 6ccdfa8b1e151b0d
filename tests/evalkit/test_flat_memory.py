"""The law of memory: what the driver holds does not grow with the number of samples."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

pytest.importorskip("ray")

from evalkit.cache import Cache
from evalkit.executors.batches import BatchSizes
from evalkit.executors.local import LocalExecutor
from evalkit.runner import RunSettings, run_with
from evalkit.workspace import Workspace
from tests.benchmarks.bench_executors import Plain, Tiny

BYTES_A_SAMPLE = 80
"""Numbers and lengths of what is still to be asked, and a mark of what the cache answered: 17 bytes, sorted: thrice.
36 were measured, 53 where a portion of answers left 113 bytes each until its end, and 174 where all answers did."""
TRIES = 2
"""Runs of each length, of which the least peak counts: how much waits to be written when the peak comes is chance, and
moves a run's by up to half a megabyte."""
FEW, MANY = 2000, 10_000


def peak(folder: Path, count: int) -> int:
    """Most bytes that Python holds during a run of so many samples."""
    folder.mkdir()
    tracemalloc.start()
    with Cache(folder / "cache") as cache:
        task = Plain(count, Workspace(cache=cache.directory))
        found, _ = run_with(task, LocalExecutor(Tiny(), BatchSizes(16)), cache, RunSettings(), folder / "runs")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.coverage.answered == count
    return most


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    peak(tmp_path / "warm", 100)
    few, many = (min(peak(tmp_path / f"{count}-{n}", count) for n in range(TRIES)) for count in (FEW, MANY))
    assert many - few < BYTES_A_SAMPLE * (MANY - FEW)
