"""Weights as whole numbers of eight bits: half the bytes of bfloat16, which is what a token costs on a GPU.

Each row of a matrix has a scale of its own, the largest of its numbers over 127, and nothing is added: symmetric, no
calibration. Embeddings, head and norms keep their dtype.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MOST_ROWS = 64
"""Rows up to which reading the weights is what a product costs on a GPU."""


class Int8Linear(nn.Module):
    """A linear map without bias, of weights `(O, D)` int8 and scales `(O,)` float32."""

    weight: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor, scales: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scales", scales)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(..., O)` of `(..., D)`."""
        if x.device.type == "cuda" and x.numel() // x.shape[-1] <= _MOST_ROWS:
            from cm3leon.kernels import multiplied  # Triton is there only beside a GPU

            return multiplied(x.flatten(0, -2), self.weight, self.scales).unflatten(0, x.shape[:-1])
        return (F.linear(x, self.weight.to(x.dtype)) * self.scales).to(x.dtype)


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 weights `(O, D)` and their scales `(O,)`: no number is off by more than half a scale.

    >>> rounded(torch.tensor([[1.27, -0.5]]))[0].tolist()
    [[127, -50]]
    """
    wide = weight.float()
    scales = (wide.abs().amax(1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
    return (wide / scales[:, None]).round().to(torch.int8), scales


@torch.no_grad()
def quantise(module: nn.Module) -> None:
    """Put an `Int8Linear` in the place of every linear map of `module`'s layers, one after the other."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and name != "lm_head":
                setattr(parent, name, Int8Linear(*rounded(child.weight.detach())))
