"""Scores of the words in a picture, as an OCR package reads them, against those that were asked for.

    exact_text[ppocr-v4]           pictures whose text is the one that was asked for, and no more
    word_accuracy[ppocr-v4]        of each picture, the share of the asked words that are read
    character_accuracy[ppocr-v4]   of each picture, 1 less the normalised edit distance

What counts as the same is in `evalkit.metrics.spelling`. A picture in which nothing is read scores 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from evalkit.features.ocr import Ocr
from evalkit.interfaces import Scored
from evalkit.metrics.means import Fields, Measure, Tally
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.metrics.pictures.similarity import TextOf
from evalkit.metrics.spelling import NORMAL_FORM, VERSION, character_accuracy, is_exact, right_words

TALLIES: Mapping[str, Callable[[str, str], Tally]] = MappingProxyType(
    {
        "exact_text": lambda asked, read: Tally(float(is_exact(asked, read))),
        "word_accuracy": lambda asked, read: Tally(*map(float, right_words(asked, read))),
        "character_accuracy": lambda asked, read: Tally(character_accuracy(asked, read)),
    }
)
"""What the asked and the read text give, by the name of the score."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """One of `TALLIES` of the text that is read in the answer."""

    ocr: Ocr
    label: str
    asked: TextOf
    strata: tuple[str, ...] = ()

    @property
    def measure(self) -> Measure:
        """Its name, with its reader."""
        return Measure(f"{self.label}[{self.ocr.name}]", by=self.strata)

    def prepare(self) -> None:
        """Find the reader.

        Raises:
            WeightsError: it is not installed, or is another.
        """
        self.ocr.prepare()

    def fields(self) -> Fields:
        """Return the reader's choices and how texts are compared."""
        return {**self.ocr.protocol_fields, "spelling_version": VERSION, "normal_form": NORMAL_FORM}

    def tallies(self, scored: Sequence[Scored]) -> list[Tally]:
        """Return each sample's tally."""
        made = TALLIES[self.label]
        return [made(self.asked(one), " ".join(self.ocr.texts(answered_picture(one)))) for one in scored]
