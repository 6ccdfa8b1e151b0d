"""Captioned pictures from a dataset of the Hugging Face hub, in the parquet form that the hub gives every dataset.

    --data hf:REPO@REVISION     a dataset at one commit
    --data hf:FOLDER            parquet files in a folder, as `datasets` writes them

Columns are found by feature type and name, or named with `-t image_column=`, `caption_column=` and `id_column=`. A row
holds a picture with one caption or a list of them; rows that share an id (or, where there is none, the very same
picture) are one picture. Captions, and pictures without an id, are numbered in the order of the rows. No code of the
dataset is run.

Pictures are copied out of the parquet files once, each under the SHA-256 of its bytes, so that the rest of evalkit sees
files.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi, snapshot_download

from evalkit.errors import DataError, UsageError
from evalkit.features.pictures import FilePicture
from evalkit.keys import digest
from evalkit.types import Json
from evalkit.workspace import Workspace
from evalkit_tasks.coco import CaptionSet, Photo
from evalkit_tasks.coco_json import Caption, ListedPhoto, checked

CAPTION_NAMES = ("captions", "caption", "sentences_raw", "answer", "text", "sentences", "annotations_captions")
ID_NAMES = ("image_id", "cocoid", "coco_id", "imgid", "id")
ROWS_AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class Source:
    """Where the parquet files lie, what errors and tables call the dataset, and what its numbers are stamped with."""

    folder: Path
    name: str
    stamps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row's picture, captions and id stand; `id` is empty where there is none."""

    image: str
    caption: str
    id: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the id of a picture if the dataset has one, its captions, and the SHA-256 under which it was copied."""

    id: int | None
    captions: tuple[str, ...]
    file: str


def hub_set(workspace: Workspace, reference: str, options: Mapping[str, str]) -> CaptionSet:
    """Return one split of the dataset that `reference` names, `REPO@REVISION` or a folder.

    A revision that is no commit (`main`) is accepted and stamped, since it names other data tomorrow.

    Raises:
        UsageError: no revision, or more than one split and none chosen.
        DataError: it cannot be fetched, or has no columns of pictures and captions; the message lists its columns.
    """
    source = source_of(workspace, reference, options.get("split", ""))
    split, files = split_files(source, options.get("split", ""))
    where = f"{source.name}, split {split}"
    columns = _columns(files[0], options, where)
    pictures = workspace.datasets / "hub"
    listed = checked(_grouped(_rows(files, columns, pictures, where), where), where)
    photos = tuple(Photo(p.id, FilePicture(pictures / p.file), p.captions) for p in listed)
    content: list[Json] = [[p.id, p.file, [[c.id, c.text] for c in p.captions]] for p in listed]
    return CaptionSet(f"{source.name} {split}", split, photos, digest(content), "see the dataset's card", source.stamps)


def source_of(workspace: Workspace, reference: str, split: str) -> Source:
    """Return where the dataset that `reference` names lies, its parquet files fetched.

    Raises:
        UsageError: it names no revision and no folder.
        DataError: it cannot be fetched.
    """
    if Path(reference).is_dir():
        return Source(Path(reference), f"hf:{Path(reference).resolve().name}", ())
    repository, at, revision = reference.partition("@")
    if not at or not revision:
        raise UsageError(
            f"--data hf:{reference} names no revision and no folder; write hf:{repository}@COMMIT "
            "(or @main, which is stamped: it names other data tomorrow)"
        )
    stamps = () if re.fullmatch(r"[0-9a-f]{40}", revision) else (f"unpinned revision {revision}",)
    folder = _snapshot(workspace, repository, revision, split)
    return Source(folder, f"hf:{repository}@{revision[:12]}", stamps)


def _snapshot(workspace: Workspace, repository: str, revision: str, split: str) -> Path:
    where = f"hf:{repository}@{revision}"
    try:
        wanted = None
        if not workspace.offline:
            files = HfApi().list_repo_files(repository, repo_type="dataset", revision=revision)
            wanted = [file for file in files if file.endswith(".parquet") and split in {"", _split_of(Path(file))}]
        found = snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision,
            allow_patterns=wanted,
            local_files_only=workspace.offline,
            cache_dir=workspace.datasets / "huggingface",
        )
    except (OSError, ValueError) as error:
        how = "EVALKIT_OFFLINE or --offline forbids the network" if workspace.offline else "check the name and revision"
        raise DataError(f"{where} cannot be fetched ({error}); {how}, or name a folder as hf:FOLDER") from error
    return Path(found)


def _split_of(file: Path) -> str:
    """Return the split that a parquet file belongs to, from the names that `datasets` and the hub give.

    `data/val-00000-of-00012.parquet`, `default/val/0000.parquet` and `val.parquet` are all of `val`.
    """
    shard = re.fullmatch(r"(.+?)-\d{5}-of-\d{5}.*", file.stem)
    if shard:
        return shard[1]
    return file.parent.name if re.fullmatch(r"\d+", file.stem) and file.parent.name else file.stem


def split_files(source: Source, split: str) -> tuple[str, list[Path]]:
    """Return the chosen split and its parquet files.

    Raises:
        UsageError: no such split, or several and none chosen.
        DataError: there are no parquet files.
    """
    by_split: dict[str, list[Path]] = {}
    for path in sorted(source.folder.rglob("*.parquet")):
        by_split.setdefault(_split_of(path.relative_to(source.folder)), []).append(path)
    known = ", ".join(sorted(by_split))
    if not by_split:
        raise DataError(
            f"{source.name} has no parquet files; use the revision refs/convert/parquet, or save it as parquet"
        )
    if not split and len(by_split) > 1:
        raise UsageError(f"{source.name} has the splits {known}; choose one with -t split=")
    chosen = split or next(iter(by_split))
    if chosen not in by_split:
        raise UsageError(f"{source.name} has no split {chosen!r}, only {known}")
    return chosen, by_split[chosen]


def _columns(file: Path, options: Mapping[str, str], where: str) -> Columns:
    try:
        features = datasets.Features.from_arrow_schema(pq.read_schema(file))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{file} is not a whole parquet file ({error}); fetch or save it again") from error
    pictures = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    texts = [name for name, feature in features.items() if _is_text(feature)]
    named = [name for name in CAPTION_NAMES if name in texts]
    held = "; ".join(f"{name}: {_type_name(feature)}" for name, feature in features.items())
    return Columns(
        _column("image_column", options, list(features), pictures, where, held),
        _column("caption_column", options, list(features), named[:1] or texts, where, held),
        _column("id_column", options, list(features), [*(n for n in ID_NAMES if n in features), ""][:1], where, held),
    )


def _column(
    option: str, options: Mapping[str, str], known: Sequence[str], found: Sequence[str], where: str, held: str
) -> str:
    asked = options.get(option)
    if asked and asked not in known:
        raise UsageError(f"{where} has no column {asked!r}; it has {held}")
    if not asked and len(found) != 1:
        what = option.removesuffix("_column")
        count = "no column" if not found else f"{len(found)} columns"
        raise DataError(f"{where} has {count} that can be the {what} ({held}); choose one with -t {option}=")
    return asked or found[0]


def _is_text(feature: object) -> bool:
    inner = getattr(feature, "feature", feature)
    return isinstance(inner, datasets.Value) and inner.dtype in {"string", "large_string"}


def _type_name(feature: object) -> str:
    inner = getattr(feature, "feature", None)
    name = getattr(feature, "dtype", None) or type(feature).__name__
    return f"list of {_type_name(inner)}" if inner is not None else str(name)


def _rows(files: Sequence[Path], columns: Columns, pictures: Path, where: str) -> Iterator[Row]:
    wanted = [name for name in (columns.image, columns.caption, columns.id) if name]
    number = 0
    for file in files:
        try:
            for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_A_TIME, columns=wanted):
                for values in batch.to_pylist():
                    yield _row(values, columns, pictures, f"{where}, row {number}")
                    number += 1
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file} cannot be read ({error}); fetch or save it again") from error


def _row(values: Mapping[str, object], columns: Columns, pictures: Path, where: str) -> Row:
    image = values[columns.image]
    content = image.get("bytes") if isinstance(image, dict) else None
    if not isinstance(content, bytes):
        raise DataError(f"{where}: column {columns.image} holds no picture; choose another with -t image_column=")
    texts = values[columns.caption]
    captions = tuple(texts) if isinstance(texts, list) else (texts,)
    if not all(isinstance(text, str) for text in captions):
        raise DataError(f"{where}: column {columns.caption} holds no text; choose another with -t caption_column=")
    return Row(_row_id(values, columns, where), tuple(map(str, captions)), copied(content, pictures))


def _row_id(values: Mapping[str, object], columns: Columns, where: str) -> int | None:
    if not columns.id:
        return None
    value = values[columns.id]
    digits = re.search(r"(\d{1,18})(\.\w+)?$", str(value))
    if not digits:
        raise DataError(f"{where}: {value!r} in column {columns.id} has no number; choose another with -t id_column=")
    return int(digits[1])


def copied(content: bytes, pictures: Path) -> str:
    """Return the name under which the encoded picture lies in `pictures` from now on: its SHA-256."""
    name = hashlib.sha256(content).hexdigest()
    path = pictures / name
    if not path.is_file() or path.stat().st_size != len(content):
        pictures.mkdir(parents=True, exist_ok=True)
        beside = pictures / f".{name}.{os.getpid()}"
        beside.write_bytes(content)
        beside.replace(path)
    return name


def _grouped(rows: Iterable[Row], where: str) -> list[ListedPhoto]:
    listed: dict[int | str, ListedPhoto] = {}
    running = 0
    for row in rows:
        captions = tuple(Caption(running + i, text) for i, text in enumerate(row.captions))
        running += len(captions)
        key = row.file if row.id is None else row.id
        before = listed.get(key, ListedPhoto(len(listed) if row.id is None else row.id, row.file, ()))
        if before.file != row.file:
            raise DataError(f"{where}: two pictures have the id {row.id}; choose another column with -t id_column=")
        listed[key] = replace(before, captions=before.captions + captions)
    return list(listed.values())
