"""The one loop: load, ask, commit, score, report. Every task and every model goes through it.

Answers are committed one by one as they arrive, while a second thread scores those that are there. What is already in
the cache is not asked again, and what another process is being asked at the moment is waited for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from evalkit.cache import Cache
from evalkit.errors import NotEnoughSamples, RunError, UsageError, nearest
from evalkit.executors.local import AUTOMATIC_BATCH, LocalExecutor
from evalkit.interfaces import MetricResult, Model, Scored, Task
from evalkit.keys import digest, noun_json, request_key, sample_seed
from evalkit.provenance import provenance
from evalkit.results import Coverage, Run, SampleRecord, write_run
from evalkit.scoring import Scoring, chosen_metrics
from evalkit.types import Answer, Failure, Generation, Json, JsonScalar, Request, Sample

T = TypeVar("T")

CLAIMED_BATCHES = 4
"""Batches that a process claims at a time, so that several processes share a task's samples."""
POLL_SECONDS = 0.2
"""Pause between looks at an answer that another process is making."""
FIXED_FIELDS = frozenset({"task", "sample_id", "job", "parts", "seed", "extra", "stop"})
"""Fields of a request that `--gen` cannot set: the task decides them."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the user chose for one run.

    `gen` overrides fields of every request; `metrics` names those to compute (None: all); `batch` None is automatic.
    `protocol` and `options` are what the task was built with: they are kept with the run.
    """

    seed: int = 0
    limit: int | None = None
    gen: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] | None = None
    batch: int | None = None
    protocol: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Json]:
        """Return all settings that can change a number, as JSON."""
        return {
            "seed": self.seed,
            "limit": self.limit,
            "gen": dict(self.gen),
            "metrics": None if self.metrics is None else list(self.metrics),
            "protocol": self.protocol,
            "options": dict(self.options),
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """A sample with the request made of it and the key that its answer is stored under."""

    sample: Sample
    request: Request
    key: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A request with its answer; `from_cache` says that the model was not asked for it now."""

    item: Asked
    answer: Answer
    from_cache: bool


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


def ask(task: Task, model: Model, settings: RunSettings) -> list[Asked]:
    """Return every sample of the run with its request and key, in the task's order.

    Raises:
        UsageError: the model cannot do the task's job, or `--gen` names an unknown setting.
        RunError: two samples of the task have the same id.
    """
    if task.job not in model.capabilities:
        able = ", ".join(sorted(model.capabilities))
        raise UsageError(f"model {model.name} cannot do {task.job}, which {task.name} asks for; it can do {able}")
    overrides = parse_gen(settings.gen)
    identity = model.identity
    asked: dict[str, Asked] = {}
    for sample in task.samples()[: settings.limit]:
        request = task.request(sample, sample_seed(task.name, sample.id, 0, settings.seed))
        request = replace(request, **overrides)  # type: ignore[arg-type]  # parse_gen made the types fit
        if sample.id in asked:
            raise RunError(f"{task.name} has two samples of id {sample.id!r}; its data must name each once")
        asked[sample.id] = Asked(sample, request, request_key(identity, request))
    return list(asked.values())


def answers(asked: Sequence[Asked], model: Model, cache: Cache, batch: int | None) -> Iterator[Answered]:
    """Yield every item with its answer, as soon as it is there; what is new is committed first.

    What another process is making at the moment is waited for, and made here if that process dies.
    """
    executor = LocalExecutor(model, batch or AUTOMATIC_BATCH)
    waiting = yield from _stored(asked, cache)
    while waiting:
        elsewhere: list[Asked] = []
        claimed = executor.batch * CLAIMED_BATCHES
        for start in range(0, len(waiting), claimed):
            group = waiting[start : start + claimed]
            held = cache.claim([item.key for item in group])
            yield from _make([item for item in group if item.key in held], executor, cache)
            elsewhere += [item for item in group if item.key not in held]
        waiting = yield from _stored(elsewhere, cache)
        if waiting:
            time.sleep(POLL_SECONDS)


def _stored(asked: Sequence[Asked], cache: Cache) -> Generator[Answered, None, list[Asked]]:
    stored = cache.get_many([item.key for item in asked])
    for item in asked:
        if item.key in stored:
            yield Answered(item, stored[item.key], from_cache=True)
    return [item for item in asked if item.key not in stored]


def _make(items: Sequence[Asked], executor: LocalExecutor, cache: Cache) -> Iterator[Answered]:
    unanswered = {item.key for item in items}
    try:
        for position, answer in executor.answers([item.request for item in items]):
            item = items[position]
            if isinstance(answer, Generation):
                stored = cache.commit(executor.model.identity, item.request, answer)
                unanswered.discard(item.key)
                yield Answered(item, stored, from_cache=False)
            else:
                yield Answered(item, answer, from_cache=False)
    finally:
        cache.release(unanswered)


def run(task: Task, model: Model, cache: Cache, settings: RunSettings, output: Path) -> tuple[Run, Path]:
    """Put `task` to `model`, write the run's folder under `output`, and return the run with that folder.

    Raises:
        UsageError: the model cannot do the task's job, or a setting is unknown.
        RunError: so many samples failed that too few are left to score.
        EvalkitError: data, weights or cache are missing or damaged.
    """
    started = time.time()
    asked = ask(task, model, settings)
    found: dict[str, Answered] = {}
    progress = task.workspace.progress
    with Scoring(chosen_metrics(task, settings.metrics)) as scoring:
        bar = progress.bar(f"{task.name}: answers of {model.name}", len(asked), "sample")
        for answered in answers(asked, model, cache, settings.batch):
            found[answered.item.sample.id] = answered
            if isinstance(answered.answer, Generation):
                scoring.add(Scored(answered.item.sample, answered.answer))
            bar.advance()
        bar.close()
        in_order = [found[item.sample.id] for item in asked]
        results = _finish(scoring, in_order)
    finished = _assemble(task, model, cache, settings, in_order, results, started)
    folder = output / folder_name(task, model, settings)
    write_run(folder, finished, _records(in_order, results))
    return finished, folder


def _finish(scoring: Scoring, answered: Sequence[Answered]) -> list[MetricResult]:
    try:
        return scoring.finish()
    except NotEnoughSamples as error:
        failures = [a.answer for a in answered if isinstance(a.answer, Failure)]
        if not failures:
            raise
        first = failures[0]
        raise RunError(
            f"{len(failures)} of {len(answered)} samples failed (the first with {first.kind}: {first.message}), and "
            f"{error}"
        ) from error


def _assemble(
    task: Task,
    model: Model,
    cache: Cache,
    settings: RunSettings,
    answered: Sequence[Answered],
    results: Sequence[MetricResult],
    started: float,
) -> Run:
    failed = sum(isinstance(a.answer, Failure) for a in answered)
    coverage = Coverage(len(answered), len(answered) - failed, failed, sum(a.from_cache for a in answered))
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
            "data": {"name": task.data.name, "digest": task.data.digest, "licence": task.data.licence},
            "model": dict(model.identity),
            "settings": settings.document(),
        },
    )


def _stamps(task: Task, settings: RunSettings, coverage: Coverage) -> tuple[str, ...]:
    stamps = list(task.data.stamps)
    if settings.limit is not None and coverage.asked < (total := len(task.samples())):
        stamps.append(f"limited to {coverage.asked} of {total} samples")
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


def folder_name(task: Task, model: Model, settings: RunSettings) -> str:
    """Return the name of a run's folder: the same for the same command, another where a setting differs."""
    chosen = digest([task.name, task.data.digest, dict(model.identity), settings.document()])
    words = "-".join([task.name, model.name, task.data.name])
    return re.sub(r"[^A-Za-z0-9@._-]+", "_", words)[:80] + "-" + chosen[:8]


def _records(answered: Sequence[Answered], results: Sequence[MetricResult]) -> Iterator[SampleRecord]:
    scores = _joined([result.per_sample for result in results])
    for a in answered:
        sample, answer = a.item.sample, a.answer
        failed = isinstance(answer, Failure)
        yield SampleRecord(
            id=sample.id,
            cluster=sample.cluster,
            strata=dict(sample.strata),
            parts=tuple(noun_json(part) for part in a.item.request.parts),
            references=tuple(noun_json(part) for part in sample.references),
            key=a.item.key,
            seed=a.item.request.seed,
            from_cache=a.from_cache,
            seconds=answer.seconds,
            answer_parts=None if isinstance(answer, Failure) else tuple(noun_json(part) for part in answer.parts),
            failure=(answer.kind, answer.message) if isinstance(answer, Failure) else None,
            scores={name: table[sample.id] for name, table in scores.items() if sample.id in table and not failed},
        )
