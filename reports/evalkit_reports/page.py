"""One HTML page about some runs: numbers with intervals, protocols, plots, and the samples themselves.

The page is one file. It asks no network, opens from disk, and holds no data in its script: what models and data sets
say stands in it as escaped text alone, under a content policy that runs this room's own script and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from evalkit.types import Estimate
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.cards import MOST_ANSWERS, Browser, browser
from evalkit_reports.html_page import html_page
from evalkit_reports.measures import LoadedRun, TaskResults, load_results
from evalkit_reports.overview import Overview, overview
from evalkit_reports.pictures import Album
from evalkit_reports.plots import Curve, Points, curve_plot, dot_plot, is_by_n
from evalkit_reports.wording import label
from evalkit_reports.writing import write_whole

FIT = "_fit"
"""Ending of the series that holds the line fitted to another."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with the words under it."""

    svg: Markup
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """One task of the page. `plots` stand in rows of one kind.

    `protocol_ids` gives each protocol digest its anchor, `protocol_uses` the estimates that were made under it.
    """

    results: TaskResults
    anchor: str
    protocol_ids: Mapping[str, str]
    protocol_uses: Mapping[str, tuple[str, ...]]
    plots: tuple[tuple[Plot, ...], ...]
    browsers: tuple[Browser, ...]


def write_page(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the page about the runs kept in the folders `runs` to `output`.

    Raises:
        UsageError: no run was named, or the file cannot be written.
        DataError: a folder holds no run, or a damaged one.
    """
    results = load_results(runs)
    pairs = [(task, data) for task in results for data in task.data_names]
    asked = sum(len(_on(task, data)) for task, data in pairs)
    album = Album(output)
    bar = workspace.progress.bar("sample browser", len(pairs), "data set")
    sections = []
    for number, task in enumerate(results, start=1):
        made = []
        for data in task.data_names:
            on = _on(task, data)
            made.append(browser(on, MOST_ANSWERS * len(on) // asked, album, workspace))
            bar.advance()
        sections.append(_section(task, f"task-{number}", made))
    bar.close()
    write_whole(output, render(sections, overview(results)))


def _on(task: TaskResults, data: str) -> list[LoadedRun]:
    return [loaded for loaded in task.runs if loaded.run.data == data]


def _section(results: TaskResults, anchor: str, browsers: Sequence[Browser]) -> Section:
    ids = {digest: f"{anchor}-protocol-{number}" for number, digest in enumerate(results.protocols, start=1)}
    plots = tuple(row for row in (_dot_plots(results, anchor), _curve_plots(results, anchor)) if row)
    uses = {digest: tuple(m.name for m in results.measures if m.digest == digest) for digest in ids}
    return Section(results, anchor, ids, uses, plots, tuple(browsers))


def _dot_plots(results: TaskResults, anchor: str) -> tuple[Plot, ...]:
    """Return a plot of each measure that two or more runs have a number for: one dot alone tells nothing."""
    compared = [measure for measure in results.measures if len(measure.numbers) > 1]
    return tuple(
        Plot(
            dot_plot(measure, results.runs, f"{anchor}-dots-{number}"),
            f"{label(measure.name)}, {numbers.direction_text(measure.higher_is_better)}. Bars: intervals of the table.",
        )
        for number, measure in enumerate(compared, start=1)
    )


def _curve_plots(results: TaskResults, anchor: str) -> tuple[Plot, ...]:
    """Return a plot of each curve, runs of one protocol and one data set together."""
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for loaded in results.runs:
        for name, curve in _curves(loaded):
            groups.setdefault((name, loaded.run.data, _curve_protocol(loaded, name)), []).append(curve)
    plots = []
    for number, ((name, data, _), curves) in enumerate(groups.items(), start=1):
        svg = curve_plot(name, curves, results.runs, f"{anchor}-curve-{number}")
        fitted = " Line: fitted in 1 / n; dashed: where it leads." if is_by_n(name) else ""
        plots.append(Plot(svg, f"{label(name)} on {label(data)}.{fitted}"))
    return tuple(plots)


def _curves(loaded: LoadedRun) -> Iterator[tuple[str, Curve]]:
    """Yield each curve of a run by name; `x_fit` is no curve of its own but the line through `x`."""
    series = {name: _finite(points) for name, points in loaded.run.series.items()}
    for name, points in series.items():
        base = name.removesuffix(FIT)
        if points and (base == name or base not in series):
            yield name, Curve(loaded, points, series.get(name + FIT, ()))


def _finite(points: Points) -> Points:
    return tuple(point for point in points if math.isfinite(point[0]) and math.isfinite(point[1]))


def _curve_protocol(loaded: LoadedRun, name: str) -> str:
    """Return what decides whether two curves may share a plot: the protocol of the estimate that they are of."""
    estimate = loaded.run.estimates.get(name.removesuffix("_by_n"))
    return estimate.protocol if isinstance(estimate, Estimate) else " ".join(sorted(loaded.run.protocols))


def render(sections: Sequence[Section], summary: Overview | None) -> str:
    """Return the page as text."""
    context = {
        "kind": "report",
        "title": _title(sections),
        "places": [(section.anchor, section.results.task) for section in sections],
        "sections": sections,
        "summary": summary,
        "position": _position,
    }
    return html_page("page.html", context)


def _title(sections: Sequence[Section]) -> str:
    runs = [loaded.run for section in sections for loaded in section.results.runs]
    models = list(dict.fromkeys(label(run.model) for run in runs))
    if len(models) > 1:
        who = f"{len(models)} models"
    else:
        who = models[0] if len(runs) == len(sections) else f"{len(runs)} runs of {models[0]}"
    return f"{who} on {label(sections[0].results.task) if len(sections) == 1 else f'{len(sections)} tasks'}"


def _position(section: Section, loaded: LoadedRun) -> int:
    return section.results.runs.index(loaded)
