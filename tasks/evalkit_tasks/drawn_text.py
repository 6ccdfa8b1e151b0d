"""A text drawn into a picture: black on white, as large as fits, in the font that matplotlib ships."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from evalkit.errors import DataError
from evalkit.images import Pixels

SIDE = 256
"""Pixels a side where no size is asked for."""
MARGIN = 0.08
"""What stays white at each edge, as a share of the width."""
LARGEST = 0.25
"""Height of the largest letters, as a share of the height."""
FONT = "mpl-data/fonts/ttf/DejaVuSans.ttf"


def drawn_text(text: str, width: int = SIDE, height: int = SIDE) -> Pixels:
    """Return `(height, width, 3)` with the text in its middle, broken into lines so that its letters are largest.

    Raises:
        DataError: matplotlib's font is not installed.
    """
    picture = PillowImage.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    words = text.split()
    room = (width * (1 - 2 * MARGIN), height * (1 - 2 * MARGIN))
    for size in range(max(int(height * LARGEST), 1), 0, -1):
        font = ImageFont.truetype(str(_font()), size)
        broken = _lines(draw, words, font, room[0])
        left, top, right, bottom = draw.multiline_textbbox((0, 0), broken, font=font)
        if right - left <= room[0] and bottom - top <= room[1]:
            break
    middle = (width / 2, height / 2)
    draw.multiline_text(middle, broken, fill="black", font=font, anchor="mm", align="center")
    return np.asarray(picture)


def _lines(draw: ImageDraw.ImageDraw, words: list[str], font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return the words, a line being ended before the word that it has no room for."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font=font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _font() -> Path:
    spec = find_spec("matplotlib")
    path = Path(next(iter((spec.submodule_search_locations if spec else None) or [""]))) / FONT
    if not path.is_file():
        raise DataError(f"{path} is missing; install matplotlib again")
    return path
