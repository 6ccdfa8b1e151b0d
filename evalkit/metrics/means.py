"""What a judge says of each answer, put together: means and pooled shares, with intervals clustered by picture.

A judge gives each answered sample tallies by name: `got` of `of` points. An estimate is the mean of the samples' own
ratios, or, pooled, the ratio of both totals: the share of all attributes, boxes or pixels. Where a measure has several
parts (the classes of a mean IoU) it is the mean of their ratios.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit import stats
from evalkit.errors import NotEnoughSamples, RunError
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.chosen import chosen_names
from evalkit.protocols import Protocol, protocol
from evalkit.types import Estimate, Interval, JsonScalar, Unavailable

MEAN_METRIC_VERSION = 1
"""Raised whenever any of the numbers changes."""

RATE_UNITS = frozenset({"fraction", "share"})
"""Units of numbers that lie between 0 and 1."""

Fields: TypeAlias = Mapping[str, JsonScalar]
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tally:
    """`got` of `of` points. With `of` = 0 the sample was not asked."""

    got: float
    of: float = 1.0


_NOT_ASKED = Tally(0.0, 0.0)

Judge: TypeAlias = Callable[[Scored], Mapping[str, Tally]]
"""What gives one answered sample its tallies; a name that is left out was not asked of it."""


def judged_elsewhere(_scored: Scored) -> Mapping[str, Tally]:
    """Refuse to judge: the judge of a `MeanMetric` that is only given samples which are judged already."""
    raise RuntimeError("these samples are judged by the metric that this one puts together")


@dataclass(frozen=True, slots=True)
class Measure:
    """A number to be made of the tallies of its `parts` (None: the one of its own name).

    With `pooled` it is the ratio of totals, so that a sample weighs by its points; else the mean of the samples' own
    ratios. `by` names the strata that it is broken down by: `--metrics` knows each as `NAME_by_STRATUM`, whose
    estimates read `NAME[STRATUM=value]`.
    """

    name: str
    unit: str = "fraction"
    higher_is_better: bool | None = True
    pooled: bool = False
    parts: tuple[str, ...] | None = None
    by: tuple[str, ...] = ()

    @property
    def tallies(self) -> tuple[str, ...]:
        """The tallies that it is made of."""
        return (self.name,) if self.parts is None else self.parts

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name, and that of each breakdown."""
        return (self.name, *(f"{self.name}_by_{stratum}" for stratum in self.by))


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample's tallies, and what it is grouped by."""

    id: str
    cluster: str
    strata: tuple[tuple[str, str], ...]
    tallies: Mapping[str, Tally]


@dataclass(slots=True)
class MeanState:
    """The judged samples so far, in the order that they came."""

    judged: list[Judged] = field(default_factory=list)


class MeanMetric:
    """The measures of one judge. `per_sample` holds each sample's own ratio.

    Where the estimate is not the mean of those (pooled, or of several parts) it also holds `NAME_influence`: how far
    each moves the estimate. Its mean is 0, its standard error that of the estimate, and two models' influences on the
    same samples may be subtracted.
    """

    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    def __init__(
        self,
        protocol_name: str,
        fields: Fields,
        measures: Sequence[Measure],
        judge: Judge,
        estimates: Collection[str] | None = None,
    ) -> None:
        """Make `measures` of what `judge` says; `fields` are the task's own choices, which go into every protocol.

        Raises:
            UsageError: `estimates` holds an unknown name.
        """
        known = [name for measure in measures for name in measure.names]
        self._protocol_name = protocol_name
        self._fields = dict(fields)
        self._measures = tuple(measures)
        self._judge = judge
        self._names = chosen_names(known, estimates)

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes, in the order that they are shown in."""
        return self._names

    def only(self, names: Collection[str]) -> MeanMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        return MeanMetric(self._protocol_name, self._fields, self._measures, self._judge, names)

    def with_fields(self, fields: Fields) -> MeanMetric:
        """Return this metric with further fields in every protocol."""
        return MeanMetric(self._protocol_name, {**self._fields, **fields}, self._measures, self._judge, self._names)

    def prepare(self) -> None:
        """Do nothing: all that scoring needs comes with the samples."""

    def backlog(self) -> int:
        """Return 0: there is nothing to read but the samples."""
        return 0

    def start(self) -> MeanState:
        """Return the state of no samples."""
        return MeanState()

    def update(self, state: MeanState, scored: Sequence[Scored]) -> MeanState:
        """Return `state` with these samples judged; what the judge raises goes through."""
        for one in scored:
            sample, tallies = one.sample, self._judge(one)
            state.judged.append(Judged(sample.id, sample.cluster or sample.id, sample.strata, tallies))
        return state

    def merge(self, left: MeanState, right: MeanState) -> MeanState:
        """Return the state of both sides' samples."""
        return MeanState(left.judged + right.judged)

    def finish(self, state: MeanState) -> MetricResult:
        """Return the estimates; they have the same bits whatever order and shards the samples came in.

        A measure that no sample was asked for is `Unavailable`.

        Raises:
            NotEnoughSamples: there are no answers.
            RunError: a sample was scored twice.
        """
        if not state.judged:
            raise NotEnoughSamples("there is no answer to judge; raise the limit or see why samples failed")
        twice = [name for name, count in Counter(one.id for one in state.judged).items() if count > 1]
        if twice:
            raise RunError(f"sample {twice[0]!r} was scored more than once; shards must not overlap")
        ordered = sorted(state.judged, key=lambda one: one.id)
        made = _Findings(self._protocol_name, self._fields)
        for measure in self._measures:
            self._measure(made, measure, ordered)
        return MetricResult(made.estimates, tuple(made.protocols), made.per_sample, {})

    def _measure(self, made: _Findings, measure: Measure, judged: Sequence[Judged]) -> None:
        if measure.name in self._names:
            found = made.add(measure.name, measure, judged)
            if found is not None:
                made.record(measure, found)
        for stratum in measure.by:
            if f"{measure.name}_by_{stratum}" in self._names:
                for value, group in _grouped(judged, stratum).items():
                    made.add(f"{measure.name}[{stratum}={value}]", measure, group)


def _grouped(judged: Sequence[Judged], stratum: str) -> dict[str, list[Judged]]:
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        for name, value in one.strata:
            if name == stratum:
                groups.setdefault(value, []).append(one)
    return dict(sorted(groups.items()))


@dataclass(frozen=True, slots=True, eq=False)
class Ratios:
    """The mean over parts of total `got` by total `of`.

    `own` `(n,)` is each sample's own mean of ratios, and `influence` `(n,)` how far each moves the estimate.
    """

    ids: tuple[str, ...]
    clusters: tuple[str, ...]
    value: float
    own: Doubles
    influence: Doubles


def ratios(judged: Sequence[Judged], parts: Sequence[str], *, pooled: bool) -> Ratios | None:
    """Return the ratio of `parts` over the samples that were asked for any of them; None where none was.

    For one part it is R = sum a / sum b, where a and b are a sample's `got` and `of`, or `got / of` and 1 where it is
    not `pooled`. The influence of a sample is n (a - R b) / sum b: how R moves with it, to first order.

    Source: the ratio estimator of Cochran 1977, Sampling Techniques, chapter 6.
    """
    rows = [[one.tallies.get(part, _NOT_ASKED) for part in parts] for one in judged]
    asked = [position for position, row in enumerate(rows) if any(tally.of for tally in row)]
    if not asked:
        return None
    table = np.array([[(tally.got, tally.of) for tally in rows[position]] for position in asked], dtype=np.float64)
    table = table[:, table[:, :, 1].sum(axis=0) > 0]
    got, of = table[:, :, 0], table[:, :, 1]
    held = of > 0
    each = np.where(held, got / np.where(held, of, 1.0), 0.0)
    if not pooled:
        got, of = each, held.astype(np.float64)
    found = got.sum(axis=0) / of.sum(axis=0)
    influence = len(asked) * ((got - found * of) / of.sum(axis=0)).mean(axis=1)
    ids, clusters = tuple(judged[i].id for i in asked), tuple(judged[i].cluster for i in asked)
    return Ratios(ids, clusters, float(found.mean()), each.sum(axis=1) / held.sum(axis=1), influence)


@dataclass(slots=True)
class _Findings:
    """Collects what a `MetricResult` holds."""

    name: str
    fields: Fields
    estimates: dict[str, Estimate | Unavailable] = field(default_factory=dict)
    protocols: list[Protocol] = field(default_factory=list)
    per_sample: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, name: str, measure: Measure, judged: Sequence[Judged]) -> Ratios | None:
        """Add the estimate of these samples and return what it is made of, None where none of them was asked."""
        found = ratios(judged, measure.tallies, pooled=measure.pooled)
        if found is None:
            self.estimates[name] = Unavailable(f"none of the {len(judged)} answered samples asks for it")
            return None
        own: Fields = {
            "statistic": name,
            "metric_version": MEAN_METRIC_VERSION,
            "pooling": "ratio of totals" if measure.pooled else "each sample weighs the same",
            "n_samples": len(judged),
            "samples_digest": digest([one.id for one in judged]),
        }
        clash = sorted(own.keys() & self.fields.keys())
        if clash:
            raise ValueError(f"the task's fields {clash} are the metric's own; rename them")
        made = protocol(self.name, {**self.fields, **own})
        self.protocols.append(made)
        better, interval = measure.higher_is_better, _interval(measure, found)
        self.estimates[name] = Estimate(found.value, len(found.ids), measure.unit, better, made.digest, interval)
        return found

    def record(self, measure: Measure, found: Ratios) -> None:
        """Keep each sample's own ratio, and its influence where the estimate is not the mean of those."""
        self.per_sample[measure.name] = dict(zip(found.ids, found.own.tolist(), strict=True))
        if measure.pooled or len(measure.tallies) > 1:
            self.per_sample[f"{measure.name}_influence"] = dict(zip(found.ids, found.influence.tolist(), strict=True))


def _interval(measure: Measure, found: Ratios) -> Interval | None:
    """Return Wilson's interval of a share, Student's of another mean; None of one cluster."""
    if len(set(found.clusters)) < 2:
        return None
    contributions = found.value + found.influence
    if measure.unit in RATE_UNITS and found.own.min() >= 0 and found.own.max() <= 1:
        return stats.rate_interval(found.value, contributions, found.clusters)
    return stats.mean_interval(contributions, found.clusters)
