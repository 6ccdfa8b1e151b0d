"""Label maps as pictures that a tokenizer can see: each class in a colour of its own."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

_CLASSES = 256


@cache
def palette() -> npt.NDArray[np.uint8]:
    """Return the colours `(256, 3)` of classes 0 to 255; 0 is black.

    Bits 0, 3 and 6 of a class make the high bits of red, bits 1, 4 and 7 those of green, bits 2 and 5 those of blue:
    the palette of PASCAL VOC's label maps.
    """
    classes = np.arange(_CLASSES)
    colours = np.zeros((_CLASSES, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((classes >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colours


def painted(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Return the picture `(H, W, 3)` of classes `(H, W)`.

    Raises:
        ValueError: a class is below 0 or above 255.
    """
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < _CLASSES:
        raise ValueError(f"a label map holds class {int(labels.max())}; classes 0 to 255 can be painted")
    return palette()[labels]
