"""The picture of a scene, the same bytes on every platform."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from evalkit.errors import UsageError
from evalkit.images import Pixels
from evalkit_tasks.blocksworld.scene import Background, Block, Colour, Ground, Scene
from evalkit_tasks.blocksworld.shapes import FULL, UNITS, clipped, stamp

PIXELS = 64
"""Side of the pictures that are shipped."""

PALETTE: dict[Colour, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (245, 220, 40),
    "green": (40, 165, 70),
    "cyan": (40, 200, 215),
    "blue": (45, 85, 220),
    "purple": (135, 55, 190),
    "pink": (245, 110, 180),
}
GROUND_TONES: dict[Ground, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "white": ((255, 255, 255), (205, 205, 205)),
    "gray": ((160, 160, 160), (110, 110, 110)),
    "black": ((20, 20, 20), (70, 70, 70)),
    "beige": ((238, 222, 192), (192, 174, 142)),
    "mint": ((202, 238, 218), (150, 198, 174)),
    "lavender": ((222, 212, 246), (174, 164, 212)),
}
"""The two tones of each background: the plain one, and the one that a gradient ends in at the bottom."""

_TILE = 32


def accent(colour: Colour) -> tuple[int, int, int]:
    """Return the darker tone that stripes and dots have on a block of that colour."""
    red, green, blue = PALETTE[colour]
    return red * 9 // 16, green * 9 // 16, blue * 9 // 16


@lru_cache(maxsize=64)
def ground_picture(background: Background, pixels: int) -> npt.NDArray[np.int16]:
    """Return the picture `(pixels, pixels, 3)` of a background alone; it must not be written to."""
    first, second = (np.array(tone, dtype=np.int64) for tone in GROUND_TONES[background.colour])
    # Pixel centres in units, times 2 * pixels, so that every place is whole.
    centres = (2 * np.arange(pixels, dtype=np.int64) + 1) * UNITS
    whole = 2 * pixels * UNITS
    if background.style == "gradient":
        share = np.broadcast_to(centres[:, None, None], (pixels, pixels, 1))
    elif background.style == "checkered":
        tiles = centres // (2 * pixels * _TILE)
        share = ((tiles[:, None] + tiles[None, :]) % 2)[:, :, None] * (whole // 2)
    else:
        share = np.zeros((pixels, pixels, 1), np.int64)
    return ((first * (whole - share) + second * share + whole // 2) // whole).astype(np.int16)


def render(scene: Scene, pixels: int = PIXELS) -> Pixels:
    """Return the picture `(pixels, pixels, 3)` of `scene`, edges smoothed by the share of each pixel that is covered.

    Raises:
        UsageError: `pixels` is not between 16 and 1024.
    """
    if not 16 <= pixels <= 1024:
        raise UsageError(f"a picture of {pixels} pixels a side cannot be drawn; choose 16 to 1024")
    canvas = ground_picture(scene.background, pixels).copy()
    for block in scene.blocks:
        _paint(canvas, block)
    return canvas.astype(np.uint8)


def _paint(canvas: npt.NDArray[np.int16], block: Block) -> None:
    pixels = len(canvas)
    s = clipped(stamp(block.shape, block.size, block.texture, block.x, block.y, pixels), pixels)
    height, width = s.whole.shape
    window = canvas[s.top : s.top + height, s.left : s.left + width]
    base, dark = np.array((PALETTE[block.colour], accent(block.colour)), dtype=np.int16)
    whole, darkened = s.whole[:, :, None], s.accent[:, :, None]
    # At most 64 * 255 + 32, which 16 bits hold.
    window *= FULL - whole
    window += (whole - darkened) * base + darkened * dark + FULL // 2
    window //= FULL
