"""Embeddings of lattice codes that learn together what they have in common.

A code of the lattice is a choice of a level for each channel. Its embedding is trained as a row of its own plus a row
for each of its levels, and for its palette and its geometry where it has them, so that what is learnt of one code is
learnt of all that share a part with it. In the finished transformer the sums are the embeddings, and nothing of this is
left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cm3leon.config import ImageTokenizerConfig
from cm3leon.transformer import Transformer


class SharedLevels(nn.Module):
    """Adds to the rows `(V, D)` of codes, of which the lattice's first is row `first`, those of their parts."""

    def __init__(self, image: ImageTokenizerConfig, first: int, rows: int, width: int) -> None:
        super().__init__()
        which = torch.cat([_chosen(image.levels, part) for part in _parts(image)], dim=1)
        self.which: Tensor
        self.register_buffer("which", torch.zeros(rows, which.shape[1]), persistent=False)
        self.which[first : first + len(which)] = which
        self.weight = nn.Parameter(torch.zeros(which.shape[1], width))

    def forward(self, rows: Tensor) -> Tensor:
        """Return `(V, D)`."""
        return rows + self.which.to(rows.dtype) @ self.weight


def _parts(image: ImageTokenizerConfig) -> list[range]:
    """Return the channels of each part of a code: each alone, and those of the palette and of the geometry."""
    count = len(image.levels)
    parts = [range(channel, channel + 1) for channel in range(count)]
    if image.palette:
        parts += [range(image.palette), range(image.palette, count)]
    return parts


def _chosen(levels: tuple[int, ...], part: range) -> Tensor:
    """Return which of its values the part has in each code, `(codes, values)` of 0 and 1."""
    before, values = math.prod(levels[: part.start]), math.prod(levels[part.start : part.stop])
    after = math.prod(levels[part.stop :])
    return torch.eye(values).repeat_interleave(after, dim=0).repeat(before, 1)


def share_levels(transformer: Transformer, image: ImageTokenizerConfig, first: int) -> None:
    """Have the embeddings of a lattice's codes, from row `first` on, learn together, until `settle_levels`."""
    rows, width = transformer.embed_tokens.weight.shape
    parametrize.register_parametrization(transformer.embed_tokens, "weight", SharedLevels(image, first, rows, width))


def are_shared(weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights by name are those of a transformer whose levels are shared."""
    return "embed_tokens.parametrizations.weight.original" in weights


def settle_levels(transformer: Transformer) -> None:
    """Make the sums the embeddings, where levels are shared."""
    if parametrize.is_parametrized(transformer.embed_tokens):
        parametrize.remove_parametrizations(transformer.embed_tokens, "weight")
