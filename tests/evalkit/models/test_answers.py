"""Laws of answers made elsewhere: each sample gets its own, whatever the file's kind, and faults name their place."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from evalkit.cli import main
from evalkit.errors import DataError, EvalkitError, UsageError
from evalkit.images import pixel_digest, pixels
from evalkit.models.answers import Answers, answers_model
from evalkit.types import Request, Text
from evalkit.workspace import Workspace

from .asking import answers, failure, photos, picture, text

Read = Callable[..., Answers]
TOLD = {"12": "two, or so", "7": "yes", "397133-37": "é\nring"}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def built(source: object, **options: str) -> Answers:
        return answers_model(Workspace(cache=tmp_path / "cache", offline=True), str(source), options)

    return built


def told(model: Answers, *sample_ids: str) -> list[str]:
    return [text(found) for found in answers(model, [asked(sample_id) for sample_id in sample_ids])]


def asked(sample_id: str) -> Request:
    return Request("t@1", sample_id, "vqa", (Text("?"),), 0)


def write_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps({"sample_id": i, "text": t}) + "\n" for i, t in TOLD.items()))
    return path


def write_csv(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("sample_id", "text"), *TOLD.items()])
    return path


def write_json(path: Path) -> Path:
    path.write_text(json.dumps([{"sample_id": i, "text": t} for i, t in TOLD.items()]))
    return path


def write_dataset(path: Path) -> Path:
    datasets.Dataset.from_dict({"sample_id": list(TOLD), "text": list(TOLD.values())}).save_to_disk(str(path))
    return path


def write_parquet(path: Path) -> Path:
    datasets.Dataset.from_dict({"sample_id": list(TOLD), "text": list(TOLD.values())}).to_parquet(str(path))
    return path


WRITERS = {
    "a.jsonl": write_jsonl,
    "a.csv": write_csv,
    "a.json": write_json,
    "a": write_dataset,
    "a.parquet": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_model(read: Read, tmp_path: Path, name: str) -> None:
    model = read(WRITERS[name](tmp_path / name))
    assert told(model, "397133-37", "7", "12") == ["é\nring", "yes", "two, or so"]
    assert failure(answers(model, [asked("8")])[0]).kind == "missing"
    assert model.identity == read(write_jsonl(tmp_path / "other.jsonl")).identity
    assert model.name == "answers:a"


def test_results_as_coco_writes_them_go_by_image(read: Read, tmp_path: Path, shared_data: Path) -> None:
    captions = json.loads((shared_data / "coco-captions" / "captions_val2017.json").read_text())["annotations"]
    by_image = {row["image_id"]: row["caption"] for row in captions}
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"image_id": i, "caption": c} for i, c in by_image.items()]))
    model = read(path)
    assert len(model.rows) == 5000
    first = next(iter(by_image))
    assert told(model, str(first), f"{first}-12", f"{first:012d}") == [by_image[first]] * 3


def test_results_as_vqa_writes_them_go_by_question(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"question_id": 1002, "answer": 2}, {"question_id": 1003, "answer": "no"}]))
    assert told(read(path), "1002", "1003") == ["2", "no"]


def test_a_dataset_may_answer_with_pictures(read: Read, tmp_path: Path, shared_data: Path) -> None:
    shown = photos(shared_data, 3)
    held = [{"bytes": Path(str(photo.content)).read_bytes(), "path": None} for photo in shown]
    table = datasets.Dataset.from_dict({"id": ["a", "b", "c"], "image": held}).cast_column("image", datasets.Image())
    table.to_parquet(str(tmp_path / "made.parquet"))
    model = read(tmp_path / "made.parquet")
    assert "text-to-image" in model.capabilities
    drawn = picture(answers(model, [Request("t@1", "b", "text-to-image", (Text("x"),), 0)])[0])
    assert pixel_digest(pixels(drawn)) == shown[1].digest


def test_a_changed_answer_makes_another_model_and_a_moved_row_does_not(read: Read, tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]
    path = tmp_path / "a.json"
    identities = []
    for written in (rows, rows[::-1], [{"id": "1", "text": "b"}, {"id": "2", "text": "b"}]):
        path.write_text(json.dumps(written))
        identities.append(read(path).identity)
    assert identities[0] == identities[1] != identities[2]


def test_a_row_without_an_answer_is_missing(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"id": "1", "text": None}, {"id": "2", "text": ""}]))
    model = read(path)
    assert model.matched(["1", "2"]).missing == ("1",)
    assert told(model, "2") == [""]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.json", "{}", "should hold a list of results"),
        ("a.json", "[1]", "entry 0 is not an object"),
        ("a.json", "[]", "holds no answer"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", '[{"id": 1, "text": ["x"]}]', "entry 0: text is ['x'], neither"),
        ("a.json", '[{"id": 1, "text": "x"}, {"id": "001", "text": "y"}]', "entry 1 answers '1' a second time, after"),
        ("a.json", '[{"key": 1, "text": "x"}]', "no column of ids (sample_id, question_id, image_id, id) among key"),
        ("a.jsonl", '{"id": 1, "text": "x"}\n{"id"', "line 2 is not JSON"),
        ("a.csv", "id,text\n1,two, or so\n", "line 2 has another number of cells"),
        ("a.csv", b"id,text\n1,\xff\n", "cannot be read"),
        ("a.txt", "x", "should end in .jsonl, .csv, .json or .parquet"),
    ],
)
def test_a_file_that_makes_no_sense_is_an_error_that_names_the_place(
    read: Read, tmp_path: Path, name: str, content: str | bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EvalkitError) as raised:
        read(path)
    assert complaint in str(raised.value)


def test_what_is_not_here_is_an_error(read: Read, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "absent.json")
    with pytest.raises(UsageError, match="named hf:REPO@REVISION"):
        read("hf:someone/something")
    with pytest.raises(DataError, match="--offline forbids the network"):
        read("hf:someone/something@main")


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def truths(count: int) -> list[dict[str, object]]:
    """The most frequent human answer to the first questions of blocksworld, as VQA results."""
    from evalkit.registry import build_task

    found: list[dict[str, object]] = []
    for sample in build_task("blocksworld_vqa", Workspace(), None, {}).samples()[:count]:
        said = [part.text for part in sample.references if isinstance(part, Text)]
        found.append({"question_id": int(sample.id), "answer": max(set(said), key=said.count)})
    return found


@pytest.mark.usefixtures("_here")
def test_import_scores_and_reports_missing_and_extra_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = truths(40)
    gone = rows.pop(3)
    rows.append({"question_id": 999999, "answer": "stray"})
    (tmp_path / "results.json").write_text(json.dumps(rows))
    code = main(["import", "blocksworld_vqa", "results.json", "-L", "40", "--json", "-a", "name=people"])
    written = capsys.readouterr()
    document = json.loads(written.out)
    assert code == 1
    assert document["missing"] == [str(gone["question_id"])]
    assert document["extra"] == ["999999"]
    (run,) = document["runs"]
    assert run["model"] == "people"
    assert run["coverage"]["answered"] == 39
    assert run["estimates"]["vqa_accuracy"]["value"] == 100.0
    assert "39 of 40 samples are answered" in written.err
    assert "1 answers have no sample: 999999" in written.err
    accepted = main(["import", "blocksworld_vqa", "results.json", "-L", "40", "--allow-failures", "1"])
    assert accepted == 0


@pytest.mark.usefixtures("_here")
def test_import_of_answers_to_something_else_is_an_error_that_shows_both_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text(json.dumps([{"question_id": "x1", "answer": "yes"}]))
    assert main(["import", "blocksworld_vqa", "results.json", "-L", "3"]) == 2
    said = capsys.readouterr().err
    assert "no sample of blocksworld_vqa is answered: its ids read 1000, 1001, 1002" in said
    assert "those of results.json read x1" in said
