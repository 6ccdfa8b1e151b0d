"""Laws of the GitHub action: its script runs the real gate, and its inputs are data, never code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT, Desk

ACTION = ROOT / ".github" / "actions" / "evalkit-gate"
VQA = ("blocksworld_vqa", "--metrics", "vqa_accuracy")


def step(desk: Desk, folder: Path, inputs: Mapping[str, str]) -> tuple[int, str, str, str]:
    """Run the action's script as GitHub does; return its code, its output, the summary and the outputs."""
    (folder / "bin").mkdir()
    command = folder / "bin" / "evalkit"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m evalkit.cli "$@"\n')
    command.chmod(0o755)
    files = {"GITHUB_STEP_SUMMARY": str(folder / "summary"), "GITHUB_OUTPUT": str(folder / "output")}
    defaults = {"TOLERANCE": "", "ALPHA": "0.05", "JUNIT": str(folder / "gate.xml"), "ALLOW_UNDERPOWERED": "false"}
    path = f"{folder / 'bin'}:{desk.environment['PATH']}"
    environment = {**desk.environment, **files, **defaults, **inputs, "PATH": path}
    ended = subprocess.run(
        ["bash", ACTION / "gate.sh"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    written = [(folder / name).read_text() for name in ("summary", "output")]
    return ended.returncode, ended.stdout + ended.stderr, written[0], written[1]


def test_a_regression_fails_the_step_and_is_shown(desk: Desk, tmp_path: Path) -> None:
    worse, baseline = desk.run(*VQA, "-a", "harm=0.05"), desk.baseline(*VQA)
    code, said, summary, output = step(desk, tmp_path, {"RUNS": str(worse), "BASELINE": str(baseline)})
    assert (code, output) == (1, "exit-code=1\n"), said
    assert "::error title=evalkit" in said
    assert "| ❌ |" in summary
    assert (tmp_path / "gate.xml").exists()


@pytest.mark.parametrize(("allowed", "ends"), [("false", 4), ("true", 0)])
def test_too_few_samples_may_be_allowed(desk: Desk, tmp_path: Path, allowed: str, ends: int) -> None:
    few = (*VQA, "-L", "40")
    inputs = {"RUNS": str(desk.run(*few)), "BASELINE": str(desk.baseline(*few)), "ALLOW_UNDERPOWERED": allowed}
    code, said, _, output = step(desk, tmp_path, {**inputs, "TOLERANCE": "blocksworld_vqa.*=1"})
    assert (code, output) == (ends, "exit-code=4\n"), said


def test_an_input_is_never_run_as_code(desk: Desk, tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path}/owned) `touch {tmp_path}/owned`; touch {tmp_path}/owned"
    inputs = {"RUNS": hostile, "BASELINE": hostile, "TOLERANCE": hostile, "ALPHA": hostile}
    assert step(desk, tmp_path, inputs)[0] == 2
    assert not (tmp_path / "owned").exists()


def test_every_input_reaches_the_script_as_a_variable() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    (only,) = action["runs"]["steps"]
    assert "${{" not in only["run"]
    assert len(only["env"]) == len(action["inputs"])
