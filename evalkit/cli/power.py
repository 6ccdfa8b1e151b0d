"""`evalkit power`: how many samples a difference needs to be seen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from evalkit.cli.bless import BASELINE
from evalkit.cli.diff_protocol import scored_runs
from evalkit.cli.words import columns, number, print_json
from evalkit.errors import UsageError, nearest
from evalkit.types import Json

if TYPE_CHECKING:
    from evalkit.gate.needs import Need


def power(
    task: str,
    /,
    *,
    effect: float,
    baseline: Annotated[Path, Parameter(name=["--baseline", "-b"])] = BASELINE,
    against: Path | None = None,
    metric: str | None = None,
    alpha: float = 0.05,
    chance: float = 0.8,
    json: bool = False,
) -> int:
    """Say how many samples of a task it takes to see a difference.

    Args:
        task: A task of the baseline.
        effect: Difference that should be seen, in the metric's unit.
        baseline: A baseline or the folder of a run, whose scores say how much samples vary; baseline.json without it.
        against: Folder of another run: their differences say how alike two models answer. Else it is told for several.
        metric: One number; without it all of the task.
        alpha: Two-sided level of the test.
        chance: Probability of seeing the difference.
        json: Print JSON on standard output, and nothing else there.
    """
    from evalkit.gate.baseline import bare
    from evalkit.gate.needs import needs

    _require(effect, alpha, chance)
    known = {bare(run.task): run for run in scored_runs(baseline)}
    if bare(task) not in known:
        raise UsageError(f"{baseline} has no task {task!r}{nearest(bare(task), known)}")
    run, other = known[bare(task)], None if against is None else scored_runs(against)[0]
    found = needs(run, other, effect, metric, alpha, chance)
    if json:
        document: list[Json] = [one.document() for one in found]
        print_json({"task": run.task, "effect": effect, "needs": document}, sys.stdout)
    else:
        print(f"{run.task}: samples for a difference of {effect:g} at level {alpha:g}, seen {chance:.0%} of the time\n")
        print(_table(found, chance))
    return 0


def _require(effect: float, alpha: float, chance: float) -> None:
    if not effect > 0:
        raise UsageError(f"--effect {effect} is not above 0; give the difference that should be seen")
    for name, share in (("--alpha", alpha), ("--chance", chance)):
        if not 0 < share < 1:
            raise UsageError(f"{name} {share} is not between 0 and 1")


def _table(found: Sequence[Need], chance: float) -> str:
    head = ("number", "answers", "needs", "has", f"detectable with what it has ({chance:.0%})")
    rows = [(one.name, one.agreement, f"{one.samples:,}", f"{one.now:,}", number(one.detectable)) for one in found]
    return columns([head, *rows], None)
