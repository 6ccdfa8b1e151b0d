"""Rows of files that hold answers: JSON Lines, CSV, results as COCO and VQA write them, Hugging Face datasets."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from evalkit.errors import DataError, UsageError, nearest
from evalkit.types import Json
from evalkit.workspace import Workspace

Dataset: TypeAlias = Any
"""Of `datasets`, which has no types."""
ID_COLUMNS = ("sample_id", "question_id", "image_id", "id")
ANSWER_COLUMNS = ("text", "caption", "answer", "prediction", "output", "image")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns that hold a row's id and its answer."""

    id: str
    answer: str


Place: TypeAlias = str
"""Where a row stands, for errors: `results.json, entry 12`."""
Row: TypeAlias = tuple[Place, Mapping[str, Json]]


def columns_of(names: Sequence[str], options: Mapping[str, str], where: str) -> Columns:
    """Return the columns that the options name, or else those of the known names that come first.

    Raises:
        DataError: there is none; the message lists what there is.
    """
    return Columns(
        _column(names, options.get("id_column", ""), ID_COLUMNS, f"{where}: no column of ids"),
        _column(names, options.get("answer_column", ""), ANSWER_COLUMNS, f"{where}: no column of answers"),
    )


def _column(names: Sequence[str], wanted: str, known: Sequence[str], complaint: str) -> str:
    if wanted and wanted not in names:
        raise DataError(f"{complaint} is named {wanted!r}{nearest(wanted, names)}")
    found = [name for name in ((wanted,) if wanted else known) if name in names]
    if not found:
        raise DataError(
            f"{complaint} ({', '.join(known)}) among {', '.join(names)}; name it with -a id_column=, answer_column="
        )
    return found[0]


def text_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a `.jsonl`, `.csv` or `.json` file.

    Raises:
        DataError: it cannot be read; the message names the line or entry.
        UsageError: its ending is none of these.
    """
    readers = {".jsonl": _json_lines, ".csv": _csv_rows, ".json": _json_entries}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path} should end in {', '.join(readers)} or .parquet, or be a folder of a dataset")
    try:
        yield from readers[path.suffix.lower()](path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); check the path and that it is UTF-8") from error


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                yield where, _object(_loaded(line, where), where)


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{where} has another number of cells than the first; quote cells that hold a comma")
            yield where, dict(row)


def _json_entries(path: Path) -> Iterator[Row]:
    document = _loaded(path.read_text(encoding="utf-8"), str(path))
    if isinstance(document, dict):  # as COCO's own annotation files are, which people also fill with results
        document = document.get("annotations")
    if not isinstance(document, list):
        raise DataError(f"{path} should hold a list of results, each with an id and an answer")
    for number, entry in enumerate(document):
        where = f"{path}, entry {number}"
        yield where, _object(entry, where)


def _loaded(text: str, where: str) -> Json:
    try:
        document: Json = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({error}); write it anew") from error
    return document


def _object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise DataError(f"{where} is not an object with an id and an answer")
    return value


def dataset_of(workspace: Workspace, source: str, split: str) -> tuple[Dataset, list[Path]]:
    """Return a Hugging Face dataset, and the files that it was read from; no code of it is run.

    `source` is a folder that `save_to_disk` wrote, a folder or file of parquet, or `REPO@REVISION` on the hub.

    Raises:
        UsageError: no revision is named, or several splits and none chosen.
        DataError: it cannot be fetched or read.
    """
    import datasets

    path = Path(source)
    path = path if path.exists() else _fetched(workspace, source)
    saved = path.is_dir() and any((path / name).exists() for name in ("state.json", "dataset_dict.json"))
    pattern = "*.arrow" if saved else "*.parquet"
    files = sorted(path.rglob(pattern)) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{source} holds neither parquet files nor a dataset that save_to_disk wrote")
    try:
        if saved:
            found = datasets.load_from_disk(str(path))
        else:
            texts = [str(file) for file in files if not split or split in file.relative_to(path.parent).as_posix()]
            found = datasets.Dataset.from_parquet(texts, cache_dir=str(workspace.datasets / "huggingface"))
    except (OSError, ValueError, TypeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{source} cannot be read ({str(error).splitlines()[0]}); save it again") from error
    if isinstance(found, datasets.DatasetDict):
        if len(found) > 1 and split not in found:
            raise UsageError(f"{source} has the splits {', '.join(found)}; choose one with -a split=")
        found = found[split or next(iter(found))]
    return found, files


def _fetched(workspace: Workspace, source: str) -> Path:
    from huggingface_hub import snapshot_download

    repository, at, revision = source.partition("@")
    if not at or not revision:
        raise UsageError(f"{source} is not here; a dataset on the hub is named hf:REPO@REVISION")
    try:
        found = snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision,
            allow_patterns=["*.parquet"],
            local_files_only=workspace.offline,
            cache_dir=workspace.datasets / "huggingface",
        )
    except (OSError, ValueError) as error:
        how = "--offline forbids the network" if workspace.offline else "check the name and revision"
        raise DataError(f"hf:{source} cannot be fetched ({str(error).splitlines()[0]}); {how}") from error
    return Path(found)
