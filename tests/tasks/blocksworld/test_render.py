from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.images import pixel_digest
from evalkit_tasks.blocksworld.render import PALETTE, accent, render
from evalkit_tasks.blocksworld.scene import GROUNDS, STRATA, STYLES, Background, Block, arranged, scene
from evalkit_tasks.blocksworld.shapes import FULL, SHAPES, SIDES, SIZES, TEXTURES, UNITS, Shape, stamp

WHITE = Background("white", "plain")

AREAS: dict[Shape, float] = {
    "square": 1.0,
    "circle": math.pi / 4,
    "triangle": 0.5,
    "diamond": 0.5,
    "cross": 5 / 9,
    "ring": math.pi / 4 * (1 - 0.36),
    # Area of a pentagram of circumradius 1 is 1.12257; ours has width 2 sin 72 degrees times its radius.
    "star": 1.12257 / (4 * math.sin(math.radians(72)) ** 2),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_adds_up_to_the_area_of_the_shape(shape: Shape) -> None:
    for pixels in (64, 256):
        s = stamp(shape, "large", "solid", 128, 128, pixels)
        covered = s.whole.sum() / FULL
        side = SIDES["large"] * pixels / UNITS
        assert covered == pytest.approx(AREAS[shape] * side**2, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_block_fills_the_box_of_its_side(shape: Shape) -> None:
    for size in SIZES:
        s = stamp(shape, size, "solid", 128, 128, 256)
        rows = np.flatnonzero(s.whole.any(axis=1)) + s.top
        columns = np.flatnonzero(s.whole.any(axis=0)) + s.left
        half = SIDES[size] // 2
        assert (columns[0], columns[-1] + 1) == (128 - half, 128 + half)
        assert rows[0] >= 128 - half
        assert rows[-1] < 128 + half
        assert rows[-1] - rows[0] >= 0.9 * SIDES[size]


def test_moving_by_whole_pixels_moves_the_stamp_and_nothing_else() -> None:
    for shape in SHAPES:
        for texture in TEXTURES:
            a, b = stamp(shape, "large", texture, 101, 90, 64), stamp(shape, "large", texture, 109, 106, 64)
            assert (b.left - a.left, b.top - a.top) == (2, 4)
            assert np.array_equal(a.whole, b.whole)
            assert np.array_equal(a.accent, b.accent)


def test_textures_darken_part_of_the_block_and_nothing_outside() -> None:
    for shape in SHAPES:
        for texture in TEXTURES:
            s = stamp(shape, "large", texture, 128, 128, 64)
            assert (s.accent <= s.whole).all()
            share = s.accent.sum() / s.whole.sum()
            assert share == 0 if texture == "solid" else 0.2 < share < 0.7


def test_a_solid_square_on_whole_pixels_is_exactly_its_colour() -> None:
    drawn = render(arranged([Block("square", "blue", "large", "solid", 128, 128)], WHITE))
    assert drawn.shape == (64, 64, 3)
    assert (drawn[22:42, 22:42] == PALETTE["blue"]).all()
    outside = np.ones((64, 64), bool)
    outside[22:42, 22:42] = False
    assert (drawn[outside] == 255).all()


def test_an_edge_within_a_pixel_is_mixed_by_its_share() -> None:
    drawn = render(arranged([Block("square", "blue", "large", "solid", 130, 128)], WHITE))
    # The left edge lies 2 of 4 units into pixel 22: half white, half blue, rounded.
    assert drawn[30, 22].tolist() == [(255 + c + 1) // 2 for c in PALETTE["blue"]]


def test_the_lower_block_is_painted_over_the_higher_one() -> None:
    far, near = Block("square", "red", "large", "solid", 128, 100), Block("square", "blue", "large", "solid", 128, 140)
    assert render(arranged([near, far], WHITE))[30, 32].tolist() == list(PALETTE["blue"])


def test_every_size_shows_the_same_scene() -> None:
    for stratum in STRATA:
        drawn = scene(5, stratum)
        small, big = render(drawn, 64).astype(float), render(drawn, 256).astype(float)
        shrunk = big.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
        # An edge along a row of points moves the coverage by 1 / 16 at most.
        assert np.abs(shrunk - small).max() <= 16


def test_backgrounds_differ_from_each_other_and_gradients_run_down() -> None:
    drawn = {(g, s): render(arranged([], Background(g, s))) for g in GROUNDS for s in STYLES}
    assert len({pixel_digest(p) for p in drawn.values()}) == len(GROUNDS) * len(STYLES)
    for ground in GROUNDS:
        fading = drawn[ground, "gradient"][:, 0].astype(int)
        steps = np.diff(fading, axis=0)
        assert (steps <= 0).all() or (steps >= 0).all()
        assert (drawn[ground, "gradient"] == drawn[ground, "gradient"][:, :1]).all()
        assert len(np.unique(drawn[ground, "plain"].reshape(-1, 3), axis=0)) == 1
        assert len(np.unique(drawn[ground, "checkered"].reshape(-1, 3), axis=0)) == 2


def test_drawing_one_scene_leaves_the_next_one_alone() -> None:
    first = render(scene(1, "hard"))
    render(scene(2, "hard"))
    assert np.array_equal(first, render(scene(1, "hard")))


def test_accents_are_darker() -> None:
    for colour, tone in PALETTE.items():
        assert all(dark <= plain for dark, plain in zip(accent(colour), tone, strict=True))


@pytest.mark.parametrize("pixels", [0, 15, 1025])
def test_a_size_that_cannot_be_drawn_is_an_error(pixels: int) -> None:
    with pytest.raises(UsageError, match="16 to 1024"):
        render(scene(1, "easy"), pixels)
