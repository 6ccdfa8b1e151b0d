"""Standard errors and influences from a statistic's values without each sample in turn."""

from __future__ import annotations

import numpy as np

from evalkit.errors import NotEnoughSamples
from evalkit.stats.student import Doubles, student_interval
from evalkit.types import Interval


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
    return student_interval(value, error, len(leave_one_out) - 1, level, "delete-one jackknife")
