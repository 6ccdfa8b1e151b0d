"""Sharded training: what two processes train with half of the weights each is what they train with all of them.

`torchrun` runs this file as the two processes; the tests compare what these leave behind.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from cm3leon.train.language import LanguageRecipe, LanguageStage
from cm3leon.train.loop import LOG, Pace, Schedule, leave_group, train, trained_weights
from cm3leon.train.sharding import sharded
from cm3leon.transformer import Transformer

from .tiny_language import tiny_language

pytestmark = pytest.mark.slow
STEPS, STOP = 6, 3
RECIPES = {
    "adam": (LanguageRecipe(documents=8, rows=(200,), muon_rate=0.0), Schedule(STEPS, rate=1e-3, warmup=2)),
    # not clipped: Muon makes much of the last bit of a norm that is summed in another order
    "muon": (LanguageRecipe(documents=8, rows=(200,)), Schedule(STEPS, rate=1e-3, warmup=2, clip=100.0)),
}


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
    language, schedule = RECIPES[recipe]
    stage = Kept(transformer, mixture, table, language)
    train(stage, schedule, folder, pace=Pace(log_every=1), stop_at=stop_at)
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
    here = Path(__file__)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*launch, "-m", f"{here.parent.name}.{here.stem}", str(folder)],
        check=True,
        timeout=500,
        cwd=here.parents[1],
        env=environment,
    )
    return folder


def losses(folder: Path) -> torch.Tensor:
    lines = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    return torch.tensor([[line[name] for name in ("loss", "image", "text", "norm")] for line in lines])


def apart(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """Return the largest norm of a difference over that of what is on the right."""
    assert list(left) == list(right)
    return max(float((left[name] - whole).norm() / whole.norm()) for name, whole in right.items())


@pytest.mark.parametrize(("recipe", "tolerance"), [("adam", 2e-4), ("muon", 1e-6)])
def test_parts_train_as_the_whole(runs: Path, recipe: str, tolerance: float) -> None:
    found, wanted = losses(runs / recipe / "parts"), losses(runs / recipe / "whole")
    assert len(found) == STEPS and wanted[-1, 0] < 0.98 * wanted[0, 0]
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=1e-5)
    assert apart(trained_weights(runs / recipe / "parts"), trained_weights(runs / recipe / "whole")) <= tolerance


@pytest.mark.parametrize(("recipe", "tolerance"), [("adam", 2e-4), ("muon", 1e-6)])
def test_parts_go_on_from_what_was_trained_whole(runs: Path, recipe: str, tolerance: float) -> None:
    assert apart(trained_weights(runs / recipe / "joined"), trained_weights(runs / recipe / "whole")) <= tolerance


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


def shapes(state: object) -> object:
    """Return what a checkpoint holds, with shapes in the place of tensors."""
    if isinstance(state, dict):
        return {name: shapes(held) for name, held in state.items()}
    if isinstance(state, list):
        return [shapes(held) for held in state]
    return (type(state), state.shape, state.dtype, state.device) if isinstance(state, Tensor) else state


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_checkpoint_is_the_whole_one_and_one_process_goes_on_from_it(runs: Path, recipe: str, tmp_path: Path) -> None:
    parts, whole = (runs / recipe / run / "checkpoint.pt" for run in ("parts", "whole"))
    assert shapes(torch.load(parts, weights_only=True)) == shapes(torch.load(whole, weights_only=True))
    shutil.copytree(runs / recipe / "parts", tmp_path / "run")
    alone = trained(tmp_path / "run", runs / "records-0", recipe, parted=False)
    held = trained_weights(runs / recipe / "parts")
    assert all(torch.equal(weight, held[name]) for name, weight in alone.module.state_dict().items())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
