"""Detections with the pixels of each object, and how they lie in the feature cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from evalkit.features.detections import COLUMNS, Detections, packed, unpacked

Inside: TypeAlias = npt.NDArray[np.bool_]
Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The objects found in a picture of `height` by `width` pixels, each with its pixels as COCO's run-length code.

    `runs` is empty where the detector gives boxes alone.
    """

    found: Detections
    height: int
    width: int
    runs: tuple[bytes, ...] = ()

    def inside(self, number: int) -> Inside | None:
        """Return which pixels `(height, width)` are of object `number`, None where only its box is known."""
        if not self.runs:
            return None
        decoded = coco_mask.decode({"size": [self.height, self.width], "counts": self.runs[number]})
        inside: Inside = decoded.astype(np.bool_)
        return inside

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return what is kept in the cache."""
        return {
            "rows": packed(self.found, len(self.found)),
            "size": np.array([self.height, self.width], np.int64),
            "lengths": np.array([len(run) for run in self.runs], np.int64),
            "runs": np.frombuffer(b"".join(self.runs), np.uint8),
        }


def encoded(inside: Inside) -> bytes:
    """Return a mask `(H, W)` as COCO's run-length code."""
    runs: bytes = coco_mask.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"]
    return runs


def segments_of(arrays: Arrays) -> Segments:
    """Return what `Segments.arrays` made these arrays of.

    Raises:
        ValueError: they are of another kind.
    """
    try:
        rows, size, lengths, runs = (arrays[name] for name in ("rows", "size", "lengths", "runs"))
    except KeyError as error:
        raise ValueError(f"no {error} among {sorted(arrays)}") from error
    found = unpacked(np.asarray(rows, np.float32))
    ends = np.cumsum(np.asarray(lengths, np.int64))
    if len(rows) != COLUMNS * len(found) or len(ends) not in {0, len(found)}:
        raise ValueError(f"{len(found)} detections with {len(ends)} masks")
    whole = np.asarray(runs, np.uint8).tobytes()
    if (int(ends[-1]) if len(ends) else 0) != len(whole):
        raise ValueError("the masks are cut off")
    starts = np.concatenate([[0], ends[:-1]]).astype(int) if len(ends) else []
    pieces = tuple(whole[start:end] for start, end in zip(starts, ends, strict=True))
    return Segments(found, int(np.asarray(size)[0]), int(np.asarray(size)[1]), pieces)
