"""Numbers that are made of all answers together and of no single one: average precision, F1, a chi-square."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from evalkit import stats
from evalkit.errors import NotEnoughSamples, RunError
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.chosen import chosen_names
from evalkit.protocols import Protocol, protocol
from evalkit.types import Estimate, Interval, JsonScalar, Unavailable

CORPUS_METRIC_VERSION = 1
"""Raised whenever any of the numbers changes."""
BOOTSTRAPPED = 50_000
"""Above this number of samples no interval is made: a thousand resamples would take longer than the run."""
_SEED = 0

T = TypeVar("T")
Fields: TypeAlias = Mapping[str, JsonScalar]
Indices: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Statistic(Generic[T]):
    """A number made of what was read of all answers; None where it is not defined for them, `why` says why."""

    name: str
    unit: str
    higher_is_better: bool
    value: Callable[[Sequence[T]], float | None]
    why: str


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What was read of one answered sample."""

    id: str
    cluster: str
    item: T


@dataclass(slots=True)
class CorpusState(Generic[T]):
    """What was read so far, in the order that it came."""

    read: list[Read[T]] = field(default_factory=list)


class CorpusMetric(Generic[T]):
    """Statistics of all answers, with percentile intervals of a bootstrap over clusters."""

    estimator: Literal["mean", "corpus", "distribution"] = "corpus"

    def __init__(
        self,
        protocol_name: str,
        fields: Fields,
        read: Callable[[Scored], T | None],
        statistics: Sequence[Statistic[T]],
        estimates: Collection[str] | None = None,
    ) -> None:
        """Make `statistics` of what `read` gives of each answer; None: the answer takes no part.

        Raises:
            UsageError: `estimates` holds an unknown name.
        """
        known = [one.name for one in statistics]
        chosen = chosen_names(known, estimates)
        self._protocol_name = protocol_name
        self._fields = dict(fields)
        self._read = read
        self._statistics = tuple(one for one in statistics if one.name in chosen)

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes, in the order that they are shown in."""
        return tuple(one.name for one in self._statistics)

    def only(self, names: Collection[str]) -> CorpusMetric[T]:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        return CorpusMetric(self._protocol_name, self._fields, self._read, self._statistics, names)

    def prepare(self) -> None:
        """Do nothing: all that scoring needs comes with the samples."""

    def backlog(self) -> int:
        """Return 0: there is nothing to read but the samples."""
        return 0

    def start(self) -> CorpusState[T]:
        """Return the state of no samples."""
        return CorpusState()

    def update(self, state: CorpusState[T], scored: Sequence[Scored]) -> CorpusState[T]:
        """Return `state` with these samples read; what reading raises goes through."""
        for one in scored:
            item = self._read(one)
            if item is not None:
                state.read.append(Read(one.sample.id, one.sample.cluster or one.sample.id, item))
        return state

    def merge(self, left: CorpusState[T], right: CorpusState[T]) -> CorpusState[T]:
        """Return the state of both sides' samples."""
        return CorpusState(left.read + right.read)

    def finish(self, state: CorpusState[T]) -> MetricResult:
        """Return the estimates; they have the same bits whatever order and shards the samples came in.

        Raises:
            NotEnoughSamples: there are no answers.
            RunError: a sample was read twice.
        """
        if not state.read:
            raise NotEnoughSamples("there is no answer to score; raise the limit or see why samples failed")
        twice = [name for name, count in Counter(one.id for one in state.read).items() if count > 1]
        if twice:
            raise RunError(f"sample {twice[0]!r} was scored more than once; shards must not overlap")
        ordered = sorted(state.read, key=lambda one: one.id)
        estimates: dict[str, Estimate | Unavailable] = {}
        protocols: list[Protocol] = []
        for statistic in self._statistics:
            value = statistic.value([one.item for one in ordered])
            if value is None:
                estimates[statistic.name] = Unavailable(statistic.why)
                continue
            made = self._protocol(statistic.name, ordered)
            protocols.append(made)
            interval = _interval(statistic, ordered)
            better = statistic.higher_is_better
            estimates[statistic.name] = Estimate(value, len(ordered), statistic.unit, better, made.digest, interval)
        return MetricResult(estimates, tuple(protocols), {}, {})

    def _protocol(self, name: str, ordered: Sequence[Read[T]]) -> Protocol:
        own: Fields = {
            "statistic": name,
            "metric_version": CORPUS_METRIC_VERSION,
            "n_samples": len(ordered),
            "samples_digest": digest([one.id for one in ordered]),
        }
        clash = sorted(own.keys() & self._fields.keys())
        if clash:
            raise ValueError(f"the task's fields {clash} are the metric's own; rename them")
        return protocol(self._protocol_name, {**self._fields, **own})


def _interval(statistic: Statistic[T], ordered: Sequence[Read[T]]) -> Interval | None:
    """Return the bootstrap's interval, None where a resample can be one that the statistic is not defined for."""
    clusters: dict[str, list[T]] = {}
    for one in ordered:
        clusters.setdefault(one.cluster, []).append(one.item)
    groups = list(clusters.values())
    if len(groups) < 2 or len(ordered) > BOOTSTRAPPED:
        return None

    def resampled(drawn: Indices) -> float:
        value = statistic.value([item for group in drawn for item in groups[group]])
        return float("nan") if value is None else value

    found = stats.percentile_bootstrap(resampled, len(groups), _SEED)
    return None if np.isnan(found.low) else found
