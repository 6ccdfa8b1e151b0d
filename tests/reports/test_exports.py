from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from datasets import load_dataset

from evalkit.errors import UsageError
from evalkit.workspace import Workspace
from evalkit_reports.harness_results import harness_results, write_harness_results
from evalkit_reports.measures import load_results
from evalkit_reports.sample_tables import write_csv, write_parquet
from evalkit_reports.tracking import metrics
from tests.reports.drawn import Studio
from tests.reports.hostile import INJECTIONS, hostile_runs


def test_harness_results_hold_each_number_with_its_error_and_direction(studio: Studio, workspace: Workspace) -> None:
    output = studio.root / "results.json"
    write_harness_results([studio.vqa_run("v", "one"), studio.fid_run("f", "one", n=4)], output, workspace)
    found = json.loads(output.read_text())
    assert found["results"]["vqav2@1"]["vqa_accuracy,none"] == 0.641
    assert found["results"]["vqav2@1"]["vqa_accuracy_stderr,none"] == pytest.approx(0.06 / (2 * 1.959964), rel=1e-6)
    assert found["higher_is_better"]["coco_fid@1"]["fid"] is False
    assert found["n-samples"]["vqav2@1"] == {"original": 40, "effective": 40}
    assert found["versions"] == {"vqav2@1": 1, "coco_fid@1": 1} and found["model_name"] == "one"
    assert found["evalkit"]["vqav2@1"]["stamps"] == ["demo data"]


def test_harness_results_hold_one_model_and_one_run_of_a_task(studio: Studio, workspace: Workspace) -> None:
    one, two, again = (studio.vqa_run(name, model) for name, model in (("a", "one"), ("b", "two"), ("c", "one")))
    for runs in ([one, two], [one, again]):
        with pytest.raises(UsageError, match="this form holds one"):
            write_harness_results(runs, studio.root / "results.json", workspace)


def test_a_number_without_interval_has_no_error(studio: Studio) -> None:
    (task,) = load_results([studio.edit_run("a", "one", n=4)])
    assert harness_results([task.runs[0].run])["results"] == {
        "edits@1": {"alias": "edits@1", "edit_success,none": 0.75, "edit_success_stderr,none": "N/A"}
    }


def test_samples_as_parquet_load_with_datasets_and_pandas(studio: Studio, workspace: Workspace, tmp_path: Path) -> None:
    output = tmp_path / "samples.parquet"
    write_parquet([studio.fid_run("f", "one", n=6, failures=1), studio.vqa_run("v", "one", n=5)], output, workspace)
    table = pd.read_parquet(output)
    loaded = load_dataset("parquet", data_files=str(output), cache_dir=str(tmp_path / "hub"), split="train")
    assert len(table) == len(loaded) == 11
    assert table["failure"][0] == "timeout" and table["failure"].isna().sum() == 10
    assert table["score_vqa_accuracy"].isna().sum() == 6 and table["stratum_question_type"][6] == "what colour"
    assert loaded[7]["references"] == ["red"] * 7 + ["dark red"] * 2 + ["brown"]
    assert all(Path(path).is_file() for row in loaded for path in row["answer_image_files"])
    assert loaded[1]["answer_images"][0] == Path(loaded[1]["answer_image_files"][0]).stem


def test_samples_as_csv_hold_a_row_for_each_sample(studio: Studio, workspace: Workspace) -> None:
    output = studio.root / "samples.csv"
    write_csv([studio.vqa_run("v", "one", n=5)], output, workspace)
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    assert [row["id"] for row in rows] == [str(42000 + i) for i in range(5)]
    assert rows[0]["answer"] == "red" and float(rows[0]["score_vqa_accuracy"]) == 1.0


@pytest.mark.slow
def test_hostile_text_stays_text_in_tables(studio: Studio, workspace: Workspace) -> None:
    runs = hostile_runs(studio)
    write_parquet(runs, studio.root / "samples.parquet", workspace)
    write_csv(runs, studio.root / "samples.csv", workspace)
    table = pd.read_parquet(studio.root / "samples.parquet")
    assert len(table) == 3 * len(INJECTIONS)
    assert table["cluster"].tolist()[::3][:5] == list(INJECTIONS[:5])
    rows = list(csv.reader(io.StringIO((studio.root / "samples.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 1 + 3 * len(INJECTIONS) and {len(row) for row in rows} == {len(rows[0])}
    assert not any(cell.startswith(("=", "+", "-", "@")) and not cell[1:2].isdigit() for row in rows for cell in row)


def tracked(tracker: str, studio: Studio) -> Path:
    """The folder that the real command filled."""
    if find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed")
    run, output = studio.vqa_run("v", "one", n=5), studio.root / tracker
    subprocess.run(
        [sys.executable, "-m", "evalkit", "export", str(run), "--to", tracker, "-o", str(output)],
        check=True, capture_output=True, text=True, cwd=studio.root, timeout=300,
        env={**os.environ, "WANDB_MODE": "offline", "MLFLOW_TRACKING_URI": ""},
    )  # fmt: skip
    return output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_what_was_logged(studio: Studio) -> None:
    output = tracked("tensorboard", studio)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(output / "v"))
    events.Reload()
    assert events.Scalars("vqa_accuracy")[0].value == pytest.approx(0.641)


@pytest.mark.slow
def test_mlflow_keeps_what_was_logged(studio: Studio) -> None:
    output = tracked("mlflow", studio)
    with sqlite3.connect(output / "mlflow.db") as database:
        found = dict(database.execute("SELECT key, value FROM metrics"))
        settings = dict(database.execute("SELECT key, value FROM params"))
    database.close()
    assert found["vqa_accuracy"] == 0.641 and found["coverage/answered"] == 5
    assert settings["model"] == "one" and settings["stamps"] == "demo data"


@pytest.mark.slow
def test_wandb_keeps_what_was_logged(studio: Studio) -> None:
    output = tracked("wandb", studio)
    (written,) = output.glob("wandb/offline-run-*/run-*.wandb")
    assert b"vqa_accuracy" in written.read_bytes()


def test_numbers_that_are_not_finite_are_not_logged(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("f", "one", value=float("inf"), n=4)])
    assert "fid" not in metrics(task.runs[0].run) and "precision" in metrics(task.runs[0].run)
