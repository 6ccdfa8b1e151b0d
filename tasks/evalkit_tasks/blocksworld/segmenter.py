"""The oracle as a segmenter: what it reads of a picture, mapped again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.features.planes import BytePlane
from evalkit.images import Pixels
from evalkit.keys import digest
from evalkit.types import JsonScalar
from evalkit_tasks.blocksworld.judging import JUDGE, JUDGE_VERSION
from evalkit_tasks.blocksworld.oracle import read
from evalkit_tasks.blocksworld.truth import label_map


@dataclass(frozen=True, slots=True)
class OracleSegmenter:
    """Maps a picture of blocks: 0 for the background, and the classes of the shapes."""

    name: str = "blocksworld-oracle"

    def prepare(self) -> None:
        """Do nothing: no weights are needed."""

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """The oracle's version."""
        return {"segmenter": self.name, "judge": JUDGE, "judge_version": JUDGE_VERSION}

    @property
    def fingerprint(self) -> str:
        """Digest of the oracle's version."""
        return digest(dict(self.protocol_fields))

    def plane(self, picture: Pixels) -> BytePlane:
        """Return the class `(H, W)` of each pixel of a square picture `(H, W, 3)`."""
        height, width, _ = picture.shape
        return label_map(read(picture).scene, max(height, width))[:height, :width].astype(np.uint8)
