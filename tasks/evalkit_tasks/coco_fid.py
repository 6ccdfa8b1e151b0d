"""COCO FID: pictures made from MS-COCO captions against the real photos (`coco_fid@1`, text-to-image).

One item of val2017: photo 000000397133.jpg, caption 370509,

    A man is in a kitchen making pizzas.

The model is asked for a picture of that caption, with white space collapsed and nothing added. The Frechet distance
(and KID, precision, recall, density, coverage) is taken between all of its pictures and the real ones.

Protocol. 30,000 prompts are drawn at random from the captions of val2014, and what is made of them is compared with the
photos of the full validation set (as Imagen has it, arXiv:2205.11487). There is no official list of prompts and no
official seed, so every choice that moves the number is a field of the protocol that stands on it:

    captions              how many were asked for: 30,000 of val2014's 202,654; fewer where there are fewer
    caption_list          digest of which ones, of which photos, and how they read
    caption_selection     `seed N`: the first by SHA-256 of (N, caption id); `list`: a file
    captions_per_image    `any` on a set of 30,000 photos or more, as the field draws; else 1, so that what a photo
                          shows is not made several times where the reference has it once
    reference             `full`: every photo of the split; `same`: those of the chosen captions
    reference_images      how many photos that is
    prompt                how a caption becomes a prompt

and those of the extractor: resize, crop, antialias, quantisation, weights, and the digest of the reference (see
`evalkit.metrics`). The field differs in each of them: the reference (CompVis/stable-diffusion issue 333), the split
(CompVis/latent-diffusion issue 88: 12.79 against the training set is 19.11 against val), crop and resize (GigaGAN crops
and resizes to 256 by Lanczos: protocol `coco-256`), best-of-n (CM3Leon re-ranks 8, Parti 16: `--gen best_of=8`).

Pitfalls. FID is biased in n, by an amount that depends on the model (arXiv:1911.07023): those of different n do not
compare.

Anchors, zero-shot FID-30K on val2014 as published; each under its own protocol: Stable Diffusion 12.60 (as CM3Leon's
table has it; 8.59 and 9.62 elsewhere), GigaGAN 9.09 (reproduced at 9.06), Imagen 7.27, Parti-20B 7.23, CM3Leon-7B 10.82
without retrieval, 5.78 with one document and 4.88 with two, CM3Leon-760M 6.61, CM3Leon-350M 14.20 (arXiv:2309.02591).

There is no official scorer. The protocols are those of toshas/torch-fidelity 0.4.0, mseitzer/pytorch-fid 0.3.0,
GaParmar/clean-fid 0.1.35 and Lightning-AI/torchmetrics 1.9, each held to its tool by a test. Data: annotations CC BY
4.0; the photos under their Flickr terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import DataError, UsageError
from evalkit.features.pictures import Picture
from evalkit.interfaces import AnyMetric, DataCard
from evalkit.metrics.distribution import distribution_metric
from evalkit.types import Job, JsonScalar, Request, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.caption_sets import choose
from evalkit_tasks.coco import CaptionSet
from evalkit_tasks.options import one_of
from evalkit_tasks.selection import FULL_DRAW, Chosen, caption_count, draw, list_digest, listed

NAME = "coco_fid@1"
DEFAULT_PROTOCOL = "torch-fidelity"


@dataclass(frozen=True, slots=True)
class CocoFid:
    """The benchmark on one caption set and one choice of its captions."""

    workspace: Workspace
    protocol: str
    captions: CaptionSet
    chosen: tuple[Chosen, ...]
    fields: Mapping[str, JsonScalar]
    """What this task adds to the protocol of the metric."""

    @property
    def name(self) -> str:
        """Versioned name."""
        return NAME

    @property
    def job(self) -> Job:
        """What its requests ask for."""
        return "text-to-image"

    @property
    def data(self) -> DataCard:
        """The caption set that it reads."""
        return DataCard(self.captions.name, self.captions.digest, self.captions.licence, self.captions.stamps)

    def samples(self) -> Sequence[Sample]:
        """Return one sample a chosen caption, named `<image id>-<caption id>`, in the order of the draw or list."""
        return [
            Sample(
                id=f"{c.photo.id}-{c.caption.id}",
                parts=(Text(c.prompt),),
                strata=c.photo.strata,
                cluster=str(c.photo.id),
            )
            for c in self.chosen
        ]

    def request(self, sample: Sample, seed: int) -> Request:
        """Return the caption as a prompt; size and steps are the model's own."""
        return Request(task=NAME, sample_id=sample.id, job=self.job, parts=sample.parts, seed=seed)

    def reference(self) -> list[Picture]:
        """Return the photos that the made pictures are compared with, in the order of the caption file."""
        kept = {c.photo.id for c in self.chosen} if self.fields["reference"] == "same" else None
        return [photo.picture for photo in self.captions.photos if kept is None or photo.id in kept]

    def metrics(self) -> Sequence[AnyMetric]:
        """Return the distances between the two sets of pictures."""
        return [distribution_metric(self.workspace, self.protocol, self.reference(), self.fields)]


def coco_fid(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> CocoFid:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data or the caption list are missing or malformed.
    """
    choice = choose(workspace, options)
    chosen, fields = _selected(choice.captions, options)
    reference = one_of(options, "reference", ("full", "same"))
    used = {c.photo.id for c in chosen} if reference == "same" else choice.captions.photos
    fields |= {"reference": reference, "reference_images": len(used)}
    return CocoFid(choice.workspace, protocol or DEFAULT_PROTOCOL, choice.captions, chosen, fields)


def _selected(captions: CaptionSet, options: Mapping[str, str]) -> tuple[tuple[Chosen, ...], dict[str, JsonScalar]]:
    wanted = options.get("captions") or str(FULL_DRAW)
    count = caption_count(wanted)
    per_image = _per_image(captions, options)
    if count is None:
        chosen, selection, per_image = listed(captions.photos, Path(wanted)), "list", "any"
    else:
        seed = _whole_number(options, "selection_seed", "0")
        chosen, selection = draw(captions.photos, count, seed, per_image == "1"), f"seed {seed}"
    if not chosen:
        raise DataError(f"{captions.name} has no captions to ask for; choose another split with -t split=")
    return tuple(chosen), {
        "data": captions.name,
        "captions": len(chosen),
        "caption_list": list_digest(chosen),
        "caption_selection": selection,
        "captions_per_image": per_image,
        "prompt": "caption, white space collapsed",
    }


def _per_image(captions: CaptionSet, options: Mapping[str, str]) -> str:
    asked = one_of(options, "captions_per_image", ("auto", "1", "any"))
    return asked if asked != "auto" else "any" if len(captions.photos) >= FULL_DRAW else "1"


def _whole_number(options: Mapping[str, str], name: str, default: str) -> int:
    value = options.get(name) or default
    if not value.isascii() or not value.isdigit():
        raise UsageError(f"-t {name}={value} is not a whole number of 0 or more")
    return int(value)
