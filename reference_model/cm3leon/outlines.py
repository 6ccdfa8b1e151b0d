"""Pictures without their colours: where in each square something stands, not in which colour."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

_FAINT = 0.35
"""Chroma below which a pixel counts as ground: pale and gray tones have up to 0.3, vivid ones from 0.4."""
_VIVID = 0.45
_GRAY = 0.2
"""Chroma from which a square is told by its colours alone, without its brightness."""
_FLAT, _DEEP = 0.1, 0.6
"""Differences of brightness in a square of which nothing is told, and all: a gradient stays below the first."""


def outlines(pictures: Tensor, side: int) -> Tensor:
    """Return `(B, 3, H, W)` for pictures of that shape in [-1, 1]: what each square of `side` pixels shows.

    The chroma of a pixel is its distance from the axis of grays. The first two channels are the chroma beyond that of
    the square's ground, along the hue that prevails in the square and across it, each pixel over the most vivid one: 1
    where an object covers a pixel, about 0.56 on its darker stripes, 0 on the ground, and the share in between where an
    edge is smoothed. They are the same for objects of any hue on any pale ground. The third is the brightness between
    the square's darkest and its brightest pixel, in squares without colour, as drawings of edges and depth have.
    """
    squares = rearrange(pictures, "b c (h s) (w t) -> b c h w (s t)", s=side, t=side)
    gray = squares.mean(1, keepdim=True)
    colour = squares - gray
    faint = torch.where(_chroma(colour) < _FAINT, colour, torch.nan)
    colour = colour - faint.nanmedian(-1, keepdim=True).values.nan_to_num(0.0)
    chroma = _chroma(colour)
    most = chroma.amax(-1, keepdim=True)
    along = F.normalize((colour * chroma).mean(-1, keepdim=True), dim=1, eps=1e-4)
    across = (along.roll(-2, 1) - along.roll(-1, 1)) * math.sqrt(1 / 3)  # the axis of grays x along
    parts = [(colour * hue).sum(1, keepdim=True) / most.clamp(min=_VIVID) for hue in (along, across)]
    parts.append(_relief(gray) * (1 - most / _GRAY).clamp(min=0))
    return rearrange(torch.cat(parts, 1), "b c h w (s t) -> b c (h s) (w t)", s=side, t=side)


def _chroma(colour: Tensor) -> Tensor:
    return colour.norm(dim=1, keepdim=True)


def _relief(gray: Tensor) -> Tensor:
    """Return the brightness `(..., pixels)` of squares between 0, their darkest, and 1, their brightest."""
    darkest, brightest = gray.amin(-1, keepdim=True), gray.amax(-1, keepdim=True)
    depth = brightest - darkest
    return (gray - darkest) / depth.clamp(min=1e-6) * ((depth - _FLAT) / (_DEEP - _FLAT)).clamp(0, 1)
