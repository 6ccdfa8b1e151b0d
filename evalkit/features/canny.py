"""Canny's edges as kornia finds them, in numpy: what the canny condition of ControlNet++ is.

A grey plane in 0 to 1 is blurred, differentiated by Sobel's kernels without dividing by 8 (so a step of 1 has a
magnitude of about 2.6, and thresholds of 0.1 and 0.2 find faint edges), thinned along the gradient's direction to the
nearest 45 degrees, and followed from strong to weak pixels.

Source: Canny 1986, doi:10.1109/TPAMI.1986.4767851, as in kornia 0.9.0, `kornia/filters/canny.py`, which is compared
with in tests. Deviations: all is computed in float64, and magnitudes within 1e-9 are equal. So of two equal pixels
across a step the left or upper one is kept, as kornia means it, where there rounding decides which one; on drawn
pictures that moves edges by a pixel. ControlNet++ asks for kornia 0.7.0, which has no rule for equal pixels. On 30
photos of COCO val2017 at 512 x 512 the map equals those of kornia 0.7.2 and 0.9.0 in float64 pixel for pixel, and those
in float32 but for two pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from evalkit.features.planes import BytePlane
from evalkit.images import Pixels
from evalkit.keys import digest
from evalkit.types import JsonScalar

Edges: TypeAlias = npt.NDArray[np.bool_]
Plane: TypeAlias = npt.NDArray[np.float64]

LOW, HIGH = 0.1, 0.2
"""ControlNet++'s thresholds, of the magnitude before it is divided by 8."""
CODE_VERSION = 1
"""Raised with every change that moves an edge."""

_GREY = np.array([0.299, 0.587, 0.114])
_EPSILON = 1e-6
_EQUAL = 1e-9
_AROUND = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""Row and column of the neighbour in each direction, from right over down in steps of 45 degrees."""


def canny(pixels: Pixels, low: float = LOW, high: float = HIGH) -> Edges:
    """Return the edges `(H, W)` of a picture `(H, W, 3)`.

    >>> step = np.zeros((5, 6, 3), np.uint8)
    >>> step[:, 3:] = 255
    >>> canny(step)[2].astype(int).tolist()
    [0, 0, 1, 0, 0, 0]
    """
    magnitude, direction = _gradient(_blurred(pixels / 255 @ _GREY))
    thin = magnitude * _is_ridge(magnitude, direction)
    groups, count = ndimage.label(thin > low, np.ones((3, 3), bool))
    strong = np.zeros(count + 1, bool)
    strong[np.unique(groups[thin > high])] = True
    strong[0] = False
    found: Edges = strong[groups]
    return found


def _blurred(grey: Plane) -> Plane:
    """Return the plane blurred by a Gaussian of 5 x 5 pixels and a deviation of 1, the border mirrored."""
    kernel = np.exp(-np.square(np.arange(-2, 3)) / 2)
    for axis in (0, 1):
        grey = ndimage.correlate1d(grey, kernel / kernel.sum(), axis, mode="mirror")
    return grey


def _gradient(grey: Plane) -> tuple[Plane, npt.NDArray[np.int64]]:
    """Return the length of Sobel's gradient, and its direction as a position in `_AROUND`."""
    dx, dy = (ndimage.sobel(grey, along, mode="nearest") for along in (1, 0))
    direction = np.rint(np.arctan2(dy, dx) * (4 / math.pi)).astype(np.int64) % 8
    return np.sqrt(dx * dx + dy * dy + _EPSILON), direction


def _is_ridge(magnitude: Plane, direction: npt.NDArray[np.int64]) -> Edges:
    """Return which pixels are larger than both neighbours along their direction.

    To the right and downwards a neighbour may be as large, so that of two equal pixels across a step one is kept.
    """
    height, width = magnitude.shape
    flat = math.sqrt(_EPSILON)
    padded = np.pad(magnitude, 1, constant_values=flat)
    ridge: Edges = magnitude > flat + _EQUAL
    for place, (row, column) in enumerate(_AROUND):
        neighbour = padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        least = neighbour - _EQUAL if place in {0, 2} else neighbour + _EQUAL
        ridge &= (magnitude > least) | (direction % 4 != place % 4)
    return ridge


class CannyAnnotator:
    """Canny's edges as maps: 255 on an edge, 0 elsewhere."""

    name = "canny"

    def prepare(self) -> None:
        """Do nothing: no weights are needed."""

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """The thresholds and the blur."""
        return {
            "annotator": "canny, kornia's",
            "low": LOW,
            "high": HIGH,
            "blur": "5x5, sigma 1",
            "version": CODE_VERSION,
        }

    @property
    def fingerprint(self) -> str:
        """Digest of the choices and of this code's version."""
        return digest(dict(self.protocol_fields))

    def plane(self, picture: Pixels) -> BytePlane:
        """Return the map `(H, W)` of a picture `(H, W, 3)`."""
        return canny(picture).astype(np.uint8) * np.uint8(255)
