"""The law of results: where a run is answered, and by how many, changes no bit of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("ray")

from cm3leon.entry import cm3leon_model
from evalkit.cache import Cache
from evalkit.executors.executor import Executor
from evalkit.executors.local import LocalExecutor, batch_sizes
from evalkit.executors.ray import RayExecutor
from evalkit.executors.ray_cluster import RaySettings
from evalkit.interfaces import Model
from evalkit.registry import build_task
from evalkit.results import read_samples, run_json
from evalkit.runner import RunSettings, run_with
from evalkit.workspace import Workspace

MODEL: Callable[[Workspace], Model] = partial(cm3leon_model, argument="", options={})
"""The model that is put to the test: the shipped CM3leon."""
TASKS = ("blocksworld_composition", "blocksworld_edit", "blocksworld_vqa")
COUNT = 10
"""Samples of each task: enough that five workers have a batch each."""
SETTINGS = RunSettings(limit=COUNT, gen={"temperature": "1.0"})


def result(executor: Executor, workspace: Workspace, name: str) -> Mapping[str, object]:
    """Everything that a run found: its estimates, and each answer with the digests of its pictures."""
    with Cache(workspace.cache) as cache:
        found, folder = run_with(
            build_task(name, workspace, None, {}), executor, cache, SETTINGS, workspace.cache / "runs"
        )
    assert found.coverage.answered == COUNT, [r.failure for r in read_samples(folder)]
    assert found.coverage.from_cache == 0
    answers = {record.id: list(record.answer_parts or ()) for record in read_samples(folder)}
    assert len({json.dumps(answer) for answer in answers.values()}) > 3  # it is no model that always says the same
    document = run_json(found)
    return {"answers": answers, **{name: document[name] for name in ("estimates", "series", "protocols", "stamps")}}


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "batch"), [(1, 4), (2, 5), (5, 2)])
def test_any_number_of_workers_finds_what_this_process_finds(
    local_ray: None, tmp_path: Path, workers: int, batch: int
) -> None:
    here = Workspace(cache=tmp_path / "here", batch=16)
    there = Workspace(cache=tmp_path / "there", batch=batch)
    model = MODEL(here)
    settings = RaySettings(workers=workers, gpus_per_worker=0)
    with RayExecutor(MODEL, there, settings) as executor:
        assert executor.model.identity == model.identity
        for name in TASKS:
            alone = result(LocalExecutor(model, batch_sizes(model, here)), here, name)
            assert json.dumps(result(executor, there, name)) == json.dumps(alone)
