"""The laws of the benchmark coco_fid."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.features.pictures import FilePicture
from evalkit.keys import noun_json, request_document, sample_seed
from evalkit.metrics.protocols import FID_PROTOCOLS
from evalkit.types import Text
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from evalkit_tasks import TASKS
from evalkit_tasks.coco_fid import NAME, CocoFid, coco_fid
from evalkit_tasks.coco_json import Caption
from tests.tasks.coco_files import CAPTIONS, write_split

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "coco_fid_requests.json"
EVERY = {"captions_per_image": "any"}


def small(tmp_path: Path, **options: str) -> CocoFid:
    directory = tmp_path / "coco"
    if not directory.exists():
        write_split(directory, "val2014", zipped=True)
    return coco_fid(Workspace(cache=tmp_path / "cache", data="coco", data_dir=directory), None, options)


def test_its_requests_are_those_of_its_version(tmp_path: Path) -> None:
    task = small(tmp_path, **EVERY)
    asked = [task.request(sample, sample_seed(NAME, sample.id, 0, 0)) for sample in task.samples()[:3]]
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden["task"] == task.name, "a new version needs a new golden file"
    rendered = json.loads(json.dumps([request_document(request) for request in asked]))
    assert rendered == golden["requests"], "what a model is asked has changed: raise the version of coco_fid"
    assert json.loads(json.dumps([noun_json(sample) for sample in task.samples()[:3]])) == golden["samples"]


def test_its_spec_names_what_there_is() -> None:
    (spec,) = [spec for spec in TASKS if spec.name == "coco_fid"]
    assert f"{spec.name}@{spec.version}" == NAME
    assert set(spec.protocols) == set(FID_PROTOCOLS)
    assert spec.protocols[0] == "torch-fidelity"
    assert set(spec.weights) <= set(WEIGHTS)


def test_a_model_is_shown_the_caption_and_nothing_else(tmp_path: Path) -> None:
    task = small(tmp_path, **EVERY)
    texts = {f"{i}-{id_}": " ".join(text.split()) for i, entries in CAPTIONS.items() for id_, text in entries}
    samples = task.samples()
    assert {sample.id: sample.parts for sample in samples} == {id_: (Text(text),) for id_, text in texts.items()}
    for sample in samples:
        request = task.request(sample, 5)
        assert (request.parts, request.seed, request.width, request.height) == (sample.parts, 5, None, None)
        assert sample.cluster == sample.id.split("-")[0]
        assert sample.references == ()


def test_a_small_set_asks_once_for_each_photo(tmp_path: Path) -> None:
    task = small(tmp_path)
    assert Counter(sample.cluster for sample in task.samples()) == {"42": 1, "5": 1, "900": 1}
    assert dict(task.fields)["captions_per_image"] == "1"
    assert dict(small(tmp_path, **EVERY).fields)["captions_per_image"] == "any"


def test_sample_ids_do_not_depend_on_the_choice(tmp_path: Path) -> None:
    every = {sample.id for sample in small(tmp_path, **EVERY).samples()}
    for options in ({}, {"captions": "2"}, {"selection_seed": "7"}, {"reference": "same", "captions": "1"}):
        assert {sample.id for sample in small(tmp_path, **options).samples()} <= every


def test_the_reference_is_every_photo_or_those_of_the_captions(tmp_path: Path) -> None:
    full = small(tmp_path, captions="2")
    assert len(full.reference()) == 3
    same = small(tmp_path, captions="2", reference="same")
    by_id = {photo.id: photo.picture for photo in same.captions.photos}
    assert same.reference() == [by_id[i] for i in CAPTIONS if str(i) in {s.cluster for s in same.samples()}]
    assert (full.fields["reference_images"], same.fields["reference_images"]) == (3, 2)


def test_photos_without_captions_are_references_only(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017", {**CAPTIONS, 6: ()})
    task = coco_fid(Workspace(cache=tmp_path, data="coco", data_dir=tmp_path), None, {})
    assert (len(task.samples()), len(task.reference())) == (3, 4)


def test_every_choice_that_moves_the_number_is_a_field_of_the_protocol(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("7\n1\n20\n")
    other = tmp_path / "other.txt"
    other.write_text("3\n1\n20\n")
    choices: list[dict[str, str]] = [
        {},
        EVERY,
        {"captions": "2"},
        {"selection_seed": "1"},
        {"reference": "same"},
        {"captions": str(ids)},
        {"captions": str(other)},
    ]
    fields = [tuple(sorted(small(tmp_path, **options).fields.items())) for options in choices]
    assert len(set(fields)) == len(choices)
    names = {"data", "captions", "caption_list", "caption_selection", "captions_per_image", "reference"}
    assert all(names < dict(entry).keys() for entry in fields)


def test_a_list_is_asked_in_its_order(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("20\n7\n")
    task = small(tmp_path, captions=str(ids))
    assert [sample.id for sample in task.samples()] == ["900-20", "42-7"]
    assert task.fields["caption_selection"] == "list"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "ful"}, "-t reference=ful is not known; did you mean 'full'"),
        ({"captions_per_image": "5"}, "captions_per_image=5 is not known"),
        ({"selection_seed": "-1"}, "selection_seed=-1 is not a whole number"),
        ({"captions": "0"}, "at least one caption"),
    ],
)
def test_an_impossible_choice_is_a_usage_error(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small(tmp_path, **options)


def test_a_missing_list_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="caption list 30k cannot be read"):
        small(tmp_path, captions="30k")


def test_the_data_card_says_what_was_read(tmp_path: Path) -> None:
    task = small(tmp_path)
    assert task.data.name == "coco val2014"
    assert task.data.stamps == ("3 of the 40,504 images of val2014",)
    assert task.data.digest == task.captions.digest
    assert (task.workspace.data, task.workspace.data_dir) == ("coco", tmp_path / "coco")


def test_its_metric_takes_the_protocol_that_was_asked_for(tmp_path: Path) -> None:
    task = small(tmp_path)
    assert [metric.names for metric in task.metrics()] == [TASKS[0].metrics]
    with pytest.raises(UsageError, match="torch-fidelty"):
        coco_fid(task.workspace, "torch-fidelty", {}).metrics()


def test_a_hub_folder_is_a_benchmark_too(tmp_path: Path) -> None:
    import datasets

    from tests.tasks.coco_files import picture_bytes

    rows = {
        "image": [{"bytes": picture_bytes(i), "path": None} for i in (1, 2)],
        "caption": [["a cat", "cat"], ["dog"]],
    }
    features = datasets.Features({"image": datasets.Image(), "caption": [datasets.Value("string")]})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "val.parquet")
    task = coco_fid(Workspace(cache=tmp_path / "cache", data=f"hf:{tmp_path}"), None, EVERY)
    assert sorted(sample.id for sample in task.samples()) == ["0-0", "0-1", "1-2"]
    assert task.workspace.data == f"hf:{tmp_path}"


def test_blocksworld_is_read_by_the_same_reader(tmp_path: Path) -> None:
    task = coco_fid(Workspace(cache=tmp_path, data="blocksworld"), None, {})
    assert task.data.name == "blocksworld val"
    assert task.data.stamps == ("demo data",)
    assert len(task.samples()) == len(task.reference()) == len(task.captions.photos)
    strata = Counter(value for sample in task.samples() for name, value in sample.strata if name == "stratum")
    assert set(strata) == {"easy", "medium", "hard"}
    assert sum(strata.values()) == len(task.samples())


def test_the_real_photos_make_197_samples(shared_data: Path, tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path, data="coco", data_dir=shared_data / "coco-mini")
    task = coco_fid(workspace, None, {})
    assert len(task.samples()) == len(task.reference()) == 197
    assert task.data.stamps == ("197 of the 5,000 images of val2017",)
    assert len(coco_fid(workspace, None, EVERY).samples()) == 985
    kitchen = next(photo for photo in task.captions.photos if photo.id == 397133)
    assert kitchen.captions[0] == Caption(370509, "A man is in a kitchen making pizzas.")
    assert kitchen.picture == FilePicture(shared_data / "coco-mini" / "val2017" / "000000397133.jpg")
