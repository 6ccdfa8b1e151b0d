"""`evalkit compare`: the same samples put to several models, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from evalkit.cli.report import run_folders, written
from evalkit.cli.words import print_json
from evalkit.workspace import Workspace, default_cache_dir


def compare(
    *runs: Path,
    file: Annotated[Path, Parameter(name=["--file", "-o"])] = Path("comparison.html"),
    cache: Path | None = None,
    json: bool = False,
) -> int:
    """Make a page that compares two or more runs sample by sample; the first of each task is the baseline.

    Args:
        runs: Folders of runs, or folders of such folders.
        file: File to write; comparison.html without it.
        cache: Folder in which pictures are looked for besides the one that the runs name.
        json: Print JSON on standard output, and nothing else there.
    """
    path = written("compare", run_folders(runs), file, Workspace(cache=cache or default_cache_dir()))
    if json:
        print_json({"files": [str(path)]}, sys.stdout)
    else:
        print(path)
    return 0
