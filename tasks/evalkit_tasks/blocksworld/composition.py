"""Whether a reading shows what a scene asks for, in the six questions of GenEval.

Source: Ghosh et al. 2023, arXiv:2310.11513 (djghosh13/geneval, evaluation/evaluate_images.py): an object counts as
there if its class is detected; relative position compares box centres after taking a tenth of both boxes' sizes off.
There a CLIP model judges the colour of a detected object; here the reading says it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.optimize import linear_sum_assignment

from evalkit_tasks.blocksworld.oracle import ReadBlock, Reading
from evalkit_tasks.blocksworld.scene import Block, Relation, Scene, relation

_POSITION_MARGIN = 0.1
_SAME_BLOCK = 40
_OTHER_COLOUR = 24
_OTHER_SHAPE = 16


@dataclass(frozen=True, slots=True)
class Composition:
    """GenEval's six judgements; None where the scene does not ask.

    `single`: one block, and its shape is there. `two`: two blocks of different shapes, and both shapes are there.
    `counting`: each shape is there as often as asked, and no other. `colours`: one block, and its shape is there in its
    colour. `position`: blocks of those shapes and colours stand to each other as asked. `colour_attribution`: two
    blocks of different shapes and colours, and each shape is there in its colour.
    """

    single: bool | None
    two: bool | None
    counting: bool
    colours: bool | None
    position: bool | None
    colour_attribution: bool | None


def composition(reading: Reading, scene: Scene) -> Composition:
    """Return GenEval's judgements of `reading`, `scene` being what was asked for."""
    asked = scene.blocks
    shapes = {found.shape for found in reading.blocks}
    looks = {(found.shape, found.colour) for found in reading.blocks}
    all_shapes = all(block.shape in shapes for block in asked)
    all_looks = all((block.shape, block.colour) in looks for block in asked)
    two = len(asked) == 2 and asked[0].shape != asked[1].shape
    counts = Counter(found.shape for found in reading.blocks)
    return Composition(
        single=all_shapes if len(asked) == 1 else None,
        two=all_shapes if two else None,
        counting=counts == Counter(block.shape for block in asked),
        colours=all_looks if len(asked) == 1 else None,
        position=_position(reading, scene),
        colour_attribution=all_looks if two and asked[0].colour != asked[1].colour else None,
    )


def _position(reading: Reading, scene: Scene) -> bool | None:
    """Return whether every plain relation between two differently described blocks is there."""
    wanted = [
        (a, b, found)
        for a, b in permutations(scene.blocks, 2)
        if (a.shape, a.colour) != (b.shape, b.colour) and (found := relation(a, b)) in {"left", "above"}
    ]
    if not wanted:
        return None
    return all(_stands(reading, a, b, found) for a, b, found in wanted)


def _stands(reading: Reading, a: Block, b: Block, wanted: Relation | None) -> bool:
    firsts = [found for found in reading.blocks if (found.shape, found.colour) == (a.shape, a.colour)]
    seconds = [found for found in reading.blocks if (found.shape, found.colour) == (b.shape, b.colour)]
    return any(wanted in relative_position(first, second) for first in firsts for second in seconds)


def relative_position(a: ReadBlock, b: ReadBlock) -> frozenset[Relation]:
    """Return where `a` is as `b` sees it, by GenEval's rule: one word, or two near a diagonal, or none."""
    margin = _POSITION_MARGIN * (a.box[2] + b.box[2])
    across, down = a.x - b.x, a.y - b.y
    aside = max(abs(across) - margin, 0.0) * (1 if across > 0 else -1)
    below = max(abs(down) - margin, 0.0) * (1 if down > 0 else -1)
    length = math.hypot(aside, below)
    if length == 0:
        return frozenset()
    words: list[tuple[Relation, float]] = [("left", -aside), ("right", aside), ("above", -below), ("below", below)]
    return frozenset(word for word, size in words if size / length > 0.5)


def paired(reading: Reading, scene: Scene) -> tuple[ReadBlock | None, ...]:
    """Return for each block of `scene` the read block that stands for it, None where it was not found.

    No read block stands for two, and none is more than 40 units away; of near ones the more alike is taken.
    """
    if not reading.blocks or not scene.blocks:
        return tuple(None for _ in scene.blocks)
    costs = np.array([[_difference(found, block) for found in reading.blocks] for block in scene.blocks])
    rows, columns = linear_sum_assignment(costs)
    pairs = {int(row): int(column) for row, column in zip(rows, columns, strict=True)}
    return tuple(
        reading.blocks[pairs[i]] if i in pairs and _distance(reading.blocks[pairs[i]], block) <= _SAME_BLOCK else None
        for i, block in enumerate(scene.blocks)
    )


def _distance(found: ReadBlock, block: Block) -> int:
    return max(abs(found.x - block.x), abs(found.y - block.y))


def _difference(found: ReadBlock, block: Block) -> int:
    unlike = _OTHER_COLOUR * (found.colour != block.colour) + _OTHER_SHAPE * (found.shape != block.shape)
    distance = _distance(found, block)
    return unlike + (distance if distance <= _SAME_BLOCK else 1000)
