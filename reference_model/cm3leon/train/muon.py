"""Muon for the weights of convolutions, each of which is a matrix from what it reads to what it writes.

Source: Jordan et al. 2024 (torch.optim.Muon, which takes matrices alone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


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
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the weights' gradients."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None
