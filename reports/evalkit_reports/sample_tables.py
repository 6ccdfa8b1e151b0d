"""Samples of runs as one flat table, a row for each sample of each run: Parquet for datasets and pandas, or CSV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import UsageError
from evalkit.results import SampleRecord, read_samples
from evalkit.types import JsonScalar
from evalkit.workspace import Workspace
from evalkit_reports.cards import stores_of
from evalkit_reports.grids import csv_of
from evalkit_reports.measures import LoadedRun, load_results
from evalkit_reports.parts import shown
from evalkit_reports.pictures import Stores
from evalkit_reports.writing import write_whole

BATCH = 2000
"""Rows that are held at a time."""
TEXTS = ("task", "model", "data", "run", "id", "cluster", "question", "answer")
LISTS = ("references", "question_images", "answer_images", "answer_image_files")
FAILURES = ("failure", "failure_message")

Value: TypeAlias = JsonScalar | list[str]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that depend on the runs: kinds of strata, and scores."""

    strata: tuple[str, ...]
    scores: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Every column of the table, in order."""
        fixed = [*TEXTS, *LISTS, *FAILURES, "seed", "seconds", "from_cache"]
        return fixed + [f"stratum_{kind}" for kind in self.strata] + [f"score_{name}" for name in self.scores]


def write_parquet(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the samples of the runs kept in the folders `runs` as Parquet.

    Raises:
        UsageError: no run was named, or the file cannot be written.
        DataError: a run or its samples are missing or damaged.
    """
    found = _loaded(runs)
    columns = _columns(found)
    schema = _schema(columns)
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    rows = _rows(found, columns, workspace)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(beside, schema) as writer:
            while batch := list(islice(rows, BATCH)):
                writer.write_table(pa.Table.from_pylist(batch, schema))
        beside.replace(output)
    except OSError as error:
        raise UsageError(f"the table {output} cannot be written ({error}); choose another place with -o") from error
    finally:
        beside.unlink(missing_ok=True)


def write_csv(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the samples of the runs kept in the folders `runs` as CSV; lists become lines of one cell.

    Raises:
        UsageError: no run was named, or the file cannot be written.
        DataError: a run or its samples are missing or damaged.
    """
    found = _loaded(runs)
    columns = _columns(found)
    flat = (
        {name: "\n".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in _rows(found, columns, workspace)
    )
    write_whole(output, csv_of(list(flat), columns.names))


def _loaded(runs: Sequence[Path]) -> list[LoadedRun]:
    return [loaded for task in load_results(runs) for loaded in task.runs]


def _columns(runs: Sequence[LoadedRun]) -> Columns:
    strata: dict[str, None] = {}
    scores: dict[str, None] = {}
    for loaded in runs:
        for record in read_samples(loaded.directory):
            strata |= dict.fromkeys(map(_unicode, record.strata))
            scores |= dict.fromkeys(map(_unicode, record.scores))
    return Columns(tuple(strata), tuple(scores))


def _schema(columns: Columns) -> pa.Schema:
    kinds = {name: pa.string() for name in (*TEXTS, *FAILURES)}
    kinds |= {name: pa.list_(pa.string()) for name in LISTS}
    kinds |= {"seed": pa.int64(), "seconds": pa.float64(), "from_cache": pa.bool_()}
    kinds |= {f"stratum_{kind}": pa.string() for kind in columns.strata}
    kinds |= {f"score_{name}": pa.float64() for name in columns.scores}
    return pa.schema([(name, kinds[name]) for name in columns.names])


def _rows(runs: Sequence[LoadedRun], columns: Columns, workspace: Workspace) -> Iterator[dict[str, Value]]:
    for loaded in runs:
        stores = stores_of(loaded, workspace)
        for record in read_samples(loaded.directory):
            yield _row(loaded, record, columns, stores)


def _row(loaded: LoadedRun, record: SampleRecord, columns: Columns, stores: Stores) -> dict[str, Value]:
    question, answer = shown(record.parts), shown(record.answer_parts or ())
    references = [found.text for part in record.references if (found := shown([part])).text]
    files = [stores.find(picture.digest) for picture in answer.pictures]
    failure = record.failure or (None, None)
    texts = (loaded.run.task, loaded.run.model, loaded.run.data, loaded.label, record.id, record.cluster, question.text)
    row: dict[str, Value] = dict(zip(TEXTS, map(_unicode, texts), strict=False))
    row["answer"] = None if record.answer_parts is None else _unicode(answer.text)
    row["references"] = [_unicode(text) for text in references]
    row["question_images"] = [picture.digest for picture in question.pictures]
    row["answer_images"] = [picture.digest for picture in answer.pictures]
    row["answer_image_files"] = [_unicode(str(path)) for path in files if path is not None]
    row |= {name: None if text is None else _unicode(text) for name, text in zip(FAILURES, failure, strict=True)}
    row |= {"seed": record.seed, "seconds": record.seconds, "from_cache": record.from_cache}
    strata = {_unicode(kind): _unicode(value) for kind, value in record.strata.items()}
    scores = {_unicode(name): score for name, score in record.scores.items()}
    row |= {f"stratum_{kind}": strata.get(kind) for kind in columns.strata}
    return row | {f"score_{name}": scores.get(name) for name in columns.scores}


def _unicode(text: str) -> str:
    """Return `text` without halves of surrogate pairs, which no file of Unicode can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
