"""Laws of the gate: each planted regression ends in the exit code that it must, by the real command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Desk, Ended

Gate = Callable[..., Ended]
VQA = ("blocksworld_vqa", "--metrics", "vqa_accuracy")
FEW = (*VQA, "-L", "40")
EDIT = ("blocksworld_edit", "--metrics", "edit_success,preserved,l1_outside")
PROMPTED = ("prompted_vqa", "-L", "100")


def test_the_same_model_passes(desk: Desk, gate: Gate) -> None:
    ended = gate(desk.run(*VQA), desk.baseline(*VQA))
    assert ended.code == 0, ended.out
    assert "the gate passed: 1 pass" in ended.out


@pytest.mark.parametrize("task", [VQA, EDIT])
def test_a_worse_model_is_a_regression(desk: Desk, gate: Gate, task: tuple[str, ...]) -> None:
    ended = gate(desk.run(*task, "-a", "harm=0.05"), desk.baseline(*task))
    assert ended.code == 1, ended.out
    assert "regression" in ended.out
    assert "worse by" in ended.out


def test_a_fall_within_the_tolerance_passes(desk: Desk, gate: Gate) -> None:
    worse, baseline = desk.run(*VQA, "-a", "harm=0.05"), desk.baseline(*VQA)
    assert gate(worse, baseline, "--tolerance", "blocksworld_vqa.vqa_accuracy=8").code == 0
    assert gate(worse, baseline, "--tolerance", "blocksworld_vqa.vqa_accuracy=4").code == 1


def test_a_change_that_chance_explains_is_no_regression(desk: Desk, gate: Gate) -> None:
    baseline = desk.baseline(*VQA, "-a", "harm=0.1", "-a", "salt=1")
    ended = gate(desk.run(*VQA, "-a", "harm=0.1", "-a", "salt=2"), baseline)
    assert ended.code == 0, ended.out


def test_a_changed_prompt_is_not_comparable_and_its_field_is_named(desk: Desk, gate: Gate) -> None:
    changed = desk.run(*PROMPTED, "-t", "words=Answer briefly.", "-t", "told=yes")
    ended = gate(changed, desk.baseline(*PROMPTED))
    assert ended.code == 3, ended.out
    assert "prompt: 'question' against 'Answer briefly. question'" in ended.out


def test_a_changed_prompt_that_the_protocol_hides_is_found_in_the_samples(desk: Desk, gate: Gate) -> None:
    ended = gate(desk.run(*PROMPTED, "-t", "words=Answer briefly."), desk.baseline(*PROMPTED))
    assert ended.code == 3, ended.out
    assert "what is asked or the references differ in 100 samples of the same id, the first '1000'" in ended.out


def test_another_normaliser_is_not_comparable(desk: Desk, gate: Gate) -> None:
    ended = gate(desk.run(*VQA, "--protocol", "evalai"), desk.baseline(*VQA), "--json")
    assert ended.code == 3
    (verdict,) = ended.document["verdicts"]
    assert verdict["status"] == "not comparable"
    assert verdict["fields"]["name"] == ["vqa-official", "evalai"]


def test_a_dropped_tenth_of_the_samples_fails(desk: Desk, gate: Gate) -> None:
    ended = gate(desk.run(*VQA, "-a", "drop=0.1"), desk.baseline(*VQA))
    assert ended.code == 1, ended.out
    assert "196 of the baseline's 2000 samples have no answer (196 failed, 0 were not asked)" in ended.out
    assert gate(desk.run(*VQA, "-a", "drop=0.1"), desk.baseline(*VQA), "--allow-missing", "196").code == 0


def test_samples_that_were_not_asked_fail(desk: Desk, gate: Gate) -> None:
    ended = gate(desk.run(*VQA, "-L", "1800"), desk.baseline(*VQA))
    assert ended.code == 1, ended.out
    assert "(0 failed, 200 were not asked)" in ended.out


def test_too_few_samples_for_the_tolerance_is_underpowered_and_the_need_is_told(desk: Desk, gate: Gate) -> None:
    ended = gate(desk.run(*FEW, "-a", "harm=0.05"), desk.baseline(*FEW), "--tolerance", "*=1", "--json")
    assert ended.code == 4, ended.out
    (verdict,) = ended.document["verdicts"]
    assert verdict["status"] == "underpowered"
    assert verdict["minimum_detectable"] > 1
    # The error falls with the root of n: so many samples, and a fall of 1 is the least that is detected.
    assert verdict["samples_needed"] == pytest.approx(40 * verdict["minimum_detectable"] ** 2, rel=0.02)


def test_a_suspicious_rise_passes_and_is_flagged(desk: Desk, gate: Gate) -> None:
    ended = gate(desk.run(*VQA), desk.baseline(*VQA, "-a", "harm=0.05"), "--github")
    assert ended.code == 0, ended.out
    assert "rise" in ended.out
    assert "::warning title=evalkit%3A blocksworld_vqa@1 vqa_accuracy%3A rise::better by" in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--baseline", "absent.json"), "absent.json does not exist; write it with `evalkit bless RUN"),
        (("--tolerance", "blocksworld_vqa.accuracy=1"), "did you mean 'blocksworld_vqa.vqa_accuracy'"),
        (("--tolerance", "*=-1"), "is not a number of 0 or more"),
        (("--alpha", "5"), "--alpha 5.0 is not between 0 and 0.5"),
        (("--metrics", "cider"), "the baseline has no number 'cider'"),
    ],
)
def test_what_cannot_be_gated_is_an_error(desk: Desk, words: tuple[str, ...], message: str) -> None:
    known = () if "--baseline" in words else ("--baseline", desk.baseline(*VQA))
    ended = desk.evalkit("gate", desk.run(*VQA), *known, *words)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("damage", ["", "[]", '{"schema": 9}', '{"schema": 1, "runs": [{"task": 3}]}'])
def test_a_damaged_baseline_is_an_error(desk: Desk, gate: Gate, tmp_path: Path, damage: str) -> None:
    (tmp_path / "b.json").write_text(damage)
    ended = gate(desk.run(*VQA), tmp_path / "b.json")
    assert ended.code == 2
    assert "bless a run again" in ended.err


def test_a_task_that_was_left_out_fails(desk: Desk, gate: Gate, tmp_path: Path) -> None:
    both = tmp_path / "both.json"
    assert desk.evalkit("bless", desk.run(*VQA), desk.run(*EDIT), "-o", both).code == 0
    ended = gate(desk.run(*VQA), both)
    assert ended.code == 1
    assert "the baseline has this task and no run of it was named" in ended.out


@pytest.mark.slow
def test_another_resize_is_not_comparable_and_its_field_is_named(desk: Desk, gate: Gate, weights_folder: Path) -> None:
    desk.environment["EVALKIT_WEIGHTS"] = str(weights_folder)
    fid = ("coco_fid", "--data", "blocksworld", "-t", "captions=8", "-t", "reference=same", "--metrics", "fid")
    baseline = desk.baseline(*fid)
    assert gate(desk.run(*fid), baseline).code == 0
    ended = gate(desk.run(*fid, "--protocol", "clean-fid"), baseline, "--json")
    assert ended.code == 3, ended.out
    (verdict,) = ended.document["verdicts"]
    assert "resize" in " ".join(verdict["fields"])
