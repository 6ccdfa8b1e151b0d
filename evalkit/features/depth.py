"""Depth by DPT-Large, as ControlNet++ measures it: the largest value of a picture is 255.

The picture is brought to 384 x 384 by Pillow's bicubic filter without a crop, the processor's own way; what the network
gives there, the larger the nearer, is divided by its largest value, cut to 8 bits, and resized bilinearly by Pillow.

Source: Ranftl et al. 2021, arXiv:2103.13413, by transformers; liming-ai/ControlNet_Plus_Plus at 9ffe264,
`eval/eval.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image as PillowImage

from evalkit.features.annotation import WeightedAnnotator
from evalkit.features.hub_networks import Network, hub_network
from evalkit.features.planes import BytePlane, sized
from evalkit.images import Pixels
from evalkit.types import JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace

UNUSED = "neck.fusion_stage.layers.0.residual_layer1."
"""What the first fusion has and never uses, since nothing comes before it; the published file leaves it out."""


@dataclass(frozen=True, slots=True)
class DptShape:
    """The sizes of a DPT; those of DPT-Large by default."""

    side: int = 384
    width: int = 1024
    layers: int = 24
    heads: int = 16
    hidden: int = 4096
    taken: tuple[int, ...] = (5, 11, 17, 23)
    """Layers whose tokens are put together."""
    neck: tuple[int, ...] = (256, 512, 1024, 1024)
    fusion: int = 256


class Depth(WeightedAnnotator):
    """DPT-Large: 0 to 255, the nearer the brighter."""

    name = "dpt-large"
    code_version = 1
    needs = ("transformers",)

    def __init__(
        self, workspace: Workspace, table: Mapping[str, Weight] = WEIGHTS, shape: DptShape | None = None
    ) -> None:
        super().__init__(workspace, table)
        self._shape = shape or DptShape()

    @property
    def choices(self) -> Mapping[str, JsonScalar]:
        """The input's size and range, and how depth becomes levels."""
        side = self._shape.side
        return {
            "annotator_input": f"bicubic-pil, {side} x {side} squash, 2x/255-1",
            "annotator_levels": "divided by the largest, cut to 8 bits, then bilinear-pil",
        }

    def plane(self, picture: Pixels) -> BytePlane:
        """Return the map `(H, W)` of a picture `(H, W, 3)`; all 0 where the network sees no depth at all.

        Raises:
            WeightsError: see `prepare`.
        """
        height, width, _ = picture.shape
        with torch.inference_mode():
            depth = self._network(self.inputs(picture).to(self.workspace.device)).predicted_depth[0].cpu().numpy()
        levels = (depth / max(float(depth.max()), 1e-12) * 255).clip(0, 255).astype(np.uint8)
        resized = PillowImage.fromarray(levels).resize((width, height), PillowImage.Resampling.BILINEAR)
        return np.asarray(resized, np.uint8)

    def inputs(self, picture: Pixels) -> torch.Tensor:
        """Return what the network sees of a picture `(H, W, 3)`: `(1, 3, side, side)` in -1 to 1."""
        squashed = sized(picture, self._shape.side, self._shape.side)
        planes = torch.from_numpy(np.ascontiguousarray(squashed.transpose(2, 0, 1), np.float32))[None]
        return (planes / 255 - 0.5) / 0.5

    @cached_property
    def _network(self) -> Network:
        from transformers import DPTConfig, DPTForDepthEstimation

        shape = self._shape
        config = DPTConfig(
            image_size=shape.side,
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.hidden,
            backbone_out_indices=list(shape.taken),
            neck_hidden_sizes=list(shape.neck),
            fusion_hidden_size=shape.fusion,
        )
        return hub_network(DPTForDepthEstimation, config, self.found, self.workspace.device, (UNUSED,))
