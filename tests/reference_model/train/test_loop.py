"""The training loop: what was stopped goes on as if it had not been, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cm3leon.train.loop import LOG, Batch, Pace, Schedule, train, trained_weights


class Line:
    """Fits a line; batches are a function of the step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Linear(3, 1)
        self.steps: list[int] = []

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), rate)]

    def batch(self, number: int) -> Batch:
        return {"x": torch.randn(8, 3, generator=torch.Generator().manual_seed(number))}

    def losses(self, step: int, batch: Batch) -> Mapping[str, Tensor]:
        self.steps.append(step)
        x = batch["x"]
        return {"loss": (self.module(x) - x.sum(1, keepdim=True)).square().mean()}

    def after(self, step: int) -> None:
        pass


SCHEDULE = Schedule(steps=25, rate=0.1, warmup=5)


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, first, second = Line(), Line(), Line()
    assert train(whole, SCHEDULE, tmp_path / "whole") == 25
    assert train(first, SCHEDULE, tmp_path / "parts", stop_at=13) == 13
    assert train(second, SCHEDULE, tmp_path / "parts") == 25
    assert second.steps == list(range(13, 25))
    for a, b in zip(whole.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(a, b)


def test_batches_made_ahead_change_no_bit(tmp_path: Path) -> None:
    alone, helped = Line(), Line()
    train(alone, SCHEDULE, tmp_path / "alone")
    train(helped, SCHEDULE, tmp_path / "helped", pace=Pace(workers=2, save_every=7), stop_at=9)
    train(helped, SCHEDULE, tmp_path / "helped", pace=Pace(workers=1))
    for a, b in zip(alone.module.parameters(), helped.module.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_trained_weights_are_those_of_the_last_checkpoint(tmp_path: Path) -> None:
    stage = Line()
    train(stage, SCHEDULE, tmp_path)
    held, weights = trained_weights(tmp_path), stage.module.state_dict()
    assert held.keys() == weights.keys() and all(torch.equal(held[name], weights[name]) for name in held)
    with pytest.raises(ValueError, match="run the stage 'nowhere' first"):
        trained_weights(tmp_path / "nowhere")


_TWO = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_loop import SCHEDULE, Line
from cm3leon.train.loop import leave_group, train
train(Line(), SCHEDULE, Path(sys.argv[1]))
leave_group()
"""


@pytest.mark.slow
def test_two_processes_train_as_one_on_twice_the_batch(tmp_path: Path) -> None:
    class Both(Line):
        def batch(self, number: int) -> Batch:
            return {"x": torch.cat([super(Both, self).batch(2 * number + i)["x"] for i in range(2)])}

    train(Both(), SCHEDULE, tmp_path / "one")
    script = tmp_path / "two.py"
    script.write_text(_TWO, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*launch, str(script), str(tmp_path / "two"), str(Path(__file__).parent)], check=True, timeout=240)
    one, two = trained_weights(tmp_path / "one"), trained_weights(tmp_path / "two")
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    train(Line(), SCHEDULE, tmp_path)
    again = Line()
    assert train(again, SCHEDULE, tmp_path) == 25 and again.steps == []


def test_another_schedule_does_not_go_on_from_the_checkpoint(tmp_path: Path) -> None:
    train(Line(), SCHEDULE, tmp_path, stop_at=10)
    with pytest.raises(ValueError, match="another folder"):
        train(Line(), Schedule(steps=30, rate=0.1, warmup=5), tmp_path)


def test_the_log_has_every_tenth_step_and_the_last_and_the_loss_falls(tmp_path: Path) -> None:
    train(Line(), SCHEDULE, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 25]
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]


def test_the_rate_rises_then_falls_to_its_floor() -> None:
    schedule = Schedule(steps=100, rate=1.0, warmup=10, floor=0.1)
    rates = [schedule.at(step) for step in range(101)]
    assert rates[0] == 0.1 and rates[9] == 1.0 and max(rates) == 1.0
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.55)


def test_no_step_is_longer_than_the_clipped_gradient(tmp_path: Path) -> None:
    class Plain(Line):
        def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
            return [torch.optim.SGD(self.module.parameters(), rate)]

    stage = Plain()
    before = [weight.detach().clone() for weight in stage.module.parameters()]
    train(stage, Schedule(steps=1, rate=1.0, warmup=1, clip=0.01), tmp_path)
    moved = sum(float((a - b.detach()).square().sum()) for a, b in zip(before, stage.module.parameters(), strict=True))
    assert moved**0.5 == pytest.approx(0.01, rel=1e-3)
