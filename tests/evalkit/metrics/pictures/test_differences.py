"""PSNR, SSIM and MS-SSIM: official values, scikit-image, torchmetrics, and closed forms."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from evalkit.errors import DataError
from evalkit.images import Pixels, decode
from evalkit.metrics.pictures.differences import mean_absolute, mean_square, ms_ssim, psnr, ssim, ssim_of_torchmetrics
from tests.evalkit.features.conftest import photo_like


def _noisy(seed: int, height: int, width: int) -> tuple[Pixels, Pixels]:
    clean = photo_like(seed, height, width)
    noise = np.random.default_rng(seed).normal(0, 20, clean.shape)
    return clean, np.clip(clean + noise, 0, 255).astype(np.uint8)


def test_official_calibration_values(shared_data: Path) -> None:
    folder = shared_data / "golden" / "iqa_calibration"
    with (folder / "results_official.csv").open() as file:
        rows = {row[0]: row[1:] for row in csv.reader(file)}
    for place, name in enumerate(rows["Method"]):
        a, b = (decode(folder / side / name, name) for side in ("ref_dir", "dist_dir"))
        assert psnr(a, b) == pytest.approx(float(rows["psnr"][place]), abs=6e-3), name
        assert ssim(a, b, "grey") == pytest.approx(float(rows["ssim"][place]), abs=6e-5), name
        assert ms_ssim(a, b, "grey", "sum") == pytest.approx(float(rows["ms_ssim"][place]), abs=6e-5), name


@pytest.mark.parametrize("size", [(40, 64), (64, 64), (181, 203)])
def test_scikit_image_agrees(size: tuple[int, int]) -> None:
    a, b = _noisy(3, *size)
    theirs = structural_similarity(  # type: ignore[no-untyped-call]
        a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(a, b) == pytest.approx(theirs, abs=1e-9)
    ratio = peak_signal_noise_ratio(a, b, data_range=255)  # type: ignore[no-untyped-call]
    assert psnr(a, b) == pytest.approx(ratio, abs=1e-9)


@pytest.mark.parametrize("size", [(176, 192), (192, 256)])
def test_torchmetrics_agrees(size: tuple[int, int]) -> None:
    a, b = _noisy(4, *size)
    one, other = (torch.from_numpy(p.transpose(2, 0, 1)[None] / 255.0) for p in (a, b))
    similar = structural_similarity_index_measure(one, other, data_range=1.0)
    theirs = multiscale_structural_similarity_index_measure(one, other, data_range=1.0)
    assert isinstance(similar, torch.Tensor)
    assert ssim_of_torchmetrics(a, b) == pytest.approx(float(similar), abs=1e-6)
    # torchmetrics mirrors the border at the coarsest scale, which moves the product by a few thousandths.
    assert ms_ssim(a, b) == pytest.approx(float(theirs), abs=5e-3)


def test_equal_pictures_are_perfect() -> None:
    a = photo_like(1, 176, 176)
    assert (mean_absolute(a, a), mean_square(a, a), psnr(a, a)) == (0.0, 0.0, math.inf)
    assert ssim(a, a) == pytest.approx(1)
    assert ms_ssim(a, a) == pytest.approx(1)


def test_a_picture_too_small_is_an_error_that_says_how_small() -> None:
    small = photo_like(1, 10, 64)
    with pytest.raises(DataError, match="at least 11 x 11 pixels, not 64 x 10"):
        ssim(small, small)
    with pytest.raises(DataError, match="more than 160 pixels"):
        ms_ssim(photo_like(1, 160, 200), photo_like(1, 160, 200))


def test_other_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="one size"):
        mean_absolute(photo_like(1, 8, 8), photo_like(1, 8, 9))
