"""The commands as a user gives them, on real runs of a good and of a damaged model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.asked import ASKED

DAMAGED = Path(__file__).parents[1] / "evalkit" / "gate"
"""The folder of `damaged_oracle`."""
TASKS = "blocksworld_edit,blocksworld_boxes"


def evalkit(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """What the command did, from the folder in which `damaged_oracle` is."""
    return subprocess.run(
        [sys.executable, "-m", "evalkit", *map(str, words)],
        capture_output=True, text=True, cwd=DAMAGED, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs of two tasks, by the oracle and by one that is often wrong."""
    place = tmp_path_factory.mktemp("runs")
    for model in (["oracle"], ["damaged_oracle:model", "-a", "harm=0.3"]):
        done = evalkit("run", TASKS, "-m", *model, "--cache", place / "cache", "-o", place / "runs")
        assert done.returncode == 0, done.stderr
    return place / "runs"


def folders(runs: Path, model: str) -> list[Path]:
    return sorted(runs.glob(f"*@1-{model}-*"))


@pytest.mark.slow
def test_a_comparison_of_real_runs_finds_the_damage_and_every_picture(runs: Path) -> None:
    page = runs.parent / "comparison.html"
    done = evalkit("compare", *folders(runs, "oracle"), *folders(runs, "damaged-oracle"), "-o", page)
    assert done.returncode == 0 and done.stdout.strip() == str(page), done.stderr
    text = page.read_text(encoding="utf-8")
    assert len(re.findall("damaged-oracle is worse than oracle", text)) == 2
    assert "picture not in the cache" not in text


@pytest.mark.slow
def test_a_leaderboard_of_real_runs_ranks_them_on_every_board(runs: Path) -> None:
    done = evalkit("leaderboard", runs, "--json")
    headlines = [record for record in json.loads(done.stdout)["records"] if record["tier"] is not None]
    assert [(record["task"], record["model"], record["tier"]) for record in headlines] == [
        (f"blocksworld_{task}@1", model, tier)
        for task in ("boxes", "edit")
        for model, tier in (("oracle", 1), ("damaged-oracle", 2))
    ]
    assert evalkit("leaderboard", runs).stdout.startswith("# Leaderboard\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("leaderboard", "--paper", "cm3lion"), "there is no table of a paper 'cm3lion'; did you mean 'cm3leon'?"),
        (("export", "--to", "tensorbord"), "there is no tracker 'tensorbord'; did you mean 'tensorboard'?"),
        (("export",), "no file is named; name one with -o"),
        (("export", "-o", "x.xls"), "no report is written as '.xls'; known endings are .csv, .json, .parquet"),
        (("compare", "-o", "x.md"), "no report is written as '.md'; known endings are .html"),
    ],
)
def test_what_cannot_be_written_is_said_with_what_can(runs: Path, words: tuple[str, ...], message: str) -> None:
    command, *rest = words
    done = evalkit(command, runs, *rest)
    assert done.returncode == 2 and message in done.stderr


@pytest.mark.slow
def test_a_run_that_has_not_ended_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ASKED).write_text("{}\n")
    done = evalkit("compare", tmp_path / "run")
    assert done.returncode == 2 and "has not ended; `evalkit view" in done.stderr
