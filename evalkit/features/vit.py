"""Vision and text transformers of CLIP, DINO and DINOv2: one forward pass for all, in float32.

Tensors have these names, `vit_tensors.py` having brought each file's own to them:

    patches.weight (W, 3, P, P) [.bias]  class (W,)  positions (1 + N, W)      a picture's way in
    tokens.weight (V, W)  positions (T, W)                                     a text's way in
    before.{weight,bias}                                                       CLIP's norm ahead of the blocks
    blocks.I.{norm1,norm2}.{weight,bias}  blocks.I.{qkv,out,fc1,fc2}.{weight,bias}  blocks.I.{scale1,scale2}
    norm.{weight,bias}  projection (W, D)                                      the way out

Source: Dosovitskiy et al. 2020, arXiv:2010.11929; Radford et al. 2021, arXiv:2103.00020; Caron et al. 2021,
arXiv:2104.14294; Oquab et al. 2023, arXiv:2304.07193.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BlockShape:
    """What the tensors alone do not say of a stack of transformer blocks."""

    heads: int
    layers: int
    activation: Literal["quick-gelu", "gelu"]
    epsilon: float


class Transformer:
    """The tensors of one tower on one device, with its forward pass."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[np.float32]], shape: BlockShape, device: str) -> None:
        self._tensors = {name: torch.from_numpy(value).to(device) for name, value in tensors.items()}
        self._shape = shape
        self._device = device

    def pictures(self, planes: Vectors) -> Vectors:
        """Return the vectors `(N, D)` of normalised pictures `(N, 3, S, S)`: of the class token, projected if CLIP."""
        with torch.inference_mode():
            x, _ = self._trunk(self._patches(torch.from_numpy(planes).to(self._device)), causal=False)
            return self._out(x[:, 0]).cpu().numpy()

    def keys(self, planes: Vectors) -> Vectors:
        """Return the last block's keys `(N, 1 + patches, W)` of normalised pictures `(N, 3, S, S)`."""
        with torch.inference_mode():
            _, keys = self._trunk(self._patches(torch.from_numpy(planes).to(self._device)), causal=False)
            return keys.cpu().numpy()

    def tokens(self, planes: Vectors) -> Tensor:
        """Return what the blocks make of normalised pictures `(N, 3, S, S)`, on the device: `(N, 1 + patches, W)`."""
        with torch.inference_mode():
            x, _ = self._trunk(self._patches(torch.from_numpy(planes).to(self._device)), causal=False)
            return x

    def texts(self, ids: npt.NDArray[np.int64]) -> Vectors:
        """Return the vectors `(N, D)` of token ids `(N, T)`: of the end-of-text token, which has the largest id."""
        with torch.inference_mode():
            tokens = torch.from_numpy(ids).to(self._device)
            x = self._tensors["tokens.weight"][tokens] + self._tensors["positions"]
            x, _ = self._trunk(x, causal=True)
            return self._out(x[torch.arange(len(x)), tokens.argmax(dim=1)]).cpu().numpy()

    def _patches(self, planes: Tensor) -> Tensor:
        t = self._tensors
        patch = t["patches.weight"].shape[-1]
        x = functional.conv2d(planes, t["patches.weight"], t.get("patches.bias"), stride=patch)
        grid = (int(x.shape[2]), int(x.shape[3]))
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([t["class"].expand(len(x), 1, -1), x], dim=1) + _positions(t["positions"], grid)
        return self._norm(x, "before") if "before.weight" in t else x

    def _trunk(self, x: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
        """Return what the last block gives `(N, T, W)`, and its keys `(N, T, W)`."""
        keys = x
        for layer in range(self._shape.layers):
            x, keys = self._block(x, f"blocks.{layer}", causal=causal)
        return x, keys

    def _block(self, x: Tensor, name: str, *, causal: bool) -> tuple[Tensor, Tensor]:
        t = self._tensors
        n, length, width = x.shape
        joined = self._linear(self._norm(x, f"{name}.norm1"), f"{name}.qkv")
        parts = joined.view(n, length, 3, self._shape.heads, width // self._shape.heads).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=causal)
        attended = self._linear(attended.transpose(1, 2).reshape(n, length, width), f"{name}.out")
        x = x + attended * t.get(f"{name}.scale1", 1.0)
        hidden = self._activate(self._linear(self._norm(x, f"{name}.norm2"), f"{name}.fc1"))
        x = x + self._linear(hidden, f"{name}.fc2") * t.get(f"{name}.scale2", 1.0)
        return x, joined[:, :, width : 2 * width]

    def _activate(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x) if self._shape.activation == "quick-gelu" else functional.gelu(x)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return functional.layer_norm(x, (x.shape[-1],), weight, bias, self._shape.epsilon)

    def _out(self, x: Tensor) -> Tensor:
        x = self._norm(x, "norm")
        return x @ self._tensors["projection"] if "projection" in self._tensors else x


def _positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return positions `(1 + rows * columns, W)`, those of the training grid resized bicubically where it differs.

    DINOv2 was trained at 37 x 37 patches and is asked at 16 x 16. As its own code does, the grid is resized by a scale
    of (n + 0.1) / 37, which moves the sample points a little from those of a resize to n.
    """
    rows, columns = grid
    if len(positions) - 1 == rows * columns:
        return positions
    side = round((len(positions) - 1) ** 0.5)
    square = positions[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = [(rows + 0.1) / side, (columns + 0.1) / side]
    resized = functional.interpolate(square, scale_factor=scale, mode="bicubic", antialias=False)
    if tuple(resized.shape[2:]) != grid:
        raise ValueError(f"positions of {side} x {side} became {tuple(resized.shape[2:])}, not {grid}")
    return torch.cat([positions[:1], resized.permute(0, 2, 3, 1).reshape(rows * columns, -1)])
