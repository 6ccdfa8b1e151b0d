"""Laws of intervals: closed forms, scipy, and that they cover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import NotEnoughSamples
from evalkit.stats import (
    bca_bootstrap,
    clustered_standard_error,
    jackknife_influence,
    jackknife_interval,
    jackknife_standard_error,
    mean_interval,
    percentile_bootstrap,
)
from evalkit.types import Interval

Doubles = npt.NDArray[np.float64]
VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


def _own(values: Doubles | list[float]) -> list[str]:
    return [str(i) for i in range(len(values))]


def _without_each(values: Doubles) -> Doubles:
    return np.array([np.delete(values, i).mean() for i in range(len(values))])


@given(VALUES)
def test_single_clusters_give_the_usual_standard_error(values: list[float]) -> None:
    assert clustered_standard_error(values, _own(values)) == pytest.approx(scipy.stats.sem(values), abs=1e-9)


@given(VALUES, st.integers(2, 5))
def test_copies_within_a_cluster_add_no_certainty(values: list[float], copies: int) -> None:
    clusters = [name for name in _own(values) for _ in range(copies)]
    repeated = np.repeat(values, copies)
    alone = clustered_standard_error(values, _own(values))
    assert clustered_standard_error(repeated, clusters) == pytest.approx(alone, abs=1e-9)


def test_the_order_of_samples_does_not_matter() -> None:
    values, clusters = [1.0, 5.0, 2.0, 8.0], ["a", "b", "a", "c"]
    swapped = clustered_standard_error(values[::-1], clusters[::-1])
    assert clustered_standard_error(values, clusters) == pytest.approx(swapped)


def test_a_mean_of_single_clusters_has_students_interval() -> None:
    values = np.random.default_rng(0).normal(size=12)
    interval = mean_interval(values, _own(values))
    low, high = scipy.stats.t.interval(0.95, 11, values.mean(), scipy.stats.sem(values))
    assert [interval.low, interval.high, interval.level] == pytest.approx([low, high, 0.95])


@given(VALUES)
def test_the_jackknife_of_a_mean_is_the_standard_error(values: list[float]) -> None:
    without = _without_each(np.array(values))
    assert jackknife_standard_error(without) == pytest.approx(scipy.stats.sem(values), abs=1e-9)
    influence = jackknife_influence(without)
    np.testing.assert_allclose(influence, np.array(values) - np.mean(values), atol=1e-9)


def test_the_jackknife_of_a_mean_has_students_interval() -> None:
    values = np.random.default_rng(0).normal(size=12)
    interval = jackknife_interval(float(values.mean()), _without_each(values), 0.9)
    expected = mean_interval(values, _own(values), 0.9)
    assert [interval.low, interval.high] == pytest.approx([expected.low, expected.high])


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bca_is_scipys(level: float) -> None:
    values = np.random.default_rng(0).exponential(size=40)
    ours = bca_bootstrap(lambda i: float(values[i].mean()), 40, seed=1, replicates=4000, level=level)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=4000, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.04)


def test_bca_corrects_a_biased_statistic_as_scipy_does() -> None:
    values = np.random.default_rng(0).normal(size=25)
    ours = bca_bootstrap(lambda i: float(values[i].std()), 25, seed=1, replicates=4000)
    theirs = scipy.stats.bootstrap(
        (values,), np.std, n_resamples=4000, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    plain = percentile_bootstrap(lambda i: float(values[i].std()), 25, seed=1, replicates=4000)
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)
    assert ours.high - plain.high > 0.06


def test_percentiles_are_scipys() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    ours = percentile_bootstrap(lambda i: float(values[i].mean()), 40, seed=1, replicates=4000)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.04)


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    values = np.random.default_rng(0).normal(size=30)

    def interval(seed: int) -> Interval:
        return bca_bootstrap(lambda i: float(values[i].mean()), 30, seed)

    assert interval(3) == interval(3)
    assert interval(3).low != interval(4).low


@pytest.mark.parametrize("make", [percentile_bootstrap, bca_bootstrap])
def test_a_constant_has_a_point_for_an_interval(make: object) -> None:
    assert callable(make)
    interval = make(lambda i: 2.5, 10, 0)
    assert (interval.low, interval.high) == (2.5, 2.5)


@pytest.mark.slow
def test_intervals_cover_at_their_level() -> None:
    random = np.random.default_rng(0)
    covered = np.zeros((600, 3), bool)
    clusters = [str(i // 3) for i in range(120)]
    for row in covered:
        means = np.repeat(random.normal(size=40), 3)
        clustered = mean_interval(means + random.normal(size=120), clusters)
        skewed = random.gamma(4, 0.25, size=80)
        bca = bca_bootstrap(lambda i, v=skewed: float(v[i].mean()), 80, seed=0, replicates=400)  # type: ignore[misc]
        jackknife = jackknife_interval(float(skewed.mean()), _without_each(skewed))
        row[:] = [clustered.low <= 0 <= clustered.high, *(i.low <= 1 <= i.high for i in (bca, jackknife))]
    assert (covered.mean(axis=0) >= 0.92).all()
    assert (covered.mean(axis=0) <= 0.98).all()


def test_one_cluster_or_sample_is_not_enough() -> None:
    with pytest.raises(NotEnoughSamples, match="at least 2 clusters, not 1"):
        clustered_standard_error([1.0, 2.0], ["a", "a"])
    with pytest.raises(NotEnoughSamples, match="not 1"):
        jackknife_standard_error(np.ones(1))
    with pytest.raises(NotEnoughSamples, match="not 1"):
        percentile_bootstrap(lambda i: 0.0, 1, 0)


def test_a_value_without_a_cluster_is_refused() -> None:
    with pytest.raises(ValueError, match="3 values and 2 clusters"):
        mean_interval([1.0, 2.0, 3.0], ["a", "b"])


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_an_impossible_level_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        jackknife_interval(0.0, np.arange(5.0), level)
