"""Claims: which living process is answering which key, so that no two answer the same. All inside a transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from evalkit.cache.journal import is_alive


def bury(connection: sqlite3.Connection, journals: Path) -> None:
    """Remove the claims of every process that no longer lives; its journal, unlocked, is how one knows."""
    owners = connection.execute("SELECT DISTINCT owner FROM claims").fetchall()
    dead = [(owner,) for (owner,) in owners if not is_alive(journals / owner)]
    connection.executemany("DELETE FROM claims WHERE owner = ?", dead)


def take(connection: sqlite3.Connection, asked: tuple[str], owner: str) -> set[str]:
    """Return those of the keys in `asked` (see `index.json_keys`) that `owner` holds from now on."""
    query = (
        "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT key FROM generations)"
        " AND value NOT IN (SELECT key FROM claims WHERE owner != ?)"
    )
    held = {key for (key,) in connection.execute(query, (*asked, owner))}
    connection.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?)", [(key, owner) for key in held])
    return held


def give_up(connection: sqlite3.Connection, asked: tuple[str], owner: str) -> None:
    """End the owner's claims on the keys in `asked`."""
    query = "DELETE FROM claims WHERE owner = ? AND key IN (SELECT value FROM json_each(?))"
    connection.execute(query, (owner, *asked))
