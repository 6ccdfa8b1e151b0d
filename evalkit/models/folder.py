"""Pictures made elsewhere, read from a folder.

A picture's file is named by the sample it answers:

    by=sample     `397133-37.png` answers sample `397133-37`
    by=caption    `37.png` answers every sample whose id ends in `-37`: the caption id of COCO
    by=image      `000000397133.png` or `COCO_val2014_000000397133.jpg` answers every sample of image `397133`
    by=manifest   `manifest.jsonl` holds a line {"sample_id": "397133-37", "file": "out/a.png"} for each sample

Leading zeros do not count. `auto` takes the manifest where there is one, and else each sample's own name, then its
caption's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import DataError, UsageError, nearest
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import FilePicture, identities
from evalkit.images import read_image
from evalkit.keys import digest
from evalkit.models.sample_ids import Matched, bare, matched, names_of
from evalkit.types import IMAGE_JOBS, Answer, Failure, Generation, Job, JsonScalar, Request
from evalkit.workspace import Workspace

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MANIFEST = "manifest.jsonl"
WAYS = ("auto", "sample", "caption", "image", "manifest")


@dataclass(frozen=True, slots=True)
class Folder:
    """Answers each request with the file that is named after its sample."""

    directory: Path
    by: str
    files: Mapping[str, Path]
    content: str
    """Digest of all file names and contents: an overwritten picture makes another model."""
    label: str

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.label

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The digest of the folder's pictures, and how they are named."""
        return {"model": "images", "code": 1, "by": self.by, "content": self.content}

    @property
    def capabilities(self) -> frozenset[Job]:
        """Every job that ends in a picture."""
        return IMAGE_JOBS

    def matched(self, sample_ids: Iterable[str]) -> Matched:
        """Return which samples have no picture, and which pictures answer no sample."""
        return matched(self.files, self.by, sample_ids)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each sample's picture as the file holds it, or a `Failure` where there is none or it is damaged."""
        for position, request in enumerate(requests):
            names = names_of(request.sample_id, self.by)
            path = next((self.files[name] for name in names if name in self.files), None)
            if path is None:
                asked = " or ".join(names)
                yield position, Failure("missing", f"no picture named {asked} in {self.directory}")
                continue
            try:
                yield position, Generation((read_image(path, str(path), "generated"),))
            except DataError as error:
                yield position, Failure("malformed", str(error))


def folder_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Folder:
    """Return the model whose answers are the pictures in folder `argument`.

    Raises:
        UsageError: `by` is unknown.
        DataError: the folder or its manifest is missing or malformed, holds no picture, or two files have one name.
    """
    by = options.get("by", "auto")
    if by not in WAYS:
        raise UsageError(f"-a by={by} is not known{nearest(by, WAYS)}")
    directory = Path(argument)
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder; name the folder of pictures as -m images:DIR")
    if by == "auto" and (directory / MANIFEST).exists():
        by = "manifest"
    files = _read_manifest(directory) if by == "manifest" else _read_names(directory, by)
    if not files:
        raise DataError(f"{directory} holds no picture ({', '.join(sorted(SUFFIXES))})")
    names = sorted(files)
    cache = FeatureCache(workspace.cache / "features")
    digests = identities([FilePicture(files[name]) for name in names], cache)
    content = digest([[name, found] for name, found in zip(names, digests, strict=True)])
    return Folder(directory, by, files, content, options.get("name") or f"images:{directory.resolve().name}")


def _read_names(directory: Path, by: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(p for p in directory.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
        digits = re.search(r"\d+$", path.stem)
        name = bare(digits.group() if by == "image" and digits else path.stem)
        if name in files:
            raise DataError(f"{files[name]} and {path} both answer {name!r}; keep one of them")
        files[name] = path
    return files


def _read_manifest(directory: Path) -> dict[str, Path]:
    manifest = directory / MANIFEST
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"{manifest} does not exist; write it, or leave out -a by=manifest") from error
    files: dict[str, Path] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{manifest}, line {number},"
        try:
            entry = json.loads(line)
            sample_id, file = str(entry["sample_id"]), str(entry["file"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f'{where} should read {{"sample_id": ..., "file": ...}} ({error!r})') from error
        path = directory / file
        if not path.resolve().is_relative_to(directory.resolve()):
            raise DataError(f"{where} names {file!r}, which lies outside the folder; move the picture into it")
        if not path.is_file():
            raise DataError(f"{where} names {file!r}, which does not exist")
        if sample_id in files:
            raise DataError(f"{where} answers sample {sample_id!r} a second time; keep one line")
        files[sample_id] = path
    return files
