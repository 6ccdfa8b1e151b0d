"""A small image-text dual encoder: pictures and words as unit vectors that lie near each other where they agree.

It retrieves, it re-ranks what was drawn, and its picture tower serves as the perceptual network of the tokenizer.

Source: CLIP, Radford et al. 2021, arXiv:2103.00020. Two deviations keep colour, shape and place of each thing apart in
so small a model: both towers pool by attention with several queries, and the picture's convolutions keep an 8x8 grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cm3leon.config import TransformerConfig
from cm3leon.transformer import Layer
from cm3leon.vocab import Vocabulary

Floats: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = npt.NDArray[np.uint8]
"""An RGB picture `(H, W, 3)`."""
_Item = TypeVar("_Item")

_START_SCALE = 1 / 0.07
_LARGEST_SCALE = 100.0
_GROUP = 512


@dataclass(frozen=True, slots=True)
class DualEncoderConfig:
    """Shape of a dual encoder."""

    vocabulary: int
    context: int = 128
    """Longest text in tokens."""
    pixels: int = 64
    """Side of the pictures."""
    patch: int = 4
    """Side of the squares of pixels that are folded into channels before the first convolution."""
    channels: int = 96
    """Channels of the picture tower."""
    picture_queries: int = 6
    """Places that a picture's vector is read from."""
    token_width: int = 32
    """Length of a token's embedding, which a convolution over five tokens widens."""
    width: int = 96
    """Width of the text tower."""
    layers: int = 2
    heads: int = 3
    text_queries: int = 4
    """Places that a text's vector is read from."""
    dimension: int = 128
    """Length of the vectors."""

    @property
    def cells(self) -> int:
        """Places of the picture tower's last grid."""
        return (self.pixels // self.patch // 2) ** 2


class AttentionPool(nn.Module):
    """One vector out of many: several learned queries each take a weighted mean, and a linear map joins them."""

    def __init__(self, width: int, queries: int, dimension: int) -> None:
        super().__init__()
        self.queries = nn.Linear(width, queries)
        self.out = nn.Linear(queries * width, dimension)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return `(B, dimension)` for `(B, N, width)`, of which only those in `mask` `(B, N)` count."""
        scores = self.queries(x).float()  # (B, N, Q)
        if mask is not None:
            scores = scores.masked_fill(~mask[..., None], -math.inf)
        return self.out((scores.softmax(1).transpose(1, 2).to(x.dtype) @ x).flatten(1))


class ResidualConvolutions(nn.Module):
    """Two convolutions beside a shortcut, `(B, C, H, W)` to the same: no picture sees another's statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        h = rearrange(self.norm(rearrange(x, "b c h w -> b h w c")), "b h w c -> b c h w")
        return x + self.conv2(F.silu(self.conv1(F.silu(h))))


class PictureTower(nn.Module):
    """Pictures `(B, 3, pixels, pixels)` in [-1, 1] to vectors `(B, dimension)`, not yet of unit length."""

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        self.patch, channels = config.patch, config.channels
        self.stem = nn.Conv2d(3 * config.patch**2, channels, 3, padding=1)
        self.fine = ResidualConvolutions(channels)
        self.down = nn.Conv2d(channels, channels, 2, stride=2)
        self.coarse = ResidualConvolutions(channels)
        self.places = nn.Parameter(torch.randn(config.cells, channels) * 0.02)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Linear(channels, channels)
        self.pool = AttentionPool(channels, config.picture_queries, config.dimension)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the maps: `(B, C, side, side)` twice, `side` being pixels / patch, and once at half that side."""
        x = F.pixel_unshuffle(pictures.contiguous(memory_format=torch.channels_last), self.patch)
        stem = self.stem(x)
        fine = self.fine(stem)
        return [stem, fine, self.coarse(self.down(fine))]

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the vectors."""
        cells = rearrange(self.features(pictures)[-1], "b c h w -> b (h w) c") + self.places
        return self.pool(cells + self.mix(F.silu(self.norm(cells))))


class TextTower(nn.Module):
    """Token ids `(B, T)` to vectors `(B, dimension)`, not yet of unit length."""

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        shape = TransformerConfig(
            config.vocabulary, config.width, config.layers, config.heads, 2 * config.width, config.context
        )
        self.tokens = nn.Embedding(config.vocabulary, config.token_width)
        self.near = nn.Conv1d(config.token_width, config.width, 5, padding=2)
        self.places = nn.Parameter(torch.randn(config.context, config.width) * 0.02)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.pool = AttentionPool(config.width, config.text_queries, config.dimension)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the vectors of the tokens in `mask` `(B, T)`."""
        # what pads must be nothing to the convolution too
        x = (self.tokens(ids) * mask[..., None]).transpose(1, 2)
        x = self.near(x).transpose(1, 2) + self.places[: ids.shape[1]]
        # on a CPU the fused kernel's backward pass takes three times as long for texts of this length
        with sdpa_kernel(SDPBackend.MATH):
            for layer in self.layers:
                x = layer(x, None, mask[:, None, None], None, ids)
        return self.pool(self.norm(x), mask)


class DualEncoder(nn.Module):
    """Pictures and texts to unit vectors, and the scale at which they are compared."""

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.picture_tower = PictureTower(config).to(memory_format=torch.channels_last)
        self.text_tower = TextTower(config)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_START_SCALE)))

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied with: 1 / temperature, at most 100."""
        return self.log_scale.exp().clamp(max=_LARGEST_SCALE)

    def encode_images(self, pictures: Tensor) -> Tensor:
        """Return unit vectors `(B, dimension)` of pictures `(B, 3, pixels, pixels)` in [-1, 1].

        Raises:
            ValueError: the pictures have another shape.
        """
        self._require_pictures(pictures)
        return F.normalize(self.picture_tower(pictures).float(), dim=-1)

    def encode_texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return unit vectors `(B, dimension)` of token ids `(B, T)`, those outside `mask` `(B, T)` being nothing.

        Raises:
            ValueError: the texts are longer than the context.
        """
        if ids.shape != mask.shape or ids.ndim != 2 or ids.shape[1] > self.config.context:
            shapes = f"ids {tuple(ids.shape)} and mask {tuple(mask.shape)}"
            raise ValueError(f"{shapes} are not (B, T), T at most {self.config.context}; shorten the texts")
        return F.normalize(self.text_tower(ids, mask).float(), dim=-1)

    def encode_rows(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Return unit vectors `(B, dimension)` of token ids, in groups of like length so that little is padded.

        Raises:
            ValueError: a text is empty, or longer than the context.
        """
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        device = self.log_scale.device
        vectors = [torch.empty(0, self.config.dimension, device=device)]
        for first in range(0, len(order), _GROUP):
            group = [texts[row] for row in order[first : first + _GROUP]]
            ids, mask = padded(group, self.config.context)
            vectors.append(self.encode_texts(ids.to(device), mask.to(device)))
        return torch.cat(vectors)[torch.tensor(order, dtype=torch.long, device=device).argsort()]

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the maps `(B, channels, h, w)` of pictures `(B, 3, pixels, pixels)` in [-1, 1], fine to coarse.

        Raises:
            ValueError: the pictures have another shape.
        """
        self._require_pictures(pictures)
        found: list[Tensor] = self.picture_tower.features(pictures)
        return found

    def similarity(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Return scaled cosines `(P, T)` of unit vectors `(P, dimension)` and `(T, dimension)`."""
        return self.scale * pictures @ texts.T

    def _require_pictures(self, pictures: Tensor) -> None:
        side = self.config.pixels
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != (3, side, side):
            shape = tuple(pictures.shape)
            raise ValueError(f"pictures of shape {shape} do not fit; resize them to (B, 3, {side}, {side})")


def perceptual_distance(encoder: DualEncoder, a: Tensor, b: Tensor) -> Tensor:
    """Return how far pictures `(B, 3, H, W)` are from others as the picture tower sees them: 0 for equal ones.

    At each place of each map, the squared distance of the two unit-normalised channel vectors; their mean over places,
    pictures and maps.

    Source: LPIPS, Zhang et al. 2018, arXiv:1801.03924, equation 1 with all channels weighted alike.
    """
    maps = zip(encoder.features(a), encoder.features(b), strict=True)
    return torch.stack([(_unit(x) - _unit(y)).square().sum(1).mean() for x, y in maps]).mean()


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=1)


def padded(texts: Sequence[Sequence[int]], context: int) -> tuple[Tensor, Tensor]:
    """Return ids `(B, T)` and mask `(B, T)` of token ids, T being the longest text.

    Raises:
        ValueError: a text is empty, or longer than `context` tokens.
    """
    for number, text in enumerate(texts):
        if not 0 < len(text) <= context:
            raise ValueError(f"text {number} has {len(text)} tokens; give it 1 to {context}")
    longest = max(map(len, texts), default=0)
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros(len(texts), longest, dtype=torch.bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = True
    return ids, mask


class DualEmbedder:
    """The encoder with its vocabulary: strings and RGB pictures to unit vectors.

    With `rows` 1 no vector depends, to the last bit, on what else is asked for; more are faster.
    """

    def __init__(self, encoder: DualEncoder, vocabulary: Vocabulary, rows: int = 1) -> None:
        if vocabulary.size > encoder.config.vocabulary:
            raise ValueError(
                f"{vocabulary.size} ids do not fit an encoder of {encoder.config.vocabulary}; give its own"
            )
        if rows < 1:
            raise ValueError(f"rows is {rows}; it is at least 1")
        self._encoder, self._vocabulary, self._rows = encoder.eval(), vocabulary, rows

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self._encoder.config.dimension

    def texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors `(N, dimension)` of texts.

        Raises:
            ValueError: a text is empty or too long.
        """
        return self._embedded([self._vocabulary.encode(text) for text in texts], self._encoder.encode_rows)

    def pictures(self, pictures: Sequence[Pixels]) -> Floats:
        """Return unit vectors `(N, dimension)` of RGB pictures `(pixels, pixels, 3)`.

        Raises:
            ValueError: a picture has another size.
        """
        return self._embedded(list(pictures), self._picture_vectors)

    def _picture_vectors(self, pictures: Sequence[Pixels]) -> Tensor:
        x = torch.from_numpy(np.stack(pictures)).to(self._encoder.log_scale.device)
        return self._encoder.encode_images(x.movedim(-1, 1).float() / 127.5 - 1)

    @torch.inference_mode()
    def _embedded(self, items: Sequence[_Item], encode: Callable[[Sequence[_Item]], Tensor]) -> Floats:
        groups = [items[first : first + self._rows] for first in range(0, len(items), self._rows)]
        vectors = [encode(group).cpu().numpy() for group in groups]
        return np.concatenate([np.empty((0, self.dimension), np.float32), *vectors])
