"""The stages as they are run: what was trained elsewhere can be taken, and nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cm3leon.bundle import SHIPPED, read
from cm3leon.train.__main__ import Workshop
from cm3leon.train.loop import Pace, keep_weights
from cm3leon.train.plans import PLANS
from cm3leon.transformer import Transformer


def test_the_shipped_tokenizer_and_encoder_can_be_taken(tmp_path: Path) -> None:
    workshop = Workshop(PLANS["cpu"], tmp_path, Pace(), "cpu")
    workshop.adopt()
    shipped = read(SHIPPED)
    assert workshop.vocabulary().json == shipped.checkpoint.vocabulary.json
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        wanted = shipped.checkpoint.image_tokenizer.encode(picture)
        assert torch.equal(workshop.trained_tokenizer().encode(picture), wanted)
        codes = workshop.trained_encoder().encode_images(picture)
    assert codes.shape == (1, workshop.trained_encoder().config.dimension)


def test_the_shipped_transformer_can_be_fine_tuned_on(tmp_path: Path) -> None:
    workshop = Workshop(PLANS["gpu"], tmp_path, Pace(), "cpu")
    workshop.adopt()
    workshop.adopt_transformer()
    shipped = read(SHIPPED).checkpoint.transformer.state_dict()
    start = workshop.transformer("pretrain").state_dict()
    assert shipped.keys() == start.keys() and all(torch.equal(start[name], shipped[name]) for name in shipped)
    with pytest.raises(ValueError, match="try --plan gpu"):
        Workshop(PLANS["cpu"], tmp_path, Pace(), "cpu").adopt_transformer()


def test_a_stage_does_not_go_on_from_weights_that_were_taken(tmp_path: Path) -> None:
    workshop = Workshop(PLANS["cpu"], tmp_path, Pace(), "cpu", steps=1)
    workshop.adopt()
    with pytest.raises(ValueError, match="another folder"):
        workshop.encoder()


def test_the_plan_of_full_size_is_of_nearly_seven_thousand_million_weights() -> None:
    with torch.device("meta"):
        transformer = Transformer(PLANS["7b"].transformer)
    assert sum(weight.numel() for weight in transformer.parameters()) == pytest.approx(6.7e9, rel=0.02)


def test_shared_weights_without_other_processes_are_refused(tmp_path: Path) -> None:
    workshop = Workshop(PLANS["cpu"], tmp_path, Pace(), "cpu", sharded=True)
    workshop.adopt()
    with pytest.raises(ValueError, match="torchrun --nproc-per-node"):
        workshop.sharded_transformer()


def test_what_embeddings_learnt_together_is_in_the_weights_of_the_next_stage(tmp_path: Path) -> None:
    workshop = Workshop(PLANS["cpu"], tmp_path, Pace(), "cpu")
    workshop.adopt()
    trained = workshop.transformer()
    workshop._share_levels(trained)
    with torch.no_grad():
        for weight in trained.parameters():
            weight.normal_(generator=torch.Generator().manual_seed(weight.numel()))
    keep_weights(tmp_path / "pretrain", trained.state_dict())
    found = workshop.transformer("pretrain")
    assert torch.equal(found.embed_tokens.weight, trained.embed_tokens.weight)
    assert {name for name, _ in found.named_parameters()} == {
        name for name, _ in workshop.transformer().named_parameters()
    }


def test_a_decoder_is_trained_on_and_taken_for_the_codes_it_was_trained_on(tmp_path: Path) -> None:
    plan = PLANS["cpu"]
    small = replace(
        plan,
        tokenizer_recipe=replace(plan.tokenizer_recipe, batch=2),
        decoder_recipe=replace(plan.decoder_recipe, batch=2),
    )
    workshop = Workshop(small, tmp_path, Pace(), "cpu", steps=1)
    workshop.tokenizer()
    before = workshop.trained_tokenizer().state_dict()
    workshop.decoder()
    after = workshop.trained_tokenizer().state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "post_quant_conv"}
    # one step moves no weight far from where the tokenizer's stage left it
    assert all((before[name] - after[name]).abs().max() < 0.05 for name in before)


@pytest.mark.parametrize("plan", ["cpu", "gpu"])
def test_only_a_perceptual_term_needs_the_seer(plan: str, tmp_path: Path) -> None:
    small = replace(PLANS[plan], tokenizer_recipe=replace(PLANS[plan].tokenizer_recipe, batch=2))
    workshop = Workshop(small, tmp_path, Pace(), "cpu", steps=1)
    if small.tokenizer_recipe.perceptual:
        with pytest.raises(ValueError, match="run the stage 'seer' first"):
            workshop.tokenizer()
    else:
        workshop.tokenizer()
        assert workshop.trained_tokenizer().config == small.image
