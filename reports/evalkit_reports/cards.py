"""The sample browser's content: a card for each chosen sample, with every run's answer side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from evalkit.asked import picture_files
from evalkit.blobs import Blobs
from evalkit.results import SampleRecord
from evalkit.types import Boxes, Estimate
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.measures import LoadedRun
from evalkit_reports.parts import Picture, Shown, counted, shown
from evalkit_reports.pictures import Album, PictureView, Stores
from evalkit_reports.selection import Entry, chosen, gap, index, records, told
from evalkit_reports.wording import label, shortened

MOST_ANSWERS = 2000
"""Answers that the browsers of one page hold together."""
FULL_SCORE = {"fraction": 1.0, "share": 1.0, "percent": 100.0}
"""The score of a sample that is wholly right, by the unit of the estimate."""

Mark: TypeAlias = Literal["", "right", "partly right", "wrong"]


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One run's answer: text and pictures, or why there is none. `state`: answered, failed, absent.

    `mark` says whether it is right by the browser's headline score; empty where that score has no right and wrong.
    """

    model: str
    state: str
    text: str = ""
    pictures: tuple[PictureView, ...] = ()
    boxes: Boxes | None = None
    failure: tuple[str, str] = ("", "")
    scores: tuple[tuple[str, str], ...] = ()
    from_cache: bool = False
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One sample: the question, the references, and the answers in the order of the runs.

    `veil` is a mask to lay over the pictures. `strata` holds positions in the browser's strata, `scores` the value of
    each of its columns or None. `outcomes` says how each run after the first did against it: `better`, `worse`,
    `same`, or empty where that cannot be said.
    """

    id: str
    position: int
    question: Shown
    pictures: tuple[PictureView, ...]
    veil: PictureView | None
    reference: str
    reference_pictures: tuple[PictureView, ...]
    answers: tuple[AnswerView, ...]
    failed: bool
    strata: tuple[int, ...]
    scores: tuple[float | None, ...]
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Browser:
    """The cards of one task on one data set, and what they can be filtered and sorted by.

    `total` counts all samples of the runs, of which the cards may be a part. `strata` are pairs of kind and value;
    `columns` name the scores, with the run where there are several; those from position `gaps` on say how far the runs
    lie apart. `headline` is the score that marks and outcomes go by, empty where there is none. `edits` says that the
    answers are pictures made of a picture, `overlays` that boxes or masks are drawn over some, `flips` that the cards
    on which the runs differ come first.
    """

    data: str
    runs: tuple[LoadedRun, ...]
    total: int
    cards: tuple[Card, ...]
    strata: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    gaps: int
    headline: str
    edits: bool
    overlays: bool
    flips: bool


def browser(
    runs: Sequence[LoadedRun], answers: int, album: Album, workspace: Workspace, *, flips: bool = False
) -> Browser:
    """Return the browser of runs of one task on one data set, holding at most `answers` answers.

    Raises:
        DataError: a run's samples are missing or damaged.
    """
    entries = index(runs)
    scores = dict.fromkeys(column.partition(":")[2] for entry in entries.values() for column in entry.scores)
    names = chosen(entries, max(1, answers // len(runs)), next(iter(scores), "") if flips else None)
    wanted = frozenset(names)
    found = [{record.id: record for record in records(loaded, wanted)} for loaded in runs]
    return browser_of(runs, {name: entries[name] for name in names}, found, len(entries), album, workspace, flips=flips)


def browser_of(
    runs: Sequence[LoadedRun],
    entries: Mapping[str, Entry],
    found: Sequence[Mapping[str, SampleRecord]],
    total: int,
    album: Album,
    workspace: Workspace,
    *,
    flips: bool = False,
) -> Browser:
    """Return the browser of these samples of `total`: `found` holds the records of each run by sample id.

    Raises:
        DataError: a run's list of pictures is damaged.
    """
    columns = tuple(dict.fromkeys(column for entry in entries.values() for column in entry.scores))
    scores = tuple(dict.fromkeys(column.partition(":")[2] for column in columns))
    headline = scores[0] if scores else ""
    names = list(entries)
    stores = tuple(stores_of(loaded, workspace) for loaded in runs)
    maker = _Maker(tuple(runs), tuple(found), album, stores, columns, scores if len(runs) > 1 else (), headline)
    strata = maker.strata(names)
    # the first names take the embedded pictures
    cards = [maker.card(name, entries[name], strata) for name in names]
    edits = any(card.pictures and any(answer.pictures for answer in card.answers) for card in cards)
    if not flips:
        cards.sort(key=lambda card: card.position)
    titles = [_column_title(column, runs) for column in columns] + list(maker.compared)
    return Browser(
        runs[0].run.data, tuple(runs), total, tuple(cards), tuple(strata), tuple(titles), len(columns),
        headline, edits, any(card.veil or card.question.boxes for card in cards), flips,
    )  # fmt: skip


def stores_of(loaded: LoadedRun, workspace: Workspace) -> Stores:
    """Return where the pictures of a run may be: the cache that it was made with, the workspace's, or noted files.

    Raises:
        DataError: the run's list of files is damaged.
    """
    named = loaded.run.provenance.get("cache")
    caches = [Path(named), workspace.cache] if isinstance(named, str) and named else [workspace.cache]
    blobs = tuple(Blobs(cache / "blobs") for cache in dict.fromkeys(caches))
    return Stores(blobs, picture_files(loaded.directory))


def _column_title(column: str, runs: Sequence[LoadedRun]) -> str:
    number, _, name = column.partition(":")
    return name if len(runs) == 1 else f"{name}, {runs[int(number)].label}"


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes cards from the records of each run; `compared` are the scores that runs are compared in."""

    runs: tuple[LoadedRun, ...]
    found: tuple[Mapping[str, SampleRecord], ...]
    album: Album
    stores: tuple[Stores, ...]
    columns: tuple[str, ...]
    compared: tuple[str, ...]
    headline: str

    def strata(self, names: Sequence[str]) -> dict[tuple[str, str], int]:
        """Return each stratum of the samples with its position, those of one kind next to each other."""
        pairs = {pair for name in names for pair in self._record(name).strata.items()}
        return {pair: position for position, pair in enumerate(sorted(pairs))}

    def _record(self, name: str) -> SampleRecord:
        return next(table[name] for table in self.found if name in table)

    def card(self, name: str, entry: Entry, strata: Mapping[tuple[str, str], int]) -> Card:
        record = self._record(name)
        question, reference = shown(record.parts), counted(record.references)
        alt = label(question.text, 200) or f"sample {name}"
        holder = next(number for number, table in enumerate(self.found) if name in table)
        given = self._pictures(question.pictures, alt, holder)
        veil = next((view for view in given if view.kind == "mask" and view.embedded), None)
        return Card(
            id=name,
            position=entry.position,
            question=Shown(shortened(question.text), question.pictures, question.boxes),
            pictures=tuple(view for view in given if view is not veil),
            veil=veil,
            answers=tuple(self._answer(number, name, alt) for number in range(len(self.runs))),
            reference=shortened(reference.text),
            reference_pictures=self._pictures(reference.pictures, alt, holder),
            failed=entry.failed,
            strata=tuple(strata[pair] for pair in sorted(record.strata.items())),
            scores=(*map(entry.scores.get, self.columns), *(gap(entry, score) for score in self.compared)),
            outcomes=tuple(self._outcome(entry, number) for number in range(1, len(self.runs))),
        )

    def _pictures(self, pictures: Sequence[Picture], alt: str, run: int) -> tuple[PictureView, ...]:
        return tuple(self.album.view(picture, alt, self.stores[run]) for picture in pictures)

    def _answer(self, run: int, name: str, alt: str) -> AnswerView:
        loaded, record = self.runs[run], self.found[run].get(name)
        if record is None:
            return AnswerView(loaded.label, "absent")
        if record.failure is not None:
            kind, message = record.failure
            return AnswerView(loaded.label, "failed", failure=(kind, shortened(message)), from_cache=record.from_cache)
        answer = shown(record.answer_parts or ())
        return AnswerView(
            loaded.label,
            "answered",
            text=shortened(answer.text),
            pictures=self._pictures(answer.pictures, alt, run),
            boxes=answer.boxes,
            scores=tuple((score, numbers.score_text(record.scores[score])) for score in told(loaded, record)),
            from_cache=record.from_cache,
            mark=self._mark(loaded, record),
        )

    def _mark(self, loaded: LoadedRun, record: SampleRecord) -> Mark:
        estimate, score = loaded.run.estimates.get(self.headline), record.scores.get(self.headline)
        if not isinstance(estimate, Estimate) or score is None or not estimate.higher_is_better:
            return ""
        full = FULL_SCORE.get(estimate.unit)
        if full is None:
            return ""
        return "right" if score >= full * (1 - 1e-9) else "wrong" if score <= 0 else "partly right"

    def _outcome(self, entry: Entry, run: int) -> str:
        estimate = self.runs[run].run.estimates.get(self.headline)
        first, other = (entry.scores.get(f"{number}:{self.headline}") for number in (0, run))
        if not isinstance(estimate, Estimate) or estimate.higher_is_better is None or first is None or other is None:
            return ""
        if first == other:
            return "same"
        return "better" if (other > first) == estimate.higher_is_better else "worse"
