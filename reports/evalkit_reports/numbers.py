"""How numbers are written: the one place that decides digits, units, intervals and arrows.

An interval decides how many digits its estimate deserves: its half width is shown to two significant digits, and value
and bounds stop at the same place. Without an interval a value has four significant digits.
"""

from __future__ import annotations

import math

from evalkit.results import Coverage
from evalkit.types import Estimate, Interval

DIGITS_WITHOUT_INTERVAL = 4
MOST_DECIMALS = 6
"""A value that needs more decimals than these is written with a power of ten."""


def value_text(estimate: Estimate) -> str:
    """Return the value alone: `110.28`, `1.30e-07`, `not a number`."""
    return _fixed(estimate.value, _decimals(estimate))


def interval_text(estimate: Estimate) -> str:
    """Return the interval's bounds with as many decimals as the value, `108.1 to 112.4`; empty where there is none."""
    if estimate.interval is None:
        return ""
    decimals = _decimals(estimate)
    return f"{_fixed(estimate.interval.low, decimals)} to {_fixed(estimate.interval.high, decimals)}"


def level_text(interval: Interval) -> str:
    """Return how sure the interval is and how it was made: `95 %, bootstrap`."""
    return f"{interval.level * 100:.6g} %, {interval.method}" if interval.method else f"{interval.level * 100:.6g} %"


def unit_text(unit: str) -> str:
    """Return the unit for a table's head; empty for a bare number."""
    return "" if unit in {"", "1"} else unit


def arrow(higher_is_better: bool | None) -> str:
    """Return the arrow that points to better: `↑`, `↓`, or nothing where neither is."""
    return {True: "↑", False: "↓", None: ""}[higher_is_better]


def direction_text(higher_is_better: bool | None) -> str:
    """Return the arrow's meaning in words."""
    return {True: "higher is better", False: "lower is better", None: "describes only"}[higher_is_better]


def like(value: float, interval: Interval | None) -> str:
    """Return a value with as many decimals as the interval that stands beside it deserves."""
    half = 0.0 if interval is None else (interval.high - interval.low) / 2
    return _fixed(value, _places(half, 2) if half > 0 else _places(value, DIGITS_WITHOUT_INTERVAL))


def signed(difference: float, interval: Interval | None) -> str:
    """Return a difference with its sign: `+1.3`, `−0.20`."""
    return f"+{like(difference, interval)}" if difference > 0 else like(difference, interval)


def p_text(p: float | None) -> str:
    """Return a probability of chance: `0.013`, `< 0.001`; empty where there is none.

    >>> p_text(0.01314), p_text(0.00002), p_text(1.0)
    ('0.013', '< 0.001', '1.00')
    """
    if p is None or not math.isfinite(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def count_text(count: int) -> str:
    """Return a count with its thousands apart: `30,000`."""
    return f"{count:,}"


def score_text(score: float) -> str:
    """Return one sample's score: whole numbers bare, others with three significant digits."""
    return count_text(int(score)) if math.isfinite(score) and score == int(score) else _fixed(score, _places(score, 3))


def coverage_text(coverage: Coverage) -> str:
    """Return how much of what was asked the numbers stand on: `498 of 500 answered, 2 failed, 120 from cache`."""
    return ", ".join([answered_text(coverage), *trouble_texts(coverage), cache_text(coverage)])


def answered_text(coverage: Coverage) -> str:
    """Return how many of the samples that were asked have an answer: `498 of 500 answered`."""
    return f"{count_text(coverage.answered)} of {count_text(coverage.asked)} answered"


def trouble_texts(coverage: Coverage) -> list[str]:
    """Return what stands between asked and answered: `2 failed`, `10 not reached`; empty for a whole run."""
    missing = coverage.asked - coverage.answered - coverage.failed
    found = [(coverage.failed, "failed"), (missing, "not reached")]
    return [f"{count_text(count)} {what}" for count, what in found if count > 0]


def cache_text(coverage: Coverage) -> str:
    """Return how many answers were not asked anew: `120 from cache`."""
    return f"{count_text(coverage.from_cache)} from cache"


def _decimals(estimate: Estimate) -> int:
    if estimate.interval is None:
        return _places(estimate.value, DIGITS_WITHOUT_INTERVAL)
    half = (estimate.interval.high - estimate.interval.low) / 2
    return _places(half, 2) if half > 0 else _places(estimate.value, DIGITS_WITHOUT_INTERVAL)


def _places(size: float, digits: int) -> int:
    """Return how many decimals show `size` to so many significant digits; never fewer than 0."""
    if not math.isfinite(size) or size == 0:
        return 0
    exponent = int(f"{abs(size):.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent)


def _fixed(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:,.{decimals}f}" if decimals <= MOST_DECIMALS else f"{value:.2e}"
    return text.replace("-", "−", 1) if text.startswith("-") else text
