"""Which samples a page shows when there are more than it can hold: the telling ones, the same at every build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evalkit.errors import DataError
from evalkit.results import SampleRecord, read_samples
from evalkit_reports.measures import LoadedRun

GOLDEN = 0.6180339887498949
"""Fractional parts of its multiples are evenly spread, however many are taken (Weyl)."""


@dataclass(slots=True)
class Entry:
    """What selection must know of one sample: its place in the data, whether a run failed on it, its scores."""

    position: int
    failed: bool = False
    scores: dict[str, float] = field(default_factory=dict)
    """By run and score: `0:accuracy` is the first run's accuracy."""


def index(runs: Sequence[LoadedRun]) -> dict[str, Entry]:
    """Return an entry for each sample id of `runs`, in the order of the first run that has it.

    Raises:
        DataError: a run's samples are missing or damaged, or one id stands twice in a run.
    """
    entries: dict[str, Entry] = {}
    for number, loaded in enumerate(runs):
        seen: set[str] = set()
        for record in read_samples(loaded.directory):
            if record.id in seen:
                raise DataError(f"{loaded.directory} holds sample {record.id!r} twice; run the task again")
            seen.add(record.id)
            entry = entries.setdefault(record.id, Entry(len(entries)))
            entry.failed |= record.failure is not None
            entry.scores.update({f"{number}:{name}": record.scores[name] for name in told(loaded, record)})
    return entries


def told(loaded: LoadedRun, record: SampleRecord) -> list[str]:
    """Return the scores of a record that a reader is told: those behind an estimate, or all where none is.

    Other columns are kept for computing (`fid_influence`, `bleu_length`).
    """
    named = [name for name in record.scores if name in loaded.run.estimates]
    return named or [name for name in record.scores if not name.endswith("_influence")]


def gap(entry: Entry, score: str) -> float | None:
    """Return how far the runs' scores of one sample lie apart; None where fewer than two have it."""
    values = [value for column, value in entry.scores.items() if column.partition(":")[2] == score]
    return max(values) - min(values) if len(values) > 1 else None


def chosen(entries: Mapping[str, Entry], places: int, flips: str | None = None) -> list[str]:
    """Return at most `places` sample ids, the most telling first.

    With `flips`, the name of a score, the samples on which runs differ most in it come first and take up to four fifths
    of the places. Failures take up to half of what is left, the lowest and highest of each score up to a quarter, and
    the rest is spread evenly over the data. Any beginning of the list is a good choice too.
    """
    differing = [] if flips is None else _differing(entries, flips)[: places * 4 // 5]
    left = places - len(differing)
    failures = [name for name, entry in entries.items() if entry.failed][: (left + 1) // 2]
    first = dict.fromkeys([*differing, *failures, *_extremes(entries, left // 4)])
    spread = sorted(entries, key=lambda name: (entries[name].position * GOLDEN % 1.0, entries[name].position))
    return list(dict.fromkeys([*first, *spread]))[:places]


def _differing(entries: Mapping[str, Entry], score: str) -> list[str]:
    gaps = {name: gap(entry, score) or 0.0 for name, entry in entries.items()}
    return sorted((name for name in entries if gaps[name] > 0), key=lambda name: (-gaps[name], entries[name].position))


def _extremes(entries: Mapping[str, Entry], places: int) -> list[str]:
    columns = list(dict.fromkeys(column for entry in entries.values() for column in entry.scores))
    if not columns:
        return []
    each = places // (2 * len(columns))
    found: list[list[str]] = []
    for column in columns:
        ranked = sorted(
            (name for name, entry in entries.items() if column in entry.scores and not entry.failed),
            key=lambda name: (entries[name].scores[column], entries[name].position),
        )
        found += [ranked[:each], ranked[::-1][:each]]
    return [name for tier in zip(*found, strict=False) for name in tier]


def records(loaded: LoadedRun, wanted: frozenset[str]) -> Iterator[SampleRecord]:
    """Yield the records of `loaded` whose sample is wanted, in the run's order."""
    return (record for record in read_samples(loaded.directory) if record.id in wanted)
