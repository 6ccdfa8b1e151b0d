"""The nearest training picture by pixels: what the captioning baseline of `retrieval` looks up.

The distance is the Euclidean one between thumbnails: 16 x 16 RGB pixels, each the average of what it covers (Pillow's
box filter, the picture's shape squashed), as tiny images are compared in Torralba et al. 2008 (there 32 x 32 and grey
levels normalised, which is not done here). Squares and sums are whole numbers below 2^53, so that no answer depends on
what else is asked; of equally near pictures the first is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from evalkit.features.cache import FeatureCache, Vectors
from evalkit.features.pictures import Picture, identities, load
from evalkit.images import Pixels
from evalkit.workspace import Workspace
from evalkit_tasks.shown import in_parts

SIDE = 16
DISTANCE = "Euclidean, 16 x 16 RGB box averages"
FINGERPRINT = "thumbnail 16 x 16 RGB, box@1"
"""What the remembered numbers are, in place of an extractor's fingerprint."""
AT_ONCE = 4_096
"""Training pictures that are compared at a time."""


def thumbnail(pixels: Pixels) -> Vectors:
    """Return the thumbnail `(768,)` of pixels `(H, W, 3)`: whole numbers 0 to 255."""
    small = PillowImage.fromarray(pixels).resize((SIDE, SIDE), PillowImage.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).reshape(-1)


class NearestPicture:
    """Finds the nearest of `pictures`; their thumbnails are made when they are first needed, and remembered."""

    def __init__(self, pictures: Sequence[Picture], workspace: Workspace) -> None:
        self._pictures = pictures
        self._workspace = workspace
        self._thumbnails: Vectors | None = None

    def __call__(self, shown: Sequence[Pixels]) -> list[int]:
        """Return the position of the nearest picture to each of `shown`.

        Raises:
            DataError: a training picture cannot be read.
        """
        if not shown:
            return []
        if self._thumbnails is None:
            self._thumbnails = _thumbnails(self._pictures, self._workspace)
        asked = np.stack([thumbnail(pixels) for pixels in shown]).astype(np.float64)
        best = np.full(len(asked), np.inf)
        nearest = np.zeros(len(asked), np.int64)
        for start in range(0, len(self._thumbnails), AT_ONCE):
            known = self._thumbnails[start : start + AT_ONCE].astype(np.float64)
            distances = _squared_distances(asked, known)
            here = distances.argmin(axis=1)
            found = distances[np.arange(len(asked)), here]
            better = found < best
            best[better], nearest[better] = found[better], start + here[better]
        return nearest.tolist()


def _squared_distances(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None] - 2 * (a @ b.T)
    return found


def _thumbnail_of(picture: Picture) -> Vectors:
    return thumbnail(load(picture))


def _thumbnails(pictures: Sequence[Picture], workspace: Workspace) -> Vectors:
    with FeatureCache(workspace.cache / "features") as cache:
        ids = identities(pictures, cache)
        vectors, found = cache.get_many(ids, FINGERPRINT, SIDE * SIDE * 3)
        fresh = [place for place in range(len(pictures)) if not found[place]]
        for places, made in in_parts(_thumbnail_of, pictures, fresh, "thumbnails of training pictures", workspace):
            vectors[places] = made
            cache.put_many([ids[place] for place in places], FINGERPRINT, made)
    return vectors
