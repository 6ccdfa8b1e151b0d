"""Laws of the batch size: memory that runs out costs no answer, the largest that fits is found, and remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.executors.batches import CLOSE, FIRST, LARGEST, BatchSize, BatchSizes
from evalkit.executors.local import LocalExecutor
from evalkit.types import Answer, Generation, Request, Text
from tests.fakes import CountingModel

from .logged import requests

IDENTITY = {"model": "a"}


@given(st.integers(1, 2 * LARGEST))
def test_the_search_ends_close_below_what_does_not_fit(memory: int) -> None:
    size = BatchSize(grows=True)
    for _ in range(100):
        if size.size > memory and size.size > 1:
            size.ran_out(size.size)
        else:
            size.fitted(size.size)
    assert size.settled
    assert size.size <= max(1, memory)
    assert size.size >= min(LARGEST, memory) / (1 + 2 / CLOSE) - 1


@given(st.lists(st.integers(1, 64), min_size=1, max_size=30))
def test_what_does_not_fit_any_more_is_not_tried_again(memories: list[int]) -> None:
    size, least = BatchSize(size=64, grows=True), 64
    for memory in memories:
        least = min(least, memory)
        tried = size.size
        if tried > memory and tried > 1:
            size.ran_out(tried)
            assert size.size < tried
        else:
            size.fitted(tried)
        assert size.too_large is None or size.size < size.too_large


def grown(directory: Path, memory: int, device: str = "fake", count: int = 2000) -> CountingModel:
    """The model after it was asked so much with automatic batches."""
    model = CountingModel(memory=memory)
    executor = LocalExecutor(model, BatchSizes(None, device, directory, IDENTITY))
    found = dict(executor.answers(requests(count)))
    assert len(found) == count
    assert all(isinstance(answer, Generation) for answer in found.values())
    assert set(model.asked.values()) == {1}
    return model


@pytest.mark.parametrize("memory", [5, 16, 50, 100])
def test_an_automatic_batch_grows_to_the_largest_that_fits(tmp_path: Path, memory: int) -> None:
    batches = grown(tmp_path, memory).batches
    assert memory / (1 + 2 / CLOSE) - 1 <= batches[-2] <= memory


def test_what_was_found_is_remembered_by_model_and_device(tmp_path: Path) -> None:
    found = grown(tmp_path, 50).batches[-2]
    assert grown(tmp_path, 50).batches[:-1] == [found] * (2000 // found)
    assert grown(tmp_path, 50, device="another").batches[0] == FIRST
    assert grown(tmp_path, 20).batches[0] == found
    assert grown(tmp_path, 20).batches[0] <= 20  # what had to shrink is remembered too
    (kept, _) = tmp_path.iterdir()
    kept.write_text("{")
    for other in tmp_path.iterdir():
        other.write_text('{"batch": "many"}')
    assert grown(tmp_path, 50).batches[0] == FIRST


def test_a_batch_that_was_chosen_does_not_grow_and_is_not_remembered(tmp_path: Path) -> None:
    model = CountingModel(memory=3)
    list(LocalExecutor(model, BatchSizes(8, "fake", tmp_path, IDENTITY)).answers(requests(40)))
    assert max(model.batches) == 8
    assert list(tmp_path.iterdir()) == []


def test_a_batch_does_not_grow_where_running_out_of_memory_ends_the_process(tmp_path: Path) -> None:
    assert set(grown(tmp_path, 1000, device="cpu", count=160).batches) == {FIRST}


def test_a_folder_that_cannot_be_written_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    grown(tmp_path / "file" / "batches", 50)


@dataclass
class Greedy:
    """Holds memory while it answers, and frees it with its frame; more than `room` at once is an error."""

    room: int
    held: list[int] = field(default_factory=list)
    name: str = "greedy"
    capabilities = frozenset({"text-to-image"})
    identity = IDENTITY

    def generate(self, asked: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        memory = _Held(self.held, len(asked))
        if sum(self.held) > self.room:
            raise RuntimeError("CUDA error: out of memory")
        for position, _ in enumerate(asked):
            yield position, Generation((Text(str(memory.count > 0)),))


class _Held:
    def __init__(self, held: list[int], count: int) -> None:
        self.count, self._held = count, held
        held.append(count)

    def __del__(self) -> None:
        self._held.remove(self.count)


def test_the_memory_of_a_batch_that_failed_is_free_for_the_next(tmp_path: Path) -> None:
    executor = LocalExecutor(Greedy(room=8), BatchSizes(16))  # type: ignore[arg-type]  # constants for properties
    found = dict(executor.answers(requests(40)))
    assert all(isinstance(answer, Generation) for answer in found.values())
