"""The curves: every part of a loss at every step, and a picture that any browser opens."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cm3leon.train.curves import draw, losses


def logged(folder: Path, lines: list[dict[str, float]]) -> Path:
    folder.mkdir()
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def test_the_parts_of_the_loss_are_read_by_step(tmp_path: Path) -> None:
    both = [{"step": s, "steps_per_second": 1.0, "loss": 3.0 / s, "image": 2.0 / s, "norm": 1.0} for s in (10, 20)]
    assert losses(logged(tmp_path / "finetune", both)) == ([10, 20], {"image": [0.2, 0.1]})
    alone = [{"step": 10, "steps_per_second": 1.0, "loss": 3.0, "norm": 1.0}]
    assert losses(logged(tmp_path / "seer", alone)) == ([10], {"loss": [3.0]})


def test_a_panel_a_stage_is_drawn(tmp_path: Path) -> None:
    lines = [{"step": s, "steps_per_second": 1.0, "loss": 3.0 / s, "norm": 1.0} for s in range(10, 9_000, 10)]
    folders = [logged(tmp_path / name, lines) for name in ("seer", "tokenizer")]
    draw(folders, tmp_path / "curves.svg")
    root = ElementTree.parse(tmp_path / "curves.svg").getroot()
    ids = [element.get("id", "") for element in root.iter()]
    assert root.tag.endswith("svg") and {"axes_1", "axes_2"} <= set(ids) and "axes_3" not in ids


def test_a_stage_without_a_log_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run the stage 'pretrain' first"):
        losses(tmp_path / "pretrain")
