"""Packed weights: the same products, the same in every row, and a model that stays as it was."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cm3leon.config import TransformerConfig
from cm3leon.packed import PackedLinear, linear, packed
from cm3leon.transformer import Transformer

SHAPES = [(960, 320), (320, 320), (1280, 320), (320, 1280), (4096, 320)]


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rows", [1, 16, 32, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_is_what_it_was(shape: tuple[int, int], rows: int) -> None:
    weight, x = drawn(0, *shape), drawn(1, rows, shape[1])
    with torch.inference_mode():
        assert torch.allclose(PackedLinear(weight, 32)(x), F.linear(x, weight), atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_is_the_same_to_the_last_bit_wherever_it_stands(shape: tuple[int, int], dtype: torch.dtype) -> None:
    with torch.inference_mode():
        product = linear(drawn(0, *shape).to(dtype), 32)
        x = drawn(1, 32, shape[1]).to(dtype)
        for turn in (1, 7, 16, 31):
            assert torch.equal(product(x.roll(turn, 0)), product(x).roll(turn, 0))
            others = torch.cat((x[:turn], drawn(turn, 32 - turn, shape[1]).to(dtype)))
            assert torch.equal(product(others)[:turn], product(x)[:turn])


def test_small_weights_and_other_devices_stay_plain() -> None:
    assert isinstance(linear(torch.zeros(8, 8), 32), torch.nn.Linear)
    assert isinstance(linear(torch.zeros(512, 512, device="meta"), 32), torch.nn.Linear)
    assert isinstance(linear(torch.zeros(512, 512), 32), PackedLinear)
    narrow = linear(torch.zeros(512, 512, dtype=torch.bfloat16), 32)
    assert isinstance(narrow, PackedLinear) == torch.ops.mkldnn._is_mkldnn_bf16_supported()


def test_packing_leaves_a_model_as_it_is() -> None:
    model = Transformer(TransformerConfig(vocabulary=400, width=256, layers=2, heads=4, hidden=512, context=40)).eval()
    state = {name: weight.clone() for name, weight in model.state_dict().items()}
    twin = packed(model, 32)
    assert all(torch.equal(weight, state[name]) for name, weight in model.state_dict().items())
    assert not any(isinstance(part, PackedLinear) for part in model.modules())
    assert sum(isinstance(part, PackedLinear) for part in twin.modules()) == 2 * 4
    assert twin.head is model.head
