"""The sample browser's content: a card for each chosen sample, with every run's answer side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.blobs import Blobs
from evalkit.results import SampleRecord
from evalkit.types import Json
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.measures import LoadedRun
from evalkit_reports.parts import Picture, Shown, counted, shown
from evalkit_reports.pictures import Album, PictureView
from evalkit_reports.selection import Entry, chosen, index, records
from evalkit_reports.wording import label, shortened

MOST_ANSWERS = 2000
"""Answers that the browsers of one page hold together."""


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One run's answer: text and pictures, or why there is none. `state`: answered, failed, absent."""

    model: str
    state: str
    text: str = ""
    pictures: tuple[PictureView, ...] = ()
    failure: tuple[str, str] = ("", "")
    scores: tuple[tuple[str, str], ...] = ()
    from_cache: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """One sample: the question, the references, and the answers in the order of the runs.

    `strata` holds positions in the browser's strata, `scores` the value of each of its columns or None.
    """

    id: str
    position: int
    question: Shown
    pictures: tuple[PictureView, ...]
    reference: str
    reference_pictures: tuple[PictureView, ...]
    answers: tuple[AnswerView, ...]
    failed: bool
    strata: tuple[int, ...]
    scores: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Browser:
    """The cards of one task on one data set, and what they can be filtered and sorted by.

    `total` counts all samples of the runs, of which the cards may be a part. `strata` are pairs of kind and value;
    `columns` name the scores, with the run where there are several.
    """

    data: str
    runs: tuple[LoadedRun, ...]
    total: int
    cards: tuple[Card, ...]
    strata: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]


def browser(runs: Sequence[LoadedRun], answers: int, album: Album, workspace: Workspace) -> Browser:
    """Return the browser of runs of one task on one data set, holding at most `answers` answers.

    Raises:
        DataError: a run's samples are missing or damaged.
    """
    entries = index(runs)
    names = chosen(entries, max(1, answers // len(runs)))
    wanted = frozenset(names)
    found = [{record.id: record for record in records(loaded, wanted)} for loaded in runs]
    columns = tuple(dict.fromkeys(column for entry in entries.values() for column in entry.scores))
    maker = _Maker(tuple(runs), tuple(found), album, tuple(stores_of(loaded, workspace) for loaded in runs))
    strata = maker.strata(names)
    # the first names take the embedded pictures; the page then shows the cards in the order of the data
    cards = [maker.card(name, entries[name], strata, columns) for name in names]
    cards.sort(key=lambda card: card.position)
    titles = tuple(_column_title(column, runs) for column in columns)
    return Browser(runs[0].run.data, tuple(runs), len(entries), tuple(cards), tuple(strata), titles)


def stores_of(loaded: LoadedRun, workspace: Workspace) -> tuple[Blobs, ...]:
    """Return where the pictures of a run may be: the cache that it was made with, then the workspace's."""
    named = loaded.run.provenance.get("cache")
    caches = [Path(named), workspace.cache] if isinstance(named, str) and named else [workspace.cache]
    return tuple(Blobs(cache / "blobs") for cache in dict.fromkeys(caches))


def _column_title(column: str, runs: Sequence[LoadedRun]) -> str:
    number, _, name = column.partition(":")
    return name if len(runs) == 1 else f"{name}, {runs[int(number)].label}"


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes cards from the records of each run."""

    runs: tuple[LoadedRun, ...]
    found: tuple[Mapping[str, SampleRecord], ...]
    album: Album
    stores: tuple[tuple[Blobs, ...], ...]

    def strata(self, names: Sequence[str]) -> dict[tuple[str, str], int]:
        """Return each stratum of the samples with its position, those of one kind next to each other."""
        pairs = {pair for name in names for pair in self._record(name).strata.items()}
        return {pair: position for position, pair in enumerate(sorted(pairs))}

    def _record(self, name: str) -> SampleRecord:
        return next(table[name] for table in self.found if name in table)

    def card(self, name: str, entry: Entry, strata: Mapping[tuple[str, str], int], columns: Sequence[str]) -> Card:
        record = self._record(name)
        question, reference = shown(record.parts), counted(record.references)
        alt = label(question.text, 200) or f"sample {name}"
        holder = next(number for number, table in enumerate(self.found) if name in table)
        return Card(
            id=name,
            position=entry.position,
            question=Shown(shortened(question.text), question.pictures),
            pictures=self._pictures(question.pictures, alt, holder),
            answers=tuple(self._answer(number, name, alt) for number in range(len(self.runs))),
            reference=shortened(reference.text),
            reference_pictures=self._pictures(reference.pictures, alt, holder),
            failed=entry.failed,
            strata=tuple(strata[pair] for pair in sorted(record.strata.items())),
            scores=tuple(entry.scores.get(column) for column in columns),
        )

    def _pictures(self, pictures: Sequence[Picture], alt: str, run: int) -> tuple[PictureView, ...]:
        return tuple(self.album.view(picture.digest, picture.role, alt, self.stores[run]) for picture in pictures)

    def _answer(self, run: int, name: str, alt: str) -> AnswerView:
        model, record = self.runs[run].label, self.found[run].get(name)
        if record is None:
            return AnswerView(model, "absent")
        if record.failure is not None:
            kind, message = record.failure
            return AnswerView(model, "failed", failure=(kind, shortened(message)), from_cache=record.from_cache)
        answer = shown(_parts(record))
        return AnswerView(
            model,
            "answered",
            text=shortened(answer.text),
            pictures=self._pictures(answer.pictures, alt, run),
            scores=tuple((score, numbers.score_text(value)) for score, value in record.scores.items()),
            from_cache=record.from_cache,
        )


def _parts(record: SampleRecord) -> tuple[Json, ...]:
    return record.answer_parts or ()
