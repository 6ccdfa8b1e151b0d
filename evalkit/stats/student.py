"""Student's interval, which most estimators end in, and the array types of this package."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.stats

from evalkit.types import Interval

Doubles: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]


def student_interval(value: float, error: float, degrees: float, level: float, method: str) -> Interval:
    """Return `value` plus and minus Student's quantile of `degrees` times the standard `error`.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    reach = student_quantile((1 + require_level(level)) / 2, degrees) * error
    return Interval(value - reach, value + reach, level, method)


def student_quantile(probability: float, degrees: float) -> float:
    """Return Student's quantile; of infinitely many degrees it is the normal one."""
    return float(scipy.stats.t.ppf(probability, degrees))


def require_level(level: float) -> float:
    """Return `level` if it is between 0 and 1.

    Raises:
        ValueError: it is not.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level must lie between 0 and 1, not {level}")
    return level
