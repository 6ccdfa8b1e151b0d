"""One estimate of two runs: its difference, paired by sample, or why there may be none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit import stats
from evalkit.comparison.evidence import Contributions, CorpusCounts, clustered_rows, evidence
from evalkit.comparison.scored_run import Samples, ScoredRun
from evalkit.errors import NotEnoughSamples
from evalkit.protocols import Protocol, differences
from evalkit.stats import Doubles, Indices
from evalkit.types import Estimate, Interval, JsonScalar

SUBSET_FIELDS = frozenset({"n_samples", "samples_digest", "n_questions", "questions_digest"})
"""Fields of a protocol that may differ where a mean is compared on the samples that both runs answered."""
_SEED = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """What an estimate of `candidate` differs by from that of `baseline`, on the `n` samples that both answered.

    `difference` is candidate less baseline, in `unit`. `p` is that of no difference and `adjusted_p` Holm's, over all
    differences that were compared together. `rise_p` and `fall_p` are one-sided: small where the candidate's number is
    higher, or lower. `minimum_detectable` is the least true difference that a comparison like this one finds at level
    0.05 four times out of five. `won` and `lost` count the samples on which the candidate is better or worse, None
    where a sample alone is neither (FID). Where no interval could be made, interval and p are None and `method`
    says why.
    """

    task: str
    name: str
    unit: str
    higher_is_better: bool | None
    baseline: float
    candidate: float
    difference: float
    n: int
    clusters: int
    standard_error: float | None
    interval: Interval | None
    p: float | None
    rise_p: float | None
    fall_p: float | None
    adjusted_p: float | None
    minimum_detectable: float | None
    won: int | None
    lost: int | None
    method: str

    @property
    def better(self) -> bool | None:
        """Whether the candidate's number is the better one; None where they are equal or neither direction is."""
        if self.higher_is_better is None or self.difference == 0:
            return None
        return (self.difference > 0) == self.higher_is_better

    def significant(self, alpha: float = 0.05) -> bool:
        """Return whether the Holm-adjusted p is below `alpha`."""
        return self.adjusted_p is not None and self.adjusted_p < alpha


@dataclass(frozen=True, slots=True)
class Incomparable:
    """An estimate that both runs have and that must not be compared, and why.

    `fields` are those of the protocol in which they differ, with the values of baseline and candidate.
    """

    task: str
    name: str
    reason: str
    fields: Mapping[str, tuple[JsonScalar, JsonScalar]]


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """The samples that both runs answered: where each stands in either, and its cluster."""

    baseline: Mapping[str, int]
    candidate: Mapping[str, int]
    changed: tuple[str, ...]
    """Ids whose question or references differ between the runs."""


def shared(baseline: Samples, candidate: Samples) -> Shared:
    """Return which samples both sides answered, and which of them are not what they were."""
    before = {name: row for row, name in enumerate(baseline.ids)}
    after = {name: row for row, name in enumerate(candidate.ids)}
    changed = tuple(
        name
        for name, row in before.items()
        if name in after and baseline.contents[row] != candidate.contents[after[name]]
    )
    return Shared(before, after, changed)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One estimate of both runs."""

    baseline: ScoredRun
    candidate: ScoredRun
    name: str
    before: Estimate
    after: Estimate
    shared: Shared
    level: float

    def difference(self) -> Difference | Incomparable:
        """Return the difference, or why there may be none."""
        mine = evidence(self.baseline, self.name, self.before)
        theirs = evidence(self.candidate, self.name, self.after)
        fields = self._fields()
        subset = _subset_holds(mine) and _subset_holds(theirs)
        blocking = {field: values for field, values in fields.items() if not (subset and field in SUBSET_FIELDS)}
        if blocking:
            listed = "; ".join(f"{field}: {a!r} against {b!r}" for field, (a, b) in blocking.items())
            return self._refused(f"made under different protocols ({listed})", blocking)
        if self.shared.changed:
            count, first = len(self.shared.changed), self.shared.changed[0]
            reason = f"what is asked or the references differ in {count} samples of the same id, the first {first!r}"
            return self._refused(reason, {"samples": (f"{first} as it was", f"{first} as it is")})
        if isinstance(mine, Contributions) and isinstance(theirs, Contributions):
            return self._of_contributions(mine, theirs)
        if isinstance(mine, CorpusCounts) and isinstance(theirs, CorpusCounts):
            return self._of_counts(mine, theirs)
        return self._unpaired()

    def _fields(self) -> dict[str, tuple[JsonScalar, JsonScalar]]:
        outside = {
            field: (before, after)
            for field, before, after in (
                ("task", self.baseline.task, self.candidate.task),
                ("data", self.baseline.data, self.candidate.data),
                ("unit", self.before.unit, self.after.unit),
            )
            if before != after
        }
        mine = self.baseline.protocols.get(self.before.protocol, Protocol(self.before.protocol, ()))
        theirs = self.candidate.protocols.get(self.after.protocol, Protocol(self.after.protocol, ()))
        return {**outside, **differences(mine, theirs)}

    def _refused(self, reason: str, fields: Mapping[str, tuple[JsonScalar, JsonScalar]]) -> Incomparable:
        return Incomparable(self.baseline.task, self.name, reason, fields)

    def _of_contributions(self, mine: Contributions, theirs: Contributions) -> Difference:
        rows, ours, clusters = self._aligned(mine.ids, theirs.ids)
        before, after = mine.values[rows], theirs.values[ours]
        flips = _flips(mine.outcomes, theirs.outcomes, rows, ours)
        try:
            found = stats.paired_difference(after - before, clusters, self.level, mine.span)
        except NotEnoughSamples as error:
            return self._made(float(before.mean()), float(after.mean()), clusters, None, flips, str(error))
        return self._made(float(before.mean()), float(after.mean()), clusters, found, flips, found.method)

    def _of_counts(self, mine: CorpusCounts, theirs: CorpusCounts) -> Difference:
        rows, ours, clusters = self._aligned(mine.ids, theirs.ids)
        before, after = mine.table[rows], theirs.table[ours]
        both = np.stack([clustered_rows(before, clusters), clustered_rows(after, clusters)])
        count = both.shape[1]

        def difference(drawn: Indices) -> float:
            weights = np.bincount(drawn, minlength=count).astype(np.float64)
            first, second = weights @ both[0], weights @ both[1]
            return theirs.value(second[None]) - mine.value(first[None])

        flips = _flips(mine.outcomes, theirs.outcomes, rows, ours)
        values = mine.value(before), theirs.value(after)
        try:
            found = stats.paired_bootstrap(difference, count, _SEED, level=self.level)
        except NotEnoughSamples as error:
            return self._made(*values, clusters, None, flips, str(error))
        return self._made(*values, clusters, found, flips, found.method)

    def _aligned(self, mine: Sequence[str], theirs: Sequence[str]) -> tuple[Indices, Indices, list[str]]:
        """Return the rows of both sides that are about the same samples, and those samples' clusters."""
        place = {name: row for row, name in enumerate(theirs)}
        kept = [(row, place[name], name) for row, name in enumerate(mine) if name in place]
        rows = np.array([row for row, _, _ in kept], dtype=np.int64)
        ours = np.array([row for _, row, _ in kept], dtype=np.int64)
        return rows, ours, [self.baseline.samples.clusters[self.shared.baseline[name]] for _, _, name in kept]

    def _unpaired(self) -> Difference:
        """Return the difference of numbers that samples say nothing of, by their own intervals."""
        mine, theirs = _standard_error(self.before), _standard_error(self.after)
        clusters = [str(i) for i in range(min(self.before.n, self.after.n))]
        if mine is None or theirs is None:
            method = "neither scores of its samples nor an interval are kept"
            return self._made(self.before.value, self.after.value, clusters, None, None, method)
        error = math.hypot(mine, theirs)
        found = stats.independent_difference(self.after.value - self.before.value, error, self.level)
        return self._made(self.before.value, self.after.value, clusters, found, None, found.method)

    def _made(
        self,
        before: float,
        after: float,
        clusters: Sequence[str],
        found: stats.Paired | None,
        flips: tuple[int, int] | None,
        method: str,
    ) -> Difference:
        won, lost = flips or (None, None)
        if flips is not None and self.after.higher_is_better is False:
            won, lost = lost, won
        if self.after.higher_is_better is None:
            won, lost = None, None
        return Difference(
            task=self.baseline.task,
            name=self.name,
            unit=self.after.unit,
            higher_is_better=self.after.higher_is_better,
            baseline=before,
            candidate=after,
            difference=after - before,
            n=len(clusters),
            clusters=len(set(clusters)),
            standard_error=None if found is None else found.standard_error,
            interval=None if found is None else found.interval,
            p=None if found is None else found.p,
            rise_p=None if found is None else found.rise_p,
            fall_p=None if found is None else found.fall_p,
            adjusted_p=None,
            minimum_detectable=None if found is None else stats.minimum_detectable(found.standard_error, found.degrees),
            won=won,
            lost=lost,
            method=method,
        )


def _subset_holds(found: Contributions | CorpusCounts | None) -> bool:
    return isinstance(found, Contributions) and found.subset_holds


def _flips(mine: Doubles | None, theirs: Doubles | None, rows: Indices, ours: Indices) -> tuple[int, int] | None:
    """Return on how many samples the candidate's score is the higher, and the lower."""
    if mine is None or theirs is None:
        return None
    gaps = theirs[ours] - mine[rows]
    return int(np.sum(gaps > 0)), int(np.sum(gaps < 0))


def _standard_error(estimate: Estimate) -> float | None:
    """Return the standard error behind an estimate's interval, taken as a normal one."""
    if estimate.interval is None:
        return None
    reach = stats.student_quantile((1 + estimate.interval.level) / 2, math.inf)
    return (estimate.interval.high - estimate.interval.low) / (2 * reach)
