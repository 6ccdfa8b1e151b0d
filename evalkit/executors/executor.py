"""What an executor must offer: something that puts requests to a model, somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from evalkit.interfaces import Model
from evalkit.types import Answer, Job, JsonScalar, Request


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model that is not in this process: see `evalkit.interfaces.Model` for the three."""

    name: str
    identity: Mapping[str, JsonScalar]
    capabilities: frozenset[Job]


class Executor(Protocol):
    """Puts requests to one model and never loses one."""

    @property
    def model(self) -> Model | ModelCard:
        """The model, or the card of one that runs elsewhere."""
        ...

    @property
    def portion(self) -> int:
        """How many requests it takes up at a time, so that none of its workers waits."""
        ...

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position with its answer, as soon as it is there; every position exactly once.

        `requests` is read only as far as there is room to ask, so that it may be longer than memory.

        Raises:
            RunError: the model answers a position that was not asked, or one twice.
            EvalkitError: raised by the model itself, for a fault that would strike every request alike.
        """
        ...
