"""VQAScore: how likely a model answers "Yes" when it is asked whether the answered picture shows its prompt.

    VQAScore(c, v) = P("Yes" | v, 'Does this figure show "c"? Please answer yes or no.')

0 to 1, higher being better, the probability being the geometric mean over the answer's two tokens. What exactly is
computed stands in `evalkit.features.clip_flant5`.

Source: Lin et al. 2024, arXiv:2404.01291.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.features.clip_flant5 import ClipFlanT5
from evalkit.interfaces import Scored
from evalkit.metrics.means import Fields, Measure, Tally
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.metrics.pictures.similarity import TextOf, feature_cache
from evalkit.workspace import Workspace

VERSION = 1
"""Raised whenever the number changes."""


@dataclass(frozen=True, slots=True)
class VqaScore:
    """VQAScore of the answered picture and a text: `vqascore[clip-flant5-xl]`."""

    workspace: Workspace
    model: ClipFlanT5
    text: TextOf
    strata: tuple[str, ...] = ()

    @property
    def measure(self) -> Measure:
        """Its name, with the model that is asked."""
        return Measure(f"vqascore[{self.model.name}]", unit="probability", by=self.strata)

    def prepare(self) -> None:
        """Find the weights and the tokeniser.

        Raises:
            WeightsError: they cannot be had.
        """
        self.model.prepare()

    def fields(self) -> Fields:
        """Return the model's choices."""
        return {**self.model.protocol_fields, "score_version": VERSION}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's probability.

        Raises:
            RunError: an answer is not one picture.
        """
        pictures, texts = [answered_picture(one) for one in scored], [self.text(one) for one in scored]
        with feature_cache(self.workspace) as cache:
            return [Tally(float(value)) for value in self.model.scores(pictures, texts, cache)]
