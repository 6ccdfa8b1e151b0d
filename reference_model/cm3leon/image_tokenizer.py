"""Pictures as codes: a convolutional VQ autoencoder (taming-style).

Module names are those of taming-transformers' VQModel, which `vqgan.ckpt` of Chameleon holds and transformers'
ChameleonVQVAE keeps, so that published weights load with every key matched.

Source: Esser et al. 2021, arXiv:2012.09841; van den Oord et al. 2017, arXiv:1711.00937.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from cm3leon.config import ImageTokenizerConfig
from cm3leon.outlines import outlines

GROUPS = 32

NO_DECODER = (
    "this image tokenizer turns pictures into codes, not codes into pictures: its weights came without a decoder, "
    "which transformers' conversion of Chameleon leaves out; load them with tokenizer/vqgan.ckpt of Meta's download, "
    "or with https://huggingface.co/leloy/Anole-7b-v0.1-vqvae-hf, beside them"
)


class PlaceNorm(nn.LayerNorm):
    """LayerNorm over the channels of each place of `(B, C, H, W)`, which sees no other place."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normed tensor."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def _norm(channels: int, local: bool = False) -> nn.Module:
    return PlaceNorm(channels, eps=1e-6) if local else nn.GroupNorm(GROUPS, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut: `(B, C_in, H, W)` to `(B, C_out, H, W)`.

    `side` is that of the convolutions' squares; with 1 and `local`, no place sees another.
    """

    def __init__(self, c_in: int, c_out: int, side: int = 3, local: bool = False) -> None:
        super().__init__()
        self.norm1 = _norm(c_in, local)
        self.conv1 = nn.Conv2d(c_in, c_out, side, padding=side // 2)
        self.norm2 = _norm(c_out, local)
        self.conv2 = nn.Conv2d(c_out, c_out, side, padding=side // 2)
        self.nin_shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class AttentionBlock(nn.Module):
    """Attention of one head among all places of `(B, C, H, W)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        h = self.norm(x)
        q, k, v = (rearrange(part(h), "b c h w -> b 1 (h w) c") for part in (self.q, self.k, self.v))
        a = F.scaled_dot_product_attention(q, k, v)  # (B, 1, H W, C)
        return x + self.proj_out(rearrange(a, "b 1 (h w) c -> b c h w", h=x.shape[2]))


class Downsample(nn.Module):
    """Half the resolution: padded on the right and below alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, C, H / 2, W / 2)`."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the resolution: each pixel repeated, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, C, 2 H, 2 W)`."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    """What stands at the lowest resolution; without the attention where it is local."""

    def __init__(self, channels: int, side: int = 3, local: bool = False) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, side, local)
        self.attn_1 = None if local else AttentionBlock(channels)
        self.block_2 = ResidualBlock(channels, channels, side, local)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        x = self.block_1(x)
        return self.block_2(x if self.attn_1 is None else self.attn_1(x))


class Level(nn.Module):
    """The blocks of one resolution; `downsample` or `upsample` leads to the next."""

    def __init__(self, c_in: int, c_out: int, blocks: int, side: int = 3, local: bool = False) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(c_in if i == 0 else c_out, c_out, side, local) for i in range(blocks))
        # taming keeps a list of attentions a level; none of the published configs has any there
        self.attn = nn.ModuleList()
        self.downsample: Downsample | None = None
        self.upsample: Upsample | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the level's output at the resolution that it leads to."""
        for block in self.block:
            x = block(x)
        for change in (self.downsample, self.upsample):
            x = x if change is None else change(x)
        return x


class Encoder(nn.Module):
    """Pictures `(B, 3, H, W)` to latents `(B, latent_channels, H / down, W / down)`."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        widths = [config.channels * m for m in config.multipliers]
        self.patch = config.patch
        local, side = config.local, 1 if config.local else 3
        first = 1 + 2 * config.reach if local else 3
        self.conv_in = nn.Conv2d(3 * config.patch**2, config.channels, first, padding=first // 2)
        starts = [config.channels, *widths[:-1]]
        self.down = nn.ModuleList(Level(a, b, config.blocks, side, local) for a, b in zip(starts, widths, strict=True))
        for level, width in zip(list(self.down)[:-1], widths, strict=False):
            level.downsample = Downsample(width)
        self.mid = Middle(widths[-1], side, local)
        self.norm_out = _norm(widths[-1], local)
        self.conv_out = nn.Conv2d(widths[-1], config.latent_channels, side, padding=side // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the latents of pictures in [-1, 1]."""
        x = self.conv_in(F.pixel_unshuffle(x, self.patch))
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Palette(nn.Module):
    """Pictures `(B, 3, H, W)` to `(B, palette, H / down, W / down)`: which colours a square has, whatever their places.

    How far a square's colours reach in each of a number of directions says which they are, and neither how many pixels
    have them nor, since a mixture reaches no farther than what it is mixed of, where edges are smoothed.
    """

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        width = config.channels // 2
        self.down = config.down
        self.directions = nn.Conv2d(3, width, 1)
        nn.init.normal_(self.directions.weight)
        nn.init.uniform_(self.directions.get_parameter("bias"), -1, 1)
        self.block = nn.ModuleList(ResidualBlock(width, width, 1, local=True) for _ in range(2))
        self.norm_out = _norm(width, local=True)
        self.conv_out = nn.Conv2d(width, config.palette, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the palettes of pictures in [-1, 1]."""
        x = F.max_pool2d(self.directions(x), self.down)
        for block in self.block:
            x = block(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class PartedEncoder(nn.Module):
    """Pictures `(B, 3, H, W)` to latents `(B, code_channels, H / down, W / down)`: palettes, then geometries.

    A code that mixes the two is a hash: a block of another colour has another code in every channel, and a transformer
    must learn each pair of colour and outline by itself.
    """

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        self.down = config.down
        self.palette = Palette(config)
        self.geometry = Encoder(replace(config, latent_channels=config.code_channels - config.palette))

    def forward(self, x: Tensor) -> Tensor:
        """Return the latents of pictures in [-1, 1]."""
        return torch.cat((self.palette(x), self.geometry(outlines(x, self.down))), 1)


class Decoder(nn.Module):
    """Latents `(B, latent_channels, h, w)` to pictures `(B, 3, h * down, w * down)`, about in [-1, 1]."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        shape, local = config.drawn_by, config.local
        widths = [shape.channels * m for m in shape.multipliers]
        self.patch = shape.patch
        self.conv_in = nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], 3, local)
        starts = [*widths[1:], widths[-1]]
        self.up = nn.ModuleList(Level(a, b, shape.blocks, 3, local) for a, b in zip(starts, widths, strict=True))
        for level, width in zip(list(self.up)[1:], widths[1:], strict=True):
            level.upsample = Upsample(width)
        self.norm_out = _norm(widths[0], local)
        self.conv_out = nn.Conv2d(widths[0], 3 * shape.patch**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the pictures of latents."""
        return self.drawn(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Return what pictures are drawn from, `(B, channels, H / patch, W / patch)`."""
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return F.silu(self.norm_out(x))

    def drawn(self, features: Tensor) -> Tensor:
        """Return the pictures of features."""
        return F.pixel_shuffle(self.conv_out(features), self.patch)


class Codebook(nn.Module):
    """The vectors `(codes, code_channels)` that latents are rounded to: learnt ones, or a fixed lattice.

    On a lattice each channel has a few levels, evenly spaced from -1 to 1, and every combination is a code, so that
    none can fall out of use and no channel can be given up.

    Source of the lattice: finite scalar quantisation, Mentzer et al. 2023, arXiv:2309.15505.
    """

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        self.levels = config.levels
        self.embedding = nn.Embedding(config.codes, config.code_channels)
        nn.init.uniform_(self.embedding.weight, -1 / config.codes, 1 / config.codes)
        if self.levels:
            if len(self.levels) != config.code_channels or math.prod(self.levels) != config.codes:
                raise ValueError(f"levels {self.levels} do not make {config.codes} codes of {config.code_channels}")
            axes = [torch.linspace(-1, 1, count) for count in self.levels]
            self.embedding.weight = nn.Parameter(torch.cartesian_prod(*axes), requires_grad=False)

    @property
    def gaps(self) -> Tensor:
        """The distances `(code_channels, 1, 1)` from level to level; 1 where codes are learnt."""
        gaps = [2 / (count - 1) for count in self.levels] or [1.0] * self.embedding.weight.shape[1]
        return torch.tensor(gaps, device=self.embedding.weight.device)[:, None, None]

    def bounded(self, latents: Tensor) -> Tensor:
        """Return latents `(B, C, h, w)` within half a step of the lattice, as they are where codes are learnt."""
        if not self.levels:
            return latents
        reach = torch.tensor([1 + 0.9 / (count - 1) for count in self.levels], device=latents.device)
        return latents.float().tanh() * reach[:, None, None]

    def nearest(self, latents: Tensor) -> Tensor:
        """Return the ids `(B, h * w)`, row by row, of the codes nearest to latents `(B, code_channels, h, w)`."""
        flat = rearrange(latents, "b c h w -> b (h w) c").float()
        if self.levels:
            ids = flat.new_zeros(flat.shape[:2], dtype=torch.long)
            for channel, count in enumerate(self.levels):
                level = ((flat[..., channel] + 1) * ((count - 1) / 2)).round().clamp(0, count - 1)
                ids = ids * count + level.long()
            return ids
        book = self.embedding.weight.float()
        # |z - e|^2 without |z|^2, which is the same for every code
        return (book.square().sum(1) - 2 * flat @ book.T).argmin(2)


class ImageTokenizer(nn.Module):
    """Pictures in [-1, 1] to codes and back; without a decoder, only to codes."""

    def __init__(self, config: ImageTokenizerConfig, draws: bool = True) -> None:
        super().__init__()
        self.config = config
        self.encoder: nn.Module = PartedEncoder(config) if config.palette else Encoder(config)
        self.decoder = Decoder(config) if draws else None
        self.quantize = Codebook(config)
        self.quant_conv: nn.Module = nn.Identity()
        if not config.palette:
            self.quant_conv = nn.Conv2d(config.latent_channels, config.code_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.code_channels, config.latent_channels, 1)

    def latents(self, pictures: Tensor) -> Tensor:
        """Return `(B, code_channels, grid, grid)` for pictures `(B, 3, pixels, pixels)`."""
        return self.quantize.bounded(self.quant_conv(self.encoder(pictures)))

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the codes `(B, grid * grid)` of pictures `(B, 3, pixels, pixels)` in [-1, 1], row by row.

        Raises:
            ValueError: the pictures have another shape.
        """
        wanted = (3, self.config.pixels, self.config.pixels)
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != wanted:
            raise ValueError(f"pictures of shape {tuple(pictures.shape)} do not fit; resize them to (B, {wanted})")
        return self.quantize.nearest(self.latents(pictures))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the pictures `(B, 3, pixels, pixels)`, clipped to [-1, 1], of codes `(B, grid * grid)`.

        Raises:
            ValueError: there are too few or too many codes, one is out of range, or there is no decoder.
        """
        grid = self.config.grid
        if codes.ndim != 2 or codes.shape[1] != grid * grid:
            raise ValueError(f"{tuple(codes.shape)} codes do not make a picture; {grid * grid} are needed")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.config.codes:
            raise ValueError(
                f"a code lies outside 0 to {self.config.codes - 1}: {int(codes.min())}, {int(codes.max())}"
            )
        vectors = rearrange(self.quantize.embedding(codes), "b (h w) c -> b c h w", h=grid)
        return self.reconstruct(vectors).clamp(-1, 1)

    def reconstruct(self, vectors: Tensor) -> Tensor:
        """Return the pictures of code vectors `(B, code_channels, grid, grid)`, not clipped.

        Raises:
            ValueError: there is no decoder.
        """
        if self.decoder is None:
            raise ValueError(NO_DECODER)
        return self.decoder(self.post_quant_conv(vectors))
