"""What COCO detectors find in pictures: from the feature cache or computed, once for all scores that share it.

Neither torch, onnxruntime nor the weights are loaded before they are needed: with everything in the cache, they are
not.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np

from evalkit.errors import UsageError
from evalkit.features.cache import FeatureCache, Vectors
from evalkit.features.detections import COLUMNS, Detections, packed, unpacked
from evalkit.features.detectors import DetectorSpec, detector_spec
from evalkit.features.extraction import cached_rows
from evalkit.features.fingerprints import fingerprint_of
from evalkit.features.pictures import Picture, identities, load
from evalkit.images import Pixels
from evalkit.types import JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.weights import Found, require
from evalkit.workspace import Workspace

CODE_VERSION = 1
"""Raised with every change that moves a box by even one bit: cached detections of older code are then not found."""

Detect: TypeAlias = Callable[[Pixels], Detections]


class Detector:
    """One detector. Pictures go through it one at a time, so what is found cannot depend on what they stand with."""

    def __init__(self, workspace: Workspace, spec: DetectorSpec, table: Mapping[str, Weight] = WEIGHTS) -> None:
        self._workspace = workspace
        self._spec = spec
        self._table = table

    @property
    def name(self) -> str:
        """Its name, which stands in the name of each score."""
        return self._spec.name

    def prepare(self) -> None:
        """Find, or fetch, the weights, and see that what runs them is installed.

        Raises:
            WeightsError: they cannot be had; the message says how to get them.
            UsageError: a package is missing.
        """
        _ = self._found
        if self._spec.kind == "yolo-onnx" and importlib.util.find_spec("onnxruntime") is None:
            raise UsageError(f"{self.name} needs onnxruntime; pip install 'evalkit-multimodal[onnx]'")

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a box by more than rounding.

        Raises:
            WeightsError: see `prepare`.
        """
        return {
            "detector": self.name,
            "detector_weights": self._found.sha256,
            "detector_limit": self._spec.limit,
            **{f"detector_{name}": value for name, value in self._spec.settings.items()},
            "dtype": "float32",
            "decoder": "pillow",
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the protocol fields, of this code, and of the libraries and processor that may move the last bits.

        Raises:
            WeightsError: see `prepare`.
        """
        libraries = ("torch", "torchvision", *(("onnxruntime",) if self._spec.kind == "yolo-onnx" else ()))
        device = "cpu" if self._spec.kind == "yolo-onnx" else self._workspace.device
        return fingerprint_of(self.protocol_fields, CODE_VERSION, device, libraries)

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> list[Detections]:
        """Return what is in each of `pictures`.

        Raises:
            WeightsError: see `prepare`.
            DataError: a picture cannot be read.
            CacheError: the cache is damaged or cannot be written.
        """
        names = identities(pictures, cache)

        def compute(positions: list[int]) -> Iterator[tuple[list[int], Vectors]]:
            for position in positions:
                found = self.of_pixels(load(pictures[position]))
                yield [position], np.stack([packed(found, self._spec.limit)])

        rows = cached_rows(names, cache, self.fingerprint, COLUMNS * self._spec.limit, compute)
        return [unpacked(row) for row in rows]

    def of_pixels(self, picture: Pixels) -> Detections:
        """Return what is in a picture `(H, W, 3)`; nothing is cached.

        Raises:
            WeightsError: see `prepare`.
        """
        return self._detect(picture)

    @cached_property
    def _found(self) -> Found:
        return require(self._spec.weight, self._workspace, self._table)

    @cached_property
    def _detect(self) -> Detect:
        if self._spec.kind == "yolo-onnx":
            from evalkit.features.yolo import yolo

            return yolo(self._found.path, self._spec)
        from evalkit.features.torchvision_detector import torchvision_detector

        return torchvision_detector(self._found, self._spec, self._workspace.device)


def detector(workspace: Workspace, name: str) -> Detector:
    """Return the detector of that name.

    Raises:
        UsageError: there is no such detector.
    """
    return Detector(workspace, detector_spec(name))
