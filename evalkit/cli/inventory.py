"""Which data and weights are on this machine, where, and how to get the others; what the code says of itself."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from evalkit.cli.words import size
from evalkit.errors import EvalkitError, WeightsError
from evalkit.factories import DataLocator
from evalkit.interfaces import DataSpec, TaskSpec
from evalkit.registry import data_specs, load_factory, task_specs
from evalkit.types import Json
from evalkit.workspace import Workspace

if TYPE_CHECKING:
    from evalkit.weight_files import Weight

Entry: TypeAlias = Mapping[str, Json]


def located_data(workspace: Workspace) -> dict[str, Entry]:
    """Return every dataset by name, with the place of each of its parts; the network is not asked."""
    return {name: _data_entry(spec, workspace) for name, spec in sorted(data_specs().items())}


def _data_entry(spec: DataSpec, workspace: Workspace) -> Entry:
    problem = ""
    parts: list[tuple[str, Path | None]] = []
    try:
        parts = cast(DataLocator, load_factory(spec.locate))(workspace)
    except EvalkitError as error:
        problem = str(error)
    here = [(part, path) for part, path in parts if path is not None]
    found = bool(parts) and len(here) == len(parts)
    return {
        "name": spec.name,
        "summary": spec.summary,
        "licence": spec.licence,
        "size": spec.size,
        "found": found,
        "partly": ", ".join(part for part, _ in here) if not found else "",
        "path": str(here[0][1]) if here else "",
        "parts": [{"part": part, "path": "not here" if path is None else str(path)} for part, path in parts],
        "options": [{"name": o.name, "default": o.default, "summary": o.summary} for o in spec.options],
        "problem": problem,
        "get": "" if found or problem else f"evalkit fetch {spec.name}",
    }


def located_weights(workspace: Workspace) -> dict[str, Entry]:
    """Return every weight by name, with the place where its file was found; the network is not asked."""
    from evalkit.weight_table import WEIGHTS

    return {name: _weight_entry(name, WEIGHTS[name], workspace) for name in sorted(WEIGHTS)}


def _weight_entry(name: str, weight: Weight, workspace: Workspace) -> Entry:
    from evalkit.weights import find

    problem = ""
    try:
        found = find(name, workspace)
    except WeightsError as error:
        found, problem = None, str(error)
    file = found.file if found else weight.files[0]
    return {
        "name": name,
        "summary": weight.summary,
        "offers": file.offers,
        "licence": file.licence,
        "size": size(file.size),
        "sha256": file.sha256,
        "found": found is not None,
        "path": str(found.path) if found else "",
        "problem": problem,
        "get": "" if found or problem else f"evalkit fetch {name}",
    }


def located_tasks(workspace: Workspace) -> dict[str, Entry]:
    """Return every task by name, with what of its data, weights, programs and packages is not on this machine."""
    weights = {name: bool(entry["found"]) for name, entry in located_weights(workspace).items()}
    data = {name: bool(entry["path"]) for name, entry in located_data(workspace).items()}
    return {
        name: {
            **asdict(spec),
            "missing": [*_missing_data(spec, data, workspace), *_missing_weights(spec, weights), *_missing_needs(spec)],
        }
        for name, spec in sorted(task_specs().items())
    }


def _missing_data(spec: TaskSpec, data: Mapping[str, bool], workspace: Workspace) -> Iterator[Json]:
    """Yield the task's own data, where none of them is here, and what stands in for them."""
    embedded = [name for name in spec.data if name in data and data_specs()[name].embedded]
    own = [name for name in spec.data if name not in embedded and not name.startswith("hf:")]
    if not own or any(data[name] if name in data else _folder(name, workspace).is_dir() for name in own):
        return
    known = [name for name in own if name in data]
    get = f"evalkit fetch {known[0]}" if known else f"put its files into {_folder(own[0], workspace)}, or --data-dir"
    instead = f"; {embedded[0]}, which is embedded, is taken until then, and stamped" if embedded else ""
    yield {"kind": "data", "name": " or ".join(own), "get": get + instead}


def _missing_weights(spec: TaskSpec, here: Mapping[str, bool]) -> Iterator[Json]:
    for name in spec.weights:
        if not here.get(name, True):
            yield {"kind": "weights", "name": name, "get": f"evalkit fetch {name}"}


def _missing_needs(spec: TaskSpec) -> Iterator[Json]:
    for need in spec.needs:
        here = shutil.which(need.name) if need.kind == "program" else find_spec(need.name)
        if here is None:
            yield {"kind": need.kind, "name": f"{need.name} (for {need.metrics})", "get": need.get}


def _folder(name: str, workspace: Workspace) -> Path:
    return workspace.data_dir or workspace.datasets / name


def described(factory: str) -> str:
    """Return the docstring of the module that holds `factory` (`package.module:name`), without importing it."""
    spec = find_spec(factory.partition(":")[0])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
