"""Runs in a ranking: one board for each task, data set and protocol, with tiers of runs that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.comparison import rank_tiers
from evalkit.errors import NotComparable, UsageError
from evalkit.protocols import Protocol
from evalkit.types import Estimate
from evalkit_reports.measures import LoadedRun, Measure, TaskResults, is_breakdown, scored_runs
from evalkit_reports.published import PublishedRow, published_for


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A run with its number for each column; None where it has none under the column's protocol.

    `tier` is None for a run that is not ranked, and `unranked` then says why. `ranks` are the best and worst place
    that the run may truly have.
    """

    loaded: LoadedRun
    cells: tuple[Estimate | None, ...]
    tier: int | None
    ranks: tuple[int, int] | None
    unranked: str


@dataclass(frozen=True, slots=True)
class Board:
    """The runs of one task on one data set whose headline stands under one protocol.

    `columns` are measures, the first being the headline that ranks. `rows` are in order: tiers, then what is not
    ranked. `comparable` are published rows that may be ranked with these, `published` the others.
    """

    task: str
    data: str
    columns: tuple[Measure, ...]
    rows: tuple[BoardRow, ...]
    published: tuple[PublishedRow, ...]
    comparable: tuple[PublishedRow, ...]

    @property
    def headline(self) -> Measure:
        """The measure that the ranking goes by."""
        return self.columns[0]

    @property
    def protocol(self) -> Protocol | None:
        """The headline's protocol."""
        return self.headline.protocol


def boards(results: Sequence[TaskResults]) -> tuple[Board, ...]:
    """Return the boards of all tasks; a task whose runs stand under two protocols, or on two data sets, has two.

    Raises:
        DataError: a run's samples are missing or damaged.
    """
    return tuple(board for task in results for board in _boards(task))


def _boards(task: TaskResults) -> list[Board]:
    names = [measure.name for measure in task.measures if measure.numbers and not is_breakdown(measure.name)]
    if not names:
        return []
    headlines = [measure for measure in task.measures if measure.name == names[0] and measure.numbers]
    return [_board(task, headline, list(dict.fromkeys(names))) for headline in headlines]


def _board(task: TaskResults, headline: Measure, names: Sequence[str]) -> Board:
    runs = [loaded for loaded, _ in headline.numbers]
    columns = [headline]
    for name in names[1:]:
        among = [m for m in task.measures if m.name == name and m.data == headline.data and _common(m, runs)]
        columns += sorted(among, key=lambda measure: -len(_common(measure, runs)))[:1]
    published = published_for(task.task)
    comparable = tuple(row for row in published if row.compares_with(headline.protocol))
    apart = tuple(row for row in published if row not in comparable)
    return Board(task.task, headline.data, tuple(columns), _ranked(headline, runs, columns), apart, comparable)


def _common(measure: Measure, runs: Sequence[LoadedRun]) -> list[LoadedRun]:
    return [loaded for loaded, _ in measure.numbers if loaded in runs]


def _ranked(headline: Measure, runs: Sequence[LoadedRun], columns: Sequence[Measure]) -> tuple[BoardRow, ...]:
    reasons = {loaded.label: _unranked(loaded, headline) for loaded in runs}
    scored = scored_runs([loaded for loaded in runs if not reasons[loaded.label]])
    try:
        tiers = {one.run.label: one.standing for one in rank_tiers(scored, headline.name)} if scored else {}
    except (NotComparable, UsageError) as error:
        tiers, reasons = {}, {name: reason or str(error) for name, reason in reasons.items()}
    rows = []
    for loaded in runs:
        standing = tiers.get(loaded.label)
        ranks = None if standing is None else (standing.best_rank, standing.worst_rank)
        tier = None if standing is None else standing.tier
        cells = tuple(dict(_by_label(column)).get(loaded.label) for column in columns)
        rows.append(BoardRow(loaded, cells, tier, ranks, reasons[loaded.label]))
    return tuple(sorted(rows, key=lambda row: (row.tier is None, row.tier or 0, _worth(row, headline))))


def _unranked(loaded: LoadedRun, headline: Measure) -> str:
    """Return why a run is not ranked; empty where it is."""
    if headline.higher_is_better is None:
        return f"neither direction of {headline.name} is better"
    if loaded.run.stamps:
        return "; ".join(loaded.run.stamps)
    covered = loaded.run.coverage
    return "" if covered.answered == covered.asked else f"{covered.answered:,} of {covered.asked:,} answered"


def _by_label(measure: Measure) -> list[tuple[str, Estimate]]:
    return [(loaded.label, estimate) for loaded, estimate in measure.numbers]


def _worth(row: BoardRow, headline: Measure) -> float:
    value = row.cells[0].value if row.cells[0] is not None else 0.0
    return -value if headline.higher_is_better else value
