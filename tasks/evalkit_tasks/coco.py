"""COCO captions with their photos: official files read in place, from folders or from the zips as they are downloaded.

A folder is understood when it holds, for a split such as `val2014`,

    annotations/captions_val2014.json, or captions_val2014.json, or annotations_trainval2014.zip (read in place)
    val2014/COCO_val2014_000000391895.jpg ..., or val2014.zip (read in place)

and for Karpathy's splits `dataset_coco.json`, or the `caption_datasets.zip` that holds it, or `coco_karpathy_test.json`
with its `_gt` file, beside the photos of 2014.

Every photo that a caption file lists must be there: a part of a set is another set, with another FID. Files that are
not listed are no part of the data and are not read.

Source: Lin et al. 2014, arXiv:1405.0312; Chen et al. 2015, arXiv:1504.00325.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import DataError
from evalkit.features.pictures import Picture
from evalkit.keys import digest
from evalkit_tasks.coco_json import Caption, ListedPhoto, karpathy_captions, mirror_captions, official_captions
from evalkit_tasks.official_files import Archive, Document, Folder, official_document, photo_store, photos_place, place
from evalkit_tasks.sources import IMAGES_OF_SPLIT

LICENCE = "annotations CC BY 4.0; photos under their Flickr terms"
KARPATHY_SPLITS = {"test": 5_000, "val": 5_000, "train": 82_783, "restval": 30_504}
"""Photos in each of Karpathy's splits."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo with its captions; without any it can only be a reference."""

    id: int
    picture: Picture
    captions: tuple[Caption, ...]
    strata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CaptionSet:
    """One split of a captioned dataset. `digest` is over the caption file's bytes and the list of photo files."""

    name: str
    split: str
    photos: tuple[Photo, ...]
    digest: str
    licence: str = LICENCE
    stamps: tuple[str, ...] = ()


def splits_in(directory: Path) -> list[str]:
    """Return the official splits whose captions and photos both are in `directory`, 2014 before 2017."""
    return [split for split in IMAGES_OF_SPLIT if _captions_place(directory, split) and photos_place(directory, split)]


def holds_part_of(directory: Path, split: str) -> bool:
    """Return whether the captions file or the photos of `split` are in `directory`."""
    return bool(place(directory, f"captions_{split}.json") or photos_place(directory, split))


def official_set(directory: Path, split: str, name: str = "coco") -> CaptionSet:
    """Return a split of official files in `directory`: `val2014`, or whatever name the files themselves carry.

    Raises:
        DataError: the captions or photos are missing or malformed, or a listed photo is not there.
    """
    document = captions_document(directory, split)
    store = photo_store(directory, split, _next_step(split))
    listed = official_captions(document.content, document.where, split)
    photos = with_pictures(listed, [store] * len(listed), [photo.file for photo in listed], document.where)
    return CaptionSet(
        f"{name} {split}",
        split,
        photos,
        set_digest(document.content, listed),
        stamps=subset_stamps(split, len(listed), IMAGES_OF_SPLIT.get(split)),
    )


def subset_stamps(split: str, found: int, full: int | None) -> tuple[str, ...]:
    """Return the stamp of a split of which not all images are there; `full` is None where that is not known."""
    return () if full in {None, found} else (f"{found:,} of the {full:,} images of {split}",)


def karpathy_set(directory: Path, split: str) -> CaptionSet:
    """Return one of Karpathy's splits, its photos taken from val2014 and train2014 in `directory`.

    Raises:
        DataError: as in `official_set`.
    """
    document, listed = _karpathy_listed(directory, split)
    stores = {
        part: photo_store(directory, part, _next_step(part)) for part in sorted({_part(photo.file) for photo in listed})
    }
    inside = [photo.file.partition("/")[2] for photo in listed]
    photos = with_pictures(listed, [stores[_part(photo.file)] for photo in listed], inside, document.where)
    stamps = subset_stamps(f"Karpathy's {split}", len(listed), KARPATHY_SPLITS[split])
    return CaptionSet(f"karpathy {split}", split, photos, set_digest(document.content, listed), stamps=stamps)


def _part(file: str) -> str:
    return file.partition("/")[0]


def _karpathy_listed(directory: Path, split: str) -> tuple[Document, list[ListedPhoto]]:
    if split not in KARPATHY_SPLITS:
        raise DataError(f"Karpathy's splits are {', '.join(KARPATHY_SPLITS)}, not {split!r}; choose one with -t split=")
    document = official_document(directory, "dataset_coco.json", "caption_datasets.zip")
    if document is not None:
        return document, karpathy_captions(document.content, document.where, split)
    document = official_document(directory, f"coco_karpathy_{split}.json", None)
    if document is None:
        raise DataError(
            f"{directory} holds neither dataset_coco.json (nor the caption_datasets.zip that has it) nor "
            f"coco_karpathy_{split}.json; get the latter and its _gt file from "
            "https://storage.googleapis.com/sfr-vision-language-research/datasets/"
        )
    truth = official_document(directory, f"coco_karpathy_{split}_gt.json", None)
    return document, mirror_captions(
        document.content, document.where, truth.content if truth else None, truth.where if truth else ""
    )


def set_digest(content: bytes, listed: Iterable[ListedPhoto]) -> str:
    """Return the digest of a caption set: of its caption file's bytes and its photos' file names."""
    return digest([hashlib.sha256(content).hexdigest(), [photo.file for photo in listed]])


def with_pictures(
    listed: Sequence[ListedPhoto], stores: Sequence[Folder | Archive], files: Sequence[str], where: str
) -> tuple[Photo, ...]:
    """Return `listed` with their pictures, each from its store.

    Raises:
        DataError: a listed picture is not there.
    """
    photos = []
    missing = []
    for photo, store, file in zip(listed, stores, files, strict=True):
        picture = store.find(file)
        if picture is None:
            missing.append(f"{file} in {store.path}")
        else:
            photos.append(Photo(photo.id, picture, photo.captions))
    if missing:
        raise DataError(
            f"{len(missing):,} of the {len(listed):,} images that {where} lists are missing, the first being "
            f"{missing[0]}; complete the folder, or give the official zip in its place"
        )
    return tuple(photos)


def captions_document(directory: Path, split: str) -> Document:
    """Return the captions file of `split` in `directory`.

    Raises:
        DataError: it is in none of the places of the official layout, or its zip is damaged.
    """
    archive = _archive_of(split)
    document = official_document(directory, f"captions_{split}.json", archive)
    if document is None:
        other = f" and no {archive} that holds it" if archive else ""
        raise DataError(f"{directory} has no annotations/captions_{split}.json{other}; {_next_step(split)}")
    return document


def _archive_of(split: str) -> str | None:
    return f"annotations_trainval{split[-4:]}.zip" if split in IMAGES_OF_SPLIT else None


def _next_step(split: str) -> str:
    fetch = f"fetch it with `evalkit fetch coco -a split={split}` or " if split in IMAGES_OF_SPLIT else ""
    return f"{fetch}name another folder with --data-dir"


def _captions_place(directory: Path, split: str) -> Path | None:
    archive = _archive_of(split)
    return place(directory, f"captions_{split}.json") or (place(directory, archive) if archive else None)


def holds_karpathy(directory: Path) -> bool:
    """Return whether one of the files that list Karpathy's test split is in `directory`."""
    names = ("dataset_coco.json", "caption_datasets.zip", "coco_karpathy_test.json")
    return any(place(directory, name) for name in names)
