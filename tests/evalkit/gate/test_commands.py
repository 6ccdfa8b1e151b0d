"""Laws of what stands around the gate: bless, power, diff-protocol, verify, rescore, repeats, by the real command."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from evalkit.comparison import compare, read_scored_run
from evalkit.gate.baseline import read_baseline
from evalkit.types import Estimate

from .conftest import Desk

VQA = ("blocksworld_vqa", "--metrics", "vqa_accuracy")
EDIT = ("blocksworld_edit", "--metrics", "edit_success,preserved,l1_outside")


def test_a_baseline_is_small_and_says_all_that_its_run_does(desk: Desk) -> None:
    run, file = desk.run(*VQA), desk.baseline(*VQA)
    assert file.stat().st_size < 80_000
    (blessed,) = read_baseline(file)
    compared = compare(read_scored_run(run), blessed.run)
    assert [one.difference for one in compared.differences] == [0.0]
    assert (compared.incomparable, compared.missing, compared.only_baseline) == ((), (), ())
    assert blessed.provenance["settings"]
    assert str(desk.folder) not in file.read_text()


def test_two_runs_of_one_task_are_not_blessed(desk: Desk, tmp_path: Path) -> None:
    ended = desk.evalkit("bless", desk.run(*VQA), desk.run(*VQA, "-L", "40"), "-o", tmp_path / "b.json")
    assert ended.code == 2
    assert "two of the runs are of blocksworld_vqa; bless one run a task" in ended.err
    assert not (tmp_path / "b.json").exists()


def test_the_outputs_are_written(desk: Desk, tmp_path: Path) -> None:
    junit, markdown = tmp_path / "gate.xml", tmp_path / "gate.md"
    worse = desk.run(*VQA, "-a", "harm=0.05")
    ended = desk.evalkit("gate", worse, "-b", desk.baseline(*VQA), "--junit", junit, "--markdown", markdown, "--github")
    assert ended.code == 1
    assert ElementTree.parse(junit).getroot().find(".//failure") is not None
    assert "| ❌ | blocksworld\\_vqa&#64;1 | vqa\\_accuracy | 100 | 94.9 |" in markdown.read_text()
    assert ended.out.startswith("::error title=evalkit%3A blocksworld_vqa@1 vqa_accuracy%3A regression::worse by 5.1")


def test_power_foretells_what_the_gate_then_finds_detectable(desk: Desk) -> None:
    worse, baseline = desk.run(*VQA, "-a", "harm=0.05"), desk.baseline(*VQA)
    ended = desk.evalkit("power", "blocksworld_vqa", "-b", baseline, "--effect", "2", "--against", worse, "--json")
    assert ended.code == 0, ended.err
    (need,) = ended.document["needs"]
    (seen,) = compare(read_baseline(baseline)[0].run, read_scored_run(worse)).differences
    assert need["minimum_detectable"] == pytest.approx(seen.minimum_detectable)
    assert need["samples"] == pytest.approx(2000 * (need["minimum_detectable"] / 2) ** 2, rel=0.01)


def test_power_without_a_second_run_needs_less_the_more_alike_models_answer(desk: Desk) -> None:
    baseline = desk.baseline(*VQA, "-a", "harm=0.1", "-a", "salt=1")
    ended = desk.evalkit("power", "blocksworld_vqa", "-b", baseline, "--effect", "1", "--json")
    needed = [one["samples"] for one in ended.document["needs"]]
    assert needed == sorted(needed, reverse=True)
    # Two independent rates p: 2 p (1 - p) (1.96 + 0.84)^2 / 0.01^2, the pictures' clusters aside.
    estimate = read_baseline(baseline)[0].run.estimates["vqa_accuracy"]
    assert isinstance(estimate, Estimate)
    rate = estimate.value / 100
    assert needed[0] == pytest.approx(2 * rate * (1 - rate) * 7.85 / 1e-4, rel=0.2)
    assert desk.evalkit("power", "blocksworld_vq", "-b", baseline, "--effect", "1").code == 2
    assert desk.evalkit("power", "blocksworld_vqa", "-b", baseline, "--effect", "0").code == 2


def test_protocols_are_compared_field_by_field(desk: Desk) -> None:
    official, evalai = desk.run(*VQA), desk.run(*VQA, "--protocol", "evalai")
    ended = desk.evalkit("diff-protocol", official, evalai)
    assert ended.code == 3
    assert "not comparable: vqa_accuracy" in ended.out
    assert "answers_read     'cleaned'" in ended.out
    alike = desk.evalkit("diff-protocol", official, desk.run(*VQA, "-a", "harm=0.05"), "--json")
    assert alike.code == 0
    assert alike.document["comparisons"][0]["not_comparable"] == {}
    assert desk.evalkit("diff-protocol", official, desk.folder).code == 2


def test_rescoring_needs_no_model_and_gives_the_same_numbers(desk: Desk, tmp_path: Path) -> None:
    run = desk.run(*VQA, "-a", "harm=0.05")
    again = desk.evalkit("rescore", run, "-o", tmp_path, "--json")
    assert again.code == 0, again.err
    before = json.loads((run / "run.json").read_text())
    (after,) = again.document["runs"]
    assert after["estimates"] == before["estimates"]
    assert after["coverage"]["from_cache"] == 2000
    other = desk.evalkit("rescore", run, "-o", tmp_path, "--protocol", "evalai", "--json").document["runs"][0]
    assert other["protocols"] != before["protocols"]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_answer_that_is_gone_is_a_failure_and_never_asked(desk: Desk, tmp_path: Path) -> None:
    run = desk.run(*VQA, "-a", "drop=0.1")
    ended = desk.evalkit("rescore", run, "-o", tmp_path, "--json")
    assert ended.code == 1
    assert ended.document["runs"][0]["coverage"]["failed"] == 196
    empty = desk.evalkit("rescore", run, "--cache", tmp_path / "empty", "-o", tmp_path)
    assert empty.code == 2
    assert "2000 of 2000 samples failed (the first with missing" in empty.err


def test_golden_values_hold_and_published_anchors_are_only_shown(desk: Desk) -> None:
    ended = desk.evalkit("verify", "blocksworld_edit", "--json")
    assert ended.code == 0, ended.err
    assert {one["metric"]: one["verdict"] for one in ended.document["anchors"]} == {
        "edit_success": "holds",
        "preserved": "holds",
        "l1_outside": "holds",
    }
    assert desk.evalkit("verify", "prompted_vqa").code == 2


def test_repeats_ask_with_other_seeds_and_tell_them_from_samples(desk: Desk, tmp_path: Path) -> None:
    words = ("blocksworld_caption", "-m", "oracle", "--metrics", "rouge_l", "-L", "60", "--repeats", "3")
    ended = desk.evalkit("run", *words, "-o", tmp_path, "--json")
    assert ended.code == 0, ended.err
    values = [run["estimates"]["rouge_l"]["value"] for run in ended.document["runs"]]
    assert len(set(values)) == 3
    (repeats,) = ended.document["repeats"]
    found = repeats["estimates"]["rouge_l"]
    assert found["mean"] == pytest.approx(np.mean(values))
    assert 0 < found["seed_error"] < found["item_error"] < found["standard_error"]
    assert len(list(tmp_path.iterdir())) == 3


def test_the_committed_baseline_is_still_what_the_shipped_model_gives(desk: Desk) -> None:
    committed = Path(__file__).resolve().parents[2] / "golden" / "gate_baseline.json"
    output = desk.folder / "shipped"
    assert desk.evalkit("run", "blocksworld_edit,blocksworld_vqa", "-m", "oracle", "-o", output, "--json").code == 0
    ended = desk.evalkit("gate", output, "--baseline", committed, "--json")
    assert ended.code == 0, ended.out
    named = {
        name for one in read_baseline(committed) for name, e in one.run.estimates.items() if isinstance(e, Estimate)
    }
    assert {verdict["name"] for verdict in ended.document["verdicts"]} == named
