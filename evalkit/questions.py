"""What a run asks: every sample with its request and key, made when it is looked at, so that none is kept in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from evalkit.errors import RunError
from evalkit.interfaces import Task
from evalkit.keys import request_key, sample_seed
from evalkit.types import Image, JsonScalar, LabelMap, Mask, Part, Request, Sample, Text

PATCH = 16
"""Side in pixels of the piece of a picture that counts as one token."""
LETTERS = 4
"""Letters of text that count as one token."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A sample with the request made of it and the key that its answer is stored under."""

    sample: Sample
    request: Request
    key: str


@dataclass(frozen=True, slots=True)
class Seeding:
    """What the samples' seeds are made of besides their ids: the run's seed, and which repeat of it this is."""

    seed: int
    repeat: int = 0


class Questions(Sequence[Asked]):
    """The samples of a run in the task's order, each made into a request when it is looked at.

    `overrides` are fields that every request gets.

    Raises:
        RunError: two samples have the same id.
    """

    def __init__(
        self,
        task: Task,
        samples: Sequence[Sample],
        identity: Mapping[str, JsonScalar],
        seeding: Seeding,
        overrides: Mapping[str, JsonScalar],
    ) -> None:
        self._task = task
        self._samples = samples
        self._identity = identity
        self._seeding = seeding
        self._overrides = overrides
        _require_distinct(task.name, samples)

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Asked: ...

    @overload
    def __getitem__(self, index: slice) -> list[Asked]: ...

    def __getitem__(self, index: int | slice) -> Asked | list[Asked]:
        if isinstance(index, slice):
            return [self._asked(self._samples[number]) for number in range(*index.indices(len(self)))]
        return self._asked(self._samples[index])

    def _asked(self, sample: Sample) -> Asked:
        task = self._task
        request = task.request(sample, sample_seed(task.name, sample.id, self._seeding.repeat, self._seeding.seed))
        if self._overrides:
            request = replace(request, **self._overrides)  # type: ignore[arg-type]  # parse_gen made the types fit
        return Asked(sample, request, request_key(self._identity, request))


def _require_distinct(task: str, samples: Sequence[Sample]) -> None:
    hashes = np.fromiter((hash(sample.id) for sample in samples), np.int64, len(samples))
    if len(np.unique(hashes)) == len(samples):
        return
    seen: set[str] = set()  # two ids may share a hash: only now is every id kept
    for sample in samples:
        if sample.id in seen:
            raise RunError(f"{task} has two samples of id {sample.id!r}; its data must name each once")
        seen.add(sample.id)


def work(request: Request) -> float:
    """Return about how much work an answer takes, in tokens: what is read, and as far as it is known what is made.

    It orders requests, the longest first: batches are then of a kind, memory that does not suffice shows at once, and
    the last workers of a run end at about the same time.

    >>> work(Request("t@1", "a", "vqa", (Text("eight letters"),), seed=0, max_tokens=10))
    13.25
    """
    pixels = (request.width or 0) * (request.height or request.width or 0)
    made = (request.steps or 1) * pixels / PATCH**2 + (request.max_tokens or 0)
    return request.best_of * made + _read(request.parts)


def _read(parts: Iterable[Part]) -> float:
    tokens = 0.0
    for part in parts:
        if isinstance(part, Text):
            tokens += len(part.text) / LETTERS
        elif isinstance(part, (Image, Mask, LabelMap)):
            picture = part if isinstance(part, Image) else part.image
            tokens += picture.width * picture.height / PATCH**2
    return tokens
