"""TEDBench: one hundred non-rigid edits of photos, told by what the picture is to show (`tedbench@1`,
text-guided-editing).

One item of `input_list.json`, with the photo `originals/dog2_standing.png`:

    {"img_name": "dog2_standing.png", "target_text": "A photo of a sitting dog."}

Protocol. The model is shown the photo, with EXIF rotation not applied, and told the target text as it stands. The paper
asks people; for a curve it plots text alignment against faithfulness, which is what is measured here:

    clip_t[openai-vit-l14]   cosine of the answer with the target text; `-t backbone=openai-vit-b32` asks for the other
    lpips[alex]              distance from the original; an answer of another size is brought to its size, bicubic
    clip_i[openai-vit-l14]   cosine with the original

The paper's backbone is not named, so it stands in each name. Pitfalls: the benchmark has no official scorer and
published numbers differ in backbone and size; compare only what carries the same protocol. 40 photos serve 100 edits:
intervals are clustered by photo. Anchors: none by metric; in the paper people prefer Imagic to SDEdit, DDIB and
Text2LIVE in over 70 % of pairs.

Data: imagic-editing.github.io (no licence file), `input_list.json` with `originals/` or `tedbench-originals/` beside
it. Source: Kawar et al. 2022, arXiv:2210.09276.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from evalkit.errors import DataError
from evalkit.features.encoder import encoder
from evalkit.features.lpips import Lpips
from evalkit.features.pictures import FilePicture
from evalkit.json_values import a_list, a_text, an_object
from evalkit.metrics.pictures.pixelwise import PerceptualDistance
from evalkit.metrics.pictures.scores import Score, ScoreMetric
from evalkit.metrics.pictures.similarity import PictureSimilarity, TextSimilarity
from evalkit.workspace import Workspace
from evalkit_tasks.edit_sets import EditTurn, choose_edits, edit_sample, read_json, source_of, target_caption_of
from evalkit_tasks.options import one_of
from evalkit_tasks.sample_task import SampleTask

NAME = "tedbench@1"
PROTOCOL = "tedbench"
LICENCE = "none given: treat as restricted"
HOW = "get input_list.json and the originals from imagic-editing.github.io"
FOLDERS = ("originals", "tedbench-originals")


def tedbench(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on TEDBench's photos, or on blocksworld's edits.

    Raises:
        UsageError: other data, or an option has no such value.
        DataError: the data are missing or malformed.
    """
    clip = encoder(workspace, one_of(options, "backbone", ("openai-vit-l14", "openai-vit-b32")))
    edits = choose_edits(
        workspace, "tedbench", read_tedbench, lambda d: (d / "input_list.json").is_file(), LICENCE, HOW
    )
    here = edits.workspace
    scores: tuple[Score, ...] = (
        TextSimilarity(here, clip, "clip_t", target_caption_of),
        PerceptualDistance(here, Lpips(here, "alex"), source_of, "source"),
        PictureSimilarity(here, clip, "clip_i", source_of, "source"),
    )
    fields = {"data": edits.card.name, "data_digest": edits.card.digest, "prompt": "the target text"}
    metrics = tuple(ScoreMetric(PROTOCOL, fields, score) for score in scores)
    samples = tuple(edit_sample(turn) for turn in edits.turns)
    return SampleTask(here, NAME, "text-guided-editing", edits.card, samples, metrics)


def read_tedbench(directory: Path) -> tuple[EditTurn, ...]:
    """Return the edits of `input_list.json` in `directory`, numbered by photo in its order.

    Raises:
        DataError: a file is missing or malformed.
    """
    where = directory / "input_list.json"
    folder = next((directory / name for name in FOLDERS if (directory / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{directory} has no folder {' or '.join(FOLDERS)}; {HOW}")
    seen: Counter[str] = Counter()
    turns = []
    for number, entry in enumerate(a_list(read_json(where))):
        try:
            item = an_object(entry)
            name, text = a_text(item["img_name"]), a_text(item["target_text"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{where}: item {number} is malformed ({error!r}); fetch it again") from error
        if Path(name).name != name or "\\" in name:
            raise DataError(f"{where}: item {number} names {name!r}, which leaves its folder; do not trust this file")
        seen[name] += 1
        turns.append(EditTurn(name, seen[name], FilePicture(folder / name), text, target_caption=text))
    return tuple(turns)
