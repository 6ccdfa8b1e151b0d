"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalkit.errors import WeightsError
from evalkit.features.inception import INCEPTION
from evalkit.weights import require
from evalkit.workspace import Workspace

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def pytest_configure() -> None:
    """Give each of pytest's worker processes, which inherit this, one thread: two that fight for the cores crawl."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos, captions and golden values that lies beside the project; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Folder of weights that all tests share, the Inception's fetched into it; skips where they cannot be had."""
    workspace = Workspace()
    try:
        require(INCEPTION, workspace)
    except WeightsError as error:
        pytest.skip(f"no Inception weights: {error}")
    return workspace.weights
