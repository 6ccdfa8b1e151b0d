"""Training of what fits no one device: each of W processes holds a W-th of every weight and of its optimizer's state.

A layer's weights are gathered in bfloat16 when its turn comes and are let go after it; gradients are averaged in 32
bits, a part for each process. Checkpoints hold whole tensors, so that any number of processes, sharded or not, goes on
from them.

Source: Zhao et al. 2023, arXiv:2304.11277; torch.distributed.fsdp.fully_shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

M = TypeVar("M", bound=nn.Module)


def sharded(module: M, layers: Iterable[nn.Module], weights: Callable[[], Mapping[str, Tensor]]) -> M:
    """Return `module`, built on torch's device `meta`, with this process's part of `weights` on its device.

    `layers` are those of its parts that are gathered one at a time. The main process alone calls `weights`.

    Raises:
        ValueError: `torchrun` did not start this process.
    """
    if not torch.distributed.is_torchelastic_launched():
        raise ValueError("sharded training takes several processes; start it with torchrun --nproc-per-node N")
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in layers:
        if accelerator.device.type == "cuda":
            layer.compile(dynamic=True)
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    module.to_empty(device=accelerator.device)
    whole = weights() if accelerator.is_main_process else {}
    for name, part in module.state_dict().items():
        held = whole[name] if accelerator.is_main_process else torch.empty(part.shape, dtype=part.dtype)
        part.copy_(distribute_tensor(held.detach(), mesh, part.placements))
    return module


def is_sharded(module: nn.Module) -> bool:
    """Return whether `sharded` made the module: it then computes in bfloat16, and its processes share its weights."""
    return isinstance(module, FSDPModule)


def gathered(state: Any) -> Any:  # noqa: ANN401 (what torch.save takes)
    """Return `state` with whole tensors on the CPU in the place of parts; all processes must take part.

    But for the main process, None stands there instead. What is not sharded stays as it is.
    """
    if isinstance(state, DTensor):
        whole = state.full_tensor()
        return whole.cpu() if state.device_mesh.get_rank() == 0 else None
    if isinstance(state, dict):
        return {name: gathered(held) for name, held in state.items()}
    return [gathered(held) for held in state] if isinstance(state, list) else state


def norm_of(gradient: Tensor) -> Tensor:
    """Return a norm of gradients, summed over the processes where these are sharded."""
    return gradient.full_tensor() if isinstance(gradient, DTensor) else gradient


def load_module(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load whole tensors by name, or this process's part of each, strictly."""
    own = module.state_dict()
    module.load_state_dict({name: part_of(whole, own.get(name)) for name, whole in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load an optimizer's whole state, or this process's part of it."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    parts = {
        place: {name: part_of(held, weights[place]) for name, held in parts.items()}
        for place, parts in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": parts})


def part_of(whole: Tensor, like: Tensor | None) -> Tensor:
    """Return a copy of this process's part of `whole` where `like` is sharded and of its shape, else `whole`."""
    if not isinstance(like, DTensor) or whole.shape != like.shape:
        return whole
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None).clone()
