"""From pixels to the input of CLIP or DINO, in each way as the tool that a protocol names does it."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as PillowImage
from torch.nn import functional

from evalkit.features.backbones import EncoderInput
from evalkit.features.resize import Planes, centre, short_side_to
from evalkit.images import Pixels


def encoder_input(pixels: Pixels, inputs: EncoderInput) -> Planes:
    """Return what the encoder sees of a picture `(H, W, 3)`: `(3, size, size)` float32, normalised."""
    if inputs.kind == "squash-torch":
        planes = _squashed(pixels, inputs)
    elif inputs.kind == "fit-torch":
        planes = _fitted(pixels, inputs.size)
    else:
        picture = PillowImage.fromarray(pixels)
        sides = short_side_to(inputs.short_side, picture.size)
        picture = centre(picture.resize(sides, PillowImage.Resampling.BICUBIC), inputs.size, floor=inputs.floor)
        planes = np.asarray(picture, np.float32).transpose(2, 0, 1) / np.float32(255)
    mean = np.asarray(inputs.mean, np.float32)[:, None, None]
    std = np.asarray(inputs.std, np.float32)[:, None, None]
    return (planes - mean) / std


def _fitted(pixels: Pixels, size: int) -> Planes:
    """Return `(3, size, size)`, 0 to 1 but for what bicubic overshoots: HPSv2's `ResizeMaxSize`."""
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)) / 255
    scale = size / max(planes.shape[1:])
    if scale == 1:
        high, wide = planes.shape[1:]
    else:
        high, wide = (max(round(side * scale), 1) for side in planes.shape[1:])
        planes = functional.interpolate(
            planes[None], size=(high, wide), mode="bicubic", align_corners=False, antialias=True
        )[0]
    above, left = (size - high) // 2, (size - wide) // 2
    return functional.pad(planes, (left, size - wide - left, above, size - high - above)).numpy()


def _squashed(pixels: Pixels, inputs: EncoderInput) -> Planes:
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)) / 255
    if inputs.shifted:
        planes = planes * 2 - 1
    size = (inputs.size, inputs.size)
    return functional.interpolate(planes[None], size=size, mode="bicubic", align_corners=False)[0].numpy()
