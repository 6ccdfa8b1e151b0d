"""What a drawn world holds, and the scenes that seeds stand for.

Places are in units of 1/256 of the picture's side, `x` to the right and `y` down. A block that lies lower is nearer: it
hides what lies behind it, so the order in depth can be seen in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit.errors import UsageError
from evalkit_tasks.blocksworld.draws import Draws, mixed
from evalkit_tasks.blocksworld.shapes import (
    FULL,
    SHAPES,
    SIDES,
    SIZES,
    TEXTURES,
    UNITS,
    Shape,
    Size,
    Texture,
    clipped,
    stamp,
)

Colour: TypeAlias = Literal["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"]
Ground: TypeAlias = Literal["white", "gray", "black", "beige", "mint", "lavender"]
Style: TypeAlias = Literal["plain", "gradient", "checkered"]
Stratum: TypeAlias = Literal["easy", "medium", "hard"]
Relation: TypeAlias = Literal["left", "right", "above", "below"]

COLOURS: tuple[Colour, ...] = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
GROUNDS: tuple[Ground, ...] = ("white", "gray", "black", "beige", "mint", "lavender")
STYLES: tuple[Style, ...] = ("plain", "gradient", "checkered")
STRATA: tuple[Stratum, ...] = ("easy", "medium", "hard")

HELD_OUT_SEEDS = 1_000_000
"""Seeds below this draw held-out scenes, the others training scenes."""

_MARGIN = 4
_GUARD = 8
_GAP = 8
_PLAINLY = 32
_VISIBLE_SHARE = 0.6
_HIDDEN_BELOW = 0.95
_HELD_OUT_ONE_IN = 8
_CHECK_PIXELS = 64


@dataclass(frozen=True, slots=True)
class Block:
    """One block; `x, y` is its centre."""

    shape: Shape
    colour: Colour
    size: Size
    texture: Texture
    x: int
    y: int

    @property
    def side(self) -> int:
        """Side of the square that it fills, in units."""
        return SIDES[self.size]

    @property
    def row(self) -> int:
        """Third of the picture that its centre lies in: 0 top, 1 middle, 2 bottom."""
        return min(3 * self.y // UNITS, 2)

    @property
    def column(self) -> int:
        """Third of the picture that its centre lies in: 0 left, 1 middle, 2 right."""
        return min(3 * self.x // UNITS, 2)


@dataclass(frozen=True, slots=True)
class Background:
    """What lies behind the blocks."""

    colour: Ground
    style: Style


@dataclass(frozen=True, slots=True)
class Scene:
    """A background and its blocks, the farthest first: build one with `arranged`."""

    blocks: tuple[Block, ...]
    background: Background


def arranged(blocks: Sequence[Block], background: Background) -> Scene:
    """Return the scene of those blocks, which are put in their order of depth."""
    return Scene(tuple(sorted(blocks, key=lambda block: (block.y, block.x))), background)


def scene(seed: int, stratum: Stratum) -> Scene:
    """Return the scene that `seed` stands for.

    `easy` holds one or two blocks in the cells of a 3 x 3 grid, `medium` one to three apart from each other, `hard`
    four or five of which some hide parts of others, at least 60 % of each being visible. No scene of a seed below
    `HELD_OUT_SEEDS` can be described in the words that describe a scene of another seed: see `is_held_out`.

    Raises:
        UsageError: there is no such stratum.
    """
    if stratum not in STRATA:
        raise UsageError(f"no stratum named {stratum!r}; choose one of {', '.join(STRATA)}")
    draws = Draws(f"scene {stratum}", seed)
    while True:
        found = _arrangement(draws, stratum)
        if found is not None and is_held_out(found) == (seed < HELD_OUT_SEEDS) and is_clear(found):
            return found


def is_held_out(candidate: Scene) -> bool:
    """Return whether scenes of this description are kept for testing: one description in eight.

    The description is the background and each block's shape, colour, size, texture and place on the 3 x 3 grid, so a
    held-out scene differs from every training scene by more than a shift of its blocks.
    """
    words = sorted(
        (
            SHAPES.index(block.shape),
            COLOURS.index(block.colour),
            SIZES.index(block.size),
            TEXTURES.index(block.texture),
            block.row,
            block.column,
        )
        for block in candidate.blocks
    )
    code = GROUNDS.index(candidate.background.colour) * 8 + STYLES.index(candidate.background.style)
    for word in words:
        for number in word:
            code = code * 16 + number
        code = mixed(code)
    return mixed(code) % _HELD_OUT_ONE_IN == 0


def _arrangement(draws: Draws, stratum: Stratum) -> Scene | None:
    """Return the next scene of `draws`, or None where its blocks have found no place."""
    background = Background(draws.one_of(GROUNDS), draws.one_of(STYLES))
    count = {"easy": draws.between(1, 2), "medium": draws.between(1, 3), "hard": draws.between(4, 5)}[stratum]
    cells = draws.shuffled(range(9))
    blocks: list[Block] = []
    for cell in cells[:count]:
        wanted = looks(draws, blocks)
        placed = place(draws, wanted, blocks, cell if stratum == "easy" else None, apart=stratum != "hard")
        if placed is None:
            return None
        blocks.append(placed)
    found = arranged(blocks, background)
    return found if stratum != "hard" or _overlaps(blocks) else None


def looks(draws: Draws, others: Sequence[Block]) -> Block:
    """Return a block that has found no place yet, at (0, 0).

    One in five takes the shape and colour of one of `others`, so that there is something to count. A small block is
    solid: stripes and dots could not be seen on it in a picture of 64 pixels.
    """
    shape, colour = draws.one_of(SHAPES), draws.one_of(COLOURS)
    if others and draws.percent(20):
        twin = draws.one_of(others)
        shape, colour = twin.shape, twin.colour
    size = draws.one_of(SIZES)
    return Block(shape, colour, size, "solid" if size == "small" else draws.one_of(TEXTURES), 0, 0)


def place(draws: Draws, block: Block, others: Sequence[Block], cell: int | None, *, apart: bool) -> Block | None:
    """Return `block` at a new place, or None where twelve tries found none.

    `cell` is the third's row * 3 + column that it must lie in, None for anywhere. Blocks that need not be `apart` may
    hide parts of each other, unless they have the same colour.
    """
    reach = block.side // 2 + _MARGIN
    low_x, high_x, low_y, high_y = reach, UNITS - reach, reach, UNITS - reach
    if cell is not None:
        row, column = divmod(cell, 3)
        low_x, high_x = max(low_x, column * UNITS // 3), min(high_x, (column + 1) * UNITS // 3)
        low_y, high_y = max(low_y, row * UNITS // 3), min(high_y, (row + 1) * UNITS // 3)
    for _ in range(12):
        placed = replace(block, x=draws.between(low_x, high_x), y=draws.between(low_y, high_y))
        if _off_the_lines(placed) and all(_may_stand(placed, other, apart) for other in others):
            return placed
    return None


def _off_the_lines(block: Block) -> bool:
    """Return whether it is plain in which third of the picture the centre lies."""
    return all(abs(3 * place - line) >= 3 * _GUARD for place in (block.x, block.y) for line in (UNITS, 2 * UNITS))


def gap(a: Block, b: Block) -> int:
    """Return the distance between the squares that two blocks fill, in units; below 0 where they overlap."""
    return max(abs(a.x - b.x), abs(a.y - b.y)) - (a.side + b.side) // 2


def _may_stand(a: Block, b: Block, apart: bool) -> bool:
    return gap(a, b) >= _GAP or (not apart and a.colour != b.colour and abs(a.y - b.y) >= _GAP)


def _overlaps(blocks: Sequence[Block]) -> bool:
    return any(gap(a, b) < 0 for a, b in combinations(blocks, 2))


def is_well_made(candidate: Scene) -> bool:
    """Return whether a scene could have been drawn from a seed: nothing cut off, nothing hidden or run together."""
    return (
        all(_may_stand(a, b, apart=False) for a, b in combinations(candidate.blocks, 2))
        and all(_is_inside(block) and _off_the_lines(block) for block in candidate.blocks)
        and not any(block.size == "small" and block.texture != "solid" for block in candidate.blocks)
        and is_clear(candidate)
    )


def _is_inside(block: Block) -> bool:
    reach = block.side // 2 + _MARGIN
    return all(reach <= middle <= UNITS - reach for middle in (block.x, block.y))


def relation(a: Block, b: Block) -> Relation | None:
    """Return where `a` plainly is as `b` sees it: `left` means that `a` is to the left of `b`.

    None unless the centres are 32 units apart in one direction and at most half as far in the other.
    """
    across, down = a.x - b.x, a.y - b.y
    if abs(across) >= max(2 * abs(down), _PLAINLY):
        return "left" if across < 0 else "right"
    if abs(down) >= max(2 * abs(across), _PLAINLY):
        return "above" if down < 0 else "below"
    return None


def is_clear(candidate: Scene) -> bool:
    """Return whether at least 60 % of each block is visible."""
    return not _overlaps(candidate.blocks) or min(visible_shares(candidate.blocks)) >= _VISIBLE_SHARE


def hides(near: Block, far: Block) -> bool:
    """Return whether `near` plainly hides some of `far`: a twentieth or more."""
    return gap(near, far) < 0 and near.y > far.y and visible_shares((far, near))[0] <= _HIDDEN_BELOW


def nearest_blocks(blocks: Sequence[Block], pixels: int) -> npt.NDArray[np.int8]:
    """Return the index `(pixels, pixels)` of the block that is seen at each pixel, -1 for the background.

    A block is seen where it covers half of the pixel or more and no later block does.
    """
    nearest = np.full((pixels, pixels), -1, np.int8)
    for index, block in enumerate(blocks):
        s = clipped(stamp(block.shape, block.size, "solid", block.x, block.y, pixels), pixels)
        height, width = s.whole.shape
        nearest[s.top : s.top + height, s.left : s.left + width][2 * s.whole >= FULL] = index
    return nearest


def visible_shares(blocks: Sequence[Block]) -> tuple[float, ...]:
    """Return the share of each block that no later block hides, counted in the pixels of a picture of 64."""
    nearest = nearest_blocks(blocks, _CHECK_PIXELS)
    shares = []
    for index, block in enumerate(blocks):
        whole = stamp(block.shape, block.size, "solid", block.x, block.y, _CHECK_PIXELS).whole
        shares.append(float(np.count_nonzero(nearest == index)) / np.count_nonzero(2 * whole >= FULL))
    return tuple(shares)
