"""The command line with a third party's toy benchmark installed, in this process and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evalkit import registry
from evalkit.cli import main

TOY = Path(__file__).parent / "toy"
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON object that it must be."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@pytest.fixture(scope="session")
def toy_packages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Folders for the module path under which the toy is an installed package with entry points."""
    site = tmp_path_factory.mktemp("site")
    info = site / "toy_benchmark-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-benchmark\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[evalkit.tasks]\ntoy = toy_benchmark:TASKS\n[evalkit.models]\ntoy = toy_benchmark:MODELS\n"
        "[evalkit.data]\ntoy = toy_benchmark:DATA\n"
    )
    return [str(site), str(TOY)]


def forget_tables() -> None:
    """Make the registry read its tables anew."""
    for table in (registry.task_specs, registry.model_specs, registry.report_specs, registry.data_specs):
        table.cache_clear()


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_packages: list[str]) -> Iterator[Path]:
    """An empty working folder with its own cache, no evalkit variables, and the toy installed."""
    for name in os.environ:
        if name.startswith("EVALKIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for path in toy_packages:
        monkeypatch.syspath_prepend(path)
    forget_tables()
    yield tmp_path
    forget_tables()


@pytest.fixture
def evalkit(at: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command in this process."""

    def run(*words: str) -> Ended:
        code = main(words)
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return run


@pytest.fixture
def environment(at: Path, toy_packages: list[str]) -> dict[str, str]:
    """The environment of a process that sees the toy and this project."""
    rooms = [str(ROOT), str(ROOT / "tasks"), str(ROOT / "reports")]
    there = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([*toy_packages, *rooms, *([there] if there else [])])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "80"}


@pytest.fixture
def spawn(environment: Mapping[str, str]) -> Callable[..., Ended]:
    """Run a command in a process of its own; `variables` are added to its environment."""

    def run(*words: str, variables: Mapping[str, str] | None = None) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "evalkit.cli", *words],
            env={**environment, **(variables or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run
