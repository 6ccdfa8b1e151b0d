"""From pixels to the input of a 299 x 299 network, in each way exactly as its tool does it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch.nn import functional

from evalkit.features.inputs import NETWORK_SIZE, InputProtocol, Preparation
from evalkit.images import Pixels

Planes = npt.NDArray[np.float32]
"""`(3, H, W)`."""


def network_input(pixels: Pixels, prepared: Preparation, inputs: InputProtocol) -> Planes:
    """Return what the network sees of a picture `(H, W, 3)`: `(3, 299, 299)` float32, about -1 to 1."""
    pixels = prepare(pixels, prepared)
    if inputs.scale == "2x/255-1":
        # pytorch-fid scales before it resizes, which rounds differently.
        return resized(_planes(pixels) / np.float32(255), inputs) * np.float32(2) - np.float32(1)
    return (resized(_planes(pixels), inputs) - np.float32(128)) / np.float32(128)


def prepare(pixels: Pixels, prepared: Preparation) -> Pixels:
    """Return the pixels after the crop and resize that come before any tool's own.

    `resize-crop` is torch-fidelity's `samples_resize_and_crop`: the shorter side to `size` with Pillow's antialiased
    bilinear filter, then the centre. `crop-lanczos` is the centre square first, then Lanczos, as in the evaluation of
    GigaGAN (arXiv:2303.05511).
    """
    if prepared.kind == "native":
        return pixels
    picture = PillowImage.fromarray(pixels)
    size = prepared.size
    if prepared.kind == "resize-crop":
        picture = picture.resize(short_side_to(size, picture.size), PillowImage.Resampling.BILINEAR)
        return np.asarray(centre(picture, size))
    square = centre(picture, min(picture.size))
    return np.asarray(square.resize((size, size), PillowImage.Resampling.LANCZOS))


def short_side_to(size: int, wide_high: tuple[int, int]) -> tuple[int, int]:
    """Return width and height with the shorter one `size`; the longer one is rounded down, as torchvision does.

    >>> short_side_to(256, (640, 427))
    (383, 256)
    """
    width, height = wide_high
    if width <= height:
        return size, int(size * height / width)
    return int(size * width / height), size


def centre(picture: PillowImage.Image, size: int, *, floor: bool = False) -> PillowImage.Image:
    """Return the centre square; an odd rest is split as torchvision does, by rounding half to even, or down."""
    half = math.floor if floor else round
    left = half((picture.width - size) / 2)
    top = half((picture.height - size) / 2)
    return picture.crop((left, top, left + size, top + size))


def resized(planes: Planes, inputs: InputProtocol) -> Planes:
    """Return planes of 299 x 299, not scaled and not rounded to 8 bits."""
    if inputs.resize == "bilinear-tf1":
        return _bilinear_tf1(planes)
    if inputs.resize == "bicubic-pil":
        return _bicubic_pil(planes)
    return _bilinear_torch(planes, inputs.antialias)


def _planes(pixels: Pixels) -> Planes:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)


def _bilinear_tf1(planes: Planes) -> Planes:
    """Return a bilinear resize with sample points at i * in / out, as TensorFlow 1 places them.

    Source: torch-fidelity's `interpolate_bilinear_2d_like_tensorflow1x`, whose bits these are: along x first, in
    float32, with the scale rounded to float32.
    """
    _, height, width = planes.shape
    left, right, dx = _samples_tf1(width)
    top, bottom, dy = _samples_tf1(height)
    from_left = planes[:, :, left]
    across = from_left + (planes[:, :, right] - from_left) * dx
    from_top = across[:, top]
    return from_top + (across[:, bottom] - from_top) * dy[:, None]


def _samples_tf1(size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return for each of 299 samples its two neighbours among `size` points, and how far it is from the first."""
    at = np.arange(NETWORK_SIZE, dtype=np.float32) * np.float32(size / NETWORK_SIZE)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, size - 1), at - low.astype(np.float32)


def _bilinear_torch(planes: Planes, antialias: bool) -> Planes:
    with torch.inference_mode():
        batch = torch.from_numpy(planes)[None]
        size = (NETWORK_SIZE, NETWORK_SIZE)
        out = functional.interpolate(batch, size=size, mode="bilinear", align_corners=False, antialias=antialias)
        return out[0].numpy()


def _bicubic_pil(planes: Planes) -> Planes:
    """Return each plane resized by Pillow in floating point with antialias, and cut to 0..255.

    Source: clean-fid's `make_resizer("PIL", False, "bicubic", (299, 299))`, arXiv:2104.11222.
    """
    size = (NETWORK_SIZE, NETWORK_SIZE)
    out = [PillowImage.fromarray(plane).resize(size, PillowImage.Resampling.BICUBIC) for plane in planes]
    return np.stack([np.asarray(plane) for plane in out]).clip(0, 255)
