"""COCO's average precision of boxes: matching picture by picture, precision over all pictures, and without any of them.

Detections of a category take the objects of that category, the surest first, each the free one that it overlaps most,
if by the threshold at least. Over all pictures, falling by score, precision at a recall is the best that is reached at
that recall or beyond; AP is its mean over 101 recalls, ten thresholds (.50 to .95) and the categories that occur.

An object that is `ignored` is neither missed nor found: a detection that lies on it counts for nothing. Of a crowd the
overlap is the share of the detection inside it, and several may lie on it.

Source: Lin et al. 2014, arXiv:1405.0312; cocodataset/cocoapi, `PythonAPI/pycocotools/cocoeval.py`, which the tests
compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from evalkit.features.detections import Detections

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Least overlaps (IoU) at which a detection is right."""
RECALLS = np.linspace(0, 1, 101)
PER_CATEGORY = 100
"""Detections of one category in one picture that count, the surest."""
_ALMOST = 1 - 1e-10

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What is in a picture: boxes `(N, 4)` as left, top, width and height, and of each `(N,)` its category's id.

    `ignored` are those that count for nothing; `crowds`, all of them ignored, are regions of many objects.
    """

    boxes: Doubles
    categories: Ids
    ignored: Flags
    crowds: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """One picture's detections `(D,)`, whether each is right or wrong `(D, 10)` at each threshold, and its objects.

    What is neither right nor wrong lies on something ignored. `objects` `(N,)` are the categories of those that count.
    """

    categories: Ids
    scores: Doubles
    right: Flags
    wrong: Flags
    objects: Ids


def matches(objects: Objects, found: Detections) -> Matches:
    """Return which detections are right; their order among equal scores decides who takes an object."""
    categories, scores, right, wrong = [], [], [], []
    corners = found.boxes.astype(np.float64)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    for category in np.unique(found.categories):
        mine = np.flatnonzero(found.categories == category)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")][:PER_CATEGORY]
        theirs = np.flatnonzero(objects.categories == category)
        theirs = theirs[np.argsort(objects.ignored[theirs], kind="stable")]
        ignored, crowds = objects.ignored[theirs], objects.crowds[theirs]
        taken = _taken(_overlaps(boxes[mine], objects.boxes[theirs], crowds), ignored, crowds)
        on_ignored = (taken >= 0) & ignored[taken] if len(theirs) else np.zeros_like(taken, np.bool_)
        categories.append(np.full(len(mine), category, np.int64))
        scores.append(found.scores[mine].astype(np.float64))
        right.append((taken >= 0) & ~on_ignored)
        wrong.append(taken < 0)
    if not categories:
        none = np.zeros((0, len(THRESHOLDS)), np.bool_)
        return Matches(np.zeros(0, np.int64), np.zeros(0), none, none, objects.categories[~objects.ignored])
    return Matches(
        np.concatenate(categories),
        np.concatenate(scores),
        np.concatenate(right),
        np.concatenate(wrong),
        objects.categories[~objects.ignored],
    )


def _overlaps(found: Doubles, objects: Doubles, crowds: Flags) -> Doubles:
    """Return the overlap `(D, N)` of each detection with each object; both are left, top, width, height."""
    if not len(found) or not len(objects):
        return np.zeros((len(found), len(objects)))
    overlaps: Doubles = np.asarray(coco_mask.iou(found, objects, crowds.astype(np.uint8).tolist()))
    return overlaps


def _taken(overlaps: Doubles, ignored: Flags, crowds: Flags) -> Ids:
    """Return for each detection `(D, 10)` the object that it takes at each threshold, -1 for none.

    Objects are sorted so that the ignored are last: one is taken only where no other is overlapped enough, and of
    equal overlaps the last object is taken, as the official code does.
    """
    taken = np.full((len(overlaps), len(THRESHOLDS)), -1, np.int64)
    for column, threshold in enumerate(THRESHOLDS):
        free = np.ones(overlaps.shape[1], np.bool_)
        for row, mine in enumerate(overlaps):
            can = free & (mine >= min(threshold, _ALMOST))
            can = can & ~ignored if (can & ~ignored).any() else can
            if can.any():
                best = int(np.flatnonzero(can & (mine == mine[can].max()))[-1])
                taken[row, column] = best
                free[best] = crowds[best]
    return taken


class Ranking:
    """All pictures' detections, sorted once, so that AP with other weights of the pictures is fast."""

    def __init__(self, pictures: Sequence[Matches]) -> None:
        """Sort the detections of `pictures`; where scores are equal the earlier picture is first."""
        self.count = len(pictures)
        categories = np.concatenate([one.categories for one in pictures])
        scores = np.concatenate([one.scores for one in pictures])
        order = np.lexsort((-scores, categories))
        self._right = np.concatenate([one.right for one in pictures])[order].astype(np.float64)
        self._wrong = np.concatenate([one.wrong for one in pictures])[order].astype(np.float64)
        self._picture = np.repeat(np.arange(self.count), [len(one.scores) for one in pictures])[order]
        self._objects = np.concatenate([one.objects for one in pictures])
        self._owner = np.repeat(np.arange(self.count), [len(one.objects) for one in pictures])
        self.categories = np.unique(self._objects)
        every = np.concatenate([self._objects, categories])
        place = np.searchsorted(self.categories, every)
        known = (place < len(self.categories)) & np.isin(every, self.categories)
        owner = np.concatenate([self._owner, np.repeat(np.arange(self.count), [len(one.scores) for one in pictures])])
        self._held, self._holder = place[known], owner[known]
        self._start = np.searchsorted(categories[order], self.categories, side="left")
        self._stop = np.searchsorted(categories[order], self.categories, side="right")

    def places_of(self, picture: int) -> list[int]:
        """Return the places in `categories` of those that a picture has detections or objects of."""
        mine = self._held[self._holder == picture]
        return [int(place) for place in np.unique(mine)]

    def precision(self, weights: Doubles, columns: slice = slice(None)) -> float | None:
        """Return the mean AP at the thresholds `columns`, picture i counting `weights[i]` times.

        Equal scores of one picture keep their order, each counted that often: a picture that really stood there twice
        would begin anew after its last. Weights of 0 and 1 know no such difference.

        None: no picture that counts has an object.
        """
        by_category = [self.of_category(place, weights, columns) for place in range(len(self.categories))]
        held = [value for value in by_category if value is not None]
        return float(np.mean(held)) if held else None

    def of_category(self, place: int, weights: Doubles, columns: slice = slice(None)) -> float | None:
        """Return the AP of the category at that place of `categories`, None where no picture that counts has one."""
        total = weights[self._owner[self._objects == self.categories[place]]].sum()
        if total == 0:
            return None
        rows = slice(self._start[place], self._stop[place])
        weight = weights[self._picture[rows]][:, None]
        right = np.cumsum(self._right[rows, columns] * weight, axis=0)
        wrong = np.cumsum(self._wrong[rows, columns] * weight, axis=0)
        recall = right / total
        precision = right / (right + wrong + np.spacing(1))
        best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        beyond = np.concatenate([best, np.zeros((1, best.shape[1]))])
        at = [np.searchsorted(recall[:, column], RECALLS) for column in range(recall.shape[1])]
        return float(np.mean([beyond[reached, column] for column, reached in enumerate(at)]))
