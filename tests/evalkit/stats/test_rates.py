"""Laws of rates' intervals: published values, the bounds, and what clusters cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import NotEnoughSamples
from evalkit.stats import rate_interval, wilson_interval


def own(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def test_wilson_gives_the_published_values() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3: 81/263, 15/148, 0/20, 1/29.
    for hits, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson_interval(hits / n, n)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_the_interval_stays_within_0_and_1_and_holds_the_rate(values: list[float]) -> None:
    rate = min(float(np.mean(values)), 1.0)
    found = rate_interval(rate, values, own(len(values)))
    assert 0 <= found.low <= rate + 1e-12
    assert rate - 1e-12 <= found.high <= 1


def test_a_perfect_score_of_many_is_surer_than_of_few() -> None:
    many, few = rate_interval(1.0, np.ones(500), own(500)), rate_interval(1.0, np.ones(20), own(20))
    assert many.high == few.high == 1
    assert 1 > many.low > few.low > 0.7


def test_a_perfect_score_is_as_sure_as_its_clusters_are_many() -> None:
    copied = rate_interval(1.0, np.ones(60), [name for name in own(20) for _ in range(3)])
    assert copied.low == rate_interval(1.0, np.ones(20), own(20)).low


def test_copies_within_a_cluster_add_no_certainty() -> None:
    values = np.array([1.0] * 30 + [0.0] * 10)
    alone = rate_interval(0.75, values, own(40))
    copied = rate_interval(0.75, np.repeat(values, 3), [name for name in own(40) for _ in range(3)])
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


def test_scores_between_0_and_1_are_surer_than_answers_that_are_right_or_wrong() -> None:
    graded = rate_interval(0.5, np.tile([0.4, 0.6], 50), own(100))
    right_or_wrong = rate_interval(0.5, np.tile([0.0, 1.0], 50), own(100))
    assert graded.high - graded.low < 0.3 * (right_or_wrong.high - right_or_wrong.low)


def test_what_is_no_rate_or_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        wilson_interval(1.5, 10)
    with pytest.raises(NotEnoughSamples, match="at least 2 clusters, not 1"):
        rate_interval(0.5, [0.0, 1.0], ["a", "a"])
