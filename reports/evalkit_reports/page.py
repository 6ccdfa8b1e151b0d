"""One HTML page about some runs: numbers with intervals, protocols, plots, and the samples themselves.

The page is one file. It asks no network, opens from disk, and holds no data in its script: what models and data sets
say stands in it as escaped text alone, under a content policy that runs this room's own script and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evalkit.types import Estimate, Json, Unavailable
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.cards import MOST_ANSWERS, Browser, browser
from evalkit_reports.measures import LoadedRun, TaskResults, load_results
from evalkit_reports.overview import Overview, overview
from evalkit_reports.pictures import Album
from evalkit_reports.plots import Curve, Points, curve_plot, dot_plot, is_by_n
from evalkit_reports.wording import LONGEST_NAME, label, shortened, visible
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
    environment = page_environment()
    style, script = _own("page.css"), _own("page.js")
    page = environment.get_template("page.html")
    return page.render(
        sections=sections,
        summary=summary,
        style=style,
        script=script,
        policy=content_policy(style, script),
        title=_title(sections),
    )


def page_environment() -> Environment:
    """Return the templates of this room, everything escaped and every undefined name an error."""
    environment = Environment(
        loader=PackageLoader("evalkit_reports"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["name"] = _name
    environment.globals.update(
        {
            "numbers": numbers,
            "facts": facts,
            "has_number": _has_number,
            "position": _position,
        }
    )
    return environment


def _shown(value: object) -> object:
    """Make every text that a template prints visible; what this room itself marked up stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _name(text: str) -> str:
    return shortened(text, LONGEST_NAME)


def _own(name: str) -> Markup:
    """Return a file of this room that a page holds as it stands."""
    text = files("evalkit_reports").joinpath("templates", name).read_text(encoding="utf-8")
    return Markup(text)


def content_policy(style: str, script: str) -> str:
    """Return the content policy of a page that holds this style sheet and this script, and nothing else."""
    return (
        "default-src 'none'; img-src data: file: 'self'; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{_sha256(style)}'; script-src 'sha256-{_sha256(script)}'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _title(sections: Sequence[Section]) -> str:
    runs = [loaded.run for section in sections for loaded in section.results.runs]
    models = list(dict.fromkeys(label(run.model) for run in runs))
    if len(models) > 1:
        who = f"{len(models)} models"
    else:
        who = models[0] if len(runs) == len(sections) else f"{len(runs)} runs of {models[0]}"
    return f"{who} on {label(sections[0].results.task) if len(sections) == 1 else f'{len(sections)} tasks'}"


def facts(document: Mapping[str, Json], prefix: str = "") -> list[tuple[str, str]]:
    """Return a JSON object as pairs of a dotted name and a text, objects inside it opened up.

    >>> facts({"seed": 0, "packages": {"torch": "2.6"}})
    [('seed', '0'), ('packages.torch', '2.6')]
    """
    found: list[tuple[str, str]] = []
    for name, value in document.items():
        if isinstance(value, dict) and value:
            found += facts(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.append((f"{prefix}{name}", text))
    return found


def _has_number(estimate: Estimate | Unavailable) -> bool:
    return isinstance(estimate, Estimate)


def _position(section: Section, loaded: LoadedRun) -> int:
    return section.results.runs.index(loaded)
