"""Intervals of rates, which stay within 0 and 1 and are of use at 0 and 1 too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.errors import NotEnoughSamples
from evalkit.stats.means import clustered_standard_error
from evalkit.stats.student import Doubles, require_level, student_quantile
from evalkit.types import Interval


def wilson_interval(rate: float, n: float, level: float = 0.95, degrees: float = np.inf) -> Interval:
    """Return Wilson's score interval of a `rate` seen in `n` independent trials; `n` need not be whole.

    (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n), with z Student's quantile of `degrees`.

    >>> found = wilson_interval(1.0, 100)
    >>> round(found.low, 4), found.high
    (0.963, 1.0)

    Raises:
        ValueError: the rate or the level is not between 0 and 1, or `n` is not positive.

    Source: Wilson 1927, Journal of the American Statistical Association 22(158).
    """
    if not 0 <= rate <= 1 or not n > 0:
        raise ValueError(f"a rate must lie between 0 and 1 and have trials, not {rate} of {n}")
    square = student_quantile((1 + require_level(level)) / 2, degrees) ** 2
    centre = (rate + square / (2 * n)) / (1 + square / n)
    reach = np.sqrt(square * (rate * (1 - rate) / n + square / (4 * n**2))) / (1 + square / n)
    low, high = max(float(centre - reach), 0.0), min(float(centre + reach), 1.0)
    return Interval(low if rate > 0 else 0.0, high if rate < 1 else 1.0, level, "Wilson")


def rate_interval(
    rate: float, contributions: Sequence[float] | Doubles, clusters: Sequence[str], level: float = 0.95
) -> Interval:
    """Return the interval of a `rate` whose clustered standard error is that of the mean of `contributions`.

    Wilson's, with as many independent trials as have the same standard error, p (1 - p) / SE². That serves 0/1 scores,
    scores between 0 and 1 (which vary less, so count for more trials), ratios of totals and clusters alike. Where
    nothing varies, each cluster is one trial.

    Raises:
        NotEnoughSamples: fewer than two clusters.
        ValueError: the lengths differ, or the rate or the level is not between 0 and 1.

    Source: Korn and Graubard 1998, Survey Methodology 24(2), who take Clopper and Pearson's interval so; Wilson's is
    shorter and covers as well (Brown, Cai, DasGupta 2001, Statistical Science 16(2)).
    """
    count = len(set(clusters))
    if count < 2:
        raise NotEnoughSamples(f"an interval needs at least 2 clusters, not {count}; add samples")
    error = clustered_standard_error(contributions, clusters)
    spread = rate * (1 - rate)
    trials = spread / error**2 if spread > 0 and error > 0 else float(count)
    found = wilson_interval(rate, trials, level, count - 1)
    return Interval(found.low, found.high, level, "Wilson, effective trials of clusters")
