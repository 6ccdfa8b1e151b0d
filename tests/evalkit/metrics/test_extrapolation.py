"""Laws of FID-infinity: the sizes, the line, and that it finds the true distance where the bias is linear in 1 / n."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.extrapolation import extrapolation, sizes
from evalkit.metrics.frechet import Gaussian, gaussian_distance, gaussian_of_features


def _exact_reference(dimension: int) -> Gaussian:
    return Gaussian(10**9, np.zeros(dimension), np.eye(dimension))


def test_it_finds_the_true_distance_that_the_plug_in_overstates() -> None:
    # N(0.1, 1.44 I) against N(0, I) in 30 dimensions: 30 (0.01 + 0.2²).
    random = np.random.default_rng(0)
    samples = [random.normal(size=(2000, 30)) * 1.2 + 0.1 for _ in range(20)]
    reference = _exact_reference(30)
    found = [extrapolation(x, reference) for x in samples]
    values = np.array([fit.value for fit in found])
    plug_in = np.array([gaussian_distance(gaussian_of_features(x), reference) for x in samples])
    assert abs(values.mean() - 1.5) < 3 * values.std() / np.sqrt(20)
    assert plug_in.mean() - 1.5 > 6 * plug_in.std() / np.sqrt(20)
    assert all(fit.slope > 0 for fit in found)


def test_the_last_point_is_the_distance_of_all() -> None:
    x = np.random.default_rng(0).normal(size=(100, 5))
    reference = _exact_reference(5)
    found = extrapolation(x, reference)
    assert found.sizes[-1] == 100
    assert found.distances[-1] == pytest.approx(gaussian_distance(gaussian_of_features(x), reference))


def test_the_line_is_numpys() -> None:
    x = np.random.default_rng(0).normal(size=(300, 5))
    found = extrapolation(x, _exact_reference(5))
    (slope, value), covariance = np.polyfit(1 / np.array(found.sizes), found.distances, 1, cov=True)
    assert found.value == pytest.approx(value)
    assert found.slope == pytest.approx(slope)
    assert found.standard_error == pytest.approx(np.sqrt(covariance[1, 1]))
    assert found.at(50) == pytest.approx(value + slope / 50)


def test_equal_input_gives_equal_bits() -> None:
    x = np.random.default_rng(0).normal(size=(60, 80))
    assert extrapolation(x, _exact_reference(80)) == extrapolation(x.copy(), _exact_reference(80))


@pytest.mark.parametrize(("n", "first"), [(30, 15), (200, 100), (9999, 4999), (10_000, 5000), (30_000, 5000)])
def test_sizes_start_where_the_bias_is_nearly_linear(n: int, first: int) -> None:
    found = sizes(n)
    assert (len(found), found[0], found[-1]) == (15, first, n)
    assert len(set(found)) == 15


def test_too_few_samples_for_a_line_are_not_enough() -> None:
    with pytest.raises(NotEnoughSamples, match="at least 30 samples, not 29"):
        sizes(29)
