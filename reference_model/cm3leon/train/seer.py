"""The frozen network that judges an image tokenizer's pictures: it tells the class of every pixel of a real one.

Absolute error hardly knows a blurred star from a diamond; this network does. The tokenizer is trained to be told apart
by it as the real picture is: the perceptual term of taming's VQGAN, with Make-A-Scene's stress on objects.

Source: Esser et al. 2021, arXiv:2012.09841; Gafni et al. 2022, arXiv:2203.13131.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cm3leon.train.loop import Batch
from cm3leon.train.records import Source, in_range

_CHANNELS, _PATCH = 48, 2


class Seer(nn.Module):
    """Pictures `(B, 3, H, W)` in [-1, 1] to what each pixel shows."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * _PATCH**2, _CHANNELS, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(dilation) for dilation in (1, 2, 4, 2))
        self.last = nn.Conv2d(_CHANNELS, classes * _PATCH**2, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(B, C, H / 2, W / 2)`, and the logits `(B, classes, H, W)` of each pixel's class."""
        x = self.first(F.pixel_unshuffle(pictures, _PATCH))
        for block in self.blocks:
            x = block(x)
        return x, F.pixel_shuffle(self.last(F.silu(x)), _PATCH)


class _Block(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, _CHANNELS)
        self.near = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1)
        self.far = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.far(F.silu(self.near(F.silu(self.norm(x)))))


class SeerStage:
    """Trains the network on records' pictures and the kinds of their pixels."""

    def __init__(self, seer: Seer, source: Source, batch: int = 32, device: str = "cpu") -> None:
        self._seer = seer.to(device).to(memory_format=torch.channels_last)
        self._run: Callable[[Tensor], tuple[Tensor, Tensor]] = torch.compile(self._seer)
        self._source, self._batch = source, batch

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self._seer

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Return one AdamW."""
        return [torch.optim.AdamW(self._seer.parameters(), rate, betas=(0.9, 0.95))]

    def batch(self, number: int) -> Batch:
        """Return `pictures` `(B, H, W, 3)` and the kind `(B, H, W)` of each pixel."""
        records = [self._source(place) for place in range(number * self._batch, (number + 1) * self._batch)]
        pictures = torch.from_numpy(np.stack([record.pixels() for record in records]))
        return {"pictures": pictures, "kinds": torch.from_numpy(np.stack([record.kinds() for record in records]))}

    def losses(self, step: int, batch: Batch) -> Mapping[str, Tensor]:
        """Return the cross-entropy, and how many pixels of objects are told right."""
        kinds = batch["kinds"].long()
        with torch.autocast(kinds.device.type, torch.bfloat16):
            _, logits = self._run(in_range(batch["pictures"]))
        loss = F.cross_entropy(logits.float(), kinds)
        inside = kinds > 0
        return {"loss": loss, "right": (logits.argmax(1)[inside] == kinds[inside]).float().mean()}

    def after(self, step: int) -> None:
        """Do nothing more."""
