"""The difference of two models on the same samples: what they share cancels, so less is needed to tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

from evalkit.errors import NotEnoughSamples
from evalkit.stats.bootstrap import bootstrap_values
from evalkit.stats.means import cluster_sums, standard_error_of_sums
from evalkit.stats.student import Doubles, Indices, student_interval
from evalkit.types import Interval

FEW = 16
"""Clusters that differ, up to which a test enumerates all signs instead of trusting Student's t."""


@dataclass(frozen=True, slots=True)
class Paired:
    """A difference with its standard error, the degrees of freedom of that, interval, and p of no difference.

    `rise_p` and `fall_p` are one-sided: small where the difference is above, or below, 0.
    """

    difference: float
    standard_error: float
    degrees: float
    interval: Interval
    p: float
    rise_p: float
    fall_p: float
    method: str


def paired_difference(
    differences: Doubles, clusters: Sequence[str], level: float = 0.95, span: float | None = None
) -> Paired:
    """Return the mean of `differences`, one a sample, with what is known of it from the clusters' scatter.

    Interval by Student's t and the clustered standard error. Where at most 16 clusters differ at all, p comes from all
    sign flips of those (for 0/1 scores: McNemar's exact test), and, if the scores have a `span` (their largest possible
    value less their smallest), one cluster won and one lost are added for the interval, so that it is not a point where
    nothing happened to differ.

    Raises:
        NotEnoughSamples: fewer than two clusters.
        ValueError: the lengths differ, or `level` is not between 0 and 1.

    Source: Liang and Zeger 1986; Fisher 1935, The Design of Experiments, section 21 (sign flips); Agresti and Min 2005,
    Statistics in Medicine 24(5) (the two added).
    """
    n, mean = len(differences), float(np.mean(differences))
    sums = cluster_sums(differences, clusters)
    scatter = cluster_sums(differences - mean, clusters)
    error = standard_error_of_sums(scatter, n)
    moved = sums[sums != 0]
    method = "paired, clustered standard error"
    if span is not None and len(moved) <= FEW:
        step = float(np.abs(moved).max()) if len(moved) else span
        size = n / len(sums)
        error = standard_error_of_sums(np.concatenate([scatter, [step, -step]]), n + 2 * size)
        method += ", one won and one lost added"
    degrees = len(sums) - 1
    interval = student_interval(mean, error, degrees, level, method)
    if len(moved) <= FEW:
        rise, fall = _sign_flips(moved)
        return Paired(mean, error, degrees, interval, min(1.0, 2 * min(rise, fall)), rise, fall, f"{method}; exact p")
    steps = mean / error if error > 0 else np.copysign(np.inf, mean)
    fall = float(scipy.stats.t.cdf(steps, degrees))
    return Paired(mean, error, degrees, interval, 2 * min(fall, 1 - fall), 1 - fall, fall, method)


def _sign_flips(moved: Doubles) -> tuple[float, float]:
    """Return how often a random choice of signs sums to at least, and to at most, what was seen."""
    sums = np.zeros(1)
    for step in np.abs(moved):
        sums = np.concatenate([sums + step, sums - step])
    seen, slack = float(moved.sum()), 1e-9 * float(np.abs(moved).sum())
    return float(np.mean(sums >= seen - slack)), float(np.mean(sums <= seen + slack))


def paired_bootstrap(
    difference: Callable[[Indices], float],
    clusters: int,
    seed: int,
    replicates: int = 2000,
    level: float = 0.95,
) -> Paired:
    """Return the difference of a statistic of the whole corpus between two models, both resampled alike.

    `difference` computes it from the clusters at the positions it is given, which may repeat. The p-values come from
    the resamples' standard deviation, so that they do not end at one over their number.

    Raises:
        NotEnoughSamples: fewer than two clusters.
        ValueError: `level` is not between 0 and 1.

    Source: Koehn 2004, Statistical Significance Tests for Machine Translation Evaluation; Efron and Tibshirani 1993.
    """
    if clusters < 2:
        raise NotEnoughSamples(f"a paired bootstrap needs at least 2 clusters, not {clusters}; add samples")
    seen = difference(np.arange(clusters, dtype=np.int64))
    error = float(np.std(bootstrap_values(difference, clusters, seed, replicates), ddof=1))
    method = f"paired bootstrap, {replicates} resamples, seed {seed}"
    interval = student_interval(seen, error, clusters - 1, level, method)
    fall = float(scipy.stats.t.cdf(seen / error, clusters - 1)) if error > 0 else 1.0
    rise = 1 - fall if error > 0 else 1.0
    return Paired(seen, error, clusters - 1, interval, min(1.0, 2 * min(fall, rise)), rise, fall, method)


def independent_difference(difference: float, error: float, level: float = 0.95) -> Paired:
    """Return a difference whose standard `error` is known, of two numbers that share no samples, as a normal one.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    method = "independent intervals, not paired"
    interval = student_interval(difference, error, np.inf, level, method)
    fall = float(scipy.stats.norm.cdf(difference / error)) if error > 0 else float(difference >= 0)
    rise = 1 - fall if error > 0 else float(difference <= 0)
    return Paired(difference, error, np.inf, interval, min(1.0, 2 * min(fall, rise)), rise, fall, method)
