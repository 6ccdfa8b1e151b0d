"""Which data and weights are on this machine, where, and how to get the others; what the code says of itself."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from evalkit.cli.words import size
from evalkit.errors import EvalkitError, WeightsError
from evalkit.interfaces import DataLocator, DataSpec
from evalkit.registry import data_specs, load_factory
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


def described(factory: str) -> str:
    """Return the docstring of the module that holds `factory` (`package.module:name`), without importing it."""
    spec = find_spec(factory.partition(":")[0])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
