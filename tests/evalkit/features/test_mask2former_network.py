"""The network of both kinds of Mask2Former: its sizes against the library's own, and files that do and do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

from evalkit.errors import WeightsError
from evalkit.features.hub_networks import Network
from evalkit.features.mask2former_network import (
    MADE,
    SWIN_S_COCO,
    Mask2FormerShape,
    configuration,
    mask2former_network,
)
from evalkit.weight_files import WeightFile
from evalkit.weights import Found

SMALL = Mask2FormerShape(
    short_side=64,
    long_side=100,
    classes=7,
    embedding=8,
    heads=(1, 2, 2, 4),
    window=4,
    pretrained_side=64,
    depths=(1, 1, 1, 1),
    features=32,
    pixel_layers=1,
    decoder_layers=3,
    queries=10,
)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(4)
    return Mask2FormerForUniversalSegmentation(configuration(SMALL)).eval()


def read(folder: Path, tensors: Mapping[str, torch.Tensor] | Mapping[int, torch.Tensor]) -> Network:
    path = folder / "network.bin"
    torch.save(dict(tensors), path)
    file = WeightFile(path.name, "", path.stat().st_size, "mask2former-transformers", "objects", "none")
    return mask2former_network(Found("m", path, file, ""), "cpu", SMALL)


def test_swin_s_is_what_the_library_builds_by_default() -> None:
    """Its default is facebook/mask2former-swin-small-coco-instance; what it drops out is of the training alone."""
    ours, theirs = configuration(SWIN_S_COCO).to_dict(), Mask2FormerConfig(num_labels=80).to_dict()
    for one in (ours, theirs):
        del one["backbone_config"]["drop_path_rate"]
    assert ours == theirs


def test_what_the_network_makes_by_itself_may_be_missing(network: Network, tmp_path: Path) -> None:
    state = network.state_dict()
    held = {name: tensor for name, tensor in state.items() if not name.endswith(MADE)}
    assert len(held) < len(state)
    picture = torch.rand((1, 3, 64, 96), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        made, expected = read(tmp_path, held)(picture), network(picture)
    assert torch.equal(made.class_queries_logits, expected.class_queries_logits)
    assert torch.equal(made.masks_queries_logits, expected.masks_queries_logits)
    assert made.class_queries_logits.shape == (1, 10, 8)
    assert made.masks_queries_logits.shape == (1, 10, 16, 24)


def test_any_other_missing_tensor_is_an_error(network: Network, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    del state["class_predictor.bias"]
    with pytest.raises(WeightsError, match=r"lacks 1 tensors of Mask2Former.*class_predictor\.bias"):
        read(tmp_path, state)


def test_a_file_whose_names_are_none_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"network\.bin does not fit Mask2Former.*another architecture"):
        read(tmp_path, {3: torch.zeros(3)})
