"""Objects on the grounds of other pictures: what a palette should not be changed by."""

from __future__ import annotations

import torch
from torch import Tensor


def on_other_grounds(pictures: Tensor, objects: Tensor) -> Tensor:
    """Return pictures `(B, 3, H, W)`, the pixels of each that are not `objects` `(B, H, W)` being the next picture's.

    Where the next has an object there is the mean of its ground instead. Smoothed edges keep a trace of the old ground.
    """
    others, ground = pictures.roll(-1, 0), ~objects.roll(-1, 0)[:, None]
    pixels = ground.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (others * ground).sum((2, 3), keepdim=True) / pixels
    return torch.where(objects[:, None], pictures, torch.where(ground, others, mean))
