"""The examples in docstrings, run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    ROOT / "evalkit",
    ROOT / "tasks" / "evalkit_tasks",
    ROOT / "reports" / "evalkit_reports",
    ROOT / "reference_model" / "cm3leon",
)


def modules_with_examples() -> list[str]:
    """Names of all modules whose text holds an example."""
    files = [path for package in PACKAGES for path in package.rglob("*.py")]
    with_examples = sorted(path for path in files if ">>> " in path.read_text(encoding="utf-8"))
    homes = {package: package.parent for package in PACKAGES}
    return [
        ".".join(path.relative_to(homes[package]).with_suffix("").parts).removesuffix(".__init__")
        for path in with_examples
        for package in PACKAGES
        if path.is_relative_to(package)
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
