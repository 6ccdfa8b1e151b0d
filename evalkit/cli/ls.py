"""`evalkit ls`: what can be measured, who can be asked, and what is here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

from evalkit.cli.inventory import Entry, described, located_data, located_tasks, located_weights
from evalkit.cli.run_flags import RUNS
from evalkit.cli.words import columns, number, page_width, print_json
from evalkit.errors import DataError, UsageError, nearest
from evalkit.registry import default_model, model_specs
from evalkit.results import Run, read_run, read_samples, run_json
from evalkit.types import Estimate, Json
from evalkit.workspace import Workspace, default_cache_dir

Kind: TypeAlias = Literal["tasks", "models", "data", "weights", "runs"]


def ls(
    kind: Kind | None = None,
    name: str | None = None,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = RUNS,
    cache: Path | None = None,
    data_dir: Path | None = None,
    json: bool = False,
) -> int:
    """List tasks, models, data, weights or runs; with a name, all about that one.

    Args:
        kind: What to list; tasks and models without it.
        name: One of them.
        output: Folder of runs; ./runs without it.
        cache: Folder of answers, features and weights that all runs share; `evalkit doctor` says where.
        data_dir: Folder to look for data in as well.
        json: Print JSON on standard output, and nothing else there.
    """
    if kind == "runs":
        return _list_runs(output, name, json)
    workspace = Workspace(cache=cache or default_cache_dir(), data_dir=data_dir, offline=True)
    tables = {wanted: _table(wanted, workspace) for wanted in _kinds(kind)}
    if kind is not None and name is not None:
        entry = _named(kind, name, tables[kind])
        tables[kind] = {name: {**entry, "about": described(str(entry["factory"]))} if kind == "tasks" else entry}
    if json:
        print_json({wanted: [dict(entry) for entry in table.values()] for wanted, table in tables.items()}, sys.stdout)
    elif kind is not None and name is not None:
        print(_details(tables[kind][name]))
    else:
        print("\n\n".join(_listing(wanted, table) for wanted, table in tables.items()))
    return 0


def _kinds(kind: Kind | None) -> tuple[Kind, ...]:
    return ("tasks", "models") if kind is None else (kind,)


def _table(kind: Kind, workspace: Workspace) -> Mapping[str, Entry]:
    if kind == "tasks":
        return located_tasks(workspace)
    if kind == "models":
        default = default_model()
        return {name: {**asdict(spec), "default": name == default} for name, spec in sorted(model_specs().items())}
    return located_data(workspace) if kind == "data" else located_weights(workspace)


def _named(kind: Kind, name: str, table: Mapping[str, Entry]) -> Entry:
    if name not in table:
        raise UsageError(f"no {kind.removesuffix('s')} named {name!r} is known{nearest(name, table)}")
    return table[name]


def _listing(kind: Kind, table: Mapping[str, Entry]) -> str:
    if not table:
        return f"{kind}: none"
    get = "; `evalkit fetch NAME` gets what is not here" if kind in {"data", "weights"} else ""
    title = f"{kind} (`evalkit ls {kind} NAME` says more{get})"
    return f"{title}\n{columns([_row(entry) for entry in table.values()], page_width(), indent='  ')}"


def _row(entry: Entry) -> tuple[str, ...]:
    summary = str(entry["summary"])
    if "found" in entry:
        state = "here" if entry["found"] else "partly" if entry.get("partly") else "not here"
        return str(entry["name"]), state, f"{summary} ({entry['size']})"
    if "missing" in entry:
        return str(entry["name"]), _lacking(entry["missing"]), summary
    argument = f":{entry['argument']}" if entry.get("argument") else ""
    return f"{entry['name']}{argument}", summary + (" (the default)" if entry.get("default") else "")


def _lacking(missing: Json) -> str:
    """Return `ready`, or the kinds of what a task lacks."""
    kinds = (
        dict.fromkeys(str(one["kind"]) for one in missing if isinstance(one, dict)) if isinstance(missing, list) else {}
    )
    return f"lacks {', '.join(kinds)}" if kinds else "ready"


def _details(entry: Entry) -> str:
    shown = {key: value for key, value in entry.items() if key != "about" and value not in ("", None, [], ())}
    if entry.get("missing") == []:
        shown["missing"] = "nothing"
    rows = [(key, line) for key, value in shown.items() for line in _lines(value)]
    first = [row if i == 0 or rows[i - 1][0] != row[0] else ("", row[1]) for i, row in enumerate(rows)]
    about = f"\n\n{entry['about']}" if entry.get("about") else ""
    return columns(first, page_width()) + about


def _lines(value: Json | tuple[Json, ...]) -> list[str]:
    """Return a value of an entry as lines: one for each thing that itself has parts."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, dict) for item in value):
            return [_thing(item) for item in value if isinstance(item, dict)]
        return [", ".join(str(item) for item in value)]
    return [str(value)]


def _thing(parts: Mapping[str, Json]) -> str:
    if "default" in parts:
        return f"{parts['name']}={parts['default']}  {parts['summary']}"
    if "tolerance" in parts:
        by = f" by -m {parts['model']}" if parts["model"] else ""
        width = f" ± {parts['tolerance']:g}" if parts["tolerance"] else ""
        return f"{parts['metric']} {parts['value']:g}{width}{by}  {parts['source']}"
    return "  ".join(str(value) for value in parts.values())


def _list_runs(output: Path, name: str | None, json: bool) -> int:
    folders = sorted(path.parent for path in output.glob("*/run.json"))
    if name is not None:
        names = [folder.name for folder in folders]
        if name not in names:
            raise UsageError(f"no run named {name!r} in {output}{nearest(name, names)}")
        folders = [output / name]
    runs = {folder: _read(folder) for folder in folders}
    if json:
        print_json({"runs": [_run_document(folder, run) for folder, run in runs.items()]}, sys.stdout)
    elif name is not None:
        _print_one(folders[0])
    else:
        print(_runs_listing(output, runs))
    return 0


def _read(folder: Path) -> Run | DataError:
    """Return a run, or why it cannot be read: one that is damaged does not hide the others."""
    try:
        return read_run(folder)
    except DataError as error:
        return error


def _run_document(folder: Path, run: Run | DataError) -> Json:
    return {"folder": str(folder), **({"error": str(run)} if isinstance(run, DataError) else run_json(run))}


def _print_one(folder: Path) -> None:
    from evalkit.cli.outcome import print_run

    run = read_run(folder)
    print_run(run, folder, read_samples(folder) if run.coverage.failed else (), sys.stdout)


def _runs_listing(output: Path, runs: Mapping[Path, Run | DataError]) -> str:
    if not runs:
        return f"no runs in {output}; `evalkit run coco_fid` makes one, `-o DIR` looks elsewhere"
    rows = [(folder.name, _headline(run)) for folder, run in runs.items()]
    return f"runs in {output} (`evalkit ls runs NAME` says more)\n" + columns(rows, page_width(), indent="  ")


def _headline(run: Run | DataError) -> str:
    """Return the first number of a run and its stamps."""
    if isinstance(run, DataError):
        return f"cannot be read: {run}"
    numbers = [f"{name} {number(e.value)}" for name, e in run.estimates.items() if isinstance(e, Estimate)]
    stamps = f" [{'; '.join(run.stamps)}]" if run.stamps else ""
    return (numbers[0] if numbers else "no number") + stamps
