"""Telling that a question cannot be answered: average precision and F1, as VizWiz' second task has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.errors import RunError
from evalkit.interfaces import Scored
from evalkit.metrics.corpus import Statistic
from evalkit.types import Text


@dataclass(frozen=True, slots=True)
class Told:
    """Whether a question is unanswerable, and whether the model said so."""

    unanswerable: bool
    said: bool


def told_unanswerable(scored: Scored) -> bool:
    """Return whether the answer is `unanswerable`, case, blanks around it and a final period aside.

    Raises:
        RunError: the answer is not one text.
    """
    said = [part.text for part in scored.generation.parts if isinstance(part, Text)]
    if len(said) != 1:
        raise RunError(f"the answer to {scored.sample.id!r} holds {len(said)} texts, not one; mend the model")
    return said[0].strip().rstrip(".").lower() == "unanswerable"


def average_precision(told: Sequence[Told]) -> float | None:
    """Return the average precision in percent of the scores 1 (said) and 0; None where no question is unanswerable.

    Of two scores there are two steps of recall: that of what was said to be unanswerable, and the rest at the precision
    of the whole.

    >>> average_precision([Told(True, True), Told(True, False), Told(False, True), Told(False, False)])
    50.0
    """
    positive = sum(one.unanswerable for one in told)
    if not positive:
        return None
    said = sum(one.said for one in told)
    right = sum(one.said and one.unanswerable for one in told)
    precision = right / said if said else 0.0
    recall = right / positive
    return 100 * (recall * precision + (1 - recall) * positive / len(told))


def f1(told: Sequence[Told]) -> float | None:
    """Return F1 in percent, 0 where nothing was said to be unanswerable; None where no question is.

    >>> f1([Told(True, True), Told(True, False), Told(False, False)])
    66.66666666666667
    """
    positive = sum(one.unanswerable for one in told)
    if not positive:
        return None
    right = sum(one.said and one.unanswerable for one in told)
    return 100 * 2 * right / (positive + sum(one.said for one in told))


_NONE = "none of the questions that were answered is unanswerable"
STATISTICS = (
    Statistic("answerability_ap", "percent", True, average_precision, _NONE),
    Statistic("answerability_f1", "percent", True, f1, _NONE),
)
