"""Emu Edit's test set: edits told in words, without a target picture (`emu_edit@1`, text-guided-editing).

One item of the set's layout (columns `instruction`, `image`, `task`, `idx`, `input_caption`, `output_caption`):

    instruction     Add a hat to the man
    task            add
    input_caption   A man is standing in a field
    output_caption  A man wearing a hat is standing in a field

Protocol. The model is shown the picture and told the instruction. There is no target: similarity is to the SOURCE.

    clip_direction[...]   cosine of the change of picture with the change of caption
    clip_i[...]           cosine with the source
    clip_t[...]           cosine with the output caption (the paper's CLIPout)
    l1                    mean absolute difference from the source, pixels in 0 to 1
    dino[dino-vits16]     cosine with the source

The paper names no backbone, and it moves every CLIP number: the same outputs score .223 with L/14 and .2753 with B/32.
It stands in the name of each number; `-t backbone=openai-vit-l14` asks for the other. UltraEdit measures with B/32 and
dino_vits16, OmniGen and ICEdit with L/14. `-t split=` chooses `test` or `validation`.

Pitfalls. Captions are noisy, and some pairs read the same: their direction is 0; `-t identical=drop` leaves them out,
as ICEdit does. The two splits may have been published swapped. Returning the source is perfect in CLIP-I, L1 and DINO.

Anchors, direction / CLIP-I / CLIP-out / L1 / DINO on the test set, as tables of UltraEdit's kind have them:
InstructPix2Pix .078 / .834 / .219 / .121 / .762; MagicBrush .090 / .838 / .222 / .100 / .776; Null-text inversion .101
/ .761 / .236 / .075 / .678; Plug-and-Play .028 / .521 / .089 / .304 / .153; Emu Edit .109 / .859 / .231 / .094 / .819;
UltraEdit .107 / .844 / .283 / .071 / .793. The same on MagicBrush's test set: InstructPix2Pix .115 / .837 / .245 / .093
/ .767; MagicBrush .123 / .883 / .261 / .058 / .871; Emu Edit .135 / .897 / .261 / .052 / .879.

Data: facebook/emu_edit_test_set on the Hugging Face hub (CC BY-NC 4.0), as `--data hf:REPO@COMMIT` or its parquet files
in a folder. Source: Sheynin et al. 2023, arXiv:2311.10089; no scorer was published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from evalkit.errors import DataError
from evalkit.features.encoder import encoder
from evalkit.metrics.pictures.pixelwise import PixelDifference
from evalkit.metrics.pictures.scores import Score, ScoreMetric
from evalkit.metrics.pictures.similarity import DirectionSimilarity, PictureSimilarity, TextSimilarity
from evalkit.workspace import Workspace
from evalkit_tasks.edit_sets import (
    EditTurn,
    choose_edits,
    edit_sample,
    source_caption_of,
    source_of,
    target_caption_of,
)
from evalkit_tasks.options import one_of
from evalkit_tasks.parquet_edits import EditColumns, holds_parquet, parquet_turns
from evalkit_tasks.sample_task import SampleTask

NAME = "emu_edit@1"
PROTOCOL = "emu-edit"
LICENCE = "CC BY-NC 4.0"
HOW = "name it as --data hf:facebook/emu_edit_test_set@COMMIT"
COLUMNS = EditColumns(
    session="idx",
    source="image",
    instruction="instruction",
    source_caption="input_caption",
    target_caption="output_caption",
    kind="task",
)
BACKBONES = ("openai-vit-b32", "openai-vit-l14")
STRATA = ("edit_type",)


def emu_edit(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on Emu Edit's set, or on blocksworld's edits.

    Raises:
        UsageError: other data, or an option has no such value.
        DataError: the data are missing or malformed.
    """
    split = one_of(options, "split", ("test", "validation"))
    clip = encoder(workspace, one_of(options, "backbone", BACKBONES))
    identical = one_of(options, "identical", ("keep", "drop"))

    def reader(folder: Path) -> tuple[EditTurn, ...]:
        return parquet_turns(folder, split, COLUMNS, workspace.datasets / "hub")

    edits = choose_edits(workspace, "emu_edit", reader, holds_parquet, LICENCE, HOW)
    turns = [t for t in edits.turns if identical == "keep" or t.source_caption != t.target_caption]
    if not turns:
        raise DataError(f"{edits.card.name}: no pair of captions differs; leave out -t identical=drop")
    samples = tuple(edit_sample(replace(turn, target=None)) for turn in turns)
    here = edits.workspace
    scores: tuple[Score, ...] = (
        DirectionSimilarity(here, clip, source_of, source_caption_of, target_caption_of, strata=STRATA),
        PictureSimilarity(here, clip, "clip_i", source_of, "source", STRATA),
        TextSimilarity(here, clip, "clip_t", target_caption_of, strata=STRATA),
        PixelDifference("l1", source_of, "source", STRATA),
        PictureSimilarity(here, encoder(here, "dino-vits16"), "dino", source_of, "source", STRATA),
    )
    fields = {
        "data": edits.card.name,
        "data_digest": edits.card.digest,
        "split": split,
        "identical_captions": identical,
        "prompt": "the instruction",
    }
    metrics = tuple(ScoreMetric(PROTOCOL, fields, score) for score in scores)
    return SampleTask(here, NAME, "text-guided-editing", edits.card, samples, metrics)
