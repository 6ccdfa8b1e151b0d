"""The flags of `evalkit run`, and those of them that decide what a model is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import Number

RUNS = Path("runs")
"""Folder of run folders where the user names none."""

_MEASURED = Group("What is measured", sort_key=1)
_ASKED = Group("How the model is asked", sort_key=2)
_MACHINE = Group("Machine", sort_key=3)
_RAY = Group("Workers of --executor ray", sort_key=4)
_RESULT = Group("Result", sort_key=5)


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class AskFlags:
    """What decides the requests and the model: all that a cached answer depends on, and where answers are."""

    model_options: Annotated[tuple[str, ...], Parameter(name=["--model-options", "-a"], group=_MEASURED)] = ()
    """name=value for the model; may be repeated. `evalkit ls models NAME` lists them."""
    task_options: Annotated[tuple[str, ...], Parameter(name=["--task-options", "-t"], group=_MEASURED)] = ()
    """name=value for the task; may be repeated. `evalkit ls tasks NAME` lists them."""
    data: Annotated[str | None, Parameter(group=_MEASURED)] = None
    """Data by name, which must then be there. Without it the first of the task's that is."""
    data_dir: Annotated[Path | None, Parameter(group=_MEASURED)] = None
    """Folder that holds the data."""
    protocol: Annotated[str | None, Parameter(group=_MEASURED)] = None
    """Choices under which the numbers hold, by name: torch-fidelity, clean-fid, ..."""
    gen: Annotated[tuple[str, ...], Parameter(group=_ASKED)] = ()
    """name=value for every request: temperature, top_p, guidance, steps, ...; may be repeated."""
    seed: Annotated[int, Parameter(group=_ASKED)] = 0
    """Seed of the run; 0 without it."""
    device: Annotated[str, Parameter(group=_MACHINE)] = "auto"
    """cpu, cuda, cuda:1, ...; auto is cuda where there is one."""
    cache: Annotated[Path | None, Parameter(group=_MACHINE)] = None
    """Folder of answers, features and weights that all runs share; `evalkit doctor` says where."""
    offline: Annotated[bool, Parameter(group=_MACHINE)] = False
    """Do not touch the network."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class RunFlags(AskFlags):
    """The flags of `evalkit run`."""

    model: Annotated[str | None, Parameter(name=["--model", "-m"], group=_MEASURED)] = None
    """NAME, NAME:ARGUMENT, or your own module.path:factory. Without it cm3leon where there is one, else retrieval."""
    metrics: Annotated[str | None, Parameter(group=_MEASURED)] = None
    """Metrics to compute, parted by commas; all without it."""
    limit: Annotated[int | None, Parameter(name=["--limit", "-L"], group=_ASKED, validator=Number(gte=1))] = None
    """Ask only the first so many samples; the result is stamped and never ranked."""
    repeats: Annotated[int, Parameter(group=_ASKED, validator=Number(gte=1))] = 1
    """Ask every sample so many times, with seeds of its own, and tell seeds' part of the uncertainty from samples'."""
    batch: Annotated[str, Parameter(name=["--batch", "-b"], group=_ASKED)] = "auto"
    """Requests at a time, or auto, which halves when memory runs out. It does not change the answers."""
    max_requests: Annotated[int | None, Parameter(group=_ASKED, validator=Number(gte=0))] = None
    """Send a model behind an API at most so many requests, then stop; what is answered is kept."""
    max_cost: Annotated[float | None, Parameter(group=_ASKED, validator=Number(gte=0))] = None
    """Spend at most so much, by the prices that the model's options name (`-a input_price=`, ...)."""
    isolate: Annotated[bool, Parameter(group=_MACHINE)] = False
    """Run the model in a process of its own: if that crashes, the sample failed and the run goes on."""
    shard: Annotated[str | None, Parameter(group=_ASKED)] = None
    """Which part of the samples to ask, as 3/8: every 8th from the 3rd on. `evalkit merge` joins the parts' runs."""
    executor: Annotated[Literal["local", "ray"], Parameter(group=_MACHINE)] = "local"
    """Where the model runs: local is this process, ray is workers on this machine or a Ray cluster."""
    blobs: Annotated[str | None, Parameter(group=_MACHINE)] = None
    """Where a new cache keeps its pictures: s3://bucket/path, gs://..., a folder; without it in the cache."""
    workers: Annotated[int | None, Parameter(group=_RAY, validator=Number(gte=1))] = None
    """Processes that each hold the model; without it as many as there is room for."""
    gpus_per_worker: Annotated[float | None, Parameter(group=_RAY, validator=Number(gte=0))] = None
    """GPUs, or the share of one, that each gets; without it 1 where there are GPUs."""
    cpus_per_worker: Annotated[float, Parameter(group=_RAY, validator=Number(gte=0))] = 1
    """CPUs, and so threads, that each gets; 1 without it."""
    address: Annotated[str | None, Parameter(group=_RAY)] = None
    """Cluster to join, auto for the one of this machine; without it one is started here for this run."""
    lease: Annotated[float, Parameter(group=_RAY, validator=Number(gt=0))] = 1800
    """Seconds that a worker may be silent before it is replaced; 1800 without it."""
    output: Annotated[Path, Parameter(name=["--output", "-o"], group=_RESULT)] = RUNS
    """Folder in which each run gets a folder; ./runs without it."""
    config: Annotated[Path | None, Parameter(name=["--config", "-C"], group=_RESULT)] = None
    """YAML file of flags (`limit: 20`, `gen: {temperature: 0.5}`) and `tasks`."""
    allow_failures: Annotated[int, Parameter(group=_RESULT, validator=Number(gte=0))] = 0
    """Exit with 0 though so many samples failed."""
    dry_run: Annotated[bool, Parameter(group=_RESULT)] = False
    """Only forecast time, disk and calls, from a few samples asked for real."""
    json: Annotated[bool, Parameter(group=_RESULT)] = False
    """Print the result as JSON on standard output, and nothing else there."""
