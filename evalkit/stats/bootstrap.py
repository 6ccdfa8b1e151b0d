"""The bootstrap of any statistic of samples: percentiles, and Efron's correction of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import scipy.stats

from evalkit.errors import NotEnoughSamples
from evalkit.stats.student import Doubles, Indices, require_level
from evalkit.types import Interval

Statistic: TypeAlias = Callable[[Indices], float]
"""A number computed from the samples at these positions, which may repeat."""


def percentile_bootstrap(
    statistic: Statistic, n: int, seed: int, replicates: int = 1000, level: float = 0.95
) -> Interval:
    """Return the interval between the percentiles of `statistic` over `replicates` resamples of `n` samples.

    Not for statistics with a bias of order 1/n, such as FID: a resample has fewer distinct samples, so they shift.

    Raises:
        NotEnoughSamples: `n` is less than 2.
        ValueError: `level` is not between 0 and 1.
    """
    values = bootstrap_values(statistic, n, seed, replicates)
    require_level(level)
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
    values = bootstrap_values(statistic, n, seed, replicates)
    require_level(level)
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


def bootstrap_values(statistic: Statistic, n: int, seed: int, replicates: int) -> Doubles:
    """Return `statistic` `(replicates,)` over resamples of `n` samples, drawn with replacement.

    Raises:
        NotEnoughSamples: `n` is less than 2.
    """
    if n < 2:
        raise NotEnoughSamples(f"a bootstrap needs at least 2 samples, not {n}; add samples")
    generator = np.random.default_rng(seed)
    return np.array([statistic(generator.integers(0, n, n, dtype=np.int64)) for _ in range(replicates)])
