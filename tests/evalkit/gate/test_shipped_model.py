"""The gate holds the shipped CM3leon against its committed baseline, as the project's own workflow does."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.evalkit.gate.conftest import ROOT, Desk, Ended

pytestmark = pytest.mark.slow

BASELINE = ROOT / "tests" / "golden" / "gate_cm3leon.json"
SHIPPED = ROOT / "reference_model" / "cm3leon" / "weights" / "blocksworld"
LIMITS = {"blocksworld_edit": "64", "blocksworld_vqa": "800"}
TOLERANCE = ("--tolerance", "blocksworld_vqa.*=1", "--tolerance", "blocksworld_edit.*=0.08")


def gated(desk: Desk, weights: Path, output: Path) -> Ended:
    """Run both tasks of the baseline with weights, and hold the runs against it."""
    words = ("-m", "cm3leon", "-a", f"weights={weights}", "-o", output, "--json")
    for task, limit in LIMITS.items():
        ended = desk.evalkit("run", task, "-L", limit, *words)
        assert ended.code == 0, ended.err
    return desk.evalkit("gate", output, "--baseline", BASELINE, *TOLERANCE, "--json")


def test_the_shipped_weights_pass(desk: Desk, tmp_path: Path) -> None:
    ended = gated(desk, SHIPPED, tmp_path / "runs")
    assert ended.code == 0, ended.out


def test_a_worse_checkpoint_is_a_regression(desk: Desk, tmp_path: Path) -> None:
    worse = Path(shutil.copytree(SHIPPED, tmp_path / "worse"))
    tensors = load_file(worse / "transformer.safetensors")
    noise = np.random.default_rng(0)
    for name, weight in tensors.items():
        if name.startswith("layers.5."):
            tensors[name] = (weight + noise.normal(0, 2 * weight.std(), weight.shape)).astype(weight.dtype)
    save_file(tensors, worse / "transformer.safetensors")
    ended = gated(desk, worse, tmp_path / "runs")
    assert ended.code == 1, ended.out
    fallen = {verdict["name"] for verdict in ended.document["verdicts"] if verdict["status"] == "regression"}
    assert "vqa_accuracy" in fallen
