"""How each question of a run ended, and the records that are written of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from evalkit.answering import Answered
from evalkit.asked import question_record
from evalkit.cache import Cache
from evalkit.errors import CacheError
from evalkit.keys import noun_json
from evalkit.questions import Asked
from evalkit.results import Coverage, SampleRecord
from evalkit.types import Failure, Generation

READ_BACK = 1000
"""Answers that are read from the cache at a time."""


class Outcomes:
    """How the questions of a run ended: a byte for each, and the failures. The answers are in the cache."""

    def __init__(self, asked: int) -> None:
        self._from_cache = bytearray(asked)
        self.failures: dict[int, Failure] = {}

    def note(self, answered: Answered) -> None:
        """Note how one ended."""
        self._from_cache[answered.number] = answered.from_cache
        if isinstance(answered.answer, Failure):
            self.failures[answered.number] = answered.answer

    def from_cache(self, number: int) -> bool:
        """Return whether the question of that number was answered without asking the model."""
        return bool(self._from_cache[number])

    @property
    def coverage(self) -> Coverage:
        """The counts."""
        asked, failed = len(self._from_cache), len(self.failures)
        return Coverage(asked, asked - failed, failed, sum(self._from_cache))


def sample_records(
    asked: Sequence[Asked], outcomes: Outcomes, cache: Cache, scores: Mapping[str, Mapping[str, float]]
) -> Iterator[SampleRecord]:
    """Yield the record of every question in order, its answer read from the cache.

    Raises:
        CacheError: an answer that was committed is no longer there.
    """
    for start in range(0, len(asked), READ_BACK):
        some = asked[start : start + READ_BACK]
        stored = cache.get_many([item.key for item in some])
        for number, item in enumerate(some, start=start):
            answer = outcomes.failures.get(number) or stored.get(item.key)
            if answer is None:
                raise CacheError(f"cache entry {item.key} was removed while its run was scored; run the task again")
            yield _record(item, answer, outcomes.from_cache(number), scores)


def _record(
    item: Asked, answer: Generation | Failure, from_cache: bool, scores: Mapping[str, Mapping[str, float]]
) -> SampleRecord:
    name, failed = item.sample.id, isinstance(answer, Failure)
    return replace(
        question_record(item),
        from_cache=from_cache,
        seconds=answer.seconds,
        answer_parts=None if isinstance(answer, Failure) else tuple(noun_json(part) for part in answer.parts),
        failure=(answer.kind, answer.message) if isinstance(answer, Failure) else None,
        scores={score: table[name] for score, table in scores.items() if name in table and not failed},
    )
