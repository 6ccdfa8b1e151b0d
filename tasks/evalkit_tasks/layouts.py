"""Layouts: photos of COCO whose objects are asked for as labelled boxes, chosen as layout-to-image papers choose them.

Where COCO is not at hand and was not asked for, blocksworld's instances, which have the same format, are taken in its
place, which is said and stamped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import DataError, UsageError, nearest
from evalkit.features.detections import COCO_CATEGORIES
from evalkit.features.pictures import Picture
from evalkit.interfaces import DataCard
from evalkit.keys import digest
from evalkit.types import Box, Boxes, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.caption_sets import DEMO, TEST_SPLITS
from evalkit_tasks.coco import LICENCE, captions_document, subset_stamps
from evalkit_tasks.coco_instances import Instance, InstancePhoto, official_instances
from evalkit_tasks.coco_json import official_captions
from evalkit_tasks.official_files import Document, official_document, photo_store, photos_place, place
from evalkit_tasks.options import one_of, share, whole_number
from evalkit_tasks.shown import NamedPicture, ShownSamples, named_picture
from evalkit_tasks.sources import BLOCKSWORLD, IMAGES_OF_SPLIT, coco_directory

KNOWN = ("coco", "blocksworld")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects and photos are asked: boxes of more than `min_area` of the photo, so many of them; no crowds.

    Source: google/sg2im at 1a3d4e71, `sg2im/data/coco.py`, whose .02, 3 and 8 LostGAN and LayoutDiffusion took over.
    There objects of COCO-Stuff count too; here only the 80 categories that a detector knows.
    """

    min_area: float
    least: int
    most: int

    def asked(self, photo: InstancePhoto) -> tuple[Instance, ...]:
        """Return the objects of `photo` that are asked for, none where the photo is left out."""
        size = photo.width * photo.height
        kept = tuple(one for one in photo.instances if not one.crowd and one.area / size > self.min_area)
        return kept if self.least <= len(kept) <= self.most else ()


@dataclass(frozen=True, slots=True)
class Layout:
    """A photo that is asked for, and which of its objects are."""

    photo: InstancePhoto
    asked: tuple[Instance, ...]
    caption: str


@dataclass(frozen=True, slots=True)
class LayoutSet:
    """What is asked: samples with the photo as their reference, layouts by sample id, and the data that they are of."""

    workspace: Workspace
    card: DataCard
    samples: Sequence[Sample]
    layouts: Mapping[str, Layout]
    filter: Filter


def choose_layouts(workspace: Workspace, options: Mapping[str, str]) -> LayoutSet:
    """Return the layouts that the workspace and the options `split`, `caption`, `min_area`, ... ask for.

    Raises:
        UsageError: no such data, or an option has no such value.
        DataError: the data are missing or malformed; the message says how to get them.
    """
    directory = coco_directory(workspace)
    name = workspace.data or _default(workspace, directory)
    if name == "blocksworld":
        if workspace.data_dir is not None:
            raise UsageError(
                "--data blocksworld is shipped with evalkit and takes no --data-dir; leave one of them out"
            )
        here = replace(workspace, data=name)
        return _read(here, options, BLOCKSWORLD, "val", "blocksworld")
    if name != "coco":
        raise UsageError(f"no data named {name!r}{nearest(name, KNOWN)}")
    split = options.get("split") or next((one for one in reversed(TEST_SPLITS) if _holds(directory, one)), "val2017")
    return _read(replace(workspace, data=name, data_dir=directory), options, directory, split, "coco")


def _default(workspace: Workspace, directory: Path) -> str:
    if workspace.data_dir is not None or any(_holds(directory, split) for split in TEST_SPLITS):
        return "coco"
    workspace.progress.say(
        f"no MS-COCO instances in {directory}: using the embedded blocksworld's, and stamping its numbers as {DEMO} "
        "(`evalkit fetch coco -a split=val2017` gets the real ones, or name their folder with --data-dir)"
    )
    return "blocksworld"


def _holds(directory: Path, split: str) -> bool:
    found = place(directory, f"instances_{split}.json") or place(directory, _archive(split))
    return bool(found and photos_place(directory, split))


def _archive(split: str) -> str:
    return f"annotations_trainval{split[-4:]}.zip"


def _read(workspace: Workspace, options: Mapping[str, str], directory: Path, split: str, name: str) -> LayoutSet:
    rule = _filter(options)
    document = _instances(directory, split)
    listed = official_instances(document.content, document.where, split)
    if name == "coco" and listed.categories != COCO_CATEGORIES:
        odd = sorted(set(listed.categories.items()) ^ set(COCO_CATEGORIES.items()))[0]
        raise DataError(f"{document.where}: its categories are not COCO's 80, {odd} being the first that differs")
    captions, captions_digest = _captions(directory, split, one_of(options, "caption", ("first", "none")))
    layouts = []
    for photo in listed.photos:
        if asked := rule.asked(photo):
            layouts.append(Layout(photo, asked, _caption(captions, photo, document.where)))
    if not layouts:
        raise DataError(f"{document.where}: no image has {rule.least} to {rule.most} objects that are large enough")
    card = DataCard(
        f"{name} {split} instances",
        digest([hashlib.sha256(document.content).hexdigest(), captions_digest, [one.photo.id for one in layouts]]),
        "Apache-2.0" if name == "blocksworld" else LICENCE,
        (DEMO,) if name == "blocksworld" else subset_stamps(split, len(listed.photos), _expected(split)),
    )
    samples = [_sample(one, listed.categories) for one in layouts]
    shown = ShownSamples(workspace, samples, _pictures(directory, split, layouts, document.where), "references")
    return LayoutSet(workspace, card, shown, {str(one.photo.id): one for one in layouts}, rule)


def _filter(options: Mapping[str, str]) -> Filter:
    least, most = whole_number(options, "min_objects", 3), whole_number(options, "max_objects", 8)
    if least > most:
        raise UsageError(f"-t min_objects={least} is more than -t max_objects={most}; no photo can have both")
    return Filter(share(options, "min_area", 0.02), least, most)


def _expected(split: str) -> int | None:
    return IMAGES_OF_SPLIT.get(split)


def _instances(directory: Path, split: str) -> Document:
    document = official_document(directory, f"instances_{split}.json", _archive(split))
    if document is None:
        raise DataError(
            f"{directory} has no annotations/instances_{split}.json and no {_archive(split)} that holds it; "
            f"{_next_step(split)}"
        )
    return document


def _next_step(split: str) -> str:
    return f"fetch it with `evalkit fetch coco -a split={split}` or name another folder with --data-dir"


def _captions(directory: Path, split: str, wanted: str) -> tuple[dict[int, str] | None, str]:
    """Return the first caption, by id, of each image, None where none is wanted, and the digest of their file."""
    if wanted == "none":
        return None, "none"
    document = captions_document(directory, split)
    photos = official_captions(document.content, document.where, split)
    firsts = {one.id: min(one.captions, key=lambda caption: caption.id).text for one in photos if one.captions}
    return firsts, hashlib.sha256(document.content).hexdigest()


def _caption(captions: Mapping[int, str] | None, photo: InstancePhoto, where: str) -> str:
    if captions is None:
        return ""
    if photo.id not in captions:
        raise DataError(f"{where}: image {photo.id} has no caption; complete the captions file or ask -t caption=none")
    return captions[photo.id]


def _pictures(directory: Path, split: str, layouts: Sequence[Layout], where: str) -> list[NamedPicture]:
    store = photo_store(directory, split, _next_step(split))
    found: list[Picture | None] = [store.find(one.photo.file) for one in layouts]
    missing = [one.photo.file for one, picture in zip(layouts, found, strict=True) if picture is None]
    if missing:
        raise DataError(
            f"{len(missing):,} of the {len(layouts):,} images of {where} that are asked for are missing, the first "
            f"being {missing[0]} in {store.path}; complete the folder, or give the official zip in its place"
        )
    return [
        named_picture(f"image {one.photo.id}", picture)
        for one, picture in zip(layouts, found, strict=True)
        if picture is not None
    ]


def _sample(layout: Layout, categories: Mapping[int, str]) -> Sample:
    photo = layout.photo
    boxes = tuple(Box(categories[one.category], one.x, one.y, one.width, one.height) for one in layout.asked)
    shown = Boxes(boxes, photo.width, photo.height)
    parts = (Text(layout.caption), shown) if layout.caption else (shown,)
    return Sample(str(photo.id), parts, (), (), str(photo.id))
