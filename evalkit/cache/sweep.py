"""Removing what nobody needs any more."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalkit.blobs import digest_named
from evalkit.cache.claims import bury
from evalkit.cache.journal import is_alive, journals
from evalkit.cache.places import GRACE_SECONDS
from evalkit.cache.records import Drop, answer_at, pictures
from evalkit.cache.store import DAY, Cache
from evalkit.errors import UsageError

_DIGEST = re.compile('"digest": *"([0-9a-f]{64})"')
"""A picture that a request shows."""


@dataclass(frozen=True, slots=True)
class GcReport:
    """What was removed, or would be: answers, pictures that no answer refers to, leftovers of dead writers, bytes."""

    generations: int
    pictures: int
    leftovers: int
    bytes: int


def gc(cache: Cache, *, dry_run: bool = False, older_than_days: float | None = None) -> GcReport:
    """Return what was removed: leftovers of dead writers, unused pictures, and with `older_than_days` unused answers.

    A picture or leftover goes only when it is older than an hour, so that answers in flight are safe. Without
    `older_than_days` no answer goes. A picture that a kept answer was asked about stays too, and so do pictures outside
    the store's folder: other stores may refer to them.

    Raises:
        UsageError: `older_than_days` is negative.
        CacheError: the store is damaged or cannot be written.
    """
    if older_than_days is not None and older_than_days < 0:
        raise UsageError(f"--older-than {older_than_days:g} is negative; give a number of days")
    before = -1.0 if older_than_days is None else time.time() - older_than_days * DAY
    with cache.reading() if dry_run else cache.writing() as connection:
        query = "SELECT key, request, answer, used < ? FROM generations"
        rows = connection.execute(query, (before,)).fetchall()
        old = [key for key, _, _, unused in rows if unused]
        kept = {p.digest for key, _, answer, unused in rows if not unused for p in pictures(answer_at(key, answer))}
        kept |= {shown for _, request, _, unused in rows if not unused for shown in _DIGEST.findall(request)}
        files = list(_unneeded(cache, kept))
        size = sum(path.stat().st_size for path in files)
        if not dry_run:
            for key in old:
                cache.add(connection, Drop(key, time.time()))
            bury(connection, cache.places.journals)
            _remove_empty(cache.places.journals)
            for path in files:
                path.unlink()
    named = sum(digest_named(path) is not None for path in files)
    return GcReport(len(old), named, len(files) - named, size)


def _unneeded(cache: Cache, kept: set[str]) -> Iterator[Path]:
    oldest = time.time() - GRACE_SECONDS
    half_made = cache.directory.glob(f".{cache.places.index.name}.*.tmp*")
    for path in [*cache.places.pictures(), *half_made]:
        if digest_named(path) not in kept and path.stat().st_mtime < oldest:
            yield path


def _remove_empty(directory: Path) -> None:
    """Remove the journals of dead processes that committed nothing."""
    for path in journals(directory):
        if path.stat().st_size == 0 and not is_alive(path):
            path.unlink()
