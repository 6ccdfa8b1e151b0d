"""The one-pass jackknife equals leaving out one by one, agrees with theory, and its interval covers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg

from evalkit import stats
from evalkit.errors import NotEnoughSamples
from evalkit.metrics.frechet import (
    Gaussian,
    frechet_distance_of_features,
    gaussian_distance,
    gaussian_of_features,
    moments,
)
from evalkit.metrics.jackknife import frechet_leave_one_out
from tests.evalkit.metrics.conftest import InceptionLike

Doubles = npt.NDArray[np.float64]


@pytest.mark.parametrize(
    ("n", "m", "dimension"),
    [(3, 50, 10), (30, 400, 60), (50, 300, 50), (51, 300, 50), (52, 300, 50), (90, 300, 20), (60, 10, 30), (12, 5, 40)],
)
def test_one_pass_equals_leaving_out_one_by_one(n: int, m: int, dimension: int, inception_like: InceptionLike) -> None:
    x, y = inception_like(n, dimension), inception_like(m, dimension, seed=1, shift=0.1)
    found = frechet_leave_one_out(x, gaussian_of_features(y))
    one_by_one = [frechet_distance_of_features(np.delete(x, i, axis=0), y) for i in range(n)]
    np.testing.assert_allclose(found, one_by_one, rtol=1e-7, atol=1e-7)


def test_samples_that_repeat_are_each_left_out_alone(inception_like: InceptionLike) -> None:
    x, y = inception_like(20, 30), inception_like(100, 30, seed=1)
    x = np.concatenate([x, x[:5]])
    found = frechet_leave_one_out(x, gaussian_of_features(y))
    one_by_one = [frechet_distance_of_features(np.delete(x, i, axis=0), y) for i in range(len(x))]
    np.testing.assert_allclose(found, one_by_one, rtol=1e-7, atol=1e-7)


def test_equal_samples_have_no_influence() -> None:
    reference = gaussian_of_features(np.random.default_rng(0).normal(size=(40, 4)))
    found = frechet_leave_one_out(np.ones((6, 4)), reference)
    assert np.ptp(found) < 1e-12


def test_two_are_not_enough_to_leave_one_out() -> None:
    with pytest.raises(NotEnoughSamples, match="not 2"):
        frechet_leave_one_out(np.ones((2, 4)), gaussian_of_features(np.eye(4)))


def test_features_that_are_not_finite_are_refused() -> None:
    features = np.ones((9, 4))
    features[2, 1] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        frechet_leave_one_out(features, gaussian_of_features(np.eye(4)))


def _first_order(x: Doubles, reference: Gaussian) -> Doubles:
    """The influence function of the plug-in distance, by the optimal transport map from the generated Gaussian."""
    fitted = moments(x)
    root = np.real(scipy.linalg.sqrtm(fitted.covariance))
    inverse = np.linalg.inv(root)
    middle = np.real(scipy.linalg.sqrtm(root @ reference.factor @ reference.factor.T @ root))
    slack = np.eye(len(root)) - inverse @ middle @ inverse
    away = x - fitted.mean
    quadratic = np.einsum("ij,jk,ik->i", away, slack, away)
    return np.asarray(2 * away @ (fitted.mean - reference.mean) + quadratic - np.trace(slack @ fitted.covariance))


def test_first_order_theory_is_the_derivative_of_the_distance(inception_like: InceptionLike) -> None:
    x = inception_like(400, 6).astype(np.float64)
    reference = gaussian_of_features(inception_like(5000, 6, seed=1, shift=0.2))
    weights = np.full(400, 1 / 400)
    step = 1e-6
    tilted = (1 - step) * weights
    tilted[7] += step

    def distance(shares: Doubles) -> float:
        mean = shares @ x
        factor = ((x - mean) * np.sqrt(shares * 400 / 399)[:, None]).T
        return gaussian_distance(Gaussian(400, mean, factor), reference)

    slope = (distance(tilted) - distance(weights)) / step
    assert slope == pytest.approx(_first_order(x, reference)[7], rel=1e-2)


def test_it_agrees_with_first_order_theory_where_samples_are_many(inception_like: InceptionLike) -> None:
    x = inception_like(4000, 12).astype(np.float64)
    reference = gaussian_of_features(inception_like(5000, 12, seed=1, shift=0.1))
    theory = _first_order(x, reference)
    influence = stats.jackknife_influence(frechet_leave_one_out(x, reference))
    assert np.corrcoef(theory, influence)[0, 1] > 0.9998
    assert np.std(influence) == pytest.approx(np.std(theory), rel=0.01)


def _bootstrap(x: npt.NDArray[np.float32], reference: Gaussian, replicates: int) -> Doubles:
    random = np.random.default_rng(5)
    draws = (x[random.integers(0, len(x), len(x))] for _ in range(replicates))
    return np.array([gaussian_distance(gaussian_of_features(draw), reference) for draw in draws])


def test_it_agrees_with_the_bootstrap_where_samples_are_many(inception_like: InceptionLike) -> None:
    x = inception_like(3000, 8)
    reference = gaussian_of_features(inception_like(5000, 8, seed=1, shift=0.1))
    error = stats.jackknife_standard_error(frechet_leave_one_out(x, reference))
    assert np.std(_bootstrap(x, reference, 600)) == pytest.approx(error, rel=0.1)


def test_the_bootstrap_is_of_no_use_where_samples_are_few(inception_like: InceptionLike) -> None:
    x = inception_like(60, 60, decay=0.1)
    reference = gaussian_of_features(inception_like(5000, 60, seed=1, decay=0.1))
    value = gaussian_distance(gaussian_of_features(x), reference)
    replicates = _bootstrap(x, reference, 100)
    assert replicates.min() > value
    assert replicates.std() > 1.5 * stats.jackknife_standard_error(frechet_leave_one_out(x, reference))


CASES = [(200, 8, 0.5), (300, 20, 1.0), (100, 80, 1.0), (100, 100, 1.0), (60, 300, 0.5)]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "dimension", "decay"), CASES)
def test_the_interval_covers_what_other_draws_give(n: int, dimension: int, decay: float) -> None:
    random = np.random.default_rng(0)
    deviations = np.arange(1, dimension + 1) ** (-decay / 2)
    reference = Gaussian(10**9, np.zeros(dimension), np.diag(deviations))
    values, intervals = [], []
    for _ in range(500):
        x = (random.normal(size=(n, dimension)) * np.sqrt(1.3) + 0.2) * deviations
        values.append(gaussian_distance(gaussian_of_features(x), reference))
        intervals.append(stats.jackknife_interval(values[-1], frechet_leave_one_out(x, reference)))
    expected = np.mean(values)
    coverage = np.mean([interval.low <= expected <= interval.high for interval in intervals])
    assert 0.92 <= coverage <= 0.98
