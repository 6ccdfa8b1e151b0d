"""Fixtures of the report tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.workspace import Workspace
from evalkit_reports.page import write_page
from tests.reports.drawn import Studio
from tests.reports.hostile import hostile_runs


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A fresh place for runs and their pictures."""
    return Studio(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace whose own cache is empty."""
    return Workspace(cache=tmp_path / "empty-cache", offline=True)


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about runs that say every hostile string in every place."""
    root = tmp_path_factory.mktemp("hostile")
    write_page(hostile_runs(Studio(root)), root / "page.html", Workspace(cache=root / "cache", offline=True))
    return root / "page.html"
