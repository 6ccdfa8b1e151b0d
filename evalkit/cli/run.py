"""`evalkit run`: put tasks to a model, score its answers, and show what was found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from evalkit.cli.bars import progress_on_stderr
from evalkit.cli.outcome import failure_rows, forecast_text, print_run, repeats_text
from evalkit.cli.place import workspace_of
from evalkit.cli.run_flags import RunFlags
from evalkit.cli.words import columns, key_values, print_json
from evalkit.errors import EvalkitError, UsageError, nearest
from evalkit.registry import (
    build_model,
    build_task,
    default_model,
    model_specs,
    require_model_name,
    task_spec,
    task_specs,
)
from evalkit.results import Run, read_samples, run_json
from evalkit.types import Json
from evalkit.workspace import Workspace

if TYPE_CHECKING:
    from evalkit.executors.executor import Executor
    from evalkit.executors.ray import RayExecutor
    from evalkit.interfaces import Model, Task, TaskSpec
    from evalkit.runner import RunSettings


def run(*tasks: str, flags: RunFlags | None = None) -> int:
    """Measure a model: put one or more tasks to it and score its answers.

    What was answered once is not asked again: the same command continues a run that was stopped, and a finished one is
    only scored anew.

    Args:
        tasks: Names of tasks, as `evalkit ls tasks` lists them; several are parted by commas or spaces.
        flags: See `RunFlags`.
    """
    flags = flags or RunFlags()
    specs = [task_spec(name) for name in _task_names(tasks)]
    from evalkit.runner import parse_gen  # after the names are known to be right: it takes a while

    settings, out = _settings(flags), sys.stdout
    parse_gen(settings.gen)
    _require_metrics(specs, settings.metrics or ())
    with progress_on_stderr() as progress, redirect_stdout(sys.stderr), _Executors(flags) as executors:
        workspace = workspace_of(flags, progress, _batch(flags.batch))
        if flags.blobs is not None:
            _keep_blobs_at(flags.blobs, workspace)
        built = [build_task(spec.name, workspace, flags.protocol, settings.options) for spec in specs]
        if flags.dry_run:
            return _forecast_all(built, executors, settings, flags, out)
        return _run_all(built, executors, settings, flags, out)


def _task_names(words: Sequence[str]) -> list[str]:
    names = [name for word in words for name in word.split(",") if name]
    if not names:
        raise UsageError(
            f"no task is named; choose from {', '.join(sorted(task_specs()))}, as in `evalkit run coco_fid`"
        )
    return list(dict.fromkeys(names))


def _require_metrics(specs: Sequence[TaskSpec], names: Sequence[str]) -> None:
    """Return if every task has all metrics of these names: asked before a model is loaded."""
    for spec in specs:
        for name in names:
            if name not in spec.metrics:
                raise UsageError(f"{spec.name} has no metric {name!r}{nearest(name, spec.metrics)}")


def _keep_blobs_at(address: str, workspace: Workspace) -> None:
    from evalkit.cache.places import Places
    from evalkit.remote_blobs import is_remote

    folder = Path(address.removeprefix("file://")).resolve()
    Places(workspace.cache).keep_blobs_at(address if is_remote(address) else str(folder))


def _batch(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch {text!r} is neither auto nor a whole number above 0")
    return int(text)


def _settings(flags: RunFlags) -> RunSettings:
    from evalkit.runner import RunSettings, shard_of

    return RunSettings(
        seed=flags.seed,
        limit=flags.limit,
        gen=key_values("--gen", flags.gen),
        metrics=tuple(name for name in flags.metrics.split(",") if name) if flags.metrics is not None else None,
        batch=_batch(flags.batch),
        protocol=flags.protocol,
        options=key_values("-t", flags.task_options),
        shard=shard_of(flags.shard) if flags.shard is not None else None,
    )


class _Executors:
    """The executor of each task; it is built anew only where the task's workspace differs. Use as a context."""

    def __init__(self, flags: RunFlags) -> None:
        self._flags = flags
        self._text = flags.model or default_model()
        require_model_name(self._text)
        self._options = {**key_values("-a", flags.model_options), **_budget(self._text, flags)}
        self._built: tuple[Workspace, Executor] | None = None
        self._open = ExitStack()

    def __enter__(self) -> _Executors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def executor_for(self, task: Task) -> Executor:
        if self._built is None or self._built[0] != task.workspace:
            self._open.close()
            self._built = task.workspace, self._build(task.workspace)
        return self._built[1]

    def _build(self, workspace: Workspace) -> Executor:
        if self._flags.executor == "ray":
            if self._flags.isolate:
                raise UsageError("--isolate adds nothing to --executor ray, whose workers are processes; leave it out")
            build = partial(build_model, self._text, options=self._options)
            return self._open.enter_context(_ray_executor(build, workspace, self._flags))
        from evalkit.executors.local import LocalExecutor, batch_sizes

        model = self._model(workspace)
        return LocalExecutor(model, batch_sizes(model, workspace))

    def _model(self, workspace: Workspace) -> Model:
        if not self._flags.isolate:
            return build_model(self._text, workspace, self._options)
        from evalkit.isolation import IsolatedModel

        return IsolatedModel(self._text, workspace, self._options)


def _budget(model: str, flags: RunFlags) -> dict[str, str]:
    """Return `--max-requests` and `--max-cost` as options of the model.

    Raises:
        UsageError: the model is none that counts what it sends.
    """
    spec = model_specs().get(model.partition(":")[0])
    budget = {"max_requests": flags.max_requests, "max_cost": flags.max_cost}
    given = {name: str(value) for name, value in budget.items() if value is not None}
    if spec is not None and given and not given.keys() <= {option.name for option in spec.options}:
        flags_given = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{flags_given} is for a model behind an API, and {spec.name} is none; leave it out")
    return given


def _ray_executor(build: Callable[[Workspace], Model], workspace: Workspace, flags: RunFlags) -> RayExecutor:
    try:
        from evalkit.executors.ray import RayExecutor
        from evalkit.executors.ray_cluster import RaySettings
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--executor ray needs Ray ({error}); `pip install 'evalkit-multimodal[ray]'`, or split the work by hand "
            "with --shard"
        ) from error
    gpus = 0.0 if flags.device == "cpu" else flags.gpus_per_worker
    settings = RaySettings(flags.workers, gpus, flags.cpus_per_worker, flags.address, flags.lease)
    return RayExecutor(build, workspace, settings)


def _forecast_all(
    tasks: Sequence[Task], executors: _Executors, settings: RunSettings, flags: RunFlags, out: TextIO
) -> int:
    from evalkit.cache import Cache
    from evalkit.forecast import forecast

    documents: list[Json] = []
    for task in tasks:
        executor = executors.executor_for(task)
        with Cache(task.workspace.cache) as cache:
            found = forecast(task, executor, cache, settings)
        if not flags.json:
            print(forecast_text(task.name, executor.model.name, found), file=out)
        documents.append({"task": task.name, "model": executor.model.name, **asdict(found)})
    if flags.json:
        print_json({"forecasts": documents}, out)
    return 0


def _run_all(tasks: Sequence[Task], executors: _Executors, settings: RunSettings, flags: RunFlags, out: TextIO) -> int:
    """Run each task; where there are several, one that cannot be finished does not keep the others from running."""
    from evalkit.cache import Cache
    from evalkit.runner import run_with

    runs: list[Run] = []
    repeated: list[Json] = []
    for task in tasks:
        folders: list[Path] = []
        for repeat in range(flags.repeats):
            try:
                executor = executors.executor_for(task)
                with Cache(task.workspace.cache) as cache:
                    found, folder = run_with(task, executor, cache, replace(settings, repeat=repeat), flags.output)
            except UsageError:
                raise
            except EvalkitError as error:
                if len(tasks) == 1:
                    raise
                task.workspace.progress.say(f"error: {task.name}: {error}")
                break
            runs.append(found)
            folders.append(folder)
            show_run(found, folder, flags.json, out)
        if len(folders) == flags.repeats > 1:
            repeated.append(_tell_repeats(task.name, folders, flags, out))
    if flags.json:
        print_json({"runs": [run_json(found) for found in runs], **({"repeats": repeated} if repeated else {})}, out)
    return exit_code(runs, len(tasks) * flags.repeats, flags.allow_failures)


def _tell_repeats(task: str, folders: Sequence[Path], flags: RunFlags, out: TextIO) -> Json:
    """Print what the repeats of one task say together, and return it as JSON."""
    from evalkit.comparison import read_scored_run, seed_components

    found = seed_components([read_scored_run(folder) for folder in folders])
    if not flags.json:
        print(repeats_text(task, len(folders), found), file=out)
    return {"task": task, "estimates": {name: asdict(components) for name, components in found.items()}}


def show_run(found: Run, folder: Path, json: bool, out: TextIO) -> None:
    """Print what a run found, its failures on standard error where `out` is for JSON."""
    if not json:
        print_run(found, folder, read_samples(folder) if found.coverage.failed else (), out)
    elif found.coverage.failed:
        print(columns(failure_rows(read_samples(folder)), None), file=sys.stderr)


def exit_code(runs: Sequence[Run], asked: int, allowed: int) -> int:
    """Return 0, 1 where more samples failed than are allowed, or 2 where fewer runs than `asked` could be finished."""
    if len(runs) < asked:
        return 2
    failed = sum(found.coverage.failed for found in runs)
    if failed > allowed:
        print(
            f"{failed} samples failed, {allowed} are allowed; give the command again to ask them once more, "
            f"or --allow-failures {failed} to accept them",
            file=sys.stderr,
        )
        return 1
    return 0
