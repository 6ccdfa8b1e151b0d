"""CLIPScore and RefCLIPScore of answered captions.

    CLIPScore(c, v)       = 2.5 max(cos(c, v), 0), the caption reading "A photo depicts " + c
    RefCLIPScore(c, v, R) = the harmonic mean of CLIPScore(c, v) and max(0, max over r in R of cos(c, r)), the
                            references reading the same way

`w` = 2.5 stands in the first and not in the second; both are means over pictures. Texts are cut at 77 tokens.

Source: Hessel et al. 2021, arXiv:2104.08718; `clipscore.py` of jmhessel/clipscore at 1036465. Two things differ. It
computes in 16 bits on a GPU and 32 on a processor; here it is always 32. Of the references it takes the best cosine as
it is; here, as in the paper, one below 0 counts as 0, since with a negative number the harmonic mean means nothing, and
where both parts are 0 so is the mean, which is not a number there. Published, ViT-B/32: its example captions .8584 and
.8450 (good), .7153 and .7253 (bad).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.errors import DataError, RunError
from evalkit.features.encoder import Encoder
from evalkit.interfaces import Scored
from evalkit.metrics.means import Fields, Measure, Tally
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.similarity import cosines, feature_cache
from evalkit.types import Image, Text
from evalkit.workspace import Workspace

PREFIX = "A photo depicts "
WEIGHT = 2.5
VERSION = 2
"""Raised whenever either number changes."""

Doubles = npt.NDArray[np.float64]


def harmonic_mean(a: float, b: float) -> float:
    """Return 2ab / (a + b), 0 where both are 0.

    >>> harmonic_mean(0.75, 0.25)
    0.375
    """
    return 2 * a * b / (a + b) if a + b else 0.0


@dataclass(frozen=True, slots=True)
class ClipScore:
    """CLIPScore of each answered caption with the sample's picture; with `references` RefCLIPScore."""

    workspace: Workspace
    encoder: Encoder
    references: bool = False
    strata: tuple[str, ...] = ()

    @property
    def measure(self) -> Measure:
        """Its name, with its backbone."""
        label = "refclipscore" if self.references else "clipscore"
        return Measure(f"{label}[{self.encoder.name}]", unit="score", by=self.strata)

    def prepare(self) -> None:
        """Find the weights and the tokeniser.

        Raises:
            WeightsError: they cannot be had.
        """
        self.encoder.prepare(texts=True)

    def fields(self) -> Fields:
        """Return the encoder's choices and the formula's."""
        return {**self.encoder.protocol_fields, "score_version": VERSION, "prefix": PREFIX, "weight": WEIGHT}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's score.

        Raises:
            RunError: an answer is not one text.
            DataError: a sample has not one picture, or no reference where they are asked for.
        """
        texts = [PREFIX + _answer(one) for one in scored]
        with feature_cache(self.workspace) as cache:
            captions = self.encoder.texts(texts, cache)
            pictures = self.encoder.pictures([_picture(one) for one in scored], cache)
            plain = WEIGHT * cosines(captions, pictures).clip(min=0)
            if not self.references:
                return [Tally(float(value)) for value in plain]
            owned = [[PREFIX + text for text in _references(one)] for one in scored]
            every = self.encoder.texts([text for own in owned for text in own], cache)
        counts = [len(own) for own in owned]
        pairs = cosines(np.repeat(captions, counts, axis=0), every)
        best = np.maximum.reduceat(pairs, np.cumsum([0, *counts[:-1]])).clip(min=0)
        return [Tally(harmonic_mean(float(a), float(b))) for a, b in zip(plain, best, strict=True)]


def _answer(scored: Scored) -> str:
    texts = [part.text for part in scored.generation.parts if isinstance(part, Text)]
    if len(texts) != 1:
        raise RunError(f"the answer to sample {scored.sample.id!r} holds {len(texts)} texts, not 1; mend the model")
    return texts[0]


def _picture(scored: Scored) -> Image:
    pictures = [part for part in scored.sample.parts if isinstance(part, Image)]
    if len(pictures) != 1:
        raise DataError(f"sample {scored.sample.id!r} has {len(pictures)} pictures; CLIPScore is of one")
    return pictures[0]


def _references(scored: Scored) -> list[str]:
    texts = [part.text for part in scored.sample.references if isinstance(part, Text)]
    if not texts:
        raise DataError(f"sample {scored.sample.id!r} has no reference caption; RefCLIPScore needs one")
    return texts


def clipscore_metrics(workspace: Workspace, encoder: Encoder, protocol_name: str, fields: Fields) -> list[ScoreMetric]:
    """Return the metrics of CLIPScore and RefCLIPScore, for a task whose answers are captions."""
    return [ScoreMetric(protocol_name, fields, ClipScore(workspace, encoder, own)) for own in (False, True)]
