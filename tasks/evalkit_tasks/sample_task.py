"""A benchmark whose samples are asked as they are: what tasks share that only differ in data and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from evalkit.interfaces import AnyMetric, DataCard
from evalkit.types import Job, JsonScalar, Request, Sample
from evalkit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Samples, how each is asked, and the metrics. `settings` are fields that every request gets."""

    workspace: Workspace
    name: str
    """Versioned name."""
    job: Job
    data: DataCard
    asked: Sequence[Sample]
    scoring: tuple[AnyMetric, ...]
    settings: Mapping[str, JsonScalar] = field(default_factory=dict)

    def samples(self) -> Sequence[Sample]:
        """Return every item."""
        return self.asked

    def request(self, sample: Sample, seed: int) -> Request:
        """Return the sample's parts as a request, with the task's settings."""
        asked = Request(task=self.name, sample_id=sample.id, job=self.job, parts=sample.parts, seed=seed)
        return replace(asked, **self.settings)  # type: ignore[arg-type]  # the fields are named by this room's tasks

    def metrics(self) -> Sequence[AnyMetric]:
        """Return the task's metrics."""
        return self.scoring
