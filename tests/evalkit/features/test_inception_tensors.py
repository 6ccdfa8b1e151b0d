"""Reading the Inception's tensors out of each layout, and nothing else."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from evalkit.errors import WeightsError
from evalkit.features.inception import INCEPTION
from evalkit.features.inception_tensors import convolution_names, read_inception
from evalkit.features.torchscript import read_torchscript
from evalkit.weights import require
from evalkit.workspace import Workspace


class _Node(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def _tree(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module tree under TensorFlow's names with the tensors of a state dict in torch-fidelity's layout."""
    top = _Node()
    for name, tf_name in convolution_names():
        node: torch.nn.Module = top
        for step in ("net", "layers", *tf_name.split(".")):
            if not hasattr(node, step):
                node.add_module(step, _Node())
            node = node.get_submodule(step)
        for tf_tensor, tensor in (
            ("weight", "conv.weight"),
            ("beta", "bn.bias"),
            ("mean", "bn.running_mean"),
            ("var", "bn.running_var"),
        ):
            node.register_parameter(tf_tensor, torch.nn.Parameter(state[f"{name}.{tensor}"], requires_grad=False))
    return top


@pytest.fixture(scope="session")
def torchscript_path(state_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random weights as TorchScript with TensorFlow's names."""
    import warnings

    path = tmp_path_factory.mktemp("torchscript") / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; the published files are made of it
        torch.jit.script(_tree(torch.load(state_path, weights_only=True))).save(str(path))  # type: ignore[no-untyped-call]
    return path


def test_the_same_tensors_in_two_layouts_have_one_digest(state_path: Path, torchscript_path: Path) -> None:
    full = read_inception(state_path, "torch-fidelity")
    script = read_inception(torchscript_path, "torchscript-tf")
    assert full.digest == script.digest
    assert script.classifier is None
    assert full.classifier is not None
    assert full.classifier.shape == (1008, 2048)
    assert full.convolutions.keys() == script.convolutions.keys()
    assert len(full.convolutions) == 94


def test_a_single_bit_changes_the_digest(state_path: Path, tmp_path: Path) -> None:
    state = torch.load(state_path, weights_only=True)
    before = read_inception(state_path, "torch-fidelity").digest
    state["fc.bias"] += 1
    torch.save(state, tmp_path / "other-classifier.pth")
    assert read_inception(tmp_path / "other-classifier.pth", "torch-fidelity").digest == before
    state["Mixed_7c.branch_pool.bn.bias"][0] += 1e-6
    torch.save(state, tmp_path / "other.pth")
    assert read_inception(tmp_path / "other.pth", "torch-fidelity").digest != before


def test_tensors_are_those_that_torch_reads(torchscript_path: Path) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.jit.load(str(torchscript_path)).state_dict()  # type: ignore[no-untyped-call]
    ours = read_torchscript(torchscript_path)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], tensor.numpy()) for name, tensor in theirs.items())


def test_a_folded_convolution_equals_convolution_and_batch_norm(state_path: Path) -> None:
    tensors = read_inception(state_path, "torch-fidelity").convolutions["Conv2d_2a_3x3"]
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 32, 9, 9)))
    convolved = torch.nn.functional.conv2d(x, torch.from_numpy(tensors.weight).double())
    mean, variance, scale, shift = (
        torch.from_numpy(t).double() for t in (tensors.mean, tensors.variance, tensors.scale, tensors.shift)
    )
    plain = torch.nn.functional.batch_norm(convolved, mean, variance, scale, shift, eps=1e-3)
    weight, bias = (torch.from_numpy(t).double() for t in tensors.folded())
    torch.testing.assert_close(torch.nn.functional.conv2d(x, weight, bias), plain, rtol=0, atol=1e-6)


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    archive = tmp_path / "evil.pt"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("net/data.pkl", pickle.dumps({"a": _Evil(ran)}, protocol=2))
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(_Evil(ran), protocol=2))
    with pytest.raises(WeightsError, match=r"posix\.mkdir"):
        read_inception(archive, "torchscript-tf")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_inception(tmp_path / "evil.pth", "torch-fidelity")
    assert not ran.exists()


def test_another_network_is_an_error_that_names_what_is_missing(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(1008, 2048)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"no tensor 'Conv2d_1a_3x3\.conv\.weight'"):
        read_inception(tmp_path / "other.pth", "torch-fidelity")


@pytest.mark.parametrize("keep", [0, 100, 5_000_000])
def test_half_a_file_is_an_error(torchscript_path: Path, state_path: Path, tmp_path: Path, keep: int) -> None:
    for whole, layout in ((torchscript_path, "torchscript-tf"), (state_path, "torch-fidelity")):
        half = tmp_path / "half"
        half.write_bytes(whole.read_bytes()[:keep])
        with pytest.raises(WeightsError, match="half cannot be read"):
            read_inception(half, "torch-fidelity" if layout == "torch-fidelity" else "torchscript-tf")


@pytest.mark.parametrize(("offset", "shape", "stride"), [(1, (4,), (1,)), (0, (2, 2), (3, 1)), (0, (4,), (-1,))])
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    from evalkit.features.torchscript import _tensor

    storage = np.arange(4, dtype=np.float32)
    assert np.array_equal(_tensor(storage, 0, (2, 2), (1, 2), False, None), [[0, 2], [1, 3]])
    with pytest.raises(ValueError, match="beyond its storage"):
        _tensor(storage, offset, shape, stride, False, None)


@pytest.mark.slow
def test_the_carrier_s_tensors_have_the_known_digest() -> None:
    found = require(INCEPTION, Workspace())
    tensors = read_inception(found.path, found.file.layout)
    assert tensors.digest == "7a84304502fed88b651dee177bf4b92ed3f561ee08ea4657178804cb731dfcb6"
