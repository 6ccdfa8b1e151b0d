"""What a model, a metric and a task must offer, and the specs by which rooms announce theirs.

A room or a third party announces tables of specs through the entry points `evalkit.tasks`, `evalkit.models`,
`evalkit.data` and `evalkit.reports`. A spec is data: listing it imports nothing heavy; `factory` names the code as
`package.module:name`, whose shape is in `evalkit.factories`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from evalkit.anchors import Anchor
from evalkit.protocols import Protocol as MeasurementProtocol
from evalkit.types import (
    Answer,
    Estimate,
    Generation,
    Job,
    JsonScalar,
    Request,
    Sample,
    Unavailable,
)
from evalkit.workspace import Workspace

S = TypeVar("S")


class Model(Protocol):
    """Something that answers requests."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """All that decides its answers apart from the request: digests of weights and code, precision, libraries.

        Its digest is the model's fingerprint. Two models that could answer differently differ here.
        """
        ...

    @property
    def capabilities(self) -> frozenset[Job]:
        """The jobs that it can be asked to do."""
        ...

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position in `requests` with its answer, as soon as it is ready, in any order.

        The answer to a request does not depend on the other requests. What cannot be answered is a `Failure`; an
        exception fails the whole batch, whose requests are then asked one by one.
        """
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """An answered sample on its way to the metrics."""

    sample: Sample
    generation: Generation


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What a metric found.

    `per_sample` maps a score's name to the score of each sample id. `protocols` holds each protocol whose digest stands
    on an estimate. `series` holds curves for plots by name: pairs of x and y (`fid_by_n`). `files` holds texts that are
    to lie beside `run.json`, by file name: what a benchmark's server wants to be sent.
    """

    estimates: Mapping[str, Estimate | Unavailable]
    protocols: tuple[MeasurementProtocol, ...]
    per_sample: Mapping[str, Mapping[str, float]]
    series: Mapping[str, tuple[tuple[float, float], ...]]
    files: Mapping[str, str] = field(default_factory=dict)
    stamps: tuple[str, ...] = ()
    """Words that follow every number of the run, such as how many answers could not be judged."""


class Metric(Protocol[S]):
    """A way to score answered samples. States merge, so shards do; `merge` leaves both of its arguments unusable."""

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes, by the names that `--metrics` takes."""
        ...

    def only(self, names: Collection[str]) -> Metric[S]:
        """Return this metric making only the estimates of these names, all of which are among its `names`."""
        ...

    @property
    def estimator(self) -> Literal["mean", "corpus", "distribution"]:
        """What kind of number it makes, which decides how its uncertainty is found."""
        ...

    def prepare(self) -> None:
        """Find everything that scoring needs (weights, references), before anything is generated.

        Raises:
            WeightsError: a weight file cannot be had.
            DataError: the references are missing or malformed.
        """
        ...

    def backlog(self) -> int:
        """Return how many items it must read besides the answers: references that are not in its cache."""
        ...

    def start(self) -> S:
        """Return the state of no samples."""
        ...

    def update(self, state: S, scored: Sequence[Scored]) -> S:
        """Return `state` with these samples added; the order of samples does not change the result."""
        ...

    def merge(self, left: S, right: S) -> S:
        """Return the state of both sides' samples."""
        ...

    def finish(self, state: S) -> MetricResult:
        """Return the estimates.

        Raises:
            NotEnoughSamples: fewer samples than the estimator is defined for.
        """
        ...


AnyMetric: TypeAlias = Metric[Any]
"""A metric whose state only itself knows."""


@dataclass(frozen=True, slots=True)
class DataCard:
    """The data that a task reads: its name and digest, and what stamps its numbers carry.

    `stamps` are words that follow every number made on it (`demo data`): a stamped number is never ranked.
    """

    name: str
    digest: str
    licence: str
    stamps: tuple[str, ...] = ()


class Task(Protocol):
    """A benchmark on one dataset, ready to be asked."""

    @property
    def name(self) -> str:
        """Versioned name: `coco_fid@1`."""
        ...

    @property
    def job(self) -> Job:
        """What its requests ask for."""
        ...

    @property
    def data(self) -> DataCard:
        """The data that it reads."""
        ...

    @property
    def workspace(self) -> Workspace:
        """The workspace that it was built in, its `data` and `data_dir` replaced by what was chosen."""
        ...

    def samples(self) -> Sequence[Sample]:
        """Return every test item, in the order that `--limit` counts in."""
        ...

    def request(self, sample: Sample, seed: int) -> Request:
        """Return what a model is asked about `sample`, before `--gen` settings; it is called more than once."""
        ...

    def metrics(self) -> Sequence[AnyMetric]:
        """Return the task's metrics, set up but not prepared."""
        ...


@dataclass(frozen=True, slots=True)
class Option:
    """A `key=value` that a task (`-t`) or a model (`-a`) understands."""

    name: str
    default: str
    summary: str


@dataclass(frozen=True, slots=True)
class Need:
    """A program or an optional package that some metrics of a task need, and how to get it."""

    name: str
    """What it is looked for as: a program on the path, or a package as Python imports it."""
    kind: Literal["program", "package"]
    get: str
    metrics: str
    """The metrics that need it, for people."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """How a task announces itself. `factory(workspace, protocol, options)` builds it: see `factories.TaskFactory`."""

    name: str
    version: int
    job: Job
    summary: str
    factory: str
    data: tuple[str, ...]
    """Names that `--data` understands, the first that is present being the default."""
    metrics: tuple[str, ...]
    protocols: tuple[str, ...]
    """Names that `--protocol` understands, the first being the default."""
    weights: tuple[str, ...] = ()
    """Names in the weights table that its metrics read."""
    needs: tuple[Need, ...] = ()
    options: tuple[Option, ...] = ()
    citation: str = ""
    licence: str = ""
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How a model announces itself. `factory(workspace, argument, options)` builds it: see `factories.ModelFactory`."""

    name: str
    summary: str
    factory: str
    jobs: tuple[Job, ...]
    argument: str = ""
    """What stands behind the colon in `-m name:argument`: `DIR` where something must, `[NAME]` where it may be left
    out with the colon; empty where nothing may stand there."""
    options: tuple[Option, ...] = ()
    licence: str = ""
    """What its weights may be used for, where they have a licence of their own."""


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """How a report announces itself. `factory(runs, output, workspace)` writes it: see `factories.ReportFactory`."""

    name: str
    summary: str
    factory: str
    suffix: str
    """Ending of the file that it writes: `.html`; empty for a folder."""
    command: str = "report"
    """The command that writes it: `report`, `compare`, `leaderboard`, `export`."""


@dataclass(frozen=True, slots=True)
class DataSpec:
    """How a dataset announces itself: `evalkit fetch NAME` calls `factory`, `evalkit ls data` calls `locate`.

    See `factories.DataFetcher` and `factories.DataLocator` for what the two must be.
    """

    name: str
    summary: str
    factory: str
    locate: str
    licence: str
    size: str
    """What fetching it takes, for people: `6.9 GB`."""
    options: tuple[Option, ...] = ()
    embedded: bool = False
    """Whether it is part of its package, and so always here."""
