"""Sets of prompts for text to image: tables of a prompt and its category, and the scores that need nothing else.

CLIP's scores are always made. VQAScore, PickScore and HPSv2, whose weights are gigabytes, are made where these are on
this machine, and otherwise left out with the reason in their place; `--metrics` that names one fetches its weights.
`--metrics` also does without CLIP.

Where a set is not at hand and was not asked for, blocksworld's captions are taken in its place, which is said and
stamped.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from evalkit.errors import DataError, UsageError, nearest
from evalkit.features.clip_flant5 import MODELS, ClipFlanT5
from evalkit.features.encoder import encoder
from evalkit.interfaces import AnyMetric, DataCard, Scored
from evalkit.keys import digest
from evalkit.metrics.means import Fields
from evalkit.metrics.optional import OptionalMetric
from evalkit.metrics.pictures.clipscore import PREFIX, WEIGHT
from evalkit.metrics.pictures.preference import PreferenceLabel, PreferenceScore
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.similarity import TextSimilarity
from evalkit.metrics.pictures.vqascore import VqaScore
from evalkit.types import Json, JsonScalar, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.caption_sets import DEMO
from evalkit_tasks.coco import official_set
from evalkit_tasks.edit_sets import require_text
from evalkit_tasks.options import one_of
from evalkit_tasks.sample_task import SampleTask
from evalkit_tasks.sources import BLOCKSWORLD

BACKBONES = ("openai-vit-b32", "openai-vit-l14")
PICKSCORE = "pickscore-v1"
HPS = ("hps-v2.1", "hps-v2.0")


@dataclass(frozen=True, slots=True)
class PromptTable:
    """Where a benchmark keeps its prompts: file, separator, and columns; `strata` are columns that numbers are by."""

    name: str
    file: str
    separator: str
    prompt: str
    strata: tuple[tuple[str, str], ...]
    """Pairs of our name and the column's."""
    count: int
    licence: str
    how: str


def prompt_task(table: PromptTable, workspace: Workspace, options: Mapping[str, str]) -> SampleTask:
    """Return the benchmark of a table, scored by CLIP and, where their weights are, by what people prefer and VQAScore.

    Raises:
        UsageError: other data are asked for, or an option has no such value.
        DataError: the table is asked for and missing, or is malformed.
    """
    clip = encoder(workspace, one_of(options, "backbone", BACKBONES))
    here, card, samples = _chosen(table, workspace)
    strata = tuple(ours for ours, _ in table.strata)
    scores = (
        TextSimilarity(here, clip, "clip_t", _prompt, strata=strata),
        TextSimilarity(here, clip, "clipscore", _prompt, PREFIX, WEIGHT, 0.0, strata),
    )
    fields: dict[str, JsonScalar] = {
        "data": card.name,
        "data_digest": card.digest,
        "prompts": len(samples),
        "prompt": "as it stands",
    }
    metrics = tuple(ScoreMetric(table.name, fields, score) for score in scores)
    judges = _judges(table.name, here, fields, strata, options)
    return SampleTask(here, f"{table.name}@1", "text-to-image", card, samples, (*metrics, *judges))


def _judges(
    protocol_name: str, workspace: Workspace, fields: Fields, strata: tuple[str, ...], options: Mapping[str, str]
) -> tuple[AnyMetric, ...]:
    """Return VQAScore, PickScore and HPSv2, each left out where its weights are not on this machine."""
    asked = ClipFlanT5(workspace, one_of(options, "vqascore", MODELS))

    def preference(name: str, label: PreferenceLabel) -> AnyMetric:
        clip = encoder(workspace, name)
        score = PreferenceScore(workspace, clip, label, _prompt, strata)
        return OptionalMetric(ScoreMetric(protocol_name, fields, score), partial(clip.missing, texts=True))

    return (
        OptionalMetric(ScoreMetric(protocol_name, fields, VqaScore(workspace, asked, _prompt, strata)), asked.missing),
        preference(PICKSCORE, "pickscore"),
        preference(one_of(options, "hps", HPS), "hpsv2"),
    )


def _prompt(scored: Scored) -> str:
    return next(part.text for part in scored.sample.parts if isinstance(part, Text))


def _chosen(table: PromptTable, workspace: Workspace) -> tuple[Workspace, DataCard, tuple[Sample, ...]]:
    directory = workspace.data_dir or workspace.datasets / table.name
    path = directory / table.file
    asked = workspace.data or (table.name if workspace.data_dir or path.is_file() else "blocksworld")
    if asked == table.name:
        samples = read_prompts(table, path)
        listed: list[Json] = [[one.id, _text(one)] for one in samples]
        stamps = () if len(samples) == table.count else (f"{len(samples):,} of the {table.count:,} prompts",)
        card = DataCard(table.name, digest(listed), table.licence, stamps)
        return replace(workspace, data=asked, data_dir=directory), card, samples
    if asked != "blocksworld":
        raise UsageError(f"no data named {asked!r}{nearest(asked, (table.name, 'blocksworld'))}")
    if workspace.data is None:
        workspace.progress.say(
            f"no {table.file} in {directory}: using the embedded blocksworld's captions, and stamping its numbers as "
            f"{DEMO} ({table.how})"
        )
    captions = official_set(BLOCKSWORLD, "val", "blocksworld")
    samples = tuple(
        Sample(str(photo.id), (Text(photo.captions[0].text),), cluster=str(photo.id)) for photo in captions.photos
    )
    card = DataCard("blocksworld captions", captions.digest, "Apache-2.0", (DEMO,))
    return replace(workspace, data="blocksworld", data_dir=None), card, samples


def _text(sample: Sample) -> str:
    return next(part.text for part in sample.parts if isinstance(part, Text))


def read_prompts(table: PromptTable, path: Path) -> tuple[Sample, ...]:
    """Return the prompts of a table's file, numbered from 1 in its order.

    Raises:
        DataError: the file is missing or lacks a column, or a prompt is empty, too long or holds a NUL.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); {table.how}, or name its folder with --data-dir") from error
    lines = io.StringIO(text, newline="")
    if table.separator == "\t":
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        rows = csv.DictReader(lines, delimiter=table.separator)
    lacking = {table.prompt, *(column for _, column in table.strata)} - set(rows.fieldnames or ())
    if lacking:
        raise DataError(f"{path} lacks the columns {', '.join(sorted(lacking))}; {table.how}")
    samples = []
    for number, row in enumerate(rows, start=1):
        prompt = require_text(row[table.prompt] or "", f"{path}: prompt {number}")
        strata = tuple((ours, row[column] or "none") for ours, column in table.strata)
        samples.append(Sample(str(number), (Text(prompt),), (), strata, str(number)))
    if not samples:
        raise DataError(f"{path} holds no prompts; {table.how}")
    return tuple(samples)
