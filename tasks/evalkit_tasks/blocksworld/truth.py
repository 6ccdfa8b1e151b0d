"""What is where in a picture of a scene: instances, boxes, label map, edges and depth, all without noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from evalkit.images import Pixels
from evalkit_tasks.blocksworld.render import PIXELS
from evalkit_tasks.blocksworld.scene import Block, Scene, nearest_blocks
from evalkit_tasks.blocksworld.shapes import SHAPES, UNITS, Shape

BACKGROUND_CLASS = 0
CLASSES: dict[Shape, int] = {shape: number for number, shape in enumerate(SHAPES, start=1)}
"""Class of each shape in label maps and category id in COCO files."""

Labels = npt.NDArray[np.uint8]
Inside = npt.NDArray[np.bool_]

_FARTHEST = 64
_NEAREST = 255


@dataclass(frozen=True, slots=True)
class Instance:
    """The visible part of one block: its pixels `inside` `(H, W)` and their box `(x, y, width, height)` in pixels."""

    block: Block
    inside: Inside
    box: tuple[int, int, int, int]

    @property
    def area(self) -> int:
        """How many pixels are visible."""
        return int(np.count_nonzero(self.inside))

    def rle(self) -> tuple[tuple[int, int], str]:
        """Return the height and width, and the counts of COCO's compressed run-length encoding."""
        encoded = coco_mask.encode(np.asfortranarray(self.inside.astype(np.uint8)))
        height, width = self.inside.shape
        return (height, width), encoded["counts"].decode("ascii")


def instances(scene: Scene, pixels: int = PIXELS) -> tuple[Instance, ...]:
    """Return the visible part of each block of `scene`, the farthest first."""
    nearest = nearest_blocks(scene.blocks, pixels)
    found = []
    for index, block in enumerate(scene.blocks):
        inside = nearest == index
        found.append(Instance(block, inside, box_around(inside)))
    return tuple(found)


def box_around(inside: Inside) -> tuple[int, int, int, int]:
    """Return the smallest box `(x, y, width, height)` around the pixels inside, all 0 where there are none."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def label_map(scene: Scene, pixels: int = PIXELS) -> Labels:
    """Return the class `(pixels, pixels)` of each pixel: see `CLASSES`; 0 is the background."""
    classes = np.array([CLASSES[block.shape] for block in scene.blocks] + [BACKGROUND_CLASS], dtype=np.uint8)
    return classes[nearest_blocks(scene.blocks, pixels)]


def edge_map(scene: Scene, pixels: int = PIXELS) -> Inside:
    """Return the outlines `(pixels, pixels)` of the blocks, one pixel wide."""
    return outlines(nearest_blocks(scene.blocks, pixels))


def outlines(labels: npt.NDArray[np.integer]) -> Inside:
    """Return where a pixel's label differs from that of the pixel to its right or below it."""
    found = np.zeros(labels.shape, np.bool_)
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    found[:-1, :] |= labels[:-1, :] != labels[1:, :]
    return found


def depth_map(scene: Scene, pixels: int = PIXELS) -> Labels:
    """Return the nearness `(pixels, pixels)` of each pixel: 0 for the background, else 64 (far) to 255 (near).

    A block is the nearer the lower its centre lies.
    """
    levels = [_FARTHEST + (_NEAREST - _FARTHEST) * block.y // UNITS for block in scene.blocks]
    return np.array([*levels, 0], dtype=np.uint8)[nearest_blocks(scene.blocks, pixels)]


def picture(plane: Inside | Labels) -> Pixels:
    """Return a map of one channel as a grey picture `(H, W, 3)`; True is white."""
    plain = plane.astype(np.uint8) * 255 if plane.dtype == np.bool_ else plane.astype(np.uint8)
    return np.repeat(plain[:, :, None], 3, axis=2)


def label_picture(labels: Labels) -> Pixels:
    """Return a label map as COCO panoptic PNGs hold it: the class in red, 0 in green and blue."""
    coded = np.zeros((*labels.shape, 3), np.uint8)
    coded[:, :, 0] = labels
    return coded
