"""T5: a small random one, against transformers' own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import transformers
from transformers.models.t5.modeling_t5 import T5Attention

from evalkit.errors import WeightsError
from evalkit.features.state_dicts import Tensors
from evalkit.features.t5 import T5, buckets

TOKENS, WIDTH = 60, 24


@pytest.fixture(scope="module")
def theirs() -> transformers.T5ForConditionalGeneration:
    """A small T5 1.1, its output layer another than its embedding, weights large enough for every part to matter."""
    torch.manual_seed(1)
    config = transformers.T5Config(
        vocab_size=TOKENS,
        d_model=WIDTH,
        d_kv=8,
        d_ff=32,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    model.lm_head.weight = torch.nn.Parameter(torch.randn(TOKENS, WIDTH))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "layer_norm" in name:
                value.add_(torch.randn_like(value) * 0.2)
            elif "relative_attention_bias" in name:
                value.copy_(torch.randn_like(value) * 2)
            elif value.ndim == 2:
                value.copy_(torch.randn_like(value) * (0.7 / value.shape[1] ** 0.5))
    return model


def tensors(model: torch.nn.Module) -> Tensors:
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("length", [3, 40, 700])
def test_likelihoods_are_those_of_the_library(theirs: transformers.T5ForConditionalGeneration, length: int) -> None:
    ours = T5(tensors(theirs), "cpu", "the file", head=8)
    read, answer = torch.randn(length, WIDTH), [17, 1, 42, *range(3, 33)]
    with torch.inference_mode():
        logits = theirs(inputs_embeds=read[None], labels=torch.tensor([answer])).logits[0]
        found = ours.log_likelihoods(read, answer, TOKENS)
        fewer = ours.log_likelihoods(read, answer, 50)
    place, asked = torch.arange(len(answer)), torch.tensor(answer)
    np.testing.assert_allclose(found, logits.log_softmax(-1)[place, asked], rtol=2e-5)
    np.testing.assert_allclose(fewer, logits[:, :50].log_softmax(-1)[place, asked], rtol=2e-5)


@pytest.mark.parametrize(("count", "both"), [(32, True), (32, False), (8, True), (8, False)])
def test_buckets_are_those_of_the_library(count: int, both: bool) -> None:
    distance = torch.arange(-900, 901)
    assert torch.equal(buckets(distance, count, both=both), _library_s(distance, count, both))


def _library_s(distance: torch.Tensor, count: int, both: bool) -> torch.Tensor:
    named: Mapping[str, int | bool] = {"bidirectional": both, "num_buckets": count, "max_distance": 128}
    return T5Attention._relative_position_bucket(distance, **named)  # type: ignore[no-any-return]


def test_copies_of_the_embedding_and_what_no_t5_uses_are_not_asked_for(
    theirs: transformers.T5ForConditionalGeneration,
) -> None:
    held = tensors(theirs)
    assert held.pop("encoder.embed_tokens.weight").shape == (TOKENS, WIDTH)
    held["embed_tokens.weight"] = held["shared.weight"]
    held["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = np.zeros((32, 2), np.float32)
    assert T5(held, "cpu", "the file", head=8).width == WIDTH


@pytest.mark.parametrize(
    ("name", "shape", "complaint"),
    [
        ("decoder.block.1.layer.1.EncDecAttention.v.weight", None, "lacks the tensor decoder.block.1.layer.1"),
        (
            "encoder.block.2.layer.1.DenseReluDense.wo.weight",
            (32, WIDTH),
            r"has enc.* of shape \(32, 24\) instead of \(24, 32\)",
        ),
        ("encoder.block.0.layer.1.DenseReluDense.wi.weight", (32, WIDTH), "has the tensor encoder.*which its arch"),
        ("shared.weight", None, "lacks the tensor shared.weight"),
    ],
)
def test_another_architecture_is_an_error_that_names_the_tensor(
    theirs: transformers.T5ForConditionalGeneration, name: str, shape: tuple[int, ...] | None, complaint: str
) -> None:
    held = tensors(theirs)
    if shape is None:
        del held[name]
    else:
        held[name] = np.zeros(shape, np.float32)
    with pytest.raises(WeightsError, match=f"^the file {complaint}"):
        T5(held, "cpu", "the file", head=8)
