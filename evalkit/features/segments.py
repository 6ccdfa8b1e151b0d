"""Detections with the pixels of each object, and how they lie in the feature cache."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit.features.detections import COLUMNS, Detections, packed, unpacked

Inside: TypeAlias = npt.NDArray[np.bool_]
Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The objects found in a picture of `height` by `width` pixels, each with its pixels as `encoded` packs them.

    `packs` is empty where the detector gives boxes alone.
    """

    found: Detections
    height: int
    width: int
    packs: tuple[bytes, ...] = ()

    def inside(self, number: int) -> Inside | None:
        """Return which pixels `(height, width)` are of object `number`, None where only its box is known."""
        if not self.packs:
            return None
        bits = np.frombuffer(zlib.decompress(self.packs[number]), np.uint8)
        return np.unpackbits(bits, count=self.height * self.width).reshape(self.height, self.width).astype(np.bool_)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return what is kept in the cache."""
        return {
            "rows": packed(self.found, len(self.found)),
            "size": np.array([self.height, self.width], np.int64),
            "lengths": np.array([len(pack) for pack in self.packs], np.int64),
            "packs": np.frombuffer(b"".join(self.packs), np.uint8),
        }


def encoded(inside: Inside) -> bytes:
    """Return a mask `(H, W)` as deflated bits, row by row."""
    return zlib.compress(np.packbits(inside).tobytes())


def segments_of(arrays: Arrays) -> Segments:
    """Return what `Segments.arrays` made these arrays of.

    Raises:
        ValueError: they are of another kind.
    """
    try:
        rows, size, lengths, packs = (arrays[name] for name in ("rows", "size", "lengths", "packs"))
    except KeyError as error:
        raise ValueError(f"no {error} among {sorted(arrays)}") from error
    found = unpacked(np.asarray(rows, np.float32))
    ends = np.cumsum(np.asarray(lengths, np.int64))
    if len(rows) != COLUMNS * len(found) or len(ends) not in {0, len(found)}:
        raise ValueError(f"{len(found)} detections with {len(ends)} masks")
    whole = np.asarray(packs, np.uint8).tobytes()
    if (int(ends[-1]) if len(ends) else 0) != len(whole):
        raise ValueError("the masks are cut off")
    stops = [int(end) for end in ends]
    pieces = tuple(whole[start:end] for start, end in zip([0, *stops[:-1]], stops, strict=False))
    return Segments(found, int(np.asarray(size)[0]), int(np.asarray(size)[1]), pieces)
