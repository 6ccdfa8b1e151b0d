"""`evalkit power`: how many samples a difference needs to be seen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from evalkit.cli.bless import BASELINE
from evalkit.cli.diff_protocol import scored_runs
from evalkit.cli.words import columns, number, print_json
from evalkit.errors import UsageError, nearest
from evalkit.types import Json


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
        against: Folder of another run, whose differences from the baseline say how alike two models answer. Without
            it the need is told for answers that agree not at all, by half, and well.
        metric: One number; without it all of the task.
        alpha: Two-sided level of the test.
        chance: Probability of seeing the difference.
        json: Print JSON on standard output, and nothing else there.
    """
    from evalkit.gate.baseline import bare
    from evalkit.gate.needs import Need, needs

    for name, value, least in (("--effect", effect, None), ("--alpha", alpha, 1.0), ("--chance", chance, 1.0)):
        if not value > 0 or (least is not None and value >= least):
            raise UsageError(f"{name} {value} is not above 0{'' if least is None else ' and below 1'}")
    known = {bare(run.task): run for run in scored_runs(baseline)}
    if bare(task) not in known:
        raise UsageError(f"{baseline} has no task {task!r}{nearest(bare(task), known)}")
    other = None if against is None else scored_runs(against)[0]
    found = needs(known[bare(task)], other, effect, metric, alpha, chance)
    if json:
        document: list[Json] = [one.document() for one in found]
        print_json({"task": known[bare(task)].task, "effect": effect, "needs": document}, sys.stdout)
        return 0

    def row(one: Need) -> tuple[str, ...]:
        return one.name, one.agreement, f"{one.samples:,}", f"{one.now:,}", number(one.detectable)

    head = ("number", "answers", "needs", "has", f"detectable with what it has ({chance:.0%})")
    print(f"{known[bare(task)].task}: samples for a difference of {effect:g} at level {alpha:g}, seen {chance:.0%}\n")
    print(columns([head, *(row(one) for one in found)], None))
    return 0
