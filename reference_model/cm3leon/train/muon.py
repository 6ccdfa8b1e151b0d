"""Muon for the weights of convolutions, each a matrix from what it reads to what it writes, for sharded matrices, and
for those of a GPU, which takes all of one shape at once.

Source: Jordan et al. 2024 (torch.optim.Muon, which takes matrices alone).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from cm3leon.train.sharding import part_of


class ConvolutionMuon(torch.optim.Muon):
    """Trains weights `(C_out, C_in, ...)` as matrices `(C_out, C_in * ...)` that share their memory."""

    def __init__(self, weights: Iterable[Tensor], rate: float, weight_decay: float = 0.0) -> None:
        self._weights = list(weights)
        matrices = [nn.Parameter(weight.detach().view(len(weight), -1)) for weight in self._weights]
        super().__init__(matrices, rate, weight_decay=weight_decay, momentum=0.95)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401 (as in torch)
        """Move the weights by their gradients."""
        for weight, matrix in zip(self._weights, self.param_groups[0]["params"], strict=True):
            matrix.grad = None if weight.grad is None else weight.grad.reshape_as(matrix)
        return super().step(closure)  # type: ignore[no-untyped-call]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the weights' gradients."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None


class StackedMuon(torch.optim.Muon):
    """Trains matrices as Muon does, but for rounding, those of one shape together: a GPU would wait for its host."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401 (as in torch)
        """Move the weights by their gradients."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(weight.shape, []).append(weight)
            for weights in alike.values():
                self._move(weights, group)
        return loss

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        for weight in weights:
            if "momentum_buffer" not in self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        means = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_lerp_(means, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, means, group["momentum"]) if group["nesterov"] else means
        moves = _orthogonal(torch.stack(ahead), group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = weights[0].shape
        rate = group["lr"] * math.sqrt(max(1, rows / columns))
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, list(moves.float().unbind()), alpha=-rate)


def _orthogonal(matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Return the nearest orthogonal matrices of `(K, M, N)`, about, in bfloat16: Newton-Schulz as Muon has it."""
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class ShardedMuon(torch.optim.Muon):
    """Trains sharded matrices as Muon trains whole ones, to the bit: each is gathered for its own step, one at a time.

    torch's Muon takes parts as well, but sums them in bfloat16 in another order, which its iteration makes much of.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401 (as in torch)
        """Move the weights by their gradients; all processes must take part."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)
        return loss

    def _move(self, weight: DTensor, group: dict[str, Any]) -> None:
        matrix, gradient = nn.Parameter(weight.full_tensor()), weight.grad
        if not isinstance(gradient, DTensor):
            raise TypeError(f"a sharded weight has a gradient of type {type(gradient).__name__}, which is not sharded")
        matrix.grad = gradient.full_tensor()
        one = torch.optim.Muon([{**group, "params": [matrix]}])
        if weight in self.state:
            one.state[matrix]["momentum_buffer"] = self.state[weight]["momentum_buffer"].full_tensor()
        one.step()  # type: ignore[no-untyped-call]
        weight.copy_(part_of(matrix.detach(), weight))
        self.state[weight]["momentum_buffer"] = part_of(one.state[matrix]["momentum_buffer"], weight)
