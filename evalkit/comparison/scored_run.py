"""A run reduced to what comparing needs: estimates, protocols, and each sample's scores as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.errors import DataError
from evalkit.keys import digest
from evalkit.protocols import Protocol
from evalkit.results import Run, SampleRecord, read_run, read_samples
from evalkit.stats import Doubles
from evalkit.types import Estimate, Unavailable

CONTENT_DIGITS = 12
"""Hexadecimal digits of a sample's content that are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The answered samples of a run, in its order: row i of every column is about sample `ids[i]`.

    `contents` are short digests of what was asked and of the references: they differ where a prompt or the data
    changed. `scores` are columns `(n,)`, NaN where a sample has no such score. `strata` may be empty: then nothing
    can be broken down. `failed` are the ids of samples without an answer.
    """

    ids: tuple[str, ...]
    clusters: tuple[str, ...]
    contents: tuple[str, ...]
    strata: tuple[Mapping[str, str], ...]
    scores: Mapping[str, Doubles]
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRun:
    """One task put to one model, with its samples' scores. `label` says where it was read from."""

    label: str
    task: str
    model: str
    data: str
    estimates: Mapping[str, Estimate | Unavailable]
    protocols: Mapping[str, Protocol]
    stamps: tuple[str, ...]
    samples: Samples


def read_scored_run(directory: Path) -> ScoredRun:
    """Return the run kept in `directory` with its samples' scores.

    Raises:
        DataError: there is no run, it is damaged, or it names one sample twice.
    """
    return scored_run(str(directory), read_run(directory), read_samples(directory))


def scored_run(label: str, run: Run, records: Iterable[SampleRecord]) -> ScoredRun:
    """Return `run` with the scores of its `records`.

    Raises:
        DataError: two records have the same id.
    """
    samples = _samples(label, records)
    return ScoredRun(label, run.task, run.model, run.data, run.estimates, run.protocols, run.stamps, samples)


def _samples(label: str, records: Iterable[SampleRecord]) -> Samples:
    answered: list[SampleRecord] = []
    contents: list[str] = []
    failed: list[str] = []
    for record in records:
        if record.failure is not None:
            failed.append(record.id)
            continue
        contents.append(digest([list(record.parts), list(record.references)])[:CONTENT_DIGITS])
        answered.append(record)
    ids = [record.id for record in answered]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise DataError(f"{label} holds sample {twice!r} twice; run the task again")
    return Samples(
        ids=tuple(ids),
        clusters=tuple(record.cluster or record.id for record in answered),
        contents=tuple(contents),
        strata=tuple(record.strata for record in answered),
        scores=_columns(answered),
        failed=tuple(failed),
    )


def _columns(records: Sequence[SampleRecord]) -> dict[str, Doubles]:
    names = dict.fromkeys(name for record in records for name in record.scores)
    return {name: np.array([record.scores.get(name, np.nan) for record in records]) for name in names}
