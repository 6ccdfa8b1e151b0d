"""Whole runs of `evalkit run` with models of other libraries: shipped tasks and real photos, and what is kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.cli import main
from tests.faults.api_server import FaultServer

from .checkpoint_files import save_llava


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def evalkit(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the runs of `evalkit run WORDS`, which must succeed."""

    def run(*words: str) -> list[dict[str, Any]]:
        code = main(["run", *words, "--json"])
        written = capsys.readouterr()
        assert code == 0, written.err
        runs: list[dict[str, Any]] = json.loads(written.out)["runs"]
        return runs

    return run


def test_a_transformers_model_answers_captions_and_questions(evalkit: Any, llava: Path) -> None:
    words = ("blocksworld_caption,blocksworld_vqa", "-m", f"transformers:{llava}", "-L", "6", "--gen", "max_tokens=8")
    first = evalkit(*words)
    assert [run["coverage"] for run in first] == [{"asked": 6, "answered": 6, "failed": 0, "from_cache": 0}] * 2
    again = evalkit(*words)
    assert [run["coverage"]["from_cache"] for run in again] == [6, 6]
    assert [run["estimates"] for run in again] == [run["estimates"] for run in first]


def test_answers_of_an_overwritten_checkpoint_are_not_served_again(evalkit: Any, tmp_path: Path) -> None:
    folder = save_llava(tmp_path / "mine")
    words = ("blocksworld_caption", "-m", f"transformers:{folder}", "-L", "5", "--gen", "max_tokens=8")
    (first,) = evalkit(*words)
    save_llava(folder, seed=1)
    (second,) = evalkit(*words)
    assert second["coverage"]["from_cache"] == 0
    assert told(tmp_path, second) != told(tmp_path, first)
    save_llava(folder)  # the first weights again: their answers are there
    (third,) = evalkit(*words)
    assert third["coverage"]["from_cache"] == 5
    assert told(tmp_path, third) == told(tmp_path, first)


def told(at: Path, run: dict[str, Any]) -> list[str]:
    """The answers of a run, found among the kept ones by its model's digest."""
    kept = [path.parent for path in at.glob("runs/*/run.json")]
    (folder,) = [f for f in kept if json.loads((f / "run.json").read_text())["provenance"]["model"] == model_of(run)]
    lines = (folder / "samples.jsonl").read_text().splitlines()
    return [json.dumps(json.loads(line)["answer_parts"]) for line in lines]


def model_of(run: dict[str, Any]) -> object:
    return run["provenance"]["model"]


def test_an_instruct_edit_pipeline_edits_blocksworld(evalkit: Any, pix2pix: Path) -> None:
    (run,) = evalkit("blocksworld_edit", "-m", f"diffusers:{pix2pix}", "-L", "2", "--gen", "steps=2")
    assert run["coverage"]["answered"] == 2
    assert run["estimates"]["l1_outside"]["n"] == 2


def test_a_diffusers_pipeline_draws_the_captions_of_coco(
    evalkit: Any, diffusion: Path, shared_data: Path, weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(weights_folder))
    words = ["coco_fid", "--data", "coco", "--data-dir", str(shared_data / "coco-mini"), "-L", "6"]
    words += ["-t", "reference=same,captions=6", "--metrics", "fid,kid"]
    (run,) = evalkit(*words, "-m", f"diffusers:{diffusion}", "--gen", "steps=2")
    assert run["coverage"] == {"asked": 6, "answered": 6, "failed": 0, "from_cache": 0}
    assert run["data"] == "coco val2017"
    assert run["estimates"]["fid"]["value"] > 0
    (again,) = evalkit(*words, "-m", f"diffusers:{diffusion}", "--gen", "steps=2")
    assert again["coverage"]["from_cache"] == 6
    assert again["estimates"] == run["estimates"]


VAL2017 = ("-t", "split=val2017")


@pytest.fixture
def photographed(shared_data: Path, tmp_path: Path) -> list[str]:
    """The words that put vqav2 and coco_caption to real photos: the questions' files in the official places."""
    sample, folder = shared_data / "vqa" / "sample", tmp_path / "coco"
    shutil.copytree(shared_data / "coco-mini", folder, symlinks=True)
    official = {"questions": "v2_OpenEnded_mscoco_val2014_questions", "annotations": "v2_mscoco_val2014_annotations"}
    for name, place in official.items():
        document = json.loads((sample / f"{name}.json").read_text(encoding="utf-8"))
        document["data_subtype"] = "val2014"  # the sample is of train, which is no split of the task
        (folder / f"{place}.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "val2014").mkdir()
    photo = sample / "images" / "COCO_train2014_000000458752.jpg"
    shutil.copy(photo, folder / "val2014" / "COCO_val2014_000000458752.jpg")
    return ["--data-dir", str(folder), "-L", "3", "--gen", "max_tokens=8"]


def test_a_transformers_model_is_asked_about_real_photos(evalkit: Any, llava: Path, photographed: list[str]) -> None:
    (asked,) = evalkit("vqav2", "--data", "vqav2", "-m", f"transformers:{llava}", *photographed)
    (told_of,) = evalkit("coco_caption", "--data", "coco", "-m", f"transformers:{llava}", *photographed, *VAL2017)
    assert [run["coverage"]["answered"] for run in (asked, told_of)] == [3, 3]
    assert asked["data"].startswith("vqav2") and told_of["estimates"]["cider"]["n"] == 3


def test_a_server_is_asked_about_real_photos(evalkit: Any, server: FaultServer, photographed: list[str]) -> None:
    words = ("-m", "openai:tiny", "-a", f"base_url={server.url}", *photographed)
    (asked,) = evalkit("vqav2", "--data", "vqav2", *words)
    (told_of,) = evalkit("coco_caption", "--data", "coco", *words, *VAL2017)
    assert [run["coverage"]["answered"] for run in (asked, told_of)] == [3, 3]
    (again,) = evalkit("vqav2", "--data", "vqav2", *words)
    assert again["coverage"]["from_cache"] == 3


@pytest.mark.slow
def test_a_hub_repository_is_known_by_its_commit_and_files(tmp_path: Path, llava: Path) -> None:
    commits = ["a" * 40, "b" * 40]
    home = tmp_path / "hub" / "models--someone--tiny"
    for commit in commits:
        shutil.copytree(llava, home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commits[0])

    def ended(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "evalkit", "run", "blocksworld_caption", "-L", "2", "--offline", "--json"]
        variables = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub")}
        return subprocess.run([*command, *words], env=variables, capture_output=True, text=True, check=False)

    identities = []
    for words in ([], ["-a", f"revision={commits[1]}"]):
        done = ended("-m", "transformers:someone/tiny", "--gen", "max_tokens=4", *words)
        assert done.returncode == 0, done.stderr
        (run,) = json.loads(done.stdout)["runs"]
        assert run["model"] == "transformers:someone/tiny"
        identities.append(run["provenance"]["model"])
    assert [identity["revision"] for identity in identities] == commits
    assert identities[0]["weights"] == identities[1]["weights"]
    absent = ended("-m", "transformers:someone/absent")
    assert absent.returncode == 2
    assert "someone/absent is no folder and cannot be fetched" in absent.stderr
