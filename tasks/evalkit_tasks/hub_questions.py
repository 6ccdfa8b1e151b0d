"""Questions from a dataset of the Hugging Face hub, in parquet form, with the column names that the mirrors use.

    question (text), image (picture), answers (texts, or records with an `answer`), and where they are there
    question_id, image_id, question_type, answer_type, ocr_tokens

A row whose answers are missing has none: their set's answers are not public. Rows without a question id are numbered
from 0; of rows without an image id the very same picture is one. No code of the dataset is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import DataError, UsageError
from evalkit.features.pictures import FilePicture
from evalkit.workspace import Workspace
from evalkit_tasks.hub import ROWS_AT_A_TIME, copied, source_of, split_files
from evalkit_tasks.questions import Question, QuestionSet, checked, questions_digest

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "question": ("question",),
    "image": ("image",),
    "answers": ("answers", "answer"),
    "question_id": ("question_id", "questionId", "id"),
    "image_id": ("image_id", "imageId"),
    "question_type": ("question_type",),
    "answer_type": ("answer_type", "category"),
    "ocr": ("ocr_tokens",),
}
"""What is read, and the names of columns that can hold it."""
REQUIRED = ("question", "image")


def hub_questions(
    workspace: Workspace, reference: str, options: Mapping[str, str], annotators: int | None
) -> QuestionSet:
    """Return one split of the dataset that `reference` names, `REPO@REVISION` or a folder.

    Raises:
        UsageError: no revision, or more than one split and none chosen.
        DataError: it cannot be fetched, lacks a column, or holds what no question can be.
    """
    source = source_of(workspace, reference, options.get("split", ""))
    split, files = split_files(source, options.get("split", ""))
    where = f"{source.name}, split {split}"
    columns = _columns(files[0], where)
    pictures = workspace.datasets / "hub"
    found = list(_questions(files, columns, pictures, where))
    public = any(question.answers for question in found)
    listed = checked(found, where, annotators if public else None)
    shown = tuple(FilePicture(pictures / question.file) for question in listed)
    digest, licence = questions_digest(listed), "see the dataset's card"
    return QuestionSet(f"{source.name} {split}", split, tuple(listed), shown, digest, licence, source.stamps)


def _columns(file: Path, where: str) -> dict[str, str]:
    try:
        names = pq.read_schema(file).names
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{file} is not a whole parquet file ({error}); fetch or save it again") from error
    found = {what: next((name for name in known if name in names), "") for what, known in COLUMNS.items()}
    for what in REQUIRED:
        if not found[what]:
            raise UsageError(f"{where} has no column {what}, only {', '.join(names)}; name a dataset of questions")
    return {what: name for what, name in found.items() if name}


def _questions(files: Sequence[Path], columns: Mapping[str, str], pictures: Path, where: str) -> Iterator[Question]:
    number = 0
    for file in files:
        try:
            for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_A_TIME, columns=list(columns.values())):
                for values in batch.to_pylist():
                    row = {what: values[name] for what, name in columns.items()}
                    yield _question(row, number, pictures, f"{where}, row {number}")
                    number += 1
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file} cannot be read ({error}); fetch or save it again") from error


def _question(row: Mapping[str, object], number: int, pictures: Path, where: str) -> Question:
    image = row["image"]
    content = image.get("bytes") if isinstance(image, dict) else None
    if not isinstance(content, bytes) or not isinstance(row["question"], str):
        raise DataError(f"{where}: no picture or no question in it; name another dataset or revision")
    file = copied(content, pictures)
    kinds = tuple((name, str(row[name])) for name in ("answer_type", "question_type") if row.get(name))
    return Question(
        id=str(number) if row.get("question_id") is None else str(row["question_id"]),
        image=file if row.get("image_id") is None else str(row["image_id"]),
        file=file,
        text=row["question"],
        answers=_texts(row.get("answers"), where),
        strata=kinds,
        ocr=_texts(row.get("ocr"), where),
    )


def _texts(value: object, where: str) -> tuple[str, ...]:
    listed = [] if value is None else value if isinstance(value, list) else [value]
    texts = tuple(one.get("answer") if isinstance(one, dict) else one for one in listed)
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: {value!r:.80} holds no texts; name another dataset or revision")
    return tuple(map(str, texts))
