"""Laws of precision, recall, density and coverage: points on a line, torch-fidelity, and the definition by loops."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import NotEnoughSamples
from evalkit.metrics import manifold as module
from evalkit.metrics.manifold import Manifold, manifold, overlap, radii
from tests.evalkit.metrics.conftest import InceptionLike

Doubles = npt.NDArray[np.float64]


def _line(*points: float) -> Doubles:
    return np.array(points)[:, None]


def test_points_on_a_line_have_their_closed_form() -> None:
    # Balls of the reference 0..5: radius to the 3rd neighbour 3 2 2 2 2 3 (<=), to the 5th 5 4 3 3 4 5 (<).
    # Balls of the generated set: each point's 3rd neighbour is 90 or more away, except that 8 reaches 98, 99 and 100.
    reference, generated = _line(0, 1, 2, 3, 4, 5), _line(8, 98, 99, 100)
    found = manifold(generated, reference)
    assert found.precision == 1 / 4, "8 lies on the surface of the ball of 5"
    assert found.recall == 1, "8's ball reaches 92"
    assert found.density == pytest.approx(1 / 5 / 4), "8 is within 5 of 5 but not within 4 of 4"
    assert found.coverage == 1 / 6


def test_a_ball_of_precision_holds_its_surface_and_one_of_density_does_not() -> None:
    reference = _line(0, 1, 2, 3, 4, 5)
    surface = manifold(_line(10, 10, 10, 10), reference)
    assert (surface.density, surface.coverage) == (0, 0)
    assert manifold(_line(8, 8, 8, 8), reference).precision == 1
    assert manifold(_line(8.01, 8.01, 8.01, 8.01), reference).precision == 0


def test_equal_sets_overlap_wholly(inception_like: InceptionLike) -> None:
    x = inception_like(50)
    found = manifold(x, x)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density > 0.9


def test_sets_far_apart_do_not_overlap(inception_like: InceptionLike) -> None:
    assert manifold(inception_like(50), inception_like(60, shift=100)) == Manifold(0, 0, 0, 0)


def _by_loops(x: Doubles, y: Doubles) -> Manifold:
    def distances(a: Doubles, b: Doubles) -> Doubles:
        return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=2))

    reach = {k: np.sort(distances(y, y), axis=1)[:, k] for k in (3, 5)}
    own = np.sort(distances(x, x), axis=1)[:, 3]
    cross = distances(x, y)
    return Manifold(
        float((cross <= reach[3]).any(axis=1).mean()),
        float((cross <= own[:, None]).any(axis=0).mean()),
        float((cross < reach[5]).sum(axis=1).mean() / 5),
        float((cross.min(axis=0) < reach[5]).mean()),
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 30), st.integers(6, 30), st.floats(0, 3), st.integers(0, 2**32 - 1))
def test_it_is_the_definition(n: int, m: int, shift: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(n, 4)) + shift, random.normal(size=(m, 4))
    found, expected = manifold(x, y), _by_loops(x, y)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-12), name


def test_it_is_torch_fidelitys(inception_like: InceptionLike) -> None:
    from torch_fidelity.defaults import DEFAULTS
    from torch_fidelity.metric_prc import prc_features_to_metric

    x, y = inception_like(500), inception_like(400, seed=1, shift=0.1)
    theirs = prc_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **{**DEFAULTS, "verbose": False})
    ours = manifold(x, y)
    assert 0.2 < ours.precision < 1
    assert ours.precision == pytest.approx(theirs["precision"], abs=1e-6)
    assert ours.recall == pytest.approx(theirs["recall"], abs=1e-6)


def test_tiles_do_not_show(inception_like: InceptionLike, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = inception_like(90), inception_like(80, seed=1, shift=0.1)
    whole = manifold(x, y)
    monkeypatch.setattr(module, "_ENTRIES", 700)
    assert manifold(x, y) == whole


def test_radii_known_already_change_nothing(inception_like: InceptionLike) -> None:
    x, y = inception_like(90), inception_like(80, seed=1, shift=0.1)
    assert manifold(x, y, radii(y)) == manifold(x, y)


@pytest.mark.parametrize(("n", "m", "said"), [(3, 20, "generated samples, not 3"), (20, 5, "reference samples, not 5")])
def test_too_few_for_the_neighbours_is_an_error(n: int, m: int, said: str) -> None:
    with pytest.raises(NotEnoughSamples, match=said):
        manifold(np.ones((n, 2)), np.ones((m, 2)))


def test_sides_of_different_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        manifold(np.ones((9, 3)), np.ones((9, 4)))


@settings(max_examples=15, deadline=None)
@given(st.integers(5, 30), st.integers(6, 30), st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_one_pass_equals_leaving_out_one_by_one(n: int, m: int, dimension: int, grid: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(n, dimension)) * 0.8 + 0.2, random.normal(size=(m, dimension))
    if grid:  # many equal distances and repeated points
        x, y = np.round(x), np.round(y)
    found = overlap(x, y)
    without = [manifold(np.delete(x, i, axis=0), y) for i in range(n)]
    np.testing.assert_allclose(found.recall_without, [one.recall for one in without], atol=1e-12)
    np.testing.assert_allclose(found.coverage_without, [one.coverage for one in without], atol=1e-12)


def test_a_block_s_border_does_not_show_when_one_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 3)), random.normal(size=(60, 3))
    whole = overlap(x, y)
    monkeypatch.setattr(module, "_ENTRIES", 300)
    blocks = overlap(x, y)
    for name in ("inside", "balls", "recall_without", "coverage_without"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(blocks, name))


def test_four_samples_have_no_fifth_to_leave_out() -> None:
    reference = np.random.default_rng(0).normal(size=(20, 2))
    assert len(overlap(reference[:4], reference).recall_without) == 0
