"""Finds tasks, models, reports and data by name, in this project's rooms and in every installed package alike.

Rooms and third parties announce tables of specs through entry points; reading a table imports nothing heavy. Two
specs of one name are an error that names both sides.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TypeVar, cast

from evalkit.errors import EvalkitError, UsageError, nearest
from evalkit.factories import ModelFactory, TaskFactory
from evalkit.interfaces import (
    DataSpec,
    Model,
    ModelSpec,
    Option,
    ReportSpec,
    Task,
    TaskSpec,
)
from evalkit.workspace import Workspace

Spec = TypeVar("Spec", TaskSpec, ModelSpec, ReportSpec, DataSpec)


def collect(points: Iterable[EntryPoint], kind: type[Spec]) -> dict[str, Spec]:
    """Return the specs of all tables in `points`, by name.

    Raises:
        UsageError: a table cannot be imported, holds something else than `kind`, or two tables hold the same name.
    """
    found: dict[str, Spec] = {}
    origin: dict[str, str] = {}
    for point in sorted(points, key=lambda p: (p.name, p.value)):
        for spec in _table(point, kind):
            if spec.name in found:
                raise UsageError(
                    f"{point.value} and {origin[spec.name]} both announce {spec.name!r} under {point.group}; "
                    "uninstall one of the two packages or rename one"
                )
            found[spec.name] = spec
            origin[spec.name] = point.value
    return found


def _table(point: EntryPoint, kind: type[Spec]) -> Sequence[Spec]:
    try:
        table = point.load()
    except Exception as error:
        raise UsageError(
            f"the entry point {point.group}: {point.value} cannot be imported ({error!r}); mend or uninstall it"
        ) from error
    if not isinstance(table, tuple) or not all(isinstance(spec, kind) for spec in table):
        raise UsageError(f"the entry point {point.group}: {point.value} is not a tuple of {kind.__name__}")
    return table


@cache
def task_specs() -> Mapping[str, TaskSpec]:
    """Return every task by name."""
    return collect(entry_points(group="evalkit.tasks"), TaskSpec)


@cache
def model_specs() -> Mapping[str, ModelSpec]:
    """Return every model by name."""
    return collect(entry_points(group="evalkit.models"), ModelSpec)


@cache
def report_specs() -> Mapping[str, ReportSpec]:
    """Return every report by name."""
    return collect(entry_points(group="evalkit.reports"), ReportSpec)


@cache
def data_specs() -> Mapping[str, DataSpec]:
    """Return every dataset that can be fetched or located, by name."""
    return collect(entry_points(group="evalkit.data"), DataSpec)


def default_model() -> str:
    """Return the model taken without `-m`: the reference CM3leon, which does every job on any machine."""
    return "cm3leon"


def task_spec(name: str) -> TaskSpec:
    """Return the task of that name; `coco_fid@1` asks for that version.

    Raises:
        UsageError: no such task, or another version is installed.
    """
    bare, _, version = name.partition("@")
    specs = task_specs()
    if bare not in specs:
        raise UsageError(f"no task named {bare!r}{nearest(bare, specs)}")
    spec = specs[bare]
    if version and version != str(spec.version):
        raise UsageError(f"{name!r} was asked for, but version {spec.version} of {bare} is installed")
    return spec


def build_task(name: str, workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> Task:
    """Return the task of that name on the workspace's data.

    Raises:
        UsageError: an unknown task, protocol or option.
        DataError: its data are missing or malformed.
    """
    spec = task_spec(name)
    if protocol is not None and protocol not in spec.protocols:
        raise UsageError(f"{spec.name} has no protocol {protocol!r}{nearest(protocol, spec.protocols)}")
    check_options(f"task {spec.name}", spec.options, options)
    factory = cast(TaskFactory, load_factory(spec.factory))
    return factory(workspace, protocol, options)


def require_model_name(text: str) -> None:
    """Return if `-m text` may name a model, as far as can be told without importing its code.

    Raises:
        UsageError: there is no such name in the tables, and it is not of the form `module.path:factory`.
    """
    name, colon, _ = text.partition(":")
    if name not in model_specs() and not colon:
        raise UsageError(
            f"no model named {name!r}{nearest(name, model_specs())} (your own is named module.path:factory)"
        )


def build_model(text: str, workspace: Workspace, options: Mapping[str, str]) -> Model:
    """Return the model that `-m text` asks for: `name`, `name:argument`, or `module.path:factory` of the user's own.

    A name in the tables wins over a module of that name.

    Raises:
        UsageError: no such model or module, an unknown option, or an argument where none may stand.
    """
    name, _, argument = text.partition(":")
    spec = model_specs().get(name)
    if spec is None:
        return _own_model(text, workspace, options)
    optional = spec.argument.startswith("[")
    if bool(argument) != bool(spec.argument) and not optional:
        wanted = f"-m {name}:{spec.argument}" if spec.argument else f"-m {name}"
        raise UsageError(f"-m {text!r} should read {wanted}")
    check_options(f"model {name}", spec.options, options)
    factory = cast(ModelFactory, load_factory(spec.factory))
    return factory(workspace, argument, options)


def _own_model(text: str, workspace: Workspace, options: Mapping[str, str]) -> Model:
    require_model_name(text)
    name = text.partition(":")[0]
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        factory = cast(ModelFactory, load_factory(text))
    except UsageError as error:
        raise UsageError(
            f"no model named {name!r}{nearest(name, model_specs())} (nor one of your own: {error})"
        ) from error
    model = _call_own(text, factory, workspace, options)
    missing = [part for part in ("name", "identity", "capabilities", "generate") if not hasattr(model, part)]
    if missing:
        raise UsageError(
            f"{text} returned a {type(model).__name__} without {', '.join(missing)}: see evalkit.interfaces.Model"
        )
    return model


def _call_own(text: str, factory: ModelFactory, workspace: Workspace, options: Mapping[str, str]) -> Model:
    try:
        return factory(workspace, "", options)
    except EvalkitError:
        raise
    except TypeError as error:
        raise UsageError(f"{text} could not be called as factory(workspace, argument, options): {error}") from error


def check_options(owner: str, known: Sequence[Option], given: Mapping[str, str]) -> None:
    """Return if every key of `given` is one of the `known` options.

    Raises:
        UsageError: it is not; the message offers the nearest name.
    """
    names = [option.name for option in known]
    for key in given:
        if key not in names:
            raise UsageError(f"{owner} has no option {key!r}{nearest(key, names)}")


def load_factory(text: str) -> Callable[..., object]:
    """Return the callable that `package.module:name` names.

    Raises:
        UsageError: there is no such module or name, or it cannot be called.
    """
    module_name, colon, name = text.partition(":")
    if not colon or not name:
        raise UsageError(f"{text!r} should read module.path:name")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"module {module_name!r} cannot be imported ({error})") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        raise UsageError(f"{module_name} has no callable {name!r}{nearest(name, vars(module))}")
    return cast("Callable[..., object]", factory)
