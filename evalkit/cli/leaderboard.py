"""`evalkit leaderboard`: runs ranked in tiers, grouped by protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from evalkit.cli.report import command_of, run_folders, written
from evalkit.cli.words import print_json
from evalkit.workspace import Workspace


def leaderboard(
    *runs: Path,
    file: Annotated[tuple[Path, ...], Parameter(name=["--file", "-o"])] = (),
    paper: str | None = None,
    json: bool = False,
) -> int:
    """Rank runs in tiers, a board for each task, data set and protocol; published numbers stand apart.

    Args:
        runs: Folders of runs, or folders of such folders.
        file: File to write: .md, .html, .csv, .tex or .json; may be repeated. Without it Markdown is printed.
        paper: Fill the tables of this paper instead: cm3leon.
        json: Print the JSON form on standard output, and nothing else there.
    """
    command, folders = command_of("leaderboard", paper, "table of a paper"), run_folders(runs)
    made = [written(command, folders, path, Workspace(offline=True)) for path in file]
    if json and made:
        print_json({"files": [str(path) for path in made]}, sys.stdout)
    elif made:
        print("\n".join(map(str, made)))
    else:
        with TemporaryDirectory() as place:
            path = Path(place) / f"leaderboard.{'json' if json else 'md'}"
            text = written(command, folders, path, Workspace(offline=True)).read_text(encoding="utf-8")
        print(text, end="")
    return 0
