"""Making the index again from the journals."""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.cache import index
from evalkit.cache.journal import Line, Writer, damaged_line, is_alive, journals, lines
from evalkit.cache.places import Places, exclusive
from evalkit.cache.records import Drop, Record, answer_check, check_document
from evalkit.cache.replay import replay
from evalkit.errors import CacheError, UsageError
from evalkit.progress import Bar, Progress, Silent


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What came of a rebuild.

    `generations` counts the answers of the new index, `salvaged` those that only the old index held, `set_aside` names
    the files that were moved away: journals with damaged lines, and an old index that could not be read whole.
    """

    generations: int
    journals: int
    salvaged: int
    damaged_lines: int
    set_aside: tuple[Path, ...]


@dataclass(slots=True)
class _Journaled:
    """What the journals hold, and which of their lines are damaged."""

    stored: set[str] = field(default_factory=set)
    dropped: dict[str, float] = field(default_factory=dict)
    damaged: dict[Path, list[Line]] = field(default_factory=dict)
    count: int = 0


def rebuild(directory: Path, *, set_aside: bool = False, progress: Progress | None = None) -> RebuildReport:
    """Return what came of making the index in `directory` again; answers that only the old index holds are kept.

    With `set_aside` a journal with damaged lines is moved to the folder `set-aside` and its sound lines are kept.

    Raises:
        UsageError: `directory` holds no store.
        CacheError: another process writes to it, a newer evalkit made it, a line is damaged, or it cannot be written.
    """
    places = Places(directory)
    if not places.index.exists() and not journals(places.journals):
        raise UsageError(f"there is no cache in {directory}; name its directory with --cache")
    try:
        with exclusive(places.lock):
            _require_alone(places)
            return _rebuild(places, set_aside, progress or Silent())
    except OSError as error:
        raise CacheError(
            f"the index of {directory} cannot be made again ({error}); free space or grant write access, then rebuild "
            "again: what is stored stays"
        ) from error


def _require_alone(places: Places) -> None:
    index.refuse_newer(places.index)
    living = [path.name for path in journals(places.journals) if is_alive(path)]
    if living:
        raise CacheError(
            f"a running process writes to {places.directory} (journal {living[0]}); rebuild when it has ended"
        )


def _rebuild(places: Places, set_aside: bool, progress: Progress) -> RebuildReport:
    journaled = _scan(places)
    moved = [_set_line_aside(places, path, bad, set_aside) for path, bad in journaled.damaged.items()]
    rows, whole = _salvaged(places, journaled)
    starts = dict.fromkeys(journals(places.journals), 0)
    fresh = places.index.with_name(f".{places.index.name}.{secrets.token_hex(8)}.tmp")
    bar = progress.bar("reading the journals", journaled.count + rows, "answer")
    try:
        generations = _filled(fresh, starts, bar)
        moved += _remove_old(places, whole)
        fresh.replace(places.index)
    finally:
        bar.close()
        for leftover in fresh.parent.glob(f"{fresh.name}*"):
            leftover.unlink()
    damaged = sum(map(len, journaled.damaged.values()))
    return RebuildReport(generations, len(starts), rows, damaged, tuple(moved))


def _filled(fresh: Path, starts: Mapping[Path, int], bar: Bar) -> int:
    """Return how many answers the index made at `fresh` holds."""
    index.make_index(fresh)
    with index.guarded(fresh), closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        with index.transaction(connection):
            replay(connection, starts, bar)
        index.fold(connection)
        (generations,) = connection.execute("SELECT count(*) FROM generations").fetchone()
    return int(generations)


def _scan(places: Places) -> _Journaled:
    found = _Journaled()
    for path in journals(places.journals):
        for line in lines(path):
            found.count += 1
            if isinstance(line.content, Record):
                found.stored.add(line.content.key)
            elif isinstance(line.content, Drop):
                found.dropped[line.content.key] = max(line.content.at, found.dropped.get(line.content.key, 0.0))
            else:
                found.damaged.setdefault(path, []).append(line)
    return found


def _set_line_aside(places: Places, path: Path, damaged: list[Line], allowed: bool) -> Path:
    """Return where the journal went; its sound lines are left under its name."""
    if not allowed:
        raise damaged_line(path, damaged[0])
    aside = places.aside(path)
    shutil.copy2(path, aside)
    numbers = {line.number for line in damaged}
    beside = path.with_suffix(".tmp")
    with path.open("rb") as source, beside.open("wb") as target:
        target.writelines(line for number, line in enumerate(source, start=1) if number not in numbers)
    beside.replace(path)
    return aside


def _salvaged(places: Places, journaled: _Journaled) -> tuple[int, bool]:
    """Return how many answers the old index alone held, now journaled, and whether all of it could be read."""
    if not places.index.exists():
        return 0, True
    count, whole = 0, True
    writer = Writer(places.journals)
    try:
        for record in _rows(places.index):
            if record is None:
                whole = False
            elif record.key not in journaled.stored and record.created > journaled.dropped.get(record.key, 0.0):
                writer.append(record)
                count += 1
    finally:
        writer.close()
    return count, whole


def _rows(path: Path) -> Iterator[Record | None]:
    """Yield each sound row of the index, None for one that is damaged and for all that cannot be read."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            for key, schema, identity, request, answer, check, created in connection.execute(index.ROWS):
                yield _row(key, schema, identity, request, answer, check, created)
    except sqlite3.Error:
        yield None


def _row(key: str, schema: int, identity: str, request: str, answer: str, check: str, created: float) -> Record | None:
    try:
        document = {"schema": schema, "model": json.loads(identity), "request": json.loads(request)}
        record = Record(key, document, json.loads(answer), created)
        check_document(record)
    except (ValueError, TypeError):
        return None
    return record if answer_check(key, answer) == check else None


def _remove_old(places: Places, whole: bool) -> list[Path]:
    """Return where the old index went; one that was read whole is in the journals, and is deleted."""
    moved: list[Path] = []
    for path in places.index_files:
        if path.exists() and whole:
            path.unlink()
        elif path.exists():
            moved.append(places.aside(path))
            path.rename(moved[-1])
    return moved
