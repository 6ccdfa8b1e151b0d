"""GenEval's published rule once more, word by word and slowly, to compare with: lists of boxes, no shared code."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Found = dict[str, list[tuple[list[float], float]]]
"""By class, boxes (left, top, right, bottom) and scores in any order."""


def verdict(line: dict[str, object], found: Found, colour: Callable[[list[float], str], str]) -> bool:
    """Whether a picture is right: `line` is one of the official file's."""
    least = 0.9 if line["tag"] == "counting" else 0.3
    held: dict[str, list[list[float]]] = {}
    for name, boxes in found.items():
        sure = [pair for pair in boxes if np.float32(pair[1]) > np.float32(least)]  # as numpy compares the official's
        sure.sort(key=lambda pair: pair[1], reverse=True)
        held[name] = [box for box, _ in sure[:16]]
    good = True
    groups: list[list[list[float]] | None] = []
    for want in line["include"]:  # type: ignore[attr-defined]
        looked = held.get(want["class"], [])[: want["count"]]
        fine = len(looked) == want["count"]
        if fine and "color" in want:
            fine = sum(colour(box, want["class"]) == want["color"] for box in looked) >= want["count"]
        if fine and "position" in want:
            fine = stands(looked, groups[want["position"][1]], want["position"][0])
        groups.append(looked if fine else None)
        good = good and fine
    for want in line.get("exclude", []):  # type: ignore[attr-defined]
        if len(held.get(want["class"], [])) >= want["count"]:
            good = False
    return good


def stands(looked: list[list[float]], others: list[list[float]] | None, word: str) -> bool:
    """Whether each of `looked` is in the relation to each of `others`, which were found."""
    if others is None:
        return False
    for box in looked:
        for other in others:
            if word not in words(box, other):
                return False
    return True


def words(a: list[float], b: list[float]) -> set[str]:
    """Where `a` is relative to `b`: the offset of the centres, less a tenth of the sizes, as a share of its length."""
    offset = [(a[i] + a[i + 2]) / 2 - (b[i] + b[i + 2]) / 2 for i in (0, 1)]
    sizes = [abs(a[i + 2] - a[i]) + abs(b[i + 2] - b[i]) for i in (0, 1)]
    left = []
    for along, size in zip(offset, sizes, strict=True):
        rest = abs(along) - 0.1 * size
        sign = 1 if along > 0 else -1 if along < 0 else 0
        left.append((rest if rest > 0 else 0) * sign)
    if abs(left[0]) < 1e-3 and abs(left[1]) < 1e-3:
        return set()
    length = math.sqrt(offset[0] ** 2 + offset[1] ** 2)
    dx, dy = left[0] / length, left[1] / length
    said = set()
    if dx < -0.5:
        said.add("left of")
    if dx > 0.5:
        said.add("right of")
    if dy < -0.5:
        said.add("above")
    if dy > 0.5:
        said.add("below")
    return said
