"""What the captioning benchmarks share: a captioned set, a prompt, and the scores of captions.

A metric that every captioning benchmark shall have joins in `caption_metrics`: a `Scored` holds the picture as the
first of the sample's parts, the people's captions as its references, and the model's caption as the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from evalkit.errors import DataError, UsageError, nearest
from evalkit.features.encoder import encoder
from evalkit.interfaces import AnyMetric, DataCard
from evalkit.metrics.captions.coco_caption import CaptionMetric
from evalkit.metrics.captions.jars import JarMetric, Meteor
from evalkit.metrics.captions.spice import Spice
from evalkit.metrics.optional import OptionalMetric
from evalkit.metrics.pictures.clipscore import clipscore_metrics
from evalkit.types import Job, JsonScalar, Request, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.coco import CaptionSet, Photo
from evalkit_tasks.prompts import Prompt
from evalkit_tasks.shown import ShownSamples, named_picture

BACKBONE = "openai-vit-b32"
"""The CLIP of CLIPScore and RefCLIPScore, as published."""


@dataclass(frozen=True, slots=True)
class CaptionTask:
    """A captioning benchmark: each captioned picture of a set is shown once."""

    workspace: Workspace
    name: str
    """Versioned name."""
    captions: CaptionSet
    prompt: Prompt
    by: tuple[str, ...] = ()
    """Strata that CIDEr-D is taken within as well."""

    @property
    def job(self) -> Job:
        """What its requests ask for."""
        return "captioning"

    @property
    def data(self) -> DataCard:
        """The captioned set."""
        return DataCard(self.captions.name, self.captions.digest, self.captions.licence, self.captions.stamps)

    def samples(self) -> Sequence[Sample]:
        """Return one sample a captioned picture, named by its image id, in the order of the caption file."""
        asked = [photo for photo in self.captions.photos if photo.captions]
        if not asked:
            raise DataError(
                f"{self.captions.name} has no captions to compare with; choose another split with -t split="
            )
        pictures = [named_picture(f"image {photo.id}", photo.picture) for photo in asked]
        return ShownSamples(self.workspace, [_sample(photo) for photo in asked], pictures)

    def request(self, sample: Sample, seed: int) -> Request:
        """Return the picture with the words of the prompt."""
        words = (Text(self.prompt.text),) if self.prompt.text else ()
        return Request(task=self.name, sample_id=sample.id, job=self.job, parts=(*sample.parts, *words), seed=seed)

    def metrics(self) -> Sequence[AnyMetric]:
        """Return the scores of captions."""
        fields = {"data": self.captions.name, "prompt": self.prompt.field}
        return caption_metrics(self.workspace, fields, self.by)


def captioned(
    workspace: Workspace, options: Mapping[str, str], name: str, official: Callable[[Path, str], CaptionSet]
) -> tuple[Workspace, CaptionSet]:
    """Return the captioned set that is asked for, and the workspace with what was chosen.

    `official(directory, split)` reads the benchmark's own files, from `--data-dir` or the datasets' folder `name`.

    Raises:
        UsageError: no such data.
        DataError: the data are missing or malformed.
    """
    asked = workspace.data or name
    if asked.startswith("hf:"):
        from evalkit_tasks.hub import hub_set

        return replace(workspace, data=asked, data_dir=None), hub_set(workspace, asked[3:], options)
    if asked != name:
        raise UsageError(f"no data named {asked!r} for this task{nearest(asked, (name, 'hf:REPO@REVISION'))}")
    directory = workspace.data_dir or workspace.datasets / name
    found = official(directory, options.get("split", ""))
    return replace(workspace, data=name, data_dir=directory), found


def caption_metrics(
    workspace: Workspace, fields: Mapping[str, JsonScalar], by: Sequence[str] = ()
) -> tuple[AnyMetric, ...]:
    """Return the metrics of every captioning benchmark; `fields` go into their protocols.

    METEOR and SPICE, which need Java, and CLIPScore and RefCLIPScore, which need weights, are left out where those are
    not on this machine, unless they are asked for by name.
    """
    jars = [JarMetric(scorer, fields) for scorer in (Meteor(), Spice())]
    clip = encoder(workspace, BACKBONE)
    return (
        CaptionMetric(fields, by=by),
        *(OptionalMetric(jar, jar.scorer.missing) for jar in jars),
        *(
            OptionalMetric(metric, partial(clip.missing, texts=True))
            for metric in clipscore_metrics(workspace, clip, "clipscore", fields)
        ),
    )


def _sample(photo: Photo) -> Sample:
    people = tuple(Text(caption.text) for caption in photo.captions)
    return Sample(str(photo.id), (), people, photo.strata, str(photo.id))
