"""Laws of Holm, power, tiers and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import NotEnoughSamples
from evalkit.stats import (
    clusters_needed,
    holm,
    minimum_detectable,
    paired_difference,
    standings,
    variance_components,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def own(n: int) -> list[str]:
    return [str(i) for i in range(n)]


@given(P_VALUES)
def test_holm_is_between_the_plain_p_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)


def test_holm_keeps_the_family_at_its_level() -> None:
    random = np.random.default_rng(0)
    false_alarms = sum(min(holm(random.random(10).tolist())) < 0.05 for _ in range(4000))
    assert false_alarms / 4000 == pytest.approx(0.05, abs=0.012)


def test_what_is_said_to_be_detectable_is_detected_four_times_in_five() -> None:
    random = np.random.default_rng(0)
    effect = minimum_detectable(1 / np.sqrt(80), 79)
    found = [paired_difference(random.normal(effect, 1, 80), own(80)).p < 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_half_the_effect_needs_four_times_the_samples() -> None:
    assert clusters_needed(500, 0.02, 0.01) == 2000
    assert clusters_needed(500, 0.02, 0.02) == 500
    with pytest.raises(ValueError, match="above 0"):
        clusters_needed(500, 0.02, 0)


def test_a_tier_holds_what_cannot_be_told_apart() -> None:
    # a ~ b, b ~ c, a > c, and d is below all.
    p = {(0, 1): 0.5, (1, 2): 0.5, (0, 2): 0.001, (0, 3): 0.001, (1, 3): 0.001, (2, 3): 0.001}
    found = standings([4.0, 3.5, 3.0, 1.0], lambda i, j: p[i, j], higher_is_better=True)
    assert [one.tier for one in found] == [1, 1, 2, 3]
    assert [(one.best_rank, one.worst_rank) for one in found] == [(1, 2), (1, 3), (2, 3), (4, 4)]


def test_where_lower_is_better_the_lowest_leads() -> None:
    found = standings([9.0, 2.0], lambda i, j: 0.001, higher_is_better=False)
    assert [one.tier for one in found] == [2, 1]


def test_seeds_and_items_are_told_apart() -> None:
    random = np.random.default_rng(0)
    n, repeats = 4000, 3
    scores = random.normal(0, 2, (n, 1)) + random.normal(0, 1, (n, repeats))
    found = variance_components(scores, own(n))
    assert found.item_error == pytest.approx(2 / np.sqrt(n), rel=0.05)
    assert found.seed_error == pytest.approx(1 / np.sqrt(n * repeats), rel=0.05)
    assert found.seed_deviation == pytest.approx(1 / np.sqrt(n), rel=0.05)
    assert found.standard_error == pytest.approx(np.hypot(found.item_error, found.seed_error))


def test_answers_that_do_not_depend_on_the_seed_have_no_seed_error() -> None:
    scores = np.repeat(np.random.default_rng(0).normal(size=(50, 1)), 4, axis=1)
    found = variance_components(scores, own(50))
    assert found.seed_error == 0
    assert found.item_error == found.standard_error > 0


def test_one_repeat_tells_nothing_of_seeds() -> None:
    with pytest.raises(NotEnoughSamples, match="at least 2 repeats"):
        variance_components(np.zeros((5, 1)), own(5))
