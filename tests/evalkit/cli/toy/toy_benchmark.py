"""A third party's package: sums put to models that need no weights and no data, as fast as Python starts."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalkit.errors import WeightsError
from evalkit.interfaces import AnyMetric, DataCard, DataSpec, MetricResult, ModelSpec, Option, Scored, TaskSpec
from evalkit.protocols import protocol
from evalkit.types import Answer, Estimate, Failure, Generation, Interval, Job, JsonScalar, Request, Sample, Text
from evalkit.workspace import Workspace

PROTOCOL = protocol("toy", {"version": 1})


class Exactness:
    """The share of right sums."""

    names = ("exactness",)
    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    def only(self, names: Collection[str]) -> Exactness:
        return self

    def prepare(self) -> None:
        """Nothing is needed."""

    def backlog(self) -> int:
        return 0

    def start(self) -> dict[str, float]:
        return {}

    def update(self, state: dict[str, float], scored: Sequence[Scored]) -> dict[str, float]:
        right = {s.sample.id: float(s.generation.parts == s.sample.references) for s in scored}
        return {**state, **right}

    def merge(self, left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
        return {**left, **right}

    def finish(self, state: dict[str, float]) -> MetricResult:
        value = sum(state.values()) / max(1, len(state))
        interval = Interval(0.0, 1.0, 0.95, "none")
        estimate = Estimate(value, len(state), "share", True, PROTOCOL.digest, interval, ("toy numbers mean nothing",))
        return MetricResult({"exactness": estimate}, (PROTOCOL,), {"exactness": state}, {})


@dataclass(frozen=True, slots=True)
class Sums:
    """A task of small sums."""

    workspace: Workspace
    count: int
    broken: bool

    @property
    def name(self) -> str:
        return "broken_sums@1" if self.broken else "sums@1"

    @property
    def job(self) -> Job:
        return "vqa"

    @property
    def data(self) -> DataCard:
        return DataCard("toy", "0" * 64, "none", ("toy data",))

    def samples(self) -> Sequence[Sample]:
        if self.broken:
            raise WeightsError("the toy's weights are broken; there are none to mend")
        return [Sample(f"sum-{i}", (Text(f"{i} + {i}"),), (Text(str(2 * i)),)) for i in range(self.count)]

    def request(self, sample: Sample, seed: int) -> Request:
        return Request(self.name, sample.id, self.job, sample.parts, seed)

    def metrics(self) -> Sequence[AnyMetric]:
        return (Exactness(),)


@dataclass(frozen=True, slots=True)
class Adder:
    """Adds; from sample `fail_from` on it fails, and each answer takes `seconds`."""

    fail_from: int
    seconds: float

    @property
    def name(self) -> str:
        return "adder"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"code": "toy-adder-1"}

    @property
    def capabilities(self) -> frozenset[Job]:
        return frozenset({"vqa"})

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for index, request in enumerate(requests):
            print("a model may talk", file=sys.stdout)
            time.sleep(self.seconds)
            number = int(request.sample_id.removeprefix("sum-"))
            if number >= self.fail_from:
                yield index, Failure("refusal", f"too tired for {number}")
            else:
                yield index, Generation((Text(str(2 * number)),))


def sums(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> Sums:
    return Sums(workspace, int(options.get("count", "6")), broken=False)


def broken_sums(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> Sums:
    return Sums(workspace, 6, broken=True)


def adder(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Adder:
    if options.get("crash"):
        raise ZeroDivisionError("a bug of the toy")
    workspace.progress.say("the adder warms up")
    return Adder(int(options.get("fail_from", "1000000")), float(options.get("seconds", "0")))


def fetch_numbers(workspace: Workspace, options: Mapping[str, str]) -> list[Path]:
    path = workspace.datasets / f"numbers-{options.get('part', 'odd')}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1 3 5")
    return [path]


def locate_numbers(workspace: Workspace) -> list[tuple[str, Path | None]]:
    paths = [(part, workspace.datasets / f"numbers-{part}.txt") for part in ("odd", "even")]
    return [(part, path if path.exists() else None) for part, path in paths]


DATA = (
    DataSpec(
        "numbers",
        "odd and even numbers",
        "toy_benchmark:fetch_numbers",
        "toy_benchmark:locate_numbers",
        "none",
        "5 B",
        options=(Option("part", "odd", "odd or even"),),
    ),
)
TASKS = (
    TaskSpec(
        "sums",
        1,
        "vqa",
        "small sums",
        "toy_benchmark:sums",
        ("toy",),
        ("exactness",),
        ("toy",),
        options=(Option("count", "6", "how many sums"),),
    ),
    TaskSpec(
        "broken_sums", 1, "vqa", "sums that break", "toy_benchmark:broken_sums", ("toy",), ("exactness",), ("toy",)
    ),
)
MODELS = (
    ModelSpec(
        "adder",
        "adds",
        "toy_benchmark:adder",
        ("vqa",),
        options=(
            Option("fail_from", "1000000", "first sum that fails"),
            Option("seconds", "0", "what an answer takes"),
            Option("crash", "", "crash if set"),
        ),
    ),
)
