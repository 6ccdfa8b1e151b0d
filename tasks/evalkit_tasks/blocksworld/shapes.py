"""The geometry of blocks: which part of each pixel a shape and its texture cover.

Lengths are in units of 1/256 of the picture's side. Everything is decided in whole numbers, at 8 x 8 points a pixel, so
that every platform draws the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Shape: TypeAlias = Literal["square", "circle", "triangle", "diamond", "cross", "star", "ring"]
Size: TypeAlias = Literal["small", "medium", "large"]
Texture: TypeAlias = Literal["solid", "striped", "dotted"]

SHAPES: tuple[Shape, ...] = ("square", "circle", "triangle", "diamond", "cross", "star", "ring")
SIZES: tuple[Size, ...] = ("small", "medium", "large")
TEXTURES: tuple[Texture, ...] = ("solid", "striped", "dotted")

UNITS = 256
"""Side of the picture, in units."""
SIDES: dict[Size, int] = {"small": 44, "medium": 60, "large": 80}
"""Side of the square that a block of each size fills, in units: 11, 15 and 20 pixels of a picture of 64."""
FULL = 64
"""Coverage of a pixel that lies wholly inside."""

_POINTS = 8
_STRIPE = 10
_DOT_SPACING = 20
_DOT_RADIUS = 7

Whole: TypeAlias = npt.NDArray[np.int64]
Inside: TypeAlias = npt.NDArray[np.bool_]
Coverage: TypeAlias = npt.NDArray[np.int16]

# Inward normals and offsets of the five lines of a pentagram 2 wide, in thousandths.
_STAR_LINES = ((0, 1000, -225), (951, 309, -294), (-951, 309, -294), (588, -809, -406), (-588, -809, -406))


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a block covers of the pixels from row `top` and column `left`.

    `whole` is the block's coverage `(h, w)` in 0 ... 64 and `accent` the part of it that its texture darkens.
    """

    top: int
    left: int
    whole: Coverage
    accent: Coverage


def _square(u: Whole, v: Whole, r: int) -> Inside:
    return (abs(u) <= r) & (abs(v) <= r)


def _circle(u: Whole, v: Whole, r: int) -> Inside:
    return np.asarray(u * u + v * v <= r * r)


def _triangle(u: Whole, v: Whole, r: int) -> Inside:
    return (2 * abs(u) <= v + r) & (v <= r)


def _diamond(u: Whole, v: Whole, r: int) -> Inside:
    return np.asarray(abs(u) + abs(v) <= r)


def _cross(u: Whole, v: Whole, r: int) -> Inside:
    return _square(u, v, r) & ((3 * abs(u) <= r) | (3 * abs(v) <= r))


def _star(u: Whole, v: Whole, r: int) -> Inside:
    sides = sum((x * u + y * v >= offset * r).astype(np.int64) for x, y, offset in _STAR_LINES)
    return np.asarray(sides >= 4)


def _ring(u: Whole, v: Whole, r: int) -> Inside:
    squared = u * u + v * v
    return (squared <= r * r) & (25 * squared >= 9 * r * r)


_INSIDE: dict[Shape, Callable[[Whole, Whole, int], Inside]] = {
    "square": _square,
    "circle": _circle,
    "triangle": _triangle,
    "diamond": _diamond,
    "cross": _cross,
    "star": _star,
    "ring": _ring,
}


def _darkened(texture: Texture, u: Whole, v: Whole, unit: int) -> Inside:
    """Return where `texture` darkens; `u` and `v` run from the block's centre, with 2 * `unit` to a unit."""
    dark = np.zeros((v.shape[0], u.shape[1]), np.bool_)
    if texture == "striped":
        dark |= (v + _STRIPE * unit) // (2 * _STRIPE * unit) % 2 == 0
    if texture == "dotted":
        pitch = 2 * _DOT_SPACING * unit
        near_u = (u + pitch // 2) % pitch - pitch // 2
        near_v = (v + pitch // 2) % pitch - pitch // 2
        dark |= near_u**2 + near_v**2 <= (2 * _DOT_RADIUS * unit) ** 2
    return dark


@lru_cache(maxsize=4096)
def _centred_stamp(shape: Shape, side: int, texture: Texture, phase_x: int, phase_y: int, pixels: int) -> Stamp:
    """Return the stamp of a block whose centre lies `phase / 256` of a pixel right of and below a pixel's corner."""
    reach = (side * pixels + 2 * UNITS - 1) // (2 * UNITS) + 1
    # A point's distance from the centre, 16 * 256 to a pixel's side: whole for every point and every phase.
    line = (2 * np.arange(-reach * _POINTS, reach * _POINTS, dtype=np.int64) + 1) * UNITS
    u = (line - 2 * _POINTS * phase_x)[None, :]
    v = (line - 2 * _POINTS * phase_y)[:, None]
    unit = _POINTS * pixels
    inside = _INSIDE[shape](u, v, side * unit)
    dark = inside & _darkened(texture, u, v, unit)
    return Stamp(-reach, -reach, _counted(inside, reach), _counted(dark, reach))


def _counted(inside: Inside, reach: int) -> Coverage:
    blocks = inside.reshape(2 * reach, _POINTS, 2 * reach, _POINTS)
    return np.asarray(blocks.sum(axis=(1, 3), dtype=np.int16))


def stamp(shape: Shape, size: Size, texture: Texture, x: int, y: int, pixels: int) -> Stamp:
    """Return what a block with its centre at `x, y` units covers of a picture of `pixels` by `pixels` pixels."""
    left, phase_x = divmod(x * pixels, UNITS)
    top, phase_y = divmod(y * pixels, UNITS)
    centred = _centred_stamp(shape, SIDES[size], texture, phase_x, phase_y, pixels)
    return Stamp(top + centred.top, left + centred.left, centred.whole, centred.accent)


def clipped(s: Stamp, pixels: int) -> Stamp:
    """Return the part of `s` that lies on a picture of `pixels` by `pixels` pixels."""
    height, width = s.whole.shape
    above, left = max(-s.top, 0), max(-s.left, 0)
    below, right = min(height, pixels - s.top), min(width, pixels - s.left)
    if (above, left, below, right) == (0, 0, height, width):
        return s
    return Stamp(s.top + above, s.left + left, s.whole[above:below, left:right], s.accent[above:below, left:right])
