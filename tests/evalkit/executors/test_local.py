"""Laws of the local executor: each request is answered once, and one bad request harms no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch

from evalkit.errors import DataError, RunError
from evalkit.executors.batches import BatchSizes
from evalkit.executors.local import LocalExecutor
from evalkit.types import Answer, Failure, Generation, Request, Text
from tests.fakes import CountingModel


def requests(count: int) -> list[Request]:
    return [Request("tiny@1", f"s{i}", "text-to-image", (Text("x"),), seed=i) for i in range(count)]


def test_every_position_is_answered_once() -> None:
    found = list(LocalExecutor(CountingModel(), BatchSizes(4)).answers(requests(10)))
    assert [position for position, _ in found] == list(range(10))
    assert all(isinstance(answer, Generation) for _, answer in found)


def test_answers_do_not_depend_on_the_batch() -> None:
    one = dict(LocalExecutor(CountingModel(), BatchSizes(1)).answers(requests(8)))
    eight = dict(LocalExecutor(CountingModel(), BatchSizes(8)).answers(requests(8)))
    assert one == eight


def test_one_poisonous_request_is_one_failure() -> None:
    model = CountingModel(poison=frozenset({"s3"}))
    found = dict(LocalExecutor(model, BatchSizes(8)).answers(requests(8)))
    assert sorted(found) == list(range(8))
    assert [p for p, answer in found.items() if isinstance(answer, Failure)] == [3]
    failure = found[3]
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.message) == ("exception", "ValueError: cannot draw s3")


def test_a_request_left_out_is_asked_again_and_then_a_failure() -> None:
    model = CountingModel(mute=frozenset({"s2"}))
    found = dict(LocalExecutor(model, BatchSizes(5)).answers(requests(5)))
    assert found[2] == Failure("missing", "the model returned no answer")
    assert model.asked["s2"] == 2
    assert model.asked["s1"] == 1


def test_a_batch_that_runs_out_of_memory_is_halved() -> None:
    model = CountingModel(memory=3)
    found = dict(LocalExecutor(model, BatchSizes(16)).answers(requests(10)))
    assert sorted(found) == list(range(10))
    assert all(isinstance(answer, Generation) for answer in found.values())
    assert max(size for size in model.batches[2:]) <= 5
    assert set(model.asked.values()) == {1}


def test_running_out_of_memory_alone_is_a_failure() -> None:
    found = dict(LocalExecutor(CountingModel(memory=0), BatchSizes(4)).answers(requests(3)))
    assert {answer.kind for answer in found.values() if isinstance(answer, Failure)} == {"exception"}
    assert len(found) == 3


class Torch(CountingModel):
    """Asks torch for more memory than there is where a batch is larger than two."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        if len(requests) > 2:
            torch.empty(2**50)
        yield from super().generate(requests)


class Cuda(CountingModel):
    """Raises as torch does when a GPU's memory runs out."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        if len(requests) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        yield from super().generate(requests)


@pytest.mark.parametrize("model", [Torch(), Cuda()])
def test_torch_running_out_of_memory_halves_the_batch(model: CountingModel) -> None:
    found = dict(LocalExecutor(model, BatchSizes(8)).answers(requests(10)))
    assert all(isinstance(answer, Generation) for answer in found.values())
    assert model.batches == [2, 2, 2, 2, 2]


class Wrong(CountingModel):
    """Answers a position that it was not asked."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        yield 7, Failure("exception", "")


class Stuttering(CountingModel):
    """Answers its first request twice."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        yield 0, Failure("exception", "")
        yield 0, Failure("exception", "")


class Broken(CountingModel):
    """Raises an error that would strike every request alike."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for _ in requests:
            raise DataError("the folder is gone")
        yield 0, Failure("exception", "")


def test_an_answer_to_a_position_not_asked_is_an_error() -> None:
    with pytest.raises(RunError, match="answered position 7 of a batch of 2"):
        list(LocalExecutor(Wrong(), BatchSizes(2)).answers(requests(2)))


def test_a_position_answered_twice_is_an_error() -> None:
    with pytest.raises(RunError, match="which was not asked or was answered already"):
        list(LocalExecutor(Stuttering(), BatchSizes(2)).answers(requests(2)))


def test_an_error_of_the_whole_model_stops_the_run() -> None:
    with pytest.raises(DataError, match="the folder is gone"):
        list(LocalExecutor(Broken(), BatchSizes(2)).answers(requests(2)))
