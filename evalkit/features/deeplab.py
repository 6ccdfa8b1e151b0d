"""Classes of COCO-Stuff by mmsegmentation's DeepLabV3 R101-D8, in plain torch on its own file of tensors.

The picture, its shorter side brought to 512 pixels (the longer to 2,048 at most) bilinearly and normalised as ImageNet
is, goes through a ResNet-101 (v1c: three 3 x 3 convolutions as its stem; no stride after the second stage, dilations 2
and 4 in its place) and an atrous pyramid with dilations 1, 12, 24 and 36. Logits are brought to the picture's size,
bilinear, and the largest is the class. mmsegmentation resizes by OpenCV, which is bilinear without antialias as
torch's here is; at 512 x 512, ControlNet++'s size, neither resizes anything.

Source: Chen et al. 2017, arXiv:1706.05587; open-mmlab/mmsegmentation, `configs/deeplabv3/deeplabv3_r101-d8_4xb4-320k_
coco-stuff164k-512x512.py`, as liming-ai/ControlNet_Plus_Plus at 9ffe264 gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from evalkit.errors import WeightsError
from evalkit.features.annotation import WeightedAnnotator
from evalkit.features.backbones import IMAGENET_MEAN, IMAGENET_STD
from evalkit.features.planes import BytePlane
from evalkit.features.state_dicts import read_tensors
from evalkit.images import Pixels
from evalkit.types import JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace

DILATIONS = (1, 12, 24, 36)
STAGES = ((1, 1), (2, 1), (1, 2), (1, 4))
"""Stride and dilation of each stage; its first block has half the dilation."""
EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class DeepLabShape:
    """Blocks of each stage and the sides that pictures are brought to; those of R101 on COCO-Stuff by default."""

    blocks: tuple[int, ...] = (3, 4, 23, 3)
    short_side: int = 512
    long_side: int = 2048


class DeepLab(WeightedAnnotator):
    """DeepLabV3 R101-D8: the class of each pixel, 0 to 170 in the order of COCO-Stuff's labels that occur."""

    name = "deeplabv3-r101-coco-stuff"
    code_version = 1

    def __init__(
        self, workspace: Workspace, table: Mapping[str, Weight] = WEIGHTS, shape: DeepLabShape | None = None
    ) -> None:
        super().__init__(workspace, table)
        self._shape = shape or DeepLabShape()

    @property
    def choices(self) -> Mapping[str, JsonScalar]:
        """The input's size, and how logits become classes."""
        return {
            "annotator_input": f"bilinear, no antialias, shorter side {self._shape.short_side}",
            "annotator_classes": "logits bilinear, then the largest",
        }

    def plane(self, picture: Pixels) -> BytePlane:
        """Return the class `(H, W)` of each pixel of a picture `(H, W, 3)`.

        Raises:
            WeightsError: see `prepare`.
        """
        with torch.inference_mode():
            logits = self.logits(self.inputs(picture).to(self.workspace.device))
            whole = functional.interpolate(logits, picture.shape[:2], mode="bilinear", align_corners=False)
            found: BytePlane = whole.argmax(dim=1)[0].to(torch.uint8).cpu().numpy()
        return found

    def inputs(self, picture: Pixels) -> Tensor:
        """Return what the network sees of a picture `(H, W, 3)`: `(1, 3, h, w)`, normalised as ImageNet is."""
        height, width, _ = picture.shape
        planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))[None]
        scale = min(self._shape.short_side / min(height, width), self._shape.long_side / max(height, width))
        size = (int(height * scale + 0.5), int(width * scale + 0.5))
        if size != (height, width):
            planes = functional.interpolate(planes, size, mode="bilinear", align_corners=False).round().clip(0, 255)
        mean, std = (torch.tensor(values)[None, :, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (planes / 255 - mean) / std

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits `(1, K, h / 8, w / 8)` of a normalised picture `(1, 3, h, w)`.

        Raises:
            WeightsError: see `prepare`, or the file lacks a tensor.
        """
        try:
            return self._head(self._backbone(x))
        except KeyError as error:
            raise WeightsError(f"{self.found.path} lacks the tensor {error}; it is of another architecture") from error

    def _backbone(self, x: Tensor) -> Tensor:
        for place, stride in ((0, 2), (3, 1), (6, 1)):
            x = self._normed(x, f"backbone.stem.{place}", f"backbone.stem.{place + 1}", stride=stride).relu_()
        x = functional.max_pool2d(x, 3, 2, 1)
        for stage, ((stride, dilation), blocks) in enumerate(zip(STAGES, self._shape.blocks, strict=True), start=1):
            for block in range(blocks):
                first = block == 0
                own = max(dilation // 2, 1) if first else dilation
                x = self._bottleneck(x, f"backbone.layer{stage}.{block}", stride if first else 1, own)
        return x

    def _bottleneck(self, x: Tensor, name: str, stride: int, dilation: int) -> Tensor:
        found = self._normed(x, f"{name}.conv1", f"{name}.bn1").relu_()
        found = self._normed(found, f"{name}.conv2", f"{name}.bn2", stride=stride, dilation=dilation).relu_()
        found = self._normed(found, f"{name}.conv3", f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self._weights:
            x = self._normed(x, f"{name}.downsample.0", f"{name}.downsample.1", stride=stride)
        return (found + x).relu_()

    def _head(self, x: Tensor) -> Tensor:
        pooled = self._module(functional.adaptive_avg_pool2d(x, 1), "decode_head.image_pool.1")
        levels = [functional.interpolate(pooled, x.shape[2:], mode="bilinear", align_corners=False)]
        for place, dilation in enumerate(DILATIONS):
            levels.append(self._module(x, f"decode_head.aspp_modules.{place}", dilation))
        joined = self._module(torch.cat(levels, dim=1), "decode_head.bottleneck")
        weights = self._weights
        return functional.conv2d(joined, weights["decode_head.conv_seg.weight"], weights["decode_head.conv_seg.bias"])

    def _module(self, x: Tensor, name: str, dilation: int = 1) -> Tensor:
        return self._normed(x, f"{name}.conv", f"{name}.bn", dilation=dilation).relu_()

    def _normed(self, x: Tensor, conv: str, norm: str, *, stride: int = 1, dilation: int = 1) -> Tensor:
        weights = self._weights
        kernel = weights[f"{conv}.weight"]
        padding = dilation * (kernel.shape[-1] // 2)
        x = functional.conv2d(x, kernel, None, stride, padding, dilation)
        mean, var = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        return functional.batch_norm(
            x, mean, var, weights[f"{norm}.weight"], weights[f"{norm}.bias"], training=False, eps=EPSILON
        )

    @cached_property
    def _weights(self) -> Mapping[str, Tensor]:
        tensors = read_tensors(self.found.path, self.found.file.layout)
        return {name: torch.from_numpy(value).to(self.workspace.device) for name, value in tensors.items()}
