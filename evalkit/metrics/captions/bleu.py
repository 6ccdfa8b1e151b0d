"""BLEU as coco-caption counts it: of the corpus, against the reference that is closest in length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.metrics.captions.ngrams import MAX_N, Integers
from evalkit.metrics.captions.references import Doubles, Hypotheses, References

_TINY = 1e-15
_SMALL = 1e-9


@dataclass(frozen=True, slots=True)
class BleuCounts:
    """What BLEU sums over images: lengths `(N,)` in words, n-grams made and n-grams right `(N, MAX_N)`.

    Any resample of the images has the BLEU of its rows' sums, so a bootstrap needs nothing else.
    """

    length: Integers
    reference_length: Integers
    guessed: Integers
    correct: Integers

    def summed(self) -> BleuCounts:
        """Return the counts of the corpus as those of one image."""
        return BleuCounts(
            self.length.sum(keepdims=True),
            self.reference_length.sum(keepdims=True),
            self.guessed.sum(axis=0, keepdims=True),
            self.correct.sum(axis=0, keepdims=True),
        )

    def at(self, positions: Integers) -> BleuCounts:
        """Return the counts of the images at these positions, which may repeat."""
        return BleuCounts(
            self.length[positions],
            self.reference_length[positions],
            self.guessed[positions],
            self.correct[positions],
        )


def bleu_counts(hypotheses: Hypotheses, references: References) -> BleuCounts:
    """Return the counts of each image."""
    guessed = np.maximum(hypotheses.lengths[:, None] - np.arange(MAX_N), 0)
    correct = np.zeros_like(guessed)
    for n, (mine, most) in enumerate(zip(hypotheses.counts, references.most, strict=True)):
        clipped = np.minimum(most.at(mine.text, mine.gram), mine.count)
        correct[:, n] = np.bincount(mine.text, clipped, references.images)
    return BleuCounts(hypotheses.lengths, _closest_lengths(hypotheses, references), guessed, correct)


def _closest_lengths(hypotheses: Hypotheses, references: References) -> Integers:
    """Return, of each image, the reference length nearest to the hypothesis's; the shorter of two as near."""
    gaps = np.abs(references.lengths - hypotheses.lengths[references.image])
    order = np.lexsort((references.lengths, gaps, references.image))
    starts = np.cumsum(references.per_image) - references.per_image
    closest: Integers = references.lengths[order][starts]
    return closest


def sentence_bleu(counts: BleuCounts) -> Doubles:
    """Return BLEU-1 to BLEU-4 of each image `(N, MAX_N)`, 0 to 1.

    The geometric mean of the precisions, by exp(1 - reference length / length) where the caption is the shorter.
    A mean of these is not the BLEU of the corpus: that is `corpus_bleu`.

    Source: Papineni et al. 2002; coco-caption's smoothing (1e-15 above, 1e-9 below).
    """
    precisions = (counts.correct + _TINY) / (counts.guessed + _SMALL)
    scores = np.cumprod(precisions, axis=1) ** (1.0 / np.arange(1, MAX_N + 1))
    ratio = (counts.length + _TINY) / (counts.reference_length + _SMALL)
    penalty = np.exp(1 - 1 / np.minimum(ratio, 1.0))
    found: Doubles = scores * penalty[:, None]
    return found


def corpus_bleu(counts: BleuCounts) -> Doubles:
    """Return BLEU-1 to BLEU-4 of the corpus `(MAX_N,)`, 0 to 1."""
    found: Doubles = sentence_bleu(counts.summed())[0]
    return found
