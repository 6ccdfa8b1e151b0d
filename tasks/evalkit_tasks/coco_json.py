"""The caption files of COCO, read strictly: what does not fit is an error that names file, item and next step.

Three layouts are read. The official `captions_val2014.json`:

    {"images": [{"id": 391895, "file_name": "COCO_val2014_000000391895.jpg", ...}, ...],
     "annotations": [{"id": 770337, "image_id": 391895, "caption": "A man with a red helmet ..."}, ...]}

Karpathy's `dataset_coco.json`, whose sentence ids are COCO's caption ids:

    {"dataset": "coco", "images": [{"cocoid": 391895, "filepath": "val2014",
     "filename": "COCO_val2014_000000391895.jpg", "split": "test",
     "sentences": [{"raw": "A man with a red helmet ...", "sentid": 770337}, ...]}, ...]}

and the mirror of it that BLIP and LAVIS read, `coco_karpathy_test.json`, whose captions have no ids of their own:

    [{"image": "val2014/COCO_val2014_000000391895.jpg", "caption": ["A man with a red helmet ...", ...]}, ...]

Source: Chen et al. 2015, arXiv:1504.00325 (the captions); Karpathy and Fei-Fei 2015, arXiv:1412.2306 (the splits).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from evalkit.errors import DataError

MAX_CAPTION = 4_000
"""Longest caption that is believed, in characters; the longest of COCO has about 250."""

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption: its id, unique in its file, and its text as the file has it."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class ListedPhoto:
    """A photo as a caption file lists it; `file` is its path below the folder that holds the pictures."""

    id: int
    file: str
    captions: tuple[Caption, ...]


class Strict(BaseModel):
    """What stands in an outside file: types are not guessed, and what is not asked for is passed over."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Image(Strict):
    id: int = Field(ge=0)
    file_name: str
    coco_url: str = ""


class _Annotation(Strict):
    id: int = Field(ge=0)
    image_id: int
    caption: str


class _CaptionFile(Strict):
    images: list[_Image]
    annotations: list[_Annotation]


class _Sentence(Strict):
    raw: str
    sentid: int = Field(ge=0)


class _KarpathyImage(Strict):
    cocoid: int = Field(ge=0)
    filepath: str
    filename: str
    split: str
    sentences: list[_Sentence]


class _KarpathyFile(Strict):
    images: list[_KarpathyImage]


class _Scene(Strict):
    image_id: int
    stratum: str


class _SceneFile(Strict):
    scenes: list[_Scene]


class _MirrorImage(Strict):
    image: str
    caption: list[str]


class _MirrorTruthImage(Strict):
    id: int


class _MirrorTruth(Strict):
    images: list[_MirrorTruthImage]
    annotations: list[_Annotation]


def parsed(adapter: TypeAdapter[Parsed], content: bytes, where: str, expected: str) -> Parsed:
    """Return the file's content; `where` names it and `expected` what it should be.

    Raises:
        DataError: it is of another kind; the message names the first item that does not fit.
    """
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        item = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]).lstrip(".")
        more = f" ({error.error_count() - 1} more like it)" if error.error_count() > 1 else ""
        raise DataError(
            f"{where}: {item + ': ' if item else ''}{first['msg']}{more}; it should be {expected}: fetch it again"
        ) from error


def official_captions(content: bytes, where: str, split: str) -> list[ListedPhoto]:
    """Return the photos that an official captions file lists, in its order.

    A photo may have no caption: it then is a reference only. `where` names the file in errors. Where `split` is one of
    COCO's (`val2014`), photos of another split are an error.

    Raises:
        DataError: the file is truncated or of another kind, an id or file stands twice, a caption is empty, too long or
            has no image, or a file name leaves the folder.
    """
    file = parsed(TypeAdapter(_CaptionFile), content, where, f"the official captions_{split}.json")
    if not file.annotations:
        raise DataError(f"{where} holds no captions; name the captions_{split}.json, not the list of test images")
    _require_split(file.images, where, split)
    captions: dict[int, list[Caption]] = {image.id: [] for image in file.images}
    for annotation in file.annotations:
        if annotation.image_id not in captions:
            raise DataError(f"{where}: caption {annotation.id} is of image {annotation.image_id}, which is not listed")
        captions[annotation.image_id].append(Caption(annotation.id, annotation.caption))
    photos = [ListedPhoto(image.id, image.file_name, tuple(captions[image.id])) for image in file.images]
    return _with_own_files(photos, where)


def _require_split(images: Sequence[_Image], where: str, split: str) -> None:
    if not re.fullmatch(r"(train|val)20\d\d", split):
        return
    for image in images:
        found = re.match(r"COCO_((?:train|val|test)\d{4})_", image.file_name) or re.search(
            r"/((?:train|val|test)\d{4})/", image.coco_url
        )
        if found and found[1] != split:
            raise DataError(
                f"{where}: image {image.id} is of {found[1]}, not of {split}; name the captions_{split}.json"
            )


def karpathy_captions(content: bytes, where: str, split: str) -> list[ListedPhoto]:
    """Return the photos of one split (`train`, `restval`, `val`, `test`) of Karpathy's `dataset_coco.json`.

    Raises:
        DataError: as in `official_captions`, or the file has no such split.
    """
    file = parsed(TypeAdapter(_KarpathyFile), content, where, "dataset_coco.json of caption_datasets.zip")
    photos = [
        ListedPhoto(i.cocoid, f"{i.filepath}/{i.filename}", tuple(Caption(s.sentid, s.raw) for s in i.sentences))
        for i in file.images
        if i.split == split
    ]
    if not photos:
        known = ", ".join(sorted({image.split for image in file.images}))
        raise DataError(f"{where} has no split {split!r}, only {known or 'no images at all'}")
    return _with_own_files(photos, where)


def mirror_captions(content: bytes, where: str, truth: bytes | None, truth_where: str) -> list[ListedPhoto]:
    """Return the photos of the mirror's `coco_karpathy_test.json`.

    Caption ids are those of its `coco_karpathy_test_gt.json` (`truth`) or, without it, the captions' running numbers
    from 0, which is how that file numbers them.

    Raises:
        DataError: as in `official_captions`, or the two files disagree about a caption.
    """
    items = parsed(TypeAdapter(list[_MirrorImage]), content, where, "coco_karpathy_test.json of the mirror")
    ids = None if truth is None else _truth_ids(truth, truth_where)
    photos, running = [], 0
    for item in items:
        image_id = _image_id(item.image, where)
        captions = []
        for text in item.caption:
            captions.append(Caption(running if ids is None else _pop(ids, image_id, text, truth_where), text))
            running += 1
        photos.append(ListedPhoto(image_id, item.image, tuple(captions)))
    left = sum(map(len, ids.values())) if ids else 0
    if left:
        raise DataError(f"{truth_where} has {left} captions that {where} has not; fetch both files again")
    return _with_own_files(photos, where)


def _truth_ids(truth: bytes, where: str) -> dict[tuple[int, str], list[int]]:
    file = parsed(TypeAdapter(_MirrorTruth), truth, where, "coco_karpathy_test_gt.json of the mirror")
    ids: dict[tuple[int, str], list[int]] = {}
    for annotation in file.annotations:
        ids.setdefault((annotation.image_id, annotation.caption), []).append(annotation.id)
    return ids


def _pop(ids: dict[tuple[int, str], list[int]], image_id: int, text: str, where: str) -> int:
    found = ids.get((image_id, text))
    if not found:
        raise DataError(f"{where} lacks the caption {text[:60]!r} of image {image_id}; fetch both files again")
    return found.pop(0)


def _image_id(file: str, where: str) -> int:
    digits = re.search(r"(\d{1,18})\.\w+$", file)
    if not digits:
        raise DataError(f"{where}: {file!r} does not end in an image id, as in COCO_val2014_000000391895.jpg")
    return int(digits[1])


def scene_strata(content: bytes, where: str) -> dict[int, str]:
    """Return the stratum of each image id, from blocksworld's `scenes_val.json`.

    Raises:
        DataError: the file is damaged.
    """
    file = parsed(TypeAdapter(_SceneFile), content, where, "the embedded scenes_val.json")
    return {scene.image_id: scene.stratum for scene in file.scenes}


def _with_own_files(photos: Iterable[ListedPhoto], where: str) -> list[ListedPhoto]:
    listed = checked(photos, where)
    files: set[str] = set()
    for photo in listed:
        require_new(photo.file, files, f"{where}: image file")
    return listed


def checked(photos: Iterable[ListedPhoto], where: str) -> list[ListedPhoto]:
    """Return `photos` if each id, file name and caption can be right.

    Raises:
        DataError: one cannot; the message names it.
    """
    images: set[int] = set()
    captions: set[int] = set()
    listed = list(photos)
    for photo in listed:
        require_new(photo.id, images, f"{where}: image id")
        require_inside(photo.file, f"{where}: image {photo.id}")
        for caption in photo.captions:
            require_new(caption.id, captions, f"{where}: caption id")
            require_text(caption.text, f"{where}: caption {caption.id} of image {photo.id}")
    if not listed:
        raise DataError(f"{where} lists no images; fetch it again")
    return listed


Key = TypeVar("Key", int, str)


def require_new(key: Key, seen: set[Key], what: str) -> None:
    """Add `key` to `seen`; DataError where it is there already."""
    if key in seen:
        raise DataError(f"{what} {key!r} stands twice; remove one of the two entries or fetch the file again")
    seen.add(key)


def require_text(text: str, what: str) -> None:
    """Return if `text` can be a caption or question: not empty, no NUL, not too long; else DataError."""
    if not text.strip():
        raise DataError(f"{what} is empty; remove it or fetch the file again")
    if "\x00" in text:
        raise DataError(f"{what} holds a NUL character: {text[:60]!r}; remove it or fetch the file again")
    if len(text) > MAX_CAPTION:
        raise DataError(f"{what} has {len(text):,} characters, more than {MAX_CAPTION:,}: {text[:60]!r}; shorten it")


def require_inside(file: str, what: str) -> None:
    """Return if the path `file` stays in its folder; else DataError."""
    if not file or ".." in file.split("/") or re.search(r"[\\\x00]|^(/|[A-Za-z]:)", file):
        raise DataError(f"{what} has the file name {file!r}, which leaves its folder; do not trust this file")
