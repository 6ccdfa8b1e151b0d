"""One training loop for every stage: resumes bit for bit, logs a line a step, and shows rate and time left.

A stage's batch is a function of the step alone, so a checkpoint holds weights, optimizer and step, and nothing else: a
run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

_CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, and how fast: up to `rate` over `warmup` steps, then down as a cosine to `floor * rate`."""

    steps: int
    rate: float
    warmup: int
    floor: float = 0.05
    clip: float = 1.0
    """Largest norm of the gradient."""

    def at(self, step: int) -> float:
        """Return the share of each group's own rate that step 0, 1, ... takes."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


class Stage(Protocol):
    """What a stage trains: batches by step, losses by name of which `loss` is minimised."""

    @property
    def module(self) -> nn.Module:
        """Everything that a checkpoint keeps."""
        ...

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Return the optimizers, each group's rate being `rate` times what suits it."""
        ...

    def losses(self, step: int) -> Mapping[str, Tensor]:
        """Return the losses on the batch of `step`."""
        ...

    def after(self, step: int) -> None:
        """Do what follows a step: a codebook's averages, say."""
        ...


def train(stage: Stage, schedule: Schedule, folder: Path, *, save_every: int = 200, stop_at: int | None = None) -> int:
    """Train `stage` until its schedule, or step `stop_at`, is done, going on from `folder`'s checkpoint if it has one.

    Returns the number of steps that are done. `log.jsonl` gets a line of losses each ten steps.

    Raises:
        ValueError: the checkpoint was made by another schedule.
    """
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    optimizers = stage.optimizers(schedule.rate)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("full_rate", group["lr"])
    first = _resumed(stage, optimizers, folder, schedule)
    end = min(schedule.steps, stop_at or schedule.steps)
    since, since_step, sums = time.monotonic(), first, _Means()
    parameters = [weight for weight in stage.module.parameters() if weight.requires_grad]
    for step in range(first, end):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full_rate"] * schedule.at(step)
        losses = stage.losses(step)
        accelerator.backward(losses["loss"])
        norm = nn.utils.clip_grad_norm_(parameters, schedule.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        stage.after(step)
        sums.add({**losses, "norm": norm})
        if (step + 1) % 10 == 0 or step + 1 == end:
            rate = (step + 1 - since_step) / (time.monotonic() - since)
            _log(folder, step + 1, end, rate, sums.taken())
            since, since_step = time.monotonic(), step + 1
        if (step + 1) % save_every == 0 or step + 1 == end:
            _save(stage, optimizers, folder, schedule, step + 1)
    return max(first, end)


class _Means:
    """Means of losses between two lines of the log."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        for name, loss in losses.items():
            value = float(loss.detach())
            if math.isfinite(value):
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + 1

    def taken(self) -> dict[str, float]:
        """Return the means, and start anew."""
        means = {name: value / self._counts[name] for name, value in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


def _log(folder: Path, step: int, end: int, rate: float, means: Mapping[str, float]) -> None:
    line = {"step": step, "steps_per_second": round(rate, 4), **{k: round(v, 5) for k, v in means.items()}}
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    minutes = (end - step) / rate / 60
    shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
    print(f"step {step}/{end}  {shown}  {rate:.2f} steps/s  {minutes:.0f} min left", flush=True)  # noqa: T201


def _state(stage: Stage, optimizers: list[torch.optim.Optimizer], schedule: Schedule, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "schedule": repr(schedule),
        "module": stage.module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }


def _save(stage: Stage, optimizers: list[torch.optim.Optimizer], folder: Path, schedule: Schedule, step: int) -> None:
    beside = folder / f"{_CHECKPOINT}.{os.getpid()}"
    torch.save(_state(stage, optimizers, schedule, step), beside)
    beside.replace(folder / _CHECKPOINT)


def _resumed(stage: Stage, optimizers: list[torch.optim.Optimizer], folder: Path, schedule: Schedule) -> int:
    path = folder / _CHECKPOINT
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["schedule"] != repr(schedule):
        raise ValueError(f"{path} was made by {state['schedule']}, not {schedule!r}; train into another folder")
    stage.module.load_state_dict(state["module"])
    for optimizer, held in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(held)
    return int(state["step"])
