"""Laws of paired differences: exact tests, agreement of methods, and what pairing gains."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import NotEnoughSamples
from evalkit.stats import independent_difference, paired_bootstrap, paired_difference


def own(n: int) -> list[str]:
    return [str(i) for i in range(n)]


@given(st.integers(0, 8), st.integers(0, 8))
def test_few_flips_have_mcnemars_exact_p(won: int, lost: int) -> None:
    steps = np.array([1.0] * won + [-1.0] * lost + [0.0] * 50)
    found = paired_difference(steps, own(len(steps)), span=1.0)
    exact = scipy.stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert found.p == pytest.approx(exact)
    assert (found.rise_p < found.fall_p) == (won > lost)


def test_many_samples_have_students_paired_test() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=200), random.normal(0.1, 1, size=200)
    found = paired_difference(b - a, own(200))
    theirs = scipy.stats.ttest_rel(b, a)
    assert found.p == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.rise_p == pytest.approx(scipy.stats.ttest_rel(b, a, alternative="greater").pvalue)


def test_swapping_the_models_turns_the_sign_and_nothing_else() -> None:
    steps = np.random.default_rng(0).normal(0.2, 1, size=60)
    one, other = paired_difference(steps, own(60)), paired_difference(-steps, own(60))
    assert one.difference == -other.difference
    assert (one.p, one.rise_p, one.fall_p) == pytest.approx((other.p, other.fall_p, other.rise_p))


def test_the_bootstrap_of_a_mean_agrees_with_the_clustered_error() -> None:
    random = np.random.default_rng(0)
    sums = random.normal(0.1, 1, size=(300, 1)).repeat(2, axis=1) + random.normal(size=(300, 2))
    clusters = [name for name in own(300) for _ in range(2)]
    formula = paired_difference(sums.ravel(), clusters)
    resampled = paired_bootstrap(lambda drawn: float(sums[drawn].mean()), 300, seed=1)
    assert resampled.standard_error == pytest.approx(formula.standard_error, rel=0.06)
    assert resampled.p == pytest.approx(formula.p, abs=0.02)


def test_no_flip_is_no_proof_of_no_difference() -> None:
    few, many = (paired_difference(np.zeros(n), own(n), span=1.0) for n in (20, 2000))
    assert few.p == many.p == 1
    assert few.interval.high > 0.1
    assert 0 < many.interval.high < 0.002


def test_the_same_shift_everywhere_is_certain() -> None:
    found = paired_difference(np.full(50, 0.25), own(50))
    assert found.p < 1e-12
    assert found.interval.low == found.interval.high == 0.25


def test_numbers_that_share_no_samples_have_the_normal_test() -> None:
    found = independent_difference(1.96, 1.0)
    assert found.p == pytest.approx(0.05, abs=1e-4)
    assert found.interval.low == pytest.approx(0, abs=1e-3)


def test_one_cluster_is_not_enough() -> None:
    with pytest.raises(NotEnoughSamples, match="not 1"):
        paired_difference(np.zeros(2), ["a", "a"])
    with pytest.raises(NotEnoughSamples, match="not 1"):
        paired_bootstrap(lambda drawn: 0.0, 1, 0)
