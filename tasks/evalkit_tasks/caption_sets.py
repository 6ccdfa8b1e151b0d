"""Which captioned pictures a task reads: what `--data`, `--data-dir` and `-t split=` mean.

    coco                MS-COCO from `--data-dir`, or from where `evalkit fetch coco` puts it; never falls back
    karpathy            Karpathy's splits of COCO, from the same places
    hf:REPO@REVISION    a dataset on the Hugging Face hub, or hf:FOLDER of parquet files
    blocksworld         the drawn pictures that evalkit ships, in COCO's own format

Without `--data`: COCO where it is found, else blocksworld, which says so and stamps its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import DataError, UsageError, nearest
from evalkit.workspace import Workspace
from evalkit_tasks.coco import CaptionSet, holds_part_of, karpathy_set, official_set, splits_in
from evalkit_tasks.coco_json import scene_strata
from evalkit_tasks.sources import BLOCKSWORLD, coco_directory

TEST_SPLITS = ("val2014", "val2017")
DEMO = "demo data"
KNOWN = ("coco", "karpathy", "blocksworld", "hf:REPO@REVISION")


@dataclass(frozen=True, slots=True)
class Choice:
    """A caption set, and the workspace with the `data` and `data_dir` that were chosen."""

    workspace: Workspace
    captions: CaptionSet


def choose(workspace: Workspace, options: Mapping[str, str]) -> Choice:
    """Return the caption set that the workspace and the options `split` and `*_column` ask for.

    Raises:
        UsageError: no such data or split.
        DataError: the data are missing or malformed; the message says how to get them.
    """
    name = workspace.data or _default(workspace)
    split = options.get("split", "")
    if name == "coco":
        return _coco(workspace, split)
    if name == "karpathy":
        directory = coco_directory(workspace)
        captions = karpathy_set(directory, split or "test")
        return Choice(replace(workspace, data=name, data_dir=directory), captions)
    if name == "blocksworld":
        return _blocksworld(workspace, split)
    if name.startswith("hf:"):
        from evalkit_tasks.hub import hub_set

        return Choice(replace(workspace, data=name, data_dir=None), hub_set(workspace, name[3:], options))
    raise UsageError(f"no data named {name!r}{nearest(name, KNOWN)}")


def _default(workspace: Workspace) -> str:
    directory = coco_directory(workspace)
    if workspace.data_dir is not None or any(split in TEST_SPLITS for split in splits_in(directory)):
        return "coco"
    workspace.progress.say(
        f"no MS-COCO in {directory}: using the embedded blocksworld, and stamping its numbers as {DEMO} "
        "(`evalkit fetch coco` gets the real one, or name its folder with --data-dir)"
    )
    return "blocksworld"


def _coco(workspace: Workspace, split: str) -> Choice:
    directory = coco_directory(workspace)
    if not split:
        whole = [found for found in splits_in(directory) if found in TEST_SPLITS]
        begun = [found for found in TEST_SPLITS if holds_part_of(directory, found)]
        if not whole and not begun:
            raise DataError(
                f"no MS-COCO in {directory}: looked for annotations/captions_val2014.json (or "
                "annotations_trainval2014.zip) with val2014/ (or val2014.zip), and the same of 2017; "
                "get it with `evalkit fetch coco`, or name its folder with --data-dir"
            )
        split = (whole or begun)[0]
    return Choice(replace(workspace, data="coco", data_dir=directory), official_set(directory, split))


def _blocksworld(workspace: Workspace, split: str) -> Choice:
    if workspace.data_dir is not None:
        raise UsageError("--data blocksworld is shipped with evalkit and takes no --data-dir; leave one of them out")
    if split not in {"", "val"}:
        raise UsageError(f"blocksworld has the split val only, not {split!r}")
    captions = official_set(BLOCKSWORLD, "val", "blocksworld")
    strata = _strata(BLOCKSWORLD / "annotations" / "scenes_val.json")
    if strata.keys() != {photo.id for photo in captions.photos}:
        raise DataError(f"the captions and scenes in {BLOCKSWORLD} are of other pictures; install evalkit again")
    photos = tuple(replace(photo, strata=(("stratum", strata[photo.id]),)) for photo in captions.photos)
    demo = replace(captions, photos=photos, licence="Apache-2.0", stamps=(DEMO,))
    return Choice(replace(workspace, data="blocksworld", data_dir=None), demo)


def _strata(path: Path) -> dict[int, str]:
    try:
        return scene_strata(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); install evalkit again") from error
