"""An endless supply of training scenes, none of which can be described as a held-out scene is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evalkit.images import Pixels
from evalkit_tasks.blocksworld.captions import captions
from evalkit_tasks.blocksworld.render import PIXELS, render
from evalkit_tasks.blocksworld.scene import HELD_OUT_SEEDS, STRATA, Scene, Stratum, scene


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """One training picture: its id, its five captions, and its pixels `(64, 64, 3)`."""

    id: str
    captions: tuple[str, ...]
    pixels: Pixels


def training_scene(index: int, stratum: Stratum) -> Scene:
    """Return training scene number `index` >= 0 of `stratum`; there is no end to them."""
    return scene(HELD_OUT_SEEDS + index, stratum)


def training_items(n: int, first: int = 0) -> Iterator[TrainingItem]:
    """Yield `n` training items from number `first` on, the strata taking turns: easy, medium, hard."""
    for index in range(first, first + n):
        drawn = training_scene(index, STRATA[index % len(STRATA)])
        yield TrainingItem(f"train-{index}", captions(drawn, HELD_OUT_SEEDS + index), render(drawn, PIXELS))
