"""MagicBrush: edits of real photos, told in words, with the picture that a person made of each (`magicbrush@1`).

One item of the test set, turn 1 of session 242679: the photo 242679-input.png with the instruction

    Put a cat on the seat.

the target 242679-output1.png, and its local description, which says what the edited place shows then.

Protocol. `-t turns=single` (the default): every turn is asked on the true picture before it. `-t turns=multi`: each
session is one item; its instructions are asked in turn, each of the picture that the model made of the one before, and
only the last picture is scored, against the session's last target.

    l1, l2                     mean absolute and squared difference, pixels in 0 to 1; an answer of another size is
                               first brought to that of the target by Pillow's bicubic filter
    clip_i[openai-vit-b32]     cosine with the target; CLIP's own preparation, of the answer at its own size
    dino[dino-vits16]          the same; shorter side 256 bicubic, centre 224, class token
    clip_t[openai-vit-b32]     cosine with the turn's local description, cut at 77 tokens

All are means over items. Official scorer: OSU-NLP-Group/MagicBrush at 44745b5, `evaluation/image_eval.py`. Pillow's
default filter of `resize` is bicubic since version 7; before, it was nearest, and L1 and L2 another number.

Pitfalls. Emu Edit's paper measures MagicBrush otherwise (InstructPix2Pix: CLIP-I .837 there, .8524 here): `emu_edit` is
that protocol. Newer checkpoints of the authors give CLIP-I .9101 (issue 12), not the table's. Returning the source
scores high in CLIP-I, DINO, L1 and L2: read CLIP-T beside them.

Anchors, single turn, L1 / L2 / CLIP-I / DINO / CLIP-T (arXiv:2306.10012, table of the test set): InstructPix2Pix .1122
/ .0371 / .8524 / .7428 / .2764, trained on MagicBrush .0625 / .0203 / .9332 / .8987 / .2781 (multi-turn CLIP-I .8924);
HIVE .1092 / .0341 / .8519 / .7500 / .2752; Null-text inversion .0749 / .0197 / .8827 / .8206 / .2737; SDEdit .1014 /
.0278 / .8526 / .7726 / .2777; Text2LIVE .0636 / .0169 / .9244 / .8807 / .2424; VQGAN-CLIP .2200 / .0833 / .6751 / .4946
/ .3879.

Data: the official test set (CC BY 4.0), unpacked with its password `MagicBrush`, or zipped again without one:
`edit_sessions.json`, `local_descriptions.json` and `images/SESSION/...`, in the folder or below `test/`. The hub's
parquet files (`--data hf:osunlp/MagicBrush@COMMIT -t split=dev`) hold train and dev, without descriptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from evalkit.errors import DataError
from evalkit.features.encoder import encoder
from evalkit.features.pictures import FilePicture, Picture, ZipPicture
from evalkit.json_values import a_list, a_text, an_object
from evalkit.metrics.pictures.pixelwise import PixelDifference
from evalkit.metrics.pictures.scores import Score, ScoreMetric
from evalkit.metrics.pictures.similarity import PictureSimilarity, TextSimilarity
from evalkit.types import Json, JsonScalar, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.edit_sets import (
    EditSet,
    EditTurn,
    archive_members,
    choose_edits,
    edit_sample,
    read_json,
    read_picture,
    target_caption_of,
    target_of,
)
from evalkit_tasks.options import one_of
from evalkit_tasks.parquet_edits import EditColumns, holds_parquet, parquet_turns
from evalkit_tasks.sample_task import SampleTask

NAME = "magicbrush@1"
PROTOCOL = "magicbrush"
HOW = "get MagicBrush's test set from its Hugging Face page and unpack it with the password MagicBrush"
STRATA = ("turn",)
COLUMNS = EditColumns(
    session="img_id",
    turn="turn_index",
    source="source_img",
    mask="mask_img",
    instruction="instruction",
    target="target_img",
    target_caption="instruction",
)
"""Of the parquet files, which have no captions: CLIP-T is then with the instruction, and no published number."""


def magicbrush(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on MagicBrush's test set, or on blocksworld's edits in its layout.

    Raises:
        UsageError: other data, or an option has no such value.
        DataError: the data are missing or malformed.
    """
    turns = one_of(options, "turns", ("single", "multi"))

    def reader(folder: Path) -> tuple[EditTurn, ...]:
        if _place(folder) is None and holds_parquet(folder):
            return parquet_turns(folder, options.get("split") or "dev", COLUMNS, workspace.datasets / "hub")
        return read_magicbrush(folder)

    edits = choose_edits(workspace, "magicbrush", reader, _is_there, "CC BY 4.0", HOW)
    samples = multi_turn(edits.turns) if turns == "multi" else tuple(edit_sample(turn) for turn in edits.turns)
    fields = {
        "data": edits.card.name,
        "data_digest": edits.card.digest,
        "turns": turns,
        "prompt": "the instruction",
        "caption": "instruction" if _reads_parquet(edits) else "local description",
    }
    metrics = magicbrush_metrics(edits, fields, () if turns == "multi" else STRATA)
    return SampleTask(edits.workspace, NAME, "text-guided-editing", edits.card, samples, metrics)


def magicbrush_metrics(
    edits: EditSet, fields: Mapping[str, JsonScalar], strata: tuple[str, ...]
) -> tuple[ScoreMetric, ...]:
    """Return MagicBrush's five metrics, which all compare with the target."""
    here = edits.workspace
    clip, dino = encoder(here, "openai-vit-b32"), encoder(here, "dino-vits16")
    scores: tuple[Score, ...] = (
        PixelDifference("l1", target_of, "target", strata),
        PixelDifference("l2", target_of, "target", strata),
        PictureSimilarity(here, clip, "clip_i", target_of, "target", strata),
        PictureSimilarity(here, dino, "dino", target_of, "target", strata),
        TextSimilarity(here, clip, "clip_t", target_caption_of, strata=strata),
    )
    return tuple(ScoreMetric(PROTOCOL, fields, score) for score in scores)


def multi_turn(turns: Sequence[EditTurn]) -> tuple[Sample, ...]:
    """Return a sample a session: its first picture, every instruction in turn, and the last turn's references."""
    samples = []
    for session, grouped in groupby(turns, key=lambda turn: turn.session):
        held = list(grouped)
        last = edit_sample(held[-1], source=read_picture(held[0].source, f"session {session}"))
        instructions = tuple(Text(turn.instruction) for turn in held)
        strata = (("turns", str(len(held))),)
        samples.append(Sample(session, (last.parts[0], *instructions), last.references, strata, session))
    return tuple(samples)


def read_magicbrush(directory: Path) -> tuple[EditTurn, ...]:
    """Return the turns of the official files in `directory`, session by session.

    Raises:
        DataError: a file is missing or malformed, or a session names a picture or description that is not there.
    """
    place = _place(directory)
    if place is None:
        raise DataError(f"{directory} has no edit_sessions.json; {HOW}")
    root, archive = place
    sessions = an_object(read_json(root / "edit_sessions.json", archive))
    described = an_object(read_json(root / "local_descriptions.json", archive))
    turns: list[EditTurn] = []
    for session, listed in sessions.items():
        where = f"{archive or directory}: session {session}"
        try:
            texts = an_object(described[session])
            for number, entry in enumerate(a_list(listed), start=1):
                turns.append(_turn(session, number, an_object(entry), texts, root / "images" / session, archive))
        except (KeyError, TypeError) as error:
            raise DataError(f"{where} is malformed ({error!r}); fetch the test set again") from error
    return tuple(turns)


def _turn(
    session: str, number: int, entry: Mapping[str, Json], texts: Mapping[str, Json], folder: Path, archive: Path | None
) -> EditTurn:
    names = {key: a_text(entry[key]) for key in ("input", "mask", "output")}
    for name in names.values():
        if "/" in name or "\\" in name or name in {"", ".", ".."}:
            raise DataError(f"{folder}: session {session} names {name!r}, which leaves its folder; do not trust it")

    def picture(name: str) -> Picture:
        return FilePicture(folder / name) if archive is None else ZipPicture(archive, (folder / name).as_posix())

    return EditTurn(
        session,
        number,
        picture(names["input"]),
        a_text(entry["instruction"]),
        picture(names["output"]),
        a_text(texts.get(names["input"], "")),
        a_text(texts[names["output"]]),
        mask=picture(names["mask"]),
    )


def _reads_parquet(edits: EditSet) -> bool:
    directory = edits.workspace.data_dir
    return edits.card.name.startswith("hf:") or (directory is not None and _place(directory) is None)


def _is_there(directory: Path) -> bool:
    return _place(directory) is not None or holds_parquet(directory)


def _place(directory: Path) -> tuple[Path, Path | None] | None:
    """Return the folder that holds `edit_sessions.json`, on disk or inside a zip, None where there is neither."""
    for root in (directory, directory / "test"):
        if (root / "edit_sessions.json").is_file():
            return root, None
    for archive in sorted(directory.glob("*.zip")) if directory.is_dir() else ():
        roots = [Path(name).parent for name in archive_members(archive) if Path(name).name == "edit_sessions.json"]
        if roots:
            return roots[0], archive
    return None
