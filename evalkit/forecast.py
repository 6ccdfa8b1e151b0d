"""What a run would cost, measured on its first samples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.answering import Answered, answers
from evalkit.cache import Cache
from evalkit.errors import WeightsError
from evalkit.executors.executor import Executor
from evalkit.interfaces import Scored, Task
from evalkit.runner import RunSettings, ask
from evalkit.scoring import chosen_metrics
from evalkit.types import Generation, Image

TRIED = 8
"""Samples that are asked for real."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would cost: `calls` to the model, `seconds` of generation and scoring, `disk_bytes` in the cache.

    Measured on `measured_on` samples that were really asked and committed; None where nothing could be measured.
    """

    calls: int
    from_cache: int
    generation_seconds: float | None
    scoring_seconds: float | None
    disk_bytes: int | None
    measured_on: int


def forecast(task: Task, executor: Executor, cache: Cache, settings: RunSettings) -> Forecast:
    """Return what `run` would cost, measured on the first few samples that are not in the cache.

    Those samples are asked and committed for real, so that nothing is paid for twice. Scoring is measured only where
    its weights are at hand.
    """
    asked = ask(task, executor.model, settings)
    stored = cache.lookup([item.key for item in asked])
    missing = [item for item in asked if item.key not in stored]
    start = time.perf_counter()
    tried = list(answers(missing[:TRIED], executor, cache))
    seconds = time.perf_counter() - start
    pictures = [p for a in tried if isinstance(a.answer, Generation) for p in a.answer.parts if isinstance(p, Image)]
    sizes = [p.content.stat().st_size for p in pictures if isinstance(p.content, Path)]
    return Forecast(
        calls=len(missing),
        from_cache=len(stored),
        generation_seconds=seconds / len(tried) * len(missing) if tried else 0.0,
        scoring_seconds=_scoring_seconds(task, settings, tried, len(asked)),
        disk_bytes=round(sum(sizes) / len(tried) * len(missing)) if tried else 0,
        measured_on=len(tried),
    )


def _scoring_seconds(task: Task, settings: RunSettings, tried: Sequence[Answered], total: int) -> float | None:
    scored = [Scored(a.item.sample, a.answer) for a in tried if isinstance(a.answer, Generation)]
    if not scored:
        return None
    seconds = 0.0
    for metric in chosen_metrics(task, settings.metrics):
        try:
            metric.prepare()
        except WeightsError:
            return None
        start = time.perf_counter()
        metric.update(metric.start(), scored)
        seconds += (time.perf_counter() - start) / len(scored) * (total + metric.backlog())
    return seconds
