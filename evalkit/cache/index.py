"""The index: one SQLite file that says which keys are answered and how. It holds nothing that the journals do not.

Nothing of `sqlite3` leaves this module: its errors become `CacheError`, each with the mend that fits.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from evalkit.cache.places import REBUILD
from evalkit.cache.records import Record, answer_check
from evalkit.errors import CacheError
from evalkit.keys import canonical_json, digest
from evalkit.types import Json

SCHEMA = 1
"""Version of the tables, kept in `PRAGMA user_version`."""
BUSY_SECONDS = 60.0
"""How long a write waits for another process's write."""
ROWS = (
    "SELECT key, schema, identity, request, answer, check_digest, created FROM generations"
    " JOIN models ON model = models.id"
)
"""All that a record is made of."""

TABLES = f"""
CREATE TABLE models (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, identity TEXT NOT NULL);
CREATE TABLE generations (
    key TEXT PRIMARY KEY, model INTEGER NOT NULL REFERENCES models, schema INTEGER NOT NULL, task TEXT NOT NULL,
    sample_id TEXT NOT NULL, request TEXT NOT NULL, answer TEXT NOT NULL, check_digest TEXT NOT NULL,
    created REAL NOT NULL, used REAL NOT NULL
);
CREATE INDEX generations_by_sample ON generations (sample_id, task);
CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE journals (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA};
"""

_MENDS: Mapping[int, str] = {
    sqlite3.SQLITE_FULL: "the disk is full: free space, then run again; what is stored stays",
    sqlite3.SQLITE_IOERR: "the disk is full or failing: free space, then run again; what is stored stays",
    sqlite3.SQLITE_READONLY: "it is read-only: grant write access, or name another cache directory with --cache",
    sqlite3.SQLITE_CANTOPEN: "grant read and write access to its folder, or name another one with --cache",
    sqlite3.SQLITE_PERM: "grant read and write access to its folder, or name another one with --cache",
    sqlite3.SQLITE_BUSY: "another process has been writing for too long: wait for it, then run again",
    sqlite3.SQLITE_LOCKED: "another process has been writing for too long: wait for it, then run again",
}


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn every error of SQLite inside the block into a `CacheError` that names the index and the mend."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        mend = _MENDS.get(code, f"it is damaged: {REBUILD}")
        raise CacheError(f"cache index {path}: {error}; {mend}") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the index's one write lock inside the block: all of it happens or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def make_index(path: Path) -> None:
    """Write an empty index at `path`, all at once.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with guarded(path), closing(sqlite3.connect(beside, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(f"BEGIN;{TABLES}COMMIT;")
            fold(connection)
        beside.replace(path)
    finally:
        for leftover in path.parent.glob(f"{beside.name}*"):
            leftover.unlink()


def fold(connection: sqlite3.Connection) -> None:
    """Bring the write-ahead log into the file itself, which closing does too, but without telling of a full disk."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_index(path: Path, read_only: bool) -> sqlite3.Connection:
    """Return a connection to the index, whose tables are of this evalkit's schema.

    Raises:
        CacheError: it is no index, damaged, or of another schema.
    """
    with guarded(path):
        connection = sqlite3.connect(
            _uri(path, read_only), uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA cell_size_check=ON")
            _require_schema(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _uri(path: Path, read_only: bool) -> str:
    if not read_only:
        return f"{path.absolute().as_uri()}?mode=rw"
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > 0:
        return f"{path.absolute().as_uri()}?mode=ro"
    # Without a log there is nothing to fold in, and without write access SQLite cannot make the file that it locks by.
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def _require_schema(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found == SCHEMA:
        connection.execute("SELECT 1 FROM generations, models, claims, journals LIMIT 1")
        return
    if found > SCHEMA:
        raise _newer(path, found)
    raise CacheError(f"cache index {path} has schema {found}, not {SCHEMA}: it is half-written or older; {REBUILD}")


def _newer(path: Path, found: int) -> CacheError:
    return CacheError(
        f"cache index {path} has schema {found}, this evalkit knows {SCHEMA}: a newer evalkit made it; upgrade "
        "evalkit, or name another cache directory with --cache"
    )


def refuse_newer(path: Path) -> None:
    """Return unless a newer evalkit made the index; whether it is damaged does not matter.

    Raises:
        CacheError: a newer evalkit made it.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error:
        return
    if found > SCHEMA:
        raise _newer(path, found)


def insert(connection: sqlite3.Connection, record: Record) -> None:
    """Add `record`, inside a transaction; of two under one key the older stays."""
    identity = canonical_json(record.identity)
    fingerprint = digest(record.identity)
    connection.execute("INSERT OR IGNORE INTO models (fingerprint, identity) VALUES (?, ?)", (fingerprint, identity))
    answer = record.answer_text
    connection.execute(
        "INSERT INTO generations VALUES (?, (SELECT id FROM models WHERE fingerprint = ?), ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET answer = excluded.answer, check_digest = excluded.check_digest,"
        " created = excluded.created WHERE excluded.created < created",
        (
            *(record.key, fingerprint, record.schema, record.task, record.sample_id),
            *(canonical_json(record.request), answer, answer_check(record.key, answer)),
            *(record.created, time.time()),
        ),
    )


def delete(connection: sqlite3.Connection, key: str, until: float) -> None:
    """Remove what was stored under `key` up to `until`, inside a transaction."""
    connection.execute("DELETE FROM generations WHERE key = ? AND created <= ?", (key, until))


def note_journal(connection: sqlite3.Connection, name: str, size: int) -> None:
    """Note, inside a transaction, that the index holds the first `size` bytes of a journal."""
    connection.execute(
        "INSERT INTO journals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes", (name, size)
    )


def noted_journals(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many bytes of each journal the index holds, by the journal's name."""
    return dict(connection.execute("SELECT name, bytes FROM journals"))


def records(connection: sqlite3.Connection, where: str = "1", values: tuple[str, ...] = ()) -> Iterator[Record]:
    """Yield every row that `where` selects as it was committed, unchecked.

    Raises:
        ValueError, TypeError: a row is damaged.
    """
    rows = connection.execute(f"{ROWS} WHERE {where} ORDER BY created, key", values)
    for key, schema, identity, request, answer, _, created in rows:
        document: dict[str, Json] = {"schema": schema, "model": json.loads(identity), "request": json.loads(request)}
        yield Record(key, document, json.loads(answer), created)


def json_keys(keys: Iterable[str]) -> tuple[str]:
    """Return the parameter for `IN (SELECT value FROM json_each(?))`."""
    return (json.dumps(list(keys)),)
