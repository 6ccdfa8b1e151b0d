"""Runs of a whole and of a damaged model, made by the real command, and baselines of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
DAMAGED = "damaged_oracle:model"


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Desk:
    """Runs the real command, and keeps the runs that tests share."""

    folder: Path
    environment: dict[str, str]
    made: dict[tuple[str, ...], Path] = field(default_factory=dict)

    def evalkit(self, *words: str | Path) -> Ended:
        """Run a command in a process of its own."""
        ended = subprocess.run(
            [sys.executable, "-m", "evalkit.cli", *map(str, words)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def run(self, *words: str) -> Path:
        """Return the folder of the run that `evalkit run WORDS` makes, made once."""
        if words not in self.made:
            output = self.folder / f"runs{len(self.made)}"
            ended = self.evalkit("run", *words, "-m", DAMAGED, "-o", output, "--json")
            assert ended.code in {0, 1}, ended.err
            (self.made[words],) = output.iterdir()
        return self.made[words]

    def baseline(self, *words: str) -> Path:
        """Return the baseline of the run that `evalkit run WORDS` makes."""
        file = self.folder / f"baseline{list(self.made).index(words) if words in self.made else len(self.made)}.json"
        if not file.exists():
            ended = self.evalkit("bless", self.run(*words), "-o", file)
            assert ended.code == 0, ended.err
        return file


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The command line with the damaged model, and with a third party's benchmark installed."""
    folder = tmp_path_factory.mktemp("gate")
    info = folder / "site" / "prompted-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: prompted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[evalkit.tasks]\nprompted = prompted:TASKS\n")
    rooms = [HERE, folder / "site", ROOT, *(ROOT / room for room in ("tasks", "reports", "reference_model"))]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVALKIT_")}
    there = {"PYTHONPATH": os.pathsep.join(map(str, rooms)), "EVALKIT_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    return Desk(folder, {**kept, **there})


@pytest.fixture
def gate(desk: Desk) -> Callable[..., Ended]:
    """Hold a run against a baseline."""

    def held(run: Path, baseline: Path, *words: str | Path) -> Ended:
        return desk.evalkit("gate", run, "--baseline", baseline, *words)

    return held
