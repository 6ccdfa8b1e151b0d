"""T5 1.1, of which FLAN-T5 is a training: how likely it writes an answer, given the embeddings of what it reads.

Tensors have the names of transformers' T5 (`d` wide, `h` heads of `k`, `f` hidden, `V` tokens, `B` buckets):

    shared.weight (V, d)  lm_head.weight (V, d)  {encoder,decoder}.final_layer_norm.weight (d,)
    {encoder,decoder}.block.0.layer.0.SelfAttention.relative_attention_bias.weight (B, h)
    {encoder,decoder}.block.I.layer.J.layer_norm.weight (d,)
        .SelfAttention, in the decoder's layer 1 .EncDecAttention: {q,k,v}.weight (h k, d)  o.weight (d, h k)
        .DenseReluDense: {wi_0,wi_1}.weight (f, d)  wo.weight (d, f)

Written out here since newer versions of that library take a T5 whose output layer is not its embedding for one whose
is. Everything is float32, and nothing but the position of tokens to each other is added to them.

Source: Raffel et al. 2019, arXiv:1910.10683; Shazeer 2020, arXiv:2002.05202; Chung et al. 2022, arXiv:2210.11416.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from evalkit.features.state_dicts import require_tensors

Array = npt.NDArray[np.float32]

START = 0
"""The token that every answer is written after: the padding."""
FARTHEST = 128
"""Distance from which all tokens are equally far."""
EPSILON = 1e-6
HEAD = 64
"""Width of a head in every T5 1.1."""

_ALIASES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "embed_tokens.weight")
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
_LAYERS = {
    "encoder": ("SelfAttention", "DenseReluDense"),
    "decoder": ("SelfAttention", "EncDecAttention", "DenseReluDense"),
}


class T5:
    """The tensors of one T5 on one device, with its forward pass."""

    def __init__(self, tensors: Mapping[str, Array], device: str, where: str, head: int = HEAD) -> None:
        """Take the tensors of a file that `where` names in errors; `head` is the width of an attention head.

        Raises:
            WeightsError: one is missing, unknown, or of a shape that does not fit the others.
        """
        held = {name: value for name, value in tensors.items() if name not in {*_ALIASES, _UNUSED}}
        self._depth = {side: _blocks(held, side) for side in _LAYERS}
        require_tensors(held, _shapes(held, self._depth, head), where)
        self._tensors = {name: torch.from_numpy(value).to(device) for name, value in held.items()}
        self._head = head
        self._device = device

    @property
    def width(self) -> int:
        """Length `d` of an embedding."""
        return int(self._tensors["shared.weight"].shape[1])

    @property
    def tokens(self) -> int:
        """How many tokens it has a row for."""
        return int(self._tensors["lm_head.weight"].shape[0])

    def embedded(self, ids: Sequence[int]) -> Tensor:
        """Return the embeddings `(T, d)` of tokens."""
        return self._tensors["shared.weight"][torch.tensor(ids, dtype=torch.long, device=self._device)]

    def log_likelihoods(self, read: Tensor, written: Sequence[int], vocabulary: int) -> Tensor:
        """Return the log of the probability `(T,)` of each token of an answer, those before it being given.

        `read` `(S, d)` is what the encoder sees. A token is one of the first `vocabulary`.
        """
        seen = self._encoded(read[None])
        answer = torch.tensor(written, dtype=torch.long, device=self._device)
        logits = self._decoded(self.embedded([START, *written[:-1]])[None], seen)[0, :, :vocabulary]
        return functional.log_softmax(logits, dim=-1).gather(1, answer[:, None])[:, 0]

    def _encoded(self, x: Tensor) -> Tensor:
        bias = self._bias("encoder", x.shape[1])
        for block in range(self._depth["encoder"]):
            name = f"encoder.block.{block}.layer"
            x = x + self._attended(f"{name}.0", "SelfAttention", x, None, bias)
            x = x + self._dense(f"{name}.1", x)
        return self._norm(x, "encoder.final_layer_norm")

    def _decoded(self, x: Tensor, seen: Tensor) -> Tensor:
        """Return the logits `(1, T, V)` after each token of `x` `(1, T, d)`."""
        length = x.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        bias = self._bias("decoder", length).masked_fill(later, -math.inf)
        for block in range(self._depth["decoder"]):
            name = f"decoder.block.{block}.layer"
            x = x + self._attended(f"{name}.0", "SelfAttention", x, None, bias)
            x = x + self._attended(f"{name}.1", "EncDecAttention", x, seen, None)
            x = x + self._dense(f"{name}.2", x)
        return functional.linear(self._norm(x, "decoder.final_layer_norm"), self._tensors["lm_head.weight"])

    def _attended(self, name: str, kind: str, x: Tensor, seen: Tensor | None, bias: Tensor | None) -> Tensor:
        """Return what `x` takes from itself or from what was `seen`; the products are not scaled."""
        asking = self._norm(x, f"{name}.layer_norm")
        asked = asking if seen is None else seen
        parts = [
            functional.linear(side, self._tensors[f"{name}.{kind}.{part}.weight"]).view(*side.shape[:2], -1, self._head)
            for part, side in (("q", asking), ("k", asked), ("v", asked))
        ]
        q, k, v = (part.transpose(1, 2) for part in parts)
        taken = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return functional.linear(taken.transpose(1, 2).flatten(2), self._tensors[f"{name}.{kind}.o.weight"])

    def _dense(self, name: str, x: Tensor) -> Tensor:
        t, x = self._tensors, self._norm(x, f"{name}.layer_norm")
        gate = functional.gelu(functional.linear(x, t[f"{name}.DenseReluDense.wi_0.weight"]), approximate="tanh")
        hidden = gate * functional.linear(x, t[f"{name}.DenseReluDense.wi_1.weight"])
        return functional.linear(hidden, t[f"{name}.DenseReluDense.wo.weight"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        """Return `x` divided by the root of its mean square, no mean taken off."""
        return self._tensors[f"{name}.weight"] * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON))

    def _bias(self, side: str, length: int) -> Tensor:
        """Return what each head `(1, h, T, T)` adds for the distance of two tokens."""
        table = self._tensors[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        place = torch.arange(length, device=table.device)
        bucket = buckets(place[None, :] - place[:, None], len(table), both=side == "encoder")
        return table[bucket].permute(2, 0, 1)[None]


def buckets(distance: Tensor, count: int, *, both: bool) -> Tensor:
    """Return the bucket, 0 to `count` - 1, of each distance from a token to one that it looks at.

    Of those that a side has, half hold one distance each and the others ranges that grow with its logarithm up to 128.
    With `both` the upper half of all is for tokens that come later; without, those are in bucket 0.
    """
    count = count // 2 if both else count
    side = (distance > 0).long() * count if both else torch.zeros_like(distance)
    far = distance.abs() if both else (-distance).clamp(min=0)
    exact = count // 2
    grown = (far.float().clamp(min=1) / exact).log() / math.log(FARTHEST / exact) * (count - exact)
    return side + torch.where(far < exact, far, (exact + grown.long()).clamp(max=count - 1))


def _blocks(tensors: Mapping[str, Array], side: str) -> int:
    numbers = {int(match[1]) for name in tensors if (match := re.match(rf"{side}\.block\.(\d+)\.", name))}
    return max(numbers, default=-1) + 1


def _shapes(tensors: Mapping[str, Array], depth: Mapping[str, int], head: int) -> dict[str, tuple[int, ...]]:
    """Return the shape that each tensor must have; tokens, width, heads, hidden and buckets are the file's own."""

    def size(name: str, axis: int) -> int:
        return tensors[name].shape[axis] if name in tensors and tensors[name].ndim > axis else 0

    tokens, width = size("shared.weight", 0), size("shared.weight", 1)
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (tokens, width), "lm_head.weight": (tokens, width)}
    for side, kinds in _LAYERS.items():
        first = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        heads = size(first, 1)
        hidden = size(f"{side}.block.0.layer.{len(kinds) - 1}.DenseReluDense.wi_0.weight", 0)
        shapes |= {first: (size(first, 0), heads), f"{side}.final_layer_norm.weight": (width,)}
        into = {"q": (heads * head, width), "k": (heads * head, width), "v": (heads * head, width)}
        attention = {**into, "o": (width, heads * head)}
        dense = {"wi_0": (hidden, width), "wi_1": (hidden, width), "wo": (width, hidden)}
        for block in range(max(depth[side], 1)):
            for layer, kind in enumerate(kinds):
                name = f"{side}.block.{block}.layer.{layer}"
                shapes[f"{name}.layer_norm.weight"] = (width,)
                for part, shape in (dense if kind == "DenseReluDense" else attention).items():
                    shapes[f"{name}.{kind}.{part}.weight"] = shape
    return shapes
