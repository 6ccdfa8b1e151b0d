"""Requests brought together into passes of one fixed size, so that an answer does not depend on its neighbours.

Arithmetic on a batch rounds differently for each batch size and each padded length, and a rounding can turn an answer.
So a pass always has the same number of rows, all of one shape, and a row's shape depends on its own request only: what
the other rows hold changes nothing. Missing rows are filled with copies of the last one, whose answers are dropped.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def passes(rows: Sequence[tuple[Hashable, T]], size: int) -> Iterator[tuple[list[T], int]]:
    """Yield lists of `size` rows of equal shape, each with how many of its rows are real; every row once.

    `rows` pairs each row's shape with the row.

    >>> list(passes([("a", 1), ("b", 2), ("a", 3), ("a", 4)], 2))
    [([1, 3], 2), ([4, 4], 1), ([2, 2], 1)]
    """
    by_shape: dict[Hashable, list[T]] = {}
    for shape, row in rows:
        by_shape.setdefault(shape, []).append(row)
    for alike in by_shape.values():
        for start in range(0, len(alike), size):
            real = alike[start : start + size]
            yield real + [real[-1]] * (size - len(real)), len(real)
