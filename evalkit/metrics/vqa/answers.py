"""The VQA accuracy of the answers that a model gave: overall, by answer type and by question type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from evalkit import stats
from evalkit.errors import NotEnoughSamples, RunError
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.chosen import chosen_names
from evalkit.metrics.vqa.accuracy import VqaScorer
from evalkit.metrics.vqa.normaliser import NORMALISER_VERSION, VqaProtocol, vqa_protocol
from evalkit.protocols import Protocol, protocol
from evalkit.stats import Doubles
from evalkit.types import Estimate, Interval, JsonScalar, Text

VQA_METRIC_VERSION = 1
"""Raised whenever any of the numbers changes."""
OVERALL = "vqa_accuracy"
STRATA: Mapping[str, str] = {
    "vqa_accuracy_by_answer_type": "answer_type",
    "vqa_accuracy_by_question_type": "question_type",
}
"""The estimates that are several, one for each value of a sample's stratum: `vqa_accuracy[answer_type=number]`."""
ESTIMATES = (OVERALL, *STRATA)
"""What `--metrics` calls them, in the order that they are shown in."""

Fields: TypeAlias = Mapping[str, JsonScalar]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question's accuracy in percent, and what it is grouped by."""

    id: str
    cluster: str
    strata: tuple[tuple[str, str], ...]
    percent: float
    empty: bool


@dataclass(slots=True)
class VqaState:
    """The answers so far, in the order that they came."""

    answered: list[Answered] = field(default_factory=list)


class VqaMetric:
    """The VQA accuracy in percent, with standard errors clustered by picture."""

    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    def __init__(self, protocol_name: str, fields: Fields, estimates: Collection[str] = ESTIMATES) -> None:
        """Score answers; `fields` are the task's own choices, which go into every protocol.

        Raises:
            UsageError: no such protocol, or `estimates` holds an unknown name.
        """
        self._estimates = frozenset(chosen_names(ESTIMATES, estimates))
        self._named = vqa_protocol(protocol_name)
        self._fields = dict(fields)
        self._scorer = VqaScorer(self._named)

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes, in the order that they are shown in."""
        return tuple(name for name in ESTIMATES if name in self._estimates)

    def only(self, names: Collection[str]) -> VqaMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        return VqaMetric(self._named.name, self._fields, names)

    def prepare(self) -> None:
        """Do nothing: all that scoring needs comes with the samples."""

    def backlog(self) -> int:
        """Return 0: there is nothing to read but the samples."""
        return 0

    def start(self) -> VqaState:
        """Return the state of no samples."""
        return VqaState()

    def update(self, state: VqaState, scored: Sequence[Scored]) -> VqaState:
        """Return `state` with these samples' accuracies added.

        Raises:
            RunError: an answer is not one text.
            DataError: a question has not as many answers as the protocol has annotators.
        """
        state.answered.extend(self._answered(one) for one in scored)
        return state

    def _answered(self, scored: Scored) -> Answered:
        sample = scored.sample
        said = [part.text for part in scored.generation.parts if isinstance(part, Text)]
        if len(said) != 1:
            raise RunError(
                f"the answer to question {sample.id!r} holds {len(said)} texts and takes exactly one; mend the model"
            )
        people = [part.text for part in sample.references if isinstance(part, Text)]
        percent = 100 * self._scorer(sample.id, said[0], people)
        return Answered(sample.id, sample.cluster or sample.id, sample.strata, percent, not said[0].strip())

    def merge(self, left: VqaState, right: VqaState) -> VqaState:
        """Return the state of both sides' samples."""
        return VqaState(left.answered + right.answered)

    def finish(self, state: VqaState) -> MetricResult:
        """Return the estimates; they have the same bits whatever order and shards the samples came in.

        Raises:
            NotEnoughSamples: there are no answers.
            RunError: a question was scored twice.
        """
        if not state.answered:
            raise NotEnoughSamples("there is no answer to score; raise the limit or see why samples failed")
        twice = [name for name, count in Counter(one.id for one in state.answered).items() if count > 1]
        if twice:
            raise RunError(f"question {twice[0]!r} was scored more than once; shards must not overlap")
        ordered = sorted(state.answered, key=lambda one: one.id)
        made = _Findings(self._named, self._fields)
        if OVERALL in self._estimates:
            made.add(OVERALL, ordered)
        for name, stratum in STRATA.items():
            if name in self._estimates:
                for value, group in _grouped(ordered, stratum).items():
                    made.add(f"{OVERALL}[{stratum}={value}]", group)
        scores = {one.id: one.percent for one in ordered}
        return MetricResult(made.estimates, tuple(made.protocols), {OVERALL: scores}, {})


def _grouped(answered: Sequence[Answered], stratum: str) -> dict[str, list[Answered]]:
    groups: dict[str, list[Answered]] = {}
    for one in answered:
        for name, value in one.strata:
            if name == stratum:
                groups.setdefault(value, []).append(one)
    return dict(sorted(groups.items()))


@dataclass(slots=True)
class _Findings:
    """Collects what a `MetricResult` holds."""

    named: VqaProtocol
    fields: Fields
    estimates: dict[str, Estimate] = field(default_factory=dict)
    protocols: list[Protocol] = field(default_factory=list)

    def add(self, name: str, answered: Sequence[Answered]) -> None:
        """Add the mean of these accuracies."""
        percents = np.array([one.percent for one in answered])
        clusters = [one.cluster for one in answered]
        value = float(percents.mean())
        interval = _interval(value, percents, clusters) if len(set(clusters)) > 1 else None
        own: Fields = {
            "statistic": name,
            "metric_version": VQA_METRIC_VERSION,
            "normaliser_version": NORMALISER_VERSION,
            "prediction_read": self.named.prediction,
            "answers_read": self.named.answers,
            "normalised": self.named.normal and f"{self.named.normal}, unless all answers are the same",
            "annotators": self.named.annotators,
            "n_questions": len(answered),
            "questions_digest": digest([one.id for one in answered]),
        }
        clash = sorted(own.keys() & self.fields.keys())
        if clash:
            raise ValueError(f"the task's fields {clash} are the metric's own; rename them")
        made = protocol(self.named.name, {**self.fields, **own})
        self.protocols.append(made)
        empty = sum(one.empty for one in answered)
        warnings = (f"{empty} of {len(answered)} answers are empty",) if empty else ()
        self.estimates[name] = Estimate(value, len(answered), "percent", True, made.digest, interval, warnings)


def _interval(value: float, percents: Doubles, clusters: Sequence[str]) -> Interval:
    found = stats.rate_interval(value / 100, percents / 100, clusters)
    return replace(found, low=100 * found.low, high=100 * found.high)
