"""InstructPix2Pix: the curve of edit against faithfulness, over the weight of the source (`instructpix2pix@1`).

One item of the CLIP-filtered dataset: folder 0112457 with `prompt.json`

    {"input": "a man", "edit": "make him a cyborg", "output": "a cyborg"}

and pairs of pictures SEED_0.jpg, SEED_1.jpg, of which only the first is shown.

Protocol. The source, squashed to 512 x 512 by Lanczos, is edited at text guidance 7.5 and 100 steps once for every
image guidance of 1.0, 1.2, ... 2.2; both numbers are reported for each, which is the paper's curve. A model that has no
such knob answers all alike. `-t image_guidance=1.5` asks for one point.

    clip_direction[openai-vit-l14]   cosine of the change of picture with the change of caption, on unit vectors
    clip_i[openai-vit-l14]           cosine with the source
    clip_t[openai-vit-l14]           cosine with the output caption

Choices that move the number. The test split is the last 5 % of `seeds.json`; 5,000 of its items, or all where there are
fewer. Official scorer: timothybrooks/instruct-pix2pix at a15ea52, `metrics/compute_metrics.py` and
`metrics/clip_similarity.py`. It
resizes with torch's bicubic without antialias, and feeds CLIP pixels in -1 to 1 where its own `encode_image` means 0 to
1; protocol `instruct-pix2pix` does the same, `clip` prepares pictures as CLIP does. Items, and the seed of each, are
drawn here by the SHA-256 of their names; the official draw takes both from torch's generator, between the model's own
draws.

Anchors: none, since the paper has no table of numbers, only the curve. Pitfalls: one point of it says nothing. Neither
number rises without the other falling.

Data: clip-filtered-dataset from instruct-pix2pix.eecs.berkeley.edu (313,010 pairs, 436 GB), MIT. Source: Brooks et al.
2022, arXiv:2211.09800.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from evalkit.errors import DataError, UsageError
from evalkit.features.backbones import CLIP_MEAN, CLIP_STD, Backbone, EncoderInput, backbone
from evalkit.features.encoder import Encoder
from evalkit.features.pictures import FilePicture
from evalkit.images import image_of, pixels
from evalkit.json_values import a_list, a_text, an_object
from evalkit.metrics.pictures.scores import Score, ScoreMetric
from evalkit.metrics.pictures.similarity import DirectionSimilarity, PictureSimilarity, TextSimilarity
from evalkit.types import Image, JsonScalar, Request, Sample
from evalkit.workspace import Workspace
from evalkit_tasks.edit_sets import (
    EditTurn,
    choose_edits,
    edit_sample,
    read_json,
    read_picture,
    source_caption_of,
    source_of,
    target_caption_of,
)
from evalkit_tasks.sample_task import SampleTask

NAME = "instructpix2pix@1"
PROTOCOLS = ("instruct-pix2pix", "clip")
HOW = "get clip-filtered-dataset from instruct-pix2pix.eecs.berkeley.edu"
SIZE = 512
TEST_SHARE = 0.05
ITEMS = 5_000
SCALES = "1.0,1.2,1.4,1.6,1.8,2.0,2.2"
BACKBONE = "openai-vit-l14"
STRATUM = "image_guidance"


@dataclasses.dataclass(frozen=True, slots=True)
class InstructPix2Pix(SampleTask):
    """The items, each asked once for every image guidance, which is its stratum."""

    def request(self, sample: Sample, seed: int) -> Request:
        """Return the sample's parts as a request at the image guidance of its stratum."""
        asked = SampleTask.request(self, sample, seed)
        return dataclasses.replace(asked, image_guidance=float(dict(sample.strata)[STRATUM]))


def instructpix2pix(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> InstructPix2Pix:
    """Return the task on the CLIP-filtered dataset, or on blocksworld's edits.

    Raises:
        UsageError: other data, or an option is no number.
        DataError: the data are missing or malformed.
    """
    scales = _scales(options.get("image_guidance") or SCALES)
    edits = choose_edits(workspace, "instructpix2pix", read_pairs, lambda d: (d / "seeds.json").is_file(), "MIT", HOW)
    samples = tuple(_at(sample, scale) for sample in map(_sample, edits.turns) for scale in scales)
    named = protocol or PROTOCOLS[0]
    here = edits.workspace
    clip = Encoder(here, _backbone(named))
    strata = (STRATUM,)
    scores: tuple[Score, ...] = (
        DirectionSimilarity(here, clip, source_of, source_caption_of, target_caption_of, strata=strata),
        PictureSimilarity(here, clip, "clip_i", source_of, "source", strata),
        TextSimilarity(here, clip, "clip_t", target_caption_of, strata=strata),
    )
    fields: dict[str, JsonScalar] = {
        "data": edits.card.name,
        "data_digest": edits.card.digest,
        "source_resize": f"lanczos-pil, squash to {SIZE}",
        "image_guidance_of_items": ",".join(map(str, scales)),
        "guidance_of_items": 7.5,
        "prompt": "the instruction",
    }
    metrics = tuple(ScoreMetric(named, fields, score) for score in scores)
    settings: dict[str, JsonScalar] = {"guidance": 7.5, "steps": 100, "width": SIZE, "height": SIZE}
    return InstructPix2Pix(here, NAME, "text-guided-editing", edits.card, samples, metrics, settings)


def _backbone(protocol: str) -> Backbone:
    """Return the encoder with the input of the protocol: CLIP's own, or the official code's."""
    clip = backbone(BACKBONE)
    if protocol == "clip":
        return clip
    inputs = EncoderInput("squash-torch", 224, 224, CLIP_MEAN, CLIP_STD, shifted=True)
    return dataclasses.replace(clip, inputs=inputs)


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(dict.fromkeys(float(value) for value in text.split(",")))
    except ValueError as error:
        raise UsageError(f"-t image_guidance={text} should be numbers with commas between them: {SCALES}") from error


def _sample(turn: EditTurn) -> Sample:
    return edit_sample(
        dataclasses.replace(turn, target=None), source=_squashed(read_picture(turn.source, f"edit {turn.id}"))
    )


def _squashed(source: Image) -> Image:
    if (source.width, source.height) == (SIZE, SIZE):
        return source
    picture = PillowImage.fromarray(pixels(source)).resize((SIZE, SIZE), PillowImage.Resampling.LANCZOS)
    return image_of(np.asarray(picture), "source")


def _at(sample: Sample, scale: float) -> Sample:
    return dataclasses.replace(sample, id=f"{sample.id}-{scale:g}", strata=(*sample.strata, (STRATUM, f"{scale:g}")))


def read_pairs(directory: Path) -> tuple[EditTurn, ...]:
    """Return the items of the test split of the CLIP-filtered dataset in `directory`.

    Raises:
        DataError: a file is missing or malformed.
    """
    listed = a_list(read_json(directory / "seeds.json"))
    test = listed[int(len(listed) * (1 - TEST_SHARE)) :]
    turns = []
    try:
        for entry in test:
            name, seeds = a_list(entry)
            turns.append(_pair(directory, a_text(name), sorted(map(str, a_list(seeds)))))
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{directory / 'seeds.json'} is malformed ({error!r}); fetch it again") from error
    return tuple(sorted(turns, key=lambda turn: _rank(turn.session))[:ITEMS])


def _pair(directory: Path, name: str, seeds: list[str]) -> EditTurn:
    if not name.isalnum() or not seeds or not all(seed.isalnum() for seed in seeds):
        raise DataError(f"{directory}: {name!r} with seeds {seeds[:3]} cannot be an item; do not trust this file")
    folder = directory / name
    prompt = an_object(read_json(folder / "prompt.json"))
    seed = min(seeds, key=lambda one: _rank(f"{name}-{one}"))
    return EditTurn(
        name,
        1,
        FilePicture(folder / f"{seed}_0.jpg"),
        a_text(prompt["edit"]),
        source_caption=a_text(prompt["input"]),
        target_caption=a_text(prompt["output"]),
    )


def _rank(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
