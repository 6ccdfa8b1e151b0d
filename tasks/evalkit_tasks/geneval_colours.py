"""The colour of an object, as GenEval tells it: CLIP ViT-L/14 among ten colours, on the object over grey.

What is not the object is painted #999, the picture is cut to the box, and the crop is compared with the mean of three
texts for each colour: "a photo of a red CLASS", "a photo of a red-colored CLASS", "a photo of a red object".

Source: djghosh13/geneval at af4902f2, `evaluation/evaluate_images.py`, with clip_benchmark's zero-shot classifier,
whose class vector is the mean of unit vectors of texts. It runs in 16 bits on a GPU; here it is always 32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evalkit.features.cache import FeatureCache, Vectors
from evalkit.features.encoder import Encoder, unit
from evalkit.images import Pixels, image_of
from evalkit_tasks.geneval_judging import COLOURS, Seen

TEMPLATES = ("a photo of a {colour} {name}", "a photo of a {colour}-colored {name}", "a photo of a {colour} object")
GREY = 0x99


def colours(clip: Encoder, name: str, crops: Sequence[Pixels], cache: FeatureCache | None) -> list[str]:
    """Return the colour of each crop `(H, W, 3)` of an object of class `name`.

    Raises:
        WeightsError: CLIP's weights cannot be had.
        CacheError: the cache is damaged or cannot be written.
    """
    if not crops:
        return []
    vectors = unit(clip.pictures([image_of(crop) for crop in crops], cache))
    return [COLOURS[place] for place in (vectors @ classifier(clip, name, cache).T).argmax(axis=1)]


def classifier(clip: Encoder, name: str, cache: FeatureCache | None) -> Vectors:
    """Return a unit vector `(10, D)` for each colour of an object of class `name`.

    Raises:
        WeightsError: CLIP's weights cannot be had.
        CacheError: the cache is damaged or cannot be written.
    """
    texts = [template.format(colour=colour, name=name) for colour in COLOURS for template in TEMPLATES]
    vectors = unit(clip.texts(texts, cache)).reshape(len(COLOURS), len(TEMPLATES), -1)
    return unit(vectors.mean(axis=1))


def crop(picture: Pixels, seen: Seen, inside: npt.NDArray[np.bool_] | None) -> Pixels:
    """Return an object cut out of `picture` `(H, W, 3)`, grey where it is not the object `inside` `(H, W)`.

    Without `inside` the background stays, as in the official code for detectors without masks.
    """
    left, top, right, bottom = (round(side) for side in seen.box)
    height, width = picture.shape[:2]
    if inside is not None:
        picture = np.where(inside[:, :, None], picture, np.uint8(GREY))
    cut = picture[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    # A box of no pixels cannot be looked at: one grey pixel stands for it.
    return np.ascontiguousarray(cut) if cut.size else np.full((1, 1, 3), GREY, np.uint8)
