"""The language stages: losses are those of the definition, padding changes nothing, and the model learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cm3leon.places import PlaceTable
from cm3leon.train.language import LanguageRecipe, LanguageStage, packed
from cm3leon.train.loop import Schedule, train
from cm3leon.train.mixture import Example, Mixture
from cm3leon.transformer import Places, Transformer

from .tiny_language import tiny_language


def losses_of(stage: LanguageStage, step: int) -> Mapping[str, torch.Tensor]:
    return stage.losses(step, stage.batch(step))


@pytest.fixture
def made(tmp_path: Path) -> tuple[Mixture, PlaceTable, Transformer]:
    return tiny_language(tmp_path)


def plain(example: Example, table: PlaceTable) -> tuple[torch.Tensor, Places]:
    ids = np.array([example.ids])
    parts = (torch.from_numpy(part) for part in (np.arange(len(example.ids))[None], *table.of(ids)))
    return torch.from_numpy(ids), Places(*parts)


RECIPES = [
    LanguageRecipe(documents=10, groups=3),
    LanguageRecipe(documents=10, groups=10),
    LanguageRecipe(documents=10, rows=(200,)),
    LanguageRecipe(documents=10, rows=(30, 50, 200)),
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_loss_is_the_weighted_mean_of_single_documents(
    made: tuple[Mixture, PlaceTable, Transformer], recipe: LanguageRecipe
) -> None:
    mixture, table, transformer = made
    # weights that make much of what is attended to
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    found = losses_of(LanguageStage(transformer, mixture, table, recipe), 2)
    total, weights, codes = 0.0, 0.0, list[float]()
    for number in range(20, 30):
        example = mixture.example(number)
        ids, places = plain(example, table)
        with torch.no_grad():
            logits = transformer(ids, places)[0, :-1]
        losses = F.cross_entropy(logits, ids[0, 1:], reduction="none")
        weight = torch.tensor(example.weights[1:])
        total, weights = total + float(losses @ weight), weights + float(weight.sum())
        codes += losses[(weight > 0) & torch.from_numpy(table.kinds == 1)[ids[0, 1:]]].tolist()
    assert float(found["loss"].detach()) == pytest.approx(total / weights, rel=5e-3)
    assert float(found["image"]) == pytest.approx(np.mean(codes), rel=5e-3)


def test_rows_hold_whole_documents_and_ask_for_what_weighs(made: tuple[Mixture, PlaceTable, Transformer]) -> None:
    mixture, table, _ = made
    examples = [mixture.example(number) for number in range(30)]
    batch = packed(examples, table, 120)
    assert int(batch["document"].max()) > 0
    found, asked = [], dict(zip(batch["asked"].tolist(), batch["weights"].tolist(), strict=True))
    for row, (ids, document) in enumerate(zip(batch["ids"], batch["document"], strict=True)):
        assert (ids[document < 0] == table.pad).all()
        for number in range(int(document.max()) + 1):
            (places,) = np.nonzero(document.numpy() == number)
            assert places.tolist() == list(range(places[0], places[-1] + 1))
            assert batch["index"][row, places].tolist() == list(range(len(places)))
            weights = [0.0, *(asked.get(row * 120 + place, 0.0) for place in places.tolist()[:-1])]
            found.append((ids[places].tolist(), weights))
    wanted = [(example.ids, [0.0, *example.weights[1:]]) for example in examples]
    assert sorted(found) == sorted(wanted)
    assert len(batch["ids"]) < 30 and batch["targets"].tolist() == batch["ids"].flatten()[batch["asked"] + 1].tolist()


def test_each_document_goes_into_the_shortest_rows_that_hold_it(made: tuple[Mixture, PlaceTable, Transformer]) -> None:
    mixture, table, transformer = made
    recipe = LanguageRecipe(documents=30, rows=(40, 60, 200))
    batch = LanguageStage(transformer, mixture, table, recipe).batch(0)
    wanted = {40: 0, 60: 0, 200: 0}
    for number in range(30):
        wanted[next(length for length in wanted if len(mixture.example(number).ids) <= length)] += 1
    assert min(wanted.values()) > 0
    found = {}
    for group in sorted({name.split()[0] for name in batch}):
        ids, index = batch[f"{group} ids"], batch[f"{group} index"]
        found[ids.shape[1]] = int(((index == 0) & (ids != table.pad)).sum())
    assert found == wanted


def test_rows_of_one_document_each_need_no_mask(made: tuple[Mixture, PlaceTable, Transformer]) -> None:
    mixture, table, _ = made
    longest = max((mixture.example(number) for number in range(20)), key=lambda example: len(example.ids))
    batch = packed([longest], table, len(longest.ids) + 3)
    assert "document" not in batch
    # a compiled graph takes any number of rows but one
    assert batch["ids"].shape == (2, len(longest.ids) + 3) and (batch["ids"][1] == table.pad).all()
    assert batch["targets"].tolist() == [t for t, w in zip(longest.ids[1:], longest.weights[1:], strict=True) if w]


def test_a_document_that_is_longer_than_a_row_is_refused(made: tuple[Mixture, PlaceTable, Transformer]) -> None:
    mixture, table, _ = made
    with pytest.raises(ValueError, match="longer rows"):
        packed([mixture.example(0)], table, 8)


def test_the_model_learns_what_it_is_shown(made: tuple[Mixture, PlaceTable, Transformer], tmp_path: Path) -> None:
    mixture, table, transformer = made
    stage = LanguageStage(transformer, mixture, table, LanguageRecipe(documents=24, groups=2))
    before = {name: float(loss.detach()) for name, loss in losses_of(stage, 900).items()}
    train(stage, Schedule(steps=60, rate=1e-2, warmup=5), tmp_path / "run")
    after = {name: float(loss.detach()) for name, loss in losses_of(stage, 900).items()}
    assert after["text"] < 0.3 * before["text"] and after["image"] < 0.8 * before["image"]


def test_a_stage_that_was_stopped_goes_on_bit_for_bit(
    made: tuple[Mixture, PlaceTable, Transformer], tmp_path: Path
) -> None:
    mixture, table, transformer = made
    schedule = Schedule(steps=7, rate=1e-2, warmup=2)
    start = {name: weight.clone() for name, weight in transformer.state_dict().items()}
    ends = []
    for stops in ((7,), (4, 7)):
        for stop in stops:
            transformer.load_state_dict(start)
            stage = LanguageStage(transformer, mixture, table, LanguageRecipe(documents=8, groups=2))
            train(stage, schedule, tmp_path / str(stops), stop_at=stop)
        ends.append({name: weight.clone() for name, weight in transformer.state_dict().items()})
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in start)


@pytest.mark.parametrize("muon_rate", [4.0, 0.0])
def test_every_weight_has_one_optimizer(made: tuple[Mixture, PlaceTable, Transformer], muon_rate: float) -> None:
    mixture, table, transformer = made
    stage = LanguageStage(transformer, mixture, table, LanguageRecipe(muon_rate=muon_rate))
    assert any(isinstance(optimizer, torch.optim.Muon) for optimizer in stage.optimizers(1e-3)) == bool(muon_rate)
    held = [id(w) for optimizer in stage.optimizers(1e-3) for group in optimizer.param_groups for w in group["params"]]
    assert sorted(held) == sorted(id(weight) for weight in transformer.parameters())
