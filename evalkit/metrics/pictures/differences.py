"""Differences of two pictures that need no weights: L1, L2, PSNR, SSIM and MS-SSIM.

Pictures are `(H, W, 3)`, of one size, as uint8 or as floats in 0 to 255. Everything is computed in float64.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d, uniform_filter

from evalkit.errors import DataError

Picture: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float64]
Doubles: TypeAlias = npt.NDArray[np.float64]

PEAK = 255.0
WINDOW, SIGMA = 11, 1.5
"""Side in pixels and standard deviation of SSIM's Gaussian window."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of MS-SSIM's five scales, the finest first."""
Channels: TypeAlias = Literal["rgb", "grey"]
"""`rgb`: each channel by itself, then their mean. `grey`: one plane, MATLAB's `rgb2gray`, rounded to 8 bits."""
Border: TypeAlias = Literal["inside", "reflect"]
"""Where SSIM's window may stand: wholly `inside`, as in the original, or anywhere, the picture being mirrored."""
Pooling: TypeAlias = Literal["product", "sum"]
"""How MS-SSIM joins its scales: `product` is the paper's, `sum` the weighted mean that its MATLAB code also offers."""


def mean_absolute(a: Picture, b: Picture) -> float:
    """Return the mean absolute difference, of values in 0 to 1.

    >>> mean_absolute(np.zeros((1, 1, 3)), np.full((1, 1, 3), 51.0))
    0.2
    """
    _require_one_size(a, b)
    return float(np.abs(a.astype(np.float64) - b).mean()) / PEAK


def mean_square(a: Picture, b: Picture) -> float:
    """Return the mean squared difference, of values in 0 to 1.

    >>> round(mean_square(np.zeros((1, 1, 3)), np.full((1, 1, 3), 51.0)), 9)
    0.04
    """
    _require_one_size(a, b)
    return float(np.square(a.astype(np.float64) - b).mean()) / PEAK**2


def psnr(a: Picture, b: Picture) -> float:
    """Return the peak signal to noise ratio in dB, over all three channels; infinite for equal pictures.

    >>> round(psnr(np.zeros((1, 1, 3)), np.full((1, 1, 3), 25.5)), 6)
    20.0
    """
    error = mean_square(a, b)
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(a: Picture, b: Picture, channels: Channels = "rgb", border: Border = "inside") -> float:
    """Return the structural similarity, at most 1, with a Gaussian window of 11.

    Raises:
        DataError: a side is shorter than the window.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861; k1 0.01, k2 0.03. The MATLAB original shrinks large pictures
    first, which nothing here does.
    """
    _require_one_size(a, b)
    if min(a.shape[:2]) < WINDOW:
        raise DataError(f"SSIM needs pictures of at least {WINDOW} x {WINDOW} pixels, not {a.shape[1]} x {a.shape[0]}")
    if border == "reflect":
        a, b = _mirrored(a), _mirrored(b)
    planes = zip(_planes(a, channels), _planes(b, channels), strict=True)
    return float(np.mean([_similarity(x, y)[0] for x, y in planes]))


def _mirrored(picture: Picture) -> Doubles:
    margin = WINDOW // 2
    return np.pad(picture.astype(np.float64), ((margin, margin), (margin, margin), (0, 0)), mode="reflect")


def ssim_of_torchmetrics(a: Picture, b: Picture) -> float:
    """Return the structural similarity as torchmetrics 1.9 has it: by channel, the border being mirrored."""
    return ssim(a, b, border="reflect")


def ms_ssim(a: Picture, b: Picture, channels: Channels = "rgb", pooling: Pooling = "product") -> float:
    """Return the multi-scale structural similarity, at most 1: five scales, each half the one before.

    Raises:
        DataError: a side is 160 pixels or shorter, so that the coarsest scale does not hold the window.

    Source: Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216. Planes are halved by the mean of 2 x 2 pixels, an odd
    edge being repeated. In a product a negative contrast counts as 0.
    """
    _require_one_size(a, b)
    least = (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1)
    if min(a.shape[:2]) <= least:
        raise DataError(f"MS-SSIM needs sides of more than {least} pixels, not {a.shape[1]} x {a.shape[0]}")
    planes = zip(_planes(a, channels), _planes(b, channels), strict=True)
    return float(np.mean([_multi_scale(x, y, pooling) for x, y in planes]))


def ms_ssim_of_torchmetrics(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Return the multi-scale structural similarity of two planes `(H, W)` as torchmetrics 1.9 has it, at most 1.

    It differs from the original in two places: at the coarsest scale the window may stand anywhere, the plane being
    mirrored, and an odd edge is dropped when a plane is halved. Negative factors count as 0.

    Raises:
        DataError: a side is 175 pixels or shorter.

    Source: torchmetrics 1.9.0, `functional/image/ssim.py`, as ControlNet++ calls it.
    """
    _require_one_size(a, b)
    least = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)
    if min(a.shape) < least:
        raise DataError(f"MS-SSIM needs sides of at least {least} pixels, not {a.shape[1]} x {a.shape[0]}")
    x, y, product = a.astype(np.float64), b.astype(np.float64), 1.0
    for weight in SCALE_WEIGHTS[:-1]:
        product *= max(_similarity(x, y)[1], 0.0) ** weight
        x, y = _halved_whole(x), _halved_whole(y)
    margin = WINDOW // 2
    whole = _similarity(*(np.pad(plane, margin, mode="reflect") for plane in (x, y)))[0]
    return float(product * max(whole, 0.0) ** SCALE_WEIGHTS[-1])


def _halved_whole(plane: Doubles) -> Doubles:
    height, width = plane.shape[0] // 2, plane.shape[1] // 2
    means: Doubles = plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))
    return means


def _multi_scale(a: Doubles, b: Doubles, pooling: Pooling) -> float:
    weights = np.array(SCALE_WEIGHTS)
    values = np.empty(len(weights))
    for scale in range(len(weights)):
        whole, contrast = _similarity(a, b)
        values[scale] = whole if scale == len(weights) - 1 else contrast
        a, b = _halved(a), _halved(b)
    if pooling == "sum":
        return float(values @ weights / weights.sum())
    return float(np.prod(values.clip(min=0) ** weights))


def _halved(plane: Doubles) -> Doubles:
    return uniform_filter(plane, 2, mode="reflect", origin=-1)[::2, ::2]


def _similarity(a: Doubles, b: Doubles) -> tuple[float, float]:
    """Return the mean of the similarity of two planes, and of its part without luminance."""
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_a, mean_b = _windowed(a), _windowed(b)
    var_a = _windowed(a * a) - mean_a**2
    var_b = _windowed(b * b) - mean_b**2
    both = _windowed(a * b) - mean_a * mean_b
    contrast = (2 * both + c2) / (var_a + var_b + c2)
    whole = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) * contrast
    return float(whole.mean()), float(contrast.mean())


def _windowed(plane: Doubles) -> Doubles:
    at = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(at**2) / (2 * SIGMA**2))
    window /= window.sum()
    inside = WINDOW // 2
    across = correlate1d(plane, window, axis=0)[inside:-inside]
    return correlate1d(across, window, axis=1)[:, inside:-inside]


def _planes(picture: Picture, channels: Channels) -> list[Doubles]:
    doubles = picture.astype(np.float64)
    if channels == "rgb":
        return [doubles[:, :, channel] for channel in range(3)]
    return [np.floor(doubles @ np.array([0.298936, 0.587043, 0.114021]) + 0.5)]


def _require_one_size(a: Picture, b: Picture) -> None:
    if a.shape != b.shape:
        raise ValueError(f"two pictures of one size are compared, not of {a.shape} and {b.shape}")
