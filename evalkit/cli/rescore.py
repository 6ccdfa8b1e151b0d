"""`evalkit rescore`: score stored answers anew, without the model that gave them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from evalkit.cli.bars import progress_on_stderr
from evalkit.cli.outcome import print_run
from evalkit.cli.report import run_folders
from evalkit.cli.words import print_json
from evalkit.errors import DataError
from evalkit.json_values import a_list, a_text, a_whole_number, an_object
from evalkit.registry import build_task, task_spec
from evalkit.results import read_run, read_samples, run_json
from evalkit.types import Json, JsonScalar
from evalkit.workspace import Workspace, default_cache_dir

if TYPE_CHECKING:
    from evalkit.progress import Progress
    from evalkit.results import Run
    from evalkit.runner import RunSettings


def rescore(
    *runs: Path,
    protocol: str | None = None,
    metrics: str | None = None,
    cache: Path | None = None,
    data: str | None = None,
    data_dir: Path | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: bool = False,
) -> int:
    """Score the stored answers of runs anew, without loading the model. Exit codes: 0 done, 1 an answer is gone.

    Args:
        runs: Folders of runs, or folders of such folders.
        protocol: Choices to score under, by name; those of the run without it.
        metrics: Metrics to compute, parted by commas; those of the run without it.
        cache: Folder that holds the answers; the run's own without it.
        data: Data by name; those of the run without it.
        data_dir: Folder that holds the data.
        output: Folder in which the new run gets a folder; beside the old one without it, which is written anew where
            nothing was chosen otherwise.
        json: Print JSON on standard output, and nothing else there.
    """
    out, found = sys.stdout, []
    with progress_on_stderr() as progress, redirect_stdout(sys.stderr):
        for folder in run_folders(runs):
            run, settings, workspace = _known(folder, cache, progress)
            workspace = replace(workspace, data=data or workspace.data, data_dir=data_dir)
            chosen = replace(
                settings,
                protocol=protocol or settings.protocol,
                metrics=tuple(metrics.split(",")) if metrics is not None else settings.metrics,
            )
            scored, written = _scored(run, chosen, workspace, output or folder.parent)
            found.append(scored)
            if not json:
                print_run(scored, written, read_samples(written) if scored.coverage.failed else (), out)
    if json:
        print_json({"runs": [run_json(scored) for scored in found]}, out)
    return 1 if any(scored.coverage.failed for scored in found) else 0


def _known(folder: Path, cache: Path | None, progress: Progress) -> tuple[Run, RunSettings, Workspace]:
    """Return the run in `folder` with its settings, and a workspace on its data and its answers."""
    run = read_run(folder)
    try:
        settings = _settings_of(an_object(run.provenance["settings"]))
        kept = Path(a_text(run.provenance["cache"]))
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder} does not say how it was run ({error!r}); run the task again") from error
    where = cache or (kept if kept.is_dir() else default_cache_dir())
    named = run.data.partition(" ")[0]  # `blocksworld val` is --data blocksworld
    data = named if named in task_spec(run.task).data else None
    return run, settings, Workspace(cache=where, progress=progress, data=data)


def _settings_of(document: Mapping[str, Json]) -> RunSettings:
    """Return the settings that `RunSettings.document` made; another shape raises KeyError or TypeError."""
    from evalkit.runner import RunSettings

    limit, metrics, used = document["limit"], document["metrics"], document["protocol"]
    return RunSettings(
        seed=a_whole_number(document["seed"]),
        limit=None if limit is None else a_whole_number(limit),
        gen={name: a_text(value) for name, value in an_object(document["gen"]).items()},
        metrics=None if metrics is None else tuple(a_text(name) for name in a_list(metrics)),
        protocol=None if used is None else a_text(used),
        options={name: a_text(value) for name, value in an_object(document["options"]).items()},
        repeat=a_whole_number(document.get("repeat", 0)),
    )


def _scored(run: Run, settings: RunSettings, workspace: Workspace, output: Path) -> tuple[Run, Path]:
    from evalkit.cache import Cache
    from evalkit.models.recorded import RecordedModel
    from evalkit.runner import run as run_task

    task = build_task(run.task, workspace, settings.protocol, settings.options)
    before = an_object(run.provenance["data"]).get("digest")
    if before != task.data.digest:
        raise DataError(
            f"{run.task} was run on {run.data} of digest {before}, and here is {task.data.name} of digest "
            f"{task.data.digest}; name the data with --data or --data-dir"
        )
    identity: dict[str, JsonScalar] = {}
    for name, value in an_object(run.provenance.get("model")).items():
        identity[name] = _scalar(name, value)
    model = RecordedModel(run.model, identity, frozenset({task.job}))
    with Cache(workspace.cache) as cache:
        return run_task(task, model, cache, settings, output)


def _scalar(name: str, value: Json) -> JsonScalar:
    if isinstance(value, (list, dict)):
        raise DataError(f"the model's {name} in the run is {value!r}, which no identity holds; run the task again")
    return value
