"""What a run found, and the folder that it is kept in.

runs/NAME/run.json        the `Run`: estimates, coverage, stamps, provenance, protocols, curves
runs/NAME/samples.jsonl   one `SampleRecord` a line, in the order of the task's samples

`evalkit.asked` keeps what stands beside them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from evalkit.errors import DataError
from evalkit.json_values import a_list, a_number, a_whole_number, an_object
from evalkit.protocols import Protocol, protocol
from evalkit.types import Estimate, Interval, Json, JsonScalar, Unavailable

SCHEMA = 1
"""Version of `run.json` and `samples.jsonl`."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many samples were asked, how many were answered or failed, and how many answers came from the cache."""

    asked: int
    answered: int
    failed: int
    from_cache: int


@dataclass(frozen=True, slots=True)
class Run:
    """One task put to one model, with all that a report may read.

    `estimates` holds a number or the reason why there is none. `protocols` maps the digests that stand on estimates
    to their protocols. `stamps` are words that follow every number (`demo data`, `limited to 20 of 500 samples`): a
    stamped run is never ranked. `series` holds curves by name. `provenance` says with what and when the run was made.
    """

    task: str
    model: str
    data: str
    estimates: Mapping[str, Estimate | Unavailable]
    coverage: Coverage
    stamps: tuple[str, ...]
    protocols: Mapping[str, Protocol]
    series: Mapping[str, tuple[tuple[float, float], ...]]
    provenance: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One sample of a run, ready for a page.

    `parts`, `references` and `answer_parts` are nouns as JSON (see `evalkit.keys.noun_json`); a picture stands as its
    digest, size and role, its pixels being in the cache's blobs or in a file that
    `evalkit.asked.picture_files` names. Exactly one of `answer_parts` and `failure` is set once a run is finished.
    """

    id: str
    cluster: str
    strata: Mapping[str, str]
    parts: tuple[Json, ...]
    references: tuple[Json, ...]
    key: str
    seed: int
    from_cache: bool
    seconds: float
    answer_parts: tuple[Json, ...] | None
    failure: tuple[str, str] | None
    """Kind and message of a `Failure`."""
    scores: Mapping[str, float] = field(default_factory=dict)


def run_json(run: Run) -> dict[str, Json]:
    """Return `run` as the JSON object that `--json` prints and `run.json` holds."""
    return {
        "schema": SCHEMA,
        "task": run.task,
        "model": run.model,
        "data": run.data,
        "estimates": {name: estimate_json(e) for name, e in run.estimates.items()},
        "coverage": {
            "asked": run.coverage.asked,
            "answered": run.coverage.answered,
            "failed": run.coverage.failed,
            "from_cache": run.coverage.from_cache,
        },
        "stamps": list(run.stamps),
        "protocols": {digest: protocol_json(p) for digest, p in run.protocols.items()},
        "series": {name: [list(point) for point in curve] for name, curve in run.series.items()},
        "provenance": dict(run.provenance),
    }


def protocol_json(protocol: Protocol) -> Json:
    """Return a protocol as JSON."""
    return {"name": protocol.name, "fields": dict(protocol.fields)}


def estimate_json(estimate: Estimate | Unavailable) -> Json:
    """Return an estimate as JSON."""
    if isinstance(estimate, Unavailable):
        return {"value": None, "unavailable": estimate.reason}
    document: dict[str, Json] = {
        "value": estimate.value,
        "n": estimate.n,
        "unit": estimate.unit,
        "higher_is_better": estimate.higher_is_better,
        "protocol": estimate.protocol,
        "interval": None,
        "warnings": list(estimate.warnings),
    }
    if estimate.interval is not None:
        document["interval"] = [estimate.interval.low, estimate.interval.high]
        document["interval_level"] = estimate.interval.level
        document["interval_method"] = estimate.interval.method
    return document


def write_run(
    directory: Path, run: Run, samples: Iterable[SampleRecord], files: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write a run's folder; each file is written beside its place and renamed, `run.json` last.

    `files` are texts of metrics that lie beside it, by file name.

    Raises:
        OSError: the folder cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(sample_json(record)) + "\n" for record in samples)
    _write_renamed(directory / "samples.jsonl", lines)
    for name, content in files.items():
        _write_renamed(directory / name, [content])
    text = json.dumps(run_json(run), indent=1) + "\n"
    _write_renamed(directory / "run.json", [text])


def _write_renamed(path: Path, chunks: Iterable[str]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as file:
        file.writelines(chunks)
    beside.replace(path)


def sample_json(record: SampleRecord) -> Json:
    """Return `record` as JSON."""
    return {
        "id": record.id,
        "cluster": record.cluster,
        "strata": dict(record.strata),
        "parts": list(record.parts),
        "references": list(record.references),
        "key": record.key,
        "seed": record.seed,
        "from_cache": record.from_cache,
        "seconds": record.seconds,
        "answer_parts": None if record.answer_parts is None else list(record.answer_parts),
        "failure": None if record.failure is None else list(record.failure),
        "scores": dict(record.scores),
    }


def read_run(directory: Path) -> Run:
    """Return the run kept in `directory`.

    Raises:
        DataError: there is no run, it is damaged, or a newer evalkit wrote it.
    """
    path = directory / "run.json"
    document = _read_object(path)
    if document.get("schema") != SCHEMA:
        raise DataError(f"{path} has schema {document.get('schema')!r}, this evalkit reads {SCHEMA}; upgrade evalkit")
    try:
        return _run_of(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not a run ({error!r}); run the task again to write it anew") from error


def _read_object(path: Path) -> dict[str, Json]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; name the folder that `evalkit run` printed") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); run the task again to write it anew") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} is not a run; run the task again to write it anew")
    return document


def _run_of(document: dict[str, Json]) -> Run:
    d = document
    coverage = an_object(d["coverage"])
    return Run(
        task=str(d["task"]),
        model=str(d["model"]),
        data=str(d["data"]),
        estimates={name: estimate_of(an_object(e)) for name, e in an_object(d["estimates"]).items()},
        coverage=Coverage(*(a_whole_number(coverage[name]) for name in ("asked", "answered", "failed", "from_cache"))),
        stamps=tuple(str(stamp) for stamp in a_list(d["stamps"])),
        protocols={digest: protocol_of(an_object(p)) for digest, p in an_object(d["protocols"]).items()},
        series={name: tuple(map(_point, a_list(curve))) for name, curve in an_object(d["series"]).items()},
        provenance=an_object(d["provenance"]),
    )


def estimate_of(document: dict[str, Json]) -> Estimate | Unavailable:
    """Return the estimate that `document` holds; one of another shape raises KeyError or TypeError."""
    if document["value"] is None:
        return Unavailable(str(document["unavailable"]))
    interval = None
    if document["interval"] is not None:
        low, high = _point(document["interval"])
        interval = Interval(low, high, a_number(document["interval_level"]), str(document["interval_method"]))
    direction = document["higher_is_better"]
    return Estimate(
        value=a_number(document["value"]),
        n=a_whole_number(document["n"]),
        unit=str(document["unit"]),
        higher_is_better=direction if isinstance(direction, bool) else None,
        protocol=str(document["protocol"]),
        interval=interval,
        warnings=tuple(str(w) for w in a_list(document["warnings"])),
    )


def protocol_of(document: dict[str, Json]) -> Protocol:
    """Return the protocol that `document` holds; one of another shape raises KeyError or TypeError."""
    fields: dict[str, JsonScalar] = {}
    for name, value in an_object(document["fields"]).items():
        if isinstance(value, (list, dict)):
            raise TypeError(f"protocol field {name} is not a scalar")
        fields[name] = value
    return protocol(str(document["name"]), fields)


def _point(value: Json) -> tuple[float, float]:
    first, second = a_list(value)
    return a_number(first), a_number(second)


def read_samples(directory: Path) -> Iterator[SampleRecord]:
    """Yield the samples of the run kept in `directory`, one line of the file at a time.

    Raises:
        DataError: the file is missing or a line is damaged; the message names the line.
    """
    path = directory / "samples.jsonl"
    try:
        file = path.open(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; run the task again to write it anew") from error
    with file:
        for number, line in enumerate(file, start=1):
            try:
                yield sample_of(an_object(json.loads(line)))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}, line {number}, is not a sample ({error!r}); run the task again") from error


def sample_of(d: dict[str, Json]) -> SampleRecord:
    """Return the record that `sample_json` was made of.

    Raises:
        KeyError, TypeError, ValueError: `d` is of another form.
    """
    failure = d["failure"]
    answer = d["answer_parts"]
    return SampleRecord(
        id=str(d["id"]),
        cluster=str(d["cluster"]),
        strata={name: str(value) for name, value in an_object(d["strata"]).items()},
        parts=tuple(a_list(d["parts"])),
        references=tuple(a_list(d["references"])),
        key=str(d["key"]),
        seed=a_whole_number(d["seed"]),
        from_cache=bool(d["from_cache"]),
        seconds=a_number(d["seconds"]),
        answer_parts=None if answer is None else tuple(a_list(answer)),
        failure=None if failure is None else (str(a_list(failure)[0]), str(a_list(failure)[1])),
        scores={name: a_number(value) for name, value in an_object(d["scores"]).items()},
    )
