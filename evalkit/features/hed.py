"""Soft edges by ControlNet's HED network, as ControlNet++ calls it.

Five blocks of 3 x 3 convolutions, halved between them; each gives a plane by a 1 x 1 convolution, which is brought to
the picture's size, bilinear. The map is the logistic function of their mean, cut to 8 bits.

Source: Xie and Tu 2015, arXiv:1504.06375; lllyasviel/ControlNet, `annotator/hed`; liming-ai/ControlNet_Plus_Plus at
9ffe264, `eval/utils.py`, whose resizing and rounding are those here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from evalkit.errors import DataError
from evalkit.features.annotation import WeightedAnnotator
from evalkit.features.planes import BytePlane
from evalkit.features.state_dicts import read_tensors, require_tensors
from evalkit.images import Pixels
from evalkit.types import JsonScalar

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = (2, 2, 3, 3, 3)
"""Channels and convolutions of each block."""
LEAST = 2 ** (len(WIDTHS) - 1)


class Hed(WeightedAnnotator):
    """ControlNet's HED: 0 to 255, the surer of an edge the brighter."""

    name = "controlnet-hed"
    code_version = 1

    @property
    def choices(self) -> Mapping[str, JsonScalar]:
        """What is fed, and how the five planes are joined."""
        return {"annotator_range": "0 to 255", "annotator_join": "logistic of the mean, bilinear, cut to 8 bits"}

    def plane(self, picture: Pixels) -> BytePlane:
        """Return the map `(H, W)` of a picture `(H, W, 3)`.

        Raises:
            WeightsError: see `prepare`.
            DataError: a side is shorter than 16 pixels, which five blocks cannot halve.
        """
        height, width, _ = picture.shape
        if min(height, width) < LEAST:
            raise DataError(f"HED needs sides of at least {LEAST} pixels, not {width} x {height}; write -t size=512")
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))[None]
            planes = self._planes(x.to(self.workspace.device))
            size = (height, width)
            whole = [functional.interpolate(plane, size, mode="bilinear", align_corners=False) for plane in planes]
            edge = torch.sigmoid(torch.stack(whole).mean(dim=0))
            found: BytePlane = (edge * 255).clip(0, 255).to(torch.uint8)[0, 0].cpu().numpy()
        return found

    def _planes(self, x: Tensor) -> list[Tensor]:
        weights = self._weights
        x = x - weights["norm"]
        planes = []
        for block, depth in enumerate(DEPTHS, start=1):
            x = functional.max_pool2d(x, 2, 2) if block > 1 else x
            for layer in range(depth):
                name = f"block{block}.convs.{layer}"
                x = functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1).relu_()
            name = f"block{block}.projection"
            planes.append(functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"]))
        return planes

    @cached_property
    def _weights(self) -> Mapping[str, Tensor]:
        tensors = read_tensors(self.found.path, self.found.file.layout)
        require_tensors(tensors, hed_shapes(), str(self.found.path))
        return {name: torch.from_numpy(value).to(self.workspace.device) for name, value in tensors.items()}


def hed_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of the network."""
    shapes: dict[str, tuple[int, ...]] = {"norm": (1, 3, 1, 1)}
    into = 3
    for block, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), start=1):
        for layer in range(depth):
            shapes |= {f"block{block}.convs.{layer}.weight": (width, into, 3, 3)}
            shapes |= {f"block{block}.convs.{layer}.bias": (width,)}
            into = width
        shapes |= {f"block{block}.projection.weight": (1, width, 1, 1), f"block{block}.projection.bias": (1,)}
    return shapes
