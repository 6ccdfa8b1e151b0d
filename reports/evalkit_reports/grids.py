"""Tables as values: what a leaderboard says, before it becomes HTML, Markdown, LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeAlias

from evalkit.types import Estimate, JsonScalar
from evalkit_reports import numbers
from evalkit_reports.markdown import escaped
from evalkit_reports.wording import label, visible

MOST_COLUMNS = 7
"""Columns of numbers in Markdown and LaTeX, which cannot scroll."""

RowKind: TypeAlias = Literal["ranked", "unranked", "published"]


@dataclass(frozen=True, slots=True)
class GridCell:
    """A text, and what stands smaller beside it. `number` is of a column of numbers, `name` names the row."""

    text: str
    small: str = ""
    number: bool = False
    name: bool = False


@dataclass(frozen=True, slots=True)
class GridRow:
    """Cells in the order of the grid's head."""

    cells: tuple[GridCell, ...]
    kind: RowKind = "ranked"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with what must be read with it.

    `level` is 2 for one that stands for itself, 3 for one that belongs to the one before it. `more` counts the columns
    of numbers that were left out.
    """

    title: str
    caption: str
    head: tuple[GridCell, ...]
    rows: tuple[GridRow, ...]
    notes: tuple[str, ...] = ()
    level: int = 2
    more: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One number of a leaderboard, for CSV and JSON; what does not apply is empty."""

    table: str
    task: str
    data: str
    model: str
    measure: str
    value: float | None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int | None = None
    unit: str = ""
    higher_is_better: bool | None = None
    tier: int | None = None
    best_rank: int | None = None
    worst_rank: int | None = None
    unranked: str = ""
    protocol: str = ""
    protocol_digest: str = ""
    run: str = ""
    published_in: str = ""
    setup: str = ""


@dataclass(frozen=True, slots=True)
class Tables:
    """Grids for people, and the same numbers as records."""

    title: str
    grids: tuple[Grid, ...]
    records: tuple[Record, ...]


def number_cell(estimate: Estimate | None, scale: float = 1.0) -> GridCell:
    """Return a number with its interval; empty where there is none."""
    if estimate is None:
        return GridCell("", number=True)
    if scale != 1:
        bounds = estimate.interval
        scaled = None if bounds is None else replace(bounds, low=bounds.low * scale, high=bounds.high * scale)
        estimate = replace(estimate, value=estimate.value * scale, interval=scaled)
    return GridCell(numbers.value_text(estimate), numbers.interval_text(estimate), number=True)


def published_cells(values: Sequence[float | None]) -> list[GridCell]:
    """Return a column of published numbers, all with the decimals of the one that has most."""
    decimals = max((len(f"{value:g}".partition(".")[2]) for value in values if value is not None), default=0)
    return [GridCell("" if value is None else f"{value:.{decimals}f}", number=True) for value in values]


def narrowed(grid: Grid) -> Grid:
    """Return the grid with at most `MOST_COLUMNS` columns of numbers."""
    places = [i for i, cell in enumerate(grid.head) if cell.number]
    dropped = frozenset(places[MOST_COLUMNS:])
    if not dropped:
        return grid

    def kept(cells: Sequence[GridCell]) -> tuple[GridCell, ...]:
        return tuple(cell for i, cell in enumerate(cells) if i not in dropped)

    rows = tuple(replace(row, cells=kept(row.cells)) for row in grid.rows)
    return replace(grid, head=kept(grid.head), rows=rows, more=len(dropped))


def _notes(grid: Grid) -> list[str]:
    left_out = f"{grid.more} more measures stand in the HTML, CSV and JSON forms."
    return [*grid.notes, *([left_out] if grid.more else [])]


def markdown_text(tables: Tables) -> str:
    """Return the tables as Markdown."""
    lines = [f"# {escaped(tables.title)}"]
    for grid in map(narrowed, tables.grids):
        lines += ["", f"{'#' * grid.level} {escaped(grid.title)}", "", escaped(grid.caption), ""]
        lines.append(_markdown_line([escaped(f"{cell.text} {cell.small}".strip()) for cell in grid.head]))
        lines.append(_markdown_line(["---:" if cell.number else "---" for cell in grid.head]))
        lines += [_markdown_line([_markdown_cell(cell) for cell in row.cells]) for row in grid.rows]
        lines += ["", *(f"- {escaped(note)}" for note in _notes(grid))] if _notes(grid) else []
    return "\n".join(lines) + "\n"


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: GridCell) -> str:
    small = f" ({escaped(cell.small)})" if cell.small else ""
    return f"{escaped(cell.text)}{small}"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "−": r"$-$",
    "∞": r"$\infty$", "×": r"$\times$", "✓": r"\checkmark{}",
}  # fmt: skip


def latex(text: str) -> str:
    r"""Return `text` as one line that LaTeX typesets as it is.

    >>> latex("50 % of a_b")
    '50 \\% of a\\_b'
    """
    line = " ".join(visible(text).split())
    return re.sub(r"[\\&%$#_{}~^<>|\"↑↓−∞×✓]", lambda found: _LATEX[found.group()], line)


def latex_text(tables: Tables) -> str:
    """Return the tables as LaTeX, to be put into a document that uses the package booktabs."""
    return "\n".join(_latex_table(grid) for grid in map(narrowed, tables.grids))


def _latex_table(grid: Grid) -> str:
    shape = "".join("r" if cell.number else "l" for cell in grid.head)
    head = " & ".join(latex(f"{cell.text} {cell.small}".strip()) for cell in grid.head)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex(grid.title)}. {latex(grid.caption)}}}"]
    lines += [rf"\begin{{tabular}}{{{shape}}}", r"\toprule", rf"{head} \\"]
    before: str | None = None
    for row in grid.rows:
        if row.kind != before:
            lines.append(r"\midrule")
        before = row.kind
        lines.append(" & ".join(_latex_cell(cell) for cell in row.cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {latex(note)}" for note in _notes(grid)]
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_cell(cell: GridCell) -> str:
    small = rf" {{\scriptsize {latex(cell.small)}}}" if cell.small else ""
    return f"{latex(cell.text)}{small}"


def csv_text(tables: Tables) -> str:
    """Return the records as CSV with a head."""
    return csv_of([asdict(record) for record in tables.records], list(Record.__dataclass_fields__))


def csv_of(rows: Sequence[Mapping[str, JsonScalar]], names: Sequence[str]) -> str:
    """Return rows as CSV; a text that a spreadsheet would run as a formula is quoted with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_inert(name) for name in names])
    writer.writerows([[_inert(row.get(name)) for name in names] for row in rows])
    return out.getvalue()


def _inert(value: JsonScalar) -> JsonScalar:
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def json_text(tables: Tables) -> str:
    """Return the records as JSON, with what must be read with each table."""
    described = [{"title": grid.title, "caption": grid.caption, "notes": list(grid.notes)} for grid in tables.grids]
    document = {"title": tables.title, "tables": described, "records": [asdict(record) for record in tables.records]}
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def short(text: str) -> str:
    """Return a name for a table's head or cell."""
    return label(text, 60)
