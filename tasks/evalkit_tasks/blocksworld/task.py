"""What the tasks on the held-out set share: how they ask, and how the oracle reads what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.errors import RunError
from evalkit.images import Pixels, pixels
from evalkit.interfaces import AnyMetric, DataCard, Scored
from evalkit.metrics.means import Judge, MeanMetric, Measure
from evalkit.types import Image, Job, Request, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.files import DIGEST
from evalkit_tasks.blocksworld.held_out import LICENCE, NAME, data_fields
from evalkit_tasks.blocksworld.judging import JUDGE, JUDGE_VERSION
from evalkit_tasks.blocksworld.oracle import Reading, read

PROTOCOL = "blocksworld-oracle"


@dataclass(frozen=True, slots=True)
class HeldOutTask:
    """A benchmark on the held-out set: its samples are asked as they are, nothing is added."""

    workspace: Workspace
    name: str
    """Versioned name."""
    job: Job
    asked: tuple[Sample, ...]
    scoring: tuple[AnyMetric, ...]

    @property
    def data(self) -> DataCard:
        """The held-out set, by the digest of all of its files."""
        return DataCard(NAME, DIGEST, LICENCE)

    def samples(self) -> Sequence[Sample]:
        """Return every item."""
        return self.asked

    def request(self, sample: Sample, seed: int) -> Request:
        """Return the sample's parts as a request; size and steps are the model's own."""
        return Request(task=self.name, sample_id=sample.id, job=self.job, parts=sample.parts, seed=seed)

    def metrics(self) -> Sequence[AnyMetric]:
        """Return the task's metrics."""
        return self.scoring


def judged_metric(prompt: str, measures: Sequence[Measure], judge: Judge) -> MeanMetric:
    """Return the metric of these measures; its protocol names the judge, the data and the prompt."""
    fields = {**data_fields(prompt), "judge": JUDGE, "judge_version": JUDGE_VERSION}
    return MeanMetric(PROTOCOL, fields, measures, judge)


def answered_pixels(scored: Scored) -> Pixels:
    """Return the pixels `(H, W, 3)` of the one picture that an answer holds.

    Raises:
        RunError: it does not hold exactly one.
        CacheError: the picture cannot be read.
    """
    pictures = [part for part in scored.generation.parts if isinstance(part, Image)]
    if len(pictures) != 1:
        raise RunError(
            f"the answer to sample {scored.sample.id!r} holds {len(pictures)} pictures, not 1; mend the model"
        )
    return pixels(pictures[0])


def answered_reading(scored: Scored) -> Reading:
    """Return what the oracle reads from the one picture that an answer holds.

    Raises:
        RunError: it does not hold exactly one.
        CacheError: the picture cannot be read.
    """
    return read(answered_pixels(scored))


def answered_text(scored: Scored) -> str:
    """Return the one text that an answer holds.

    Raises:
        RunError: it does not hold exactly one.
    """
    texts = [part.text for part in scored.generation.parts if isinstance(part, Text)]
    if len(texts) != 1:
        raise RunError(f"the answer to sample {scored.sample.id!r} holds {len(texts)} texts, not 1; mend the model")
    return texts[0]
