"""Answers requests in this process, one batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalkit.errors import EvalkitError, RunError
from evalkit.interfaces import Model
from evalkit.models.turns import answers_in_turns
from evalkit.types import Answer, Failure, Request

AUTOMATIC_BATCH = 16
"""First batch size tried where the user names none; it halves when memory runs out."""


@dataclass(slots=True)
class LocalExecutor:
    """Asks `model` in this process. A batch that runs out of memory is halved and asked again.

    A batch that raises is asked again one request at a time, so that one poisonous request is one `Failure`.
    """

    model: Model
    batch: int = AUTOMATIC_BATCH

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position with its answer, as soon as it is there; every position exactly once.

        Raises:
            RunError: the model answers a position that was not asked, or one twice.
            EvalkitError: raised by the model itself, for a fault that would strike every request alike.
        """
        waiting = list(range(len(requests)))
        while waiting:
            batch = waiting[: self.batch]
            done: set[int] = set()
            fault: Exception | None = None
            try:
                for position, answer in self._ask(requests, batch):
                    done.add(position)
                    yield position, answer
            except EvalkitError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a model raises becomes a Failure
                fault = error
            left = [position for position in batch if position not in done]
            waiting = left + waiting[len(batch) :]
            if not left:
                continue
            if fault is not None and _out_of_memory(fault) and self.batch > 1:
                self.batch = max(1, len(batch) // 2)
                continue
            yield from self._singly(requests, left, fault)
            waiting = waiting[len(left) :]

    def _ask(self, requests: Sequence[Request], positions: Sequence[int]) -> Iterator[tuple[int, Answer]]:
        open_positions = set(positions)
        for index, answer in answers_in_turns(self.model, [requests[position] for position in positions]):
            position = positions[index] if 0 <= index < len(positions) else -1
            if position not in open_positions:
                raise RunError(
                    f"model {self.model.name} answered position {index} of a batch of {len(positions)}, which "
                    "was not asked or was answered already; its generate() must yield each position once"
                )
            open_positions.remove(position)
            yield position, answer

    def _singly(
        self, requests: Sequence[Request], positions: Sequence[int], fault: Exception | None
    ) -> Iterator[tuple[int, Answer]]:
        for position in positions:
            if fault is not None and len(positions) == 1:
                yield position, _failure(fault, 0.0)
                return
            start = time.perf_counter()
            try:
                answered = list(self._ask(requests, [position]))
            except EvalkitError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a model raises becomes a Failure
                yield position, _failure(error, time.perf_counter() - start)
                continue
            yield answered[0] if answered else (position, Failure("missing", "the model returned no answer"))


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _failure(error: Exception, seconds: float) -> Failure:
    return Failure("exception", f"{type(error).__name__}: {error}", seconds)
