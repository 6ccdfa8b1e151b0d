"""The stages that train the transformer: pre-training on pairs with the CM3 objective, and fine-tuning on every job.

Matrices inside the layers are trained by Muon (orthogonalised momentum), the rest by AdamW; the paper trains all by
AdamW. Weights are kept in 32 bits and computed with in bfloat16.

Source: CM3leon, arXiv:2309.02591, sections 2.3 and 4; Muon: Jordan et al. 2024 (torch.optim.Muon).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from cm3leon.places import PlaceTable
from cm3leon.train.mixture import Example, Mixture
from cm3leon.transformer import Places, Transformer

IMAGE_LOSS, TEXT_LOSS = "image", "text"


@dataclass(frozen=True, slots=True)
class LanguageRecipe:
    """What decides the trained weights, besides the schedule and the mixture."""

    documents: int = 96
    """Documents a step."""
    groups: int = 4
    """Rows of like length that a step's documents are padded in."""
    muon_rate: float = 4.0
    """Muon's rate as a multiple of AdamW's."""
    weight_decay: float = 0.02


class LanguageStage:
    """Trains a transformer on a mixture of documents."""

    def __init__(
        self, transformer: Transformer, mixture: Mixture, table: PlaceTable, recipe: LanguageRecipe, device: str = "cpu"
    ) -> None:
        self._transformer = transformer.to(device)
        self._mixture, self._table, self._recipe = mixture, table, recipe

    @property
    def module(self) -> nn.Module:
        """The transformer."""
        return self._transformer

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Return Muon for the layers' matrices and AdamW for embeddings, norms and an untied head."""
        matrices = [weight for weight in self._transformer.layers.parameters() if weight.ndim == 2]
        inside = {id(weight) for weight in matrices}
        others = [weight for weight in self._transformer.parameters() if id(weight) not in inside]
        return [
            torch.optim.Muon(
                matrices, rate * self._recipe.muon_rate, weight_decay=self._recipe.weight_decay, momentum=0.95
            ),
            torch.optim.AdamW(others, rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]

    def losses(self, step: int) -> Mapping[str, Tensor]:
        """Return the weighted cross-entropy of the step's documents, and its means over codes and over words."""
        count = self._recipe.documents
        examples = [self._mixture.example(number) for number in range(step * count, (step + 1) * count)]
        examples.sort(key=lambda example: len(example.ids))
        rows = -(-count // self._recipe.groups)
        weights = {name: weight.bfloat16() for name, weight in self._transformer.named_parameters()}
        sums = [self._group(examples[i : i + rows], weights) for i in range(0, count, rows)]
        loss, total, code_loss, codes, word_loss, words = (torch.stack(part).sum() for part in zip(*sums, strict=True))
        return {"loss": loss / total, IMAGE_LOSS: code_loss / codes, TEXT_LOSS: word_loss / words}

    def _group(self, examples: list[Example], weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        device = self._transformer.embed_tokens.weight.device
        ids, weight, places = padded(examples, self._table)
        inputs = Places(
            *(part[:, :-1].to(device) for part in (places.index, places.offset, places.segment, places.cell))
        )
        ids, weight = ids.to(device), weight[:, 1:].flatten().to(device)
        hidden = functional_call(self._transformer, (dict(weights), {}), (ids[:, :-1], inputs))
        targets = ids[:, 1:].flatten()
        losses = F.cross_entropy(hidden.flatten(0, 1).float(), targets, reduction="none")
        code = torch.from_numpy(self._table.kinds == 1).to(device)[targets] & (weight > 0)
        word = (weight > 0) & ~code
        plain = losses.detach()
        return (
            (losses * weight).sum(),
            weight.sum(),
            plain[code].sum(),
            code.sum(),
            plain[word].sum(),
            word.sum(),
        )

    def after(self, step: int) -> None:
        """Do nothing more."""


def padded(examples: list[Example], table: PlaceTable) -> tuple[Tensor, Tensor, Places]:
    """Return ids `(B, T)`, weights `(B, T)` and places of documents, padded behind with ids that nothing is asked of.

    Causal attention lets no token see what stands behind it, so no mask is needed.
    """
    length = max(len(example.ids) for example in examples)
    ids = np.full((len(examples), length), table.pad, np.int64)
    weights = np.zeros((len(examples), length), np.float32)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
        weights[row, : len(example.ids)] = example.weights
    offset, segment, cell = (torch.from_numpy(part) for part in table.of(ids))
    index = torch.arange(length).expand(len(examples), length)
    return torch.from_numpy(ids), torch.from_numpy(weights), Places(index, offset, segment, cell)
