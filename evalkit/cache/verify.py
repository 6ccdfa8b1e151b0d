"""Reading everything that is stored, and putting what is damaged aside."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalkit.blobs import MEND as SET_ASIDE
from evalkit.blobs import digest_named
from evalkit.cache.journal import DAMAGE_MEND, is_alive, journals, lines
from evalkit.cache.places import GRACE_SECONDS, REBUILD
from evalkit.cache.records import Drop, Record, answer_check, check_document, generation_of, pictures
from evalkit.cache.store import Cache
from evalkit.errors import CacheError
from evalkit.progress import Bar, Progress, Silent

DamageKind = Literal["entry", "picture", "journal", "index", "leftover", "torn line"]


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing in the store that is not as it should be.

    entry       a row of the index is not what was committed; `what` is its key
    picture     a blob is missing, truncated, or holds other pixels than its name says
    journal     a line in the middle of a journal is damaged
    index       the SQLite file is damaged, or lacks an answer that a journal holds
    leftover    a file of an interrupted write, or a picture that no answer refers to: harmless
    torn line   the end of a journal whose process was killed while it wrote: harmless
    """

    kind: DamageKind
    what: str
    """The entry's key, or the file."""
    why: str
    mend: str

    @property
    def harmless(self) -> bool:
        """Whether nothing that was committed is touched by it."""
        return self.kind in {"leftover", "torn line"}


def verify(cache: Cache, progress: Progress | None = None) -> list[Damage]:
    """Return all that is damaged: every row, picture and journal line is read and checked against its digest.

    Raises:
        CacheError: the index is so damaged that its rows cannot be read.
    """
    entries = sum(summary.entries for summary in cache.summaries())
    bar = (progress or Silent()).bar("checking the cache", 2 * entries, "entry")
    try:
        return list(_found(cache, bar))
    finally:
        bar.close()


def _found(cache: Cache, bar: Bar) -> Iterator[Damage]:
    yield from _index_damages(cache)
    users: dict[str, str] = {}
    for key, damage, digests in _entries(cache):
        users |= dict.fromkeys(digests, key)
        if damage is not None:
            yield damage
        bar.advance()
    yield from _picture_damages(cache, users, bar)
    yield from _journal_damages(cache)


def _index_damages(cache: Cache) -> Iterator[Damage]:
    with cache.reading() as connection:
        for (line,) in connection.execute("PRAGMA integrity_check").fetchall():
            if line != "ok":
                yield Damage("index", str(cache.places.index), str(line), REBUILD)


def _entries(cache: Cache) -> Iterator[tuple[str, Damage | None, list[str]]]:
    """Yield each row's key, its damage, and the digests of its pictures."""
    query = (
        "SELECT key, schema, task, sample_id, identity, request, answer, check_digest, created FROM generations"
        " LEFT JOIN models ON model = models.id"
    )
    with cache.reading() as connection:
        rows = connection.execute(query).fetchall()
    for key, schema, task, sample_id, identity, request, answer, check, created in rows:
        try:
            document = {"schema": schema, "model": json.loads(identity), "request": json.loads(request)}
            record = Record(key, document, json.loads(answer), created)
            check_document(record)
            if (record.task, record.sample_id) != (task, sample_id):
                raise ValueError(f"it is listed under sample {sample_id!r} of {task}")
            if answer_check(key, answer) != check:
                raise ValueError("its answer is not the one that was stored")
            yield key, None, [picture.digest for picture in pictures(generation_of(record.answer))]
        except (ValueError, TypeError, KeyError) as error:
            yield str(key), Damage("entry", str(key), str(error), REBUILD), []


def _picture_damages(cache: Cache, users: dict[str, str], bar: Bar) -> Iterator[Damage]:
    for digest, key in users.items():
        damage = _picture_damage(cache, digest, key)
        if damage is not None:
            yield damage
        bar.advance()
    for path in cache.places.pictures():
        if digest_named(path) not in users and path.exists() and path.stat().st_mtime < time.time() - GRACE_SECONDS:
            yield Damage("leftover", str(path), "no answer refers to it", "harmless: `evalkit cache gc` removes it")


def _picture_damage(cache: Cache, digest: str, key: str) -> Damage | None:
    place = cache.blobs.place(digest)
    if not cache.blobs.has(digest):
        return Damage("picture", place, f"it is missing, and entry {key} needs it", SET_ASIDE)
    try:
        cache.blobs.read(digest)
    except CacheError as error:
        return Damage("picture", place, f"{error} (entry {key} needs it)", SET_ASIDE)
    return None


def _journal_damages(cache: Cache) -> Iterator[Damage]:
    dropped: dict[str, float] = {}
    stored: dict[str, tuple[float, Path]] = {}
    for path in journals(cache.places.journals):
        end = 0
        for line in lines(path):
            end = line.end
            if isinstance(line.content, Record):
                stored[line.content.key] = (line.content.created, path)
            elif isinstance(line.content, Drop):
                dropped[line.content.key] = max(line.content.at, dropped.get(line.content.key, 0.0))
            else:
                yield Damage("journal", str(path), f"line {line.number}: {line.fault}", DAMAGE_MEND)
        torn = path.stat().st_size - end
        if torn and not is_alive(path):
            yield Damage("torn line", str(path), f"its last {torn} bytes are half a line", "harmless: it was in flight")
    present = cache.lookup(stored)
    for key, (created, path) in stored.items():
        if key not in present and created > dropped.get(key, 0.0):
            yield Damage("index", key, f"{path} holds this answer, the index does not", REBUILD)


def set_aside(cache: Cache, damages: Iterable[Damage]) -> int:
    """Return how many answers were dropped, so that the next run makes them again.

    Damaged pictures in the store's folder are moved to `set-aside`, and every answer that refers to one, or to one that
    is missing, is dropped. Damage of the other kinds is left to `rebuild` and `gc`, which lose nothing.

    Raises:
        CacheError: the store cannot be written.
    """
    bad = {digest for d in damages if d.kind == "picture" and (digest := digest_named(Path(d.what)))}
    keys = [key for key, _, digests in _entries(cache) if bad.intersection(digests)]
    with cache.writing() as connection:
        for key in keys:
            cache.add(connection, Drop(key, time.time()))
        for path in [path for path in cache.places.pictures() if digest_named(path) in bad]:
            path.rename(cache.places.aside(path))
    return len(keys)
