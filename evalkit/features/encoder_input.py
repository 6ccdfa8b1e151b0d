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
    else:
        picture = PillowImage.fromarray(pixels)
        sides = short_side_to(inputs.short_side, picture.size)
        picture = centre(picture.resize(sides, PillowImage.Resampling.BICUBIC), inputs.size)
        planes = np.asarray(picture, np.float32).transpose(2, 0, 1) / np.float32(255)
    mean = np.asarray(inputs.mean, np.float32)[:, None, None]
    std = np.asarray(inputs.std, np.float32)[:, None, None]
    return (planes - mean) / std


def _squashed(pixels: Pixels, inputs: EncoderInput) -> Planes:
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)) / 255
    if inputs.shifted:
        planes = planes * 2 - 1
    size = (inputs.size, inputs.size)
    return functional.interpolate(planes[None], size=size, mode="bicubic", align_corners=False)[0].numpy()
