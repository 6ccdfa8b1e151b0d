"""`evalkit export`: what runs found, in the forms of other tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from evalkit.cli.report import command_of, run_folders, written
from evalkit.cli.words import print_json
from evalkit.errors import UsageError
from evalkit.workspace import Workspace, default_cache_dir


def export(
    *runs: Path,
    file: Annotated[tuple[Path, ...], Parameter(name=["--file", "-o"])] = (),
    to: str | None = None,
    cache: Path | None = None,
    json: bool = False,
) -> int:
    """Write runs in the form of another tool, or log them to a tracker.

    Args:
        runs: Folders of runs, or folders of such folders.
        file: File to write, may be repeated: .json (results as lm-evaluation-harness has them), .parquet or .csv (every
            sample). With --to the folder of the tracker's files.
        to: Tracker to log to: tensorboard, mlflow or wandb, whichever is installed.
        cache: Folder in which pictures are looked for besides the one that the runs name.
        json: Print JSON on standard output, and nothing else there.
    """
    command, folders = command_of("export", to, "tracker"), run_folders(runs)
    places = file or ((Path(to),) if to is not None else ())
    if not places:
        raise UsageError("no file is named; name one with -o, as in `evalkit export RUN -o samples.parquet`")
    made = [written(command, folders, path, Workspace(cache=cache or default_cache_dir())) for path in places]
    if json:
        print_json({"files": [str(path) for path in made]}, sys.stdout)
    else:
        print("\n".join(map(str, made)))
    return 0
