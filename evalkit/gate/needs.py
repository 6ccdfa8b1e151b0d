"""How many samples a difference needs, foretold from what a baseline's samples vary by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalkit import stats
from evalkit.comparison import ScoredRun, compare
from evalkit.comparison.evidence import Contributions, evidence
from evalkit.errors import NotComparable, UsageError, nearest
from evalkit.gate.baseline import is_main
from evalkit.types import Estimate, Json

CORRELATIONS = ((0.0, "independent"), (0.5, "correlation 0.5"), (0.9, "correlation 0.9"))
"""How much two models' scores of one sample may have in common."""


@dataclass(frozen=True, slots=True)
class Need:
    """`samples` that an effect needs in an estimate, `now` that there are, and what those can detect."""

    name: str
    agreement: str
    samples: int
    now: int
    detectable: float

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "answers": self.agreement,
            "samples": self.samples,
            "has": self.now,
            "minimum_detectable": self.detectable,
        }


def needs(
    run: ScoredRun, against: ScoredRun | None, effect: float, metric: str | None, alpha: float, power: float
) -> list[Need]:
    """Return what `effect` needs in each main estimate of `run` (or in `metric`).

    With `against` the paired differences of the two runs say how much samples vary; else their variance is
    2 (1 - r) times that of the run's scores, for several correlations r, and at least the effect (span - effect) that
    a difference of rates cannot go without.

    Raises:
        UsageError: no such estimate, or none whose samples' scores are kept.
        NotComparable: `against` does not compare.
    """
    names = [name for name, e in run.estimates.items() if isinstance(e, Estimate) and is_main(name)]
    if metric is not None and metric not in names:
        raise UsageError(f"{run.task} has no number {metric!r}{nearest(metric, names)}")
    wanted = names if metric is None else [metric]
    if against is None:
        found = [need for name in wanted for need in _foretold(run, name, effect, alpha, power)]
    else:
        found = _observed(run, against, wanted, effect, alpha, power)
    if not found:
        raise UsageError(f"{run.label} keeps no scores of samples for {', '.join(wanted)}; name another --metric")
    return found


def _observed(
    run: ScoredRun, against: ScoredRun, names: list[str], effect: float, alpha: float, power: float
) -> list[Need]:
    compared = compare(run, against, names)
    if compared.incomparable:
        raise NotComparable(f"{compared.incomparable[0].name}: {compared.incomparable[0].reason}")
    found = []
    for difference in compared.differences:
        if difference.standard_error:
            detectable = stats.minimum_detectable(difference.standard_error, difference.clusters - 1, alpha, power)
            samples = _samples(difference.clusters, difference.n, detectable, effect)
            found.append(Need(difference.name, "as these two", samples, difference.n, detectable))
    return found


def _foretold(run: ScoredRun, name: str, effect: float, alpha: float, power: float) -> list[Need]:
    estimate = run.estimates[name]
    known = evidence(run, name, estimate) if isinstance(estimate, Estimate) else None
    if not isinstance(known, Contributions):
        return []
    place = {sample: row for row, sample in enumerate(run.samples.ids)}
    clusters = [run.samples.clusters[place[sample]] for sample in known.ids]
    count, n = len(set(clusters)), len(known.ids)
    if count < 2:
        return []
    error = stats.clustered_standard_error(known.values, clusters)
    span = known.span or 0.0
    least = math.sqrt(max(effect * (span - effect), 0.0) / n)
    found = []
    for correlation, agreement in CORRELATIONS:
        of_difference = max(math.sqrt(2 * (1 - correlation)) * error, least)
        if of_difference > 0:
            detectable = stats.minimum_detectable(of_difference, count - 1, alpha, power)
            found.append(Need(name, agreement, _samples(count, n, detectable, effect), n, detectable))
    return found


def _samples(clusters: int, n: int, detectable: float, effect: float) -> int:
    return math.ceil(stats.clusters_needed(clusters, detectable, effect) * n / clusters)
