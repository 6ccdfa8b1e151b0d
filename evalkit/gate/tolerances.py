"""How much worse a number may get: `--tolerance task.metric=x`, `*` and `?` standing for any characters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from evalkit.errors import UsageError, nearest
from evalkit.gate.baseline import bare


def parse_tolerances(items: Mapping[str, str]) -> dict[str, float]:
    """Return tolerances as numbers.

    Raises:
        UsageError: one is not a number of 0 or more.
    """
    found: dict[str, float] = {}
    for pattern, text in items.items():
        try:
            found[pattern] = float(text)
        except ValueError:
            found[pattern] = math.nan
        if not (found[pattern] >= 0 and math.isfinite(found[pattern])):
            raise UsageError(f"--tolerance {pattern}={text} is not a number of 0 or more, in the metric's own unit")
    return found


def tolerance_of(tolerances: Mapping[str, float], task: str, name: str) -> float | None:
    """Return the tolerance of an estimate: that of the last pattern that fits, None where none does.

    >>> tolerance_of({"*": 0.1, "blocksworld_vqa.*": 0.5}, "blocksworld_vqa@1", "vqa_accuracy")
    0.5
    """
    fitting = [value for pattern, value in tolerances.items() if _fits(pattern, task, name)]
    return fitting[-1] if fitting else None


def require_all_used(tolerances: Mapping[str, float], estimates: Iterable[tuple[str, str]]) -> None:
    """Return if each pattern fits one of the `estimates`, given as task and name.

    Raises:
        UsageError: one fits none: a misspelt tolerance must not pass in silence.
    """
    known = list(estimates)
    for pattern in tolerances:
        if not any(_fits(pattern, task, name) for task, name in known):
            names = [f"{bare(task)}.{name}" for task, name in known]
            raise UsageError(f"--tolerance {pattern!r} fits no number of the baseline{nearest(pattern, names)}")


def _fits(pattern: str, task: str, name: str) -> bool:
    return fnmatchcase(f"{bare(task)}.{name}", pattern) or fnmatchcase(f"{task}.{name}", pattern)
