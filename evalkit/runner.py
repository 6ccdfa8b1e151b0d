"""The one loop: load, ask, commit, score, report. Every task and every model goes through it.

Answers are committed one by one as they arrive, while a second thread scores those that are there. What is already in
the cache is not asked again, and what another process is being asked at the moment is waited for. Neither samples nor
answers are kept in memory: the sample records are written from the cache at the end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from evalkit.answering import answers
from evalkit.asked import Head, begin, end
from evalkit.cache import Cache
from evalkit.errors import NotEnoughSamples, RunError, UsageError, nearest
from evalkit.executors.executor import Executor, ModelCard
from evalkit.executors.local import LocalExecutor, batch_sizes
from evalkit.interfaces import MetricResult, Model, Scored, Task
from evalkit.keys import digest
from evalkit.outcomes import Outcomes, sample_records
from evalkit.provenance import provenance
from evalkit.questions import Questions, Seeding
from evalkit.results import Coverage, Run, write_run
from evalkit.scoring import Scoring, chosen_metrics
from evalkit.types import Generation, Json, JsonScalar, Request

T = TypeVar("T")

FIXED_FIELDS = frozenset({"task", "sample_id", "job", "parts", "seed", "extra", "stop"})
"""Fields of a request that `--gen` cannot set: the task decides them."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of a run's samples that one of several hand-split runs asks: every `count`-th from `number` on."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def shard_of(text: str) -> Shard:
    """Return the shard that `--shard text` means.

    >>> shard_of("3/8")
    Shard(number=3, count=8)

    Raises:
        UsageError: `text` is not two whole numbers of which the first counts from 1 up to the second.
    """
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UsageError(f"--shard {text!r} should read 3/8: which of how many shards, counted from 1")
    return Shard(int(number), int(count))


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the user chose for one run.

    `gen` overrides fields of every request; `metrics` names those to compute (None: all); `batch` None is automatic.
    `protocol` and `options` are what the task was built with: they are kept with the run. `repeat` counts the times
    that the same samples are asked, each with seeds of its own.
    """

    seed: int = 0
    limit: int | None = None
    gen: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] | None = None
    batch: int | None = None
    protocol: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    repeat: int = 0
    shard: Shard | None = None

    def document(self) -> dict[str, Json]:
        """Return all settings that can change a number, as JSON; a first repeat is not mentioned."""
        return {
            "seed": self.seed,
            "limit": self.limit,
            "gen": dict(self.gen),
            "metrics": None if self.metrics is None else list(self.metrics),
            "protocol": self.protocol,
            "options": dict(self.options),
            "shard": None if self.shard is None else str(self.shard),
            **({"repeat": self.repeat} if self.repeat else {}),
        }


def parse_gen(values: Mapping[str, str]) -> dict[str, JsonScalar]:
    """Return `--gen` settings with the types of the request's fields.

    Raises:
        UsageError: an unknown field, or a value of another type.
    """
    known = {f.name: str(f.type) for f in fields(Request) if f.name not in FIXED_FIELDS}
    parsed: dict[str, JsonScalar] = {}
    for name, text in values.items():
        if name not in known:
            raise UsageError(f"--gen has no setting {name!r}{nearest(name, known)}")
        parsed[name] = _parse_value(name, text, known[name])
    return parsed


def _parse_value(name: str, text: str, kind: str) -> JsonScalar:
    if kind.startswith("str"):
        return text
    try:
        return int(text) if kind.startswith("int") else float(text)
    except ValueError as error:
        wanted = "a whole number" if kind.startswith("int") else "a number"
        raise UsageError(f"--gen {name}={text} is not {wanted}") from error


def ask(task: Task, model: Model | ModelCard, settings: RunSettings) -> Questions:
    """Return every sample of the run with its request and key, in the task's order.

    Raises:
        UsageError: the model cannot do the task's job, or `--gen` names an unknown setting.
        RunError: two samples of the task have the same id.
    """
    if task.job not in model.capabilities:
        able = ", ".join(sorted(model.capabilities))
        raise UsageError(f"model {model.name} cannot do {task.job}, which {task.name} asks for; it can do {able}")
    samples = task.samples()[: settings.limit]
    if settings.shard is not None:
        samples = samples[settings.shard.number - 1 :: settings.shard.count]
    return Questions(task, samples, model.identity, Seeding(settings.seed, settings.repeat), parse_gen(settings.gen))


def run(task: Task, model: Model, cache: Cache, settings: RunSettings, output: Path) -> tuple[Run, Path]:
    """Put `task` to `model` in this process; see `run_with` for what is returned and raised."""
    sizes = batch_sizes(model, replace(task.workspace, batch=settings.batch))
    return run_with(task, LocalExecutor(model, sizes), cache, settings, output)


def run_with(task: Task, executor: Executor, cache: Cache, settings: RunSettings, output: Path) -> tuple[Run, Path]:
    """Put `task` to the executor's model, write the run's folder under `output`, and return the run with that folder.

    Raises:
        UsageError: the model cannot do the task's job, or a setting is unknown.
        RunError: so many samples failed that too few are left to score.
        EvalkitError: data, weights or cache are missing or damaged.
    """
    started = time.time()
    model = executor.model
    asked = ask(task, model, settings)
    folder = output / folder_name(task, model, settings)
    begin(folder, Head(task.name, model.name, task.data.name, str(cache.directory.resolve()), started), asked, cache)
    outcomes = Outcomes(len(asked))
    metrics = chosen_metrics(task, settings.metrics) if settings.shard is None else []  # the whole run is scored
    with Scoring(metrics) as scoring:
        bar = task.workspace.progress.bar(f"{task.name}: answers of {model.name}", len(asked), "sample")
        for answered in answers(asked, executor, cache):
            outcomes.note(answered)
            if isinstance(answered.answer, Generation):
                scoring.add(Scored(answered.item.sample, answered.answer))
            bar.advance()
        bar.close()
        results = _finish(scoring, outcomes)
    finished = _assemble(task, model, cache, settings, outcomes.coverage, results, started)
    scores = _joined([result.per_sample for result in results])
    files = _joined([result.files for result in results])
    write_run(folder, finished, sample_records(asked, outcomes, cache, scores), files)
    end(folder)
    return finished, folder


def _finish(scoring: Scoring, outcomes: Outcomes) -> list[MetricResult]:
    try:
        return scoring.finish()
    except NotEnoughSamples as error:
        if not outcomes.failures:
            raise
        first = outcomes.failures[min(outcomes.failures)]
        raise RunError(
            f"{len(outcomes.failures)} of {outcomes.coverage.asked} samples failed (the first with {first.kind}: "
            f"{first.message}), and {error}"
        ) from error


def _assemble(
    task: Task,
    model: Model | ModelCard,
    cache: Cache,
    settings: RunSettings,
    coverage: Coverage,
    results: Sequence[MetricResult],
    started: float,
) -> Run:
    return Run(
        task=task.name,
        model=model.name,
        data=task.data.name,
        estimates=_joined([result.estimates for result in results]),
        coverage=coverage,
        stamps=(*_stamps(task, settings, coverage), *(stamp for result in results for stamp in result.stamps)),
        protocols={p.digest: p for result in results for p in result.protocols},
        series=_joined([result.series for result in results]),
        provenance={
            **provenance(started),
            "cache": str(cache.directory.resolve()),
            "data": {
                "name": task.data.name,
                "digest": task.data.digest,
                "licence": task.data.licence,
                "choice": task.workspace.data,
            },
            "model": dict(model.identity),
            "settings": settings.document(),
        },
    )


def _stamps(task: Task, settings: RunSettings, coverage: Coverage) -> tuple[str, ...]:
    stamps = list(task.data.stamps)
    total = len(task.samples())
    if settings.limit is not None and settings.limit < total:
        stamps.append(f"limited to {settings.limit} of {total} samples")
    if settings.shard is not None:
        stamps.append(f"shard {settings.shard}: {coverage.asked} samples")
    if coverage.failed:
        stamps.append(f"{coverage.failed} of {coverage.asked} samples failed")
    return tuple(stamps)


def _joined(tables: Sequence[Mapping[str, T]]) -> dict[str, T]:
    joined: dict[str, T] = {}
    for table in tables:
        for name, value in table.items():
            if name in joined:
                raise RunError(f"two metrics of one task both report {name!r}; rename one of them")
            joined[name] = value
    return joined


def folder_name(task: Task, model: Model | ModelCard, settings: RunSettings) -> str:
    """Return the name of a run's folder: the same for the same command, another where a setting differs."""
    chosen = digest([task.name, task.data.digest, dict(model.identity), settings.document()])
    words = "-".join([task.name, model.name, task.data.name])
    return re.sub(r"[^A-Za-z0-9@._-]+", "_", words)[:80] + "-" + chosen[:8]
