"""A random Inception in the official layout, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import inception_v3

from evalkit.downloads import file_sha256
from evalkit.features.inception import INCEPTION, InceptionExtractor
from evalkit.features.inputs import input_protocol, preparation
from evalkit.images import Pixels, encode_png
from evalkit.weight_files import Weight, WeightFile
from evalkit.workspace import Workspace

HUB_NAME = "pt_inception-2015-12-05-6726825d.pth"
"""What pytorch-fid calls its weights in torch hub's cache."""

MakeExtractor = Callable[..., InceptionExtractor]


def random_state() -> dict[str, torch.Tensor]:
    """A random FID Inception under torch-fidelity's names, its activations of about unit size."""
    with torch.device("meta"):
        network = inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    random = np.random.default_rng(0)
    state: dict[str, torch.Tensor] = {}
    for name, tensor in network.state_dict().items():
        values = random.standard_normal(tuple(tensor.shape), dtype=np.float32)
        if name.endswith("conv.weight"):
            values *= np.float32(np.sqrt(2 / np.prod(tensor.shape[1:])))
        elif name.endswith("running_var"):
            values = 1 + np.float32(0.3) * values.clip(-2, 2)
        elif name.endswith("bn.weight"):
            values = np.ones_like(values)
        else:
            values = np.asarray(values, np.float32) * np.float32(0.1)
        state[name] = torch.zeros((), dtype=torch.int64) if tensor.ndim == 0 else torch.from_numpy(values)
    return state


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like `$TORCH_HOME`, whose checkpoints hold the random weights where pytorch-fid looks for its own."""
    home = tmp_path_factory.mktemp("torch")
    (home / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(random_state(), home / "hub" / "checkpoints" / HUB_NAME)
    return home


@pytest.fixture(scope="session")
def state_path(hub: Path) -> Path:
    """The file of random weights, a state dict in torch-fidelity's layout."""
    return hub / "hub" / "checkpoints" / HUB_NAME


@pytest.fixture(scope="session")
def random_table(state_path: Path) -> Mapping[str, Weight]:
    """A weight table whose Inception is the random one."""
    digest, size = file_sha256(state_path), state_path.stat().st_size
    file = WeightFile("random.pth", digest, size, "torch-fidelity", "features and classifier", "none")
    return {INCEPTION: Weight(INCEPTION, "a random Inception", (file,))}


@pytest.fixture
def random_inception(
    tmp_path: Path, state_path: Path, random_table: Mapping[str, Weight], monkeypatch: pytest.MonkeyPatch
) -> MakeExtractor:
    """Makes an extractor with the random weights, for a protocol and a preparation."""
    monkeypatch.setenv(random_table[INCEPTION].variable, str(state_path))

    def make(protocol: str = "torch-fidelity", prepared: str = "native") -> InceptionExtractor:
        workspace = Workspace(cache=tmp_path)
        return InceptionExtractor(workspace, input_protocol(protocol), preparation(prepared), random_table)

    return make


def photo_like(seed: int, height: int, width: int) -> Pixels:
    """Random smooth pixels with some noise: `(H, W, 3)`."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in random.uniform(-6, 6, (3, 3))]
    noise = random.normal(0, 12, (height, width, 3))
    return np.clip(np.stack(waves, axis=2) * 90 + 128 + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six PNG files of several sizes, smaller and larger than what the network sees."""
    folder = tmp_path_factory.mktemp("photos")
    sizes = [(64, 64), (256, 256), (300, 200), (427, 640), (33, 500), (8, 8)]
    paths = []
    for seed, (height, width) in enumerate(sizes):
        paths.append(folder / f"{seed:02}.png")
        paths[-1].write_bytes(encode_png(photo_like(seed, height, width)))
    return paths
