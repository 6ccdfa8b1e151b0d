"""The first look at several tasks: each task's headline estimate for each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit_reports.measures import Measure, Row, TaskResults


@dataclass(frozen=True, slots=True)
class Column:
    """The headline of a task: one measure, so one protocol and one data set."""

    task: str
    measure: Measure


@dataclass(frozen=True, slots=True)
class Overview:
    """Models by headlines; a cell is None where a model has no run there."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[Row | None, ...]], ...]


def overview(results: Sequence[TaskResults]) -> Overview | None:
    """Return the overview of several tasks; None for a single one, whose own table says it all.

    A task's headline is the estimate that its runs name first; under several protocols it has a column for each.
    """
    if len(results) < 2:
        return None
    columns = tuple(Column(task.task, measure) for task in results for measure in _headline(task))
    models = dict.fromkeys(loaded.label for task in results for loaded in task.runs)
    rows = tuple((model, tuple(_cell(column.measure, model) for column in columns)) for model in models)
    return Overview(columns, rows)


def _headline(task: TaskResults) -> list[Measure]:
    return [measure for measure in task.measures if measure.name == task.measures[0].name]


def _cell(measure: Measure, model: str) -> Row | None:
    return next((row for row in measure.rows if row.loaded.label == model), None)
