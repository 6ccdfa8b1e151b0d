"""Pictures from boxes on blocksworld (`blocksworld_boxes@1`, object-to-image).

One item: picture 1 of the held-out set, its first caption and the boxes of its blocks, x, y, width, height in pixels of
a picture of 64 by 64,

    There are two red rings.
    medium-sized red ring    9, 10, 15, 15
    small red ring          12, 31, 11, 11

The caption names shapes and colours alone, so where things go is in the boxes. A box is around the part of the block
that can be seen, as COCO has it; its label names size, texture (where it is not solid), colour and shape.

Protocol. The oracle reads the picture (`blocksworld/oracle.py`), and each read block is boxed in the same way. Asked
boxes and read blocks of the same shape and colour are paired one to one so that the sum of their IoU is largest.

    box_iou          mean IoU of the asked boxes with what they are paired with; 0 where there is none
    found            asked boxes whose IoU is 0.5 or more
    box_precision    read blocks that are paired with an asked box at an IoU of 0.5 or more

All three are pooled over boxes, so that a picture of five blocks weighs more than one of one.

Pitfalls. Size and texture are in the label but, apart from the box, not judged.

Data: shipped with evalkit, Apache-2.0. There are no published numbers; the ceiling, by `-m oracle`, is in
blocksworld/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from evalkit.interfaces import Scored
from evalkit.json_values import a_list, a_number, a_whole_number
from evalkit.metrics.means import Measure, Tally
from evalkit.types import Box, Boxes, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import HeldOutPicture, embedded, held_out_pictures, rows
from evalkit_tasks.blocksworld.render import PIXELS
from evalkit_tasks.blocksworld.scene import Block
from evalkit_tasks.blocksworld.task import HeldOutTask, answered_reading, judged_metric
from evalkit_tasks.blocksworld.truth import instances
from evalkit_tasks.blocksworld.words import described

NAME = "blocksworld_boxes@1"
PROMPT = "the first caption, the boxes with their labels"
MEASURES = (
    Measure("box_iou", pooled=True, by=("stratum",)),
    Measure("found", pooled=True, by=("stratum",)),
    Measure("box_precision", pooled=True),
)
MATCH_IOU = 0.5

Rectangle: TypeAlias = tuple[float, float, float, float]
"""x, y, width, height."""


@dataclass(frozen=True, slots=True)
class Boxed:
    """A block with the box around the part of it that can be seen, in pixels of a picture of 64 by 64."""

    block: Block
    box: Rectangle

    @property
    def asked(self) -> Box:
        """The labelled box that a model is given: `large striped red circle`."""
        texture = None if self.block.texture == "solid" else self.block.texture
        return Box(replace(described(self.block), place=None, texture=texture).noun(), *self.box)


@dataclass(frozen=True, slots=True)
class BoxJudge:
    """Compares pictures with the boxes that were asked for, which it knows by sample id."""

    asked: Mapping[str, tuple[Boxed, ...]]

    def __call__(self, scored: Scored) -> dict[str, Tally]:
        """Return the tallies of one picture."""
        asked = self.asked[scored.sample.id]
        read = [Boxed(found.block, found.box) for found in instances(answered_reading(scored).scene)]
        ious = paired_ious(asked, read)
        matched = sum(iou >= MATCH_IOU for iou in ious)
        return {
            "box_iou": Tally(sum(ious), len(asked)),
            "found": Tally(matched, len(asked)),
            "box_precision": Tally(matched, len(read)),
        }


def paired_ious(asked: Sequence[Boxed], read: Sequence[Boxed]) -> list[float]:
    """Return the IoU of each pair: of blocks of one shape and colour, one to one, so that the sum is largest."""
    worth = np.zeros((len(asked), len(read)))
    for row, a in enumerate(asked):
        for column, b in enumerate(read):
            if (a.block.shape, a.block.colour) == (b.block.shape, b.block.colour):
                worth[row, column] = iou(a.box, b.box)
    found: list[float] = worth[linear_sum_assignment(worth, maximize=True)].tolist()
    return found


def iou(a: Rectangle, b: Rectangle) -> float:
    """Return the area that two boxes share over the area that they cover; 0 where both are empty.

    >>> iou((0, 0, 2, 2), (1, 0, 2, 2))
    0.3333333333333333
    """
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    covered = a[2] * a[3] + b[2] * b[3] - shared
    return shared / covered if covered else 0.0


def blocksworld_boxes(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> HeldOutTask:
    """Return the task.

    Raises:
        UsageError: other data are asked for.
        DataError: the shipped files are damaged.
    """
    here = embedded(workspace)
    pictures = held_out_pictures(here)
    asked = _boxed(pictures)
    samples = tuple(_sample(picture, asked[str(picture.id)]) for picture in pictures)
    return HeldOutTask(here, NAME, "object-to-image", samples, (judged_metric(PROMPT, MEASURES, BoxJudge(asked)),))


def _boxed(pictures: Sequence[HeldOutPicture]) -> dict[str, tuple[Boxed, ...]]:
    """Return each sample's blocks with the boxes of `instances_val.json`, whose ids count them from the farthest."""
    found: dict[str, list[Boxed]] = {str(picture.id): [] for picture in pictures}
    scenes = {picture.id: picture.scene for picture in pictures}
    for row in rows("instances_val.json", "annotations"):
        image = a_whole_number(row["image_id"])
        block = scenes[image].blocks[a_whole_number(row["id"]) - 10 * image]
        x, y, width, height = (a_number(side) for side in a_list(row["bbox"]))
        found[str(image)].append(Boxed(block, (x, y, width, height)))
    return {name: tuple(boxed) for name, boxed in found.items()}


def _sample(picture: HeldOutPicture, asked: Sequence[Boxed]) -> Sample:
    boxes = Boxes(tuple(boxed.asked for boxed in asked), PIXELS, PIXELS)
    parts = (Text(picture.captions[0].text), boxes)
    return Sample(str(picture.id), parts, (picture.image(),), picture.strata, str(picture.id))
