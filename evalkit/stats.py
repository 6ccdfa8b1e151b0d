"""Intervals: bootstrap, jackknife, and the mean of clustered values.

All draws come from a seed that the caller gives; equal arguments give equal intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.stats

from evalkit.errors import NotEnoughSamples
from evalkit.types import Interval

Doubles: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]
Statistic: TypeAlias = Callable[[Indices], float]
"""A number computed from the samples at these positions, which may repeat."""


def clustered_standard_error(values: Sequence[float] | Doubles, clusters: Sequence[str]) -> float:
    """Return the standard error of the mean of `values`, those that share a cluster being dependent.

    With every value its own cluster it is the usual standard error.

    Raises:
        NotEnoughSamples: fewer than two clusters.
        ValueError: the lengths differ.

    Source: Liang and Zeger 1986, Biometrika 73(1), with the factor G / (G - 1) for G clusters.
    """
    doubles = np.asarray(values, dtype=np.float64)
    if len(doubles) != len(clusters):
        raise ValueError(f"{len(doubles)} values and {len(clusters)} clusters; each value needs one")
    names, positions = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise NotEnoughSamples(f"a standard error needs at least 2 clusters, not {len(names)}; add samples")
    sums = np.bincount(positions, weights=doubles - doubles.mean())
    return float(np.sqrt(len(names) / (len(names) - 1) * np.square(sums).sum()) / len(doubles))


def mean_interval(values: Sequence[float] | Doubles, clusters: Sequence[str], level: float = 0.95) -> Interval:
    """Return the interval of the mean of `values`, clustered, by Student's t with one degree less than clusters.

    Raises:
        NotEnoughSamples: fewer than two clusters.
        ValueError: the lengths differ, or `level` is not between 0 and 1.
    """
    error = clustered_standard_error(values, clusters)
    mean = float(np.mean(np.asarray(values, dtype=np.float64)))
    return _student(mean, error, len(set(clusters)) - 1, level, "clustered standard error")


def jackknife_standard_error(leave_one_out: Doubles) -> float:
    """Return the standard error of a statistic from its values `(n,)` without each sample in turn.

    Raises:
        NotEnoughSamples: fewer than two values.
    """
    n = len(leave_one_out)
    if n < 2:
        raise NotEnoughSamples(f"a jackknife needs at least 2 samples, not {n}; add samples")
    return float(np.sqrt((n - 1) / n * np.square(leave_one_out - leave_one_out.mean()).sum()))


def jackknife_influence(leave_one_out: Doubles) -> Doubles:
    """Return how each sample moves a statistic `(n,)`, from its values without each: the mean is 0, positive raises it.

    Its standard deviation over root n is the jackknife's standard error. The differences of two models' influences on
    the same samples give the error of the difference of their statistics, paired.
    """
    gaps: Doubles = leave_one_out.mean() - leave_one_out
    return gaps * (len(leave_one_out) - 1)


def jackknife_interval(value: float, leave_one_out: Doubles, level: float = 0.95) -> Interval:
    """Return the interval around `value` by Student's t and the jackknife's standard error.

    It is for the expected value of the statistic at this n: its bias at this n is neither estimated nor removed.

    Raises:
        NotEnoughSamples: fewer than two values.
        ValueError: `level` is not between 0 and 1.
    """
    error = jackknife_standard_error(leave_one_out)
    return _student(value, error, len(leave_one_out) - 1, level, "delete-one jackknife")


def _student(value: float, error: float, degrees: int, level: float, method: str) -> Interval:
    _require_level(level)
    reach = float(scipy.stats.t.ppf((1 + level) / 2, degrees)) * error
    return Interval(value - reach, value + reach, level, method)


def percentile_bootstrap(
    statistic: Statistic, n: int, seed: int, replicates: int = 1000, level: float = 0.95
) -> Interval:
    """Return the interval between the percentiles of `statistic` over `replicates` resamples of `n` samples.

    Not for statistics with a bias of order 1/n, such as FID: a resample has fewer distinct samples, so they shift.

    Raises:
        NotEnoughSamples: `n` is less than 2.
        ValueError: `level` is not between 0 and 1.
    """
    values = _bootstrap_values(statistic, n, seed, replicates)
    _require_level(level)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, f"percentile bootstrap, {replicates} resamples, seed {seed}")


def bca_bootstrap(statistic: Statistic, n: int, seed: int, replicates: int = 1000, level: float = 0.95) -> Interval:
    """Return the bias-corrected and accelerated bootstrap interval of `statistic` over `n` samples.

    The acceleration costs `n` more evaluations, one without each sample. Of a statistic that does not vary it is the
    point itself.

    Raises:
        NotEnoughSamples: `n` is less than 2.
        ValueError: `level` is not between 0 and 1.

    Source: Efron 1987, Journal of the American Statistical Association 82(397).
    """
    values = _bootstrap_values(statistic, n, seed, replicates)
    _require_level(level)
    everything = np.arange(n, dtype=np.int64)
    below = (np.sum(values < statistic(everything)) + 0.5 * np.sum(values == statistic(everything))) / replicates
    bias = scipy.stats.norm.ppf(np.clip(below, 1 / (2 * replicates), 1 - 1 / (2 * replicates)))
    without = np.array([statistic(np.delete(everything, i)) for i in range(n)])
    gaps = without.mean() - without
    spread = np.square(gaps).sum() ** 1.5
    acceleration = (gaps**3).sum() / (6 * spread) if spread > 0 else 0.0
    reach = bias + scipy.stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    quantiles = scipy.stats.norm.cdf(bias + reach / (1 - acceleration * reach))
    low, high = np.quantile(values, quantiles)
    return Interval(float(low), float(high), level, f"BCa bootstrap, {replicates} resamples, seed {seed}")


def _bootstrap_values(statistic: Statistic, n: int, seed: int, replicates: int) -> Doubles:
    if n < 2:
        raise NotEnoughSamples(f"a bootstrap needs at least 2 samples, not {n}; add samples")
    generator = np.random.default_rng(seed)
    return np.array([statistic(generator.integers(0, n, n, dtype=np.int64)) for _ in range(replicates)])


def _require_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a level must lie between 0 and 1, not {level}")
