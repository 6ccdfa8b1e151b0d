"""Answers to prompts: one batched loop that writes picture codes or words, all guidance streams in one forward pass.

An answer does not depend on what else is asked, nor on the order, to the last bit: the shapes of every forward pass are
fixed by the request alone (a prompt is filled up to a multiple of 32 tokens behind its end, a batch to `ROWS` rows),
and each row's noise is drawn on the CPU from its own seed. Prompts of different filled lengths never share a batch.

A step from one token to the next asks nothing of the host: where tokens will stand is known before they are written,
and what they are stays on the device. So a GPU runs it as one CUDA graph.

Shapes: B rows, each with G streams (guided, and what guidance is against); P filled length of prompts, N new tokens.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch
from torch import Tensor

from cm3leon.decoding import Rows, Sampling, guided, guided_by_image_and_text
from cm3leon.packed import linear, packed
from cm3leon.places import Ints, PlaceTable
from cm3leon.transformer import Gap, KeyValues, Places, Transformer

ROWS = 16
"""Rows of a batch; one that holds fewer is filled up."""
_FILLED_TO = 32
_READ_IN = 16
"""On a CPU a token reads the cache up to a multiple of so many places behind its prompt."""
_WARM_UP = 3
"""Steps that a GPU takes before it records one."""
_ASKED_EVERY = 16
"""Steps after which a GPU is asked whether all words have ended; a CPU is asked at each."""


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
    """Prompts that share every shape, filled up to a fixed number of rows by copies of the first."""

    prompts: tuple[Prompt, ...]
    length: int

    @property
    def streams(self) -> int:
        return len(self.prompts[0].streams)


class Generator:
    """Writes pictures and words with one transformer."""

    def __init__(
        self, transformer: Transformer, table: PlaceTable, codes: Sequence[int], ends: Sequence[int], rows: int = ROWS
    ) -> None:
        """`codes` are the ids of picture codes in order, `ends` those that end words, `rows` the rows of a batch."""
        self._transformer = packed(transformer.eval(), 2 * rows)
        self._table = table
        self._codes = torch.tensor(list(codes))
        words = np.flatnonzero((table.kinds == 0) | np.isin(np.arange(len(table.kinds)), ends))
        self._words = torch.from_numpy(words)
        self._ends = tuple(np.flatnonzero(np.isin(words, ends)).tolist())
        self._rows = rows

    def pictures(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, list[int]]]:
        """Yield each prompt's position and the codes, `cells` of them, that it is answered with.

        Raises:
            ValueError: a prompt with its picture does not fit into the transformer's context, or the transformer
                returns no logits that can be drawn from.
        """
        for positions, batch in self._batches(prompts, self._table.cells):
            codes = self._written(batch, self._codes, self._table.cells, ends=())
            yield from zip(positions, codes, strict=False)

    def words(self, prompts: Sequence[Prompt], longest: int) -> Iterator[tuple[int, list[int], bool]]:
        """Yield each prompt's position, the ids of at most `longest` pieces of text, and whether they came to an end.

        Raises:
            ValueError: as `pictures`.
        """
        for positions, batch in self._batches(prompts, longest):
            for position, row in zip(positions, self._written(batch, self._words, longest, self._ends), strict=False):
                kept = list(takewhile(lambda choice: choice not in self._ends, row))
                yield position, [int(self._words[choice]) for choice in kept], len(kept) < len(row)

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
            for first in range(0, len(positions), self._rows):
                asked = positions[first : first + self._rows]
                filled = [prompts[position] for position in asked]
                yield asked, _Batch((*filled, *filled[:1] * (self._rows - len(filled))), length)

    @torch.inference_mode()
    def _written(self, batch: _Batch, admissible: Tensor, new: int, ends: Sequence[int]) -> list[list[int]]:
        """Return for each row what was chosen among `admissible`, by place in it, as `ends` are."""
        one = admissible[next(place for place in range(len(ends) + 1) if place not in ends)]
        run = _Run(self._transformer, self._table, batch, new, int(one))
        choice = _Choice(self._transformer, batch, admissible, new, ends)
        choice.choose(run.read())
        step = _fast(lambda: choice.choose(run.write(choice.tokens)), run.device)
        every = 1 if run.device.type == "cpu" else _ASKED_EVERY
        for written in range(1, new):
            if ends and written % every == 0 and choice.all_ended:
                break
            step()
        return choice.made()


def _fast(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Return what does the same as `step`: on a GPU its first calls warm up, and the others replay a CUDA graph."""
    if device.type != "cuda":
        return step
    calls, graph = 0, torch.cuda.CUDAGraph()

    def replayed() -> None:
        nonlocal calls
        calls += 1
        if calls <= _WARM_UP:
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                step()
            torch.cuda.current_stream(device).wait_stream(side)
            return
        if calls == _WARM_UP + 1:
            with torch.cuda.graph(graph):
                step()
        graph.replay()

    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return replayed


class _Choice:
    """What is chosen for each row, on the transformer's device."""

    def __init__(
        self, transformer: Transformer, batch: _Batch, admissible: Tensor, new: int, ends: Sequence[int]
    ) -> None:
        device = transformer.head.device
        self._streams, rows = batch.streams, len(batch.prompts)
        self._ends = tuple(ends)
        self._admissible = admissible.to(device)
        # (V, D): the other rows can never be chosen
        self._head = linear(transformer.head[self._admissible], rows * batch.streams)
        self._rows = Rows.of([prompt.sampling for prompt in batch.prompts], device)
        self._noise = torch.stack([_noise(prompt.seed, new) for prompt in batch.prompts]).to(device)  # (B, N)
        weights = torch.tensor([prompt.weights for prompt in batch.prompts], dtype=torch.float64)
        self._weights = weights.T.contiguous().to(device)  # (G - 1, B)
        # what is not written behind the first end reads as an end too
        self._chosen = torch.full((rows, new), ends[0] if ends else -1, device=device)
        self._ended = torch.zeros(rows, dtype=torch.bool, device=device)
        self._step = torch.zeros(1, dtype=torch.long, device=device)
        self.tokens = torch.zeros(rows, dtype=torch.long, device=device)
        """Ids `(B,)` of what was chosen last."""

    def choose(self, hidden: Tensor) -> None:
        """Choose each row's next token behind the last layer's output `(G B, D)`."""
        rows = len(self.tokens)
        logits = self._head(hidden).double().view(self._streams, rows, -1)  # (G, B, V)
        noise = self._noise.index_select(1, self._step)[:, 0]
        ids = self._rows.ids(_scores(logits, self._weights, self._rows), noise)
        self._chosen.index_copy_(1, self._step, ids[:, None])
        for end in self._ends:
            self._ended |= ids == end
        self.tokens.copy_(self._admissible[ids.clamp(max=len(self._admissible) - 1)])
        self._step += 1

    @property
    def all_ended(self) -> bool:
        """Whether every row has come to its end; waits for the device."""
        return bool(self._ended.all())

    def made(self) -> list[list[int]]:
        """Return each row's choices.

        Raises:
            ValueError: there was nothing to choose from.
        """
        chosen = self._chosen.tolist()
        for row, choices in enumerate(chosen):
            if max(choices) == len(self._admissible):
                raise ValueError(
                    f"row {row} holds NaN or +inf at its token {choices.index(len(self._admissible))}, or leaves no id "
                    "to draw; see what the model returned for it"
                )
        return chosen


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

    def __init__(
        self, transformer: Transformer, table: PlaceTable, batch: _Batch, new: int, written: int | None = None
    ) -> None:
        """`written` is any of the ids that will be written: they stand at the same places, whichever they are."""
        self._transformer = transformer
        self.device = device = transformer.head.device
        sequences = [prompt.streams[stream] for stream in range(batch.streams) for prompt in batch.prompts]
        self._length = batch.length
        lengths = np.array([len(ids) for ids in sequences])
        ids, places = _laid_out(sequences, table, batch.length, new, written)
        self._ids, self._lengths = torch.from_numpy(ids[:, : batch.length]).to(device), torch.from_numpy(lengths)
        self._places = torch.from_numpy(places[:, :, : batch.length]).to(device)  # (4, G B, P)
        behind = lengths[None, :, None] + np.arange(new)
        self._later = torch.from_numpy(np.take_along_axis(places, behind, 2)).to(device)  # (4, G B, N)
        self._caches: list[KeyValues] = transformer.caches(len(sequences), batch.length + new)
        self._step = torch.zeros(1, dtype=torch.long, device=device)
        self._written = 0
        self._gap = _gap(self._lengths, batch.length, device)
        # a token sees the prompt's own tokens and the written ones, not what fills the gap between the two
        unseen = torch.arange(batch.length + new) >= self._lengths[:, None]
        self._bias = torch.zeros(unseen.shape, dtype=transformer.head.dtype).masked_fill(unseen, -torch.inf)
        self._bias = self._bias.to(device)[:, None, None]  # (G B, 1, 1, P + N)

    def read(self) -> Tensor:
        """Return the last layer's output `(G B, D)` at each prompt's last token."""
        steps = torch.arange(self._length, device=self.device)
        hidden = self._transformer.hidden(self._ids, Places(*self._places), None, self._caches, steps)
        return hidden[torch.arange(len(hidden)), self._lengths - 1]

    def write(self, tokens: Tensor) -> Tensor:
        """Return the last layer's output `(G B, D)` behind `tokens` `(B,)`, written to every stream of their rows."""
        ids = tokens.repeat(len(self._ids) // len(tokens))[:, None]
        places = Places(*self._later.index_select(2, self._step))
        at = self._step + self._length
        seen = self._gap if self._gap is not None else self._seen(at)
        hidden = self._transformer.hidden(ids, places, seen, self._caches, at)[:, 0]
        self._step += 1
        return hidden

    def _seen(self, at: Tensor) -> Tensor:
        self._bias.index_fill_(3, at, 0.0)
        self._written += 1
        if self.device.type != "cpu":
            return self._bias
        blocks = -(-self._written // _READ_IN)
        return self._bias[..., : self._length + blocks * _READ_IN]


def _laid_out(
    sequences: Sequence[Sequence[int]], table: PlaceTable, length: int, new: int, written: int | None
) -> tuple[Ints, Ints]:
    """Return ids `(G B, P + N)`, each prompt's with `written` behind it, and index, offset, segment, cell of each."""
    ids = np.full((len(sequences), length + new), table.pad)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        if written is not None:
            ids[row, len(sequence) : len(sequence) + new] = written
    index = np.broadcast_to(np.arange(length + new), ids.shape)
    return ids, np.stack([index, *table.of(ids)])


def _gap(lengths: Tensor, end: int, device: torch.device) -> Gap | None:
    """Return what a GPU's kernels are told, if there are any."""
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return None
    return Gap(lengths.to(device, torch.int32), end)
