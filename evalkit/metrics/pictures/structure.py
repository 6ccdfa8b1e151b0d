"""Scores of an answered picture against the map that it was asked to follow, which is made of the answer again.

An answer of another size is first brought to that of the map, bicubic. The map is read from the part of the question
that was shown, and every map is made once and kept: see `evalkit.features.planes`.

Source: Li et al. 2024, arXiv:2404.07987; liming-ai/ControlNet_Plus_Plus at 9ffe264, `eval/eval_edge.py` and
`eval/eval_depth.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from evalkit.errors import DataError
from evalkit.features.planes import Annotator, BytePlane, plane_cache, plane_of
from evalkit.images import pixels
from evalkit.interfaces import Scored
from evalkit.metrics.means import Fields, Measure, Tally
from evalkit.metrics.pictures.differences import ms_ssim_of_torchmetrics
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.types import Image
from evalkit.workspace import Workspace

VERSION = 1
"""Raised whenever any of these numbers changes."""


def edge_f1(asked: BytePlane, found: BytePlane) -> float:
    """Return 2 TP / (asked + found) of edge pixels, which must lie exactly where they were asked; 0 where none does.

    >>> a, b = np.array([[255, 255, 0, 0]], np.uint8), np.array([[255, 0, 255, 0]], np.uint8)
    >>> edge_f1(a, b)
    0.5
    """
    right = np.count_nonzero((asked > 127) & (found > 127))
    total = np.count_nonzero(asked > 127) + np.count_nonzero(found > 127)
    return float(2 * right / total) if total else 0.0


def root_mean_square(asked: BytePlane, found: BytePlane) -> float:
    """Return the root of the mean squared difference, in levels of 255.

    >>> root_mean_square(np.array([[0, 0]], np.uint8), np.array([[3, 3]], np.uint8))
    3.0
    """
    return float(np.sqrt(np.square(asked.astype(np.float64) - found).mean()))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How two maps are compared, and how that reads."""

    of: Callable[[BytePlane, BytePlane], float]
    unit: str
    higher_is_better: bool


LIKENESSES: Mapping[str, Likeness] = MappingProxyType(
    {
        "f1": Likeness(edge_f1, "fraction", higher_is_better=True),
        "ms_ssim": Likeness(ms_ssim_of_torchmetrics, "similarity", higher_is_better=True),
        "rmse": Likeness(root_mean_square, "levels of 255", higher_is_better=False),
    }
)
"""Ways to compare two maps, by name."""


def asked_map(scored: Scored) -> Image:
    """Return the map that the question shows.

    Raises:
        DataError: it shows none.
    """
    shown = [part for part in scored.sample.parts if isinstance(part, Image) and part.role in {"edges", "depth"}]
    if len(shown) != 1:
        raise DataError(f"sample {scored.sample.id!r} shows {len(shown)} maps of edges or depth, not 1")
    return shown[0]


@dataclass(frozen=True, slots=True)
class MapLikeness:
    """How like the map that was asked for the answer's own map is."""

    workspace: Workspace
    annotator: Annotator
    label: str
    """What the number is called."""
    likeness: str
    """One of `LIKENESSES`."""
    strata: tuple[str, ...] = ()

    @property
    def measure(self) -> Measure:
        """Its name, unit and direction."""
        how = LIKENESSES[self.likeness]
        return Measure(self.label, how.unit, how.higher_is_better, by=self.strata)

    def prepare(self) -> None:
        """Find the annotator's weights.

        Raises:
            WeightsError: they cannot be had.
        """
        self.annotator.prepare()

    def fields(self) -> Fields:
        """Return the annotator's choices, and how sizes are made equal."""
        own: Fields = {"score_version": VERSION, "likeness": self.likeness, "answer_resize": "bicubic-pil"}
        return {**self.annotator.protocol_fields, **own}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's likeness."""
        return [Tally(self._of(one)) for one in scored]

    def _of(self, scored: Scored) -> float:
        shown = asked_map(scored)
        made = answered_picture(scored)
        found = plane_of(self.annotator, made, shown.width, shown.height, plane_cache(self.workspace))
        return LIKENESSES[self.likeness].of(pixels(shown)[:, :, 0], found)
