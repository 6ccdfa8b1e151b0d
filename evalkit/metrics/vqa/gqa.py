"""GQA's numbers: accuracy, validity, plausibility, consistency, and the distance of the answers' distribution.

Source: eval.py of GQA's eval.zip (a copy: SHI-Labs/VCoder at 2f95684), whose accuracies take the balanced questions
alone. Its distribution is the chi-square of each group weighted by the group's size, over 100.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from evalkit.errors import RunError, UsageError, nearest
from evalkit.interfaces import AnyMetric, Scored
from evalkit.metrics.corpus import CorpusMetric, Statistic
from evalkit.metrics.means import MeanMetric, Measure, Tally
from evalkit.types import JsonScalar, Text


@dataclass(frozen=True, slots=True)
class GqaItem:
    """What is known of a question. `group` is None where its answers are of no group.

    `entailed` are the questions whose answers follow from its own; `valid` and `plausible` answers are None where the
    file of choices is not at hand.
    """

    answer: str
    balanced: bool
    open: bool
    group: str | None
    entailed: tuple[str, ...]
    valid: tuple[str, ...] | None = None
    plausible: tuple[str, ...] | None = None


def _as_it_is(text: str) -> str:
    return text


def _plain(text: str) -> str:
    """Return the text without case and ASCII punctuation."""
    return text.lower().translate(_NO_PUNCTUATION)


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
NORMALISERS: Mapping[str, Callable[[str], str]] = MappingProxyType({"gqa-official": _as_it_is, "gqa-lmms": _plain})
"""What both sides go through before they are compared, by protocol."""

MEASURES = (
    Measure("gqa_accuracy", "percent", by=("structural_type", "semantic_type")),
    Measure("gqa_binary", "percent"),
    Measure("gqa_open", "percent"),
    Measure("gqa_validity", "percent"),
    Measure("gqa_plausibility", "percent"),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answered question: what was said, both normalised."""

    id: str
    said: str
    answer: str
    item: GqaItem


@dataclass(frozen=True, slots=True)
class GqaJudge:
    """Compares answers with what is known of the questions, by sample id."""

    items: Mapping[str, GqaItem]
    normal: Callable[[str], str]

    def answered(self, scored: Scored) -> Answered:
        """Return what was said to a question.

        Raises:
            RunError: the answer is not one text.
        """
        said = [part.text for part in scored.generation.parts if isinstance(part, Text)]
        if len(said) != 1:
            raise RunError(
                f"the answer to question {scored.sample.id!r} holds {len(said)} texts, not one; mend the model"
            )
        item = self.items[scored.sample.id]
        return Answered(scored.sample.id, self.normal(said[0]), self.normal(item.answer), item)

    def __call__(self, scored: Scored) -> dict[str, Tally]:
        """Return the tallies of one balanced question, none of others."""
        one = self.answered(scored)
        if not one.item.balanced:
            return {}
        right = Tally(100.0 * (one.said == one.answer))
        tallies = {"gqa_accuracy": right, "gqa_open" if one.item.open else "gqa_binary": right}
        for name, group in (("gqa_validity", one.item.valid), ("gqa_plausibility", one.item.plausible)):
            if group is not None:
                tallies[name] = Tally(100.0 * (one.said in map(self.normal, group)))
        return tallies


def distribution(answered: Sequence[Answered]) -> float | None:
    """Return the chi-square of what was said from what is right, 0 for equal counts; None where there is no group."""
    gold: dict[str, Counter[str]] = {}
    said: dict[str, Counter[str]] = {}
    for one in answered:
        if one.item.balanced and one.item.group is not None:
            gold.setdefault(one.item.group, Counter())[one.answer] += 1
            said.setdefault(one.item.group, Counter())[one.said] += 1
    total = sum(sum(counts.values()) for counts in gold.values())
    if not total:
        return None
    score = 0.0
    for group, counts in gold.items():
        chi_square = sum((said[group][answer] - expected) ** 2 / expected for answer, expected in counts.items())
        score += chi_square * sum(counts.values())
    return score / total / 100


def consistency(answered: Sequence[Answered]) -> float | None:
    """Return, in percent, how many of the questions that follow from a right answer are right, averaged over those.

    None where a question that follows was not asked, or none follows from any.
    """
    right = {one.id: one.said == one.answer for one in answered}
    shares = []
    for one in answered:
        inferred = [id_ for id_ in one.item.entailed if id_ != one.id]
        if not one.item.balanced or not right[one.id] or not inferred:
            continue
        if any(id_ not in right for id_ in inferred):
            return None
        shares.append(sum(right[id_] for id_ in inferred) / len(inferred))
    return 100 * sum(shares) / len(shares) if shares else None


STATISTICS = (
    Statistic(
        "gqa_consistency",
        "percent",
        True,
        consistency,
        "questions that others entail were not asked: take an _all split",
    ),
    Statistic("gqa_distribution", "chi-square / 100", False, distribution, "no question that was asked has a group"),
)


def gqa_metrics(
    protocol_name: str, fields: Mapping[str, JsonScalar], items: Mapping[str, GqaItem]
) -> tuple[AnyMetric, AnyMetric]:
    """Return the metrics of GQA; `items` are known by sample id.

    Raises:
        UsageError: no such protocol.
    """
    if protocol_name not in NORMALISERS:
        raise UsageError(f"no GQA protocol named {protocol_name!r}{nearest(protocol_name, NORMALISERS)}")
    judge = GqaJudge(items, NORMALISERS[protocol_name])
    means = MeanMetric(protocol_name, fields, MEASURES, judge)
    return means, CorpusMetric(protocol_name, fields, judge.answered, STATISTICS)
