"""What a run found, as a newcomer reads it: numbers, how sure they are, what was asked, and what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from evalkit.cli.words import columns, duration, number, quantity, size
from evalkit.results import Run, SampleRecord
from evalkit.types import Estimate, Unavailable

if TYPE_CHECKING:
    from evalkit.forecast import Forecast
    from evalkit.stats import Components

PIPE_WIDTH = 100
"""Columns of a table that is not written to a terminal."""
SHOWN_FAILURES = 3

Row: TypeAlias = tuple[str, str]


def print_run(run: Run, folder: Path, failures: Iterable[SampleRecord], file: TextIO) -> None:
    """Write the table of one run, its warnings and failures, and the next command to try."""
    width = None if file.isatty() else PIPE_WIDTH
    console = Console(file=file, width=width, highlight=False, emoji=False)
    console.print(
        Text.assemble("\n", (run.task, "bold"), "  model ", (run.model, "bold"), "  data ", (run.data, "bold"))
    )
    if run.estimates:
        console.print(_estimates(run))
    rows = [*_remarks(run), *failure_rows(failures), ("kept in", str(folder))]
    if run.estimates:
        rows.append(("next", f"evalkit report {shlex.quote(str(folder))}"))
    else:
        rows.append(("next", f"evalkit merge {shlex.quote(str(folder.parent))}, once the other shards are there too"))
    print(columns(rows, console.width if file.isatty() else None), file=file)


def _estimates(run: Run) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    level = _common_level(run)
    table.add_column("estimate")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("interval" if level is None else f"{level:.0%} interval", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("unit")
    table.add_column("better", no_wrap=True)
    for name, estimate in run.estimates.items():
        if isinstance(estimate, Unavailable):
            table.add_row(escape(name), "-", "not available", "", "", "")
        else:
            direction = {True: "higher", False: "lower", None: ""}[estimate.higher_is_better]
            interval = _interval(estimate, level)
            table.add_row(escape(name), number(estimate.value), interval, f"{estimate.n:,}", estimate.unit, direction)
    return table


def _common_level(run: Run) -> float | None:
    """Return the level of all intervals of a run, None where they differ."""
    estimates = [estimate for estimate in run.estimates.values() if isinstance(estimate, Estimate)]
    levels = {estimate.interval.level for estimate in estimates if estimate.interval is not None}
    return levels.pop() if len(levels) == 1 else None


def _interval(estimate: Estimate, common_level: float | None) -> str:
    if estimate.interval is None:
        return ""
    text = f"{number(estimate.interval.low)} to {number(estimate.interval.high)}"
    return text if common_level is not None else f"{text} ({estimate.interval.level:.0%})"


def _remarks(run: Run) -> Iterator[Row]:
    covered = run.coverage
    yield (
        "asked",
        f"{quantity(covered.asked, 'sample')}: {covered.answered:,} answered ({covered.from_cache:,} from the cache), "
        f"{covered.failed:,} failed",
    )
    for stamp in run.stamps:
        yield "stamp", stamp
    if run.stamps and run.estimates:
        yield "", "a stamped number is never ranked; do not set it beside published ones"
    for text, names in _shared(run).items():
        yield "note", text if text.startswith(names[0]) else f"{', '.join(names)}: {text}"


def _shared(run: Run) -> dict[str, list[str]]:
    """Return each warning and each reason for a missing number with the estimates that it is about."""
    about: dict[str, list[str]] = {}
    for name, estimate in run.estimates.items():
        texts = (estimate.reason,) if isinstance(estimate, Unavailable) else estimate.warnings
        for text in texts:
            about.setdefault(text, []).append(name)
    return about


def failure_rows(records: Iterable[SampleRecord]) -> list[Row]:
    """Return how many samples failed with what, and the first of them with their messages."""
    failed = [(record.id, *record.failure) for record in records if record.failure is not None]
    if not failed:
        return []
    kinds = Counter(kind for _, kind, _ in failed)
    rows = [("failed", ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()))]
    rows += [("", f"{sample}: {kind}: {message}") for sample, kind, message in failed[:SHOWN_FAILURES]]
    if len(failed) > SHOWN_FAILURES:
        rows.append(("", f"and {len(failed) - SHOWN_FAILURES:,} more in samples.jsonl"))
    return rows


def forecast_text(task: str, model: str, forecast: Forecast) -> str:
    """Return a forecast in words."""
    generation, scoring = forecast.generation_seconds, forecast.scoring_seconds
    disk = forecast.disk_bytes
    return "\n".join(
        [
            f"{task} with {model}",
            f"  calls       {forecast.calls:,} ({forecast.from_cache:,} more are in the cache)",
            f"  generation  {'unknown' if generation is None else duration(generation)}",
            f"  scoring     {'unknown until its weights are here' if scoring is None else duration(scoring)}",
            f"  disk        {'unknown' if disk is None else size(disk)}",
            f"  measured on {quantity(forecast.measured_on, 'sample')}, asked for real and kept in the cache",
        ]
    )


def repeats_text(task: str, count: int, found: Mapping[str, Components]) -> str:
    """Return the mean of each estimate over `count` repeats, and what its uncertainty comes from."""
    head = ("estimate", "mean", "standard error", "of samples", "of seeds", "one repeat scatters by")
    rows = [
        (name, *(number(part) for part in (c.mean, c.standard_error, c.item_error, c.seed_error, c.seed_deviation)))
        for name, c in found.items()
    ]
    return f"\n{task}: {count} repeats together\n{columns([head, *rows], None, '  ')}"
