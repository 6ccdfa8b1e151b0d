"""The baseline: one small file, made to be committed, with all that a later run is compared with.

    {"schema": 1,
     "runs": [{"task": ..., "model": ..., "data": ..., "estimates": {...}, "protocols": {...}, "stamps": [...],
               "ids": [...], "clusters": [...], "contents": [...], "scores": {"accuracy": [...]}, "failed": [...],
               "provenance": {...}}]}

Each column stands on a line of its own. Breakdowns by stratum are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.comparison import Samples, ScoredRun
from evalkit.errors import DataError, UsageError
from evalkit.json_values import a_list, a_number, a_text, an_object
from evalkit.results import estimate_json, estimate_of, protocol_json, protocol_of, read_run
from evalkit.stats import Doubles
from evalkit.types import Estimate, Json

SCHEMA = 1


@dataclass(frozen=True, slots=True, eq=False)
class Blessed:
    """A run as a baseline keeps it, and where it came from."""

    run: ScoredRun
    provenance: Mapping[str, Json]


def bare(task: str) -> str:
    """Return a task's name without its version.

    >>> bare("coco_fid@1")
    'coco_fid'
    """
    return task.partition("@")[0]


def is_main(name: str) -> bool:
    """Return whether an estimate is not a breakdown by stratum, such as `accuracy[kind=hard]`."""
    return "[" not in name


def provenance_of(directory: Path) -> dict[str, Json]:
    """Return what a baseline keeps of a run's provenance: model, data, settings, versions and time, and no path.

    Raises:
        DataError: there is no run, or it is damaged.
    """
    kept = ("started", "model", "data", "settings", "packages", "python", "platform")
    found = read_run(directory).provenance
    return {name: found[name] for name in kept if name in found}


def write_baseline(path: Path, blessed: Sequence[Blessed]) -> None:
    """Write the baseline, beside its place and then renamed.

    Raises:
        UsageError: two runs are of one task: a later run could not tell which to be compared with.
        OSError: the file cannot be written.
    """
    tasks = [bare(one.run.task) for one in blessed]
    twice = sorted({task for task in tasks if tasks.count(task) > 1})
    if twice:
        raise UsageError(f"two of the runs are of {twice[0]}; bless one run a task")
    documents = ",\n".join(_text(one) for one in blessed)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(f'{{"schema": {SCHEMA},\n"runs": [\n{documents}\n]}}\n', encoding="utf-8")
    beside.replace(path)


def _text(one: Blessed) -> str:
    """Return a run as JSON with a line for each part and each column."""
    run, samples = one.run, one.run.samples
    estimates = {name: e for name, e in run.estimates.items() if is_main(name) and isinstance(e, Estimate)}
    used = {estimate.protocol for estimate in estimates.values()}
    parts: dict[str, Json] = {
        "task": run.task,
        "model": run.model,
        "data": run.data,
        "stamps": list(run.stamps),
        "provenance": dict(one.provenance),
        "estimates": {name: estimate_json(estimate) for name, estimate in estimates.items()},
        "protocols": {digest: protocol_json(p) for digest, p in run.protocols.items() if digest in used},
        "ids": list(samples.ids),
        "clusters": list(samples.clusters),
        "contents": list(samples.contents),
        "failed": list(samples.failed),
    }
    lines = [f"{json.dumps(name)}: {_compact(value)}" for name, value in parts.items()]
    columns = ",\n".join(f"{json.dumps(name)}: {_compact(_values(c))}" for name, c in samples.scores.items())
    return "{" + ",\n".join([*lines, f'"scores": {{\n{columns}\n}}']) + "}"


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _values(column: Doubles) -> list[Json]:
    """Return a column with all its digits, so that a run that answers alike differs by exactly nothing."""
    return [None if math.isnan(value) else int(value) if value.is_integer() else value for value in column.tolist()]


def read_baseline(path: Path) -> list[Blessed]:
    """Return the runs of a baseline.

    Raises:
        DataError: there is no such file, it is damaged, or a newer evalkit wrote it.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; write it with `evalkit bless RUN -o {path}`") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a baseline ({error}); bless a run again") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        schema = document.get("schema") if isinstance(document, dict) else None
        raise DataError(f"{path} has schema {schema!r} and this evalkit reads {SCHEMA}; upgrade, or bless a run again")
    try:
        return [_blessed(path, an_object(run)) for run in a_list(document["runs"])]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a baseline ({error!r}); bless a run again") from error


def _blessed(path: Path, d: dict[str, Json]) -> Blessed:
    ids, clusters, contents = (tuple(a_text(v) for v in a_list(d[name])) for name in ("ids", "clusters", "contents"))
    scores = {name: _column(a_list(column)) for name, column in an_object(d["scores"]).items()}
    if any(len(column) != len(ids) for column in (clusters, contents, *scores.values())):
        raise ValueError(f"the columns of {d['task']} differ in length")
    run = ScoredRun(
        label=str(path),
        task=a_text(d["task"]),
        model=a_text(d["model"]),
        data=a_text(d["data"]),
        estimates={name: estimate_of(an_object(e)) for name, e in an_object(d["estimates"]).items()},
        protocols={digest: protocol_of(an_object(p)) for digest, p in an_object(d["protocols"]).items()},
        stamps=tuple(a_text(stamp) for stamp in a_list(d["stamps"])),
        samples=Samples(ids, clusters, contents, (), scores, tuple(a_text(v) for v in a_list(d["failed"]))),
    )
    return Blessed(run, an_object(d["provenance"]))


def _column(values: Sequence[Json]) -> Doubles:
    return np.array([math.nan if value is None else a_number(value) for value in values], dtype=np.float64)
