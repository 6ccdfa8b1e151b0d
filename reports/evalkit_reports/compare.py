"""One HTML page with the answers of several models to the same samples side by side, and paired statistics on top.

The first run of each task is the baseline that the others are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.comparison import Comparison, Difference, Incomparable, ScoredRun, compare_all
from evalkit.errors import UsageError
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.cards import MOST_ANSWERS, Browser, browser
from evalkit_reports.html_page import html_page
from evalkit_reports.measures import LoadedRun, TaskResults, is_breakdown, load_results, scored_runs
from evalkit_reports.pictures import Album
from evalkit_reports.wording import label
from evalkit_reports.writing import write_whole

MOST_EMBEDDED = 1500
"""Pictures inside the page: more than in a report, for each sample has several, and still within the same bytes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found, in a sentence. `state`: better, worse, level (no difference found), apart."""

    state: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Contrast:
    """A run against the baseline, measure by measure. `unshared` says which samples could not take part."""

    candidate: LoadedRun
    verdict: Verdict
    rows: tuple[Difference, ...]
    refused: tuple[Incomparable, ...]
    unshared: str


@dataclass(frozen=True, slots=True)
class Pairing:
    """One task of the page; `baseline` is the first of its runs."""

    task: str
    anchor: str
    runs: tuple[LoadedRun, ...]
    contrasts: tuple[Contrast, ...]
    browsers: tuple[Browser, ...]

    @property
    def baseline(self) -> LoadedRun:
        """The run that all others are compared with."""
        return self.runs[0]


def write_comparison(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the page that compares the runs kept in the folders `runs` to `output`.

    Raises:
        UsageError: no task has two runs, or the file cannot be written.
        DataError: a folder holds no run, or a damaged one.
    """
    results = [task for task in load_results(runs) if len(task.runs) > 1]
    if not results:
        raise UsageError(
            "no two of these runs are of one task, so there is nothing to compare; `evalkit ls runs` lists what is here"
        )
    album = Album(output, left=MOST_EMBEDDED)
    compared = _compared(results)
    answers = MOST_ANSWERS // len(results)
    bar = workspace.progress.bar("comparison", len(results), "task")
    sections = []
    for number, task in enumerate(results, start=1):
        contrasts = tuple(_contrast(task, loaded, compared[loaded.directory]) for loaded in task.runs[1:])
        browsers = _browsers(task, answers, album, workspace)
        sections.append(Pairing(task.task, f"task-{number}", task.runs, contrasts, browsers))
        bar.advance()
    bar.close()
    write_whole(output, _rendered(sections))


def _browsers(task: TaskResults, answers: int, album: Album, workspace: Workspace) -> tuple[Browser, ...]:
    groups = ([loaded for loaded in task.runs if loaded.run.data == data] for data in task.data_names)
    return tuple(browser(group, answers, album, workspace, flips=True) for group in groups if len(group) > 1)


def _rendered(sections: Sequence[Pairing]) -> str:
    names = list(dict.fromkeys(label(loaded.run.model) for section in sections for loaded in section.runs))
    listed = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
    context = {
        "kind": "comparison",
        "title": listed if len(listed) < 80 and len(names) > 1 else f"{len(sections[0].runs)} runs side by side",
        "places": [(section.anchor, section.task) for section in sections],
        "baseline": ", ".join(dict.fromkeys(section.baseline.label for section in sections)),
        "tests": sum(row.p is not None for section in sections for one in section.contrasts for row in one.rows),
        "sections": sections,
    }
    return html_page("compare.html", context)


def _compared(results: Sequence[TaskResults]) -> Mapping[Path, Comparison]:
    """Return the comparison of each run with its task's baseline: one family of tests, breakdowns left out."""
    pairs: list[tuple[ScoredRun, ScoredRun]] = []
    folders: list[Path] = []
    for task in results:
        first, *others = scored_runs(task.runs)
        pairs += [(first, other) for other in others]
        folders += [loaded.directory for loaded in task.runs[1:]]
    named = [m.name for task in results for m in task.measures if not is_breakdown(m.name)]
    return dict(zip(folders, compare_all(pairs, list(dict.fromkeys(named))), strict=True))


def _contrast(task: TaskResults, loaded: LoadedRun, found: Comparison) -> Contrast:
    return Contrast(
        loaded,
        _verdict(task.runs[0].label, loaded.label, found),
        found.differences,
        found.incomparable,
        _unshared(task.runs[0].label, loaded.label, found),
    )


def _verdict(baseline: str, candidate: str, found: Comparison) -> Verdict:
    if not found.differences:
        reason = found.incomparable[0].reason if found.incomparable else "they share no estimate"
        return Verdict("apart", f"{candidate} and {baseline} cannot be compared: {reason}.")
    first = found.differences[0]
    size = f"{numbers.like(first.candidate, first.interval)} against {numbers.like(first.baseline, first.interval)}"
    unit = f" {numbers.unit_text(first.unit)}" if numbers.unit_text(first.unit) else ""
    flips = "" if first.won is None else f" Better on {first.won:,} and worse on {first.lost:,} of {first.n:,} samples."
    if first.p is None:
        return Verdict(
            "level", f"{candidate} and {baseline} cannot be tested: {first.name} {size}{unit}; {first.method}."
        )
    if first.significant() and first.better is not None:
        state, p = "better" if first.better else "worse", numbers.p_text(first.adjusted_p)
        sure = f"p {p}" if p.startswith("<") else f"p = {p}"
        return Verdict(state, f"{candidate} is {state} than {baseline}: {first.name} {size}{unit} ({sure}).{flips}")
    least = first.minimum_detectable
    found_at = "" if least is None else f" A true difference of {numbers.like(least, first.interval)}"
    power = f"{found_at} would be found four times out of five." if found_at else ""
    said = f"No difference found between {candidate} and {baseline}: {first.name} {size}{unit}."
    return Verdict("level", f"{said}{flips}{power}")


def _unshared(baseline: str, candidate: str, found: Comparison) -> str:
    alone = ((found.only_baseline, baseline), (found.only_candidate, candidate))
    told = [f"{len(names):,} samples that only {who} answered are left out" for names, who in alone if names]
    return "; ".join(told)
