"""Laws of the Ray executor on a cluster of several nodes: nodes go and come while it works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

import ray
from ray.cluster_utils import Cluster

from evalkit.errors import UsageError
from evalkit.executors.ray import RayExecutor
from evalkit.executors.ray_cluster import RaySettings
from evalkit.workspace import Workspace

from .conftest import STORE_BYTES
from .logged import BuildLogged, Logged, asked, processes, requests
from .test_ray import expected

BATCH = 4
pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(environment: None) -> Iterator[Any]:
    """A cluster whose head has no room for a worker; nodes of one worker each are added in the tests."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
    yield made
    ray.shutdown()
    made.shutdown()  # type: ignore[no-untyped-call]  # Ray types it not


NODE = {"num_gpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}


def executor(cluster: Any, model: Logged, folder: Path, workers: int | None) -> RayExecutor:
    settings = RaySettings(workers, gpus_per_worker=0, address=cluster.address)
    return RayExecutor(BuildLogged(model), Workspace(cache=folder / "cache", batch=BATCH), settings)


def test_a_node_that_is_removed_loses_no_request(cluster: Any, tmp_path: Path) -> None:
    nodes = [cluster.add_node(num_cpus=1, **NODE) for _ in range(2)]
    log, found = tmp_path / "log", {}
    with executor(cluster, Logged(log, seconds=0.1), tmp_path, 2) as opened:
        for position, answer in opened.answers(requests(60)):
            assert position not in found
            found[position] = answer
            if len(found) == 16:
                assert len(processes(log)) == 2
                cluster.remove_node(nodes[0], allow_graceful=False)
    assert found == expected(tmp_path, 60)
    assert sum(asked(log).values()) <= 60 + BATCH


@pytest.mark.parametrize("workers", [2, None])
def test_a_worker_that_joins_late_takes_work(cluster: Any, tmp_path: Path, workers: int | None) -> None:
    cluster.add_node(num_cpus=1, **NODE)
    log, found = tmp_path / "log", {}
    with executor(cluster, Logged(log, seconds=0.1), tmp_path, workers) as opened:
        for position, answer in opened.answers(requests(120)):
            found[position] = answer
            if len(found) == 10:
                assert len(processes(log)) == 1
                cluster.add_node(num_cpus=1, **NODE)
    assert found == expected(tmp_path, 120)
    assert set(asked(log).values()) == {1}
    assert len(processes(log)) == 2
    assert min(processes(log).values()) >= 2 * BATCH


def test_an_address_without_a_cluster_is_an_error(tmp_path: Path) -> None:
    settings = RaySettings(address="127.0.0.1:1", gpus_per_worker=0)
    nobody = RayExecutor(BuildLogged(Logged(tmp_path / "log")), Workspace(cache=tmp_path), settings)
    with pytest.raises(UsageError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"), nobody:
        pass
