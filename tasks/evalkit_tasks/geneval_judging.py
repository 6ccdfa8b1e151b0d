"""GenEval's rule: whether the objects that were found in a picture are those that a prompt asks for.

A prompt asks by clauses. Of each class at least `count` objects are there, of which the `count` surest are looked at:
all of the named colour, all in the named relation to all those of an earlier clause. An excluded class has fewer than
its `count`. An object is there if its score is above .3, above .9 where the prompt counts; of a class at most the 16
surest are.

A is left of B if its centre is, once a tenth of both widths is taken off, by more than half of the distance between
their centres; right, above and below alike. So both a word across and a word down may hold, or none.

Source: Ghosh et al. 2023, arXiv:2310.11513; djghosh13/geneval at af4902f2, `evaluation/evaluate_images.py`. There the
taken-off offset is divided by the length of the offset as it was, which is kept here. Its non-maximum suppression is
off by default, and left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from evalkit.features.detections import COCO_IDS, Detections

TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
"""The six tasks, in the order of the official file."""
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
THRESHOLD, COUNTING_THRESHOLD = 0.3, 0.9
MOST = 16
"""Objects of one class that are kept, the surest."""
MARGIN = 0.1
"""Share of both sizes that is taken off an offset."""
_NOTHING = 1e-3

_OTHER_NAMES = {"mouse": "computer mouse", "remote": "tv remote", "keyboard": "computer keyboard"}
"""What GenEval calls three of COCO's categories."""

Relation: TypeAlias = Literal["left of", "right of", "above", "below"]
RELATIONS: tuple[Relation, ...] = ("left of", "right of", "above", "below")


@dataclass(frozen=True, slots=True)
class Clause:
    """What a prompt asks of one class. `position` is a relation to the objects of the clause of that number."""

    name: str
    count: int
    colour: str | None = None
    position: tuple[Relation, int] | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt with what it asks for; `excluded` classes have fewer objects than their `count`."""

    tag: str
    prompt: str
    included: tuple[Clause, ...]
    excluded: tuple[Clause, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One object: left, top, right and bottom in pixels, and its number among what was found in the picture."""

    box: tuple[float, float, float, float]
    number: int = 0


ColoursOf: TypeAlias = Callable[[Sequence[Seen], str], Sequence[str]]
"""Returns the colour of each object of a class."""


def class_names(categories: Mapping[int, str]) -> dict[str, int]:
    """Return the id of each of GenEval's 80 classes by its name, COCO's names being `categories`."""
    return {_OTHER_NAMES.get(categories[number], categories[number]): number for number in COCO_IDS}


def kept(found: Detections, names: Mapping[str, int], tag: str) -> dict[str, list[Seen]]:
    """Return the objects of each class that count as there, the surest first."""
    least = COUNTING_THRESHOLD if tag == "counting" else THRESHOLD
    by_class: dict[str, list[Seen]] = {}
    for name, category in names.items():
        mine = np.flatnonzero((found.categories == category) & (found.scores > least))
        mine = mine[np.argsort(-found.scores[mine], kind="stable")][:MOST]
        if len(mine):
            corners = found.boxes[mine].astype(float).tolist()
            by_class[name] = [
                Seen((a, b, c, d), int(number)) for (a, b, c, d), number in zip(corners, mine, strict=True)
            ]
    return by_class


def is_right(item: Item, seen: Mapping[str, Sequence[Seen]], colours: ColoursOf) -> bool:
    """Return whether a picture in which these objects are seen is what `item` asks for."""
    groups: list[Sequence[Seen] | None] = []
    for clause in item.included:
        mine = seen.get(clause.name, ())[: clause.count]
        groups.append(mine if _holds(clause, mine, groups, colours) else None)
    enough = all(group is not None for group in groups)
    return enough and all(len(seen.get(clause.name, ())) < clause.count for clause in item.excluded)


def _holds(clause: Clause, mine: Sequence[Seen], groups: Sequence[Sequence[Seen] | None], colours: ColoursOf) -> bool:
    if len(mine) < clause.count:
        return False
    if clause.colour is not None and list(colours(mine, clause.name)).count(clause.colour) < clause.count:
        return False
    if clause.position is None:
        return True
    relation, target = clause.position
    others = groups[target]
    return others is not None and all(relation in relations(a.box, b.box) for a in mine for b in others)


def relations(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> frozenset[Relation]:
    """Return where box `a` is as `b` sees it; both are left, top, right, bottom.

    >>> sorted(relations((0, 0, 10, 10), (40, 0, 50, 10)))
    ['left of']
    >>> sorted(relations((0, 0, 10, 10), (2, 0, 12, 10)))
    []
    """
    across = (a[0] + a[2] - b[0] - b[2]) / 2
    down = (a[1] + a[3] - b[1] - b[3]) / 2
    aside = _beyond(across, abs(a[2] - a[0]) + abs(b[2] - b[0]))
    below = _beyond(down, abs(a[3] - a[1]) + abs(b[3] - b[1]))
    if abs(aside) < _NOTHING and abs(below) < _NOTHING:
        return frozenset()
    length = math.hypot(across, down)
    shares = dict(zip(RELATIONS, (-aside / length, aside / length, -below / length, below / length), strict=True))
    return frozenset(word for word, share in shares.items() if share > 0.5)


def _beyond(offset: float, sizes: float) -> float:
    return math.copysign(max(abs(offset) - MARGIN * sizes, 0.0), offset)
