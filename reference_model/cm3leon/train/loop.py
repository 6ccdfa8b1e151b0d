"""One training loop for every stage: resumes bit for bit, logs as it goes, and shows rate and time left.

A stage's batch is a function of its number alone, so a checkpoint holds weights, optimizer and step, and nothing else:
a run that was stopped goes on as if it had not been, and batches can be made ahead by other processes. Under `torchrun`
each of W processes takes every W-th batch, and gradients are averaged over all of them; `sharding` has each hold a
W-th of the weights.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cm3leon.train.sharding import gathered, is_sharded, load_module, load_optimizer, norm_of

_CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
_AHEAD = 4
"""Batches that each process makes ahead."""

Batch: TypeAlias = Mapping[str, Tensor]


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


@dataclass(frozen=True, slots=True)
class Pace:
    """What changes no weight: who makes the batches, and how often is saved and told."""

    workers: int = 0
    """Processes that make batches ahead; 0 makes each when it is needed."""
    save_every: int = 200
    log_every: int = 10


class Stage(Protocol):
    """What a stage trains: batches by number, losses by name of which `loss` is minimised."""

    @property
    def module(self) -> nn.Module:
        """Everything that a checkpoint keeps."""
        ...

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Return the optimizers, each group's rate being `rate` times what suits it."""
        ...

    def batch(self, number: int) -> Batch:
        """Return batch `number`, on the CPU: a function of the number alone."""
        ...

    def losses(self, step: int, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of step `step` on a batch."""
        ...

    def after(self, step: int) -> None:
        """Do what follows a step: a codebook's averages, say."""
        ...


def train(
    stage: Stage, schedule: Schedule, folder: Path, *, pace: Pace | None = None, stop_at: int | None = None
) -> int:
    """Train `stage` until its schedule, or step `stop_at`, is done, going on from `folder`'s checkpoint if it has one.

    Returns the number of steps that are done. `log.jsonl` gets a line of mean losses each `log_every` steps.

    Raises:
        ValueError: the checkpoint was made by another schedule.
    """
    pace = pace or Pace()
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    optimizers = stage.optimizers(schedule.rate)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("full_rate", group["lr"])
    first = _resumed(stage, optimizers, folder, schedule)
    end = min(schedule.steps, stop_at or schedule.steps)
    telling = _Telling(folder, first, end)
    parameters = [weight for weight in stage.module.parameters() if weight.requires_grad]
    for step, batch in _numbered(stage, first, end, accelerator, pace.workers):
        _set_rates(optimizers, schedule.at(step))
        losses = stage.losses(step, batch)
        accelerator.backward(losses["loss"])
        if not is_sharded(stage.module):
            _average(parameters, accelerator)
        norm = norm_of(nn.utils.clip_grad_norm_(parameters, schedule.clip))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        stage.after(step)
        done = step + 1
        if accelerator.is_main_process:
            telling.add({**losses, "norm": norm})
            if done % pace.log_every == 0 or done == end:
                telling.tell(done)
        if done % pace.save_every == 0 or done == end:
            _save(gathered(_state(stage, optimizers, schedule, done)), folder, accelerator)
    return max(first, end)


class _Batches(Dataset[Batch]):
    """The batches of a stage by number, as the loader wants them."""

    def __init__(self, batch: Callable[[int], Batch]) -> None:
        self._batch = batch

    def __getitem__(self, number: int) -> Batch:
        return self._batch(number)


def _numbered(
    stage: Stage, first: int, end: int, accelerator: Accelerator, workers: int
) -> Iterator[tuple[int, Batch]]:
    """Yield each step from `first` to `end` with this process's batch of it, on its device."""
    count, device = accelerator.num_processes, accelerator.device
    numbers = range(first * count + accelerator.process_index, end * count, count)
    batches: Iterator[Batch] = map(stage.batch, numbers)
    if workers:
        loader = DataLoader(
            _Batches(stage.batch),
            batch_size=None,
            sampler=numbers,
            num_workers=workers,
            prefetch_factor=_AHEAD,
            pin_memory=device.type == "cuda",
            multiprocessing_context="fork",
        )
        batches = iter(loader)
    for step, batch in zip(range(first, end), batches, strict=True):
        yield step, {name: part.to(device, non_blocking=True) for name, part in batch.items()}


def _set_rates(optimizers: list[torch.optim.Optimizer], share: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["full_rate"] * share


def _average(parameters: list[nn.Parameter], accelerator: Accelerator) -> None:
    """Replace each gradient by its mean over all processes."""
    if accelerator.num_processes == 1:
        return
    held = [weight for weight in parameters if weight.grad is not None]
    flat = accelerator.reduce(torch.cat([weight.grad.flatten() for weight in held if weight.grad is not None]), "mean")
    for weight, part in zip(held, flat.split([weight.numel() for weight in held]), strict=True):
        weight.grad = part.view_as(weight)


class _Telling:
    """Means of losses between two lines of the log, and the lines."""

    def __init__(self, folder: Path, first: int, end: int) -> None:
        self._folder, self._end = folder, end
        self._losses: list[dict[str, Tensor]] = []
        self._since, self._since_step = time.monotonic(), first

    def add(self, losses: Mapping[str, Tensor]) -> None:
        # read only when they are told: reading waits for the device
        self._losses.append({name: loss.detach() for name, loss in losses.items()})

    def tell(self, step: int) -> None:
        """Write a line, show it, and start anew."""
        means = self._means()
        rate = (step - self._since_step) / (time.monotonic() - self._since)
        self._losses, self._since, self._since_step = [], time.monotonic(), step
        line = {"step": step, "steps_per_second": round(rate, 4), **{k: round(v, 5) for k, v in means.items()}}
        with (self._folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        minutes = (self._end - step) / rate / 60
        shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        print(f"step {step}/{self._end}  {shown}  {rate:.2f} steps/s  {minutes:.0f} min left", flush=True)  # noqa: T201

    def _means(self) -> dict[str, float]:
        values: dict[str, list[float]] = {}
        for losses in self._losses:
            for name, loss in losses.items():
                values.setdefault(name, []).append(float(loss))
        finite = {name: [value for value in found if math.isfinite(value)] for name, found in values.items()}
        return {name: sum(found) / len(found) for name, found in finite.items() if found}


def _state(stage: Stage, optimizers: list[torch.optim.Optimizer], schedule: Schedule, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "schedule": repr(schedule),
        "module": stage.module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }


def _save(state: Mapping[str, Any], folder: Path, accelerator: Accelerator) -> None:
    if accelerator.is_main_process:
        beside = folder / f"{_CHECKPOINT}.{os.getpid()}"
        torch.save(state, beside)
        beside.replace(folder / _CHECKPOINT)
    accelerator.wait_for_everyone()  # the next stage of any process may start from it


def _resumed(stage: Stage, optimizers: list[torch.optim.Optimizer], folder: Path, schedule: Schedule) -> int:
    path = folder / _CHECKPOINT
    if not path.exists():
        return 0
    # processes that share the weights share the file's memory too, each reading its part
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=is_sharded(stage.module))
    if state.get("schedule") != repr(schedule):
        raise ValueError(f"{path} was made by {state.get('schedule')}, not {schedule!r}; train into another folder")
    load_module(stage.module, state["module"])
    for optimizer, held in zip(optimizers, state["optimizers"], strict=True):
        load_optimizer(optimizer, held)
    return int(state["step"])


def leave_group() -> None:
    """Part from the other processes that train, if there are any: one that only ends may be torn down half-way."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def trained_weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder's last checkpoint by name, on the CPU.

    Raises:
        ValueError: there is none.
    """
    path = folder / _CHECKPOINT
    if not path.exists():
        raise ValueError(f"{path} is missing; run the stage {folder.name!r} first")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["module"]
    return weights


def keep_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors into `folder` for `trained_weights` to return; no training goes on from them."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"module": dict(weights)}, folder / _CHECKPOINT)
