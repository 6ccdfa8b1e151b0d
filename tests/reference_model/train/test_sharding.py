"""Sharded training: what two processes train with half of the weights each is what they train with all of them.

`torchrun` runs this file as the two processes; the tests compare what these leave behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.tensor import DTensor

from cm3leon.train.language import LanguageRecipe, LanguageStage
from cm3leon.train.loop import LOG, Pace, Schedule, leave_group, train, trained_weights
from cm3leon.train.sharding import sharded
from cm3leon.transformer import Transformer

from .tiny_language import tiny_language

pytestmark = pytest.mark.slow
SCHEDULE = Schedule(steps=6, rate=1e-3, warmup=2)
STOP = 3
RECIPES = {"adam": LanguageRecipe(documents=8, row=200, muon_rate=0.0), "muon": LanguageRecipe(documents=8, row=200)}


class Kept(LanguageStage):
    """A stage that keeps its optimizers."""

    made: list[torch.optim.Optimizer]

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        self.made = super().optimizers(rate)
        return self.made

    def held(self) -> dict[str, int]:
        """Return how many numbers this process holds of the weights, and of the optimizers' state."""
        state = [part for made in self.made for parts in made.state.values() for part in parts.values() if part.ndim]
        sizes = {"weights": list(self.module.parameters()), "state": state}
        return {
            name: sum(part.to_local().numel() if isinstance(part, DTensor) else part.numel() for part in parts)
            for name, parts in sizes.items()
        }


def trained(folder: Path, records: Path, recipe: str, *, parted: bool, stop_at: int | None = None) -> Kept:
    """Train the tiny transformer, whole or in parts, or go on, in `folder`; its processes hold what it returns."""
    mixture, table, transformer = tiny_language(records)
    if parted:
        weights = transformer.state_dict()
        with torch.device("meta"):
            transformer = Transformer(transformer.config)
        transformer = sharded(transformer, transformer.layers, lambda: weights)
    stage = Kept(transformer, mixture, table, RECIPES[recipe])
    train(stage, SCHEDULE, folder, pace=Pace(log_every=1), stop_at=stop_at)
    return stage


def main(folder: Path) -> None:
    """Be one of the two processes that train by turns whole, in parts, and in parts with a stop."""
    records = folder / f"records-{os.environ['RANK']}"
    records.mkdir()
    for recipe in RECIPES:
        whole = trained(folder / recipe / "whole", records, recipe, parted=False)
        parts = trained(folder / recipe / "parts", records, recipe, parted=True)
        sizes = json.dumps({"whole": whole.held(), "parts": parts.held()})
        (records / f"{recipe}.json").write_text(sizes, encoding="utf-8")
        for stop_at in (STOP, None):
            trained(folder / recipe / "stopped", records, recipe, parted=True, stop_at=stop_at)
        trained(folder / recipe / "joined", records, recipe, parted=False, stop_at=STOP)
        trained(folder / recipe / "joined", records, recipe, parted=True)
    leave_group()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that two processes trained in: a folder for each of the recipes, with one for each run."""
    folder = tmp_path_factory.mktemp("sharding")
    root = Path(__file__).parents[3]
    module = ".".join(Path(__file__).relative_to(root).with_suffix("").parts)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, "-m", module, str(folder)], check=True, timeout=500, cwd=root, env=environment)
    return folder


def losses(folder: Path) -> torch.Tensor:
    lines = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    return torch.tensor([[line[name] for name in ("loss", "image", "text", "norm")] for line in lines])


@pytest.mark.parametrize(("recipe", "tolerance"), [("adam", 1e-5), ("muon", 2e-3)])
def test_parts_train_as_the_whole(runs: Path, recipe: str, tolerance: float) -> None:
    # Muon's products of bfloat16 are summed in another order
    found, wanted = losses(runs / recipe / "parts"), losses(runs / recipe / "whole")
    assert len(found) == SCHEDULE.steps and wanted[-1, 0] < wanted[0, 0]
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=0)
    weights, whole = trained_weights(runs / recipe / "parts"), trained_weights(runs / recipe / "whole")
    print(recipe, (found / wanted - 1).abs().max(), {n: ((weights[n]-whole[n]).norm()/whole[n].norm()).item() for n in whole})
    assert weights.keys() == whole.keys()


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_process_holds_half_of_the_weights_and_of_their_state(runs: Path, recipe: str) -> None:
    sizes = [json.loads((runs / f"records-{rank}" / f"{recipe}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    for name in ("weights", "state"):
        whole, parts = sizes[0]["whole"][name], [size["parts"][name] for size in sizes]
        assert whole == sizes[1]["whole"][name] == sum(parts)
        assert max(parts) <= 0.51 * whole


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_run_in_parts_goes_on_bit_for_bit(runs: Path, recipe: str) -> None:
    once, twice = trained_weights(runs / recipe / "parts"), trained_weights(runs / recipe / "stopped")
    assert once.keys() == twice.keys() and all(torch.equal(once[name], twice[name]) for name in once)
    assert torch.equal(losses(runs / recipe / "parts")[:, :4], losses(runs / recipe / "stopped"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
