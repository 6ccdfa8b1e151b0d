"""`evalkit fetch`: get data or weights before a run needs them."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, cast

from cyclopts import Parameter

from evalkit.cli.bars import progress_on_stderr
from evalkit.cli.words import key_values, print_json
from evalkit.errors import UsageError, nearest
from evalkit.factories import DataFetcher
from evalkit.registry import check_options, data_specs, load_factory
from evalkit.workspace import Workspace, default_cache_dir


def fetch(
    name: str,
    /,
    *,
    task_options: Annotated[tuple[str, ...], Parameter(name=["--task-options", "-t"])] = (),
    cache: Path | None = None,
    data_dir: Path | None = None,
    offline: bool = False,
    json: bool = False,
) -> int:
    """Get a dataset or a weight file, with its digest checked; what is here and whole is not fetched again.

    Args:
        name: One that `evalkit ls data` or `evalkit ls weights` lists.
        task_options: name=value for the dataset; may be repeated. `evalkit ls data NAME` lists them.
        cache: Folder of answers, features and weights that all runs share; `evalkit doctor` says where.
        data_dir: Folder to look for data in as well.
        offline: Do not touch the network: an error where something is missing.
        json: Print JSON on standard output, and nothing else there.
    """
    out = sys.stdout
    with progress_on_stderr() as progress, redirect_stdout(sys.stderr):
        workspace = Workspace(cache=cache or default_cache_dir(), data_dir=data_dir, offline=offline, progress=progress)
        paths = _fetched(name, workspace, key_values("-t", task_options))
    if json:
        print_json({"files": [str(path) for path in paths]}, out)
    else:
        print("\n".join(str(path) for path in paths), file=out)
    return 0


def _fetched(name: str, workspace: Workspace, options: dict[str, str]) -> list[Path]:
    from evalkit.weight_table import WEIGHTS
    from evalkit.weights import require

    if name in data_specs():
        spec = data_specs()[name]
        check_options(f"data {name}", spec.options, options)
        return cast(DataFetcher, load_factory(spec.factory))(workspace, options)
    if name not in WEIGHTS:
        raise UsageError(f"neither data nor weights are named {name!r}{nearest(name, [*data_specs(), *WEIGHTS])}")
    check_options(f"weights {name}", (), options)
    return [require(name, workspace).path]
