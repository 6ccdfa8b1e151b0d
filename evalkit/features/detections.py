"""What a detector finds in a picture, and how it lies in the feature cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Singles: TypeAlias = npt.NDArray[np.float32]
Ids: TypeAlias = npt.NDArray[np.int64]

_NAMES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
_UNUSED = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""Ids below 91 that COCO gave to categories that it then left out."""

COCO_IDS: tuple[int, ...] = tuple(number for number in range(1, 91) if number not in _UNUSED)
"""The id of each of the 80 categories, in the order in which detectors count them."""
COCO_CATEGORIES: Mapping[int, str] = MappingProxyType(dict(zip(COCO_IDS, _NAMES, strict=True)))
"""The names of COCO's 80 categories by id."""

COLUMNS = 6
"""Numbers of one detection in the cache: left, top, right, bottom, score, category. All are exact in float32."""
EMPTY = -1.0
"""What stands for the score of a detection that is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects found in one picture, the surest first.

    `boxes` `(N, 4)` are left, top, right and bottom in pixels of the picture, `scores` `(N,)` lie in 0 to 1, and
    `categories` `(N,)` are COCO's ids.
    """

    boxes: Singles
    scores: Singles
    categories: Ids

    def __len__(self) -> int:
        return len(self.scores)

    def scaled(self, across: float, down: float) -> Detections:
        """Return these in a picture stretched by `across` and `down`."""
        by = np.array([across, down, across, down], np.float32)
        return Detections(self.boxes * by, self.scores, self.categories)


def ordered(boxes: Singles, scores: Singles, categories: Ids, limit: int) -> Detections:
    """Return the `limit` surest of these detections, ties in the order that they came in."""
    order = np.argsort(-scores, kind="stable")[:limit]
    return Detections(
        boxes[order].astype(np.float32), scores[order].astype(np.float32), categories[order].astype(np.int64)
    )


def packed(found: Detections, limit: int) -> Singles:
    """Return `found` as one row `(6 limit,)` for the cache.

    Raises:
        ValueError: there are more than `limit`.
    """
    if len(found) > limit:
        raise ValueError(f"{len(found)} detections do not fit into {limit}")
    rows = np.full((limit, COLUMNS), EMPTY, np.float32)
    rows[: len(found), :4] = found.boxes
    rows[: len(found), 4] = found.scores
    rows[: len(found), 5] = found.categories
    return rows.ravel()


def unpacked(row: Singles) -> Detections:
    """Return the detections of a row that `packed` made."""
    rows = row.reshape(-1, COLUMNS)
    held = rows[rows[:, 4] > EMPTY]
    return Detections(held[:, :4].copy(), held[:, 4].copy(), held[:, 5].astype(np.int64))
