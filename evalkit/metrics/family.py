"""FID's family as estimates: each number with its n, interval, warnings and the protocol that it holds under."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from evalkit import stats
from evalkit.errors import NotEnoughSamples
from evalkit.features.inception import Features
from evalkit.interfaces import MetricResult
from evalkit.metrics import extrapolation, inception_score, manifold
from evalkit.metrics.findings import METRIC_VERSION, Findings
from evalkit.metrics.kernel import KidConvention
from evalkit.metrics.protocols import FidProtocol
from evalkit.progress import Progress
from evalkit.protocols import Protocol, protocol
from evalkit.stats import Doubles
from evalkit.types import Estimate, Interval, JsonScalar, Unavailable

Fields: TypeAlias = Mapping[str, JsonScalar]
Curves: TypeAlias = dict[str, tuple[tuple[float, float], ...]]

ESTIMATES = ("fid", "kid", "precision", "recall", "density", "coverage", "inception_score", "fid_infinity")
"""Names of the estimates, in the order that they are shown in."""

_UNITS: Mapping[str, str] = {
    "fid": "squared distance",
    "kid": "squared discrepancy",
    "precision": "fraction",
    "recall": "fraction",
    "density": "ratio",
    "coverage": "fraction",
    "inception_score": "score",
    "fid_infinity": "squared distance",
}
_LOWER_IS_BETTER = frozenset({"fid", "kid", "fid_infinity"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """Generated pictures, sorted by sample id, against `n_real` reference pictures; `fields` go into every protocol.

    `wanted` holds names from `ESTIMATES`; `classifier` says how to get the Inception Score where there are
    no logits.
    """

    ids: tuple[str, ...]
    features: Features
    n_real: int
    named: FidProtocol
    fields: Fields
    wanted: frozenset[str]
    classifier: str


@dataclass(slots=True)
class _Family:
    """Collects what a `MetricResult` holds."""

    comparison: Comparison
    findings: Findings
    estimates: dict[str, Estimate | Unavailable] = field(default_factory=dict)
    protocols: list[Protocol] = field(default_factory=list)
    per_sample: dict[str, dict[str, float]] = field(default_factory=dict)
    series: Curves = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.comparison.ids)

    def add(
        self,
        name: str,
        value: float,
        choices: Fields,
        warnings: tuple[str, ...] = (),
        interval: Interval | None = None,
    ) -> None:
        """Add an estimate, if it is wanted, under the protocol of the comparison and these choices of its own."""
        if name not in self.comparison.wanted:
            return
        own: Fields = {"statistic": name, "metric_version": METRIC_VERSION, "n_generated": self.n, **choices}
        made = protocol(self.comparison.named.name, {**self.comparison.fields, **own})
        self.protocols.append(made)
        better = name not in _LOWER_IS_BETTER
        self.estimates[name] = Estimate(value, self.n, _UNITS[name], better, made.digest, interval, warnings)

    def frechet(self) -> None:
        found = self.findings.frechet()
        interval = None
        if len(found.leave_one_out) > 0:
            interval = stats.jackknife_interval(found.value, found.leave_one_out)
            self._record("fid_influence", stats.jackknife_influence(found.leave_one_out))
        self.add("fid", found.value, {"covariance": "n - 1", "root": "exact"}, self._rank_warnings(), interval)

    def _record(self, name: str, column: Doubles) -> None:
        self.per_sample[name] = dict(zip(self.comparison.ids, column.tolist(), strict=True))

    def _rank_warnings(self) -> tuple[str, ...]:
        dimension = self.comparison.features.vectors.shape[1]
        few = f"is fewer than {dimension + 1}: the covariance has rank below {dimension} and FID is biased upwards"
        warnings = []
        if self.n <= dimension:
            warnings.append(f"n = {self.n} {few}; compare only at equal n")
        if self.comparison.n_real <= dimension:
            warnings.append(f"the reference's n = {self.comparison.n_real} {few}; compare only with equal references")
        return tuple(warnings)

    def kid(self) -> None:
        convention = self.comparison.named.kid
        size = min(convention.subset_size, self.n, self.comparison.n_real)
        warnings: tuple[str, ...] = ()
        if size < convention.subset_size:
            warnings = (f"KID drew subsets of {size}, not {convention.subset_size}: there are no more samples",)
            convention = dataclasses.replace(convention, subset_size=size)
        value = self.findings.kid(convention).mean
        interval = None
        if size >= 3:
            influence = self.findings.kid_influence(convention)
            self._record("kid_influence", influence)
            error = float(np.std(influence, ddof=1)) / math.sqrt(self.n)
            interval = stats.student_interval(value, error, self.n - 1, 0.95, "delete-one jackknife of the U-statistic")
        self.add("kid", value, _kid_choices(convention), warnings, interval)

    def manifold(self) -> None:
        found = self.findings.overlap()
        values = found.manifold
        closed: Fields = {"neighbours": manifold.PRECISION_NEIGHBOURS, "ball": "closed"}
        opened: Fields = {"neighbours": manifold.DENSITY_NEIGHBOURS, "ball": "open"}
        inside, density = found.inside.astype(np.float64), found.balls / manifold.DENSITY_NEIGHBOURS
        self._record("precision", inside)
        self._record("density", density)
        own = [str(i) for i in range(self.n)]
        self.add("precision", values.precision, closed, (), stats.rate_interval(values.precision, inside, own))
        recall = self._jackknifed("recall", values.recall, found.recall_without)
        self.add("recall", values.recall, closed, (), recall)
        self.add("density", values.density, opened, (), stats.mean_interval(density, own))
        coverage = self._jackknifed("coverage", values.coverage, found.coverage_without)
        self.add("coverage", values.coverage, opened, (), coverage)

    def _jackknifed(self, name: str, share: float, without: Doubles) -> Interval | None:
        """Return the interval of a share of the reference, which is no mean over the generated pictures."""
        if len(without) == 0:
            return None
        influence = stats.jackknife_influence(without)
        self._record(f"{name}_influence", influence)
        found = stats.rate_interval(share, share + influence, self.comparison.ids)
        return dataclasses.replace(found, method=f"{found.method}, delete-one jackknife (not too narrow, may be wide)")

    def inception_score(self) -> None:
        logits = self.comparison.features.logits
        if logits is None:
            reason = f"the Inception weights found here have no classifier; {self.comparison.classifier}"
            self.estimates["inception_score"] = Unavailable(reason)
            return
        choices: Fields = {"splits": inception_score.SPLITS, "seed": inception_score.SEED, "logits": "without bias"}
        self.add("inception_score", self.findings.inception_score(logits), choices)

    def fid_infinity(self) -> None:
        found = self.findings.extrapolation()
        self.series["fid_by_n"] = tuple((float(n), y) for n, y in zip(found.sizes, found.distances, strict=True))
        self.series["fid_by_n_fit"] = tuple((float(n), found.at(n)) for n in found.sizes)
        line = f"{found.value:.4g} + {found.slope:.4g} / n"
        warnings = [f"read from the line {line}, standard error of the fit {found.standard_error:.2g}"]
        if self.n <= self.comparison.features.vectors.shape[1]:
            warnings.append(f"n = {self.n} is too few for FID to be linear in 1 / n; take it as a trend")
        choices: Fields = {
            "points": extrapolation.POINTS,
            "first": found.sizes[0],
            "seed": extrapolation.SEED,
            "root": "exact",
        }
        self.add("fid_infinity", found.value, choices, tuple(warnings))

    def run(self, names: tuple[str, ...], make: Callable[[], None]) -> None:
        """Make the estimates of these names if any is wanted; too few samples for one lose no other."""
        wanted = [name for name in names if name in self.comparison.wanted]
        if not wanted:
            return
        try:
            make()
        except NotEnoughSamples as error:
            self.estimates.update({name: Unavailable(str(error)) for name in wanted})

    def result(self) -> MetricResult:
        ordered = {name: self.estimates[name] for name in ESTIMATES if name in self.estimates}
        return MetricResult(ordered, tuple(self.protocols), self.per_sample, self.series)


def _kid_choices(convention: KidConvention) -> Fields:
    return {
        "kernel": "(x.y / D + 1)^3",
        "estimator": "unbiased",
        "kid_subsets": convention.subsets,
        "kid_subset_size": convention.subset_size,
        "seed": convention.seed,
        "drawn_first": convention.first,
    }


def family(comparison: Comparison, findings: Findings, progress: Progress) -> MetricResult:
    """Return the wanted estimates of `comparison`, with FID's influence of each sample and its curve by n.

    The interval of FID is for the expected FID of this n against this very reference: see
    `evalkit.metrics.jackknife`. An estimate that needs more samples than there are is `Unavailable`.
    """
    made = _Family(comparison, findings)
    parts: tuple[tuple[tuple[str, ...], Callable[[], None]], ...] = (
        (("fid",), made.frechet),
        (("kid",), made.kid),
        (("precision", "recall", "density", "coverage"), made.manifold),
        (("inception_score",), made.inception_score),
        (("fid_infinity",), made.fid_infinity),
    )
    bar = progress.bar("statistics", len(parts), "statistic")
    try:
        for names, make in parts:
            made.run(names, make)
            bar.advance()
    finally:
        bar.close()
    return made.result()


def sorted_features(ids: list[str], chunks: list[Features]) -> tuple[tuple[str, ...], Features]:
    """Return the ids in order and all chunks' features as one, its rows in that order."""
    order = sorted(range(len(ids)), key=ids.__getitem__)
    vectors = np.concatenate([chunk.vectors for chunk in chunks])[order]
    parts = [chunk.logits for chunk in chunks if chunk.logits is not None]
    logits = np.concatenate(parts)[order] if len(parts) == len(chunks) else None
    names = [name for chunk in chunks for name in chunk.identities]
    return tuple(ids[i] for i in order), Features(vectors, logits, tuple(names[i] for i in order))
