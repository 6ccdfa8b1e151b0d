"""Laws of the kernel distance: the definition by loops, unbiasedness, and torch-fidelity's numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.kernel import KidConvention, kid, kid_influence, squared_discrepancy
from evalkit.stats import jackknife_influence
from tests.evalkit.metrics.conftest import InceptionLike

Doubles = npt.NDArray[np.float64]


def _kernel(a: Doubles, b: Doubles) -> float:
    return (float(a @ b) / len(a) + 1) ** 3


def _by_loops(x: Doubles, y: Doubles) -> float:
    n, m = len(x), len(y)
    own = sum(_kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    theirs = sum(_kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own + theirs - 2 * sum(_kernel(a, b) for a in x for b in y) / (n * m)


def test_two_points_a_side_have_their_closed_form() -> None:
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert squared_discrepancy(x, y) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_all_samples_give_the_definition(n: int, m: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(n, 3)), random.normal(size=(m, 3)) + 1
    assert squared_discrepancy(x, y) == pytest.approx(_by_loops(x, y), rel=1e-10, abs=1e-10)


def test_tiles_do_not_show(inception_like: InceptionLike) -> None:
    x, y = inception_like(4500, 8).astype(np.float64), inception_like(2100, 8, seed=1).astype(np.float64)
    kernels = [(a @ b.T / 8 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    own, theirs = ((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in kernels[:2])
    assert squared_discrepancy(x, y) == pytest.approx(own + theirs - 2 * kernels[2].mean(), abs=1e-10)


def test_it_is_unbiased_around_zero_for_equal_distributions(inception_like: InceptionLike) -> None:
    values = [
        squared_discrepancy(inception_like(40, 16, seed=i), inception_like(30, 16, seed=1000 + i)) for i in range(300)
    ]
    assert min(values) < 0
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)


@pytest.mark.parametrize(("n", "m", "size"), [(64, 64, 64), (150, 120, 50), (700, 900, 40)])
def test_it_is_torch_fidelitys(n: int, m: int, size: int, inception_like: InceptionLike) -> None:
    from torch_fidelity.defaults import DEFAULTS
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = inception_like(n), inception_like(m, seed=1, shift=0.05)
    settings_there = {**DEFAULTS, "verbose": False, "kid_subset_size": size}
    theirs = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **settings_there)
    ours = kid(x, y, KidConvention("torch-fidelity", subset_size=size))
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-6)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], abs=1e-6)
    assert ours.subset_size == size


@pytest.mark.parametrize(("n", "m"), [(60, 60), (90, 60), (300, 1200)])
def test_it_is_clean_fids_once_that_is_seeded(
    n: int, m: int, inception_like: InceptionLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cleanfid.fid

    x, y = inception_like(n), inception_like(m, seed=1, shift=0.05)
    monkeypatch.setattr(
        np.random, "choice", np.random.RandomState(2020).choice
    )  # clean-fid draws from the global state
    theirs = cleanfid.fid.kernel_distance(x, y)
    ours = kid(x, y, KidConvention("clean-fid", first="reference", shrinks=True))
    assert ours.mean == pytest.approx(theirs, abs=1e-6)
    assert ours.subset_size == min(n, m)


def test_it_is_torchmetrics_where_a_subset_is_everything(inception_like: InceptionLike) -> None:
    from torchmetrics.image.kid import poly_mmd

    x, y = inception_like(70), inception_like(70, seed=1, shift=0.05)
    theirs = float(poly_mmd(torch.from_numpy(y), torch.from_numpy(x)))
    ours = kid(x, y, KidConvention("torchmetrics", subset_size=70, first="reference"))
    assert ours.mean == pytest.approx(theirs, abs=1e-6)
    assert ours.std == pytest.approx(0, abs=1e-9)


def test_too_few_samples_are_refused_and_never_taken_quietly(inception_like: InceptionLike) -> None:
    with pytest.raises(NotEnoughSamples, match="subsets of 1000 and one side has 20"):
        kid(inception_like(20), inception_like(2000), KidConvention("torch-fidelity"))
    with pytest.raises(NotEnoughSamples, match="one side has 1"):
        kid(inception_like(1), inception_like(30), KidConvention("clean-fid", shrinks=True))
    with pytest.raises(NotEnoughSamples, match="one side has 1"):
        squared_discrepancy(inception_like(5), inception_like(1))


def test_sides_of_different_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        squared_discrepancy(np.ones((5, 3)), np.ones((5, 4)))


def test_influence_is_that_of_leaving_out_one_by_one() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 6)), random.normal(size=(40, 6)) + 0.3
    found = kid_influence(x, y, KidConvention("all", subsets=3, subset_size=40))
    without = np.array([squared_discrepancy(np.delete(x, i, axis=0), y) for i in range(40)])
    np.testing.assert_allclose(found, jackknife_influence(without), atol=1e-10)


def test_influence_is_of_the_subsets_that_are_drawn() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(90, 4)), random.normal(size=(70, 4)) + 0.3
    convention = KidConvention("some", subsets=4, subset_size=10)
    found = kid_influence(x, y, convention)
    expected, generator = np.zeros(90), np.random.RandomState(convention.seed)
    for _ in range(4):  # the draws of torch-fidelity: first the generated, then the reference
        mine, theirs = generator.choice(90, 10, replace=False), generator.choice(70, 10, replace=False)
        without = [squared_discrepancy(np.delete(x[mine], i, axis=0), y[theirs]) for i in range(10)]
        expected[mine] += jackknife_influence(np.array(without)) * 90 / (10 * 4)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    moved, step = x.copy(), 1e-4
    undrawn = np.flatnonzero(found == 0)
    moved[undrawn] += step
    assert kid(moved, y, convention).mean == kid(x, y, convention).mean, "who is in no subset moves nothing"
    assert 20 < 90 - len(undrawn) <= 40


def test_influence_needs_three_samples_a_subset() -> None:
    with pytest.raises(NotEnoughSamples, match="one side has 2 samples"):
        kid_influence(np.zeros((2, 3)), np.ones((5, 3)), KidConvention("few", subset_size=2))
