"""The training loop: what was stopped goes on as if it had not been, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cm3leon.train.loop import LOG, Schedule, train


class Line:
    """Fits a line; batches are a function of the step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Linear(3, 1)
        self.steps: list[int] = []

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), rate)]

    def losses(self, step: int) -> Mapping[str, Tensor]:
        self.steps.append(step)
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
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
