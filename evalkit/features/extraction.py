"""Rows by name, those in the cache read and the others computed and added to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from evalkit.features.cache import FeatureCache, Vectors

Compute: TypeAlias = Callable[[list[int]], Iterator[tuple[list[int], Vectors]]]
"""Yields positions, a batch at a time and in any order, with their rows `(n, D)`."""


def cached_rows(
    names: Sequence[str], cache: FeatureCache | None, fingerprint: str, dim: int, compute: Compute
) -> Vectors:
    """Return the rows `(N, dim)` of `names`, of which a repeated one is computed once.

    `compute` is given the positions of the names that are not in the cache; each batch is committed as it comes.

    Raises:
        CacheError: the cache is damaged or cannot be written. What `compute` raises goes through.
    """
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        first.setdefault(name, position)
    distinct = list(first)
    place = {name: row for row, name in enumerate(distinct)}
    if cache is None:
        rows, found = np.zeros((len(distinct), dim), np.float32), np.zeros(len(distinct), np.bool_)
    else:
        rows, found = cache.get_many(distinct, fingerprint, dim)
    missing = [first[name] for name in distinct if not found[place[name]]]
    for positions, computed in compute(missing) if missing else ():
        some = [names[position] for position in positions]
        rows[[place[name] for name in some]] = computed
        if cache is not None:
            cache.put_many(some, fingerprint, computed)
    return rows if len(distinct) == len(names) else rows[[place[name] for name in names]]
