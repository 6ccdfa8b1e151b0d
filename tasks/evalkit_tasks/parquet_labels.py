"""Photos with label maps in the parquet form of the Hugging Face hub: ControlNet++'s Captioned_ADE20K.

Its columns are `image`, `seg_map` (the label map as ADE20K publishes it) and `prompt`, as `eval/eval_ade20k.sh` of
liming-ai/ControlNet_Plus_Plus names them. Pictures are copied out of the files once, each under its digest, and a photo
is known by the number of its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture
from evalkit.workspace import Workspace
from evalkit_tasks.edit_sets import require_text
from evalkit_tasks.hub import Source, copied, source_of, split_files
from evalkit_tasks.labelled_photos import LabelledPhoto

PHOTO, LABELS, CAPTION = "image", "seg_map", "prompt"
ROWS_AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class HubPhotos:
    """The photos of one split, and where they are from."""

    source: Source
    split: str
    photos: tuple[LabelledPhoto, ...]


def hub_photos(workspace: Workspace, reference: str, split: str) -> HubPhotos:
    """Return the photos of the dataset that `reference` names, `REPO@REVISION` or a folder.

    Raises:
        UsageError: no revision, or more than one split and none chosen.
        DataError: it cannot be fetched, lacks a column, or a row holds no picture or no caption.
    """
    source = source_of(workspace, reference, split)
    chosen, files = split_files(source, split)
    pictures = workspace.datasets / "hub"
    rows = [row for file in files for row in _rows(file)]
    where = f"{source.name}, split {chosen}"
    photos = tuple(_photo(row, str(number), pictures, f"{where}, row {number}") for number, row in enumerate(rows))
    if not photos:
        raise DataError(f"{where} holds no photos; choose another with -t split=")
    return HubPhotos(source, chosen, photos)


def _rows(file: Path) -> Iterator[Mapping[str, object]]:
    try:
        lacking = sorted({PHOTO, LABELS, CAPTION} - set(pq.read_schema(file).names))
        if lacking:
            raise DataError(f"{file} lacks the columns {', '.join(lacking)}; it is of another dataset")
        for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_A_TIME, columns=[PHOTO, LABELS, CAPTION]):
            yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read ({error}); fetch it again") from error


def _photo(row: Mapping[str, object], number: str, pictures: Path, where: str) -> LabelledPhoto:
    def picture(column: str) -> FilePicture:
        value = row[column]
        content = value.get("bytes") if isinstance(value, dict) else None
        if not isinstance(content, bytes):
            raise DataError(f"{where}: column {column} holds no picture; fetch the dataset again")
        return FilePicture(pictures / copied(content, pictures))

    caption = require_text(str(row[CAPTION] or ""), f"{where}: its caption")
    return LabelledPhoto(number, picture(PHOTO), picture(LABELS), " ".join(caption.split()))
