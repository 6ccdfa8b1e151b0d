"""The page of `evalkit view`: runs while they go on, rebuilt from their notes and the cache at every look."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from evalkit.asked import ASKED, Head, answered_at, asked_samples, head_of
from evalkit.cache import Cache
from evalkit.keys import noun_json
from evalkit.results import Coverage, Run, SampleRecord, read_run
from evalkit.types import Estimate, Generation
from evalkit.workspace import Workspace
from evalkit_reports import numbers
from evalkit_reports.cards import Browser, browser_of
from evalkit_reports.html_page import html_page
from evalkit_reports.measures import LoadedRun
from evalkit_reports.pictures import Album
from evalkit_reports.selection import Entry
from evalkit_reports.writing import write_whole

NEWEST = 48
"""Answers of each run that the page shows, the last ones."""
RECENT_SECONDS = 30.0
"""The rate is that of the answers of so many seconds."""
QUIET_SECONDS = 60.0
"""A run without an answer for so long may have been stopped."""


@dataclass(frozen=True, slots=True)
class Going:
    """A run that goes on: what it asks, when each answer was made, by key, and the moment of looking."""

    folder: Path
    head: Head
    asked: tuple[SampleRecord, ...]
    made: dict[str, float]
    now: float

    @property
    def text(self) -> str:
        """Its progress in words: `312 of 500 answered, 4.2 a second, about 45 s left`."""
        done, total = len(self.made), len(self.asked)
        told = [f"{done:,} of {total:,} answered"]
        quiet = self.now - max([self.head.started, *self.made.values()])
        recent = sum(moment > self.now - RECENT_SECONDS for moment in self.made.values())
        if done == total:
            told.append("being scored")
        elif quiet > QUIET_SECONDS:
            told.append(f"no answer for {_duration(quiet)}: slow, or stopped")
        elif recent:
            rate = recent / min(RECENT_SECONDS, max(self.now - self.head.started, 1.0))
            told.append(f"{rate:.2g} a second, about {_duration((total - done) / rate)} left")
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is done: its headline in words."""

    folder: Path
    run: Run
    headline: str


def write_live_page(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the page about the folders `runs`, finished or not, as they stand now.

    Raises:
        DataError: a folder's files are damaged.
        CacheError: a cache cannot be read.
    """
    going, finished = _looked_at(runs)
    album = Album(output, linked=False)
    context = {
        "kind": "view",
        "title": f"{len(going)} going on, {len(finished)} finished" if going or finished else "No run here yet",
        "places": [],
        "state": _state(going, finished),
        "going": [(one, _browser(one, album, workspace)) for one in going],
        "finished": finished,
    }
    write_whole(output, html_page("live.html", context, ("page.js", "live.js"), served=True))


def write_live_state(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write what of the page may change, as JSON: counts and words of each run, and what tells an old page from a new.

    Raises:
        DataError: a folder's files are damaged.
        CacheError: a cache cannot be read.
    """
    going, finished = _looked_at(runs)
    told = [{"name": one.folder.name, "answered": len(one.made), "text": one.text} for one in going]
    write_whole(output, json.dumps({"state": _state(going, finished), "runs": told}))


def _looked_at(runs: Sequence[Path]) -> tuple[list[Going], list[Finished]]:
    going = [found for folder in runs if (found := _going(folder)) is not None]
    busy = {one.folder for one in going}
    finished = [_finished(folder) for folder in runs if folder not in busy and (folder / "run.json").is_file()]
    return going, finished


def _going(folder: Path) -> Going | None:
    head = head_of(folder)
    if head is None:
        return None
    status = (folder / ASKED).stat()
    asked = _asked(folder, status.st_mtime_ns, status.st_size)
    made: dict[str, float] = {}
    if Path(head.cache).is_dir():  # a run of another machine has none here, and looking must not make one
        with Cache(Path(head.cache)) as cache:
            made = answered_at(cache, [record.key for record in asked])
    return Going(folder, head, asked, made, time.time())


@lru_cache(maxsize=16)
def _asked(folder: Path, modified: int, size: int) -> tuple[SampleRecord, ...]:
    """Return what a run asks; its note, which may be long, is read once for each time that it was written."""
    return tuple(asked_samples(folder))


def _finished(folder: Path) -> Finished:
    run = read_run(folder)
    name, first = next(((n, e) for n, e in run.estimates.items() if isinstance(e, Estimate)), ("", None))
    bounds = f" ({numbers.interval_text(first)})" if first is not None and first.interval is not None else ""
    return Finished(folder, run, "" if first is None else f"{name} {numbers.value_text(first)}{bounds}")


def _state(going: Sequence[Going], finished: Sequence[Finished]) -> str:
    """Return a digest of which runs go on and which are done: a page of another state is out of date."""
    names = [[str(one.folder) for one in going], [str(one.folder) for one in finished]]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def _browser(one: Going, album: Album, workspace: Workspace) -> Browser:
    newest = sorted((r for r in one.asked if r.key in one.made), key=lambda r: -one.made[r.key])[:NEWEST]
    answers: dict[str, Generation] = {}
    if newest:
        with Cache(Path(one.head.cache)) as cache:
            answers = cache.get_many([record.key for record in newest])
    records = {record.id: _answered(record, answers[record.key]) for record in newest if record.key in answers}
    run = Run(
        task=one.head.task, model=one.head.model, data=one.head.data, estimates={}, stamps=(), protocols={}, series={},
        coverage=Coverage(len(one.asked), len(one.made), 0, 0), provenance={"cache": one.head.cache},
    )  # fmt: skip
    entries = {name: Entry(position) for position, name in enumerate(records)}
    return browser_of([LoadedRun(one.folder, run, run.model)], entries, [records], len(one.asked), album, workspace)


def _answered(record: SampleRecord, answer: Generation) -> SampleRecord:
    parts = tuple(noun_json(part) for part in answer.parts)
    return replace(record, answer_parts=parts, seconds=answer.seconds)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
