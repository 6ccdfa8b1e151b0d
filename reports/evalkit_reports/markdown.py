"""One Markdown table about some runs, for a README or a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.types import Estimate
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.measures import Measure, Row, TaskResults, load_results
from evalkit_reports.wording import visible
from evalkit_reports.writing import write_whole

HEAD = ("Task", "Model", "Data", "Metric", "Value", "n", "Coverage", "Stamps", "Protocol")
_RIGHT = frozenset({"Value", "n"})
_MARKUP = re.compile(r"[\\`*\[\]<>|~&$]|(?<!\w)_|_(?!\w)")
_LINK = re.compile(r"(?<=:)//|(?<=\bwww)\.", re.IGNORECASE)
_MENTION = re.compile(r"(?<!\w)([@#])(?=\w)")
_JOINER = "\u2060"
"""Takes no room, and ends what a forge would take for a link, a mention or the number of an issue."""


def write_markdown(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the table about the runs kept in the folders `runs` to `output`.

    Raises:
        UsageError: no run was named, or the file cannot be written.
        DataError: a folder holds no run, or a damaged one.
    """
    write_whole(output, markdown(load_results(runs)))


def markdown(results: Sequence[TaskResults]) -> str:
    """Return the table, then what must be read with it: what is not comparable, what is missing, and the warnings."""
    lines = [_line(HEAD), _line([_rule(name) for name in HEAD])]
    rows = [(task, measure, row) for task in results for measure in _in_blocks(task) for row in measure.rows]
    lines += [_line(_cells(task, measure, row)) for task, measure, row in rows]
    notes = [*_intervals(results), *_apart(results), *_unavailable(results), *_warnings(results)]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def _in_blocks(task: TaskResults) -> list[Measure]:
    return [measure for block in task.blocks for measure in block.measures]


def _cells(task: TaskResults, measure: Measure, row: Row) -> list[str]:
    run, estimate = row.loaded.run, row.estimate
    number = isinstance(estimate, Estimate)
    return [
        escaped(task.task),
        escaped(row.loaded.label),
        escaped(run.data),
        _metric(measure),
        _value(estimate) if isinstance(estimate, Estimate) else "unavailable",
        numbers.count_text(estimate.n) if isinstance(estimate, Estimate) else "",
        numbers.coverage_text(run.coverage),
        escaped("; ".join(run.stamps)),
        f"`{_code(measure.short_digest)}`" if number else "",
    ]


def _metric(measure: Measure) -> str:
    unit = numbers.unit_text(measure.unit)
    named = f"{escaped(measure.name)} {numbers.arrow(measure.higher_is_better)}".strip()
    return f"{named} ({escaped(unit)})" if unit else named


def _value(estimate: Estimate) -> str:
    bounds = numbers.interval_text(estimate) or "no interval"
    return f"**{numbers.value_text(estimate)}** ({bounds})"


def _intervals(results: Sequence[TaskResults]) -> Iterator[str]:
    estimates = [estimate for task in results for measure in task.measures for _, estimate in measure.numbers]
    methods = dict.fromkeys(numbers.level_text(e.interval) for e in estimates if e.interval is not None)
    if methods:
        yield f"- Intervals in brackets: {escaped('; '.join(methods))}."


def _apart(results: Sequence[TaskResults]) -> Iterator[str]:
    for task in results:
        for block in task.blocks:
            models = ", ".join(dict.fromkeys(row.loaded.label for m in block.measures for row in m.rows))
            where = f"{escaped(models)} on {escaped(task.task)} with the rows above"
            for names, reasons in block.apart:
                listed = escaped("; ".join(reasons))
                yield f"- **Not comparable:** {escaped(', '.join(names))} of {where}; these fields differ: {listed}"


def _unavailable(results: Sequence[TaskResults]) -> Iterator[str]:
    for (task, name, text), models in _gathered(results, numbers_only=False).items():
        yield f"- **Unavailable:** {escaped(name)} of {escaped(models)} on {escaped(task)}: {escaped(text)}"


def _warnings(results: Sequence[TaskResults]) -> Iterator[str]:
    for (task, name, text), models in _gathered(results, numbers_only=True).items():
        yield f"- **Warning:** {escaped(name)} of {escaped(models)} on {escaped(task)}: {escaped(text)}"


def _gathered(results: Sequence[TaskResults], *, numbers_only: bool) -> dict[tuple[str, str, str], str]:
    """Return the models that a warning (or a reason for a missing number) is about, by task, measure and text."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for task in results:
        for measure in task.measures:
            for row in measure.rows:
                number = isinstance(row.estimate, Estimate)
                texts = row.estimate.warnings if isinstance(row.estimate, Estimate) else (row.estimate.reason,)
                for text in texts if number == numbers_only else ():
                    found.setdefault((task.task, measure.name, text), []).append(row.loaded.label)
    return {key: ", ".join(dict.fromkeys(models)) for key, models in found.items()}


def escaped(text: str) -> str:
    r"""Return `text` as one line that Markdown shows as it is: no markup, no cell, no link and no mention.

    >>> escaped("a|b\n<i>")
    'a\\|b \\<i\\>'
    """
    line = " ".join(visible(text).split())
    quiet = _MENTION.sub(rf"\1{_JOINER}", _LINK.sub(lambda match: _JOINER + match.group(), line))
    return _MARKUP.sub(r"\\\g<0>", quiet)


def _code(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "?", text)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(name: str) -> str:
    return "---:" if name in _RIGHT else "---"
