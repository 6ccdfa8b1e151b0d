"""What a run's samples say of an estimate: values whose mean it is, or counts that BLEU is made of."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from evalkit.comparison.scored_run import Samples, ScoredRun
from evalkit.metrics.captions.bleu import BleuCounts, corpus_bleu
from evalkit.metrics.captions.ngrams import MAX_N
from evalkit.stats import Doubles, Indices
from evalkit.types import Estimate

_SPANS = {"fraction": 1.0, "share": 1.0, "percent": 100.0}
"""The largest possible score less the smallest, by unit."""


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """Values `(n,)` of the samples `ids`, whose mean is the estimate.

    `subset_holds` says that the mean of a subset is the estimate of that subset. `outcomes` are the scores by which a
    sample is won or lost, where there are such.
    """

    ids: tuple[str, ...]
    values: Doubles
    subset_holds: bool
    outcomes: Doubles | None
    span: float | None


@dataclass(frozen=True, slots=True, eq=False)
class CorpusCounts:
    """BLEU's counts `(n, 2 + 2 MAX_N)` of the samples `ids`; `order` is the length of its longest n-grams.

    `outcomes` are the samples' own BLEU, by which one is won or lost.
    """

    ids: tuple[str, ...]
    table: Doubles
    order: int
    outcomes: Doubles | None

    def value(self, rows: Doubles) -> float:
        """Return BLEU of the summed `rows`."""
        totals = rows.sum(axis=0, keepdims=True).astype(np.int64)  # exact: far below 2**53
        guessed, correct = totals[:, 2 : 2 + MAX_N], totals[:, 2 + MAX_N :]
        return float(corpus_bleu(BleuCounts(totals[:, 0], totals[:, 1], guessed, correct))[self.order - 1])


Evidence: TypeAlias = Contributions | CorpusCounts


def evidence(run: ScoredRun, name: str, estimate: Estimate) -> Evidence | None:
    """Return what the samples of `run` say of its estimate `name`; None where they say nothing.

    A column `NAME_influence` says how far each sample that was asked moves the estimate; BLEU has its counts; else the
    column of the estimate's own name is taken, if its mean is the estimate: for `NAME[STRATUM=v]` that of `NAME` in
    the stratum.
    """
    samples = run.samples
    influence = samples.scores.get(f"{name}_influence")
    if influence is not None:
        asked = ~np.isnan(influence)
        scale = len(asked) / max(int(asked.sum()), 1)  # from those that were asked to all: the others move nothing
        moves, span = np.where(asked, influence, 0.0) * scale, _span(estimate)
        scaled_span = None if span is None else span * scale
        return Contributions(samples.ids, estimate.value + moves, False, samples.scores.get(name), scaled_span)
    order = re.fullmatch(r"bleu_([1-9])", name)
    if order is not None and int(order[1]) <= MAX_N:
        return _counts(samples, name, int(order[1]))
    return _mean(samples, name, estimate)


def _mean(samples: Samples, name: str, estimate: Estimate) -> Contributions | None:
    base, rows = name, np.arange(len(samples.ids))
    broken_down = re.fullmatch(r"(.+)\[(\w+)=(.*)\]", name, flags=re.DOTALL)
    if broken_down is not None:
        base, stratum, value = broken_down.groups()
        rows = np.array([i for i, strata in enumerate(samples.strata) if strata.get(stratum) == value], dtype=np.int64)
    column = samples.scores.get(base)
    if column is None:
        return None
    rows = rows[~np.isnan(column[rows])]
    values = column[rows]
    if len(rows) == 0 or not math.isclose(float(values.mean()), estimate.value, rel_tol=1e-6, abs_tol=1e-9):
        return None
    return Contributions(_ids(samples, rows), values, True, values, _span(estimate))


def _counts(samples: Samples, name: str, order: int) -> CorpusCounts | None:
    lengths = samples.scores.get("bleu_length")
    references = samples.scores.get("bleu_reference_length")
    correct = [samples.scores.get(f"bleu_correct_{n}") for n in range(1, MAX_N + 1)]
    if lengths is None or references is None or any(column is None for column in correct):
        return None
    guessed = np.maximum(lengths[:, None] - np.arange(MAX_N), 0)
    right = np.column_stack([column for column in correct if column is not None])
    table = np.column_stack([lengths, references, guessed, right])
    rows = np.flatnonzero(~np.isnan(table).any(axis=1))
    return CorpusCounts(_ids(samples, rows), table[rows], order, _at(samples, name, rows))


def _span(estimate: Estimate) -> float | None:
    return _SPANS.get(estimate.unit)


def _ids(samples: Samples, rows: Indices) -> tuple[str, ...]:
    return tuple(samples.ids[i] for i in rows)


def _at(samples: Samples, name: str, rows: Indices) -> Doubles | None:
    column = samples.scores.get(name)
    return None if column is None else column[rows]


def clustered_rows(table: Doubles, clusters: Sequence[str]) -> Doubles:
    """Return the rows of `table` summed within each cluster `(G, columns)`: those are what a bootstrap draws."""
    names, positions = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), table.shape[1]))
    np.add.at(sums, positions, table)
    return sums
