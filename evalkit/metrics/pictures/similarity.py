"""Scores by CLIP and DINO: of a picture with a picture, with a text, and of a change with a change of words.

All are cosines, -1 to 1, higher being better. What each compares with is said by functions of the scored sample, so
that one score serves a target picture in one task and the source picture in another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit.features.cache import FeatureCache, Vectors
from evalkit.features.encoder import Encoder, unit
from evalkit.interfaces import Scored
from evalkit.metrics.means import Fields, Measure, Tally
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.types import Image
from evalkit.workspace import Workspace

PictureOf: TypeAlias = Callable[[Scored], Image]
TextOf: TypeAlias = Callable[[Scored], str]

VERSION = 1
"""Raised whenever any of these numbers changes."""


def feature_cache(workspace: Workspace) -> FeatureCache:
    """Return the cache of features that all of the workspace's scores share."""
    return FeatureCache(workspace.cache / "features")


def cosines(a: Vectors, b: Vectors) -> npt.NDArray[np.float64]:
    """Return the cosine `(N,)` of each two rows of `(N, D)`; that with a row of zeros is 0.

    >>> cosines(np.array([[3, 4]], np.float32), np.array([[4, 3]], np.float32)).round(6)
    array([0.96])
    """
    found: npt.NDArray[np.float64] = (unit(a).astype(np.float64) * unit(b)).sum(axis=1)
    return found


@dataclass(frozen=True, slots=True)
class PictureSimilarity:
    """The cosine of the answer with another picture: `clip_i[openai-vit-b32]`, `dino[dino-vits16]`."""

    workspace: Workspace
    encoder: Encoder
    label: str
    other: PictureOf
    against: str
    """What the other picture is, for the protocol: `target`, `source`."""
    strata: tuple[str, ...] = ()

    @property
    def measure(self) -> Measure:
        """Its name, with its backbone."""
        return Measure(f"{self.label}[{self.encoder.name}]", unit="cosine", by=self.strata)

    def prepare(self) -> None:
        """Find the weights.

        Raises:
            WeightsError: they cannot be had.
        """
        self.encoder.prepare()

    def fields(self) -> Fields:
        """Return the encoder's choices and what is compared with."""
        return {**self.encoder.protocol_fields, "score_version": VERSION, "compared_with": self.against}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's cosine."""
        with feature_cache(self.workspace) as cache:
            made = self.encoder.pictures([answered_picture(one) for one in scored], cache)
            other = self.encoder.pictures([self.other(one) for one in scored], cache)
        return [Tally(float(value)) for value in cosines(made, other)]


@dataclass(frozen=True, slots=True)
class TextSimilarity:
    """The cosine of the answered picture with a text: `clip_t[openai-vit-b32]`."""

    workspace: Workspace
    encoder: Encoder
    label: str
    text: TextOf
    prefix: str = ""
    scale: float = 1.0
    floor: float = -1.0
    """The least cosine that counts: 0 in CLIPScore."""
    strata: tuple[str, ...] = ()
    picture: PictureOf = answered_picture
    """What is compared with the text: the answer, or a part of it."""

    @property
    def measure(self) -> Measure:
        """Its name, with its backbone."""
        unit_name = "cosine" if self.scale == 1 else f"{self.scale:g} x cosine"
        return Measure(f"{self.label}[{self.encoder.name}]", unit=unit_name, by=self.strata)

    def prepare(self) -> None:
        """Find the weights and the tokeniser.

        Raises:
            WeightsError: they cannot be had.
        """
        self.encoder.prepare(texts=True)

    def fields(self) -> Fields:
        """Return the encoder's choices and how cosine and text are treated."""
        own: Fields = {"score_version": VERSION, "prefix": self.prefix, "scale": self.scale, "floor": self.floor}
        return {**self.encoder.protocol_fields, **own}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's scaled cosine."""
        with feature_cache(self.workspace) as cache:
            made = self.encoder.pictures([self.picture(one) for one in scored], cache)
            texts = self.encoder.texts([self.prefix + self.text(one) for one in scored], cache)
        return [Tally(self.scale * max(float(value), self.floor)) for value in cosines(made, texts)]


@dataclass(frozen=True, slots=True)
class DirectionSimilarity:
    """The cosine of the change from source to answer with the change from one caption to another.

    Both changes are differences of vectors of length 1. Where either is nothing the cosine is 0.

    Source: Gal et al. 2022, arXiv:2108.00946, as measured by Brooks et al. 2022, arXiv:2211.09800.
    """

    workspace: Workspace
    encoder: Encoder
    source: PictureOf
    before: TextOf
    after: TextOf
    label: str = "clip_direction"
    strata: tuple[str, ...] = ()

    @property
    def measure(self) -> Measure:
        """Its name, with its backbone."""
        return Measure(f"{self.label}[{self.encoder.name}]", unit="cosine", by=self.strata)

    def prepare(self) -> None:
        """Find the weights and the tokeniser.

        Raises:
            WeightsError: they cannot be had.
        """
        self.encoder.prepare(texts=True)

    def fields(self) -> Fields:
        """Return the encoder's choices."""
        return {**self.encoder.protocol_fields, "score_version": VERSION, "direction": "of unit vectors"}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's cosine of changes."""
        with feature_cache(self.workspace) as cache:
            made = unit(self.encoder.pictures([answered_picture(one) for one in scored], cache))
            source = unit(self.encoder.pictures([self.source(one) for one in scored], cache))
            before = unit(self.encoder.texts([self.before(one) for one in scored], cache))
            after = unit(self.encoder.texts([self.after(one) for one in scored], cache))
        return [Tally(float(value)) for value in cosines(made - source, after - before)]
