"""A metric from one score a sample: what the score needs is found before anything is generated, and pictures go in
chunks.

A task gives each of its numbers a metric of its own. So `--metrics` picks among them, and weights that are missing stop
only the number that is made with them. Features are shared through the feature cache.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from evalkit.errors import RunError
from evalkit.interfaces import MetricResult, Scored
from evalkit.metrics.chosen import chosen_names
from evalkit.metrics.means import Fields, Judged, MeanMetric, MeanState, Measure, Tally, judged_elsewhere
from evalkit.types import Image


class Score(Protocol):
    """One number a sample."""

    @property
    def measure(self) -> Measure:
        """Its name (with its backbone: `clip_i[openai-vit-b32]`), unit, direction and breakdowns."""
        ...

    def prepare(self) -> None:
        """Find the weights that it is made with.

        Raises:
            WeightsError: they cannot be had.
        """
        ...

    def fields(self) -> Fields:
        """Return every choice of its own that moves it, once it is prepared."""
        ...

    def tallies(self, scored: Sequence[Scored]) -> Sequence[Tally]:
        """Return the tally of each sample; `of` = 0 where it is not asked of one."""
        ...


class ScoreMetric:
    """The mean of one score over the samples, clustered, with its breakdowns."""

    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    def __init__(
        self, protocol_name: str, fields: Fields, score: Score, estimates: Collection[str] | None = None
    ) -> None:
        """Make the score's estimates; `fields` are the task's own choices, which go into every protocol.

        Raises:
            UsageError: `estimates` holds an unknown name.
        """
        known = score.measure.names
        self._protocol_name = protocol_name
        self._fields = dict(fields)
        self._score = score
        self._names = chosen_names(known, estimates)

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes."""
        return self._names

    def only(self, names: Collection[str]) -> ScoreMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        return ScoreMetric(self._protocol_name, self._fields, self._score, names)

    def prepare(self) -> None:
        """Find what the score is made with.

        Raises:
            WeightsError: it cannot be had.
        """
        self._score.prepare()

    def backlog(self) -> int:
        """Return 0: what it compares with comes with the samples."""
        return 0

    def start(self) -> MeanState:
        """Return the state of no samples."""
        return MeanState()

    def update(self, state: MeanState, scored: Sequence[Scored]) -> MeanState:
        """Return `state` with these samples scored.

        Raises:
            RunError: an answer is not what the score is of.
            CacheError: a picture cannot be read, or the cache is damaged.
        """
        for one, tally in zip(scored, self._score.tallies(scored), strict=True):
            sample = one.sample
            named = {self._score.measure.name: tally}
            state.judged.append(Judged(sample.id, sample.cluster or sample.id, sample.strata, named))
        return state

    def merge(self, left: MeanState, right: MeanState) -> MeanState:
        """Return the state of both sides' samples."""
        return MeanState(left.judged + right.judged)

    def finish(self, state: MeanState) -> MetricResult:
        """Return the estimates.

        Raises:
            NotEnoughSamples: there are no answers.
            RunError: a sample was scored twice.
        """
        fields = {**self._fields, **self._score.fields()}
        means = MeanMetric(self._protocol_name, fields, (self._score.measure,), judged_elsewhere, self._names)
        return means.finish(state)


def answered_picture(scored: Scored) -> Image:
    """Return the one picture that an answer holds.

    Raises:
        RunError: it does not hold exactly one.
    """
    pictures = [part for part in scored.generation.parts if isinstance(part, Image)]
    if len(pictures) != 1:
        raise RunError(
            f"the answer to sample {scored.sample.id!r} holds {len(pictures)} pictures, not 1; mend the model"
        )
    return pictures[0]


def by(measure: Measure, strata: tuple[str, ...]) -> Measure:
    """Return `measure` broken down by `strata`."""
    return replace(measure, by=strata)
