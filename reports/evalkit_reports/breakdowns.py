"""Estimates of the strata of a task's samples: the accuracy of each question type beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit_reports.measures import BREAKDOWN, LoadedRun, Measure, TaskResults


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A measure on each value of one kind of stratum, all under the same rules on the same data."""

    measure: str
    kind: str
    data: str
    values: tuple[tuple[str, Measure], ...]

    @property
    def runs(self) -> tuple[LoadedRun, ...]:
        """The runs that have a number for any value, in their order in the task."""
        found: dict[str, LoadedRun] = {}
        for _, measure in self.values:
            found |= {loaded.label: loaded for loaded, _ in measure.numbers}
        return tuple(found.values())

    @property
    def title(self) -> str:
        """`accuracy by question_type`."""
        return f"{self.measure} by {self.kind}"


def breakdowns(task: TaskResults) -> tuple[Breakdown, ...]:
    """Return every breakdown of a task; runs under another protocol have one of their own."""
    groups: dict[tuple[str, str, str, int], list[tuple[str, Measure]]] = {}
    seen: dict[tuple[str, str], int] = {}
    for measure in task.measures:
        parts = BREAKDOWN.fullmatch(measure.name)
        if parts is None or not measure.numbers:
            continue
        place = seen.get((measure.name, measure.data), 0)
        seen[measure.name, measure.data] = place + 1
        key = parts["measure"], parts["kind"], measure.data, place
        groups.setdefault(key, []).append((parts["value"], measure))
    return tuple(Breakdown(name, kind, data, tuple(values)) for (name, kind, data, _), values in groups.items())


def plain_protocols(task: TaskResults) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the measures, breakdowns left out, that stand under each protocol's digest."""
    found: dict[str, list[str]] = {}
    for measure in task.measures:
        if measure.digest and BREAKDOWN.fullmatch(measure.name) is None:
            found.setdefault(measure.digest, []).append(measure.name)
    return {digest: tuple(dict.fromkeys(names)) for digest, names in found.items()}
