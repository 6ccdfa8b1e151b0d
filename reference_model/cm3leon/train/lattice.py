"""Embeddings of lattice codes that learn together what they have in common.

A code of the lattice is a choice of a level for each channel. Its embedding is trained as a row of its own plus a row
for each of its levels, so that what is learnt of one code is learnt of all that share a level with it. In the finished
transformer the sums are the embeddings, and nothing of this is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cm3leon.transformer import Transformer


class SharedLevels(nn.Module):
    """Adds to the rows `(V, D)` of codes, of which the lattice's first is row `first`, those of their levels."""

    def __init__(self, levels: Sequence[int], first: int, rows: int, width: int) -> None:
        super().__init__()
        chosen = torch.cartesian_prod(*(torch.arange(count) for count in levels)).reshape(-1, len(levels))
        which = torch.cat([torch.eye(count)[column] for count, column in zip(levels, chosen.T, strict=True)], dim=1)
        self.which: Tensor
        self.register_buffer("which", torch.zeros(rows, sum(levels)), persistent=False)
        self.which[first : first + len(which)] = which
        self.weight = nn.Parameter(torch.zeros(sum(levels), width))

    def forward(self, rows: Tensor) -> Tensor:
        """Return `(V, D)`."""
        return rows + self.which.to(rows.dtype) @ self.weight


def share_levels(transformer: Transformer, levels: Sequence[int], first: int) -> None:
    """Have the embeddings of a lattice's codes, from row `first` on, learn together, until `settle_levels`."""
    rows, width = transformer.embed_tokens.weight.shape
    parametrize.register_parametrization(transformer.embed_tokens, "weight", SharedLevels(levels, first, rows, width))


def are_shared(weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights by name are those of a transformer whose levels are shared."""
    return "embed_tokens.parametrizations.weight.original" in weights


def settle_levels(transformer: Transformer) -> None:
    """Make the sums the embeddings, where levels are shared."""
    if parametrize.is_parametrized(transformer.embed_tokens):
        parametrize.remove_parametrizations(transformer.embed_tokens, "weight")
