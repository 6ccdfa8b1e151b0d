"""An endless supply of training scenes, none of which can be described as a held-out scene is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from evalkit.images import Pixels
from evalkit_tasks.blocksworld.captions import captions
from evalkit_tasks.blocksworld.edits import edit
from evalkit_tasks.blocksworld.questions import questions
from evalkit_tasks.blocksworld.render import PIXELS, render
from evalkit_tasks.blocksworld.scene import HELD_OUT_SEEDS, STRATA, Block, Scene, Stratum, nearest_blocks, scene
from evalkit_tasks.blocksworld.shapes import SHAPES, TEXTURES
from evalkit_tasks.blocksworld.truth import Labels, depth_map, edge_map, instances, label_map, picture
from evalkit_tasks.blocksworld.words import described


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


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One training scene with all that any job could be taught from it; drawn as it is asked for."""

    index: int
    scene: Scene

    @property
    def seed(self) -> int:
        """The seed that its words are drawn from."""
        return HELD_OUT_SEEDS + self.index

    def pixels(self) -> Pixels:
        """Return the picture `(64, 64, 3)`."""
        return render(self.scene, PIXELS)

    def captions(self) -> tuple[str, ...]:
        """Return five captions."""
        return captions(self.scene, self.seed)

    def questions(self, count: int) -> tuple[tuple[str, str], ...]:
        """Return `count` questions with their true answers."""
        return tuple((asked.text, asked.answer) for asked in questions(self.scene, self.seed, count))

    def edit(self) -> tuple[str, Pixels] | None:
        """Return an instruction and the picture after it, or None where no edit of this scene was found."""
        found = edit(self.scene, self.seed)
        return None if found is None else (found.instruction, render(found.target, PIXELS))

    def edges(self) -> Pixels:
        """Return the outlines, white on black, `(64, 64, 3)`."""
        return picture(edge_map(self.scene))

    def depth(self) -> Pixels:
        """Return the nearness, `(64, 64, 3)` in grey."""
        return picture(depth_map(self.scene))

    def labels(self) -> Labels:
        """Return the class `(64, 64)` of each pixel."""
        return label_map(self.scene)

    def kinds(self) -> Labels:
        """Return the shape and texture `(64, 64)` of each pixel as a number from 1 on, 0 for the background."""
        kinds = [1 + SHAPES.index(b.shape) * len(TEXTURES) + TEXTURES.index(b.texture) for b in self.scene.blocks]
        found: Labels = np.array([*kinds, 0], np.uint8)[nearest_blocks(self.scene.blocks, PIXELS)]
        return found

    def boxes(self) -> tuple[tuple[str, tuple[int, int, int, int]], ...]:
        """Return each block's words with the box `(x, y, width, height)` of its visible part, in pixels."""
        return tuple((box_label(found.block), found.box) for found in instances(self.scene))


def box_label(block: Block) -> str:
    """Return what stands beside a box, such as `large striped red circle`."""
    whole = described(block)
    return replace(whole, place=None, texture=None if block.texture == "solid" else block.texture).noun()


def training_record(index: int) -> TrainingRecord:
    """Return training scene number `index` >= 0, the strata taking turns: easy, medium, hard."""
    return TrainingRecord(index, training_scene(index, STRATA[index % len(STRATA)]))
