"""Codes of two parts: channels that tell a square's colours, and channels that tell where in the square they are.

A code that mixes the two is a hash: a block of another colour has another code in every channel, and a transformer must
learn each pair of colour and outline by itself. So the first channels, the palette, are asked to be the same when the
pixels of a square change places, and the others, the geometry, when the picture's hues turn and its brightness changes.
What each part tells is left to the decoder, which needs both.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def recoloured(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Return pictures `(B, 3, H, W)` in [-1, 1] with the hue of each turned and its brightness changed."""
    angle, gain, offset = torch.rand(3, len(pictures), generator=generator).to(pictures.device)
    turned = torch.einsum("bij,bjhw->bihw", _hue_turns(2 * math.pi * angle), pictures)
    changed = turned * (0.6 + 0.5 * gain)[:, None, None, None] + (0.8 * offset - 0.4)[:, None, None, None]
    return changed.clamp(-1, 1)


def shuffled(pictures: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return pictures `(B, 3, H, W)` with the pixels of each square of `side` pixels in another order, one for all."""
    order = torch.randperm(side * side, generator=generator).to(pictures.device)
    squares = rearrange(F.pixel_unshuffle(pictures, side), "b (c s) h w -> b c s h w", s=side * side)
    return F.pixel_shuffle(squares[:, :, order].flatten(1, 2), side)


def _hue_turns(angles: Tensor) -> Tensor:
    """Return the matrices `(B, 3, 3)` that turn colours about the axis of grays by `angles` `(B,)` in radians."""
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    third = math.sqrt(1 / 3)
    across = angles.new_tensor([[0.0, -third, third], [third, 0.0, -third], [-third, third, 0.0]])
    return cos * torch.eye(3, device=angles.device) + (1 - cos) / 3 + sin * across
