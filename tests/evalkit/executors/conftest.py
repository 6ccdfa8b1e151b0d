"""A small Ray on this machine, started once for the tests that need one and always shut down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import logged

ROOT = Path(__file__).resolve().parents[3]
STORE_BYTES = 100 * 2**20
ROOMS = os.pathsep.join(str(ROOT / room) for room in ("", "tasks", "reference_model"))


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    """An environment in which Ray's processes find the rooms; the tests' models travel to them by value."""
    ray = pytest.importorskip("ray")
    ray.cloudpickle.register_pickle_by_value(logged)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ROOMS)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def local_ray(environment: None) -> Iterator[None]:
    """A Ray with room for five workers."""
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=5,
        num_gpus=0,
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    yield
    ray.shutdown()
