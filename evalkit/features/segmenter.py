"""What Mask2Former finds in pictures, masks and all: from the feature cache or computed, once for all scores.

A box detector stands in for it where only boxes are asked for: its objects have no masks.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Protocol

from evalkit.errors import CacheError, UsageError
from evalkit.features.cache import FeatureCache
from evalkit.features.detector import Detector
from evalkit.features.fingerprints import fingerprint_of
from evalkit.features.pictures import Picture, identities, load
from evalkit.features.segments import Segments, segments_of
from evalkit.images import Pixels
from evalkit.keys import digest
from evalkit.types import JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.weights import Found, require
from evalkit.workspace import Workspace

MASK2FORMER = "mask2former-swin-s-hf"
CODE_VERSION = 1
"""Raised with every change that moves a mask by even one pixel: what older code kept is then not found."""


class Segmenter(Protocol):
    """What finds objects, with their pixels where it can."""

    @property
    def name(self) -> str:
        """What stands in the names of numbers."""
        ...

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a box or mask."""
        ...

    def prepare(self) -> None:
        """Find what it needs."""
        ...

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> list[Segments]:
        """Return what is in each picture."""
        ...


class Mask2Former:
    """Mask2Former Swin-S of the Hugging Face hub. Pictures go through it one at a time."""

    def __init__(self, workspace: Workspace, table: Mapping[str, Weight] = WEIGHTS) -> None:
        self._workspace = workspace
        self._table = table

    @property
    def name(self) -> str:
        """Its name, which says that it is not the file of mmdetection."""
        return MASK2FORMER

    def prepare(self) -> None:
        """Find, or fetch, the weights, and see that what runs them is installed.

        Raises:
            WeightsError: they cannot be had; the message says how to get them.
            UsageError: transformers is missing.
        """
        _ = self._found
        if importlib.util.find_spec("transformers") is None:
            raise UsageError(f"{self.name} needs transformers; pip install 'evalkit-multimodal[transformers]'")

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a box by more than rounding.

        Raises:
            WeightsError: see `prepare`.
        """
        return {
            "detector": f"{self.name}: instances, by the network's authors; not the panoptic file of mmdetection",
            "detector_weights": self._found.sha256,
            "detector_resize": "bilinear-pil, shorter side 800, longer at most 1333, padded to 32",
            "detector_limit": 100,
            "dtype": "float32",
            "decoder": "pillow",
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the protocol fields, of this code, and of the libraries and processor that may move the last bits.

        Raises:
            WeightsError: see `prepare`.
        """
        libraries = ("torch", "transformers")
        return fingerprint_of(self.protocol_fields, CODE_VERSION, self._workspace.device, libraries)

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> list[Segments]:
        """Return what is in each of `pictures`.

        Raises:
            WeightsError: see `prepare`.
            DataError: a picture cannot be read.
            CacheError: the cache is damaged or cannot be written.
        """
        return [
            self._of(name, picture, cache) for name, picture in zip(identities(pictures, cache), pictures, strict=True)
        ]

    def _of(self, name: str, picture: Picture, cache: FeatureCache | None) -> Segments:
        if cache is None:
            return self._detect(load(picture))
        key = digest([name, self.fingerprint])
        kept = cache.get_statistics(key)
        if kept is None:
            found = self._detect(load(picture))
            cache.put_statistics(key, found.arrays())
            return found
        try:
            return segments_of(kept)
        except ValueError as error:
            raise CacheError(f"the objects of {name} ({key}) are damaged ({error}); delete that file") from error

    @cached_property
    def _found(self) -> Found:
        return require(self.name, self._workspace, self._table)

    @cached_property
    def _detect(self) -> Callable[[Pixels], Segments]:
        from evalkit.features.mask2former_instances import mask2former

        return mask2former(self._found, self._workspace.device)


class BoxSegmenter:
    """A box detector in the place of a segmenter."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    @property
    def name(self) -> str:
        """That of the detector."""
        return self._detector.name

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Those of the detector, and that it gives no masks."""
        return {**self._detector.protocol_fields, "detector_masks": False}

    def prepare(self) -> None:
        """Find what the detector needs.

        Raises:
            WeightsError: its weights cannot be had.
            UsageError: a package is missing.
        """
        self._detector.prepare()

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> list[Segments]:
        """Return what is in each of `pictures`, as boxes."""
        found = self._detector.pictures(pictures, cache)
        return [Segments(one, 0, 0) for one in found]
