"""Classes of ADE20K by Mask2Former with Swin-L, by the transformers library.

The shorter side is brought to 640 pixels (the longer to 2,560 at most) and both are rounded up to multiples of 32, by
Pillow's bilinear filter: the sizes of the training, and of mmsegmentation's test. A pixel's class is the one whose
queries' probabilities, each times its mask there, add up to most; masks are brought to the picture's size, bilinear,
after the sum, and before it to 384 x 384, as the library has it.

Source: Cheng et al. 2022, arXiv:2112.01527; transformers, `post_process_semantic_segmentation` of its image processor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional

from evalkit.features.annotation import WeightedAnnotator
from evalkit.features.backbones import IMAGENET_MEAN, IMAGENET_STD
from evalkit.features.hub_networks import Network
from evalkit.features.mask2former_network import MULTIPLE, SWIN_L_ADE, Mask2FormerShape, mask2former_network
from evalkit.features.planes import BytePlane
from evalkit.images import Pixels
from evalkit.types import JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace

MASK_SIDE = 384


class Mask2Former(WeightedAnnotator):
    """Mask2Former with Swin-L: the class of each pixel, 0 to 149 in ADE20K's order."""

    name = "mask2former-swin-l-ade"
    code_version = 1
    needs = ("transformers",)

    def __init__(
        self, workspace: Workspace, table: Mapping[str, Weight] = WEIGHTS, shape: Mask2FormerShape = SWIN_L_ADE
    ) -> None:
        super().__init__(workspace, table)
        self._shape = shape

    @property
    def choices(self) -> Mapping[str, JsonScalar]:
        """The input's size, and how masks become classes."""
        return {
            "annotator_input": f"bilinear-pil, shorter side {self._shape.short_side}, multiples of {MULTIPLE}",
            "annotator_classes": f"masks at {MASK_SIDE}, summed, then bilinear, then the largest",
        }

    def plane(self, picture: Pixels) -> BytePlane:
        """Return the class `(H, W)` of each pixel of a picture `(H, W, 3)`.

        Raises:
            WeightsError: see `prepare`.
        """
        with torch.inference_mode():
            told = self._network(self.inputs(picture).to(self.workspace.device))
            scores = semantic_scores(told.class_queries_logits, told.masks_queries_logits, picture.shape[:2])
            found: BytePlane = scores.argmax(dim=1)[0].to(torch.uint8).cpu().numpy()
        return found

    def inputs(self, picture: Pixels) -> Tensor:
        """Return what the network sees of a picture `(H, W, 3)`: `(1, 3, h, w)`, normalised as ImageNet is."""
        height, width = self._sides(*picture.shape[:2])
        resized = PillowImage.fromarray(picture).resize((width, height), PillowImage.Resampling.BILINEAR)
        planes = torch.from_numpy(np.asarray(resized, np.float32).transpose(2, 0, 1).copy())[None] / 255
        mean, std = (torch.tensor(values)[None, :, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (planes - mean) / std

    def _sides(self, height: int, width: int) -> tuple[int, int]:
        short, long = min(height, width), max(height, width)
        scale = min(self._shape.short_side / short, self._shape.long_side / long)
        up = [max(math.ceil(round(side * scale) / MULTIPLE), 1) * MULTIPLE for side in (height, width)]
        return up[0], up[1]

    @cached_property
    def _network(self) -> Network:
        return mask2former_network(self.found, self.workspace.device, self._shape)


def semantic_scores(classes: Tensor, masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the score `(1, K, H, W)` of each class at each pixel.

    `classes` `(1, Q, K + 1)` are each query's logits, the last being of no class; `masks` `(1, Q, h, w)` its mask's.
    """
    masks = functional.interpolate(masks, (MASK_SIDE, MASK_SIDE), mode="bilinear", align_corners=False).sigmoid()
    scores = torch.einsum("bqk,bqhw->bkhw", classes.softmax(dim=-1)[..., :-1], masks)
    return functional.interpolate(scores, size, mode="bilinear", align_corners=False)
