"""Stand-ins at the edge: models and a task whose every call is counted. Nothing inside evalkit is replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from evalkit.images import image_of
from evalkit.interfaces import AnyMetric, DataCard, MetricResult, Scored
from evalkit.protocols import protocol
from evalkit.types import (
    IMAGE_JOBS,
    Answer,
    Estimate,
    Failure,
    Generation,
    Image,
    Job,
    JsonScalar,
    Request,
    Sample,
    Text,
)
from evalkit.workspace import Workspace


@dataclass
class CountingModel:
    """Answers with a small picture drawn from the seed and counts how often each sample was asked.

    `poison` samples raise, `mute` samples get no answer, and a batch above `memory` runs out of memory.
    """

    weights: str = "a"
    poison: frozenset[str] = frozenset()
    mute: frozenset[str] = frozenset()
    memory: int = 1000
    asked: Counter[str] = field(default_factory=Counter)
    batches: list[int] = field(default_factory=list)
    name: str = "counting"
    capabilities: frozenset[Job] = IMAGE_JOBS

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "counting", "weights": self.weights}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        self.batches.append(len(requests))
        if len(requests) > self.memory:
            raise MemoryError("too many at once")
        for position, request in enumerate(requests):
            self.asked[request.sample_id] += 1
            if request.sample_id in self.poison:
                raise ValueError(f"cannot draw {request.sample_id}")
            if request.sample_id in self.mute:
                continue
            pixels = np.random.default_rng(request.seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            yield position, Generation((image_of(pixels),))


@dataclass
class MeanBrightness:
    """The mean pixel value of all pictures, from a state that is a dict of sample id to brightness."""

    names: tuple[str, ...] = ("brightness",)
    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    def only(self, names: Collection[str]) -> MeanBrightness:
        assert set(names) == {"brightness"}
        return self

    def prepare(self) -> None:
        return None

    def backlog(self) -> int:
        return 0

    def start(self) -> dict[str, float]:
        return {}

    def update(self, state: dict[str, float], scored: Sequence[Scored]) -> dict[str, float]:
        from evalkit.images import pixels

        for item in scored:
            (picture,) = item.generation.parts
            assert isinstance(picture, Image)
            state[item.sample.id] = float(pixels(picture).mean())
        return state

    def merge(self, left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
        return left | right

    def finish(self, state: dict[str, float]) -> MetricResult:
        from evalkit.errors import NotEnoughSamples

        if not state:
            raise NotEnoughSamples("brightness needs at least one picture; none was given")
        used = protocol("brightness", {"code": 1})
        value = float(np.mean([state[key] for key in sorted(state)]))
        estimate = Estimate(value, len(state), "grey level", None, used.digest)
        return MetricResult({"brightness": estimate}, (used,), {"brightness": state}, {})


@dataclass
class TinyTask:
    """A task of `count` samples named s0, s1, ... whose prompts are their names."""

    count: int = 10
    workspace: Workspace = field(default_factory=Workspace)
    name: str = "tiny@1"
    job: Job = "text-to-image"
    data: DataCard = field(default_factory=lambda: DataCard("drawn", "0" * 64, "none", ("demo data",)))

    def samples(self) -> list[Sample]:
        return [Sample(f"s{i}", (Text(f"picture {i}"),), cluster=f"s{i}") for i in range(self.count)]

    def request(self, sample: Sample, seed: int) -> Request:
        return Request(self.name, sample.id, self.job, sample.parts, seed)

    def metrics(self) -> list[AnyMetric]:
        return [MeanBrightness()]


def failures(answers: Sequence[Answer]) -> list[Failure]:
    """The failures among `answers`."""
    return [answer for answer in answers if isinstance(answer, Failure)]
