"""Laws of the Fréchet distance: closed forms, invariances, scipy's root, and the tools' own functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.frechet import (
    Moments,
    frechet_distance,
    frechet_distance_of_features,
    gaussian,
    gaussian_of_features,
    moments,
)
from tests.evalkit.metrics.conftest import InceptionLike

Doubles = npt.NDArray[np.float64]


def _gaussian_moments(mean: Doubles, covariance: Doubles, n: int = 101) -> Moments:
    return Moments(n, mean, covariance * (n - 1))


def _by_sqrtm(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> float:
    means = x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64)
    first, second = (np.cov(side.astype(np.float64), rowvar=False) for side in (x, y))
    root = scipy.linalg.sqrtm(first @ second)
    return float(means @ means + np.trace(first) + np.trace(second) - 2 * np.trace(root).real)


def test_commuting_gaussians_have_their_closed_form() -> None:
    deviations_a, deviations_b = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.25, 0.5])
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    a = _gaussian_moments(np.zeros(3), rotation @ np.diag(deviations_a**2) @ rotation.T)
    b = _gaussian_moments(np.array([1.0, 2.0, 3.0]), rotation @ np.diag(deviations_b**2) @ rotation.T)
    assert frechet_distance(a, b) == pytest.approx(14 + np.square(deviations_a - deviations_b).sum(), abs=1e-12)


def test_one_gaussian_without_spread_leaves_the_other_s_variance() -> None:
    a = _gaussian_moments(np.zeros(4), np.zeros((4, 4)))
    b = _gaussian_moments(np.ones(4), np.diag([1.0, 2.0, 3.0, 4.0]))
    assert frechet_distance(a, b) == pytest.approx(4 + 10, abs=1e-12)


def test_two_points_on_a_line_have_their_closed_form() -> None:
    x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])
    assert frechet_distance_of_features(x, y) == pytest.approx(4 + (np.sqrt(2) - np.sqrt(8)) ** 2, abs=1e-12)


@pytest.mark.parametrize("n", [5, 40, 200])
def test_equal_features_are_at_distance_zero(n: int, inception_like: InceptionLike) -> None:
    x = inception_like(n, 40)
    assert frechet_distance_of_features(x, x) == pytest.approx(0, abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.1, 100))
def test_it_is_symmetric_moves_and_turns_with_the_features_and_scales_with_their_square(
    n: int, m: int, dimension: int, seed: int, scale: float
) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(n, dimension)), random.normal(size=(m, dimension)) * 2 + 1
    rotation = np.linalg.qr(random.normal(size=(dimension, dimension)))[0]
    value = frechet_distance_of_features(x, y)
    close = pytest.approx(value, rel=1e-7, abs=1e-7)
    assert value >= 0
    assert frechet_distance_of_features(y, x) == close
    assert frechet_distance_of_features(x @ rotation + 3, y @ rotation + 3) == close
    assert frechet_distance_of_features(x * scale, y * scale) / scale**2 == close


@pytest.mark.parametrize("decay", [0.1, 0.8, 2.0])
@pytest.mark.parametrize(("n", "m"), [(2000, 1500), (300, 270)])
def test_it_equals_scipys_root(n: int, m: int, decay: float, inception_like: InceptionLike) -> None:
    x, y = inception_like(n, decay=decay), inception_like(m, seed=1, shift=0.05, decay=decay)
    value = frechet_distance(moments(x), moments(y))
    assert value > 0.01
    assert value == pytest.approx(_by_sqrtm(x, y), abs=1e-6)


@pytest.mark.slow
def test_it_equals_scipys_root_at_inceptions_size(inception_like: InceptionLike) -> None:
    x, y = inception_like(5000, 2048), inception_like(4000, 2048, seed=1, shift=0.05)
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(_by_sqrtm(x, y), abs=1e-6)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (20, 50), (256, 256), (257, 40), (40, 900), (900, 40)])
def test_gram_form_and_moments_agree(n: int, m: int, inception_like: InceptionLike) -> None:
    x, y = inception_like(n), inception_like(m, seed=1, shift=0.1)
    features = frechet_distance_of_features(x, y)
    assert features == pytest.approx(frechet_distance(moments(x), moments(y)), rel=1e-6)
    assert features == pytest.approx(_exact_below_rank(x, y), rel=1e-11)


def _exact_below_rank(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> float:
    """From the singular values of the centred cross products, by numpy alone."""
    first, second = x.astype(np.float64), y.astype(np.float64)
    gap = first.mean(axis=0) - second.mean(axis=0)
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    first, second = first / np.sqrt(len(x) - 1), second / np.sqrt(len(y) - 1)
    root = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(gap @ gap + np.square(first).sum() + np.square(second).sum() - 2 * root)


@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")  # in the tools
@pytest.mark.parametrize(("n", "m"), [(900, 800), (100, 60)])
def test_it_is_within_a_thousandth_of_every_tool(n: int, m: int, inception_like: InceptionLike) -> None:
    from cleanfid.fid import frechet_distance as clean_fid
    from pytorch_fid.fid_score import calculate_frechet_distance as pytorch_fid
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    x, y = inception_like(n, 128), inception_like(m, 128, seed=1, shift=0.05)
    value = frechet_distance_of_features(x, y)
    statistics = [fid_features_to_statistics(torch.from_numpy(side)) for side in (x, y)]
    flat = [statistics[0]["mu"], statistics[0]["sigma"], statistics[1]["mu"], statistics[1]["sigma"]]
    fidelity = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert value == pytest.approx(fidelity, abs=1e-3)
    assert value == pytest.approx(float(_compute_fid(*(torch.from_numpy(part).double() for part in flat))), abs=1e-3)
    assert value == pytest.approx(float(np.real(pytorch_fid(*flat))), abs=1e-3)
    assert value == pytest.approx(float(np.real(clean_fid(*flat))), abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_moments_merge_to_those_of_all(lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = [random.normal(size=(length, 3)) * 10 + 5 for length in lengths]
    everything = np.concatenate(parts)
    merged = moments(parts[0])
    for part in parts[1:]:
        merged = merged.merge(moments(part))
    assert merged.n == len(everything)
    if merged.n > 1:
        np.testing.assert_allclose(merged.mean, everything.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(merged.covariance, np.cov(everything, rowvar=False), rtol=1e-10, atol=1e-10)


def test_chunks_do_not_show(inception_like: InceptionLike) -> None:
    x = inception_like(9000, 20)
    np.testing.assert_allclose(moments(x).covariance, np.cov(x.astype(np.float64), rowvar=False), rtol=1e-11)


def test_a_large_common_offset_costs_no_digits(inception_like: InceptionLike) -> None:
    x, y = inception_like(500, 20).astype(np.float64), inception_like(400, 20, seed=1).astype(np.float64)
    shifted = frechet_distance(moments(x + 1e6), moments(y + 1e6))
    assert shifted == pytest.approx(frechet_distance(moments(x), moments(y)), rel=1e-7)


def test_single_precision_features_are_summed_in_double(inception_like: InceptionLike) -> None:
    x = inception_like(4000, 8)
    np.testing.assert_array_equal(moments(x).scatter, moments(x.astype(np.float64)).scatter)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_are_not_enough(n: int) -> None:
    with pytest.raises(NotEnoughSamples, match=f"not {n}"):
        frechet_distance_of_features(np.zeros((n, 3)), np.zeros((5, 3)))
    with pytest.raises(NotEnoughSamples, match=f"not {n}"):
        gaussian(moments(np.zeros((n, 3))))


def test_sides_of_different_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        frechet_distance_of_features(np.ones((5, 3)), np.ones((5, 4)))


@pytest.mark.parametrize("n", [3, 30])
def test_features_that_are_not_finite_are_refused(n: int) -> None:
    features = np.ones((n, 8))
    features[1, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        gaussian_of_features(features)
