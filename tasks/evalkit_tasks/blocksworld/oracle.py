"""Reads a picture of blocks back into words: shapes, colours, sizes, places and background, by analysis alone.

Nothing is learnt. The background is the one of the eighteen that explains most pixels. A pixel that differs from it is
a mix of the background with one colour, and belongs to the colour that such a mix comes nearest to. Each connected
patch of a colour is then compared with every shape at every size and nearby place, drawn as `render` draws them; pixels
of other blocks are left out of the comparison, for there the patch may go on unseen. Colours that are off and soft
edges are tolerated, so that pictures made by models can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image as PillowImage
from scipy import ndimage

from evalkit.images import Pixels
from evalkit_tasks.blocksworld.render import PALETTE, accent, ground_picture
from evalkit_tasks.blocksworld.scene import (
    COLOURS,
    GROUNDS,
    STYLES,
    Background,
    Block,
    Colour,
    Scene,
    arranged,
)
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
from evalkit_tasks.blocksworld.truth import box_around

Floats = npt.NDArray[np.float32]
Inside = npt.NDArray[np.bool_]

PIXELS = 64
"""Side that every picture is brought to before it is read."""

_STEP = UNITS // PIXELS
_INLIER = 40.0
_FAINT = 0.4
_OFF_LINE = 48.0
_UNSEEN_COST = 0.12
_SLACK = 1.5
_LEAST_PIXELS = 9
_UNCHANGED = 8.0
_FRONT = 28.0
_LARGEST = 22
_JOINS_AT = 0.97
_PAD = 12
_LEAST_CONFIDENCE = 0.3


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """A block as it was read; `x, y` is its centre in units of 1/256 of the side.

    `box` is `(x, y, width, height)` of the whole block, hidden parts included, in units. `confidence` is the share of
    what was seen that the block explains, at most 1.
    """

    shape: Shape
    colour: Colour
    size: Size
    texture: Texture
    x: int
    y: int
    confidence: float

    @property
    def block(self) -> Block:
        """The block that a scene would hold."""
        return Block(self.shape, self.colour, self.size, self.texture, self.x, self.y)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Box `(x, y, width, height)` of the whole block, hidden parts included, in units."""
        side = SIDES[self.size]
        return self.x - side // 2, self.y - side // 2, side, side


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from a picture: its blocks, the farthest first, and its background."""

    blocks: tuple[ReadBlock, ...]
    background: Background

    @property
    def scene(self) -> Scene:
        """The scene that was read, ready to be drawn or described."""
        return arranged([found.block for found in self.blocks], self.background)


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A picture seen as mixes of its background with each of the eight colours.

    `share` `(8, 64, 64)` is how much of each colour would be in each pixel, `off` how far from such a mix the pixel is,
    and `label` `(64, 64)` the colour that it belongs to, -1 for the background.
    """

    image: Floats
    share: Floats
    off: Floats
    label: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class _Patch:
    """Connected pixels `(64, 64)` of one colour."""

    colour: int
    inside: Inside


@dataclass(frozen=True, slots=True)
class _Fit:
    """A shape laid over a patch: centre in units, and the gain over laying none."""

    shape: Shape
    size: Size
    x: int
    y: int
    gain: float


def read(pixels: Pixels) -> Reading:
    """Return what a picture `(H, W, 3)` shows; it is brought to 64 by 64 pixels first."""
    image = _at_reading_size(pixels)
    background, behind = _background(image)
    view = _view(image, behind)
    patches = _joined(view, list(_patches(view.label)))
    fits = [_fit(view, patch, _hiding(patch.colour, patches)) for patch in patches]
    blocks = [_read_block(view, patch, fit) for patch, fit in zip(patches, fits, strict=True)]
    sure = [found for found in blocks if found.confidence >= _LEAST_CONFIDENCE]
    return Reading(tuple(sorted(sure, key=lambda found: (found.y, found.x))), background)


def _at_reading_size(pixels: Pixels) -> Floats:
    if pixels.shape[:2] != (PIXELS, PIXELS):
        shrunk = PillowImage.fromarray(pixels).resize((PIXELS, PIXELS), PillowImage.Resampling.BOX)
        pixels = np.asarray(shrunk)
    return pixels.astype(np.float32)


@lru_cache(maxsize=1)
def _grounds() -> tuple[tuple[Background, ...], Floats]:
    """Return all backgrounds and their pictures `(18, 64, 64, 3)`."""
    every = tuple(Background(colour, style) for colour in GROUNDS for style in STYLES)
    return every, np.stack([ground_picture(background, PIXELS) for background in every]).astype(np.float32)


def _background(image: Floats) -> tuple[Background, Floats]:
    """Return the background that explains most pixels, and its picture `(64, 64, 3)` shifted to fit them."""
    every, drawn = _grounds()
    away = np.abs(drawn[:, 1::3, 1::3] - image[1::3, 1::3]).sum(axis=3)
    best = int(np.argmin(np.minimum(away, 3 * _INLIER).sum(axis=(1, 2))))
    difference = image - drawn[best]
    near = np.abs(difference).sum(axis=2) < 3 * _INLIER
    shift = np.median(difference[near], axis=0) if near.any() else np.zeros(3)
    return every[best], drawn[best] + shift.astype(np.float32)


@lru_cache(maxsize=1)
def _tones() -> Floats:
    """Return three tones of each colour `(8, 3, 3)`: the plain one, that of its stripes and dots, and between them."""
    ends = np.array([(PALETTE[colour], accent(colour)) for colour in COLOURS], dtype=np.float32)
    return np.stack((ends[:, 0], ends[:, 1], ends.mean(axis=1)), axis=1)


def _view(image: Floats, behind: Floats) -> _View:
    """Return `image` seen as mixes of `behind` with each colour."""
    difference = image - behind
    size = np.sqrt((difference * difference).sum(axis=2))
    changed = size > _UNCHANGED
    share, off = _mixes(difference[changed], behind[changed])
    shares = np.zeros((len(COLOURS), PIXELS, PIXELS), np.float32)
    offs = np.zeros((len(COLOURS), PIXELS, PIXELS), np.float32)
    shares[:, changed], offs[:, changed] = share.T, off.T
    # Of two lines that pass equally near, the one on which the pixel is the purer colour.
    nearest = np.argmin(off - 10.0 * share, axis=1)
    pure = share[np.arange(len(share)), nearest]
    front = size[changed] > max(_FRONT, 2.2 * float(np.median(size)))
    label = np.full((PIXELS, PIXELS), -1, np.int8)
    label[changed] = np.where(front & (pure >= _FAINT), nearest, -1)
    return _View(image, shares, offs, label)


def _mixes(difference: Floats, behind: Floats) -> tuple[Floats, Floats]:
    """Return how much of each colour is in pixels `(N, 3)`, and how far from such a mix they are: `(N, 8)` each.

    `difference` is pixel less background. Of a colour's three tones the one that comes nearest counts.
    """
    tones = _tones().reshape(-1, 3)
    # |line|^2 and difference * line with line = tone - background, without an array of N lines.
    length = (tones * tones).sum(axis=1) - 2 * behind @ tones.T + (behind * behind).sum(axis=1)[:, None]
    along = difference @ tones.T - (difference * behind).sum(axis=1)[:, None]
    share = np.clip(along / np.maximum(length, 1.0), 0.0, 1.0)
    squared = (difference * difference).sum(axis=1)[:, None] - 2 * share * along + share * share * length
    per_colour = (len(difference), *_tones().shape[:2])
    off, share = np.sqrt(np.maximum(squared, 0.0)).reshape(per_colour), share.reshape(per_colour)
    nearest = np.argmin(off, axis=2)[:, :, None]
    return np.take_along_axis(share, nearest, 2)[:, :, 0], np.take_along_axis(off, nearest, 2)[:, :, 0]


def _patches(labels: npt.NDArray[np.int8]) -> Iterator[_Patch]:
    """Yield the connected patches of each colour, without the thin seams of mixed colours between others."""
    for colour in range(len(COLOURS)):
        plane = labels == colour
        if np.count_nonzero(plane) < _LEAST_PIXELS:
            continue
        thick = plane & (_neighbours(plane) >= 5)
        kept = plane & (_neighbours(thick) >= 1)
        marks, count = ndimage.label(kept, np.ones((3, 3), int))
        for number in range(1, count + 1):
            inside = marks == number
            if np.count_nonzero(inside) >= _LEAST_PIXELS:
                yield _Patch(colour, inside)


def _neighbours(plane: Inside) -> npt.NDArray[np.uint8]:
    """Return how many of the nine pixels around each one, itself included, are inside."""
    padded = np.pad(plane, 1).astype(np.uint8)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])


def _joined(view: _View, patches: list[_Patch]) -> list[_Patch]:
    """Return the patches, those of one colour that a single shape explains as well as two being put together."""
    for a, b in combinations(patches, 2):
        if a.colour != b.colour or max(box_around(a.inside | b.inside)[2:]) > _LARGEST:
            continue
        both = _Patch(a.colour, a.inside | b.inside)
        covered = _hiding(a.colour, patches)
        apart = _fit(view, a, covered).gain + _fit(view, b, covered).gain
        if _fit(view, both, covered).gain >= _JOINS_AT * apart:
            return _joined(view, [both, *(patch for patch in patches if patch is not a and patch is not b)])
    return patches


def _hiding(colour: int, patches: Iterable[_Patch]) -> Inside:
    """Return the pixels of those of `patches` that have another colour: what may lie over a patch of `colour`."""
    covered = np.zeros((PIXELS, PIXELS), np.bool_)
    for patch in patches:
        if patch.colour != colour:
            covered |= patch.inside
    return covered


def _fit(view: _View, patch: _Patch, covered: Inside) -> _Fit:
    """Return the shape that explains a patch best, where `covered` marks pixels under which it may go on unseen.

    Minimised is the squared difference between the share of the colour in each pixel and the share that the shape
    covers; a pixel under which the shape would be unseen costs a little.
    """
    unseen = (covered | (view.off[patch.colour] > _OFF_LINE)) & ~patch.inside
    present = np.where(unseen | (_neighbours(patch.inside) == 0), np.float32(0.0), view.share[patch.colour])
    weight = np.pad(np.where(unseen, np.float32(_UNSEEN_COST), np.float32(1.0)), _PAD, constant_values=1.0)
    present = np.pad(present, _PAD) * weight
    fits = [_fit_of_size(size, present, weight, patch.inside) for size in SIZES]
    return max((fit for fit in fits if fit is not None), key=lambda fit: fit.gain, default=_fallback(patch))


def _fallback(patch: _Patch) -> _Fit:
    """Return a large square on a patch that is larger than every shape."""
    rows, columns = np.nonzero(patch.inside)
    x, y = int(columns.mean() * _STEP) + _STEP // 2, int(rows.mean() * _STEP) + _STEP // 2
    return _Fit("square", "large", x, y, 0.0)


@lru_cache(maxsize=8)
def _templates(size: Size) -> tuple[tuple[tuple[Shape, int, int], ...], int, Floats, Floats]:
    """Return names, reach in pixels, coverage `(K * K, T)` and its square of each shape at four places in a pixel."""
    names, drawn, reach = [], [], 0
    for shape in SHAPES:
        for dx, dy in ((0, 0), (_STEP // 2, 0), (0, _STEP // 2), (_STEP // 2, _STEP // 2)):
            s = stamp(shape, size, "solid", dx, dy, PIXELS)
            names.append((shape, dx, dy))
            drawn.append(s.whole.ravel().astype(np.float32) / FULL)
            reach = -s.top
    stacked: Floats = np.stack(drawn, axis=1).astype(np.float32)
    return tuple(names), reach, stacked, stacked * stacked


def _fit_of_size(size: Size, present: Floats, weight: Floats, inside: Inside) -> _Fit | None:
    """Return the best shape of one size, None where the patch is too large for it.

    `present` and `weight` are padded by `_PAD` pixels on each side.
    """
    names, reach, drawn, squared = _templates(size)
    rows, columns = (_span(np.flatnonzero(inside.any(axis=axis)), SIDES[size]) for axis in (1, 0))
    if not rows or not columns:
        return None
    window = np.s_[
        rows[0] + _PAD - reach : rows[-1] + _PAD + reach,
        columns[0] + _PAD - reach : columns[-1] + _PAD + reach,
    ]
    gains = 2 * _around(present[window], reach) @ drawn - _around(weight[window], reach) @ squared
    place, name = divmod(int(np.argmax(gains)), len(names))
    row, column = divmod(place, len(columns))
    shape, dx, dy = names[name]
    return _Fit(shape, size, columns[column] * _STEP + dx, rows[row] * _STEP + dy, float(gains.max()))


def _span(places: npt.NDArray[np.int64], side: int) -> range:
    """Return the pixel corners where a block of `side` units may have its centre to reach all of `places`."""
    half = side / _STEP / 2
    first = max(int(np.ceil(places[-1] + 1 - half - _SLACK)), 0)
    last = min(int(np.floor(places[0] + half + _SLACK)), PIXELS)
    return range(first, last + 1)


def _around(plane: Floats, reach: int) -> Floats:
    """Return the `reach` pixels to each side of every corner that has so many: `(P, K * K)`, K = 2 * `reach`."""
    return sliding_window_view(plane, (2 * reach, 2 * reach)).reshape(-1, 4 * reach * reach)


def _read_block(view: _View, patch: _Patch, fit: _Fit) -> ReadBlock:
    """Return the block that a fit stands for, with its texture."""
    seen = float(np.square(view.share[patch.colour][_neighbours(patch.inside) > 0]).sum())
    confidence = max(0.0, min(1.0, fit.gain / max(seen, 1.0)))
    colour = COLOURS[patch.colour]
    texture = "solid" if fit.size == "small" else _texture(view.image, patch, fit)
    return ReadBlock(fit.shape, colour, fit.size, texture, fit.x, fit.y, confidence)


def _texture(image: Floats, patch: _Patch, fit: _Fit) -> Texture:
    """Return the texture whose dark parts lie where the patch is dark."""
    plain, dark, _ = _tones()[patch.colour]
    line = dark - plain
    darkness = np.clip((image - plain) @ line / (line @ line), 0.0, 1.0)
    errors: dict[Texture, float] = {}
    for texture in TEXTURES:
        s = clipped(stamp(fit.shape, fit.size, texture, fit.x, fit.y, PIXELS), PIXELS)
        height, width = s.whole.shape
        window = np.s_[s.top : s.top + height, s.left : s.left + width]
        core = (s.whole == FULL) & patch.inside[window]
        expected = s.accent.astype(np.float32) / FULL
        errors[texture] = float(np.square(darkness[window] - expected)[core].sum())
    return min(errors, key=lambda texture: errors[texture])
