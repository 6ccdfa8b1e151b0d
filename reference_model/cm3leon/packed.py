"""Linear maps whose weights lie in memory as oneDNN reads them: more than twice as fast on CPUs, in any precision.

torch multiplies float32 by MKL, which packs the weights anew each time, and on AMD's processors leaves half of their
vector unit idle.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from cm3leon.quantisation import Int8Linear

_Module = TypeVar("_Module", bound=nn.Module)
_DTYPES = (torch.float32, torch.bfloat16)
_LEAST = 2**16
"""Weights from which on packing them pays."""


class PackedLinear(nn.Module):
    """A linear map without bias, of weights that were `(O, D)`."""

    def __init__(self, weight: Tensor, rows: int) -> None:
        """`rows` of input are what the layout is best for; any number works."""
        super().__init__()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(..., O)` of `(..., D)`."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, None, "none", [], "")
        return found


def can_pack(weight: Tensor) -> bool:
    """Return whether a matrix of this dtype, on this device, is multiplied faster when it is packed."""
    here = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not here or weight.dtype not in _DTYPES or weight.numel() < _LEAST:
        return False
    # older CPUs have no instructions for bfloat16, and oneDNN then refuses it
    return weight.dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def linear(weight: Tensor, rows: int) -> nn.Module:
    """Return the fastest linear map without bias that there is for weights `(O, D)`."""
    if can_pack(weight):
        return PackedLinear(weight, rows)
    plain = nn.Linear(1, 1, bias=False, device="meta")
    plain.weight = nn.Parameter(weight, requires_grad=False)
    return plain


@torch.no_grad()
def packed(module: _Module, rows: int) -> _Module:
    """Return a twin of `module`, for inference alone, whose linear maps are packed where that is faster.

    Whatever is not packed is shared with `module`, which stays as it is.
    """
    twin = copy.copy(module)
    children = {name: _packed_child(name, child, rows) for name, child in module.named_children()}
    twin.__dict__["_modules"] = {**module._modules, **children}
    return twin


def _packed_child(name: str, child: nn.Module, rows: int) -> nn.Module:
    if isinstance(child, Int8Linear) and child.weight.device.type == "cpu":
        return linear(child.plain, rows)
    if isinstance(child, nn.Linear) and name != "lm_head" and can_pack(child.weight):
        return linear(child.weight, rows)
    return packed(child, rows)
