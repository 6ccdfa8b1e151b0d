"""The decoder-only transformer that reads and writes words and picture codes alike.

One file for CM3leon (learned positions, LayerNorm without weights, ReLU) and for Chameleon (rotary positions, RMSNorm,
SwiGLU, normalised queries and keys): the config's switches choose. Every linear map is without bias.

Shapes: B sequences, T tokens, D width, H heads of N channels, K heads of keys, S length of the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cm3leon.config import TransformerConfig

INIT_STD = 0.006
"""CM3leon, section 2.3; truncated at three deviations, the outputs of each residual branch starting at 0."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where each token stands, `(B, T)` each.

    `index` counts from the sequence's start. `offset` counts from the last mark or picture's start, `segment` the
    breaks before it, and `cell` is 1 + the place in the picture's grid for picture codes, else 0.
    """

    index: Tensor
    offset: Tensor
    segment: Tensor
    cell: Tensor


class Norm(nn.Module):
    """LayerNorm without weights, or RMSNorm with: over the last axis."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.width, self.eps = config.width, config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.width)) if config.norm == "rms-norm" else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the normed tensor."""
        if self.weight is None:
            return F.layer_norm(x, (self.width,), eps=self.eps)
        return F.rms_norm(x, (self.width,), self.weight, self.eps)


@dataclass(frozen=True, slots=True)
class Gap:
    """What one new token of each sequence reads of its cache: the first `lengths` places, and from `end` to its own."""

    lengths: Tensor
    """`(B,)`, int32."""
    end: int


class HeadNorm(nn.Module):
    """LayerNorm over each head's channels, with weights `(H, N)` of its own for each head."""

    def __init__(self, heads: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(heads, channels))
        self.bias = nn.Parameter(torch.zeros(heads, channels))

    @staticmethod
    def both(x: Tensor, queries: HeadNorm, keys: HeadNorm) -> Tensor:
        """Return `(B, T, H + K, N)` normed, H heads by the one and K by the other."""
        weight, bias = torch.cat((queries.weight, keys.weight)), torch.cat((queries.bias, keys.bias))
        # Chameleon's config sets eps for its other norms only
        return torch.addcmul(bias, F.layer_norm(x, x.shape[-1:], None, None, 1e-5), weight)


class KeyValues:
    """Keys and values `(B, K, S, N)` of one layer, of a fixed length S so that no shape ever changes."""

    __slots__ = ("keys", "values")

    def __init__(self, batch: int, heads: int, length: int, channels: int, like: Tensor) -> None:
        self.keys = torch.zeros(batch, heads, length, channels, dtype=like.dtype, device=like.device)
        self.values = torch.zeros_like(self.keys)

    def put(self, keys: Tensor, values: Tensor, places: Tensor) -> None:
        """Write `(B, K, T, N)` at `places` `(T,)`."""
        self.keys.index_copy_(2, places, keys)
        self.values.index_copy_(2, places, values)


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return `(B, T, H, N)` turned by angles `(B, T, 1, N)`, channel i paired with channel i + N / 2.

    The sines of the first half are negative.
    """
    left, right = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat((right, left), dim=-1), sin)


def _attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *, grouped: bool) -> Tensor:
    """Return what queries `(B, H, T, N)` read from keys and values `(B, K, S, N)`.

    `bias` is added to the scores, or says what is read where it is boolean; without it attention is causal.
    """
    if not grouped and q.requires_grad and q.device.type == "cpu":
        # On CPUs the fused kernel's backward pass takes three times as long as plain matrix products in bfloat16.
        if bias is None:
            bias = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril()
        if bias.dtype == torch.bool:
            bias = torch.zeros(bias.shape, dtype=q.dtype).masked_fill(~bias, -torch.inf)
        scores = torch.add(bias.clamp(min=-1e4), q @ k.transpose(2, 3), alpha=q.shape[-1] ** -0.5)
        return scores.softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=bias is None, enable_gqa=grouped)


class Attention(nn.Module):
    """Causal attention; heads of keys and values may be fewer than heads of queries."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.heads, config.kv_heads or config.heads
        self.channels = config.width // config.heads
        self.qkv_proj = nn.Linear(config.width, (self.heads + 2 * self.kv_heads) * self.channels, bias=False)
        self.o_proj = nn.Linear(self.heads * self.channels, config.width, bias=False)
        self.q_norm = HeadNorm(self.heads, self.channels) if config.qk_norm else None
        self.k_norm = HeadNorm(self.kv_heads, self.channels) if config.qk_norm else None

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor] | None,
        seen: Tensor | Gap | None,
        cache: KeyValues | None,
        at: Tensor,
    ) -> Tensor:
        """Return the attention's output `(B, T, D)`.

        Keys and values are written into `cache` at `at` `(T,)`. A tensor `seen` `(B, 1, T, S)` is added to the scores
        of the cache's first S places; a `Gap`, for one token on a GPU, names the places that are read. Without either,
        attention is causal over the T tokens alone, whatever the cache holds.
        """
        batch, length, _ = x.shape
        qkv = self.qkv_proj(x).unflatten(2, (-1, self.channels))  # (B, T, H + 2 K, N)
        if isinstance(seen, Gap):
            return self._one_token(qkv[:, 0], turn, seen, cache, at)
        qk, v = qkv.split((self.heads + self.kv_heads, self.kv_heads), dim=2)
        if self.q_norm is not None and self.k_norm is not None:
            qk = HeadNorm.both(qk, self.q_norm, self.k_norm)
        if turn is not None:
            qk = rotary(qk, *turn)
        qk, v = qk.transpose(1, 2), v.transpose(1, 2)  # (B, H + K, T, N)
        q, k = qk.split((self.heads, self.kv_heads), dim=1)
        if cache is not None:
            cache.put(k, v, at)
            if seen is not None:
                k, v = cache.keys[:, :, : seen.shape[-1]], cache.values[:, :, : seen.shape[-1]]
        out = _attended(q, k, v, seen, grouped=self.kv_heads != self.heads)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))

    def _one_token(
        self, qkv: Tensor, turn: tuple[Tensor, Tensor] | None, gap: Gap, cache: KeyValues | None, at: Tensor
    ) -> Tensor:
        from cm3leon.kernels import attended, turned_and_kept  # Triton is there only beside a GPU

        if cache is None:
            raise ValueError("a gap is one of a cache; give the cache")
        norms = None if self.q_norm is None or self.k_norm is None else (self.q_norm, self.k_norm)
        queries = turned_and_kept(qkv, turn, norms, cache, at)
        return self.o_proj(attended(queries, cache, gap.lengths, gap.end, at).flatten(1)[:, None])


class MLP(nn.Module):
    """Two layers with ReLU between, or SwiGLU."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gated = config.mlp == "swiglu"
        self.up_proj = nn.Linear(config.width, config.hidden * (2 if self.gated else 1), bias=False)
        self.down_proj = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, T, D)`."""
        h = self.up_proj(x)
        if self.gated:
            gate, up = h.chunk(2, dim=-1)
            return self.down_proj(F.silu(gate) * up)
        return self.down_proj(F.relu(h))


class Layer(nn.Module):
    """Attention, then MLP, each beside a residual."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.input_layernorm = Norm(config)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = Norm(config)
        self.mlp = MLP(config)
        self.swin = config.swin_norm

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor] | None,
        seen: Tensor | Gap | None,
        cache: KeyValues | None,
        at: Tensor,
    ) -> Tensor:
        """Return `(B, T, D)`."""
        if self.swin:
            x = x + self.input_layernorm(self.self_attn(x, turn, seen, cache, at))
            return x + self.post_attention_layernorm(self.mlp(x))
        x = x + self.self_attn(self.input_layernorm(x), turn, seen, cache, at)
        return x + self.mlp(self.post_attention_layernorm(x))


class Transformer(nn.Module):
    """Token ids to logits."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.embed_positions = nn.Embedding(config.context, config.width) if config.position != "rotary" else None
        self.embed_segments = nn.Embedding(config.segments, config.width) if config.segments else None
        self.embed_cells = nn.Embedding(config.image_cells + 1, config.width) if config.image_cells else None
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = Norm(config)
        self.lm_head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)
        self._turns: Tensor | None = None

    @torch.no_grad()
    def initialise(self, generator: torch.Generator, std: float = INIT_STD) -> None:
        """Draw the weights as CM3leon does; matrices that are as wide as long keep the same deviation."""
        for name, weight in self.named_parameters():
            if weight.ndim < 2 or name.endswith(("q_norm.weight", "k_norm.weight", "q_norm.bias", "k_norm.bias")):
                continue
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.zero_()
                continue
            scale = std / 30 if "embed_positions" in name else std
            nn.init.trunc_normal_(weight, 0.0, scale, -3 * scale, 3 * scale, generator=generator)

    @property
    def head(self) -> Tensor:
        """The rows `(vocabulary, D)` of the head."""
        return self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def hidden(
        self,
        ids: Tensor,
        places: Places,
        seen: Tensor | Gap | None = None,
        caches: list[KeyValues] | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """Return the last layer's normed output `(B, T, D)` for token ids `(B, T)`; `seen` is as `Attention` has it."""
        x = self.embed_tokens(ids)
        if self.embed_positions is not None:
            x = x + self.embed_positions(places.index if self.embed_cells is None else places.offset)
        if self.embed_segments is not None:
            x = x + self.embed_segments(places.segment)
        if self.embed_cells is not None:
            x = x + self.embed_cells(places.cell)
        turn = self._turn(places, x.dtype) if self.config.position == "rotary" else None
        steps = places.index if at is None else at
        for number, layer in enumerate(self.layers):
            x = layer(x, turn, seen, None if caches is None else caches[number], steps)
        return self.norm(x)

    def forward(self, ids: Tensor, places: Places, bias: Tensor | None = None, asked: Tensor | None = None) -> Tensor:
        """Return the logits `(B, T, vocabulary)` of whole sequences `(B, T)`.

        Each token sees those before it, or what `bias` `(B, 1, T, T)`, which is added to the scores, leaves open. With
        `asked` `(K,)`, places in the flattened sequences, only theirs are returned, `(K, vocabulary)`.
        """
        hidden = self.hidden(ids, places, bias)
        return F.linear(hidden if asked is None else hidden.flatten(0, 1)[asked], self.head)

    def caches(self, batch: int, length: int) -> list[KeyValues]:
        """Return an empty cache for each layer."""
        c = self.config
        like = self.embed_tokens.weight
        return [KeyValues(batch, c.kv_heads or c.heads, length, c.width // c.heads, like) for _ in range(c.layers)]

    def _turn(self, places: Places, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return cosines and sines `(B, T, 1, N)` of the places, as `rotary` takes them."""
        if self.embed_cells is None:
            return self._angles(places.index, dtype)
        if not self.config.axial:
            return self._angles(places.offset + places.cell, dtype)
        side = math.isqrt(self.config.image_cells)
        inside, number = places.cell > 0, (places.cell - 1).clamp(min=0)
        row, column = (torch.where(inside, 1 + part, places.offset) for part in (number // side, number % side))
        pairs = self.config.width // self.config.heads // 2
        by_row = torch.arange(pairs, device=row.device).repeat(2) % 2 == 0  # (N,): every second pair of channels
        turns = zip(self._angles(row, dtype), self._angles(column, dtype), strict=True)
        cos, sin = (torch.where(by_row, one, other) for one, other in turns)
        return cos, sin

    def _angles(self, index: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return cosines and sines `(B, T, 1, N)` of the turns `index` `(B, T)`."""
        if self._turns is None or self._turns.dtype != dtype or self._turns.device != index.device:
            with torch.inference_mode(False):  # what is made in inference could not be trained through
                self._turns = self._all_turns(index.device, dtype)
        cos, sin = self._turns[:, index].unsqueeze(3)
        return cos, sin

    def _all_turns(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        pairs = self.config.width // self.config.heads // 2
        turned = round(pairs * self.config.partial_rotary_factor)
        rates = 1.0 / self.config.rope_theta ** (torch.arange(turned, device=device).float() / turned)
        angles = torch.outer(torch.arange(self.config.context, device=device).float(), rates)
        angles = F.pad(angles, (0, pairs - turned))  # (context, N / 2)
        cos, sin = angles.cos(), angles.sin()
        return torch.stack((torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1))).to(dtype)
