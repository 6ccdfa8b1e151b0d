"""The laws of VQAv2, and of questions: official files in folders, zips and parquet, and what is wrong with bad ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import pytest

from evalkit.cache import Cache
from evalkit.cli import main
from evalkit.errors import DataError, UsageError
from evalkit.images import pixels
from evalkit.interfaces import Task
from evalkit.results import Run, read_samples
from evalkit.runner import RunSettings, run
from evalkit.types import Answer, Estimate, Generation, Image, Job, JsonScalar, Request, Text, Unavailable
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.model import oracle_model
from evalkit_tasks.vqav2 import vqav2
from tests.tasks.coco_files import picture_bytes
from tests.tasks.question_files import QUESTIONS, Document, write, write_pictures, write_vqa


@dataclass
class Saying:
    """A model that says what it was given for each sample id."""

    said: Mapping[str, str]
    name: str = "saying"
    capabilities: frozenset[Job] = field(default_factory=lambda: frozenset({"vqa", "captioning"}))

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "saying", **self.said}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            yield position, Generation((Text(self.said[request.sample_id]),))


def measured(
    task: Task, said: Mapping[str, str], where: Path, metrics: tuple[str, ...] | None = None
) -> tuple[Run, Path]:
    with Cache(where / "cache") as cache:
        return run(task, Saying(said), cache, RunSettings(metrics=metrics), where / "runs")


def value(found: Run, name: str) -> float:
    one = found.estimates[name]
    assert isinstance(one, Estimate), one
    return one.value


def small(folder: Path, **options: str) -> Task:
    return vqav2(Workspace(cache=folder / "cache", data_dir=folder), None, options)


@pytest.mark.parametrize("zipped", [False, True])
def test_official_files_are_read_in_place_and_scored_officially(tmp_path: Path, zipped: bool) -> None:
    task = small(write_vqa(tmp_path / "vqa", zipped=zipped))
    samples = task.samples()
    assert [sample.id for sample in samples] == [str(q) for q, *_ in QUESTIONS]
    assert [sample.cluster for sample in samples] == ["42", "42", "5"]
    first = samples[0].parts[0]
    assert isinstance(first, Image) and first.width == 30
    assert pixels(first).shape == (20, 30, 3), "the picture can be read where it lies"
    found, _ = measured(task, {"42000": "3", "42001": "Yes", "5000": "Green."}, tmp_path)
    # 2 of 10 say 3: .6; all say yes, so it is compared raw: 0; 7 of 10 say green: 1
    assert value(found, "vqa_accuracy") == pytest.approx(100 * (0.6 + 0 + 1) / 3)
    assert value(found, "vqa_accuracy[answer_type=number]") == pytest.approx(60)
    assert value(found, "vqa_accuracy[question_type=what color is the]") == pytest.approx(100)
    assert found.stamps == ("3 of the 214,354 questions of VQAv2 val",)


def test_protocols_differ_where_all_people_agree(tmp_path: Path) -> None:
    write_vqa(tmp_path)
    said = {"42000": "2", "42001": "Yes", "5000": "green"}
    scores = {}
    for protocol in ("vqa-official", "evalai", "lmms"):
        task = vqav2(Workspace(cache=tmp_path / "cache", data_dir=tmp_path), protocol, {})
        scores[protocol] = value(measured(task, said, tmp_path)[0], "vqa_accuracy[answer_type=yes/no]")
    assert scores == {"vqa-official": 0, "evalai": 100, "lmms": 100}


def test_only_the_pictures_that_are_asked_about_are_looked_at(tmp_path: Path) -> None:
    task = small(write_vqa(tmp_path))
    (tmp_path / "val2014" / "COCO_val2014_000000000005.jpg").write_bytes(b"broken")
    assert len(task.samples()) == 3
    assert len(task.samples()[:2]) == 2
    with pytest.raises(
        DataError, match=r"picture of question 5000 \(.*COCO_val2014_000000000005\.jpg\) is not a picture"
    ):
        task.samples()[:3]


def test_test_dev_writes_the_file_for_evalai(tmp_path: Path) -> None:
    task = small(write_vqa(tmp_path / "vqa", "test-dev", zipped=True), split="test-dev")
    said = {str(q): f"answer {q}" for q, *_ in QUESTIONS}
    found, folder = measured(task, said, tmp_path)
    entries = json.loads((folder / "submission.json").read_text(encoding="utf-8"))
    assert entries == [{"question_id": q, "answer": f"answer {q}"} for q in (42000, 42001, 5000)]
    reason = found.estimates["submission"]
    assert isinstance(reason, Unavailable)
    assert "3 of the 107,394 answers" in reason.reason


def _duplicate(document: Document) -> None:
    document["questions"].append(document["questions"][0])


def _duplicate_told(document: Document) -> None:
    document["annotations"].append(document["annotations"][0])


def _wrong_split(document: Document) -> None:
    document["data_subtype"] = "train2014"


def _nine(document: Document) -> None:
    document["annotations"][2]["answers"].pop()


def _one_annotator_twice(document: Document) -> None:
    document["annotations"][1]["answers"][3]["answer_id"] = 1


def _without_annotation(document: Document) -> None:
    document["annotations"].pop()


def _without_question(document: Document) -> None:
    document["questions"].pop()


def _texts(text: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        document["questions"][0]["question"] = text

    return change


def _number_for_text(document: Document) -> None:
    document["questions"][1]["question"] = 7


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("questions", _duplicate, r"questions\.json: question id 42000 stands twice"),
        ("annotations", _duplicate_told, r"annotations\.json: annotation of question 42000 stands twice"),
        ("questions", _wrong_split, r"questions\.json is of train2014, not of val2014"),
        ("annotations", _wrong_split, r"annotations\.json is of train2014, not of val2014"),
        ("annotations", _nine, r"annotations\.json: question 5000 has 9 answers instead of 10"),
        ("annotations", _one_annotator_twice, r"annotations\.json: question 42001 has two answers of one answer_id"),
        ("annotations", _without_annotation, r"annotations\.json has no annotation of question 5000"),
        ("questions", _without_question, r"1 annotations of questions that .* has not, the first of question 5000"),
        ("questions", _texts("why\x00?"), r"questions\.json: question 42000 holds a NUL"),
        ("questions", _texts("x" * 10_000), r"questions\.json: question 42000 has 10,000 characters"),
        ("questions", _texts("  "), r"questions\.json: question 42000 is empty"),
        ("questions", _number_for_text, r"questions\.json: questions\[1\]\.question: Input should be a valid string"),
    ],
)
def test_bad_files_are_errors_that_name_file_and_item(
    tmp_path: Path, file: str, change: Callable[[Document], None], message: str
) -> None:
    changes = {file: change}
    write_vqa(
        tmp_path,
        questions=changes.get("questions", lambda _: None),
        annotations=changes.get("annotations", lambda _: None),
    )
    with pytest.raises(DataError, match=message):
        small(tmp_path)


def test_missing_pictures_and_files_are_errors_that_say_where_they_are_had(tmp_path: Path) -> None:
    write_vqa(tmp_path)
    (tmp_path / "val2014" / "COCO_val2014_000000000042.jpg").unlink()
    with pytest.raises(
        DataError, match=r"1 of the 2 images .* first being COCO_val2014_000000000042\.jpg of question 42000"
    ):
        small(tmp_path)
    with pytest.raises(DataError, match=r"no v2_OpenEnded_mscoco_val2014_questions\.json and no .*visualqa\.org"):
        small(tmp_path / "elsewhere")
    (tmp_path / "v2_mscoco_val2014_annotations.json").write_text('{"annotations": [', encoding="utf-8")
    with pytest.raises(DataError, match=r"annotations\.json: .*EOF"):
        small(tmp_path)


def test_unknown_choices_offer_the_nearest(tmp_path: Path) -> None:
    write_vqa(tmp_path)
    for options, message in (
        ({"split": "vall"}, "did you mean 'val'"),
        ({"prompt": "short-answers"}, "did you mean 'short-answer'"),
    ):
        with pytest.raises(UsageError, match=message):
            small(tmp_path, **options)
    with pytest.raises(UsageError, match="no data named 'vqa2' for this task; did you mean 'vqav2'"):
        vqav2(Workspace(cache=tmp_path, data="vqa2"), None, {})


def test_another_prompt_is_another_protocol(tmp_path: Path) -> None:
    write_vqa(tmp_path)
    said = {"42000": "2", "42001": "yes", "5000": "green"}
    digests = set()
    for prompt, text in (("bare", "Is this a cat?"), ("question-answer", "Question: Is this a cat? Short answer:")):
        task = small(tmp_path, prompt=prompt)
        assert task.request(task.samples()[1], 0).parts[1] == Text(text)
        one = measured(task, said, tmp_path)[0].estimates["vqa_accuracy"]
        assert isinstance(one, Estimate)
        digests.add(one.protocol)
    assert len(digests) == 2


def test_a_hub_dataset_has_the_same_questions(tmp_path: Path) -> None:
    rows = [
        {
            "question_id": q,
            "image_id": i,
            "question": text,
            "question_type": kind,
            "answer_type": answer_type,
            "answers": [{"answer": one, "answer_id": n} for n, one in enumerate(answers)],
            "image": {"bytes": picture_bytes(i), "path": None},
        }
        for q, i, text, kind, answer_type, answers in QUESTIONS
    ]
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    (tmp_path / "hub").mkdir()
    table.to_parquet(tmp_path / "hub" / "validation-00000-of-00001.parquet")
    task = vqav2(Workspace(cache=tmp_path / "cache", data=f"hf:{tmp_path / 'hub'}"), None, {})
    official = small(write_vqa(tmp_path / "vqa"))
    asked, same = task.samples(), official.samples()
    assert [(s.id, s.parts[1:], s.references, s.strata, s.cluster) for s in asked] == [
        (s.id, s.parts[1:], s.references, s.strata, s.cluster) for s in same
    ]
    rows[1]["answers"] = rows[1]["answers"][:9]  # type: ignore[index]
    datasets.Dataset.from_list(rows).cast_column("image", datasets.Image()).to_parquet(
        tmp_path / "hub" / "validation-00000-of-00001.parquet"
    )
    with pytest.raises(DataError, match="question 42001 has 9 answers instead of 10"):
        vqav2(Workspace(cache=tmp_path / "cache", data=f"hf:{tmp_path / 'hub'}"), None, {})


def test_blocksworld_is_taken_where_nothing_else_is_and_stamped(tmp_path: Path) -> None:
    task = vqav2(Workspace(cache=tmp_path), None, {})
    assert task.data.stamps == ("demo data",)
    assert len(task.samples()) == 2_000
    with Cache(tmp_path / "cache") as cache:
        found, _ = run(task, oracle_model(task.workspace, "", {}), cache, RunSettings(limit=40), tmp_path / "runs")
    assert value(found, "vqa_accuracy") == 100


def test_real_questions_with_their_photos_run_from_end_to_end(shared_data: Path, tmp_path: Path) -> None:
    sample = shared_data / "vqa" / "sample"
    asked, told = (json.loads((sample / name).read_text()) for name in ("questions.json", "annotations.json"))
    asked["data_subtype"] = told["data_subtype"] = "val2014"  # the sample is of train, which is no split of the task
    write(tmp_path / "vqa", "v2_OpenEnded_mscoco_val2014_questions.json", asked)
    write(tmp_path / "vqa", "v2_mscoco_val2014_annotations.json", told)
    (tmp_path / "vqa" / "val2014").mkdir()
    photo = sample / "images" / "COCO_train2014_000000458752.jpg"
    (tmp_path / "vqa" / "val2014" / "COCO_val2014_000000458752.jpg").symlink_to(photo)
    task = small(tmp_path / "vqa")
    assert len(task.samples()) == 3
    said = {
        sample.id: part.text for sample in task.samples() for part in sample.references[:1] if isinstance(part, Text)
    }
    found, folder = measured(task, said, tmp_path)
    assert value(found, "vqa_accuracy") > 0
    assert [record.answer_parts is not None for record in read_samples(folder)] == [True] * 3


def test_real_questions_on_coco_mini_photos_are_asked_about_them(shared_data: Path, tmp_path: Path) -> None:
    photos = {int(path.stem): path for path in (shared_data / "coco-mini").glob("*2017/*.jpg")}
    files = [json.loads(gzip.decompress(path.read_bytes())) for path in sorted((shared_data / "vqa").glob("*.gzip"))]
    kept = [one for file in files for one in file.get("questions", ()) if one["image_id"] in photos]
    ids = {one["question_id"] for one in kept}
    answers = [one for file in files for one in file.get("annotations", ()) if one["question_id"] in ids]
    write(tmp_path, "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": kept})
    write(tmp_path, "v2_mscoco_val2014_annotations.json", {"annotations": answers})
    (tmp_path / "val2014").mkdir()
    for image in {one["image_id"] for one in kept}:
        (tmp_path / "val2014" / f"COCO_val2014_{image:012d}.jpg").symlink_to(photos[image])
    task = small(tmp_path)
    truth = {str(one["question_id"]): one["multiple_choice_answer"] for one in answers}
    assert len(task.samples()) == len(kept) > 10
    assert value(measured(task, truth, tmp_path)[0], "vqa_accuracy") > 80


def test_the_command_line_runs_it_and_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "vqav2", "-m", "oracle", "-L", "8", "--cache", str(tmp_path / "c"), "--json"]) == 0
    stamps = json.loads(capsys.readouterr().out)["runs"][0]["stamps"]
    assert stamps == ["demo data", "limited to 8 of 2000 samples"]
    assert main(["ls", "tasks", "vqav2"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for words in (
        "Where is he looking?",
        "GT-Vision-Lab/VQA at a013f00",
        "Anchors",
        "Pitfalls",
        "CC BY 4.0",
        "1612.00837",
    ):
        assert words in told


def test_a_folder_that_holds_both_forms_prefers_the_unpacked_file(tmp_path: Path) -> None:
    write_vqa(tmp_path, zipped=True)
    write_vqa(tmp_path)
    write_pictures(tmp_path, "val2014", [f"COCO_val2014_{image:012d}.jpg" for image in (42, 5)])
    picture = small(tmp_path).samples()[0].parts[0]
    assert isinstance(picture, Image) and isinstance(picture.content, Path)
