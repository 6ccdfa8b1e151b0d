"""Where feature vectors are kept: by the identity of the picture and the fingerprint of the extractor.

features.sqlite      vectors (float32, each with a CRC-32) and remembered digests of files
statistics/KEY.npz   named arrays, such as the moments of a reference set; zip carries a CRC-32 of each

Several processes may share it. A damaged entry is an error that names it, never a miss.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit.errors import CacheError

SCHEMA = 1
"""Version of the tables, kept as SQLite's `user_version`."""
BUSY_SECONDS = 60.0
"""How long to wait for another process that writes."""
ROWS_AT_ONCE = 500
"""Placeholders in one query, under SQLite's oldest limit of 999."""

Vectors: TypeAlias = npt.NDArray[np.float32]
Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]

_TABLES = """
CREATE TABLE IF NOT EXISTS extractors (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS features (
    extractor INTEGER NOT NULL, picture TEXT NOT NULL, crc INTEGER NOT NULL, vector BLOB NOT NULL,
    UNIQUE (picture, extractor)
);
CREATE TABLE IF NOT EXISTS files (
    path TEXT NOT NULL, member TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, crc INTEGER NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (path, member)
) WITHOUT ROWID;
"""


class FileState(NamedTuple):
    """What tells whether a file is still the one whose digest is remembered; `crc` is of a zip's member."""

    path: str
    member: str
    size: int
    mtime_ns: int
    ctime_ns: int
    crc: int


class FeatureCache:
    """Feature vectors and statistics under one folder, which is made at the first write or read."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`; a run passes `workspace.cache / "features"`."""
        self.directory = directory
        self._path = directory / "features.sqlite"
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the cache may be used again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def get_many(self, identities: Sequence[str], fingerprint: str, dim: int) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """Return vectors `(N, dim)` float32 in the order of `identities`, and which of them were found `(N,)`.

        Rows that were not found hold zeros.

        Raises:
            CacheError: an entry is damaged or has another length, or the file cannot be read.
        """
        vectors = np.zeros((len(identities), dim), np.float32)
        found = np.zeros(len(identities), np.bool_)
        places: dict[str, list[int]] = {}
        for place, identity in enumerate(identities):
            places.setdefault(identity, []).append(place)
        with self._access("read") as connection:
            extractor = self._extractor(connection, fingerprint)
            for some in _chunks(places, ROWS_AT_ONCE):
                marks = ",".join("?" * len(some))
                query = f"SELECT picture, crc, vector FROM features WHERE extractor = ? AND picture IN ({marks})"
                for identity, crc, blob in connection.execute(query, (extractor, *some)):
                    vectors[places[identity]] = self._vector(identity, fingerprint, crc, blob, dim)
                    found[places[identity]] = True
        return vectors, found

    def missing(self, identities: Iterable[str], fingerprint: str) -> int:
        """Return how many of the distinct `identities` have no vector yet; none is read.

        Raises:
            CacheError: the file cannot be read.
        """
        distinct = set(identities)
        held = 0
        with self._access("read") as connection:
            extractor = self._extractor(connection, fingerprint)
            for some in _chunks(distinct, ROWS_AT_ONCE):
                marks = ",".join("?" * len(some))
                query = f"SELECT COUNT(*) FROM features WHERE extractor = ? AND picture IN ({marks})"
                held += connection.execute(query, (extractor, *some)).fetchone()[0]
        return len(distinct) - held

    def _vector(self, identity: str, fingerprint: str, crc: int, blob: bytes, dim: int) -> Vectors:
        if zlib.crc32(blob) != crc or len(blob) != 4 * dim:
            raise CacheError(
                f"{self._path}: the features of {identity} under extractor {fingerprint[:12]} are damaged; "
                f"delete {self._path} to compute all features again"
            )
        return np.frombuffer(blob, "<f4")

    def put_many(self, identities: Sequence[str], fingerprint: str, vectors: Vectors) -> None:
        """Store the rows of `vectors` `(N, D)` under `identities`, all or none; what is there already stays.

        Raises:
            CacheError: the file cannot be written.
        """
        blobs = [row.astype("<f4").tobytes() for row in vectors]
        with self._access("written") as connection, connection:
            connection.execute("INSERT OR IGNORE INTO extractors (fingerprint) VALUES (?)", (fingerprint,))
            extractor = self._extractor(connection, fingerprint)
            rows = [(extractor, i, zlib.crc32(b), b) for i, b in zip(identities, blobs, strict=True)]
            connection.executemany("INSERT OR IGNORE INTO features VALUES (?, ?, ?, ?)", rows)

    def known_files(self, states: Iterable[FileState]) -> dict[FileState, str]:
        """Return the SHA-256 of those files that were hashed before and have not changed since.

        Raises:
            CacheError: the file cannot be read.
        """
        wanted = set(states)
        known: dict[FileState, str] = {}
        with self._access("read") as connection:
            for some in _chunks(dict.fromkeys(state.path for state in wanted), ROWS_AT_ONCE):
                marks = ",".join("?" * len(some))
                query = f"SELECT path, member, size, mtime_ns, ctime_ns, crc, sha256 FROM files WHERE path IN ({marks})"
                for *fields, sha256 in connection.execute(query, some):
                    state = FileState(*fields)
                    if state in wanted:
                        known[state] = sha256
        return known

    def remember_files(self, digests: Mapping[FileState, str]) -> None:
        """Keep the SHA-256 of files, in place of what was kept of the same path and member.

        Raises:
            CacheError: the file cannot be written.
        """
        with self._access("written") as connection, connection:
            rows = [(*state, sha256) for state, sha256 in digests.items()]
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def get_statistics(self, key: str) -> dict[str, npt.NDArray[np.generic]] | None:
        """Return the arrays stored under `key`, a digest, or None.

        Raises:
            CacheError: they are damaged.
        """
        path = self._statistics(key)
        try:
            # Opened here, since numpy leaves a file open that turns out not to be an archive.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise CacheError(f"statistics {path} are damaged ({error}); delete the file to make them again") from error

    def put_statistics(self, key: str, arrays: Arrays) -> None:
        """Store named arrays under `key`, a digest, in place of what was there.

        Raises:
            CacheError: the file cannot be written.
        """
        path = self._statistics(key)
        beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                np.savez(file, allow_pickle=False, **dict(arrays))
            beside.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise _unusable(path, "written", error) from error

    def _statistics(self, key: str) -> Path:
        return self.directory / "statistics" / f"{key}.npz"

    @contextlib.contextmanager
    def _access(self, what: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
            except (OSError, sqlite3.Error) as error:
                raise _unusable(self._path, what, error) from error

    def _connect(self) -> sqlite3.Connection:
        self.directory.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA:
                raise CacheError(
                    f"{self._path} has schema {version}, this evalkit reads up to {SCHEMA}; "
                    f"upgrade evalkit or name another cache with EVALKIT_CACHE"
                )
            if version < SCHEMA:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {SCHEMA};COMMIT;")
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _extractor(connection: sqlite3.Connection, fingerprint: str) -> int:
        row = connection.execute("SELECT id FROM extractors WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return -1 if row is None else int(row[0])


def _unusable(path: Path, what: str, error: Exception) -> CacheError:
    if "malformed" in str(error) or "not a database" in str(error):
        return CacheError(f"{path} is damaged ({error}); delete it, features are computed again")
    return CacheError(
        f"{path} cannot be {what} ({error}); free disk space, make the folder writable, "
        f"or name another cache with EVALKIT_CACHE"
    )


def _chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
