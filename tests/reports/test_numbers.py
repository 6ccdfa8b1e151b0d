from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.results import Coverage
from evalkit.types import Estimate, Interval
from evalkit_reports import numbers


def estimate(value: float, half: float | None = None) -> Estimate:
    interval = None if half is None else Interval(value - half, value + half, 0.95, "bootstrap")
    return Estimate(value, 10, "", False, "0" * 64, interval)


@pytest.mark.parametrize(
    ("value", "half", "text", "bounds"),
    [
        (110.28082617, 2.14, "110.3", "108.1 to 112.4"),
        (23.4567, 0.0412, "23.457", "23.416 to 23.498"),
        (0.0012345, 0.00025, "0.00123", "0.00098 to 0.00148"),
        (12345.6, 321.0, "12,346", "12,025 to 12,667"),
        (-0.5, 0.25, "−0.50", "−0.75 to −0.25"),
        (3.0, 0.0996, "3.00", "2.90 to 3.10"),
        (7.0, 0.0, "7.000", "7.000 to 7.000"),
        (1.234e-7, 1e-9, "1.23e-07", "1.22e-07 to 1.24e-07"),
    ],
)
def test_an_intervals_half_width_decides_the_digits(value: float, half: float, text: str, bounds: str) -> None:
    assert numbers.value_text(estimate(value, half)) == text
    assert numbers.interval_text(estimate(value, half)) == bounds


@pytest.mark.parametrize(
    ("value", "text"),
    [(110.28082617, "110.3"), (0.73125, "0.7312"), (0.0, "0"), (99999.0, "99,999"), (9.99996, "10.00")],
)
def test_without_an_interval_a_value_has_four_significant_digits(value: float, text: str) -> None:
    assert numbers.value_text(estimate(value)) == text
    assert numbers.interval_text(estimate(value)) == ""


@pytest.mark.parametrize(("value", "text"), [(math.nan, "not a number"), (math.inf, "∞"), (-math.inf, "−∞")])
def test_what_is_no_number_is_said_in_words(value: float, text: str) -> None:
    assert numbers.value_text(estimate(value)) == text
    assert numbers.score_text(value) == text


@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(1e-5, 1e5, allow_nan=False),
)
def test_rounding_never_moves_a_bound_by_a_tenth_of_the_half_width(value: float, half: float) -> None:
    shown = numbers.interval_text(estimate(value, half))
    bounds = [float(text.replace("−", "-").replace(",", "")) for text in shown.split(" to ")]
    slack = 0.051 * half + 1e-9 * abs(value) + 1e-9
    if not re.search("e[-+]", shown):
        assert abs(bounds[0] - (value - half)) <= slack
        assert abs(bounds[1] - (value + half)) <= slack


def test_coverage_says_all_that_stands_between_asked_and_answered() -> None:
    assert numbers.coverage_text(Coverage(500, 500, 0, 120)) == "500 of 500 answered, 120 from cache"
    assert (
        numbers.coverage_text(Coverage(30000, 29000, 10, 0))
        == "29,000 of 30,000 answered, 10 failed, 990 not reached, 0 from cache"
    )


def test_arrows_point_to_better() -> None:
    assert [numbers.arrow(way) for way in (True, False, None)] == ["↑", "↓", ""]
    assert numbers.direction_text(None) == "describes only"
