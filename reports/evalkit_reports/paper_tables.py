"""The tables of CM3Leon's paper, as published, with rows for one's own runs: a template that runs fill.

Source: Yu 2023, arXiv:2309.02591, tables 1 and 2. An own number stands in a column only if it is of the column's task;
it carries its n, data and stamps, for the paper's protocol is not known in every field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.types import Estimate
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.grids import Grid, GridCell, GridRow, Record, Tables, number_cell, published_cells
from evalkit_reports.leaderboard import write_tables
from evalkit_reports.measures import LoadedRun, TaskResults, load_results
from evalkit_reports.published import CM3LEON


@dataclass(frozen=True, slots=True)
class PaperColumn:
    """A column of a paper's table. `task` and `measure` fill it, times `scale`; empty for what no task measures."""

    title: str
    task: str
    measure: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table of a paper: columns of words, columns of numbers, and its rows as published."""

    title: str
    caption: str
    words: tuple[str, ...]
    columns: tuple[PaperColumn, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[float | None, ...]], ...]


ZERO_SHOT_FID = PaperTable(
    "Zero-shot MS-COCO FID (table 1)",
    "30,000 captions of val2014, pytorch-fid; CM3Leon picks the best of 8 by CLIP. Lower is better.",
    ("Model", "Size", "Training data", "Retrieved documents"),
    (PaperColumn("FID ↓", "coco_fid", "fid"),),
    (
        (("RA-CM3", "2.7B", "150M", "2"), (15.70,)),
        (("Stable Diffusion", "800M", "400M", "0"), (12.60,)),
        (("KNN-Diffusion", "400M", "70M", "10"), (12.50,)),
        (("MUSE", "3B", "500M", "0"), (7.88,)),
        (("PARTI", "20B", "5B", "0"), (7.23,)),
        (("Re-Imagen", "3.6B", "450M", "2"), (5.25,)),
        (("CM3Leon-7B", "7B", "340M", "0"), (10.82,)),
        (("CM3Leon-7B", "7B", "340M", "1"), (5.78,)),
        (("CM3Leon-350M", "350M", "340M", "2"), (14.20,)),
        (("CM3Leon-760M", "760M", "340M", "2"), (6.61,)),
        (("CM3Leon-7B", "7B", "340M", "2"), (4.88,)),
    ),
)
LANGUAGE = PaperTable(
    "Captioning and visual question answering (table 2)",
    "Zero-shot. CIDEr x 100 and VQA accuracy in percent; higher is better.",
    ("Model",),
    (
        PaperColumn("MS-COCO CIDEr, test", "coco_caption", "cider", 100.0),
        PaperColumn("VQA2, test-dev", "vqav2", "vqa_accuracy"),
        PaperColumn("VizWiz, test-dev", "vizwiz", "vqa_accuracy"),
        PaperColumn("OKVQA, val", "okvqa", "vqa_accuracy"),
        PaperColumn("Image Paragraph CIDEr, test", "", ""),
        PaperColumn("VisDial NDCG, val", "", ""),
    ),
    (
        (("OpenFlamingo-9B",), (65.5, 43.5, None, None, None, None)),
        (("Flamingo-9B",), (79.4, 51.8, 28.8, 44.7, None, 48.4)),
        (("SFT-CM3Leon-7B",), (61.6, 47.6, 37.6, 23.8, 10.5, 22.6)),
    ),
)


def write_cm3leon_tables(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the tables of CM3Leon's paper with the runs kept in the folders `runs` filled in.

    Raises:
        UsageError: no run was named, or the file cannot be written.
        DataError: a folder holds no run, or a damaged one.
    """
    results = load_results(runs)
    filled = [_filled(table, results) for table in (ZERO_SHOT_FID, LANGUAGE)]
    records = tuple(record for _, found in filled for record in found)
    write_tables(Tables("Tables of CM3Leon's paper", tuple(grid for grid, _ in filled), records), output)


def _filled(table: PaperTable, results: Sequence[TaskResults]) -> tuple[Grid, list[Record]]:
    own = _own(table, results)
    head = (*map(GridCell, table.words), *(GridCell(column.title, number=True) for column in table.columns))
    by_column = [published_cells(values) for values in zip(*(values for _, values in table.rows), strict=True)]
    published = [
        GridRow((GridCell(words[0], name=True), *map(GridCell, words[1:]), *cells), "published")
        for (words, _), cells in zip(table.rows, zip(*by_column, strict=True), strict=True)
    ]
    blank = tuple(GridCell("") for _ in table.words[1:])
    rows = [
        GridRow(
            (GridCell(model, name=True), *blank, *(_own_cell(found.get(column), column) for column in table.columns)),
            "unranked",
        )
        for model, found in own.items()
    ]
    caption = f"{table.caption} Rows of the paper as published ({CM3LEON}); rows below the line are own runs."
    grid = Grid(table.title, caption, head, (*published, *rows), tuple(_notes(table, own)))
    return grid, _records(table, own)


def _own(table: PaperTable, results: Sequence[TaskResults]) -> Mapping[str, Mapping[PaperColumn, LoadedRun]]:
    """Return the runs that fill columns, by model; where a model has several of a task, each has a row."""
    found: dict[str, dict[PaperColumn, LoadedRun]] = {}
    for column in table.columns:
        for task in results:
            if column.task and task.task.partition("@")[0] == column.task:
                for loaded in task.runs:
                    if isinstance(loaded.run.estimates.get(column.measure), Estimate):
                        found.setdefault(loaded.label, {})[column] = loaded
    return found


def _own_cell(loaded: LoadedRun | None, column: PaperColumn) -> GridCell:
    estimate = None if loaded is None else loaded.run.estimates.get(column.measure)
    return number_cell(estimate if isinstance(estimate, Estimate) else None, column.scale)


def _notes(table: PaperTable, own: Mapping[str, Mapping[PaperColumn, LoadedRun]]) -> list[str]:
    notes = []
    for model, found in own.items():
        for column, loaded in found.items():
            run, estimate = loaded.run, loaded.run.estimates[column.measure]
            if isinstance(estimate, Estimate):
                stamps = f", {'; '.join(run.stamps)}" if run.stamps else ""
                rule = run.protocols.get(estimate.protocol)
                under = f", protocol {rule.name} {estimate.protocol[:10]}" if rule is not None else ""
                notes.append(
                    f"{model}, {column.title}: {run.data}, n = {numbers.count_text(estimate.n)}{under}{stamps}"
                )
    wanted = list(dict.fromkeys(c.task for c in table.columns if c.task and not any(c in f for f in own.values())))
    if wanted:
        notes.append(f"To fill what is empty: evalkit run {','.join(wanted)} -m MODEL")
    return notes


def _records(table: PaperTable, own: Mapping[str, Mapping[PaperColumn, LoadedRun]]) -> list[Record]:
    found = [
        Record(table.title, column.task, "", words[0], column.title, value, published_in=CM3LEON, setup=table.caption)
        for words, values in table.rows
        for column, value in zip(table.columns, values, strict=True)
        if value is not None
    ]
    for model, cells in own.items():
        for column, loaded in cells.items():
            estimate = loaded.run.estimates[column.measure]
            if isinstance(estimate, Estimate):
                found.append(
                    Record(
                        table.title,
                        column.task,
                        loaded.run.data,
                        model,
                        column.title,
                        estimate.value * column.scale,
                        n=estimate.n,
                        protocol_digest=estimate.protocol,
                        run=str(loaded.directory),
                        unranked="; ".join(loaded.run.stamps),
                    )
                )
    return found
