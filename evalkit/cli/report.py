"""`evalkit report`: a page and a table of runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

from cyclopts import Parameter

from evalkit.cli.words import print_json
from evalkit.errors import UsageError, nearest
from evalkit.factories import ReportFactory
from evalkit.interfaces import ReportSpec
from evalkit.registry import load_factory, report_specs
from evalkit.workspace import Workspace, default_cache_dir


def report(
    *runs: Path,
    file: Annotated[Path | None, Parameter(name=["--file", "-o"])] = None,
    cache: Path | None = None,
    json: bool = False,
) -> int:
    """Make a page and a table of one or more runs.

    Args:
        runs: Folders of runs, or folders of such folders.
        file: File to write; its ending says which report (.html, .md). Without it every report is written, into
            the one folder that is named or beside the runs.
        cache: Folder in which pictures are looked for besides the one that the runs name.
        json: Print JSON on standard output, and nothing else there.
    """
    folders = run_folders(runs)
    workspace = Workspace(cache=cache or default_cache_dir())
    paths = [file] if file is not None else _everywhere(runs, folders)
    made = [written("report", folders, path, workspace) for path in paths]
    if json:
        print_json({"files": [str(path) for path in made]}, sys.stdout)
    else:
        print("\n".join(str(path) for path in made))
    return 0


def run_folders(named: Sequence[Path]) -> list[Path]:
    """Return the folders of runs that were named, a folder of several standing for all of them.

    Raises:
        UsageError: one of them neither is a run nor holds one.
    """
    if not named:
        raise UsageError("no run is named; `evalkit ls runs` lists them, as in `evalkit report runs`")
    found: list[Path] = []
    for path in named:
        inside = [path] if (path / "run.json").is_file() else sorted(p.parent for p in path.glob("*/run.json"))
        if not inside:
            from evalkit.asked import ASKED  # it takes a while

            if (path / ASKED).is_file():
                raise UsageError(f"the run of {path} has not ended; `evalkit view {path.parent}` follows it")
            siblings = [str(p.parent) for p in path.parent.glob("*/run.json")]
            raise UsageError(f"{path} is not the folder of a run{nearest(str(path), siblings)}")
        found += inside
    return list(dict.fromkeys(found))


def _everywhere(named: Sequence[Path], folders: Sequence[Path]) -> list[Path]:
    """Return a file for every kind of report, in the one folder that was named or beside the runs."""
    beside = named[0] if len(named) == 1 else folders[0].parent
    return [beside / f"report{spec.suffix}" for spec in _specs("report")]


def _specs(command: str) -> list[ReportSpec]:
    return [spec for spec in report_specs().values() if spec.command == command]


def written(command: str, folders: Sequence[Path], output: Path, workspace: Workspace) -> Path:
    """Return `output` once the report of that command that its ending asks for is written there.

    Raises:
        UsageError: no report of the command has that ending.
        EvalkitError: the report cannot be made of these runs.
    """
    specs = {spec.suffix: spec for spec in _specs(command)}
    if not specs:
        raise UsageError(f"nothing installed can write for `evalkit {command}`; install evalkit's reports again")
    spec = specs.get("") or specs.get(output.suffix)  # what is written as a folder may have any name
    if spec is None:
        known = ", ".join(sorted(specs))
        raise UsageError(f"no report is written as {output.suffix or output.name!r}; known endings are {known}")
    factory = cast(ReportFactory, load_factory(spec.factory))
    factory(folders, output, workspace)
    return output


def command_of(base: str, variant: str | None, what: str) -> str:
    """Return the name of a command's variant, `leaderboard:cm3leon`; of the command itself where none is wanted.

    Raises:
        UsageError: there is no such variant; `what` says what one is.
    """
    if variant is None:
        return base
    names = (spec.command.partition(":") for spec in report_specs().values())
    known = {name for command, _, name in names if command == base and name}
    if variant not in known:
        raise UsageError(f"there is no {what} {variant!r}{nearest(variant, known)}")
    return f"{base}:{variant}"
