"""What models of people's preferences say of a picture and its prompt: PickScore and HPSv2.

    PickScore(c, v) = s cos(c, v), s the scale that CLIP's logits have in its weights, about 100
    HPSv2(c, v)     = 100 cos(c, v), as its tables have it; its code gives the cosine

Both are a CLIP ViT-H/14 fine-tuned on which of two pictures people chose. So a number says little by itself: it ranks
pictures of one prompt, and its mean ranks models on one list of prompts.

Source: Kirstain et al. 2023, arXiv:2305.01569, yuvalkirstain/PickScore at f79607f, `README.md`; Wu et al. 2023,
arXiv:2306.09341, tgxs002/HPSv2 at 866735e, `hpsv2/img_score.py`. Three things differ. HPSv2's code computes in 16 bits
on a GPU; here it is always 32. It resizes with torchvision as installed, which smooths since its version 0.17: so it is
here, and the averages that its authors published may have been made without. PickScore's processor keeps `&amp;` as it
stands, where here, as in CLIP's own tokeniser, it reads `&`; on the 1,632 texts of PartiPrompts both give the same ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evalkit.features.encoder import Encoder
from evalkit.interfaces import Scored
from evalkit.metrics.means import Fields, Measure, Tally
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.metrics.pictures.similarity import TextOf, cosines, feature_cache
from evalkit.workspace import Workspace

PreferenceLabel: TypeAlias = Literal["pickscore", "hpsv2"]

HPS_SCALE = 100.0
VERSION = 1
"""Raised whenever either number changes."""


@dataclass(frozen=True, slots=True)
class PreferenceScore:
    """The scaled cosine of the answered picture with its prompt: `pickscore[pickscore-v1]`, `hpsv2[hps-v2.1]`."""

    workspace: Workspace
    encoder: Encoder
    label: PreferenceLabel
    text: TextOf
    strata: tuple[str, ...] = ()

    @property
    def measure(self) -> Measure:
        """Its name, with its backbone."""
        unit_name = "scaled cosine" if self.label == "pickscore" else f"{HPS_SCALE:g} x cosine"
        return Measure(f"{self.label}[{self.encoder.name}]", unit=unit_name, by=self.strata)

    def prepare(self) -> None:
        """Find the weights and the tokeniser.

        Raises:
            WeightsError: they cannot be had.
        """
        self.encoder.prepare(texts=True)

    def fields(self) -> Fields:
        """Return the encoder's choices and what the cosine is multiplied with."""
        scale = "the weights' logit_scale" if self.label == "pickscore" else HPS_SCALE
        return {**self.encoder.protocol_fields, "score_version": VERSION, "scale": scale}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's scaled cosine.

        Raises:
            RunError: an answer is not one picture.
        """
        with feature_cache(self.workspace) as cache:
            made = self.encoder.pictures([answered_picture(one) for one in scored], cache)
            texts = self.encoder.texts([self.text(one) for one in scored], cache)
            scale = self.encoder.logit_scale(cache) if self.label == "pickscore" else HPS_SCALE
        return [Tally(scale * float(value)) for value in cosines(made, texts)]
