"""ROUGE-L as coco-caption has it."""

from __future__ import annotations

from collections.abc import Sequence

BETA = 1.2
"""Weight of recall against precision."""


def rouge_l(hypothesis: str, references: Sequence[str]) -> float:
    """Return ROUGE-L of a tokenised caption, 0 to 1; the corpus has the mean over images.

    The F-measure of the best precision and the best recall over the references, which may be of two different ones, of
    the longest common subsequence. Words stand between single blanks, as in coco-caption, so an empty caption has one
    empty word.

    >>> round(rouge_l("a cat sat", ["the cat sat", "a cat sat down there"]), 4)
    0.7722

    Raises:
        ValueError: there is no reference.

    Source: Lin 2004; beta 1.2 as in coco-caption.
    """
    if not references:
        raise ValueError("ROUGE-L needs a reference; give at least one")
    words = hypothesis.split(" ")
    places: dict[str, int] = {}
    for position, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << position
    precision = recall = 0.0
    for reference in references:
        others = reference.split(" ")
        common = _common_subsequence(len(words), places, others)
        precision = max(precision, common / len(words))
        recall = max(recall, common / len(others))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common_subsequence(length: int, places: dict[str, int], words: Sequence[str]) -> int:
    """Return the length of the longest common subsequence; `places` has a bit for each place of each word of one side.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited": a zero bit is a step of the subsequence.
    """
    everything = (1 << length) - 1
    row = everything
    for word in words:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & everything
    return length - row.bit_count()
