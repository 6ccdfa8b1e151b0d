"""The stages that train the transformer: pre-training on pairs with the CM3 objective, and fine-tuning on every job.

Matrices inside the layers are trained by Muon (orthogonalised momentum), the rest by AdamW; the paper trains all by
AdamW. Weights are kept in 32 bits and computed with in bfloat16.

Source: CM3leon, arXiv:2309.02591, sections 2.3 and 4; Muon: Jordan et al. 2024 (torch.optim.Muon).
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from cm3leon.places import PlaceTable
from cm3leon.train.loop import Batch
from cm3leon.train.mixture import Example, Mixture
from cm3leon.train.muon import ShardedMuon, StackedMuon
from cm3leon.train.sharding import is_sharded
from cm3leon.transformer import Places, Transformer

IMAGE_LOSS, TEXT_LOSS = "image", "text"
_DOCUMENT = "document"
_FEWEST = 2
"""Rows of a batch at least: a compiled graph takes any number but one."""
_PARTS = ("ids", "asked", "targets", "weights", "index", "offset", "segment", "cell")


@dataclass(frozen=True, slots=True)
class LanguageRecipe:
    """What decides the trained weights, besides the schedule and the mixture."""

    documents: int = 96
    """Documents a step."""
    rows: tuple[int, ...] | None = None
    """Tokens a row, ascending: documents are packed into rows of the first length that they fit into. None is as many
    as the longest of each of `groups` of like length has."""
    groups: int = 4
    muon_rate: float = 4.0
    """Muon's rate as a multiple of AdamW's; 0 trains all by AdamW."""
    weight_decay: float = 0.02
    shared_levels: bool = False
    """Whether embeddings of codes learn together what they have in common (`lattice`); a sharded run does without."""


class LanguageStage:
    """Trains a transformer on a mixture of documents."""

    def __init__(
        self, transformer: Transformer, mixture: Mixture, table: PlaceTable, recipe: LanguageRecipe, device: str = "cpu"
    ) -> None:
        self._transformer = transformer.to(device)
        self._mixture, self._table, self._recipe = mixture, table, recipe
        self._codes = torch.from_numpy(table.kinds == 1).to(device)
        # a sharded transformer's layers are compiled one by one
        eager = device == "cpu" or is_sharded(transformer)
        self._sums = self._summed if eager else torch.compile(self._summed, dynamic=True)

    @property
    def module(self) -> nn.Module:
        """The transformer."""
        return self._transformer

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Return Muon, or AdamW too, for the layers' matrices, and AdamW for embeddings, norms and an untied head."""
        decay = self._recipe.weight_decay
        matrices = [weight for weight in self._transformer.layers.parameters() if weight.ndim == 2]
        inside = {id(weight) for weight in matrices}
        others = [weight for weight in self._transformer.parameters() if id(weight) not in inside]
        groups = [{"params": others, "weight_decay": 0.0}]
        if not self._recipe.muon_rate:
            groups.append({"params": matrices, "weight_decay": decay})
        adam = torch.optim.AdamW(groups, rate, betas=(0.9, 0.95))
        if not self._recipe.muon_rate:
            return [adam]
        kind = torch.optim.Muon if self._codes.device.type == "cpu" else StackedMuon
        kind = ShardedMuon if is_sharded(self._transformer) else kind
        return [kind(matrices, rate * self._recipe.muon_rate, weight_decay=decay, momentum=0.95), adam]

    def batch(self, number: int) -> Batch:
        """Return the step's documents packed into rows: what `packed` returns, behind each group's number."""
        recipe = self._recipe
        first = number * recipe.documents
        examples = [self._mixture.example(place) for place in range(first, first + recipe.documents)]
        groups = _by_length(examples, recipe.rows) if recipe.rows else _alike(examples, recipe.groups)
        rows = [packed(group, self._table, length) for length, group in groups.items()]
        return {f"{group} {name}": part for group, row in enumerate(rows) for name, part in row.items()}

    def losses(self, step: int, batch: Batch) -> Mapping[str, Tensor]:
        """Return the weighted cross-entropy of a batch's documents, and its means over codes and over words."""
        # a sharded transformer narrows its weights itself
        parameters = {} if is_sharded(self._transformer) else dict(self._transformer.named_parameters())
        groups = sorted({name.split()[0] for name in batch})
        sums = [
            self._sums(parameters, batch.get(f"{group} {_DOCUMENT}"), *(batch[f"{group} {name}"] for name in _PARTS))
            for group in groups
        ]
        loss, total, code_loss, codes, word_loss, words = (torch.stack(part).sum() for part in zip(*sums, strict=True))
        return {"loss": loss / total, IMAGE_LOSS: code_loss / codes, TEXT_LOSS: word_loss / words}

    def _summed(
        self,
        parameters: Mapping[str, Tensor],
        document: Tensor | None,
        ids: Tensor,
        asked: Tensor,
        targets: Tensor,
        weights: Tensor,
        *places: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return the sums of weighted losses and weights, and of losses and counts of codes and of words."""
        narrow = {name: weight.bfloat16() for name, weight in parameters.items()}
        bias = None if document is None else _apart(document)
        stands = Places(*(part.long() for part in places))
        hidden = functional_call(self._transformer, narrow, (ids, stands, bias, asked))
        losses = F.cross_entropy(hidden.float(), targets, reduction="none")
        code, plain = self._codes[targets], losses.detach()
        return (
            (losses * weights).sum(),
            weights.sum(),
            (plain * code).sum(),
            code.sum(),
            (plain * ~code).sum(),
            (~code).sum(),
        )

    def after(self, step: int) -> None:
        """Do nothing more."""


def _by_length(examples: list[Example], rows: tuple[int, ...]) -> dict[int, list[Example]]:
    """Return documents by the length of the rows that they go into."""
    groups: dict[int, list[Example]] = {}
    for example in examples:
        place = min(bisect.bisect_left(rows, len(example.ids)), len(rows) - 1)
        groups.setdefault(rows[place], []).append(example)
    return groups


def _alike(examples: list[Example], groups: int) -> dict[int, list[Example]]:
    """Return about `groups` groups of documents of like length, by the longest's."""
    ordered = sorted(examples, key=lambda example: len(example.ids))
    size = -(-len(ordered) // groups)
    found: dict[int, list[Example]] = {}
    for first in range(0, len(ordered), size):
        group = ordered[first : first + size]
        found.setdefault(len(group[-1].ids), []).extend(group)
    return found


def _apart(document: Tensor) -> Tensor:
    """Return what is added to scores `(B, 1, T, T)` so that none of the documents `(B, T)` sees another."""
    steps = torch.arange(document.shape[1], device=document.device)
    seen = (document[:, :, None] == document[:, None, :]) & (steps[:, None] >= steps)
    bias = torch.zeros(seen.shape, dtype=torch.bfloat16, device=document.device)
    return bias.masked_fill(~seen, -torch.inf)[:, None]


def packed(examples: list[Example], table: PlaceTable, length: int) -> Batch:
    """Return documents in rows of `length` tokens, as few as best fit makes of them.

    All but the last three are `(R, length)`: `ids`; `document`, a number for each document of a row, so that none sees
    another, left out where no row has two; and the tokens' places, counted from each document's start. Of the K tokens
    that weigh, `asked` `(K,)` holds the places before them in the flattened rows, `targets` the tokens and `weights`
    their weights.

    Raises:
        ValueError: a document is longer than a row.
    """
    rows: list[list[Example]] = []
    free: list[tuple[int, int]] = []  # (tokens left, row), the fullest first
    for example in sorted(examples, key=lambda example: -len(example.ids)):
        need = len(example.ids)
        if need > length:
            raise ValueError(f"a document of {need} tokens does not fit into a row of {length}; give longer rows")
        found = bisect.bisect_left(free, (need, -1))
        left, row = free.pop(found) if found < len(free) else (length, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(example)
        bisect.insort(free, (left - need, row))
    return _filled(rows, table, length)


def _filled(rows: list[list[Example]], table: PlaceTable, length: int) -> Batch:
    shape = max(len(rows), _FEWEST), length
    ids, document = np.full(shape, table.pad, np.int64), np.full(shape, -1, np.int16)
    weights = np.zeros(shape, np.float32)
    places = [np.zeros(shape, np.int16) for _ in range(4)]
    for row, examples in enumerate(rows):
        start = 0
        for number, example in enumerate(examples):
            end = start + len(example.ids)
            ids[row, start:end] = example.ids
            weights[row, start : end - 1] = example.weights[1:]
            document[row, start:end] = number
            found = np.arange(end - start)[None], *table.of(ids[row : row + 1, start:end])
            for held, part in zip(places, found, strict=True):
                held[row, start:end] = part[0]
            start = end
    asked = np.flatnonzero(weights)
    parts = ids, asked, ids.ravel()[asked + 1], weights.ravel()[asked], *places
    batch = {name: torch.from_numpy(part) for name, part in zip(_PARTS, parts, strict=True)}
    # a kernel for causal attention does half of the work, and needs no mask
    return batch if document.max() <= 0 else batch | {_DOCUMENT: torch.from_numpy(document)}
