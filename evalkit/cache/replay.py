"""Bringing the index up to what the journals say."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from evalkit.cache import index
from evalkit.cache.journal import Line, damaged_line, journals, lines
from evalkit.cache.records import Drop, Record
from evalkit.progress import Bar


def lagging(connection: sqlite3.Connection, directory: Path) -> dict[Path, int]:
    """Return the journals of which the index lacks complete lines, each with the byte where those start.

    A journal that another process is adding to at the moment may be among them: look again inside a transaction.
    """
    noted = index.noted_journals(connection)
    starts = {path: noted.get(path.name, 0) for path in journals(directory)}
    return {path: start for path, start in starts.items() if path.stat().st_size > start and _has_line(path, start)}


def _has_line(path: Path, start: int) -> bool:
    with path.open("rb") as file:
        file.seek(start)
        return file.readline().endswith(b"\n")


def replay(connection: sqlite3.Connection, starts: Mapping[Path, int], bar: Bar | None = None) -> None:
    """Add to the index, inside a transaction, the lines of these journals from those bytes on.

    The order of the lines does not matter: of two answers under one key the older stays, and one that was dropped
    later is left out. `bar` advances by a step a line.

    Raises:
        CacheError: a line is damaged.
    """
    dropped = _dropped(starts)
    for path, start in starts.items():
        end = start
        for line in lines(path, start):
            end = line.end
            if isinstance(line.content, Record) and line.content.created > dropped.get(line.content.key, 0.0):
                index.insert(connection, line.content)
            if bar is not None:
                bar.advance()
        index.note_journal(connection, path.name, end)
    for key, at in dropped.items():
        index.delete(connection, key, at)


def _dropped(starts: Mapping[Path, int]) -> dict[str, float]:
    """Return when each dropped key was last dropped."""
    dropped: dict[str, float] = {}
    for path, start in starts.items():
        for line in lines(path, start):
            content = _sound(path, line)
            if isinstance(content, Drop):
                dropped[content.key] = max(content.at, dropped.get(content.key, 0.0))
    return dropped


def _sound(path: Path, line: Line) -> Record | Drop:
    if line.content is None:
        raise damaged_line(path, line)
    return line.content
