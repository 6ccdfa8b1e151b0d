"""Objects on the grounds of other pictures, and palettes that learn not to be changed by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from cm3leon.config import ImageTokenizerConfig
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.train.grounds import on_other_grounds
from cm3leon.train.loop import Schedule, train
from cm3leon.train.records import Record, source
from cm3leon.train.tokenizer import TokenizerRecipe, TokenizerStage

SMALL = ImageTokenizerConfig(
    pixels=64, codes=256, code_channels=4, channels=64, multipliers=(1,), blocks=1, latent_channels=16, patch=8,
    levels=(4, 4, 4, 4), local=True, palette=2,
)  # fmt: skip


def few(number: int) -> Record:
    return source("evalkit_tasks.blocksworld.training:training_record")(number % 8)


def trained(recipe: TokenizerRecipe, folder: Path) -> TokenizerStage:
    torch.manual_seed(0)
    stage = TokenizerStage(ImageTokenizer(SMALL), few, recipe)
    train(stage, Schedule(steps=50, rate=4e-3, warmup=3), folder)
    return stage


def losses_of(stage: TokenizerStage, step: int = 50) -> dict[str, float]:
    return {name: float(loss.detach()) for name, loss in stage.losses(step, stage.batch(2)).items()}


def test_objects_stay_and_the_ground_is_the_next_pictures() -> None:
    generator = torch.Generator().manual_seed(3)
    pictures = torch.rand(3, 3, 8, 8, generator=generator) * 2 - 1
    objects = torch.rand(3, 8, 8, generator=generator) < 0.4
    moved = on_other_grounds(pictures, objects)
    for i in range(3):
        following, here, there = pictures[(i + 1) % 3], objects[i], objects[(i + 1) % 3]
        assert torch.equal(moved[i][:, here], pictures[i][:, here])
        assert torch.equal(moved[i][:, ~here & ~there], following[:, ~here & ~there])
        mean = following[:, ~there].mean(1, keepdim=True)
        covered = moved[i][:, ~here & there]
        assert covered.numel() and torch.allclose(covered, mean.expand_as(covered), atol=1e-6)


def test_a_picture_that_is_all_object_lends_no_ground() -> None:
    pictures = torch.rand(2, 3, 4, 4)
    objects = torch.zeros(2, 4, 4, dtype=torch.bool)
    objects[1] = True
    assert not on_other_grounds(pictures, objects)[0].any()


def test_palettes_learn_to_be_the_same_on_any_ground(tmp_path: Path) -> None:
    apart = {}
    for share in (0.0, 0.5):
        recipe = TokenizerRecipe(batch=8, warmup=2, perceptual=0.0, grounds=share)
        stage = trained(recipe, tmp_path / str(share))
        assert share or losses_of(stage)["alike"] == 0
        measured = TokenizerStage(ImageTokenizer(SMALL), few, replace(recipe, grounds=0.5))
        measured.module.load_state_dict(stage.module.state_dict())
        apart[share] = losses_of(measured)["alike"]
    assert apart[0.5] < 0.6 * apart[0.0]


def test_latents_of_a_lattice_settle_on_their_codes(tmp_path: Path) -> None:
    recipe = TokenizerRecipe(batch=8, warmup=2, perceptual=0.0, commitment=1.0)
    drawn = losses_of(trained(recipe, tmp_path / "a"))["commitment"]
    free = losses_of(trained(replace(recipe, commitment=0.0), tmp_path / "b"))["commitment"]
    assert drawn < 0.7 * free and free <= 0.25


def test_settling_waits_and_then_grows() -> None:
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(SMALL)
    totals = {}
    for settling in (0, 10):
        recipe = TokenizerRecipe(batch=4, warmup=0, perceptual=0.0, grounds=0.5, commitment=2.0, settling=settling)
        torch.manual_seed(0)
        stage = TokenizerStage(tokenizer, few, recipe)
        for step in (1, 10, 15, 40):
            parts = losses_of(stage, step)
            totals[settling, step] = parts["loss"], 2.0 * parts["commitment"] + parts["alike"]
    whole, weight = totals[0, 40]
    for step, share in ((1, 0.0), (10, 0.0), (15, 0.5), (40, 1.0)):
        assert abs(totals[10, step][0] - (whole - (1 - share) * weight)) < 1e-3 * whole
