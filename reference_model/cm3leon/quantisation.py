"""The precisions of a loaded transformer, among them weights as whole numbers of eight bits.

Those are half the bytes of bfloat16, and bytes are what a token costs on a GPU. Each row of a matrix has a scale of its
own, the largest of its numbers over 127, and nothing is added: symmetric, no calibration. Embeddings, head and norms
keep their dtype. On a CPU they save no time, and `packed` makes plain weights of them.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Precision = Literal["fp32", "bf16", "fp16", "int8"]
"""What weights are held as; beside those of `int8`, the others and all activations are bfloat16."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.bfloat16}
_MOST_ROWS = 64
"""Rows up to which reading the weights is what a product costs on a GPU."""


class Int8Linear(nn.Module):
    """A linear map without bias, of weights `(O, D)` int8 and scales `(O,)` float32."""

    weight: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor, scales: Tensor, dtype: torch.dtype = torch.float32) -> None:
        """`dtype` is that of what comes in."""
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scales", scales)
        self._dtype = dtype

    @property
    def plain(self) -> Tensor:
        """The weights `(O, D)` as numbers of the dtype of what comes in."""
        return (self.weight * self.scales[:, None]).to(self._dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(..., O)` of `(..., D)`."""
        if x.device.type == "cuda" and x.numel() // x.shape[-1] <= _MOST_ROWS:
            from cm3leon.kernels import multiplied  # Triton is there only beside a GPU

            return multiplied(x.flatten(0, -2), self.weight, self.scales).view(*x.shape[:-1], -1)
        return (F.linear(x, self.weight.to(x.dtype)) * self.scales).to(x.dtype)


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 weights `(O, D)` and their scales `(O,)`: no number is off by more than half a scale.

    >>> rounded(torch.tensor([[1.27, -0.5]]))[0].tolist()
    [[127, -50]]
    """
    wide = weight.float()
    scales = (wide.abs().amax(1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
    return (wide / scales[:, None]).round().to(torch.int8), scales


def dtype_of(precision: Precision) -> torch.dtype:
    """Return the dtype that weights are loaded as, before `quantise` if it is `int8`."""
    return _DTYPES[precision]


@torch.no_grad()
def quantise(module: nn.Module) -> None:
    """Put an `Int8Linear` in the place of every linear map of `module` but the head, one after the other."""
    for name, child in list(module.named_children()):
        if not isinstance(child, nn.Linear):
            quantise(child)
        elif name != "lm_head":
            setattr(module, name, Int8Linear(*rounded(child.weight), child.weight.dtype))


def precision_of(module: nn.Module) -> str:
    """Return the dtypes of a module's tensors, sorted, as its identity names them: `bfloat16`, `bfloat16 int8`."""
    whole = any(isinstance(part, Int8Linear) for part in module.modules())
    dtypes = {str(weight.dtype).removeprefix("torch.") for weight in module.parameters()}
    return " ".join(sorted(dtypes | ({"int8"} if whole else set())))
