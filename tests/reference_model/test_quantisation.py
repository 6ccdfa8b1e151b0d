"""Weights of eight bits: how far off they may be, and that a model of them is another model."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cm3leon.config import TransformerConfig
from cm3leon.packed import packed
from cm3leon.quantisation import PRECISIONS, Int8Linear, dtype_of, precision_of, quantise, rounded
from cm3leon.transformer import Transformer

SHAPE = TransformerConfig(vocabulary=50, width=64, layers=2, heads=4, hidden=128, context=40)


def drawn(seed: int, *shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


@given(seed=st.integers(0, 2**32), scale=st.floats(1e-30, 1e30), width=st.integers(1, 40))
def test_no_weight_is_off_by_more_than_half_a_scale(seed: int, scale: float, width: int) -> None:
    weight = drawn(seed, 5, width, scale=scale)
    weight[3] = 0
    whole, scales = rounded(weight)
    assert whole.dtype == torch.int8 and whole.abs().max() <= 127
    off = (weight.double() - whole.double() * scales.double()[:, None]).abs()
    assert bool((off <= scales.double()[:, None] * 0.5001).all())
    assert bool((off[3] == 0).all())


@given(seed=st.integers(0, 2**32))
def test_the_largest_weight_of_a_row_is_kept(seed: int) -> None:
    weight = drawn(seed, 6, 30)
    whole, scales = rounded(weight)
    assert whole.abs().amax(1).tolist() == [127] * 6
    assert torch.allclose(whole.abs().amax(1) * scales, weight.abs().amax(1))


def test_a_product_is_off_by_no_more_than_its_weights_allow() -> None:
    x, weight = drawn(1, 9, 300), drawn(2, 40, 300)
    whole, scales = rounded(weight)
    found = Int8Linear(whole, scales)(x)
    assert torch.allclose(found, F.linear(x, whole.float() * scales[:, None]), atol=1e-4)
    off = (found - F.linear(x, weight)).abs()
    assert bool((off <= x.abs().sum(1)[:, None] * scales / 2 + 1e-4).all())
    assert off.max() > 1e-3
    assert off.norm() / F.linear(x, weight).norm() < 0.01


def test_layers_are_quantised_and_nothing_else() -> None:
    model = Transformer(SHAPE)
    model.initialise(torch.Generator().manual_seed(0))
    head = model.head.clone()
    quantise(model)
    kinds = {name.rsplit(".", 1)[-1]: type(part) for name, part in model.named_modules() if name.endswith("_proj")}
    assert kinds == dict.fromkeys(("qkv_proj", "o_proj", "up_proj", "down_proj"), Int8Linear)
    assert torch.equal(model.head, head)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_precision_has_a_name_of_its_own_and_answers_like_the_others(precision: str) -> None:
    model = Transformer(SHAPE)
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            weight.copy_(drawn(number, *weight.shape, scale=0.2))
    ids, at = torch.randint(0, 50, (2, 12), generator=torch.Generator().manual_seed(1)), torch.arange(12)
    from cm3leon.transformer import Places

    places = Places(*[at.expand(2, 12)] * 4)
    with torch.inference_mode():
        wanted = model(ids, places)
        model = model.to(dtype_of(precision))  # type: ignore[arg-type]
        if precision == "int8":
            quantise(model)
        found = model(ids, places)
    names = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "bfloat16 int8"}
    assert precision_of(model) == names[precision]
    off = float((found.float() - wanted).norm() / wanted.norm())
    assert off < {"fp32": 1e-6, "bf16": 0.05, "fp16": 0.01, "int8": 0.06}[precision]
    assert off > 0 or precision == "fp32"


def test_on_a_cpu_eight_bits_become_plain_weights_of_the_same_answer() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(300, 256, bias=False))
    quantise(model)
    x = drawn(3, 32, 300)
    with torch.inference_mode():
        twin = packed(model, 32)
        assert not any(isinstance(part, Int8Linear) for part in twin.modules())
        assert torch.allclose(twin(x), model(x), atol=1e-4)
    assert isinstance(model[0], Int8Linear)
