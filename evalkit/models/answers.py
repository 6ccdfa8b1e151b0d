"""Answers made elsewhere, read from a file: `-m answers:FILE`.

    results.jsonl    {"sample_id": "397133-37", "text": "A man makes pizzas."}
    results.csv      sample_id,text
    results.json     COCO results [{"image_id": 397133, "caption": "A man makes pizzas."}]
                     VQA results [{"question_id": 1, "answer": "yes"}]
    FOLDER           a Hugging Face dataset as `save_to_disk` writes it, or parquet; FILE.parquet; hf:REPO@REVISION

A row's id names a sample, a question or caption, or an image, by the name of its column. A dataset's answers may also
be pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from evalkit.errors import DataError
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import FilePicture, identities
from evalkit.images import read_image
from evalkit.keys import digest
from evalkit.models.answer_files import Columns, Row, columns_of, dataset_of, text_rows
from evalkit.models.knobs import choice
from evalkit.models.prompts import TEXT_JOBS
from evalkit.models.sample_ids import Matched, bare, matched, names_of
from evalkit.types import IMAGE_JOBS, Answer, Failure, Generation, Image, Job, Json, JsonScalar, Request, Text
from evalkit.workspace import Workspace

PictureColumn: TypeAlias = Any
"""A dataset of one column of encoded pictures, of `datasets`, which has no types."""
WAYS = ("auto", "sample", "caption", "image")


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers each request with the row that is named after its sample: its words, or the number of its picture."""

    source: str
    by: str
    rows: Mapping[str, str | int]
    content: str
    """Digest of all ids and answers."""
    label: str
    pictures: PictureColumn | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.label

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The digest of the answers, and what they are named by."""
        return {"model": "answers", "code": 1, "by": self.by, "content": self.content}

    @property
    def capabilities(self) -> frozenset[Job]:
        """Jobs that end in words, or those that end in a picture."""
        return frozenset(TEXT_JOBS) if self.pictures is None else IMAGE_JOBS

    def matched(self, sample_ids: Iterable[str]) -> Matched:
        """Return which samples have no answer, and which answers have no sample."""
        return matched(self.rows, self.by, sample_ids)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each sample's answer, or a `Failure` where there is none or its picture is damaged."""
        for position, request in enumerate(requests):
            names = names_of(request.sample_id, self.by)
            found = next((self.rows[name] for name in names if name in self.rows), None)
            if found is None:
                yield position, Failure("missing", f"no answer named {' or '.join(names)} in {self.source}")
            elif isinstance(found, str):
                yield position, Generation((Text(found),))
            else:
                yield position, self._picture(found)

    def _picture(self, number: int) -> Answer:
        try:
            return Generation((_decoded(self.pictures, number, f"{self.source}, row {number}"),))
        except DataError as error:
            return Failure("malformed", str(error))


def answers_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Answers:
    """Return the model whose answers are those in file, folder or dataset `argument`.

    Raises:
        UsageError: an option has no such value, or the file is of no known kind.
        DataError: it cannot be read, holds no answer, or answers something twice.
    """
    path = Path(argument.removeprefix("hf:"))
    stem = path.resolve().stem if path.exists() else str(path)
    label = options.get("name") or f"answers:{stem}"
    if argument.startswith("hf:") or path.is_dir() or path.suffix == ".parquet":
        return _from_dataset(workspace, argument.removeprefix("hf:"), options, label)
    rows = list(text_rows(path))
    if not rows:
        raise DataError(f"{path} holds no answer")
    columns = columns_of(list(rows[0][1]), options, str(path))
    by = _by(options, columns)
    told = _told(rows, columns)
    return Answers(argument, by, told, _digest(told), label)


def _by(options: Mapping[str, str], columns: Columns) -> str:
    return choice(options, "by", WAYS, "image" if columns.id == "image_id" else "auto")


def _told(rows: Iterable[Row], columns: Columns) -> dict[str, str]:
    """Return the words of each row by its id; rows without words are left out, and so reported as missing."""
    told: dict[str, str] = {}
    places: dict[str, str] = {}
    for where, row in rows:
        name, words = bare(_word(row, columns.id, where)), row.get(columns.answer)
        if name in places:
            raise DataError(f"{where} answers {name!r} a second time, after {places[name]}; keep one of them")
        places[name] = where
        if words is not None:
            told[name] = _word(row, columns.answer, where)
    return told


def _word(row: Mapping[str, Json], column: str, where: str) -> str:
    value = row.get(column)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(f"{where}: {column} is {value!r}, neither a text nor a number")
    return str(value)


def _digest(told: Mapping[str, str]) -> str:
    return digest([[name, told[name]] for name in sorted(told)])


def _from_dataset(workspace: Workspace, source: str, options: Mapping[str, str], label: str) -> Answers:
    import datasets

    found, files = dataset_of(workspace, source, options.get("split", ""))
    columns = columns_of(found.column_names, options, source)
    by = _by(options, columns)
    if not isinstance(found.features[columns.answer], datasets.Image):
        rows = ((f"{source}, row {i}", row) for i, row in enumerate(found.select_columns([columns.id, columns.answer])))
        told = _told(rows, columns)
        return Answers(source, by, told, _digest(told), label)
    names = found.select_columns([columns.id])
    numbered = {bare(_word(row, columns.id, f"{source}, row {i}")): i for i, row in enumerate(names)}
    if len(numbered) < len(found):
        raise DataError(f"{source} has {len(found)} rows and {len(numbered)} ids; each may answer once")
    encoded = found.select_columns([columns.answer]).cast_column(columns.answer, datasets.Image(decode=False))
    bytes_of = identities([FilePicture(file) for file in files], FeatureCache(workspace.cache / "features"))
    content = digest([columns.id, columns.answer, *bytes_of])
    return Answers(source, by, numbered, content, label, encoded)


def _decoded(pictures: PictureColumn, number: int, where: str) -> Image:
    (encoded,) = pictures[number].values()
    content = encoded["bytes"]
    if not content:
        raise DataError(f"{where} names a file instead of holding its picture; save the dataset with its pictures")
    return read_image(content, where, "generated")
