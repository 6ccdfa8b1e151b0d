"""Official files in a folder, as they are downloaded: documents, and pictures in a folder or in the zip of its name."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture, ZipPicture


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

    def find(self, file: str) -> FilePicture | ZipPicture | None:
        """Return the picture at `file` below the folder, None where there is none."""
        held = file in self.names if "/" not in file else (self.path / file).is_file()
        return FilePicture(self.path / file) if held else None


@dataclass(frozen=True, slots=True)
class Archive:
    """Pictures in a zip, at its root or below one folder that is named after it."""

    path: Path
    names: frozenset[str]

    def find(self, file: str) -> FilePicture | ZipPicture | None:
        """Return the picture at `file` in the zip, None where there is none."""
        for member in (f"{self.path.stem}/{file}", file):
            if member in self.names:
                return ZipPicture(self.path, member)
        return None


def place(directory: Path, name: str) -> Path | None:
    """Return the file `name` in `directory` or in its `annotations`, None where there is none."""
    return _file(directory / "annotations" / name) or _file(directory / name)


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def official_document(directory: Path, name: str, archive_name: str | None) -> Document | None:
    """Return the file `name` in `directory` or its `annotations`, or the member of that name of the archive there.

    Raises:
        DataError: it is there and cannot be read.
    """
    path = place(directory, name)
    if path is not None:
        try:
            return Document(str(path), path.read_bytes())
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}); mend its permissions or fetch it again") from error
    archive = place(directory, archive_name) if archive_name else None
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


def photo_store(directory: Path, split: str, next_step: str) -> Folder | Archive:
    """Return the pictures in the folder `split` of `directory`, or in `split.zip`.

    Raises:
        DataError: there is neither, or it cannot be read.
    """
    path = photos_place(directory, split)
    if path is None:
        raise DataError(f"{directory} has neither the folder {split} nor {split}.zip; {next_step}")
    if not path.is_dir():
        return Archive(path, members(path))
    try:
        with os.scandir(path) as entries:
            return Folder(path, frozenset(entry.name for entry in entries))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); mend its permissions") from error
