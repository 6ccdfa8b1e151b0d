"""`evalkit bless`: make a run the baseline that later ones are held against."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from evalkit.cli.report import run_folders
from evalkit.cli.words import print_json, quantity, size
from evalkit.errors import UsageError
from evalkit.types import Json

BASELINE = Path("baseline.json")


def bless(
    *runs: Path,
    file: Annotated[Path, Parameter(name=["--file", "-o"])] = BASELINE,
    json: bool = False,
) -> int:
    """Make one or more runs the baseline: one small file to commit, for `evalkit gate`.

    Args:
        runs: Folders of runs, or folders of such folders; one run a task.
        file: File to write; baseline.json without it.
        json: Print JSON on standard output, and nothing else there.
    """
    from evalkit.comparison import read_scored_run
    from evalkit.gate.baseline import Blessed, provenance_of, write_baseline

    if file.is_dir():
        raise UsageError(f"{file} is a folder; name a file, as in `-o {file / BASELINE}`")
    blessed = [Blessed(read_scored_run(folder), provenance_of(folder)) for folder in run_folders(runs)]
    write_baseline(file, blessed)
    rows = [(one.run.task, one.run.model, one.run.stamps, one.run.samples) for one in blessed]
    if json:
        runs_json: list[Json] = [{"task": t, "model": m, "samples": len(samples.ids)} for t, m, _, samples in rows]
        print_json({"file": str(file), "runs": runs_json}, sys.stdout)
        return 0
    for task, model, stamps, samples in rows:
        stamped = "".join(f"; {stamp}" for stamp in stamps)
        print(f"{task} by {model}: {quantity(len(samples.ids), 'sample')}{stamped}")
    print(f"{file} ({size(file.stat().st_size)}); next: evalkit gate RUN --baseline {file}")
    return 0
