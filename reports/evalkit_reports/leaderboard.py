"""The leaderboard: runs ranked in tiers, a board for each protocol, and what papers publish shown apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evalkit.types import Estimate
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.board import Board, BoardRow, boards
from evalkit_reports.grids import (
    Grid,
    GridCell,
    GridRow,
    Record,
    Tables,
    csv_text,
    json_text,
    latex_text,
    markdown_text,
    number_cell,
    published_cells,
    short,
)
from evalkit_reports.html_page import html_page
from evalkit_reports.measures import Measure, load_results
from evalkit_reports.published import PublishedRow
from evalkit_reports.writing import write_whole

ALPHA = 0.05
"""Runs whose headlines differ with a Holm-adjusted p below this stand in different tiers."""


def write_leaderboard(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the leaderboard of the runs kept in the folders `runs` to `output`, in the form that its ending names.

    Raises:
        UsageError: no run was named, or the file cannot be written.
        DataError: a folder holds no run, or a damaged one.
    """
    write_tables(leaderboard(boards(load_results(runs))), output)


def write_tables(tables: Tables, output: Path) -> None:
    """Write tables in the form that the ending of `output` names.

    Raises:
        UsageError: the file cannot be written.
    """
    write_whole(output, FORMS[output.suffix](tables))


def html_text(tables: Tables) -> str:
    """Return tables as a self-contained page."""
    anchored = [(f"table-{number}", grid) for number, grid in enumerate(tables.grids, start=1)]
    context = {
        "kind": "leaderboard",
        "title": tables.title,
        "places": [(anchor, grid.title) for anchor, grid in anchored if grid.level == 2],
        "grids": anchored,
    }
    return html_page("leaderboard.html", context)


FORMS: Mapping[str, Callable[[Tables], str]] = {
    ".html": html_text,
    ".md": markdown_text,
    ".csv": csv_text,
    ".tex": latex_text,
    ".json": json_text,
}


def leaderboard(found: Sequence[Board]) -> Tables:
    """Return boards as tables: each with its runs, and below it what papers say of the same task."""
    grids: list[Grid] = []
    for board in found:
        grids.append(_board_grid(board))
        told = [row for row in board.published if any(measure.name in row.values for measure in board.columns)]
        if told:
            grids.append(_published_grid(board, told))
    return Tables("Leaderboard", tuple(grids), tuple(record for board in found for record in _records(board)))


def _title(board: Board) -> str:
    return f"{board.task} on {board.data}"


def _board_grid(board: Board) -> Grid:
    head = (
        GridCell("Tier"),
        GridCell("Model"),
        GridCell("Place"),
        GridCell("n"),
        *(_column_head(measure) for measure in board.columns),
    )
    rows = [_row(row) for row in board.rows]
    rows += [
        GridRow(
            (GridCell("published"), GridCell(row.system, name=True), GridCell(row.source), GridCell(""), *values),
            "published",
        )
        for row, values in zip(board.comparable, _published_values(board.comparable, board.columns), strict=True)
    ]
    return Grid(_title(board), _caption(board), head, tuple(rows), tuple(_board_notes(board)))


def _column_head(measure: Measure) -> GridCell:
    return GridCell(
        f"{short(measure.name)} {numbers.arrow(measure.higher_is_better)}".strip(),
        numbers.unit_text(measure.unit),
        number=True,
    )


def _caption(board: Board) -> str:
    name = board.protocol.name if board.protocol is not None else "unknown"
    return (
        f"Ranked by {board.headline.name} ({numbers.direction_text(board.headline.higher_is_better)}) under protocol "
        f"{name} {board.headline.short_digest}. Runs of one tier cannot be told apart from the best of it (paired "
        f"test, p < {ALPHA} after Holm's correction). Below each value: its interval."
    )


def _row(row: BoardRow) -> GridRow:
    n = row.cells[0].n if row.cells[0] is not None else 0
    ranked = row.tier is not None
    return GridRow(
        (
            GridCell(str(row.tier) if ranked else "none"),
            GridCell(row.loaded.label, name=True),
            GridCell(_rank_text(row) if ranked else f"not ranked: {row.unranked}"),
            GridCell(numbers.count_text(n)),
            *(number_cell(estimate) for estimate in row.cells),
        ),
        "ranked" if ranked else "unranked",
    )


def _rank_text(row: BoardRow) -> str:
    if row.ranks is None:
        return ""
    best, worst = row.ranks
    return str(best) if best == worst else f"{best} to {worst}"


def _published_values(rows: Sequence[PublishedRow], columns: Sequence[Measure]) -> list[tuple[GridCell, ...]]:
    """Return the values of each row in each column."""
    by_column = [published_cells([row.values.get(measure.name) for row in rows]) for measure in columns]
    return list(zip(*by_column, strict=True))


def _published_grid(board: Board, rows: Sequence[PublishedRow]) -> Grid:
    """Return the published `rows` in those of the board's columns that they have numbers for, of which there is one."""
    columns = [measure for measure in board.columns if any(measure.name in row.values for row in rows)]
    head = (
        GridCell("System"),
        *(GridCell(short(measure.name), number=True) for measure in columns),
        GridCell("Set-up"),
        GridCell("Published in"),
    )
    made = tuple(
        GridRow((GridCell(row.system, name=True), *values, GridCell(row.setup), GridCell(row.source)), "published")
        for row, values in zip(rows, _published_values(rows, columns), strict=True)
    )
    caption = (
        "As published, in the papers' own scale. Not measured here, and not ranked with the runs above: what these "
        "papers say of their protocol does not match it in every field."
    )
    differing = dict.fromkeys(difference for row in rows for difference in row.differences(board.protocol))
    notes = tuple(f"Known to differ from the runs above: {difference}" for difference in differing)
    return Grid(f"{_title(board)}: published", caption, head, made, notes, level=3)


def _board_notes(board: Board) -> list[str]:
    warnings: dict[str, list[str]] = {}
    for row in board.rows:
        for text in row.cells[0].warnings if row.cells[0] is not None else ():
            warnings.setdefault(text, []).append(row.loaded.label)
    found = [f"{board.headline.name} of {', '.join(models)}: {text}" for text, models in warnings.items()]
    return [*found, *(f"Not in one table with the rows above: {reason}" for reason in board.headline.apart)]


def _records(board: Board) -> list[Record]:
    found = [
        _record(board, row, measure, estimate)
        for row in board.rows
        for measure, estimate in zip(board.columns, row.cells, strict=True)
        if estimate is not None
    ]
    published = [
        (row, name, value) for row in (*board.comparable, *board.published) for name, value in row.values.items()
    ]
    return found + [
        Record(
            _title(board), board.task, board.data, row.system, name, value, published_in=row.source, setup=row.setup,
            unranked="" if row in board.comparable else "as published, another protocol",
        )
        for row, name, value in published
    ]  # fmt: skip


def _record(board: Board, row: BoardRow, measure: Measure, estimate: Estimate) -> Record:
    bounds, headline = estimate.interval, measure is board.headline
    return Record(
        table=_title(board),
        task=board.task,
        data=board.data,
        model=row.loaded.label,
        measure=measure.name,
        value=estimate.value,
        low=None if bounds is None else bounds.low,
        high=None if bounds is None else bounds.high,
        level=None if bounds is None else bounds.level,
        n=estimate.n,
        unit=estimate.unit,
        higher_is_better=estimate.higher_is_better,
        tier=row.tier if headline else None,
        best_rank=row.ranks[0] if headline and row.ranks else None,
        worst_rank=row.ranks[1] if headline and row.ranks else None,
        unranked=row.unranked if headline else "",
        protocol=measure.protocol.name if measure.protocol is not None else "",
        protocol_digest=estimate.protocol,
        run=str(row.loaded.directory),
    )
