"""The stage that trains the image tokenizer: straight-through codes, a codebook of running means, dead codes reset.

First the autoencoder learns alone for `warmup` steps; then the codebook starts from k-means of its latents, so that
every code begins in use. Half of the maps that structure-guided jobs show are among the pictures.

Source: van den Oord et al. 2017, arXiv:1711.00937, appendix A.1 (running means); Dhariwal et al. 2020, arXiv:2005.00341
(random restarts of unused codes); Esser et al. 2021, arXiv:2012.09841 (perceptual term).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.label_maps import painted
from cm3leon.train.grounds import on_other_grounds
from cm3leon.train.loop import Batch
from cm3leon.train.muon import ConvolutionMuon
from cm3leon.train.records import Labels, Pixels, Record, Source, in_range
from cm3leon.train.seer import Seer

_DECAY = 0.99
_DEAD = 0.03
"""A code that is used less than this share of the average is put elsewhere."""
_RESET_EVERY = 20
_KMEANS_ROUNDS = 10
_MAPS = 3
_NARROW = 8
"""Channels up to which a convolution is no matter for Muon: those from and to the code vectors."""


@dataclass(frozen=True, slots=True)
class TokenizerRecipe:
    """What decides the trained weights, besides the schedule."""

    batch: int = 64
    warmup: int = 300
    """Steps before anything is rounded to codes."""
    squared: float = 2.0
    gradient: float = 1.0
    inside: float = 2.0
    """What a pixel of an object weighs more than one of the background."""
    kinds: int = 22
    """Kinds of pixels that the records tell apart."""
    told: float = 0.1
    """Weight of telling each pixel's kind from what a picture is drawn from."""
    commitment: float = 0.25
    """Weight of how far latents are from their codes."""
    settling: int = 0
    """Steps before latents of a lattice are drawn to their codes, and again until that has its full weight."""
    perceptual: float = 1.0
    """Weight of what the seer makes of the pictures; 0 is to train without one."""
    grounds: float = 0.0
    """Share of the pictures whose objects are to have the same palettes on the ground of another (`grounds`)."""
    fixed: bool = False
    """Whether codes stay as they are, so that only what draws them is trained."""
    muon_rate: float = 0.0
    """Muon's rate for the convolutions as a multiple of AdamW's; 0 is AdamW for all."""
    crowded: bool = False
    """Whether every second picture is of the last of the source's three strata, which has the most to tell."""
    seed: int = 0


class TokenizerModule(nn.Module):
    """The tokenizer with the running means of its codebook, and a head that tells each pixel's kind."""

    def __init__(self, tokenizer: ImageTokenizer, kinds: int) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        codes, channels = tokenizer.quantize.embedding.weight.shape
        self.counts: Tensor
        self.sums: Tensor
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, channels))
        shape = tokenizer.config.drawn_by
        self.kinds = nn.Conv2d(shape.channels * shape.multipliers[0], kinds * shape.patch**2, 1)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pictures of code vectors, and the logits `(B, kinds, H, W)` of each pixel's kind."""
        decoder = self.tokenizer.decoder
        if decoder is None:
            raise ValueError("an image tokenizer without a decoder cannot be trained; build it with one")
        features = decoder.features(self.tokenizer.post_quant_conv(vectors))
        return decoder.drawn(features), F.pixel_shuffle(self.kinds(features), decoder.patch)


class TokenizerStage:
    """Trains an image tokenizer on the pictures and maps of records."""

    def __init__(
        self,
        tokenizer: ImageTokenizer,
        source: Source,
        recipe: TokenizerRecipe,
        seer: Seer | None = None,
        device: str = "cpu",
    ) -> None:
        self._module = TokenizerModule(tokenizer, recipe.kinds).to(device)
        if not tokenizer.config.local:
            self._module.to(memory_format=torch.channels_last)
        tokenizer.quantize.embedding.weight.requires_grad_(False)
        if recipe.fixed:
            tokenizer.encoder.requires_grad_(False)
            tokenizer.quant_conv.requires_grad_(False)
        self._source, self._recipe = source, recipe
        self._seer: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
        if seer is not None:
            self._seer = torch.compile(seer.to(device).eval().requires_grad_(False))
        # a CPU runs the squares' convolutions faster as they are
        eager = device == "cpu" and tokenizer.config.local
        self._latents = tokenizer.latents if eager else torch.compile(tokenizer.latents)
        self._reconstruct: Callable[[Tensor], tuple[Tensor, Tensor]]
        self._reconstruct = self._module if eager else torch.compile(self._module)
        self._seen: tuple[Tensor, Tensor] | None = None

    @property
    def module(self) -> nn.Module:
        """The tokenizer and its running means."""
        return self._module

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Return AdamW over all that is trained, or Muon for the wide convolutions and AdamW for the rest."""
        weights = [weight for weight in self._module.parameters() if weight.requires_grad]
        wide = [weight for weight in weights if weight.ndim == 4 and min(weight.shape[:2]) > _NARROW]
        if not self._recipe.muon_rate:
            wide = []
        inside = {id(weight) for weight in wide}
        others = [weight for weight in weights if id(weight) not in inside]
        adam = torch.optim.AdamW(others, rate, betas=(0.9, 0.95), weight_decay=1e-4)
        return [adam, ConvolutionMuon(wide, rate * self._recipe.muon_rate)] if wide else [adam]

    def batch(self, number: int) -> Batch:
        """Return `pictures` `(B, H, W, 3)`, and the class and kind of each pixel, `labels` and `kinds` `(B, H, W)`.

        The kind is -1 throughout a map, which has none.
        """
        first = number * self._recipe.batch
        places: Sequence[int] = range(first, first + self._recipe.batch)
        if self._recipe.crowded:
            places = [place if place % 2 else 3 * place + 2 for place in places]
        drawn = [_seen(self._source(place), place) for place in places]
        pictures, labels, kinds = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        return {"pictures": pictures, "labels": labels, "kinds": kinds}

    def losses(self, step: int, batch: Batch) -> Mapping[str, Tensor]:
        """Return a batch's losses: absolute, squared, gradient, kind, commitment, perceptual, and the palettes'."""
        recipe, device = self._recipe, self._module.counts.device
        x, objects = in_range(batch["pictures"]), batch["labels"] > 0
        moved = on_other_grounds(x, objects)[: round(recipe.grounds * len(x))]
        with torch.autocast(device.type, torch.bfloat16):
            latents = self._latents(torch.cat((x, moved))).float()
        latents, elsewhere = latents[: len(x)], latents[len(x) :]
        vectors, commitment, alike = latents, x.new_zeros(()), x.new_zeros(())
        learnt = not self._module.tokenizer.config.levels
        if learnt and step == recipe.warmup:
            self._start_codebook(latents.detach())
        if step >= recipe.warmup:
            vectors, commitment = self._rounded(latents)
            alike = self._palettes_apart(vectors.detach(), elsewhere, objects)
        with torch.autocast(device.type, torch.bfloat16):
            y, logits = self._reconstruct(vectors)
        kinds = batch["kinds"].long()
        parts = self._compared(x, y.float(), objects)
        known = (kinds >= 0).sum().clamp(min=1)
        told = F.cross_entropy(logits.float(), kinds, ignore_index=-1, reduction="sum") / known
        drawn = recipe.commitment * commitment + alike
        if not learnt:
            drawn = drawn * min(max(step - recipe.settling, 0) / max(recipe.settling, 1), 1)
        loss = parts["loss"] + recipe.told * told + drawn
        parts |= {"loss": loss, "told": told, "commitment": commitment, "alike": alike}
        return parts if self._seer is None else self._seen_alike(self._seer, x, y, kinds, parts)

    def _palettes_apart(self, vectors: Tensor, elsewhere: Tensor, objects: Tensor) -> Tensor:
        """Return how far, in levels, palettes on other grounds are from the code vectors, on squares with objects."""
        config, count = self._module.tokenizer.config, len(elsewhere)
        if not count or not config.palette:
            return vectors.new_zeros(())
        held = F.max_pool2d(objects[:count, None].float(), config.down)
        apart = (elsewhere - vectors[:count]) / self._module.tokenizer.quantize.gaps
        return (apart[:, : config.palette] * held).square().mean()

    def _seen_alike(
        self,
        seer: Callable[[Tensor], tuple[Tensor, Tensor]],
        x: Tensor,
        y: Tensor,
        kinds: Tensor,
        parts: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        """Return the losses with the seer's: how it tells the pixels of `y`, and how its features differ."""
        known = kinds[:, 0, 0] >= 0
        with torch.autocast(x.device.type, torch.bfloat16):
            with torch.no_grad():
                wanted, _ = seer(x)
            features, logits = seer(y)
        wrong = F.cross_entropy(logits.float(), kinds, ignore_index=-1, reduction="none").mean((1, 2))
        distance = (features.float() - wanted.float()).square().mean((1, 2, 3))
        told, apart = ((part * known).sum() / known.sum().clamp(min=1) for part in (wrong, distance))
        loss = parts["loss"] + self._recipe.perceptual * (told + 0.1 * apart)
        return {**parts, "loss": loss, "seen": told, "apart": apart}

    def _compared(self, x: Tensor, y: Tensor, inside: Tensor) -> dict[str, Tensor]:
        recipe = self._recipe
        weight = (1 + recipe.inside * inside)[:, None]
        absolute, squared = ((y - x).abs() * weight).mean(), ((y - x).square() * weight).mean()
        gradient = sum(((y - x).diff(dim=axis).abs().mean() for axis in (2, 3)), x.new_zeros(()))
        loss = absolute + recipe.squared * squared + recipe.gradient * gradient
        return {"loss": loss, "absolute": absolute, "gradient": gradient}

    def _rounded(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code vectors with the latents' gradient, and how far the latents are from them."""
        quantize = self._module.tokenizer.quantize
        with torch.no_grad():
            ids = quantize.nearest(latents).reshape(-1)
        if not quantize.levels:
            self._seen = (rearrange(latents.detach(), "b c h w -> (b h w) c"), ids)
        grid = latents.shape[2]
        vectors = rearrange(quantize.embedding.weight[ids], "(b h w) c -> b c h w", h=grid, w=grid)
        return latents + (vectors - latents).detach(), ((latents - vectors) / quantize.gaps).square().mean()

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Move each code towards the mean of what was rounded to it, and dead codes to latents of this batch."""
        if self._seen is None:
            return
        latents, ids = self._seen
        book, counts, sums = self._module.tokenizer.quantize.embedding.weight, self._module.counts, self._module.sums
        counts.mul_(_DECAY).add_(torch.bincount(ids, minlength=len(book)), alpha=1 - _DECAY)
        sums.mul_(_DECAY).add_(torch.zeros_like(sums).index_add_(0, ids, latents), alpha=1 - _DECAY)
        if step % _RESET_EVERY == 0:
            average = len(ids) / len(book)
            dead = counts < _DEAD * average
            picked = latents[self._drawn(step, len(latents), int(dead.sum()))]
            counts[dead] = 0.3 * average
            sums[dead] = picked * 0.3 * average
        book.copy_(sums / counts.clamp(min=1e-5)[:, None])

    @torch.no_grad()
    def _start_codebook(self, latents: Tensor) -> None:
        flat = rearrange(latents, "b c h w -> (b h w) c")
        quantize = self._module.tokenizer.quantize
        book = quantize.embedding.weight
        book.copy_(flat[self._drawn(0, len(flat), len(book))])
        for number in range(1, _KMEANS_ROUNDS + 1):
            ids = quantize.nearest(latents).reshape(-1)
            counts = torch.bincount(ids, minlength=len(book)).float()
            means = torch.zeros_like(book).index_add_(0, ids, flat) / counts.clamp(min=1)[:, None]
            book.copy_(torch.where(counts[:, None] > 0, means, flat[self._drawn(number, len(flat), len(book))]))
        self._module.counts.copy_(counts.clamp(min=0.5))
        self._module.sums.copy_(book * self._module.counts[:, None])

    def _drawn(self, number: int, among: int, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(self._recipe.seed * 1_000_003 + number)
        return torch.randint(among, (count,), generator=generator).to(self._module.counts.device)


def _seen(record: Record, index: int) -> tuple[Pixels, Labels, npt.NDArray[np.int16]]:
    """Return what `picture` returns, with the class and the kind of each pixel."""
    kinds = record.kinds().astype(np.int16)
    return picture(record, index), record.labels(), np.full_like(kinds, -1) if _is_map(index) else kinds


def _is_map(index: int) -> bool:
    # whatever the period of the source's strata, each turn meets all of them
    return index // 3 % 9 < _MAPS


def picture(record: Record, index: int) -> Pixels:
    """Return the record's picture; one in three times its outlines, depth or painted label map instead."""
    maps: tuple[Callable[[], Pixels], ...] = (record.edges, record.depth, partial(_painted, record))
    return maps[index // 3 % 9]() if _is_map(index) else record.pixels()


def _painted(record: Record) -> Pixels:
    return painted(record.labels())
