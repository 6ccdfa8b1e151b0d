"""Runs of one task in tiers: those of a tier cannot be told apart from the best of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.comparison.pairs import compare
from evalkit.comparison.scored_run import ScoredRun
from evalkit.errors import NotComparable, UsageError
from evalkit.stats import Standing, standings
from evalkit.types import Estimate


@dataclass(frozen=True, slots=True)
class Ranked:
    """A run with its number and where it stands: `standing.tier` is 1 for all runs that nothing beats."""

    run: ScoredRun
    value: float
    standing: Standing


def rank_tiers(runs: Sequence[ScoredRun], name: str, alpha: float = 0.05) -> list[Ranked]:
    """Return `runs`, the best first, with their tiers in the estimate `name`; all pairs are tested, Holm-adjusted.

    Raises:
        UsageError: a run has no such estimate, or neither direction of it is better.
        NotComparable: two of the runs do not compare; the message names the field.
    """
    estimates = [run.estimates.get(name) for run in runs]
    values: list[float] = []
    for run, estimate in zip(runs, estimates, strict=True):
        if not isinstance(estimate, Estimate) or estimate.higher_is_better is None:
            raise UsageError(f"{run.label} has no estimate {name!r} to be ranked by; leave the run out")
        values.append(estimate.value)
    higher = all(isinstance(estimate, Estimate) and estimate.higher_is_better for estimate in estimates)

    def p_value(i: int, j: int) -> float:
        found = compare(runs[i], runs[j], [name])
        if found.incomparable:
            raise NotComparable(f"{runs[i].label} and {runs[j].label}: {name}: {found.incomparable[0].reason}")
        p = found.differences[0].p
        return 1.0 if p is None else p

    placed = standings(values, p_value, higher_is_better=higher, alpha=alpha)
    ranked = [Ranked(run, value, standing) for run, value, standing in zip(runs, values, placed, strict=True)]
    return sorted(ranked, key=lambda one: -one.value if higher else one.value)
