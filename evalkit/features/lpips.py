"""LPIPS v0.1: how far two pictures are apart in the layers of a network, each pair once and then from the cache.

Both pictures, in -1 to 1, are shifted and scaled by channel; a network's layers are normalised over channels at each
point, their squared differences weighted by channel, and averaged over points; the layers' sums are added.

Source: Zhang et al. 2018, arXiv:1801.03924; richzhang/PerceptualSimilarity, `lpips/lpips.py`, version 0.1.4. The
backbones' own weights are those of torchvision; the smaller files that carry the same convolutions are taken first.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from evalkit.errors import WeightsError
from evalkit.features.cache import FeatureCache, Vectors
from evalkit.features.extraction import cached_rows
from evalkit.features.lpips_layers import FIRE_INPUTS, convolutions
from evalkit.features.pictures import Picture, identities, load
from evalkit.features.state_dicts import read_tensors
from evalkit.images import Pixels
from evalkit.keys import digest
from evalkit.types import Json, JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.weights import Found, require
from evalkit.workspace import Workspace

LpipsNetwork: TypeAlias = Literal["alex", "vgg", "squeeze"]
BACKBONE_WEIGHTS: Mapping[LpipsNetwork, str] = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
CODE_VERSION = 1
"""Raised with every change that moves a distance by even one bit."""
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10


class Lpips:
    """The distance of one network."""

    def __init__(self, workspace: Workspace, network: LpipsNetwork, table: Mapping[str, Weight] = WEIGHTS) -> None:
        self._workspace = workspace
        self._network = network
        self._table = table

    @property
    def name(self) -> str:
        """The network's name, which stands in the name of each score."""
        return self._network

    def prepare(self) -> None:
        """Find, or fetch, both weights.

        Raises:
            WeightsError: they cannot be had; the message says how to get them.
        """
        _ = self._found

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a distance by more than rounding.

        Raises:
            WeightsError: see `prepare`.
        """
        return {
            "extractor": f"lpips-v0.1-{self._network}",
            "backbone": BACKBONE_WEIGHTS[self._network],
            "linear_weights": self._found[1].sha256,
            "dtype": "float32",
            "decoder": "pillow",
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the protocol fields, the backbone's file, this code, and what may move the last bits.

        Raises:
            WeightsError: see `prepare`.
        """
        document: Json = {
            "protocol": dict(self.protocol_fields),
            "weights": self._found[0].sha256,
            "code": CODE_VERSION,
            "device": self._workspace.device,
            "machine": platform.machine(),
            "torch": importlib.metadata.version("torch"),
        }
        return digest(document)

    def pairs(self, left: Sequence[Picture], right: Sequence[Picture], cache: FeatureCache | None = None) -> Vectors:
        """Return the distances `(N,)` of pictures, of the same size each two.

        Raises:
            WeightsError: see `prepare`.
            DataError: a picture cannot be read.
            ValueError: two pictures differ in size.
        """
        names = [f"{a}|{b}" for a, b in zip(identities(left, cache), identities(right, cache), strict=True)]

        def compute(positions: list[int]) -> Iterator[tuple[list[int], Vectors]]:
            for position in positions:
                value = self.distance(load(left[position]), load(right[position]))
                yield [position], np.array([[value]], np.float32)

        return cached_rows(names, cache, self.fingerprint, 1, compute)[:, 0]

    def distance(self, left: Pixels, right: Pixels) -> float:
        """Return the distance of two pictures `(H, W, 3)`.

        Raises:
            WeightsError: see `prepare`.
            ValueError: they differ in size.
        """
        if left.shape != right.shape:
            raise ValueError(f"LPIPS compares pictures of one size, not {left.shape} and {right.shape}")
        planes = np.stack([left, right]).transpose(0, 3, 1, 2).astype(np.float32)
        return self.of_planes(planes / np.float32(127.5) - np.float32(1))

    def of_planes(self, planes: Vectors) -> float:
        """Return the distance of two pictures as planes `(2, 3, H, W)` in -1 to 1.

        Raises:
            WeightsError: see `prepare`.
        """
        with torch.inference_mode():
            x = torch.from_numpy(planes).to(self._workspace.device)
            x = (x - _channels(_SHIFT, x)) / _channels(_SCALE, x)
            total = 0.0
            for layer, weights in zip(self._layers(x), self._linear, strict=True):
                level = layer / (layer.square().sum(dim=1, keepdim=True).sqrt() + _EPSILON)
                total += float(functional.conv2d((level[:1] - level[1:]).square(), weights).mean())
            return total

    def _layers(self, x: Tensor) -> Iterator[Tensor]:
        kinds = {"alex": self._alex, "vgg": self._vgg, "squeeze": self._squeeze}
        return kinds[self._network](x)

    def _alex(self, x: Tensor) -> Iterator[Tensor]:
        for number, (stride, padding, pool) in enumerate(
            [(4, 2, False), (1, 2, True), (1, 1, True), *[(1, 1, False)] * 2]
        ):
            x = functional.max_pool2d(x, 3, 2) if pool else x
            x = self._relu(x, f"conv{number}", stride, padding)
            yield x

    def _vgg(self, x: Tensor) -> Iterator[Tensor]:
        number = 0
        for group, count in enumerate((2, 2, 3, 3, 3)):
            x = functional.max_pool2d(x, 2, 2) if group else x
            for _ in range(count):
                x = self._relu(x, f"conv{number}", 1, 1)
                number += 1
            yield x

    def _squeeze(self, x: Tensor) -> Iterator[Tensor]:
        x = self._relu(x, "conv0", 2, 0)
        yield x
        for fire in FIRE_INPUTS:
            if fire in {2, 4, 6}:
                x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
            squeezed = self._relu(x, f"fire{fire}.squeeze", 1, 0)
            x = torch.cat(
                [self._relu(squeezed, f"fire{fire}.one", 1, 0), self._relu(squeezed, f"fire{fire}.three", 1, 1)], dim=1
            )
            if fire in {3, 5, 6, 7, 8, 9}:
                yield x

    def _relu(self, x: Tensor, name: str, stride: int, padding: int) -> Tensor:
        weight, bias = self._backbone[f"{name}.weight"], self._backbone[f"{name}.bias"]
        return functional.conv2d(x, weight, bias, stride, padding).relu_()

    @cached_property
    def _found(self) -> tuple[Found, Found]:
        linear = require(f"lpips-{self._network}", self._workspace, self._table)
        return require(BACKBONE_WEIGHTS[self._network], self._workspace, self._table), linear

    @cached_property
    def _backbone(self) -> Mapping[str, Tensor]:
        found = self._found[0]
        tensors = convolutions(
            read_tensors(found.path, found.file.layout), found.file.layout, self._network, found.path
        )
        return {name: torch.from_numpy(value).to(self._workspace.device) for name, value in tensors.items()}

    @cached_property
    def _linear(self) -> list[Tensor]:
        found = self._found[1]
        tensors = read_tensors(found.path, found.file.layout)
        try:
            layers = [tensors[f"lin{number}.model.1.weight"] for number in range(len(tensors))]
        except KeyError as error:
            raise WeightsError(f"{found.path} lacks the tensor {error}; fetch it again") from error
        return [torch.from_numpy(layer).to(self._workspace.device) for layer in layers]


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[None, :, None, None]
