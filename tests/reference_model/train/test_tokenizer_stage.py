"""The tokenizer's training: codes learn where latents are, none is lost, and pictures come closer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cm3leon.config import ImageTokenizerConfig
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.label_maps import painted
from cm3leon.train.loop import Schedule, train
from cm3leon.train.records import Record, source
from cm3leon.train.seer import Seer, SeerStage
from cm3leon.train.shards import Shards, prepare
from cm3leon.train.tokenizer import TokenizerRecipe, TokenizerStage, picture

SOURCE = "evalkit_tasks.blocksworld.training:training_record"
LATTICE = ImageTokenizerConfig(
    pixels=64, codes=64, code_channels=3, channels=32, multipliers=(1, 1), blocks=1, latent_channels=8, patch=4,
    levels=(4, 4, 4),
)  # fmt: skip
LEARNT = replace(LATTICE, codes=32, levels=())
LOCAL = replace(LATTICE, multipliers=(1,), patch=8, latent_channels=16, local=True)
RECIPE = TokenizerRecipe(batch=8, warmup=2)


def few(number: int) -> Record:
    """Return one of 16 records."""
    return source(SOURCE)(number % 16)


def losses_of(stage: TokenizerStage | SeerStage, step: int) -> Mapping[str, Tensor]:
    return stage.losses(step, stage.batch(step))


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.mark.parametrize("config", [LATTICE, LEARNT, LOCAL])
@pytest.mark.parametrize("seen", [False, True])
def test_pictures_come_closer(config: ImageTokenizerConfig, seen: bool, tmp_path: Path) -> None:
    def same(number: int) -> Record:
        return few(number % 8)

    stage = TokenizerStage(ImageTokenizer(config), same, RECIPE, Seer(22) if seen else None)
    before = {name: float(loss.detach()) for name, loss in losses_of(stage, 2).items()}
    train(stage, Schedule(steps=60, rate=4e-3, warmup=3), tmp_path)
    after = {name: float(loss.detach()) for name, loss in losses_of(stage, 2).items()}
    assert after["absolute"] < 0.85 * before["absolute"] and after["told"] < before["told"]
    assert ("seen" in after) == seen


def test_a_stage_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path) -> None:
    schedule = Schedule(steps=8, rate=1e-3, warmup=2)

    def fresh() -> TokenizerStage:
        torch.manual_seed(1)
        return TokenizerStage(ImageTokenizer(LEARNT), source(SOURCE), RECIPE)

    whole, first, second = fresh(), fresh(), fresh()
    train(whole, schedule, tmp_path / "a")
    train(first, schedule, tmp_path / "b", stop_at=5)
    train(second, schedule, tmp_path / "b")
    for (name, a), b in zip(whole.module.state_dict().items(), second.module.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_fixed_codes_stay_while_pictures_come_closer(tmp_path: Path) -> None:
    tokenizer = ImageTokenizer(LOCAL)
    stage = TokenizerStage(tokenizer, few, replace(RECIPE, warmup=0, fixed=True))
    pictures = torch.rand(4, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        codes = tokenizer.encode(pictures)
    before = float(losses_of(stage, 2)["absolute"].detach())
    train(stage, Schedule(steps=40, rate=4e-3, warmup=3), tmp_path)
    with torch.no_grad():
        assert torch.equal(tokenizer.encode(pictures), codes) and len(set(codes.flatten().tolist())) > 1
    assert float(losses_of(stage, 2)["absolute"].detach()) < 0.85 * before


def test_learnt_codes_are_means_of_what_is_rounded_to_them() -> None:
    stage = TokenizerStage(ImageTokenizer(LEARNT), source(SOURCE), replace(RECIPE, warmup=0))
    losses_of(stage, 0)
    book = stage.module.get_parameter("tokenizer.quantize.embedding.weight")
    assert stage._seen is not None
    latents, ids = stage._seen
    for code in sorted(set(ids.tolist())):
        mean = latents[ids == code].mean(0)
        assert (book[code] - mean).norm() < 0.35 * latents.std(0).norm()


def test_a_dead_code_is_put_among_the_latents() -> None:
    stage = TokenizerStage(ImageTokenizer(LEARNT), source(SOURCE), replace(RECIPE, warmup=0))
    losses_of(stage, 0)
    book = stage.module.get_parameter("tokenizer.quantize.embedding.weight")
    counts, sums = stage.module.get_buffer("counts"), stage.module.get_buffer("sums")
    with torch.no_grad():
        book[5], counts[5], sums[5] = 1e3, 1e-6, 1e-3
    losses_of(stage, 1)
    assert stage._seen is not None
    latents, _ = stage._seen
    stage.after(20)
    assert float((latents - book[5]).norm(dim=1).min()) < 1e-3


def test_the_codebook_has_no_gradient_of_its_own() -> None:
    for config in (LATTICE, LEARNT):
        stage = TokenizerStage(ImageTokenizer(config), source(SOURCE), RECIPE)
        weights = {id(w) for optimizer in stage.optimizers(1e-3) for g in optimizer.param_groups for w in g["params"]}
        assert id(stage.module.get_parameter("tokenizer.quantize.embedding.weight")) not in weights


def test_every_wide_convolution_is_trained_by_muon_and_all_else_by_adam() -> None:
    stage = TokenizerStage(ImageTokenizer(LOCAL), few, replace(RECIPE, muon_rate=5.0))
    adam, muon = stage.optimizers(1e-3)
    sizes = [sum(w.numel() for g in o.param_groups for w in g["params"]) for o in (adam, muon)]
    weights = {name: w for name, w in stage.module.named_parameters() if w.requires_grad}
    wide = [w.numel() for name, w in weights.items() if w.ndim == 4 and "quant_conv" not in name]
    assert sizes == [sum(w.numel() for w in weights.values()) - sum(wide), sum(wide)]
    assert [g["lr"] for o in (adam, muon) for g in o.param_groups] == [1e-3, 5e-3]


def test_every_second_picture_of_a_crowded_batch_is_of_the_last_stratum() -> None:
    asked: list[int] = []

    def told(number: int) -> Record:
        asked.append(number)
        return few(number)

    TokenizerStage(ImageTokenizer(LOCAL), told, replace(RECIPE, crowded=True)).batch(1)
    assert asked == [26, 9, 32, 11, 38, 13, 44, 15]


def test_one_picture_in_three_is_a_map() -> None:
    record: Record = source(SOURCE)(4)
    kinds = [picture(record, index) for index in range(27)]
    maps = [record.edges(), record.depth(), painted(record.labels())]
    for index, found in enumerate(kinds):
        turn = index // 3
        assert np.array_equal(found, maps[turn] if turn < 3 else record.pixels())


def test_the_seer_learns_to_tell_pixels(tmp_path: Path) -> None:
    stage = SeerStage(Seer(22), few, batch=8)
    before = float(losses_of(stage, 0)["loss"].detach())
    train(stage, Schedule(steps=20, rate=3e-3, warmup=3), tmp_path)
    assert float(losses_of(stage, 0)["loss"].detach()) < 0.5 * before


def test_maps_have_no_kinds() -> None:
    batch = TokenizerStage(ImageTokenizer(LATTICE), few, replace(RECIPE, batch=27)).batch(0)
    assert [bool((kinds < 0).all()) for kinds in batch["kinds"]] == [index // 3 < 3 for index in range(27)]
    assert np.array_equal(batch["labels"][5].numpy(), few(5).labels())


def test_a_batch_without_any_kind_has_losses(tmp_path: Path) -> None:
    found = losses_of(TokenizerStage(ImageTokenizer(LATTICE), few, RECIPE, Seer(22)), 0)
    assert float(found["seen"].detach()) == 0 and bool(found["loss"].isfinite())


@pytest.mark.parametrize("workers", [0, 2])
def test_prepared_records_hold_the_codes_of_their_pictures(workers: int, tmp_path: Path) -> None:
    tokenizer = ImageTokenizer(LATTICE).eval()
    prepare(tokenizer, source(SOURCE), tmp_path, 2, size=6, workers=workers)
    shards = Shards(tmp_path)
    assert len(shards) == 12
    for number in (0, 7, 11):
        record, held = source(SOURCE)(number), shards.record(number)
        assert held.captions == record.captions() and held.questions == record.questions(8)
        edit = record.edit()
        assert (held.instruction is None) == (edit is None)
        x = torch.from_numpy(record.pixels()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            codes = tokenizer.encode(x)[0].numpy()
        assert (held.picture == codes).mean() > 0.98  # another batch may round the last bit elsewhere
    untouched = (tmp_path / "shard-0000.npy").stat().st_mtime_ns
    prepare(tokenizer, source(SOURCE), tmp_path, 2, size=6, workers=workers)
    assert (tmp_path / "shard-0000.npy").stat().st_mtime_ns == untouched


@pytest.mark.parametrize("name", ["nowhere", "json:nothing", "no.such.module:f", "json:__name__"])
def test_a_source_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"package\.module:function"):
        source(name)


@pytest.mark.parametrize("config", [LATTICE, LEARNT])
def test_the_encoder_learns_through_the_rounding(config: ImageTokenizerConfig) -> None:
    stage = TokenizerStage(ImageTokenizer(config), source(SOURCE), replace(RECIPE, warmup=0, commitment=0.0))
    losses_of(stage, 0)["loss"].backward()  # type: ignore[no-untyped-call]
    gradient = stage.module.get_parameter("tokenizer.encoder.conv_in.weight").grad
    assert gradient is not None and float(gradient.abs().max()) > 0
