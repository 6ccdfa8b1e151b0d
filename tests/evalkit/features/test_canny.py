"""Canny's edges: closed forms, the reference implementation on pictures and photos, and the maps that are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.filters import canny as kornia_canny
from PIL import Image as PillowImage

from evalkit.features.canny import CannyAnnotator, Edges, canny
from evalkit.images import Pixels
from tests.evalkit.features.conftest import photo_like


def reference(pixels: Pixels, low: float = 0.1, high: float = 0.2) -> Edges:
    planes = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].double() / 255
    found: npt.NDArray[np.bool_] = (kornia_canny(planes, low, high)[1][0, 0] > 0.5).numpy()
    return found


def grey(levels: npt.NDArray[np.integer]) -> Pixels:
    return np.repeat(levels.astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("turn", range(4))
def test_a_step_between_two_pixels_has_one_edge_on_its_left_or_upper_side(turn: int) -> None:
    step = np.zeros((9, 9), np.int64)
    step[:, 4:] = 200
    edges = canny(grey(np.rot90(step, turn)))
    line = 3 if turn in {0, 3} else 4
    found = edges if turn % 2 == 0 else edges.T
    assert found[:, line].all() or found[:, 8 - line].all()
    assert found.sum() == 9


def test_a_plain_picture_has_no_edge_whatever_its_level() -> None:
    for level in (0, 77, 255):
        assert not canny(grey(np.full((16, 20), level))).any()


def test_a_weak_edge_counts_where_it_goes_on_from_a_strong_one() -> None:
    """A step of h levels has a magnitude of about 2.59 h / 255: 12 lies between the thresholds, 40 above, 3 below."""

    def step(heights: npt.NDArray[np.integer]) -> Edges:
        levels = np.full((len(heights), 20), 100)
        levels[:, 10:] += heights[:, None]
        return canny(grey(levels))

    assert not step(np.full(30, 12)).any()
    fading = np.arange(40, 10, -1)
    assert step(np.maximum(fading, 12)).sum(axis=1).tolist() == [1] * 30
    found = step(np.maximum(np.arange(40, 2, -1), 3))
    assert found[:29].sum() == 29
    assert not found[33:].any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 70), st.integers(5, 70))
def test_noisy_pictures_have_the_edges_that_kornia_finds(seed: int, height: int, width: int) -> None:
    picture = photo_like(seed, height, width)
    np.testing.assert_array_equal(canny(picture), reference(picture))


def test_other_thresholds_find_what_kornia_finds() -> None:
    picture = photo_like(3, 60, 80)
    for low, high in ((0.05, 0.05), (0.4, 0.9), (0.1, 2.0)):
        np.testing.assert_array_equal(canny(picture, low, high), reference(picture, low, high))


def test_photos_have_the_edges_that_kornia_finds(shared_data: Path) -> None:
    for path in sorted((shared_data / "coco-mini" / "val2017").iterdir())[:3]:
        with PillowImage.open(path) as opened:
            picture = np.asarray(opened.convert("RGB").resize((256, 256), PillowImage.Resampling.BICUBIC))
        np.testing.assert_array_equal(canny(picture), reference(picture))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (3, 1)])
def test_the_smallest_pictures_have_maps(shape: tuple[int, int]) -> None:
    assert canny(photo_like(0, *shape)).shape == shape


def test_the_map_is_white_on_edges() -> None:
    picture = photo_like(5, 40, 50)
    plane = CannyAnnotator().plane(picture)
    assert plane.dtype == np.uint8
    np.testing.assert_array_equal(plane, canny(picture) * 255)
