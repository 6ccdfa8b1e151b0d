"""Scores of the answer's pixels against another picture's: L1, L2, PSNR, SSIM, and LPIPS by its network.

An answer of another size is first brought to that of the other picture by Pillow's bicubic filter, as MagicBrush's
`gen.resize(gt.size)` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image as PillowImage

from evalkit.features.lpips import Lpips
from evalkit.images import Pixels, image_of, pixels
from evalkit.interfaces import Scored
from evalkit.metrics.means import Fields, Measure, Tally
from evalkit.metrics.pictures.differences import mean_absolute, mean_square, psnr, ssim_of_torchmetrics
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.metrics.pictures.similarity import VERSION, PictureOf, feature_cache
from evalkit.types import Image
from evalkit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of pixels: how it is computed, and how it reads."""

    of: Callable[[Pixels, Pixels], float]
    unit: str
    higher_is_better: bool


DIFFERENCES: Mapping[str, Difference] = MappingProxyType(
    {
        "l1": Difference(mean_absolute, "mean absolute difference", higher_is_better=False),
        "l2": Difference(mean_square, "mean squared difference", higher_is_better=False),
        "psnr": Difference(psnr, "dB", higher_is_better=True),
        "ssim": Difference(ssim_of_torchmetrics, "similarity", higher_is_better=True),
    }
)
"""The differences by name. PSNR of equal pictures is infinite: such answers are left out of its mean, and n says so."""


def sized_like(answer: Pixels, other: Pixels) -> Pixels:
    """Return `answer` `(h, w, 3)` at the size of `other` `(H, W, 3)`, by Pillow's bicubic filter where it differs."""
    height, width, _ = other.shape
    if answer.shape == other.shape:
        return answer
    return np.asarray(PillowImage.fromarray(answer).resize((width, height), PillowImage.Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class PixelDifference:
    """One of `DIFFERENCES` between the answer and another picture."""

    name: str
    other: PictureOf
    against: str
    strata: tuple[str, ...] = ()
    answer: PictureOf = answered_picture
    """What is compared: the answer, or a part of it."""
    label: str = ""
    """What the number is called, if not as the difference."""

    @property
    def measure(self) -> Measure:
        """Its name, unit and direction."""
        difference = DIFFERENCES[self.name]
        return Measure(self.label or self.name, difference.unit, difference.higher_is_better, by=self.strata)

    def prepare(self) -> None:
        """Do nothing: no weights are needed."""

    def fields(self) -> Fields:
        """Return what is compared with, how sizes are made equal, and what becomes of infinite values."""
        own: Fields = {"score_version": VERSION, "compared_with": self.against, "answer_resize": "bicubic-pil"}
        return {**own, "infinite": "left out"} if self.name == "psnr" else own

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's difference."""
        values = [self._of(one) for one in scored]
        return [Tally(value) if math.isfinite(value) else Tally(0.0, 0.0) for value in values]

    def _of(self, scored: Scored) -> float:
        other = pixels(self.other(scored))
        return DIFFERENCES[self.name].of(sized_like(pixels(self.answer(scored)), other), other)


@dataclass(frozen=True, slots=True)
class PerceptualDistance:
    """LPIPS between the answer and another picture: `lpips[alex]`."""

    workspace: Workspace
    lpips: Lpips
    other: PictureOf
    against: str
    strata: tuple[str, ...] = ()
    answer: PictureOf = answered_picture
    label: str = "lpips"

    @property
    def measure(self) -> Measure:
        """Its name, with its network."""
        return Measure(f"{self.label}[{self.lpips.name}]", "distance", higher_is_better=False, by=self.strata)

    def prepare(self) -> None:
        """Find the weights.

        Raises:
            WeightsError: they cannot be had.
        """
        self.lpips.prepare()

    def fields(self) -> Fields:
        """Return the network's choices and what is compared with."""
        own: Fields = {"score_version": VERSION, "compared_with": self.against, "answer_resize": "bicubic-pil"}
        return {**self.lpips.protocol_fields, **own}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's distance."""
        others = [self.other(one) for one in scored]
        answers = [_sized(self.answer(one), other) for one, other in zip(scored, others, strict=True)]
        with feature_cache(self.workspace) as cache:
            return [Tally(float(value)) for value in self.lpips.pairs(answers, others, cache)]


def _sized(answer: Image, other: Image) -> Image:
    if (answer.width, answer.height) == (other.width, other.height):
        return answer
    return image_of(sized_like(pixels(answer), pixels(other)))
