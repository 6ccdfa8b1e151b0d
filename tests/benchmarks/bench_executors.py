"""Prints what executors cost: the harness's overhead a sample, how workers scale, and the driver's memory.

    python tests/benchmarks/bench_executors.py [SAMPLES [MEMORY_SAMPLES]]

Overhead is the time of a whole run (ask, claim, commit, score, write) of a model that does nothing. Scaling is the rate
of answers of a model that computes on one thread, from the first answer on, so that starting is left out. Memory is the
resident memory of the driver after each tenth of a run of many tiny requests.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, overload

import ray

from evalkit.cache import Cache
from evalkit.executors.batches import BatchSizes
from evalkit.executors.executor import Executor
from evalkit.executors.local import LocalExecutor
from evalkit.executors.ray import RayExecutor
from evalkit.executors.ray_cluster import RaySettings
from evalkit.interfaces import AnyMetric, DataCard, MetricResult, Model, Scored
from evalkit.progress import Bar
from evalkit.runner import RunSettings, run_with
from evalkit.types import Answer, Generation, Job, JsonScalar, Request, Sample, Text
from evalkit.workspace import Workspace

PAGE = os.sysconf("SC_PAGE_SIZE")
BATCH = 16
SPIN = 400_000
"""Steps of the computing model: about 20 ms."""


@dataclass(frozen=True)
class Tiny:
    """Answers at once, or after `spin` steps of computing."""

    spin: int = 0
    name: str = "tiny"
    capabilities: frozenset[Job] = frozenset({"vqa"})

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "tiny", "spin": self.spin}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, _ in enumerate(requests):
            total = 0
            for step in range(self.spin):
                total += step * step
            yield position, Generation((Text(f"yes {total}"),))


@dataclass(frozen=True)
class Build:
    """Builds the model at a worker."""

    model: Tiny

    def __call__(self, workspace: Workspace) -> Model:
        return self.model


class Count:
    """Counts answers; its state is one number."""

    names = ("count",)
    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    def only(self, names: Collection[str]) -> Count:
        return self

    def prepare(self) -> None:
        return None

    def backlog(self) -> int:
        return 0

    def start(self) -> int:
        return 0

    def update(self, state: int, scored: Sequence[Scored]) -> int:
        return state + len(scored)

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, state: int) -> MetricResult:
        return MetricResult({}, (), {}, {})


@dataclass(frozen=True)
class Samples(Sequence[Sample]):
    """Samples that are made when they are looked at."""

    numbers: range

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Samples: ...

    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, slice):
            return Samples(self.numbers[index])
        return Sample(f"s{self.numbers[index]}", (Text("Is it?"),))


@dataclass
class Watch:
    """Notes the moment and the driver's resident memory at the first answer and after each tenth."""

    total: int = 0
    done: int = 0
    moments: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def bar(self, what: str, total: int | None, unit: str) -> Bar:
        self.total = total or 0
        return self

    def say(self, line: str) -> None:
        print(f"  {line}")

    def advance(self, steps: int = 1) -> None:
        self.done += steps
        if self.done == 1 or self.done % max(1, self.total // 10) == 0:
            self.moments.append(time.perf_counter())
            resident = int(Path("/proc/self/statm").read_text().split()[1])
            self.megabytes.append(resident * PAGE / 1e6)

    def close(self) -> None:
        return None


@dataclass
class Plain:
    """A task of `count` tiny questions."""

    count: int
    workspace: Workspace
    name: str = "plain@1"
    job: Job = "vqa"
    data: DataCard = field(default_factory=lambda: DataCard("made", "0" * 64, "none"))

    def samples(self) -> Sequence[Sample]:
        return Samples(range(self.count))

    def request(self, sample: Sample, seed: int) -> Request:
        return Request(self.name, sample.id, self.job, sample.parts, seed)

    def metrics(self) -> Sequence[AnyMetric]:
        return [Count()]


@contextmanager
def on_ray(model: Tiny, workers: int) -> Iterator[Executor]:
    """The model in so many workers."""
    workspace = Workspace(batch=BATCH)
    with RayExecutor(Build(model), workspace, RaySettings(workers=workers, gpus_per_worker=0)) as executor:
        if workers > 1:  # all of them hold the model before the clock starts
            request = Request("warm@1", "s", "vqa", (Text("?"),), 0)
            list(executor.answers([request] * BATCH * 20))
        yield executor


@contextmanager
def here(model: Tiny) -> Iterator[Executor]:
    """The model in this process."""
    yield LocalExecutor(model, BatchSizes(BATCH))


def run(executor: Executor, count: int) -> tuple[float, Watch]:
    """Seconds that a whole run takes, and what was watched meanwhile."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder, Cache(Path(folder) / "cache") as cache:
        task = Plain(count, Workspace(cache=cache.directory, progress=watch))
        start = time.perf_counter()
        found, _ = run_with(task, executor, cache, RunSettings(), Path(folder) / "runs")
        seconds = time.perf_counter() - start
    if found.coverage.answered != count:
        raise SystemExit("answers are missing")
    return seconds, watch


def overhead(count: int) -> None:
    """Print the milliseconds a sample of a run whose model does nothing."""
    print(f"overhead of a run of {count:,} samples, ms a sample")
    ways = {"local": here(Tiny()), **{f"ray, {n} workers": on_ray(Tiny(), n) for n in (1, 2)}}
    for what, opened in ways.items():
        with opened as executor:
            seconds, _ = run(executor, count)
        print(f"  {what:<16} {1e3 * seconds / count:6.3f}")


def scaling(count: int) -> None:
    """Print the rate of answers of one and two workers on a model that computes on one thread."""
    print(f"rate of a model that computes about 20 ms an answer, {count} samples, answers a second")
    rates: dict[int, float] = {}
    for workers in (1, 2):
        with on_ray(Tiny(SPIN), workers) as executor:
            _, watch = run(executor, count)
        rates[workers] = (count - 1) / (watch.moments[-1] - watch.moments[0])
        print(f"  ray, {workers} workers   {rates[workers]:6.1f}   x {rates[workers] / rates[1]:.2f}")


def memory(count: int) -> None:
    """Print the driver's memory along a run of many tiny requests."""
    for what, opened in (("local", here(Tiny())), ("ray, 2 workers", on_ray(Tiny(), 2))):
        with opened as executor:
            seconds, watch = run(executor, count)
        tenths = " ".join(f"{megabytes:.0f}" for megabytes in watch.megabytes)
        grown = 1e6 * (watch.megabytes[-1] - watch.megabytes[1]) / (0.9 * count)
        print(f"memory of the driver, {what}, {count:,} samples in {seconds:.0f} s: at the first and each tenth, MB")
        print(f"  {tenths}   from the first tenth on {grown:.0f} bytes a sample")


def main(count: int = 5000, memory_count: int = 20_000) -> None:
    """Run all three, each with a Ray of its own."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]  # Ray types it not
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    print(f"{os.cpu_count()} CPUs, of which others take {os.getloadavg()[0]:.1f}: a busy machine scales no further")
    overhead(count)
    scaling(max(100, count // 10))
    memory(memory_count)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
