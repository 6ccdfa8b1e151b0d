"""`evalkit merge`: one run of the runs of its shards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from evalkit.cli.bars import progress_on_stderr
from evalkit.cli.report import run_folders
from evalkit.cli.run import exit_code, show_run
from evalkit.cli.run_flags import RUNS
from evalkit.cli.words import print_json
from evalkit.errors import DataError
from evalkit.registry import build_task
from evalkit.results import Run, run_json
from evalkit.workspace import Workspace, default_cache_dir


def merge(
    *shards: Path,
    caches: Annotated[tuple[Path, ...], Parameter(name="--from")] = (),
    cache: Path | None = None,
    data_dir: Path | None = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = RUNS,
    allow_failures: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    offline: bool = False,
    json: bool = False,
) -> int:
    """Make one run of the runs of its shards (`evalkit run --shard 1/8` to `8/8`), without building the model.

    The result is that of the whole run. The answers are copied into the cache.

    Args:
        shards: Folders of the shards' runs, or folders of such folders.
        caches: Cache that shards were run with, where it does not lie where the runs say; may be repeated.
        cache: Folder that the answers are copied to; `evalkit doctor` says where it is without this.
        data_dir: Folder that holds the data on this machine.
        output: Folder in which the run gets its folder; ./runs without it.
        allow_failures: Exit with 0 though so many samples failed.
        offline: Do not touch the network.
        json: Print the result as JSON on standard output, and nothing else there.
    """
    out = sys.stdout
    with progress_on_stderr() as progress, redirect_stdout(sys.stderr):
        space = Workspace(cache=cache or default_cache_dir(), data_dir=data_dir, progress=progress)
        space = replace(space, offline=offline or space.offline)
        found, folder = _merged(run_folders(shards), caches, space, output)
        show_run(found, folder, json, out)
    if json:
        print_json({"runs": [run_json(found)]}, out)
    return exit_code([found], 1, allow_failures)


def _merged(shards: Sequence[Path], caches: Sequence[Path], space: Workspace, output: Path) -> tuple[Run, Path]:
    from evalkit.cache import Cache
    from evalkit.merging import Recorded, sharded_run
    from evalkit.runner import run_with

    run = sharded_run(shards)
    task = build_task(run.task, replace(space, data=run.data), run.settings.protocol, run.settings.options)
    if task.data.digest != run.data_digest:
        raise DataError(
            f"the data of {run.task} here have digest {task.data.digest}, the shards' {run.data_digest}; name the "
            "same data with --data-dir"
        )
    with Recorded(run, task, caches) as recorded, Cache(space.cache) as opened:
        return run_with(task, recorded, opened, run.settings, output)
