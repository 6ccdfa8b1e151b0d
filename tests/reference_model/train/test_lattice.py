"""Codes of a lattice whose embeddings learn together: sums while they are trained, rows in the end."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch

from cm3leon.config import ImageTokenizerConfig, TransformerConfig
from cm3leon.train.language import LanguageRecipe, LanguageStage
from cm3leon.train.lattice import are_shared, settle_levels, share_levels
from cm3leon.train.loop import Schedule, train, trained_weights
from cm3leon.transformer import Transformer

from .tiny_language import tiny_language

FIRST = 5
IMAGE = ImageTokenizerConfig(
    pixels=16, codes=6, code_channels=2, channels=32, multipliers=(1,), blocks=1, latent_channels=8, patch=4,
    levels=(2, 3), local=True,
)  # fmt: skip
SHAPE = TransformerConfig(vocabulary=14, width=16, layers=1, heads=2, hidden=32, context=16, tied=True)


def shared() -> Transformer:
    transformer = Transformer(SHAPE)
    transformer.initialise(torch.Generator().manual_seed(0), 0.02)
    share_levels(transformer, IMAGE, FIRST)
    return transformer


def test_a_code_has_the_rows_of_its_levels_in_the_order_of_the_codebook() -> None:
    transformer = shared()
    own = transformer.state_dict()["embed_tokens.parametrizations.weight.original"].clone()
    assert torch.equal(transformer.embed_tokens.weight, own)
    rows = dict(transformer.named_parameters())["embed_tokens.parametrizations.weight.0.weight"]
    with torch.no_grad():
        rows.normal_(generator=torch.Generator().manual_seed(1))
    added = (transformer.embed_tokens.weight - own).detach()
    assert not added[:FIRST].any() and not added[FIRST + 6 :].any()
    for code, (high, low) in enumerate(product(range(2), range(3))):
        assert torch.allclose(added[FIRST + code], rows[high] + rows[2 + low], atol=1e-6)


def test_a_code_has_the_rows_of_its_palette_and_of_its_geometry() -> None:
    transformer = Transformer(replace(SHAPE, vocabulary=30))
    image = replace(IMAGE, codes=24, code_channels=4, levels=(2, 3, 2, 2), palette=2)
    share_levels(transformer, image, FIRST)
    own = transformer.embed_tokens.weight.detach().clone()
    rows = dict(transformer.named_parameters())["embed_tokens.parametrizations.weight.0.weight"]
    assert len(rows) == 2 + 3 + 2 + 2 + 6 + 4
    with torch.no_grad():
        rows[9:].normal_(generator=torch.Generator().manual_seed(1))
    added = (transformer.embed_tokens.weight - own).detach()
    for code in range(24):
        palette, geometry = divmod(code, 4)
        assert torch.allclose(added[FIRST + code], rows[9 + palette] + rows[15 + geometry], atol=1e-6)


def test_settled_sums_are_plain_embeddings() -> None:
    transformer = shared()
    with torch.no_grad():
        dict(transformer.named_parameters())["embed_tokens.parametrizations.weight.0.weight"].fill_(0.5)
    wanted = transformer.embed_tokens.weight.detach().clone()
    assert are_shared(transformer.state_dict())
    settle_levels(transformer)
    settle_levels(transformer)
    assert not are_shared(transformer.state_dict()) and torch.equal(transformer.embed_tokens.weight, wanted)
    Transformer(SHAPE).load_state_dict(transformer.state_dict())


@pytest.mark.parametrize("recipe", [LanguageRecipe(documents=8, groups=2), LanguageRecipe(documents=8, rows=(200,))])
def test_a_code_that_is_never_seen_moves_with_those_that_share_a_level(recipe: LanguageRecipe, tmp_path: Path) -> None:
    mixture, table, transformer = tiny_language(tmp_path)
    first = min(mixture.vocabulary.codes)
    mixture.shards._codes[mixture.shards._codes == 7] = 8
    untouched = transformer.embed_tokens.weight[first + 7].detach().clone()
    share_levels(transformer, replace(IMAGE, codes=20, levels=(4, 5)), first)
    stage = LanguageStage(transformer, mixture, table, recipe)
    train(stage, Schedule(steps=6, rate=1e-2, warmup=2), tmp_path / "run")
    weights = trained_weights(tmp_path / "run")
    rows = weights["embed_tokens.parametrizations.weight.0.weight"]
    assert are_shared(weights) and rows.abs().min(1).values.max() > 0
    settle_levels(transformer)
    own = weights["embed_tokens.parametrizations.weight.original"][first + 7]
    assert torch.allclose(transformer.embed_tokens.weight[first + 7] - own, rows[1] + rows[4 + 2], atol=1e-6)
    assert not torch.allclose(transformer.embed_tokens.weight[first + 7], untouched, atol=1e-3)
