"""Answers to prompts: one batched loop that writes picture codes or words, all guidance streams in one forward pass.

An answer does not depend on what else is asked, nor on the order, to the last bit: the shapes of every forward pass are
fixed by the request alone (a prompt is filled up to a multiple of 32 tokens behind its end, a batch to `ROWS` rows),
and each row's noise is drawn on the CPU from its own seed. Prompts of different filled lengths never share a batch.

Shapes: B rows, each with G streams (guided, and what guidance is against); P filled length of prompts, N new tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cm3leon.decoding import Rows, Sampling, guided, guided_by_image_and_text, sample
from cm3leon.places import PlaceTable, Walk, walked
from cm3leon.transformer import KeyValues, Places, Transformer

ROWS = 16
"""Rows of a batch; one that holds fewer is filled up."""
_FILLED_TO = 32


@dataclass(frozen=True, slots=True)
class Prompt:
    """One answer to be written.

    `streams` are the ids of one to three prompts: the wish itself; the wish without its text; and the wish without its
    source picture either. `weights` holds the guidance against the second (one weight), or towards the picture and the
    text (two). `admissible` names what may be written: see `Generator`.
    """

    streams: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]
    sampling: Sampling
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.streams) <= 3 or not all(self.streams):
            raise ValueError(f"a prompt has one to three streams, none empty, not {len(self.streams)}")
        if len(self.weights) != len(self.streams) - 1:
            raise ValueError(f"{len(self.streams)} streams need {len(self.streams) - 1} weights, not {self.weights}")


@dataclass(frozen=True, slots=True)
class _Batch:
    """Prompts that share every shape; `rows` are those asked, the rest of the `ROWS` being copies of the first."""

    prompts: tuple[Prompt, ...]
    length: int

    @property
    def streams(self) -> int:
        return len(self.prompts[0].streams)


class Generator:
    """Writes pictures and words with one transformer."""

    def __init__(self, transformer: Transformer, table: PlaceTable, codes: Sequence[int], end: int) -> None:
        """`codes` are the ids of picture codes in order, `end` is the id that ends words."""
        self._transformer = transformer.eval()
        self._table = table
        self._codes = torch.tensor(list(codes))
        self._words = torch.tensor([i for i, kind in enumerate(table.kinds.tolist()) if kind == 0 or i == end])
        self._end = end

    def pictures(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, list[int]]]:
        """Yield each prompt's position and the codes, `cells` of them, that it is answered with.

        Raises:
            ValueError: a prompt with its picture does not fit into the transformer's context.
        """
        for positions, batch in self._batches(prompts, self._table.cells):
            codes = self._written(batch, self._codes, self._table.cells, end=None)
            yield from zip(positions, codes, strict=False)

    def words(self, prompts: Sequence[Prompt], longest: int) -> Iterator[tuple[int, list[int], bool]]:
        """Yield each prompt's position, the ids of at most `longest` pieces of text, and whether they came to an end.

        Raises:
            ValueError: a prompt with its words does not fit into the transformer's context.
        """
        end = int((self._words == self._end).nonzero())
        for positions, batch in self._batches(prompts, longest):
            for position, row in zip(positions, self._written(batch, self._words, longest, end), strict=False):
                ended = end in row
                kept = row[: row.index(end)] if ended else row
                yield position, [int(self._words[choice]) for choice in kept], ended

    def _batches(self, prompts: Sequence[Prompt], new: int) -> Iterator[tuple[list[int], _Batch]]:
        groups: dict[tuple[int, int], list[int]] = {}
        for position, prompt in enumerate(prompts):
            longest = max(len(stream) for stream in prompt.streams)
            length = -(-longest // _FILLED_TO) * _FILLED_TO
            if length + new > self._transformer.config.context:
                context = self._transformer.config.context
                raise ValueError(
                    f"a prompt of {longest} tokens and {new} new ones do not fit into {context}; shorten it"
                )
            groups.setdefault((length, len(prompt.streams)), []).append(position)
        for (length, _), positions in groups.items():
            for first in range(0, len(positions), ROWS):
                asked = positions[first : first + ROWS]
                filled = [prompts[position] for position in asked]
                yield asked, _Batch((*filled, *filled[:1] * (ROWS - len(filled))), length)

    @torch.inference_mode()
    def _written(self, batch: _Batch, admissible: Tensor, new: int, end: int | None) -> list[list[int]]:
        """Return for each row what was chosen among `admissible`, by place in it."""
        device = self._transformer.head.device
        head = self._transformer.head[admissible.to(device)]  # (V, D): the other rows can never be chosen
        rows = Rows.of([prompt.sampling for prompt in batch.prompts])
        noise = torch.stack([_noise(prompt.seed, new) for prompt in batch.prompts])  # (B, N)
        weights = torch.tensor([prompt.weights for prompt in batch.prompts], dtype=torch.float64).T  # (G - 1, B)
        run = _Run(self._transformer, self._table, batch, new)
        hidden = run.read()
        chosen: list[Tensor] = []
        ended = torch.zeros(ROWS, dtype=torch.bool)
        for step in range(new):
            logits = F.linear(hidden, head).double().cpu().view(batch.streams, ROWS, -1)  # (G, B, V)
            ids = sample(_scores(logits, weights, rows), noise[:, step])
            chosen.append(ids)
            ended |= ids == (-1 if end is None else end)
            if bool(ended.all()) or step + 1 == new:
                break
            hidden = run.write(admissible[ids])
        return torch.stack(chosen, dim=1).tolist()


def _noise(seed: int, count: int) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed % 2**63), dtype=torch.float64)


def _scores(logits: Tensor, weights: Tensor, rows: Rows) -> Tensor:
    """Return what to choose from, `(B, V)`, of the logits `(G, B, V)` of all streams."""
    if len(logits) == 1:
        return rows.scores(logits[0], logits[0], torch.zeros_like(logits[0]))
    if len(logits) == 2:
        return rows.scores(guided(logits[1], logits[0], weights[0]), logits[0], logits[1])
    both = guided_by_image_and_text(logits[2], logits[1], logits[0], weights[0], weights[1])
    return rows.scores(both, logits[0], logits[1])


class _Run:
    """One batch on its way through the transformer: G times B sequences with a cache of fixed length."""

    def __init__(self, transformer: Transformer, table: PlaceTable, batch: _Batch, new: int) -> None:
        self._transformer = transformer
        device = transformer.head.device
        sequences = [prompt.streams[stream] for stream in range(batch.streams) for prompt in batch.prompts]
        self._length, self._whole = batch.length, batch.length + new
        self._lengths = torch.tensor([len(ids) for ids in sequences], device=device)
        ids = torch.full((len(sequences), batch.length), table.pad)
        places = torch.zeros(3, len(sequences), batch.length, dtype=torch.long)
        self._walks: list[Walk] = []
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence)
            walk, steps = walked(table, sequence)
            places[:, row, : len(sequence)] = torch.tensor(steps).T
            self._walks.append(walk)
        self._ids, self._places = ids.to(device), places.to(device)
        self._caches: list[KeyValues] = transformer.caches(len(sequences), self._whole)
        self._written = 0
        # a token sees the prompt's own tokens and the written ones, not what fills the gap between the two
        gap = torch.arange(self._whole, device=device) >= self._lengths[:, None]
        gap &= torch.arange(self._whole, device=device) < batch.length
        self._hidden_keys = gap

    def read(self) -> Tensor:
        """Return the last layer's output `(G B, D)` at each prompt's last token."""
        steps = torch.arange(self._length, device=self._ids.device)
        late = torch.arange(self._whole, device=self._ids.device) > steps[:, None]  # (P, P + N)
        bias = torch.zeros(late.shape, device=self._ids.device).masked_fill(late, -torch.inf)[None, None]
        places = Places(steps.expand_as(self._ids), *self._places)
        hidden = self._transformer.hidden(self._ids, places, bias.to(self._dtype), self._caches, steps)
        return hidden[torch.arange(len(hidden), device=hidden.device), self._lengths - 1]

    def write(self, tokens: Tensor) -> Tensor:
        """Return the last layer's output `(G B, D)` behind `tokens` `(B,)`, written to every stream of their rows."""
        device = self._ids.device
        ids = tokens.repeat(len(self._walks) // len(tokens))
        steps = [walk.next(token) for walk, token in zip(self._walks, ids.tolist(), strict=True)]
        offset, segment, cell = torch.tensor(steps, device=device).T[:, :, None]
        at = torch.tensor([self._length + self._written], device=device)
        late = torch.arange(self._whole, device=device) > at
        bias = torch.zeros(self._hidden_keys.shape, device=device, dtype=self._dtype)
        bias = bias.masked_fill(self._hidden_keys | late, -torch.inf)[:, None, None]
        places = Places((self._lengths + self._written)[:, None], offset, segment, cell)
        self._written += 1
        return self._transformer.hidden(ids.to(device)[:, None], places, bias, self._caches, at)[:, 0]

    @property
    def _dtype(self) -> torch.dtype:
        return self._transformer.head.dtype
