"""The house rules, checked by the tools that hold them: format, lint, types, imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def complaint(*command: str) -> str:
    """What a tool prints when it finds something wrong, empty when all is well."""
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def test_code_is_formatted() -> None:
    assert complaint("ruff", "format", "--check", ".") == ""


def test_lint_finds_nothing() -> None:
    assert complaint("ruff", "check", ".") == ""


@pytest.mark.slow
def test_types_hold_strictly() -> None:
    assert complaint("mypy") == ""


def test_rooms_import_only_downwards() -> None:
    assert complaint("lint-imports") == ""
