"""Edits in the parquet form that the Hugging Face hub gives a dataset: Emu Edit's and MagicBrush's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture
from evalkit_tasks.edit_sets import EditTurn
from evalkit_tasks.hub import Source, copied, split_files

ROWS_AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class EditColumns:
    """Where a row keeps what makes an edit; an empty name is a column that the set has not."""

    session: str
    source: str
    instruction: str
    turn: str = ""
    target: str = ""
    mask: str = ""
    source_caption: str = ""
    target_caption: str = ""
    kind: str = ""

    @property
    def names(self) -> list[str]:
        """The columns that are read."""
        every = (self.session, self.source, self.instruction, self.turn, self.target, self.mask)
        return list(dict.fromkeys(n for n in (*every, self.source_caption, self.target_caption, self.kind) if n))


def parquet_turns(
    folder: Path, split: str, columns: EditColumns, pictures: Path, only: Mapping[str, str] | None = None
) -> tuple[EditTurn, ...]:
    """Return the edits of one split, those whose columns have the values of `only`.

    Pictures are copied into the folder `pictures`, each under its digest.

    Raises:
        UsageError: there is no such split.
        DataError: a file is damaged, or lacks a column.
    """
    _, files = split_files(Source(folder, str(folder), ()), split)
    return tuple(turn for file in files for turn in _turns(file, columns, pictures, only or {}))


def holds_parquet(folder: Path) -> bool:
    """Return whether there are parquet files below `folder`."""
    return folder.is_dir() and next(folder.rglob("*.parquet"), None) is not None


def _turns(file: Path, columns: EditColumns, pictures: Path, only: Mapping[str, str]) -> Iterator[EditTurn]:
    try:
        wanted = list(dict.fromkeys([*columns.names, *only]))
        lacking = sorted(set(wanted) - set(pq.read_schema(file).names))
        if lacking:
            raise DataError(f"{file} lacks the columns {', '.join(lacking)}; it is of another dataset")
        for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_A_TIME, columns=wanted):
            for number, row in enumerate(batch.to_pylist()):
                if all(row[column] == value for column, value in only.items()):
                    yield _turn(row, columns, pictures, f"{file}, row {number}")
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read ({error}); fetch it again") from error


def _turn(row: Mapping[str, object], columns: EditColumns, pictures: Path, where: str) -> EditTurn:
    def text(column: str) -> str:
        return str(row[column]) if column and row[column] is not None else ""

    def picture(column: str) -> FilePicture | None:
        value = row[column] if column else None
        content = value.get("bytes") if isinstance(value, dict) else None
        return FilePicture(pictures / copied(content, pictures)) if isinstance(content, bytes) else None

    source = picture(columns.source)
    if source is None:
        raise DataError(f"{where}: column {columns.source} holds no picture; fetch the dataset again")
    return EditTurn(
        session=text(columns.session),
        turn=int(text(columns.turn) or 1),
        source=source,
        instruction=text(columns.instruction),
        target=picture(columns.target),
        source_caption=text(columns.source_caption),
        target_caption=text(columns.target_caption),
        kind=text(columns.kind),
        mask=picture(columns.mask),
    )
