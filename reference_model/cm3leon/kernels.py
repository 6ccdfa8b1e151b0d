# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: N803, SIM102
"""What one new token of each sequence costs on a GPU beside the matrix products, in as few launches as there can be.

Written in Triton, and imported only where there is a GPU. `turned_and_kept` norms and turns queries and keys and writes
the cache in one launch; `attended` reads no place of the cache that is not to be seen, and splits long caches among
blocks where there are too few sequences to fill the card (flash decoding, Dao et al. 2023). Nothing here waits for the
host, so that a CUDA graph can hold it.

Constants of a kernel are in capitals, as Triton's own are.

Shapes: B sequences, H heads of N channels, K heads of keys, S length of the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from cm3leon.transformer import HeadNorm, KeyValues

_PROGRAMS = 528
"""Blocks that fill a card: four to each of an H100's 132 multiprocessors."""
_MOST_PARTS = 32


@triton.jit
def _normed(
    a: tl.tensor, b: tl.tensor, weight: tl.tensor, shift: tl.tensor, HALF: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    left = tl.arange(0, HALF)
    mean = (tl.sum(a) + tl.sum(b)) / (2 * HALF)
    spread = (tl.sum((a - mean) * (a - mean)) + tl.sum((b - mean) * (b - mean))) / (2 * HALF)
    factor = 1.0 / tl.sqrt(spread + 1e-5)
    a = (a - mean) * factor * tl.load(weight + left) + tl.load(shift + left)
    b = (b - mean) * factor * tl.load(weight + HALF + left) + tl.load(shift + HALF + left)
    return a, b


@triton.jit
def _turned(
    a: tl.tensor, b: tl.tensor, cos: tl.tensor, sin: tl.tensor, HALF: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    left = tl.arange(0, HALF)
    c = tl.load(cos + left).to(tl.float32)
    s = tl.load(sin + HALF + left).to(tl.float32)
    return a * c - b * s, b * c + a * s


@triton.jit
def _turn_and_keep(
    qkv: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    q_weight: tl.tensor,
    q_bias: tl.tensor,
    k_weight: tl.tensor,
    k_bias: tl.tensor,
    queries: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    at: tl.tensor,
    length: tl.tensor,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HALF: tl.constexpr,
    NORMED: tl.constexpr,
    TURNED: tl.constexpr,
) -> None:
    sequence, head, left = tl.program_id(0), tl.program_id(1), tl.arange(0, HALF)
    channels: tl.constexpr = 2 * HALF
    source = (sequence * (HEADS + 2 * KV_HEADS) + head) * channels
    a = tl.load(qkv + source + left).to(tl.float32)
    b = tl.load(qkv + source + HALF + left).to(tl.float32)
    is_query, is_value = head < HEADS, head >= HEADS + KV_HEADS
    if NORMED:  # known when this is compiled, as what follows is not
        if not is_value:
            weight = q_weight + head * channels if is_query else k_weight + (head - HEADS) * channels
            shift = q_bias + head * channels if is_query else k_bias + (head - HEADS) * channels
            a, b = _normed(a, b, weight, shift, HALF)
    if TURNED:
        if not is_value:
            a, b = _turned(a, b, cos + sequence * channels, sin + sequence * channels, HALF)
    if is_query:
        target = queries + (sequence * HEADS + head) * channels
    else:
        row = (sequence * KV_HEADS + (head - HEADS) % KV_HEADS).to(tl.int64) * length + tl.load(at)
        target = values + row * channels if is_value else keys + row * channels
    tl.store(target + left, a.to(queries.dtype.element_ty))
    tl.store(target + HALF + left, b.to(queries.dtype.element_ty))


def turned_and_kept(
    qkv: Tensor,
    turn: tuple[Tensor, Tensor] | None,
    norms: tuple[HeadNorm, HeadNorm] | None,
    cache: KeyValues,
    at: Tensor,
) -> Tensor:
    """Return the queries `(B, H, N)` of one token each, normed and turned; keys and values go into `cache` at `at`.

    `qkv` is `(B, H + 2 K, N)`, `turn` cosines and sines `(B, 1, 1, N)`, `at` `(1,)`. Norms are of queries and keys.
    """
    batch, every, channels = qkv.shape
    kv_heads, length = cache.keys.shape[1:3]
    heads = every - 2 * kv_heads
    queries = qkv.new_empty(batch, heads, channels)
    cos, sin = turn if turn is not None else (qkv, qkv)
    weights = [part for norm in norms for part in (norm.weight, norm.bias)] if norms is not None else [qkv] * 4
    _turn_and_keep[(batch, every)](
        qkv.contiguous(), cos, sin, *weights, queries, cache.keys, cache.values, at, length,
        HEADS=heads, KV_HEADS=kv_heads, HALF=channels // 2, NORMED=norms is not None, TURNED=turn is not None,
        num_warps=1,
    )  # fmt: skip
    return queries


@triton.jit
def _lifted(top: tl.tensor, scores: tl.tensor) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    peak = tl.maximum(top, tl.max(scores, 0))
    level = tl.where(peak == -float("inf"), 0.0, peak)
    return peak, tl.exp(scores - level), tl.exp(top - level)


@triton.jit
def _attend(
    queries: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    lengths: tl.tensor,
    at: tl.tensor,
    mixed: tl.tensor,
    tops: tl.tensor,
    totals: tl.tensor,
    length: tl.tensor,
    gap_end: tl.tensor,
    span: tl.tensor,
    scale: tl.tensor,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row, part, channels = tl.program_id(0), tl.program_id(1), tl.arange(0, CHANNELS)
    sequence, head = row // HEADS, row % HEADS
    here, told = tl.load(at).to(tl.int32), tl.load(lengths + sequence)
    query = tl.load(queries + row * CHANNELS + channels).to(tl.float32) * scale
    base = (sequence * KV_HEADS + head // (HEADS // KV_HEADS)).to(tl.int64) * length * CHANNELS
    keys, values = keys + base, values + base
    top, total, sums = -float("inf"), 0.0, tl.zeros((CHANNELS,), tl.float32)
    first = part * span
    for start in range(first, tl.minimum(first + span, here + 1), BLOCK):
        places = start + tl.arange(0, BLOCK)
        seen = (places <= here) & (places < first + span) & ((places < told) | (places >= gap_end))
        offsets = places[:, None] * CHANNELS + channels[None, :]
        k = tl.load(keys + offsets, mask=seen[:, None], other=0.0).to(tl.float32)
        v = tl.load(values + offsets, mask=seen[:, None], other=0.0).to(tl.float32)
        scores = tl.where(seen, tl.sum(k * query[None, :], 1), -float("inf"))
        top, weights, decay = _lifted(top, scores)
        sums = sums * decay + tl.sum(weights[:, None] * v, 0)
        total = total * decay + tl.sum(weights, 0)
    slot = row * tl.num_programs(1) + part
    tl.store(mixed + slot * CHANNELS + channels, sums)
    tl.store(tops + slot, top)
    tl.store(totals + slot, total)


@triton.jit
def _join(
    mixed: tl.tensor,
    tops: tl.tensor,
    totals: tl.tensor,
    out: tl.tensor,
    PARTS: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    row = tl.program_id(0)
    parts, channels = tl.arange(0, PARTS), tl.arange(0, CHANNELS)
    top = tl.load(tops + row * PARTS + parts)
    share = tl.exp(top - tl.max(top, 0))
    total = tl.sum(share * tl.load(totals + row * PARTS + parts), 0)
    sums = tl.load(mixed + (row * PARTS + parts)[:, None] * CHANNELS + channels[None, :])
    tl.store(out + row * CHANNELS + channels, (tl.sum(sums * share[:, None], 0) / total).to(out.dtype.element_ty))


def attended(queries: Tensor, cache: KeyValues, lengths: Tensor, gap_end: int, at: Tensor) -> Tensor:
    """Return what queries `(B, H, N)` read of the cache: `(B, H, N)`.

    Sequence b reads the first `lengths[b]` places (int32), and those from `gap_end` to `at` `(1,)`, which it has just
    written. N is a power of two.
    """
    batch, heads, channels = queries.shape
    kv_heads, length = cache.keys.shape[1:3]
    parts = min(_MOST_PARTS, triton.next_power_of_2(max(1, _PROGRAMS // (batch * heads))))
    span = -(-length // parts)
    mixed = torch.empty(batch * heads * parts * channels, dtype=torch.float32, device=queries.device)
    tops, totals = torch.empty(2, batch * heads * parts, dtype=torch.float32, device=queries.device)
    _attend[(batch * heads, parts)](
        queries, cache.keys, cache.values, lengths, at, mixed, tops, totals, length, gap_end, span, channels**-0.5,
        HEADS=heads, KV_HEADS=kv_heads, CHANNELS=channels, BLOCK=64, num_warps=4,
    )  # fmt: skip
    out = torch.empty_like(queries)
    _join[(batch * heads,)](mixed, tops, totals, out, PARTS=parts, CHANNELS=channels, num_warps=2)
    return out


@triton.jit
def _multiply(
    x: tl.tensor,
    weight: tl.tensor,
    scales: tl.tensor,
    out: tl.tensor,
    rows: tl.tensor,
    width: tl.tensor,
    outputs: tl.tensor,
    span: tl.tensor,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    lines = tl.arange(0, ROWS)
    columns = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    inner = tl.arange(0, BLOCK)
    kept, written = lines < rows, columns < outputs
    total = tl.zeros((ROWS, OUTPUTS), tl.float32)
    first = tl.program_id(1) * span
    for start in range(first, tl.minimum(first + span, width), BLOCK):
        at = start + inner
        inside = at < width
        a = tl.load(x + lines[:, None] * width + at[None, :], mask=kept[:, None] & inside[None, :], other=0.0)
        b = tl.load(weight + columns[None, :] * width + at[:, None], mask=written[None, :] & inside[:, None], other=0)
        total = tl.dot(a, b.to(a.dtype), total)
    total *= tl.load(scales + columns, mask=written, other=0.0)[None, :]
    target = out + tl.program_id(1) * rows * outputs + lines[:, None] * outputs + columns[None, :]
    tl.store(target, total.to(out.dtype.element_ty), mask=kept[:, None] & written[None, :])


@triton.jit
def _add_parts(
    parts: tl.tensor,
    out: tl.tensor,
    size: tl.tensor,
    PARTS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = places < size
    total = tl.zeros((BLOCK,), tl.float32)
    for part in tl.static_range(PARTS):
        total += tl.load(parts + part * size + places, mask=inside, other=0.0)
    tl.store(out + places, total.to(out.dtype.element_ty), mask=inside)


def multiplied(x: Tensor, weight: Tensor, scales: Tensor) -> Tensor:
    """Return `x` `(M, D)`, of at most 64 rows, times the transpose of `weight` `(O, D)` int8 by rows' `scales` `(O,)`.

    The weights become `x`'s dtype on their way, sums and scales are float32. The longer the rows of `x`, the more of
    the weights' rows a block takes, so that `x` is not read too often; what then leaves the card idle is split.
    """
    rows, width = x.shape
    outputs = len(weight)
    wide, block = (16, 256) if rows <= 4 else (64, 128)
    columns = triton.cdiv(outputs, wide)
    parts = min(8, triton.next_power_of_2(triton.cdiv(_PROGRAMS // 2, columns)), triton.cdiv(width, block))
    span = triton.cdiv(triton.cdiv(width, parts), block) * block
    out = x.new_empty(rows, outputs)
    sums = out if parts == 1 else torch.empty(parts, rows, outputs, dtype=torch.float32, device=x.device)
    _multiply[(columns, parts)](
        x.contiguous(), weight, scales, sums, rows, width, outputs, span,
        ROWS=max(16, triton.next_power_of_2(rows)), OUTPUTS=wide, BLOCK=block, num_warps=4, num_stages=4,
    )  # fmt: skip
    if parts > 1:
        _add_parts[(triton.cdiv(out.numel(), 1024),)](sums, out, out.numel(), PARTS=parts, BLOCK=1024, num_warps=4)
    return out
