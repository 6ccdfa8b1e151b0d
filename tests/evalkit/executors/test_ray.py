"""Laws of the Ray executor, with the real Ray: whatever becomes of workers, each request is answered once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("ray")

from evalkit.errors import DataError, RunError
from evalkit.executors.local import LocalExecutor
from evalkit.executors.ray import RayExecutor
from evalkit.executors.ray_cluster import RaySettings
from evalkit.types import Answer, Failure, Generation
from evalkit.workspace import Workspace

from .logged import BuildLogged, Logged, asked, processes, requests

BATCH = 4
pytestmark = pytest.mark.slow


@contextmanager
def executor(
    folder: Path, model: Logged, workers: int = 2, lease: float = 60.0, broken: str = ""
) -> Iterator[RayExecutor]:
    """The executor of the model in workers of the Ray that runs."""
    workspace = Workspace(cache=folder / "cache", batch=BATCH)
    settings = RaySettings(workers=workers, gpus_per_worker=0, lease_seconds=lease)
    with RayExecutor(BuildLogged(model, broken), workspace, settings) as opened:
        yield opened


def answered(folder: Path, model: Logged, count: int, workers: int = 2, lease: float = 60.0) -> dict[int, Answer]:
    """The answers by position, each of which came once."""
    with executor(folder, model, workers, lease) as opened:
        found = list(opened.answers(requests(count)))
    assert len(found) == count
    return dict(found)


def expected(folder: Path, count: int) -> dict[int, Answer]:
    """What this process answers."""
    return dict(LocalExecutor(Logged(folder / "here.log")).answers(requests(count)))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_answers_as_this_process_does(local_ray: None, tmp_path: Path, workers: int) -> None:
    log = tmp_path / "log"
    found = answered(tmp_path, Logged(log, seconds=0.05), 60, workers)
    assert found == expected(tmp_path, 60)
    assert set(asked(log).values()) == {1}
    assert min(workers, 2) <= len(processes(log)) <= workers


def test_a_killed_worker_loses_no_request_and_costs_its_lease_at_most(local_ray: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found, killed = {}, False
    with executor(tmp_path, Logged(log, seconds=0.3)) as opened:
        for position, answer in opened.answers(requests(60)):
            assert position not in found
            found[position] = answer
            if len(found) == 10:
                os.kill(max(processes(log)), signal.SIGKILL)
                killed = True
    assert killed
    assert found == expected(tmp_path, 60)
    assert len(processes(log)) == 3
    assert sum(asked(log).values()) <= 60 + BATCH


def test_a_request_that_raises_is_one_failure(local_ray: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = answered(tmp_path, Logged(log, poison="s13"), 40)
    assert {p for p, answer in found.items() if isinstance(answer, Failure)} == {13}
    assert found[13] == Failure("exception", "ValueError: cannot draw s13", found[13].seconds)
    assert {**found, 13: None} == {**expected(tmp_path, 40), 13: None}
    assert all(count == 1 for sample, count in asked(log).items() if sample != "s13")


def test_a_request_that_kills_every_worker_is_one_failure(local_ray: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = answered(tmp_path, Logged(log, killer="s5"), 40)
    failure = found.pop(5)
    assert isinstance(failure, Failure) and failure.kind == "crash"
    assert all(isinstance(answer, Generation) for answer in found.values())
    assert asked(log)["s5"] == 4
    assert sum(count - 1 for sample, count in asked(log).items() if sample != "s5") <= BATCH


def test_a_worker_that_hangs_is_replaced_and_its_requests_asked_again(local_ray: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = answered(tmp_path, Logged(log, hanger="s5", once=True), 40, lease=3.0)
    assert found == expected(tmp_path, 40)
    assert asked(log)["s5"] == 2


def test_a_reader_that_takes_long_makes_no_worker_hang(local_ray: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with executor(tmp_path, Logged(log, seconds=0.05), lease=1.0) as opened:
        for number, _ in enumerate(opened.answers(requests(40))):
            if number in {10, 20}:
                time.sleep(2.0)
    assert set(asked(log).values()) == {1}
    assert len(processes(log)) == 2


def test_a_request_that_hangs_every_worker_is_one_failure(local_ray: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = answered(tmp_path, Logged(log, hanger="s5"), 20, lease=2.0)
    failure = found.pop(5)
    assert isinstance(failure, Failure) and failure.kind == "timeout" and "silent for 2 s" in failure.message
    assert all(isinstance(answer, Generation) for answer in found.values())


def test_an_error_of_the_whole_model_stops_the_run(local_ray: None, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the folder is gone"):
        answered(tmp_path, Logged(tmp_path / "log", fatal="s5"), 40)


def test_a_model_that_cannot_be_built_is_an_error_at_once(local_ray: None, tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="no weights here"),
        executor(tmp_path, Logged(tmp_path / "log"), broken="error"),
    ):
        pass


def test_workers_that_die_while_they_load_end_the_run(local_ray: None, tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="3 workers in a row died while they loaded the model"),
        executor(tmp_path, Logged(tmp_path / "log"), broken="death"),
    ):
        pass


def test_workers_with_different_models_never_answer_together(local_ray: None, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds another model than the first worker: weights \d+ instead of \d+"):
        answered(tmp_path, Logged(tmp_path / "log", another=True, seconds=0.1), 60)


def test_requests_are_read_only_as_far_as_there_is_room(local_ray: None, tmp_path: Path) -> None:
    read = 0

    def counted() -> Iterator:  # type: ignore[type-arg]
        nonlocal read
        for request in requests(200):
            read += 1
            yield request

    with executor(tmp_path, Logged(tmp_path / "log", seconds=0.01)) as opened:
        for number, _ in enumerate(opened.answers(counted()), start=1):
            assert read - number <= 2 * 2 * BATCH + 2 * BATCH
