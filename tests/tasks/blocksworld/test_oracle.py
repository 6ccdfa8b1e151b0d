from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image as PillowImage

from evalkit.images import Pixels
from evalkit_tasks.blocksworld.accuracy import FIRST_SEED, accuracy, blurred, clean, noisy, table
from evalkit_tasks.blocksworld.oracle import read
from evalkit_tasks.blocksworld.render import render
from evalkit_tasks.blocksworld.scene import GROUNDS, STRATA, STYLES, Background, Block, Scene, Stratum, arranged, scene
from evalkit_tasks.blocksworld.shapes import SHAPES, SIZES

NAMED = ("shape", "colour", "size", "texture", "place", "third")


def scenes(stratum: Stratum, count: int) -> list[Scene]:
    return [scene(FIRST_SEED + i, stratum) for i in range(count)]


@pytest.mark.parametrize("stratum", STRATA)
def test_clean_pictures_are_read_right(stratum: Stratum) -> None:
    found = accuracy(scenes(stratum, 60), clean)
    assert all(found[name] > 0.99 for name in NAMED)
    assert found["background"] == 1.0
    assert found["scene"] >= 0.96


@pytest.mark.slow
@pytest.mark.parametrize("stratum", STRATA)
def test_many_clean_pictures_are_read_right(stratum: Stratum) -> None:
    found = accuracy(scenes(stratum, 600), clean)
    assert all(found[name] > 0.99 for name in NAMED)
    assert found["scene"] > 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "floors"),
    [
        (noisy, {8.0: 0.98, 16.0: 0.97, 24.0: 0.92, 32.0: 0.8}),
        (blurred, {0.5: 0.98, 1.0: 0.95, 1.5: 0.65}),
    ],
)
def test_reading_fails_slowly(
    kind: Callable[[float], Callable[[Pixels, int], Pixels]], floors: dict[float, float]
) -> None:
    mixed = [drawn for stratum in STRATA for drawn in scenes(stratum, 40)]
    shapes = []
    for sigma, floor in floors.items():
        found = accuracy(mixed, kind(sigma))
        shapes.append(found["shape"])
        assert min(found["shape"], found["colour"], found["size"], found["third"]) >= floor, sigma
    assert all(later <= earlier + 0.02 for earlier, later in pairwise(shapes))


def test_noise_of_eight_levels_costs_almost_nothing() -> None:
    found = accuracy([drawn for stratum in STRATA for drawn in scenes(stratum, 15)], noisy(8.0))
    assert min(found[name] for name in NAMED) >= 0.95


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("ground", GROUNDS)
def test_an_empty_picture_holds_no_block(ground: str, style: str) -> None:
    background = next(Background(g, s) for g in GROUNDS for s in STYLES if (g, s) == (ground, style))
    reading = read(render(arranged([], background)))
    assert reading.blocks == ()
    assert reading.background == background


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_told_from_every_other_at_every_size(shape: str) -> None:
    kind = next(s for s in SHAPES if s == shape)
    for size in SIZES:
        for dx in range(4):
            wanted = Block(kind, "green", size, "solid", 126 + dx, 129 + dx)
            (found,) = read(render(arranged([wanted], Background("gray", "checkered")))).blocks
            assert (found.shape, found.size, found.colour) == (kind, size, "green")
            assert abs(found.x - wanted.x) <= 2
            assert abs(found.y - wanted.y) <= 2
            assert found.confidence > 0.9
            left, top, width, height = found.box
            assert (left + width // 2, top + height // 2) == (found.x, found.y)


def test_larger_pictures_are_read_as_well() -> None:
    for seed in range(8):
        drawn = scene(FIRST_SEED + seed, "medium")
        small, big = read(render(drawn)), read(render(drawn, 256))
        assert [(b.shape, b.colour, b.size) for b in big.blocks] == [(b.shape, b.colour, b.size) for b in small.blocks]


def test_colours_that_are_off_and_soft_edges_are_tolerated() -> None:
    right = total = 0
    for seed in range(25):
        drawn = scene(FIRST_SEED + seed, "medium")
        soft = PillowImage.fromarray(render(drawn)).resize((48, 48), PillowImage.Resampling.BILINEAR)
        pixels = np.asarray(soft.resize((64, 64), PillowImage.Resampling.BICUBIC)).astype(float)
        dull = np.clip(np.rint(pixels * 0.88 + np.array([14.0, 6.0, 16.0])), 0, 255).astype(np.uint8)
        reading = read(dull)
        total += len(drawn.blocks)
        left = {(b.shape, b.colour, b.size) for b in reading.blocks}
        right += sum((b.shape, b.colour, b.size) in left for b in drawn.blocks)
    assert right / total >= 0.95


def test_a_tinted_picture_is_read_as_the_plain_one() -> None:
    for seed in range(12):
        drawn = scene(FIRST_SEED + seed, "medium")
        tinted = np.clip(render(drawn).astype(int) + np.array([-26, 10, -30]), 0, 255).astype(np.uint8)
        looks = [(b.shape, b.colour, b.size, b.texture) for b in read(tinted).blocks]
        assert looks == [(b.shape, b.colour, b.size, b.texture) for b in drawn.blocks]


def test_nothing_is_right_in_an_empty_picture() -> None:
    def emptied(pixels: Pixels, number: int) -> Pixels:
        return np.full_like(pixels, 255)

    found = accuracy(scenes("medium", 5), emptied)
    assert {found[name] for name in (*NAMED, "scene")} == {0.0}


def test_what_is_read_draws_the_same_picture() -> None:
    for seed in range(10):
        pixels = render(scene(FIRST_SEED + seed, "easy"))
        again = render(read(pixels).scene)
        assert np.abs(pixels.astype(int) - again).mean() < 2.0


@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (5, 300), (7, 7)])
def test_pictures_that_show_no_world_are_read_without_a_crash(shape: tuple[int, int]) -> None:
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for pixels in (noise, np.zeros_like(noise), np.full_like(noise, 255), np.full_like(noise, (220, 40, 40))):
        assert len(read(pixels).blocks) < 400


def test_the_table_has_a_line_for_each_spoiler_and_stratum() -> None:
    lines = table(1).splitlines()
    assert len(lines) == 2 + 8 * 3
    assert lines[2].startswith("| clean | easy | 100.00 |")
