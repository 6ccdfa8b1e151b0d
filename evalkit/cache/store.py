"""The `Cache`: looking up, claiming and committing answers."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from evalkit.cache import claims, index, replay
from evalkit.cache.journal import Writer, journals
from evalkit.cache.places import REBUILD, Places, exclusive
from evalkit.cache.records import Drop, Record, answer_check, answer_json, generation_at, pictures, store_pictures
from evalkit.errors import CacheError, UsageError
from evalkit.keys import digest, key_document
from evalkit.types import Generation, JsonScalar, Request

DAY = 86400.0
"""Seconds. The index notes the last use of an answer to this precision."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is stored for one task and one model; `created` and `used` are the first and last, in seconds since 1970."""

    task: str
    model: str
    """The model's fingerprint."""
    identity: Mapping[str, JsonScalar]
    entries: int
    created: float
    used: float


class Cache:
    """The answers in one directory. Many processes may read and write; each opens its own.

    Threads of one process may share it. A directory without write access can be read.

    Raises:
        CacheError: the directory cannot be made or read, or its index is missing, damaged or of another schema.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.places = Places(directory)
        self.blobs = self.places.blob_store()
        self.read_only = directory.exists() and not os.access(directory, os.W_OK)
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._writer: Writer | None = None
        if not self.places.index.exists():
            _make_first_index(self.places)
        self._connection = index.open_index(self.places.index, self.read_only)
        try:
            self._catch_up()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up every claim and close the index; closing twice is allowed."""
        with self._lock:
            self._close_writer()
            self._connection.close()

    def lookup(self, keys: Iterable[str]) -> set[str]:
        """Return those of `keys` that are answered."""
        asked = index.json_keys(keys)
        with self.reading() as connection:
            return _answered(connection, asked)

    def keys(self) -> set[str]:
        """Return every key that is answered."""
        with self.reading() as connection:
            return {key for (key,) in connection.execute("SELECT key FROM generations")}

    def get(self, key: str) -> Generation | None:
        """Return the answer stored under `key`, its pictures being files; None where there is none.

        Raises:
            CacheError: the entry is damaged or a picture of it is missing.
        """
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, Generation]:
        """Return the answers stored under `keys`, by key; what is not stored is left out.

        Raises:
            CacheError: an entry is damaged or a picture of it is missing.
        """
        found, used = self._stored(keys)
        now = time.time()
        self._note_use([key for key, last in used.items() if last < now - DAY], now)
        return found

    def _stored(self, keys: Iterable[str]) -> tuple[dict[str, Generation], dict[str, float]]:
        """Return the answers under `keys`, and when each was last used."""
        query = "SELECT key, answer, check_digest, used FROM generations WHERE key IN (SELECT value FROM json_each(?))"
        asked = index.json_keys(keys)
        with self.reading() as connection:
            rows = connection.execute(query, asked).fetchall()
        return {key: self._checked(key, answer, check) for key, answer, check, _ in rows}, {r[0]: r[3] for r in rows}

    def _checked(self, key: str, answer: str, check: str) -> Generation:
        if answer_check(key, answer) != check:
            raise CacheError(f"cache entry {key} in {self.places.index} is not what was stored; {REBUILD}")
        return generation_at(key, answer, self.blobs)

    def _note_use(self, keys: list[str], now: float) -> None:
        if keys and not self.read_only:
            with self.writing() as connection:
                connection.execute(
                    "UPDATE generations SET used = ? WHERE key IN (SELECT value FROM json_each(?))",
                    (now, *index.json_keys(keys)),
                )

    def commit(self, identity: Mapping[str, JsonScalar], request: Request, generation: Generation) -> Generation:
        """Return what is stored from now on as the answer of the model of that identity to `request`.

        First the pictures are written, then the journal's line, then the index's row: once this returns, the answer
        outlives this process, however it ends. If another process has answered the same request meanwhile, the answer
        that was first stays and is returned. A claim on the key ends.

        Raises:
            TypeError: `generation` is a Failure, which is never stored.
            UsageError: the answer holds a number that JSON cannot, or the sample's id is not Unicode.
            CacheError: the store cannot be written; what is stored stays.
        """
        if not isinstance(generation, Generation):
            raise TypeError(f"only a Generation is stored, not a {type(generation).__name__}")
        where = _named(request)
        document = key_document(identity, request)
        key = digest(document)
        answer = answer_json(generation, where)
        stored = store_pictures(generation, self.blobs)
        with self.writing() as connection:
            earlier = self._stored([key])[0].get(key)
            if earlier is None:
                if not all(self.blobs.has(picture.digest) for picture in pictures(stored)):
                    store_pictures(generation, self.blobs)  # a clean-up took an unused one; it cannot while we write
                self.add(connection, Record(key, document, answer, time.time()))
            connection.execute("DELETE FROM claims WHERE key = ?", (key,))
        return stored if earlier is None else earlier

    def claim(self, keys: Iterable[str]) -> set[str]:
        """Return those of `keys` that this process is to answer now: neither answered nor claimed by another.

        A claim ends with `commit`, `release` or `close`, and with this process, however it ends.

        Raises:
            CacheError: the store cannot be written.
        """
        asked = index.json_keys(keys)
        with self.writing() as connection:
            claims.bury(connection, self.places.journals)
            replay.replay(connection, replay.lagging(connection, self.places.journals))  # what the dead have left
            return claims.take(connection, asked, self._own_writer().name)

    def release(self, keys: Iterable[str]) -> None:
        """Give up this process's claims on `keys`."""
        given_up = index.json_keys(keys)
        if self._writer is not None:
            with self.writing() as connection:
                claims.give_up(connection, given_up, self._own_writer().name)

    def records(self, where: str = "1", values: tuple[str, ...] = ()) -> Iterator[Record]:
        """Yield the stored answers that the SQL condition selects with their key documents, oldest first.

        Raises:
            CacheError: a row is damaged.
        """
        with self.reading() as connection:
            try:
                yield from index.records(connection, where, values)
            except (ValueError, TypeError) as error:
                raise CacheError(f"cache index {self.places.index} has a damaged row ({error}); {REBUILD}") from error

    def summaries(self) -> list[Summary]:
        """Return what is stored, by task and model."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT task, fingerprint, identity, count(*), min(created), max(used) FROM generations"
                " JOIN models ON model = models.id GROUP BY task, fingerprint ORDER BY task, min(created)"
            ).fetchall()
        return [Summary(task, model, json.loads(identity), *numbers) for task, model, identity, *numbers in rows]

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the index's connection to this thread alone; errors of SQLite come out as CacheError."""
        if self._process != os.getpid():
            raise UsageError(f"the cache {self.directory} was opened before a fork; open it anew in the child")
        with self._lock, index.guarded(self.places.index):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection inside a transaction: nobody else writes to this cache at the same time.

        The first one of a process, and the first after one that failed, brings the index up to the journals.
        """
        if self.read_only:
            raise CacheError(
                f"the cache {self.directory} is read-only; grant write access, or name another directory in "
                "with --cache"
            )
        try:
            with self.reading() as connection, index.transaction(connection):
                if self._writer is None:
                    replay.replay(connection, replay.lagging(connection, self.places.journals))
                yield connection
            if self._writer is not None:
                self._writer.settle()
        except OSError as error:
            raise CacheError(
                f"the cache {self.directory} cannot be written ({error}); free space or grant write access, then run "
                "again: what is stored stays"
            ) from error
        finally:
            if self._writer is not None and not self._writer.settled:
                self._close_writer()  # the line stands behind nothing: the next opening adds it to the index

    def add(self, connection: sqlite3.Connection, content: Record | Drop) -> None:
        """Write a line to the journal and what it means to the index, inside a transaction of `writing`."""
        writer = self._own_writer()
        size = writer.append(content)
        if isinstance(content, Record):
            index.insert(connection, content)
        else:
            index.delete(connection, content.key, content.at)
        index.note_journal(connection, writer.name, size)

    def _own_writer(self) -> Writer:
        if self._writer is None:
            self._writer = Writer(self.places.journals)
        return self._writer

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and self._process == os.getpid():
            writer.close()

    def _catch_up(self) -> None:
        """Add to the index what a killed process left in its journal, or what a lost write-ahead log held."""
        with self.reading() as connection:
            behind = replay.lagging(connection, self.places.journals)
        if not behind:
            return
        if self.read_only:
            raise CacheError(
                f"the cache {self.directory} is read-only, and its index lacks lines of {', '.join(map(str, behind))}; "
                "open it once with write access (`evalkit cache ls`)"
            )
        with self.writing():
            pass  # the first write of a process does it


def _named(request: Request) -> str:
    try:
        f"{request.task}{request.sample_id}".encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"sample id {request.sample_id!r} is not Unicode text ({error}); rename the sample") from error
    return f"the answer to sample {request.sample_id!r} of {request.task}"


def _answered(connection: sqlite3.Connection, asked: tuple[str]) -> set[str]:
    query = "SELECT key FROM generations WHERE key IN (SELECT value FROM json_each(?))"
    return {key for (key,) in connection.execute(query, asked)}


def _make_first_index(places: Places) -> None:
    """Make the directory and its index; one that lost its index is an error, not an empty store."""
    try:
        places.directory.mkdir(parents=True, exist_ok=True)
        with exclusive(places.lock):
            if places.index.exists():
                return
            if journals(places.journals):
                raise CacheError(f"cache index {places.index} is missing, but its journals are there; {REBUILD}")
            for log in places.index_files[1:]:
                log.unlink(missing_ok=True)  # of an index that was deleted: SQLite would take it for this one's
            index.make_index(places.index)
    except OSError as error:
        raise CacheError(
            f"the cache {places.directory} cannot be made ({error}); free space, grant write access, or name another "
            "directory with --cache"
        ) from error
