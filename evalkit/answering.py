"""Answers to a run's questions: from the cache, from another process, or from an executor, each committed as it comes.

What is kept in memory is what is in flight, and 16 bytes for each question that the cache cannot answer.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.cache import Cache
from evalkit.executors.executor import Executor
from evalkit.questions import Asked, work
from evalkit.types import Answer, Generation, Request

LOOKED_UP = 1000
"""Questions that are looked up in the cache at a time."""
POLL_SECONDS = 0.2
"""Pause between looks at an answer that another process is making."""

Numbers = npt.NDArray[np.int64]
"""Places of questions in the sequence of all."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The question of that number with its answer; `from_cache` says that the model was not asked for it now."""

    number: int
    item: Asked
    answer: Answer
    from_cache: bool


def answers(asked: Sequence[Asked], executor: Executor, cache: Cache) -> Iterator[Answered]:
    """Yield every item with its answer, as soon as it is there; what is new is committed first.

    The model is asked the longest first. What another process is making at the moment is waited for, and made here if
    that process dies.
    """
    everything: Numbers = np.arange(len(asked))
    waiting = yield from _stored(asked, everything, cache)
    while len(waiting):
        making = _Making(asked, waiting, executor, cache)
        yield from making.answers()
        waiting = yield from _stored(asked, making.elsewhere, cache)
        if len(waiting):
            time.sleep(POLL_SECONDS)


def _stored(asked: Sequence[Asked], numbers: Numbers, cache: Cache) -> Generator[Answered, None, Numbers]:
    """Yield what the cache answers; return the numbers of the rest, the longest first."""
    missing: list[Numbers] = []
    lengths: list[npt.NDArray[np.float64]] = []
    for start in range(0, len(numbers), LOOKED_UP):
        some = [(int(number), asked[number]) for number in numbers[start : start + LOOKED_UP]]
        stored = cache.get_many([item.key for _, item in some])
        for number, item in some:
            if item.key in stored:
                yield Answered(number, item, stored[item.key], from_cache=True)
        rest = [(number, item) for number, item in some if item.key not in stored]
        missing.append(np.array([number for number, _ in rest], np.int64))
        lengths.append(np.array([work(item.request) for _, item in rest]))
    if not missing:
        return np.zeros(0, np.int64)
    return np.concatenate(missing)[np.argsort(-np.concatenate(lengths), kind="stable")]


class _Making:
    """Asks the executor for the questions of these numbers, and claims each before it is asked.

    `elsewhere` are afterwards the numbers that another process holds.
    """

    def __init__(self, asked: Sequence[Asked], numbers: Numbers, executor: Executor, cache: Cache) -> None:
        self._asked = asked
        self._numbers = numbers
        self._executor = executor
        self._cache = cache
        self._in_flight: dict[int, tuple[int, Asked]] = {}
        self._not_ours: list[Numbers] = []

    @property
    def elsewhere(self) -> Numbers:
        return np.concatenate([np.zeros(0, np.int64), *self._not_ours])

    def answers(self) -> Iterator[Answered]:
        try:
            for position, answer in self._executor.answers(self._requests()):
                number, item = self._in_flight[position]
                kept = self._kept(item, answer)
                del self._in_flight[position]
                yield Answered(number, item, kept, from_cache=False)
        finally:
            self._cache.release([item.key for _, item in self._in_flight.values()])

    def _kept(self, item: Asked, answer: Answer) -> Answer:
        """Return the answer as it is stored now; a failure is not, and its claim ends."""
        if isinstance(answer, Generation):
            return self._cache.commit(self._executor.model.identity, item.request, answer)
        self._cache.release([item.key])
        return answer

    def _requests(self) -> Iterator[Request]:
        """Yield the requests that are ours to ask, a portion being claimed when the executor wants it."""
        start = position = 0
        while start < len(self._numbers):
            portion = self._numbers[start : start + self._executor.portion]
            start += len(portion)
            items = [(int(number), self._asked[number]) for number in portion]
            held = self._cache.claim([item.key for _, item in items])
            ours = [(number, item) for number, item in items if item.key in held]
            self._not_ours.append(np.array([n for n, item in items if item.key not in held], np.int64))
            self._in_flight.update(enumerate(ours, start=position))
            for _, item in ours:
                yield item.request
            position += len(ours)
