"""The tensors of the FID Inception, read from each file that carries them; no code in a file is run.

Names are torch-fidelity's (`Mixed_5b.branch1x1`). A convolution holds its weight and the four numbers a channel of the
batch norm that follows it, whose epsilon is 1e-3.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.errors import WeightsError
from evalkit.features.torchscript import Tensor, read_torchscript
from evalkit.weight_files import Layout

BATCH_NORM_EPSILON = 1e-3

_STEM = {
    "Conv2d_1a_3x3": "conv",
    "Conv2d_2a_3x3": "conv_1",
    "Conv2d_2b_3x3": "conv_2",
    "Conv2d_3b_1x1": "conv_3",
    "Conv2d_4a_3x3": "conv_4",
}
_A = {
    "branch1x1": "conv",
    "branch5x5_1": "tower.conv",
    "branch5x5_2": "tower.conv_1",
    "branch3x3dbl_1": "tower_1.conv",
    "branch3x3dbl_2": "tower_1.conv_1",
    "branch3x3dbl_3": "tower_1.conv_2",
    "branch_pool": "tower_2.conv",
}
_B = {
    "branch3x3": "conv",
    "branch3x3dbl_1": "tower.conv",
    "branch3x3dbl_2": "tower.conv_1",
    "branch3x3dbl_3": "tower.conv_2",
}
_C = {
    "branch1x1": "conv",
    "branch7x7_1": "tower.conv",
    "branch7x7_2": "tower.conv_1",
    "branch7x7_3": "tower.conv_2",
    "branch7x7dbl_1": "tower_1.conv",
    "branch7x7dbl_2": "tower_1.conv_1",
    "branch7x7dbl_3": "tower_1.conv_2",
    "branch7x7dbl_4": "tower_1.conv_3",
    "branch7x7dbl_5": "tower_1.conv_4",
    "branch_pool": "tower_2.conv",
}
_D = {
    "branch3x3_1": "tower.conv",
    "branch3x3_2": "tower.conv_1",
    "branch7x7x3_1": "tower_1.conv",
    "branch7x7x3_2": "tower_1.conv_1",
    "branch7x7x3_3": "tower_1.conv_2",
    "branch7x7x3_4": "tower_1.conv_3",
}
_E = {
    "branch1x1": "conv",
    "branch3x3_1": "tower_conv",
    "branch3x3_2a": "tower_mixed_conv",
    "branch3x3_2b": "tower_mixed_conv_1",
    "branch3x3dbl_1": "tower_1_conv",
    "branch3x3dbl_2": "tower_1_conv_1",
    "branch3x3dbl_3a": "tower_1_mixed_conv",
    "branch3x3dbl_3b": "tower_1_mixed_conv_1",
    "branch_pool": "tower_2_conv",
}
_BLOCKS = {
    "Mixed_5b": ("mixed", _A),
    "Mixed_5c": ("mixed_1", _A),
    "Mixed_5d": ("mixed_2", _A),
    "Mixed_6a": ("mixed_3", _B),
    "Mixed_6b": ("mixed_4", _C),
    "Mixed_6c": ("mixed_5", _C),
    "Mixed_6d": ("mixed_6", _C),
    "Mixed_6e": ("mixed_7", _C),
    "Mixed_7a": ("mixed_8", _D),
    "Mixed_7b": ("mixed_9", _E),
    "Mixed_7c": ("mixed_10", _E),
}


@dataclass(frozen=True, slots=True)
class ConvTensors:
    """A convolution's weight `(O, I, H, W)` and its batch norm's scale, shift, mean and variance, each `(O,)`."""

    weight: Tensor
    scale: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return the weight and bias, float32, of the one convolution that equals this one and its batch norm."""
        gain = self.scale.astype(np.float64) / np.sqrt(self.variance.astype(np.float64) + BATCH_NORM_EPSILON)
        weight = self.weight * gain[:, None, None, None]
        bias = self.shift - self.mean * gain
        return weight.astype(np.float32), bias.astype(np.float32)


@dataclass(frozen=True, slots=True)
class InceptionTensors:
    """All convolutions by name, and the classifier's weight `(1008, 2048)` where the file holds it."""

    convolutions: Mapping[str, ConvTensors]
    classifier: Tensor | None
    digest: str
    """SHA-256 over the convolutions alone: equal for every file that carries the same features."""


def convolution_names() -> Iterator[tuple[str, str]]:
    """Yield the name of each convolution, and the name that it has in the TensorFlow graph (`mixed_1.tower.conv`)."""
    yield from _STEM.items()
    for block, (tf_block, branches) in _BLOCKS.items():
        for branch, tf_branch in branches.items():
            yield f"{block}.{branch}", f"{tf_block}.{tf_branch}"


def read_inception(path: Path, layout: Layout) -> InceptionTensors:
    """Return the tensors in the file at `path`.

    Raises:
        WeightsError: the file is damaged or holds another network.
    """
    try:
        return _from_state_dict(path) if layout == "torch-fidelity" else _from_torchscript(path)
    except KeyError as error:
        raise WeightsError(
            f"{path} has no tensor {error}: it is another network; delete it to fetch it again"
        ) from error
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} cannot be read ({error}); delete it to fetch it again") from error


def _from_torchscript(path: Path) -> InceptionTensors:
    found = read_torchscript(path)
    roots = [name.removesuffix("conv.weight") for name in found if name.endswith("layers.conv.weight")]
    if len(roots) != 1:
        raise WeightsError(f"{path} holds another network than the FID Inception; delete it to fetch it again")
    convolutions = {}
    for name, tf_name in convolution_names():
        prefix = roots[0] + tf_name
        shift = found[f"{prefix}.beta"]
        convolutions[name] = ConvTensors(
            found[f"{prefix}.weight"], np.ones_like(shift), shift, found[f"{prefix}.mean"], found[f"{prefix}.var"]
        )
    return InceptionTensors(convolutions, None, _digest(convolutions))


def _from_state_dict(path: Path) -> InceptionTensors:
    import torch

    found: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    convolutions = {
        name: ConvTensors(
            found[f"{name}.conv.weight"].numpy(),
            found[f"{name}.bn.weight"].numpy(),
            found[f"{name}.bn.bias"].numpy(),
            found[f"{name}.bn.running_mean"].numpy(),
            found[f"{name}.bn.running_var"].numpy(),
        )
        for name, _ in convolution_names()
    }
    return InceptionTensors(convolutions, found["fc.weight"].numpy(), _digest(convolutions))


def _digest(convolutions: Mapping[str, ConvTensors]) -> str:
    hasher = hashlib.sha256()
    for name in sorted(convolutions):
        c = convolutions[name]
        hasher.update(name.encode("ascii"))
        for tensor in (c.weight, c.scale, c.shift, c.mean, c.variance):
            hasher.update(repr(tensor.shape).encode("ascii"))
            hasher.update(np.ascontiguousarray(tensor, "<f4").data)
    return hasher.hexdigest()
