"""One HTML page about some runs: numbers with intervals, protocols, plots, and the samples themselves.

The page is one file. It asks no network, opens from disk, and holds no data in its script: what models and data sets
say stands in it as escaped text alone, under a content policy that runs this room's own script and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.workspace import Workspace
from evalkit_reports.board import boards
from evalkit_reports.breakdowns import Breakdown, breakdowns, plain_protocols
from evalkit_reports.cards import MOST_ANSWERS, Browser, browser
from evalkit_reports.html_page import html_page
from evalkit_reports.measures import LoadedRun, TaskResults, load_results
from evalkit_reports.overview import Overview, overview
from evalkit_reports.pictures import Album
from evalkit_reports.task_plots import Plot, task_plots
from evalkit_reports.wording import label
from evalkit_reports.writing import write_whole


@dataclass(frozen=True, slots=True)
class Section:
    """One task of the page. `plots` stand in rows of one kind.

    `protocol_ids` gives each protocol digest its anchor, `protocol_uses` the estimates that were made under it, those
    of strata left out. `tiers` holds the tier of each ranked run, by label.
    """

    results: TaskResults
    anchor: str
    protocol_ids: Mapping[str, str]
    protocol_uses: Mapping[str, tuple[str, ...]]
    plots: tuple[tuple[Plot, ...], ...]
    breakdowns: tuple[Breakdown, ...]
    browsers: tuple[Browser, ...]
    tiers: Mapping[str, int]


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
        sections.append(_section(task, f"task-{number}", made, _tiers(task)))
    bar.close()
    write_whole(output, render(sections, overview(results)))


def _on(task: TaskResults, data: str) -> list[LoadedRun]:
    return [loaded for loaded in task.runs if loaded.run.data == data]


def _tiers(task: TaskResults) -> dict[str, int]:
    """Return the tier of each ranked run by its label; empty where there is no other run to be ranked with."""
    if len(task.runs) < 2:
        return {}
    return {row.loaded.label: row.tier for board in boards([task]) for row in board.rows if row.tier is not None}


def _section(results: TaskResults, anchor: str, browsers: Sequence[Browser], tiers: Mapping[str, int]) -> Section:
    ids = {digest: f"{anchor}-protocol-{number}" for number, digest in enumerate(results.protocols, start=1)}
    uses = plain_protocols(results)
    return Section(results, anchor, ids, uses, task_plots(results, anchor), breakdowns(results), tuple(browsers), tiers)


def render(sections: Sequence[Section], summary: Overview | None) -> str:
    """Return the page as text."""
    context = {
        "tiers": {section.results.task: section.tiers for section in sections},
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
