"""Random choices that are the same on every platform and with every library version.

NumPy keeps its bit generators stable but not the methods that draw from them, so blocksworld has its own: SplitMix64 in
Python's whole numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


def mixed(value: int) -> int:
    """Return the 64 bits of `value` well mixed.

    Source: the output function of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
    """
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Draws:
    """A stream of random choices fixed by a purpose and numbers: two purposes never share a stream."""

    __slots__ = ("_state",)

    def __init__(self, purpose: str, *numbers: int) -> None:
        name = ":".join((purpose, *map(str, numbers)))
        self._state = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")

    def below(self, n: int) -> int:
        """Return a whole number, 0 <= number < n; its bias is under n / 2**64."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        return (mixed(self._state) * n) >> 64

    def between(self, low: int, high: int) -> int:
        """Return a whole number, low <= number <= high."""
        return low + self.below(high - low + 1)

    def one_of(self, options: Sequence[T]) -> T:
        """Return one of `options`."""
        return options[self.below(len(options))]

    def percent(self, chance: int) -> bool:
        """Return True in `chance` of 100 draws."""
        return self.below(100) < chance

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """Return `options` in a random order."""
        order = list(options)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order
