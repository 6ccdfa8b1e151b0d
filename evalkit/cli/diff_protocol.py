"""`evalkit diff-protocol`: why two numbers are not comparable, field by field."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.cli.words import columns, page_width, print_json
from evalkit.errors import UsageError, nearest
from evalkit.types import Json

if TYPE_CHECKING:
    from evalkit.comparison import Comparison, ScoredRun

NOT_COMPARABLE = 3


def diff_protocol(first: Path, second: Path, /, *, metric: str | None = None, json: bool = False) -> int:
    """Say why the numbers of two runs are not comparable, field by field. Exit codes: 0 they are, 3 one is not.

    Args:
        first: Folder of a run, or a baseline.
        second: Folder of another run of the same task, or a baseline.
        metric: One number; without it all that both have.
        json: Print JSON on standard output, and nothing else there.
    """
    from evalkit.comparison import compare

    runs, others = scored_runs(first), scored_runs(second)
    found = [compare(*pair, None if metric is None else [metric]) for pair in _pairs(runs, others)]
    named = {d.name for one in found for d in one.differences} | {d.name for one in found for d in one.incomparable}
    if metric is not None and metric not in named:
        both = sorted(runs[0].estimates.keys() & others[0].estimates.keys())
        raise UsageError(f"the two have no number {metric!r} in common{nearest(metric, both)}")
    if json:
        print_json({"comparisons": [_document(one) for one in found]}, sys.stdout)
    else:
        print("\n\n".join(_text(one) for one in found))
    return NOT_COMPARABLE if any(one.incomparable for one in found) else 0


def scored_runs(path: Path) -> list[ScoredRun]:
    """Return the run in a folder, or the runs of a baseline.

    Raises:
        UsageError: there is neither.
        DataError: what is there is damaged.
    """
    from evalkit.comparison import read_scored_run
    from evalkit.gate.baseline import read_baseline

    if path.is_file():
        return [blessed.run for blessed in read_baseline(path)]
    if not (path / "run.json").is_file():
        raise UsageError(f"{path} is neither the folder of a run nor a baseline; `evalkit ls runs` lists runs")
    return [read_scored_run(path)]


def _pairs(runs: Sequence[ScoredRun], others: Sequence[ScoredRun]) -> list[tuple[ScoredRun, ScoredRun]]:
    from evalkit.gate.baseline import bare

    if len(runs) == len(others) == 1:
        return [(runs[0], others[0])]
    pairs = [(run, other) for run in runs for other in others if bare(run.task) == bare(other.task)]
    if not pairs:
        raise UsageError("the two have no task in common; name runs of one task")
    return pairs


def _text(one: Comparison) -> str:
    lines = [f"{one.baseline.label}: {one.baseline.task} by {one.baseline.model}"]
    lines.append(f"{one.candidate.label}: {one.candidate.task} by {one.candidate.model}")
    alone, other = len(one.only_baseline), len(one.only_candidate)
    if alone or other:
        lines.append(f"samples answered by the first alone: {alone:,}, by the second: {other:,}")
    for fields, names in _grouped(one).items():
        lines.append(f"\nnot comparable: {', '.join(names)}")
        rows = [("", "first", "second"), *((name, repr(a), repr(b)) for name, (a, b) in fields)]
        lines.append(columns(rows, page_width(), "  "))
    comparable = ", ".join(difference.name for difference in one.differences)
    lines.append(f"\ncomparable: {comparable or 'nothing'}")
    return "\n".join(lines)


def _grouped(one: Comparison) -> dict[tuple[tuple[str, tuple[object, object]], ...], list[str]]:
    """Return the numbers that do not compare, by the fields in which they differ; each number's own name is none."""
    groups: dict[tuple[tuple[str, tuple[object, object]], ...], list[str]] = {}
    for found in one.incomparable:
        groups.setdefault(tuple(found.fields.items()), []).append(found.name)
    return groups


def _document(one: Comparison) -> Json:
    return {
        "first": one.baseline.label,
        "second": one.candidate.label,
        "task": one.baseline.task,
        "comparable": [difference.name for difference in one.differences],
        "not_comparable": {
            found.name: {name: list(values) for name, values in found.fields.items()} for found in one.incomparable
        },
        "only_first": list(one.only_baseline),
        "only_second": list(one.only_candidate),
    }
