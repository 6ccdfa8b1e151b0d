"""A metric of what a judge says: a judgement that failed is a failure that is counted and stamped, never a score."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from evalkit.errors import NotEnoughSamples, RunError
from evalkit.interfaces import MetricResult, Scored
from evalkit.metrics.means import Fields, Judged, MeanMetric, MeanState, Tally
from evalkit.types import Estimate, Failure, Unavailable


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tallies that came of one sample's judgements, and the days and judges that they are of."""

    tallies: Mapping[str, Tally]
    dates: frozenset[str]
    judges: frozenset[str]


class Jury(Protocol):
    """What asks a judge about one answered sample."""

    def prepare(self) -> None:
        """Find the judge.

        Raises:
            UsageError: none is named.
        """
        ...

    def fields(self) -> Fields:
        """Return its choices: the judge, the address, the prompt."""
        ...

    def verdict(self, scored: Scored) -> Verdict | Failure:
        """Return the verdict on one answer, or why there is none."""
        ...


@dataclass(slots=True)
class JudgedState:
    """The verdicts so far, and the failures by sample id."""

    means: MeanState = field(default_factory=MeanState)
    failures: dict[str, Failure] = field(default_factory=dict)
    dates: set[str] = field(default_factory=set)
    judges: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class JudgedMetric:
    """The measures of one jury. `means` puts its verdicts together and judges nothing itself."""

    means: MeanMetric
    jury: Jury
    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes."""
        return self.means.names

    def only(self, names: Collection[str]) -> JudgedMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        return replace(self, means=self.means.only(names))

    def prepare(self) -> None:
        """Find the judge.

        Raises:
            UsageError: none is named.
        """
        self.jury.prepare()

    def backlog(self) -> int:
        """Return 0: there is nothing to read but the samples."""
        return 0

    def start(self) -> JudgedState:
        """Return the state of no samples."""
        return JudgedState()

    def update(self, state: JudgedState, scored: Sequence[Scored]) -> JudgedState:
        """Return `state` with these samples judged, or their failures noted."""
        for one in scored:
            sample, verdict = one.sample, self.jury.verdict(one)
            if isinstance(verdict, Failure):
                state.failures[sample.id] = verdict
                continue
            state.means.judged.append(Judged(sample.id, sample.cluster or sample.id, sample.strata, verdict.tallies))
            state.dates |= verdict.dates
            state.judges |= verdict.judges
        return state

    def merge(self, left: JudgedState, right: JudgedState) -> JudgedState:
        """Return the state of both sides' samples.

        Raises:
            RunError: a sample failed on both sides.
        """
        twice = left.failures.keys() & right.failures.keys()
        if twice:
            raise RunError(f"sample {min(twice)!r} was scored more than once; shards must not overlap")
        means = MeanState(left.means.judged + right.means.judged)
        return JudgedState(means, left.failures | right.failures, left.dates | right.dates, left.judges | right.judges)

    def finish(self, state: JudgedState) -> MetricResult:
        """Return the estimates; where judgements failed, each warns of it and the run is stamped.

        Raises:
            NotEnoughSamples: no answer was judged.
            RunError: a sample was scored twice.
        """
        asked = len(state.means.judged) + len(state.failures)
        told = _told(state.failures, asked)
        if not state.means.judged:
            raise NotEnoughSamples(f"no answer was judged{': ' if told else ''}{told}")
        days = sorted(state.dates)
        own: Fields = {
            "judge_date": days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
            "judge_answered_as": ", ".join(sorted(state.judges)),
        }
        found = self.means.with_fields({**self.jury.fields(), **own}).finish(state.means)
        if not told:
            return found
        warned: dict[str, Estimate | Unavailable] = {
            name: replace(one, warnings=(*one.warnings, told)) if isinstance(one, Estimate) else one
            for name, one in found.estimates.items()
        }
        return replace(found, estimates=warned, stamps=(f"{len(state.failures)} of {asked} answers were not judged",))


def _told(failures: Mapping[str, Failure], asked: int) -> str:
    if not failures:
        return ""
    name = min(failures)
    return (
        f"{len(failures)} of {asked} answers were not judged (the first, {name}: {failures[name].kind}: "
        f"{failures[name].message})"
    )
