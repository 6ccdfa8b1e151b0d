"""What the gate says of each number, and of all together.

A number has regressed if it is worse by more than its tolerance (practical) and Holm's one-sided p over all gated
numbers is below α (statistical). Where it has not, and a tolerance was given, the gate must have been able to see a
fall of that size or rule it out: else it is underpowered. A tolerance of 0 is like none.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from evalkit import stats
from evalkit.comparison import Comparison, Difference, Incomparable, ScoredRun, compare_all
from evalkit.errors import UsageError, nearest
from evalkit.gate.baseline import bare, is_main
from evalkit.gate.tolerances import require_all_used, tolerance_of
from evalkit.types import Estimate, JsonScalar

POWER = 0.8
SAMPLE_FIELDS = frozenset(
    {
        *("n_samples", "samples_digest", "n_questions", "questions_digest", "n_images", "references_digest"),
        *("document_frequency_digest", "n_generated", "kid_subset_size", "first"),
    }
)
"""Fields of protocols that differ as soon as other samples were scored."""


class Status(Enum):
    """What became of a number, with the exit code that it asks for."""

    PASS = "pass"
    RISE = "rise"
    REGRESSION = "regression"
    MISSING = "missing"
    NOT_COMPARABLE = "not comparable"
    UNDERPOWERED = "underpowered"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 regression, 3 not comparable, 4 underpowered (2 is an error, of which there is no verdict)."""
        codes = {"regression": 1, "missing": 1, "not comparable": 3, "underpowered": 4}
        return codes.get(self.value, 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one number of one task; `name` is empty where it is about the whole task.

    `p` is one-sided (of a fall), Holm-adjusted. `detectable` is the least fall that is found with power 0.8 at this
    level, `needed` with how many samples the tolerance is. `fields` are those of the protocol in which they differ.
    """

    task: str
    name: str
    status: Status
    reason: str
    difference: Difference | None = None
    p: float | None = None
    tolerance: float | None = None
    detectable: float | None = None
    needed: int | None = None
    fields: Mapping[str, tuple[JsonScalar, JsonScalar]] | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the user chose: the level, tolerances by pattern, samples that may be missing, and the numbers to gate."""

    alpha: float = 0.05
    tolerances: Mapping[str, float] | None = None
    allow_missing: int = 0
    metrics: Collection[str] | None = None


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return the code that a set of verdicts ends in: a regression outranks what cannot be told."""
    codes = {verdict.status.exit_code for verdict in verdicts}
    return next((code for code in (1, 3, 4) if code in codes), 0)


def judge(baseline: Sequence[ScoredRun], candidates: Sequence[ScoredRun], rules: Rules) -> list[Verdict]:
    """Return a verdict for each number of the baseline, task by task.

    Raises:
        UsageError: a candidate's task is not in the baseline or stands twice, or a tolerance or metric fits nothing.
    """
    gated = [(run.task, name) for run in baseline for name in _gated(run, rules)]
    require_all_used(rules.tolerances or {}, gated)
    known = {name for _, name in gated}
    for name in rules.metrics or ():
        if name not in known:
            raise UsageError(f"the baseline has no number {name!r} to gate{nearest(name, known)}")
    matched = _matched(baseline, candidates)
    comparisons = compare_all([(before, after) for before, after in matched if after is not None], None)
    verdicts = [
        Verdict(before.task, "", Status.MISSING, "the baseline has this task and no run of it was named")
        for before, after in matched
        if after is None
    ]
    for one in comparisons:
        verdicts += _missing_samples(one, rules)
    return [*verdicts, *_of_numbers(comparisons, rules)]


def _gated(run: ScoredRun, rules: Rules) -> list[str]:
    """Return the names of the numbers that are gated: no breakdowns, none of which neither direction is better."""
    return [
        name
        for name, estimate in run.estimates.items()
        if isinstance(estimate, Estimate)
        and estimate.higher_is_better is not None
        and is_main(name)
        and (rules.metrics is None or name in rules.metrics)
    ]


def _matched(
    baseline: Sequence[ScoredRun], candidates: Sequence[ScoredRun]
) -> list[tuple[ScoredRun, ScoredRun | None]]:
    found: dict[str, ScoredRun] = {}
    for run in candidates:
        if bare(run.task) in found:
            raise UsageError(f"{found[bare(run.task)].label} and {run.label} are both of {bare(run.task)}; name one")
        found[bare(run.task)] = run
    tasks = [bare(run.task) for run in baseline]
    for task, run in found.items():
        if task not in tasks:
            raise UsageError(f"{run.label} is of {task}, which the baseline has not; bless it too, or leave it out")
    return [(run, found.get(bare(run.task))) for run in baseline]


def _missing_samples(one: Comparison, rules: Rules) -> list[Verdict]:
    count = len(one.only_baseline)
    if count <= rules.allow_missing:
        return []
    failed = len(set(one.only_baseline) & set(one.candidate.samples.failed))
    reason = (
        f"{count} of the baseline's {len(one.baseline.samples.ids)} samples have no answer ({failed} failed, "
        f"{count - failed} were not asked), the first {one.only_baseline[0]!r}"
    )
    return [Verdict(one.baseline.task, "", Status.MISSING, reason)]


def _of_numbers(comparisons: Sequence[Comparison], rules: Rules) -> list[Verdict]:
    chosen: list[tuple[Comparison, Difference]] = []
    verdicts: list[Verdict] = []
    for one in comparisons:
        names = set(_gated(one.baseline, rules))
        chosen += [(one, difference) for difference in one.differences if difference.name in names]
        verdicts += [_refused(one, found) for found in one.incomparable if found.name in names]
        verdicts += [
            Verdict(one.baseline.task, name, Status.MISSING, "the baseline has this number and the run has not")
            for name in one.missing
            if name in names
        ]
    falls = stats.holm([_fall_p(difference) for _, difference in chosen])
    rises = stats.holm([_rise_p(difference) for _, difference in chosen])
    for (_, difference), fall, rise in zip(chosen, falls, rises, strict=True):
        verdicts.append(_verdict(difference, fall, rise, rules, len(chosen)))
    return verdicts


def _refused(one: Comparison, found: Incomparable) -> Verdict:
    follows = bool(one.only_baseline) and found.fields.keys() <= SAMPLE_FIELDS
    status = Status.MISSING if follows else Status.NOT_COMPARABLE
    reason = "cannot be compared while samples are missing" if follows else found.reason
    return Verdict(found.task, found.name, status, reason, fields=found.fields)


def _fall_p(difference: Difference) -> float:
    p = difference.fall_p if difference.higher_is_better else difference.rise_p
    return 1.0 if p is None else p


def _rise_p(difference: Difference) -> float:
    p = difference.rise_p if difference.higher_is_better else difference.fall_p
    return 1.0 if p is None else p


def _verdict(difference: Difference, fall: float, rise: float, rules: Rules, tests: int) -> Verdict:
    tolerance = tolerance_of(rules.tolerances or {}, difference.task, difference.name)
    harm = -difference.difference if difference.higher_is_better else difference.difference
    detectable = needed = None
    if difference.standard_error:  # where nothing differs at all, it says nothing of what could be seen
        degrees = max(difference.clusters - 1, 1)
        level = 2 * rules.alpha / tests  # one-sided, and as strict as Holm's first step
        detectable = stats.minimum_detectable(difference.standard_error, degrees, level, POWER)

    def made(status: Status, reason: str) -> Verdict:
        task, name = difference.task, difference.name
        return Verdict(task, name, status, reason, difference, fall, tolerance, detectable, needed)

    if harm > (tolerance or 0.0) and fall < rules.alpha:
        return made(Status.REGRESSION, f"worse by {harm:.5g} {difference.unit}")
    if difference.standard_error is None:
        return made(Status.UNDERPOWERED, f"nothing can be told: {difference.method}")
    if tolerance and detectable is not None and not _seen(difference, harm, tolerance, detectable, rules.alpha):
        clusters = stats.clusters_needed(difference.clusters, detectable, tolerance)
        needed = math.ceil(clusters * difference.n / difference.clusters)
        reason = f"a fall of {tolerance:g} needs {needed:,} samples and there are {difference.n:,}"
        return made(Status.UNDERPOWERED, reason)
    if -harm > (tolerance or 0.0) and rise < rules.alpha:
        return made(Status.RISE, f"better by {-harm:.5g} {difference.unit}: a gain, or a leak of the answers?")
    return made(Status.PASS, "")


def _seen(difference: Difference, harm: float, tolerance: float, detectable: float, alpha: float) -> bool:
    """Return whether a fall of `tolerance` would have been found, or is ruled out by what was."""
    if difference.standard_error is None:
        return False
    degrees = max(difference.clusters - 1, 1)
    highest = harm + stats.student_quantile(1 - alpha, degrees) * difference.standard_error
    return detectable <= tolerance or highest <= tolerance
