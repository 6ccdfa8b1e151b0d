"""Runs put side by side: which numbers may stand in one group, and why others may not.

A `Measure` is one named estimate under one protocol on one data set, with a row for each run that has it. Every report
is made from these, so that no report can put numbers together that do not belong together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.comparison import ScoredRun
from evalkit.comparison.scored_run import scored_run
from evalkit.errors import UsageError
from evalkit.protocols import Protocol, differences
from evalkit.results import Run, read_run, read_samples
from evalkit.types import Estimate, Unavailable
from evalkit_reports.wording import LONGEST_NAME, shortened

DIGEST_SHOWN = 10
"""Hexadecimal digits of a digest that a report shows."""

BREAKDOWN = re.compile(r"(?P<measure>[^\[\]]+)\[(?P<kind>[^=\[\]]+)=(?P<value>.*)\]", re.DOTALL)
"""Name of the estimate of a measure on the samples of one stratum."""

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run with the folder that it was read from and the name that a report gives it, unique within its task."""

    directory: Path
    run: Run
    label: str


@dataclass(frozen=True, slots=True)
class Row:
    """What one run says of a measure."""

    loaded: LoadedRun
    estimate: Estimate | Unavailable


@dataclass(frozen=True, slots=True)
class Measure:
    """One named estimate under one protocol on one data set.

    `protocol` is None where the run's file does not hold the protocol of `digest`; `digest` is empty where no run has a
    number. `apart` says why the rows cannot be compared with those of the measures of the same name before it.
    """

    name: str
    data: str
    digest: str
    protocol: Protocol | None
    rows: tuple[Row, ...]
    apart: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[tuple[LoadedRun, Estimate], ...]:
        """The rows that hold a number."""
        return tuple((row.loaded, row.estimate) for row in self.rows if isinstance(row.estimate, Estimate))

    @property
    def unit(self) -> str:
        """Unit of the numbers; empty where there is none."""
        return next((estimate.unit for _, estimate in self.numbers), "")

    @property
    def higher_is_better(self) -> bool | None:
        """Which way is better, as the first number says."""
        return next((estimate.higher_is_better for _, estimate in self.numbers), None)

    @property
    def short_digest(self) -> str:
        """The first digits of the protocol's digest, as shown."""
        return self.digest[:DIGEST_SHOWN]


@dataclass(frozen=True, slots=True)
class Block:
    """Measures that the same runs have, so that one table shows each of these runs in every one of them.

    `apart` says why its rows cannot be compared with those of the blocks before it: the names of measures, and the
    fields that differ for all of them.
    """

    measures: tuple[Measure, ...]

    @property
    def has_numbers(self) -> bool:
        """Whether there is a number in it, and not only reasons for missing ones."""
        return any(measure.numbers for measure in self.measures)

    @property
    def apart(self) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
        """Pairs of measure names and of reasons; empty where nothing stands against a comparison."""
        names: dict[tuple[str, ...], list[str]] = {}
        for measure in self.measures:
            if measure.apart:
                names.setdefault(measure.apart, []).append(measure.name)
        return tuple((tuple(listed), reasons) for reasons, listed in names.items())


@dataclass(frozen=True, slots=True)
class TaskResults:
    """All runs of one task and their measures, in the order of the runs' estimates."""

    task: str
    runs: tuple[LoadedRun, ...]
    measures: tuple[Measure, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The measures by which runs have a number for them, in the order of the first such run.

        So of two measures of one name the one that says why it stands apart always comes later. What no run has a
        number for comes last. Breakdowns by stratum are left out.
        """
        order = {loaded.label: position for position, loaded in enumerate(self.runs)}
        members: dict[frozenset[int], list[Measure]] = {}
        for measure in self.measures:
            if is_breakdown(measure.name):
                continue
            numbered = {order[loaded.label] for loaded, _ in measure.numbers}
            runs = numbered or {order[row.loaded.label] for row in measure.rows}
            members.setdefault(frozenset(runs), []).append(measure)
        blocks = {runs: Block(tuple(measures)) for runs, measures in members.items()}
        return tuple(
            blocks[runs] for runs in sorted(blocks, key=lambda runs: (not blocks[runs].has_numbers, min(runs)))
        )

    @property
    def protocols(self) -> dict[str, Protocol]:
        """Every protocol of the runs, by digest."""
        return {digest: found for loaded in self.runs for digest, found in loaded.run.protocols.items()}

    @property
    def data_names(self) -> tuple[str, ...]:
        """The data sets that the runs were made on."""
        return tuple(dict.fromkeys(loaded.run.data for loaded in self.runs))


def is_breakdown(name: str) -> bool:
    """Return whether an estimate is that of a stratum: `accuracy[question_type=how many]`.

    >>> is_breakdown("accuracy[answer_type=other]"), is_breakdown("accuracy")
    (True, False)
    """
    return BREAKDOWN.fullmatch(name) is not None


def load_results(directories: Sequence[Path]) -> tuple[TaskResults, ...]:
    """Return the runs kept in `directories` by task, all in the order given; a folder named twice counts once.

    Raises:
        UsageError: no folder was given.
        DataError: a folder holds no run, or a damaged one.
    """
    if not directories:
        raise UsageError("there is no run to report on; name the folders that `evalkit run` printed")
    by_task: dict[str, list[tuple[Path, Run]]] = {}
    for directory in dict.fromkeys(path.resolve() for path in directories):
        run = read_run(directory)
        by_task.setdefault(run.task, []).append((directory, run))
    return tuple(_task_results(task, _labelled(found)) for task, found in by_task.items())


def scored_runs(runs: Sequence[LoadedRun]) -> list[ScoredRun]:
    """Return runs with the scores of their samples.

    Raises:
        DataError: a run's samples are missing or damaged.
    """
    return [scored_run(loaded.label, loaded.run, read_samples(loaded.directory)) for loaded in runs]


def _labelled(found: Sequence[tuple[Path, Run]]) -> tuple[LoadedRun, ...]:
    folders: dict[str, list[Path]] = {}
    for directory, run in found:
        folders.setdefault(shortened(run.model, LONGEST_NAME), []).append(directory)
    labelled = []
    for directory, run in found:
        name = shortened(run.model, LONGEST_NAME)
        same = folders[name]
        label = name if len(same) == 1 else f"{name} ({_told_apart(directory, same)})"
        labelled.append(LoadedRun(directory, run, label))
    return tuple(labelled)


def _told_apart(directory: Path, among: Sequence[Path]) -> str:
    """Return what of the name of `directory`, or else of its path, the others do not begin with; words stay whole."""
    names = [path.name for path in among]
    if len(set(names)) == len(names):
        own = directory.name
    else:
        own, names = str(directory), [str(path) for path in among]
    shared = next((i for i, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), 0)
    return own[max(own.rfind(separator, 0, shared) for separator in "/\\-_.") + 1 :]


def _task_results(task: str, runs: tuple[LoadedRun, ...]) -> TaskResults:
    names = dict.fromkeys(name for loaded in runs for name in loaded.run.estimates)
    measures = tuple(measure for name in names for measure in _measures(name, runs))
    return TaskResults(task, runs, measures)


def _measures(name: str, runs: Sequence[LoadedRun]) -> list[Measure]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for loaded in runs:
        estimate = loaded.run.estimates.get(name)
        if isinstance(estimate, Estimate):
            groups.setdefault((loaded.run.data, estimate.protocol), []).append(Row(loaded, estimate))
    for loaded in runs:
        estimate = loaded.run.estimates.get(name)
        if isinstance(estimate, Unavailable):
            # a reason is no number: it may stand with any group of its name and data
            near = next((key for key in groups if key[0] == loaded.run.data), (loaded.run.data, ""))
            groups.setdefault(near, []).append(Row(loaded, estimate))
    made: list[Measure] = []
    for (data, digest), rows in groups.items():
        alone = Measure(name, data, digest, _protocol(rows, digest), tuple(rows))
        made.append(replace(alone, apart=_apart(made, alone)))
    return made


def _apart(before: Sequence[Measure], measure: Measure) -> tuple[str, ...]:
    """Return why `measure` stands apart from those before it, a field each: `n_generated: 24, 48 against 197`."""
    fields: dict[tuple[str, str], dict[str, None]] = {}
    for other in before:
        for field, theirs, own in differences_between(other, measure):
            fields.setdefault((field, own), {})[theirs] = None
    return tuple(f"{field}: {', '.join(theirs)} against {own}" for (field, own), theirs in fields.items())


def _protocol(rows: Sequence[Row], digest: str) -> Protocol | None:
    return next((row.loaded.run.protocols[digest] for row in rows if digest in row.loaded.run.protocols), None)


def differences_between(a: Measure, b: Measure) -> list[tuple[str, str, str]]:
    """Return the fields that keep the numbers of `a` and `b` apart, with both values.

    Empty where they may be compared, and where one side has no number.
    """
    if not a.numbers or not b.numbers:
        return []
    found = [] if a.data == b.data else [("data", a.data, b.data)]
    if a.protocol is not None and b.protocol is not None:
        fields = differences(a.protocol, b.protocol)
        found += [(field, _scalar(x), _scalar(y)) for field, (x, y) in fields.items()]
    if a.digest != b.digest and not found:
        found.append(("protocol, whose fields the run files do not hold", a.short_digest, b.short_digest))
    return found


def _scalar(value: str | int | float | bool | None) -> str:
    if value is None:
        return "not set"
    text = str(value)
    return f"{text[:DIGEST_SHOWN]}…" if _DIGEST.fullmatch(text) else text
