"""The laws of OK-VQA, TextVQA, VizWiz, GQA and easy-VQA: their own files, splits and numbers."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.interfaces import Scored, Task
from evalkit.registry import build_task
from evalkit.results import Run
from evalkit.types import Generation, Image, Text, Unavailable
from evalkit.workspace import Workspace, default_cache_dir
from evalkit_tasks.sources import EASY_VQA_SHA256, EASY_VQA_WHEEL, fetch_easy_vqa
from tests.tasks.question_files import gqa_document, write, write_gqa, write_okvqa, write_textvqa, write_vizwiz
from tests.tasks.test_vqav2 import measured, value


def task(name: str, folder: Path, protocol: str | None = None, **options: str) -> Task:
    return build_task(name, Workspace(cache=folder / "cache", data_dir=folder, offline=True), protocol, options)


def scored(made: Task, where: Path, *said: str) -> Run:
    return measured(made, {s.id: text for s, text in zip(made.samples(), said, strict=True)}, where)[0]


def test_okvqa_scores_stems_unless_raw_answers_are_asked_for(tmp_path: Path) -> None:
    made = task("okvqa", write_okvqa(tmp_path))
    found = scored(made, tmp_path, "2", "yes", "green")
    assert value(found, "vqa_accuracy") == 100
    assert value(found, "vqa_accuracy[question_type=Plants and Animals]") == 100
    raw = task("okvqa", tmp_path, answers="raw_answer")
    assert [s.references[0] for s in raw.samples()] == [Text("2s"), Text("yess"), Text("greens")]
    with pytest.raises(UsageError, match="-t answers=stem is not known"):
        task("okvqa", tmp_path, answers="stem")


def test_textvqa_shows_ocr_words_only_where_the_prompt_does(tmp_path: Path) -> None:
    write_textvqa(tmp_path)
    (sample, *_) = task("textvqa", tmp_path, prompt="short-answer-ocr").samples()
    assert sample.parts[2] == Text("STOP, 42")
    asked = task("textvqa", tmp_path, prompt="short-answer-ocr").request(sample, 0).parts[1]
    assert isinstance(asked, Text) and "\nReference OCR token: STOP, 42\n" in asked.text
    assert len(task("textvqa", tmp_path).samples()[0].parts) == 2
    found = scored(task("textvqa", tmp_path), tmp_path, "Two", "YES", "green")
    assert value(found, "vqa_accuracy") == 100, "EvalAI's processor reads both sides"


def test_a_file_of_another_split_is_an_error(tmp_path: Path) -> None:
    write_textvqa(tmp_path / "a")
    (tmp_path / "a" / "TextVQA_0.5.1_val.json").rename(tmp_path / "a" / "TextVQA_0.5.1_test.json")
    with pytest.raises(DataError, match=r"question 42000 is of val, not of test"):
        task("textvqa", tmp_path / "a", split="test")
    write_vizwiz(tmp_path / "b")
    (tmp_path / "b" / "val.json").rename(tmp_path / "b" / "test.json")
    with pytest.raises(DataError, match=r"VizWiz_val_00000000\.jpg is of val, not of test"):
        task("vizwiz", tmp_path / "b", split="test")


@pytest.mark.parametrize("name", ["textvqa", "vizwiz"])
def test_answers_without_ten_annotators_are_an_error(name: str, tmp_path: Path) -> None:
    if name == "textvqa":
        path = write_textvqa(tmp_path) / "TextVQA_0.5.1_val.json"
    else:
        path = write_vizwiz(tmp_path) / "val.json"
    document = json.loads(path.read_text())
    rows = document["data"] if name == "textvqa" else document
    rows[2]["answers"].pop()
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=rf"{path.name}: question \S+ has 9 answers instead of 10"):
        task(name, tmp_path)


def test_vizwiz_scores_answers_and_who_tells_that_there_is_none(tmp_path: Path) -> None:
    made = task("vizwiz", write_vizwiz(tmp_path, zipped=True))
    found = scored(made, tmp_path, "2", "Unanswerable.", "unanswerable")
    assert value(found, "vqa_accuracy[answer_type=unanswerable]") == 100
    assert value(found, "vqa_accuracy[answer_type=other]") == 0
    assert value(found, "answerability_f1") == pytest.approx(100 * 2 / 3)
    assert value(found, "answerability_ap") == pytest.approx(50)
    none = scored(made, tmp_path, "2", "yes", "green")
    assert value(none, "answerability_f1") == 0


def test_vizwiz_test_writes_the_file_for_evalai(tmp_path: Path) -> None:
    made = task("vizwiz", write_vizwiz(tmp_path, "test"), split="test")
    _, folder = measured(made, {sample.id: "a" for sample in made.samples()}, tmp_path)
    entries = json.loads((folder / "submission.json").read_text())
    assert entries[0] == {"image": "VizWiz_test_00000000.jpg", "answer": "a"}


def test_gqa_has_the_numbers_of_its_own_script(tmp_path: Path) -> None:
    write_gqa(tmp_path, "val_all")
    found = scored(task("gqa", tmp_path, split="val_all"), tmp_path, "yes", "dog", "red", "no")
    # by hand: balanced 01 right, 02 wrong, 03 right; 04 is not balanced and follows from 01
    expected = {
        "gqa_accuracy": 200 / 3,
        "gqa_binary": 100,
        "gqa_open": 50,
        "gqa_accuracy[structural_type=query]": 50,
        "gqa_accuracy[semantic_type=cat]": 0,
        "gqa_validity": 200 / 3,  # `red` is none of colour, material and shape, which a question of kind Common takes
        "gqa_plausibility": 100 / 3,
        "gqa_consistency": 0,
        # animal: (0 - 1)^2 / 1 = 1 of 1; color: 0 of 1; (1 + 0) / 2 / 100
        "gqa_distribution": 0.005,
    }
    assert {name: value(found, name) for name in expected} == pytest.approx(expected)


def test_gqa_compares_letter_for_letter_unless_lmms_is_asked_for(tmp_path: Path) -> None:
    write_gqa(tmp_path, zipped=True, choices=False)
    said = ("Yes.", "Cat", "RED")
    assert value(scored(task("gqa", tmp_path, split="val_balanced"), tmp_path, *said), "gqa_accuracy") == 0
    found = scored(task("gqa", tmp_path, "gqa-lmms", split="val_balanced"), tmp_path, *said)
    assert value(found, "gqa_accuracy") == 100
    assert isinstance(found.estimates["gqa_validity"], Unavailable)
    consistency = found.estimates["gqa_consistency"]
    assert isinstance(consistency, Unavailable) and "_all split" in consistency.reason


def test_gqa_s_choices_of_other_questions_are_an_error(tmp_path: Path) -> None:
    write_gqa(tmp_path)
    known: dict[str, dict[str, list[str]]] = {id_: {"valid": [], "plausible": []} for id_ in list(gqa_document())[:2]}
    write(tmp_path, "val_choices.json", known)
    with pytest.raises(DataError, match="lack question 03"):
        task("gqa", tmp_path, split="val_balanced")
    with pytest.raises(UsageError, match="read from its official files"):
        build_task("gqa", Workspace(cache=tmp_path, data="hf:x@main"), None, {})


@pytest.mark.parametrize("name", ["okvqa", "textvqa", "vizwiz", "gqa"])
def test_without_its_files_a_task_says_where_they_are_had(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"get it from https://"):
        task(name, tmp_path / "nowhere")


def test_easy_vqa_is_read_out_of_its_wheel(tmp_path: Path) -> None:
    """The real wheel, from evalkit's cache or the package index; skipped where it can be had from neither."""
    kept = Path(os.environ.get("EVALKIT_DATASETS") or default_cache_dir() / "datasets") / "easy-vqa"
    try:
        fetch_easy_vqa(Workspace(data_dir=kept), {})
    except DataError as error:
        pytest.skip(f"easy-vqa's wheel cannot be had: {error}")
    made = build_task("easy_vqa", Workspace(cache=tmp_path, data_dir=kept, offline=True), None, {})
    assert (len(made.samples()), made.data.stamps) == (9_673, ())
    first = made.samples()[0]
    assert (first.parts[1], first.references) == (Text("what is the red shape?"), (Text("triangle"),))
    assert isinstance(first.parts[0], Image) and (first.parts[0].width, first.parts[0].height) == (64, 64)
    few = made.samples()[:4]
    answers = {"0": "Triangle.", "1": "red", "2": " RED ", "3": "yes"}
    metric = made.metrics()[0]
    scored_ = [Scored(sample, Generation((Text(answers[sample.id]),))) for sample in few]
    result = metric.finish(metric.update(metric.start(), scored_))
    assert result.per_sample["easy_vqa_accuracy"] == {"0": 100, "1": 100, "2": 100, "3": 0}


def test_another_wheel_is_refused_and_a_missing_one_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"evalkit fetch easy-vqa"):
        task("easy_vqa", tmp_path)
    with zipfile.ZipFile(tmp_path / EASY_VQA_WHEEL, "w") as wheel:
        wheel.writestr("easy_vqa/data/test/questions.json", "[]")
    with pytest.raises(DataError, match=rf"SHA-256 [0-9a-f]+ instead of {EASY_VQA_SHA256}"):
        task("easy_vqa", tmp_path)
