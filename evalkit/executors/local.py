"""Answers requests in this process, one batch at a time."""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from evalkit.errors import EvalkitError, RunError
from evalkit.executors.batches import FIRST, BatchSizes
from evalkit.interfaces import Model
from evalkit.models.turns import answers_in_turns
from evalkit.types import Answer, Failure, Request
from evalkit.workspace import Workspace

PORTION = 4
"""Batches that are taken up at a time: few, so that several processes share a task's samples."""

Placed = tuple[int, Request]
"""A request and its position among all."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What a model raised, without its frames: they hold the memory that the next try needs."""

    failure: Failure
    of_memory: bool


@dataclass(slots=True)
class LocalExecutor:
    """Asks `model` in this process. A batch that runs out of memory is halved and asked again.

    A batch that raises is asked again one request at a time, so that one poisonous request is one `Failure`.
    """

    model: Model
    sizes: BatchSizes = field(default_factory=BatchSizes)
    batch: int = 0
    """Size of the latest batch; before the first one, a guess."""

    def __post_init__(self) -> None:
        self.batch = self.batch or self.sizes.fixed or FIRST

    @property
    def portion(self) -> int:
        """How many requests it takes up at a time."""
        return PORTION * self.batch

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position with its answer, as soon as it is there; every position exactly once.

        Raises:
            RunError: the model answers a position that was not asked, or one twice.
            EvalkitError: raised by the model itself, for a fault that would strike every request alike.
        """
        source = iter(enumerate(requests))
        waiting = deque(islice(source, 1))
        while waiting:
            job = waiting[0][1].job
            size = self.sizes.of_job(job)
            self.batch = size.size
            waiting.extend(islice(source, max(0, size.size - len(waiting))))
            batch = [waiting.popleft() for _ in range(min(size.size, len(waiting)))]
            left, fault = yield from self._attempt(batch)
            if not left:
                size.fitted(len(batch))
            elif fault is not None and fault.of_memory and len(batch) > 1:
                size.ran_out(len(batch))
                waiting.extendleft(reversed(left))
                _free_memory()
            else:
                yield from self._singly(left, fault)
            self.sizes.keep(job)
            waiting.extend(islice(source, 0 if waiting else 1))

    def _attempt(
        self, batch: Sequence[Placed]
    ) -> Generator[tuple[int, Answer], None, tuple[list[Placed], _Fault | None]]:
        """Yield the answers to a batch; return what was not answered, and what was raised meanwhile."""
        open_places = dict(enumerate(batch))
        start = time.perf_counter()
        fault = None
        try:
            for index, answer in answers_in_turns(self.model, [request for _, request in batch]):
                if index not in open_places:
                    raise RunError(
                        f"model {self.model.name} answered position {index} of a batch of {len(batch)}, which "
                        "was not asked or was answered already; its generate() must yield each position once"
                    )
                yield open_places.pop(index)[0], answer
        except EvalkitError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model raises becomes a Failure
            failure = Failure("exception", f"{type(error).__name__}: {error}", time.perf_counter() - start)
            fault = _Fault(failure, _is_of_memory(error))
        return list(open_places.values()), fault

    def _singly(self, places: Sequence[Placed], fault: _Fault | None) -> Iterator[tuple[int, Answer]]:
        """Yield an answer or a failure to each; one that stood alone when it raised is not asked again."""
        if fault is not None and len(places) == 1:
            yield places[0][0], fault.failure
            return
        for place in places:
            left, raised = yield from self._attempt([place])
            if left:
                yield place[0], raised.failure if raised else Failure("missing", "the model returned no answer")


def batch_sizes(model: Model, workspace: Workspace) -> BatchSizes:
    """Return the batch sizes for the model: the user's, or what is found and remembered beside the answers."""
    return BatchSizes(workspace.batch, workspace.device, workspace.cache / "batches", model.identity)


def _is_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def _free_memory() -> None:
    """Give back what the failed batch held."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
