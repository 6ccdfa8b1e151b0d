"""How small a difference a comparison can see, and how many clusters a smaller one needs."""

from __future__ import annotations

import math

from evalkit.stats.student import require_level, student_quantile


def minimum_detectable(error: float, degrees: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the true difference that a two-sided test at `alpha` finds with probability `power`.

    (t of 1 - α/2 + t of power) times the standard `error` of the difference.

    >>> round(minimum_detectable(1.0, math.inf), 3)
    2.802

    Raises:
        ValueError: `alpha` or `power` is not between 0 and 1.

    Source: Bloom 1995, Evaluation Review 19(5).
    """
    reach = student_quantile(1 - require_level(alpha) / 2, degrees) + student_quantile(require_level(power), degrees)
    return reach * error


def clusters_needed(clusters: int, detectable: float, effect: float) -> int:
    """Return with how many clusters `effect` is seen, when `detectable` is the least that is seen with `clusters`.

    The standard error falls with the root of their number.

    >>> clusters_needed(500, 0.02, 0.01)
    2000

    Raises:
        ValueError: `effect` is not positive.
    """
    if not effect > 0:
        raise ValueError(f"an effect must be above 0, not {effect}")
    return max(2, math.ceil(clusters * (detectable / effect) ** 2 * (1 - 1e-12)))
