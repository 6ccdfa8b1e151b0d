"""Pictures that differ in colours alone, or in arrangement alone, and codes that keep the two apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cm3leon.config import ImageTokenizerConfig
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.train.invariance import recoloured, shuffled
from cm3leon.train.loop import Schedule, train
from cm3leon.train.records import Record, source
from cm3leon.train.tokenizer import TokenizerRecipe, TokenizerStage

SMALL = ImageTokenizerConfig(
    pixels=64, codes=256, code_channels=4, channels=32, multipliers=(1,), blocks=1, latent_channels=16, patch=8,
    levels=(4, 4, 4, 4), local=True,
)  # fmt: skip


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_outlines_stay_where_colours_change() -> None:
    colours = torch.rand(4, 3, 2, generator=drawn()) - 0.5
    objects = torch.rand(4, 8, 8, generator=drawn()) < 0.5
    x = torch.where(objects[:, None], colours[:, :, :1, None], colours[:, :, 1:, None])
    y = recoloured(x, drawn())
    assert y.abs().max() <= 1 and not torch.equal(x, y)
    for picture, inside in zip(y, objects, strict=True):
        assert len(picture[:, inside].unique(dim=1).T) == len(picture[:, ~inside].unique(dim=1).T) == 1
        assert not torch.equal(picture[:, inside][:, 0], picture[:, ~inside][:, 0])


def test_hues_turn_about_the_grays() -> None:
    gray = torch.linspace(-0.5, 0.5, 64).expand(32, 3, 64)[..., None]
    y = recoloured(gray, drawn())
    assert (y - y.mean(1, keepdim=True)).abs().max() < 1e-5
    gain = (y[:, 0, -1, 0] - y[:, 0, 0, 0])[:, None, None]
    assert gain.min() >= 0.6 and gain.max() <= 1.1
    tinted = gray.clone()
    tinted[:, 0] += 0.3
    turned = recoloured(tinted, drawn())
    # what is added to red alone stays as bright, seen against the gray
    lighter = (turned - y).mean(1)
    inner = (turned.abs().amax((1, 2, 3)) < 1) & (y.abs().amax((1, 2, 3)) < 1)
    assert torch.allclose(lighter[inner], (0.1 * gain).expand_as(lighter)[inner], atol=1e-5)
    assert set((turned - y)[:, :, 0, 0].argmax(1).tolist()) == {0, 1, 2}


def test_changed_pictures_keep_within_the_range_of_pictures() -> None:
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3).T[None, :, :, None].expand(32, 3, 8, 1)
    assert recoloured(corners, drawn()).abs().max() == 1.0


def test_pixels_change_places_within_their_square() -> None:
    x = torch.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8)
    y = shuffled(x, 4, drawn())
    moved = []
    for down in (0, 4):
        for across in (0, 4):
            before, after = (part[:, :, down : down + 4, across : across + 4].flatten(2) for part in (x, y))
            assert torch.equal(after.sort(2).values, before.sort(2).values)
            moved.append((after - before)[0, 0])
    assert moved[0].any() and all(torch.equal(moved[0], other) for other in moved)


@pytest.mark.parametrize("palette", [1, 3])
def test_the_parts_of_a_code_learn_to_keep_apart(palette: int, tmp_path: Path) -> None:
    def few(number: int) -> Record:
        return source("evalkit_tasks.blocksworld.training:training_record")(number % 8)

    ends = {}
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        recipe = TokenizerRecipe(batch=8, warmup=2, perceptual=0.0, palette=palette, alike=weight)
        stage = TokenizerStage(ImageTokenizer(SMALL), few, recipe)
        train(stage, Schedule(steps=40, rate=4e-3, warmup=3), tmp_path / str(weight))
        ends[weight] = float(stage.losses(50, stage.batch(2))["alike"].detach())
    assert ends[5.0] < 0.5 * ends[0.0]
    without = TokenizerStage(ImageTokenizer(SMALL), few, replace(recipe, palette=0))
    assert float(without.losses(50, without.batch(2))["alike"]) == 0.0
