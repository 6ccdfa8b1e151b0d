"""Ranks that admit what is not known: a run stands below another only where the difference is significant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalkit.stats.holm import holm


@dataclass(frozen=True, slots=True)
class Standing:
    """The best and worst rank that a run may have, and its tier: 1 for all that nothing beats."""

    tier: int
    best_rank: int
    worst_rank: int


def standings(
    values: Sequence[float], p_value: Callable[[int, int], float], *, higher_is_better: bool, alpha: float = 0.05
) -> list[Standing]:
    """Return where each of `values` stands; `p_value(i, j)` is that of no difference between two of them.

    All pairs are tested and Holm-adjusted. A run's best rank is one more than the number of runs that beat it, its
    worst rank the number of runs that it does not beat. Runs of the same best rank are a tier.

    >>> found = standings([3.0, 2.9, 1.0], lambda i, j: 0.9 if {i, j} == {0, 1} else 0.001, higher_is_better=True)
    >>> [one.tier for one in found]
    [1, 1, 2]
    """
    count = len(values)
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    adjusted = holm([p_value(i, j) for i, j in pairs])
    beaten_by = [0] * count
    beats = [0] * count
    for (i, j), p in zip(pairs, adjusted, strict=True):
        if p < alpha and values[i] != values[j]:
            winner, loser = (i, j) if (values[i] > values[j]) == higher_is_better else (j, i)
            beats[winner] += 1
            beaten_by[loser] += 1
    tiers = {best: tier for tier, best in enumerate(sorted(set(beaten_by)), start=1)}
    return [Standing(tiers[beaten_by[i]], beaten_by[i] + 1, count - beats[i]) for i in range(count)]
