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
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture, Picture, ZipPicture
from evalkit.keys import digest
from evalkit_tasks.coco_json import Caption, ListedPhoto, karpathy_captions, mirror_captions, official_captions
from evalkit_tasks.sources import IMAGES_OF_SPLIT

LICENCE = "annotations CC BY 4.0; photos under their Flickr terms"
KARPATHY_SPLITS = ("test", "val", "train", "restval")


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


@dataclass(frozen=True, slots=True)
class Document:
    """A file's bytes and its name in errors; a file in a zip is named as `archive.zip:member`."""

    where: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Folder:
    """Pictures in a folder."""

    path: Path
    names: frozenset[str]

    def find(self, file: str) -> Picture | None:
        """Return the picture at `file` below the folder, None where there is none."""
        held = file in self.names if "/" not in file else (self.path / file).is_file()
        return FilePicture(self.path / file) if held else None


@dataclass(frozen=True, slots=True)
class Archive:
    """Pictures in a zip, at its root or below one folder that is named after it."""

    path: Path
    names: frozenset[str]

    def find(self, file: str) -> Picture | None:
        """Return the picture at `file` in the zip, None where there is none."""
        for member in (f"{self.path.stem}/{file}", file):
            if member in self.names:
                return ZipPicture(self.path, member)
        return None


def splits_in(directory: Path) -> list[str]:
    """Return the official splits whose captions and photos both are in `directory`, 2014 before 2017."""
    return [split for split in IMAGES_OF_SPLIT if _captions_place(directory, split) and photos_place(directory, split)]


def holds_part_of(directory: Path, split: str) -> bool:
    """Return whether the captions file or the photos of `split` are in `directory`."""
    return bool(_place(directory, f"captions_{split}.json") or photos_place(directory, split))


def official_set(directory: Path, split: str, name: str = "coco") -> CaptionSet:
    """Return a split of official files in `directory`: `val2014`, or whatever name the files themselves carry.

    Raises:
        DataError: the captions or photos are missing or malformed, or a listed photo is not there.
    """
    document = captions_document(directory, split)
    store = _store(directory, split)
    listed = official_captions(document.content, document.where, split)
    photos = _photos(listed, [store] * len(listed), [photo.file for photo in listed], document.where)
    return CaptionSet(
        f"{name} {split}",
        split,
        photos,
        set_digest(document.content, listed),
        stamps=_subset_stamps(split, len(listed)),
    )


def _subset_stamps(split: str, found: int) -> tuple[str, ...]:
    full = IMAGES_OF_SPLIT.get(split, found)
    return () if found == full else (f"{found:,} of the {full:,} images of {split}",)


def karpathy_set(directory: Path, split: str) -> CaptionSet:
    """Return one of Karpathy's splits, its photos taken from val2014 and train2014 in `directory`.

    Raises:
        DataError: as in `official_set`.
    """
    document, listed = _karpathy_listed(directory, split)
    stores = {part: _store(directory, part) for part in sorted({_part(photo.file) for photo in listed})}
    inside = [photo.file.partition("/")[2] for photo in listed]
    photos = _photos(listed, [stores[_part(photo.file)] for photo in listed], inside, document.where)
    return CaptionSet(f"karpathy {split}", split, photos, set_digest(document.content, listed))


def _part(file: str) -> str:
    return file.partition("/")[0]


def _karpathy_listed(directory: Path, split: str) -> tuple[Document, list[ListedPhoto]]:
    if split not in KARPATHY_SPLITS:
        raise DataError(f"Karpathy's splits are {', '.join(KARPATHY_SPLITS)}, not {split!r}; choose one with -t split=")
    document = _document(directory, "dataset_coco.json", "caption_datasets.zip")
    if document is not None:
        return document, karpathy_captions(document.content, document.where, split)
    document = _document(directory, f"coco_karpathy_{split}.json", None)
    if document is None:
        raise DataError(
            f"{directory} holds neither dataset_coco.json (nor the caption_datasets.zip that has it) nor "
            f"coco_karpathy_{split}.json; get the latter and its _gt file from "
            "https://storage.googleapis.com/sfr-vision-language-research/datasets/"
        )
    truth = _document(directory, f"coco_karpathy_{split}_gt.json", None)
    return document, mirror_captions(
        document.content, document.where, truth.content if truth else None, truth.where if truth else ""
    )


def set_digest(content: bytes, listed: Iterable[ListedPhoto]) -> str:
    """Return the digest of a caption set: of its caption file's bytes and its photos' file names."""
    return digest([hashlib.sha256(content).hexdigest(), [photo.file for photo in listed]])


def _photos(
    listed: Sequence[ListedPhoto], stores: Sequence[Folder | Archive], files: Sequence[str], where: str
) -> tuple[Photo, ...]:
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
    document = _document(directory, f"captions_{split}.json", archive)
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
    return _place(directory, f"captions_{split}.json") or (_place(directory, archive) if archive else None)


def _place(directory: Path, name: str) -> Path | None:
    return _file(directory / "annotations" / name) or _file(directory / name)


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _document(directory: Path, name: str, archive_name: str | None) -> Document | None:
    path = _place(directory, name)
    if path is not None:
        try:
            return Document(str(path), path.read_bytes())
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}); mend its permissions or fetch it again") from error
    archive = _place(directory, archive_name) if archive_name else None
    return _member(archive, name) if archive else None


def _member(archive: Path, name: str) -> Document | None:
    names = sorted(member for member in members(archive) if PurePosixPath(member).name == name)
    if not names:
        return None
    try:
        with zipfile.ZipFile(archive) as opened:
            return Document(f"{archive}:{names[0]}", opened.read(names[0]))
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError) as error:
        raise DataError(f"{archive}:{names[0]} cannot be read ({error}); fetch the archive again") from error


def members(archive: Path) -> frozenset[str]:
    """Return the names of the files in a zip.

    Raises:
        DataError: it is no whole zip, or holds a name twice, encrypted, or one that leaves its folder.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(f"{archive} is not a whole zip ({error}); fetch it again") from error
    names = frozenset(entry.filename for entry in entries)
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise DataError(f"{archive} holds {entry.filename!r}, which leaves its folder; do not trust this archive")
        if entry.flag_bits & 1:
            raise DataError(f"{archive} holds {entry.filename!r} encrypted; unpack it with its password first")
    if len(names) != len(entries):
        raise DataError(f"{archive} holds {len(entries) - len(names)} names twice; fetch it again")
    return names


def photos_place(directory: Path, split: str) -> Path | None:
    """Return the folder or zip that holds the photos of `split` in `directory`, None where there is neither."""
    folder = directory / split
    return folder if folder.is_dir() else _file(directory / f"{split}.zip")


def _store(directory: Path, split: str) -> Folder | Archive:
    path = photos_place(directory, split)
    if path is None:
        raise DataError(f"{directory} has neither the folder {split} nor {split}.zip; {_next_step(split)}")
    if not path.is_dir():
        return Archive(path, members(path))
    try:
        with os.scandir(path) as entries:
            return Folder(path, frozenset(entry.name for entry in entries))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); mend its permissions") from error
