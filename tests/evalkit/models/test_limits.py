"""Laws of limits: rates hold in any minute, a budget stops a run cleanly and is never exceeded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evalkit.errors import EvalkitError, UsageError
from evalkit.models.openai import ApiModel
from evalkit.types import Answer, Request
from tests.faults.api_server import FaultServer

from .asking import answers, question

Build = Callable[..., ApiModel]


def test_rates_hold_in_any_minute(api: Build, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.models.limits.MINUTE", 0.5)
    answers(api(requests_per_minute="5"), [question(seed) for seed in range(12)])
    assert all(late - early >= 0.45 for early, late in zip(server.times, server.times[5:], strict=False))
    server.times.clear()
    knobs = {"max_tokens": 100}
    answers(api(tokens_per_minute="400"), [question(seed, **knobs) for seed in range(9)])
    assert all(late - early >= 0.45 for early, late in zip(server.times, server.times[3:], strict=False))


def collected(model: ApiModel, requests: list[Request]) -> tuple[dict[int, Answer], EvalkitError | None]:
    """The answers until the run was stopped, and what stopped it."""
    found: dict[int, Answer] = {}
    try:
        for position, answer in model.generate(requests):
            found[position] = answer
    except EvalkitError as error:
        return found, error
    return found, None


def test_a_budget_of_requests_stops_cleanly(api: Build, server: FaultServer) -> None:
    found, stopped = collected(api(max_requests="7"), [question(seed) for seed in range(30)])
    assert sum(server.asked.values()) == 7
    assert len(found) == 7
    assert "the budget of 7 requests (--max-requests) is spent" in str(stopped)


def test_a_budget_of_money_is_never_exceeded(api: Build, server: FaultServer) -> None:
    prices = {"input_price": "1000", "output_price": "1000"}  # a reply of 1,100 tokens costs 1.1
    asked = [question(seed, max_tokens=100) for seed in range(30)]
    found, stopped = collected(api(max_cost="8", concurrency="1", **prices), asked)
    assert len(found) == 7
    assert "the budget of 8 (--max-cost) is spent: 7.7 for 7 requests" in str(stopped)
    with pytest.raises(UsageError, match="needs prices"):
        api(max_cost="8")
