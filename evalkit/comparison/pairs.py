"""The differences of two runs of one task, estimate by estimate, paired by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit import stats
from evalkit.comparison.differences import Difference, Incomparable, Pair, shared
from evalkit.comparison.scored_run import ScoredRun
from evalkit.types import Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    `only_baseline` and `only_candidate` are ids of samples that the other did not answer; `missing` are estimates that
    the baseline has and the candidate has not.
    """

    baseline: ScoredRun
    candidate: ScoredRun
    differences: tuple[Difference, ...]
    incomparable: tuple[Incomparable, ...]
    missing: tuple[str, ...]
    only_baseline: tuple[str, ...]
    only_candidate: tuple[str, ...]


def compare(
    baseline: ScoredRun, candidate: ScoredRun, names: Sequence[str] | None = None, level: float = 0.95
) -> Comparison:
    """Return how `candidate` differs from `baseline` in the estimates of these names (None: all that both have).

    The p-values are Holm-adjusted over the estimates of this comparison.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    return compare_all([(baseline, candidate)], names, level)[0]


def compare_all(
    pairs: Sequence[tuple[ScoredRun, ScoredRun]], names: Sequence[str] | None = None, level: float = 0.95
) -> list[Comparison]:
    """Return the comparison of each pair of a baseline and a candidate, Holm-adjusted over all of them together.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    found = [_compared(baseline, candidate, names, level) for baseline, candidate in pairs]
    tested = [d for one in found for d in one.differences if d.p is not None]
    adjusted = iter(stats.holm([d.p for d in tested if d.p is not None]))
    return [
        replace(
            one,
            differences=tuple(d if d.p is None else replace(d, adjusted_p=next(adjusted)) for d in one.differences),
        )
        for one in found
    ]


def _compared(baseline: ScoredRun, candidate: ScoredRun, names: Sequence[str] | None, level: float) -> Comparison:
    both = shared(baseline.samples, candidate.samples)
    made: list[Difference] = []
    refused: list[Incomparable] = []
    missing: list[str] = []
    for name, before in baseline.estimates.items():
        if not isinstance(before, Estimate) or (names is not None and name not in names):
            continue
        after = candidate.estimates.get(name)
        if not isinstance(after, Estimate):
            missing.append(name)
            continue
        pair = Pair(baseline, candidate, name, before, after, both, level)
        found = pair.difference()
        if isinstance(found, Difference):
            made.append(found)
        else:
            refused.append(found)
    return Comparison(
        baseline,
        candidate,
        tuple(made),
        tuple(refused),
        tuple(missing),
        tuple(name for name in baseline.samples.ids if name not in both.candidate),
        tuple(name for name in candidate.samples.ids if name not in both.baseline),
    )
