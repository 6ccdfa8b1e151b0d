"""Network inputs against the tools' own code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from torch.nn import functional
from torchvision import transforms

from evalkit.features.inputs import INPUT_PROTOCOLS, input_protocol, preparation
from evalkit.features.resize import network_input, prepare
from evalkit.images import Pixels
from tests.evalkit.features.conftest import photo_like

NATIVE = preparation("native")
SIZES = [(64, 64), (1, 1), (8, 200), (256, 256), (299, 299), (300, 298), (427, 640), (700, 33)]


def _batch(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def _torch_fidelity(pixels: Pixels) -> torch.Tensor:
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    resized: torch.Tensor = interpolate_bilinear_2d_like_tensorflow1x(
        _batch(pixels).float(), (299, 299), align_corners=False
    )
    return (resized - 128) / 128


def _pytorch_fid(pixels: Pixels) -> torch.Tensor:
    scaled: torch.Tensor = transforms.ToTensor()(PillowImage.fromarray(pixels))[None]
    return 2 * functional.interpolate(scaled, size=(299, 299), mode="bilinear", align_corners=False) - 1


def _clean_fid(pixels: Pixels) -> torch.Tensor:
    from cleanfid.resize import build_resizer

    resized: torch.Tensor = transforms.ToTensor()(build_resizer("clean")(pixels))[None]
    return (resized - 128) / 128


def _torchmetrics(pixels: Pixels) -> torch.Tensor:
    resized = functional.interpolate(
        _batch(pixels).float(), size=(299, 299), mode="bilinear", align_corners=False, antialias=True
    )
    return (resized - 128) / 128


TOOLS = {
    "torch-fidelity": _torch_fidelity,
    "pytorch-fid": _pytorch_fid,
    "clean-fid": _clean_fid,
    "torchmetrics": _torchmetrics,
}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")  # in clean-fid
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", INPUT_PROTOCOLS)
def test_the_input_is_the_tool_s_own(name: str, size: tuple[int, int]) -> None:
    pixels = photo_like(1, *size)
    ours = network_input(pixels, NATIVE, input_protocol(name))
    assert ours.shape == (3, 299, 299)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, TOOLS[name](pixels)[0].numpy(), rtol=0, atol=3e-7)


def test_tf1_bilinear_has_the_tool_s_bits() -> None:
    for size in SIZES:
        pixels = photo_like(2, *size)
        ours = network_input(pixels, NATIVE, input_protocol("torch-fidelity"))
        assert np.array_equal(ours, _torch_fidelity(pixels)[0].numpy())


@pytest.mark.parametrize("name", INPUT_PROTOCOLS)
@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_flat_picture_stays_flat(name: str, level: int) -> None:
    seen = network_input(np.full((50, 80, 3), level, np.uint8), NATIVE, input_protocol(name))
    expected = level / 127.5 - 1 if name == "pytorch-fid" else (level - 128) / 128
    np.testing.assert_allclose(seen, expected, atol=1e-5)


@pytest.mark.parametrize("size", [32, 64, 256])
@given(height=st.integers(8, 300), width=st.integers(8, 300))
@settings(max_examples=25, deadline=None)
def test_resize_crop_is_torchvision_s(size: int, height: int, width: int) -> None:
    pixels = photo_like(3, height, width)
    theirs = transforms.Compose([transforms.Resize(size), transforms.CenterCrop(size)])
    ours = prepare(pixels, preparation(f"resize-crop-{size}"))
    assert np.array_equal(ours, np.asarray(theirs(PillowImage.fromarray(pixels))))


@given(height=st.integers(1, 200), width=st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_crop_lanczos_is_the_centre_square_and_pillow_s_lanczos(height: int, width: int) -> None:
    pixels = photo_like(4, height, width)
    square = transforms.functional.center_crop(PillowImage.fromarray(pixels), min(height, width))
    theirs = square.resize((64, 64), PillowImage.Resampling.LANCZOS)
    assert np.array_equal(prepare(pixels, preparation("crop-lanczos-64")), np.asarray(theirs))
