"""Results in the form that EleutherAI's lm-evaluation-harness writes, for tools that read those.

Source: lm_eval/evaluator.py (`simple_evaluate`) and lm_eval/utils.py (`make_table`) of that repository: `results` by
task with `METRIC,FILTER` and `METRIC_stderr,FILTER`, beside `versions`, `n-shot`, `n-samples`, `configs`, `config` and
`higher_is_better`. What that form has no place for (protocols, stamps, intervals) stands under `evalkit`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from evalkit import stats
from evalkit.errors import UsageError
from evalkit.results import Run, run_json
from evalkit.types import Estimate, Json
from evalkit.workspace import Workspace
from evalkit_reports.measures import load_results
from evalkit_reports.writing import write_whole

FILTER = "none"
"""The harness names the post-processing of answers; evalkit's is part of the protocol."""


def write_harness_results(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write the results of one model on one or more tasks to `output`.

    Raises:
        UsageError: the runs are of several models, or two are of one task, which this form cannot hold.
        DataError: a folder holds no run, or a damaged one.
    """
    found = [loaded.run for task in load_results(runs) for loaded in task.runs]
    models = dict.fromkeys(run.model for run in found)
    if len(models) > 1:
        raise UsageError(f"this form holds one model, and these runs are of {', '.join(models)}; export each by itself")
    twice = next((run.task for i, run in enumerate(found) if run.task in {one.task for one in found[:i]}), None)
    if twice is not None:
        raise UsageError(f"this form holds one run of a task, and two are of {twice}; export each by itself")
    write_whole(output, json.dumps(harness_results(found), indent=2, ensure_ascii=True) + "\n")


def harness_results(runs: Sequence[Run]) -> dict[str, Json]:
    """Return runs of one model on different tasks as the harness's results."""
    names = [run.task for run in runs]
    return {
        "results": {run.task: _scores(run) for run in runs},
        "group_subtasks": {name: [] for name in names},
        "configs": {run.task: {"task": run.task, "dataset_path": run.data, "num_fewshot": 0} for run in runs},
        "versions": {run.task: _version(run.task) for run in runs},
        "n-shot": dict.fromkeys(names, 0),
        "higher_is_better": {run.task: _directions(run) for run in runs},
        "n-samples": {run.task: {"original": run.coverage.asked, "effective": run.coverage.answered} for run in runs},
        "config": {
            "model": "evalkit",
            "model_args": f"model={runs[0].model}",
            "batch_size": None,
            "limit": _limit(runs),
        },
        "model_source": "evalkit",
        "model_name": runs[0].model,
        "evalkit": {run.task: run_json(run) for run in runs},
    }


def _estimates(run: Run) -> list[tuple[str, Estimate]]:
    return [(name, found) for name, found in run.estimates.items() if isinstance(found, Estimate)]


def _scores(run: Run) -> dict[str, Json]:
    scores: dict[str, Json] = {"alias": run.task}
    for name, estimate in _estimates(run):
        error = standard_error(estimate)
        scores[f"{name},{FILTER}"] = estimate.value if math.isfinite(estimate.value) else None
        scores[f"{name}_stderr,{FILTER}"] = "N/A" if error is None else error
    return scores


def standard_error(estimate: Estimate) -> float | None:
    """Return the standard error behind an estimate's interval, taken as a normal one; None where there is none."""
    if estimate.interval is None:
        return None
    reach = stats.student_quantile((1 + estimate.interval.level) / 2, math.inf)
    error = (estimate.interval.high - estimate.interval.low) / (2 * reach)
    return error if math.isfinite(error) else None


def _directions(run: Run) -> dict[str, Json]:
    return {name: estimate.higher_is_better for name, estimate in _estimates(run)}


def _version(task: str) -> int | str:
    version = task.partition("@")[2]
    return int(version) if version.isdecimal() else version


def _limit(runs: Sequence[Run]) -> Json:
    settings = runs[0].provenance.get("settings")
    return settings.get("limit") if isinstance(settings, dict) else None
