"""Numbers of runs sent to an experiment tracker that the user has: TensorBoard, MLflow or Weights & Biases.

Each run of evalkit becomes one run of the tracker, with its estimates, bounds, coverage, stamps and settings. Where to
is the tracker's own affair (`MLFLOW_TRACKING_URI`, `WANDB_PROJECT`, `WANDB_MODE`); else files in the folder named.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.types import Estimate
from evalkit.workspace import Workspace
from evalkit_reports.html_page import facts
from evalkit_reports.measures import LoadedRun, load_results

PROJECT = "evalkit"
LONGEST_VALUE = 500
"""Characters of a parameter: MLflow's limit."""


def to_tensorboard(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Write an event file for each of `runs` into a folder of `output`.

    Raises:
        UsageError: TensorBoard is not installed.
        DataError: a folder holds no run, or a damaged one.
    """
    _package("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for loaded in _loaded(runs):
        writer = SummaryWriter(str(output / loaded.directory.name))
        for name, value in metrics(loaded.run).items():
            writer.add_scalar(name, value)
        lines = "\n".join(f"    {name}: {value}" for name, value in parameters(loaded).items())
        writer.add_text("evalkit", lines)
        writer.close()


def to_mlflow(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Log each of `runs` to MLflow: to `MLFLOW_TRACKING_URI`, else into the database `output/mlflow.db`.

    Raises:
        UsageError: MLflow is not installed, or cannot log.
        DataError: a folder holds no run, or a damaged one.
    """
    mlflow = _package("mlflow", "mlflow")
    output.mkdir(parents=True, exist_ok=True)
    place = output.resolve()
    try:
        client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{place / 'mlflow.db'}")
        experiment = client.get_experiment_by_name(PROJECT)
        if experiment is None:
            number = client.create_experiment(PROJECT, (place / "artifacts").as_uri())
        else:
            number = experiment.experiment_id
        for loaded in _loaded(runs):
            made = client.create_run(number, run_name=loaded.directory.name).info.run_id
            for name, value in metrics(loaded.run).items():
                client.log_metric(made, _plain(name), value)
            for name, text in parameters(loaded).items():
                client.log_param(made, _plain(name), text)
            client.set_terminated(made)
    except mlflow.exceptions.MlflowException as error:
        raise UsageError(f"MLflow cannot log ({error}); see MLFLOW_TRACKING_URI") from error


def to_wandb(runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
    """Log each of `runs` to Weights & Biases, whose local files go into the folder `output`.

    Raises:
        UsageError: Weights & Biases is not installed, or cannot log.
        DataError: a folder holds no run, or a damaged one.
    """
    wandb = _package("wandb", "wandb")
    output.mkdir(parents=True, exist_ok=True)
    project = os.environ.get("WANDB_PROJECT") or PROJECT
    try:
        for loaded in _loaded(runs):
            named, settings = loaded.directory.name, parameters(loaded)
            made = wandb.init(project=project, dir=str(output), name=named, config=settings, reinit="finish_previous")
            made.log(metrics(loaded.run))
            made.finish()
    except wandb.errors.Error as error:
        raise UsageError(f"Weights & Biases cannot log ({error}); see WANDB_MODE and `wandb login`") from error


def _package(name: str, distribution: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{name} is not installed ({error}); `pip install {distribution}` gets it") from error


def _loaded(runs: Sequence[Path]) -> list[LoadedRun]:
    return [loaded for task in load_results(runs) for loaded in task.runs]


def metrics(run: Run) -> dict[str, float]:
    """Return a run's numbers by name: each estimate, its bounds, and the coverage; what is not finite is left out."""
    found: dict[str, float] = {}
    for name, estimate in run.estimates.items():
        if isinstance(estimate, Estimate):
            found[name] = estimate.value
            if estimate.interval is not None:
                found |= {f"{name}/low": estimate.interval.low, f"{name}/high": estimate.interval.high}
    covered = run.coverage
    found |= {"coverage/asked": covered.asked, "coverage/answered": covered.answered, "coverage/failed": covered.failed}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def parameters(loaded: LoadedRun) -> dict[str, str]:
    """Return what a run was made with, by dotted names, each cut to `LONGEST_VALUE` characters."""
    run = loaded.run
    named = {"task": run.task, "model": run.model, "data": run.data, "stamps": "; ".join(run.stamps)}
    return {name: value[:LONGEST_VALUE] for name, value in {**named, **dict(facts(run.provenance))}.items()}


def _plain(name: str) -> str:
    """Return a name with only what MLflow allows in it."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in name)[:250]
