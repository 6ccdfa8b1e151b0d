"""How well the oracle reads: on clean pictures, under noise and under blur.

`python -m evalkit_tasks.blocksworld.accuracy [SCENES]` prints the table of README.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from scipy import ndimage

from evalkit.images import Pixels
from evalkit_tasks.blocksworld.composition import paired
from evalkit_tasks.blocksworld.oracle import read
from evalkit_tasks.blocksworld.render import render
from evalkit_tasks.blocksworld.scene import STRATA, Scene, scene

Spoiler: TypeAlias = Callable[[Pixels, int], Pixels]

COLUMNS = ("shape", "colour", "size", "texture", "place", "third", "background", "scene")
FIRST_SEED = 900_000
"""Held-out scenes from this seed on are for measuring the oracle."""

_NEAR = 4


def accuracy(scenes: Iterable[Scene], spoiled: Spoiler) -> dict[str, float]:
    """Return the share of blocks whose `shape`, `colour`, `size`, `texture`, `place` and `third` are read right.

    `place` is right within 4 units (a pixel of 64) and `third` on the 3 x 3 grid; a block that is not found is wrong in
    everything. `background` is the share of pictures with the right background, `scene` of those in which the shapes,
    colours, sizes, textures and thirds are all right and nothing else was seen.
    """
    right: Counter[str] = Counter()
    blocks = pictures = 0
    for number, drawn in enumerate(scenes):
        reading = read(spoiled(render(drawn), number))
        pairs = paired(reading, drawn)
        wrong = len(reading.blocks) - sum(found is not None for found in pairs)
        for block, found in zip(drawn.blocks, pairs, strict=True):
            judged = {name: found is not None and getattr(found, name) == getattr(block, name) for name in COLUMNS[:4]}
            judged["third"] = found is not None and (found.block.row, found.block.column) == (block.row, block.column)
            wrong += not all(judged.values())
            near = found is not None and max(abs(found.x - block.x), abs(found.y - block.y)) <= _NEAR
            right.update(name for name, good in {**judged, "place": near}.items() if good)
        right.update({"background": reading.background == drawn.background, "scene": wrong == 0})
        blocks, pictures = blocks + len(drawn.blocks), pictures + 1
    return {name: right[name] / (pictures if name in {"background", "scene"} else blocks) for name in COLUMNS}


def clean(pixels: Pixels, number: int) -> Pixels:
    """Return `pixels` as they are."""
    return pixels


def noisy(sigma: float) -> Spoiler:
    """Return a spoiler that adds Gaussian noise of `sigma` levels of 255."""

    def spoiled(pixels: Pixels, number: int) -> Pixels:
        noise = np.random.Generator(np.random.PCG64(number)).normal(0.0, sigma, pixels.shape)
        return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)

    return spoiled


def blurred(sigma: float) -> Spoiler:
    """Return a spoiler that blurs by a Gaussian of `sigma` pixels."""

    def spoiled(pixels: Pixels, number: int) -> Pixels:
        soft = ndimage.gaussian_filter(pixels.astype(np.float64), (sigma, sigma, 0))
        return np.clip(np.rint(soft), 0, 255).astype(np.uint8)

    return spoiled


def table(count: int) -> str:
    """Return the accuracies in per cent on `count` scenes a line, as a Markdown table."""
    spoilers: list[tuple[str, Spoiler]] = [("clean", clean)]
    spoilers += [(f"noise {sigma}/255", noisy(sigma)) for sigma in (8, 16, 24, 32)]
    spoilers += [(f"blur {sigma} px", blurred(sigma)) for sigma in (0.5, 1.0, 1.5)]
    lines = ["| picture | stratum | " + " | ".join(COLUMNS) + " |", "|---" * (2 + len(COLUMNS)) + "|"]
    for name, spoiler in spoilers:
        for stratum in STRATA:
            found = accuracy((scene(FIRST_SEED + i, stratum) for i in range(count)), spoiler)
            cells = " | ".join(f"{100 * found[column]:.2f}" for column in COLUMNS)
            lines.append(f"| {name} | {stratum} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
