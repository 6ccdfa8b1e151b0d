"""Layouts to pictures: instance files and what a bad one says, the filter, what is asked, and runs to the end."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from evalkit.cache import Cache
from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.features.detections import COCO_CATEGORIES
from evalkit.images import encode_png, image_of
from evalkit.interfaces import Scored, Task
from evalkit.keys import request_document, sample_seed
from evalkit.metrics.pictures.boxes import BoxMetric
from evalkit.registry import build_task
from evalkit.runner import RunSettings, run
from evalkit.types import Answer, Boxes, Estimate, Generation, Image, Job, JsonScalar, Request, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.model import oracle_model
from evalkit_tasks.coco_instances import official_instances
from evalkit_tasks.layouts import Filter, choose_layouts
from evalkit_tasks.object_to_image import answer, asked_objects
from tests.evalkit.features.conftest import photo_like

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "prompt_requests.json"
FASTER = "fasterrcnn-resnet50-fpn-v2"


def built(folder: Path, options: Mapping[str, str] | None = None, **data: str | Path) -> Task:
    where = Workspace(cache=folder / "cache", offline=True, **data)  # type: ignore[arg-type]
    return build_task("object_to_image", where, None, options or {})


def instance_file(**changes: object) -> dict[str, object]:
    """A file of one image of 100 x 50 with three objects; `changes` are made to the first object."""
    plain = {"image_id": 7, "category_id": 1, "iscrowd": 0, "area": 1.0, "segmentation": []}
    objects = [{**plain, "id": n, "bbox": [10.0 * n, 0.0, 10.0, 20.0]} for n in range(3)]
    objects[0] |= changes
    return {
        "images": [{"id": 7, "file_name": "000000000007.png", "width": 100, "height": 50}],
        "annotations": objects,
        "categories": [{"id": number, "name": name} for number, name in COCO_CATEGORIES.items()],
    }


def content(document: object) -> bytes:
    return json.dumps(document).encode()


def test_objects_are_read_as_they_are() -> None:
    read = official_instances(content(instance_file(iscrowd=1)), "instances.json", "val2017")
    (photo,) = read.photos
    assert (photo.id, photo.width, photo.height) == (7, 100, 50)
    assert [(one.id, one.x, one.area, one.crowd) for one in photo.instances] == [
        (0, 0.0, 200.0, True),
        (1, 10.0, 200.0, False),
        (2, 20.0, 200.0, False),
    ]
    assert read.categories == COCO_CATEGORIES


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"bbox": [95.0, 0.0, 10.0, 20.0]}, r"object 0 of image 7 .* lies outside the image of 100 x 50 pixels"),
        ({"bbox": [-1.0, 0.0, 10.0, 20.0]}, "lies outside the image"),
        ({"bbox": [0.0, 45.0, 10.0, 20.0]}, "lies outside the image"),
        ({"bbox": [0.0, 0.0, 0.0, 20.0]}, "object 0 of image 7 has the box .* of no size"),
        ({"bbox": [0.0, 0.0, 5.0, -2.0]}, "of no size"),
        ({"bbox": [0.0, 0.0, 5.0]}, r"annotations\[0\].bbox"),
        ({"bbox": [0.0, 0.0, "wide", 5.0]}, r"annotations\[0\].bbox"),
        ({"category_id": 12}, "object 0 of image 7 has the category 12, which is not listed"),
        ({"id": 1}, "object id 1 stands twice"),
        ({"image_id": 8}, "object 0 is of image 8, which is not listed"),
        ({"iscrowd": 2}, r"annotations\[0\].iscrowd"),
    ],
)
def test_a_bad_object_is_an_error_that_names_it(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        official_instances(content(instance_file(**changes)), "instances.json", "val2017")


def test_a_bad_list_is_an_error_that_names_it() -> None:
    whole = instance_file()
    image, category = {"id": 7, "file_name": "x.png", "width": 1, "height": 1}, {"id": 1, "name": "man"}
    for key, entry, complaint in (
        ("images", image, "image id 7 stands twice"),
        ("images", {**image, "id": 8, "file_name": "000000000007.png"}, "image file '000000000007.png' stands twice"),
        ("images", {**image, "id": 8, "file_name": "../x.png"}, "leaves its folder"),
        ("categories", category, "category id 1 stands twice"),
        ("categories", {"id": 99, "name": "person"}, "category 'person' stands twice"),
    ):
        longer = {**whole, key: [*whole[key], entry]}  # type: ignore[misc]
        with pytest.raises(DataError, match=complaint):
            official_instances(content(longer), "instances.json", "val2017")
    with pytest.raises(DataError, match="lists no images"):
        official_instances(content({**whole, "images": [], "annotations": []}), "instances.json", "val2017")
    with pytest.raises(DataError, match=r"instances\.json: .*the official instances_val2017\.json"):
        official_instances(content(whole)[:-40], "instances.json", "val2017")


def test_a_box_may_reach_over_the_border_by_less_than_half_a_pixel() -> None:
    made = instance_file(bbox=[90.0, 0.0, 10.4, 20.0])
    assert official_instances(content(made), "instances.json", "val2017").photos[0].instances[0].width == 10.4


def test_the_filter_takes_large_objects_and_neither_few_nor_many() -> None:
    photo = official_instances(content(instance_file(bbox=[0.0, 0.0, 10.0, 10.0])), "i.json", "v").photos[0]
    asked = [[one.id for one in Filter(*rule).asked(photo)] for rule in ((0.01, 3, 8), (0.02, 2, 8), (0.02, 1, 1))]
    assert asked == [[0, 1, 2], [1, 2], []], "the first is just 2 % of the image, which is not more"
    crowded = replace(photo, instances=(replace(photo.instances[0], crowd=True), *photo.instances[1:]))
    assert [one.id for one in Filter(0.0, 1, 8).asked(crowded)] == [1, 2]


def official_folder(folder: Path, **changes: object) -> Path:
    """A folder of val2017 with one image, its instances and its captions."""
    (folder / "annotations").mkdir(parents=True)
    document = instance_file(**changes)
    (folder / "annotations" / "instances_val2017.json").write_bytes(content(document))
    captions = [{"id": 5, "image_id": 7, "caption": "Later."}, {"id": 4, "image_id": 7, "caption": "Three people."}]
    whole = {"images": document["images"], "annotations": captions}
    (folder / "annotations" / "captions_val2017.json").write_bytes(content(whole))
    (folder / "val2017").mkdir()
    (folder / "val2017" / "000000000007.png").write_bytes(encode_png(photo_like(1, 50, 100)))
    return folder


def test_what_is_asked_is_the_first_caption_and_the_boxes(tmp_path: Path) -> None:
    made = built(tmp_path, data_dir=official_folder(tmp_path / "coco"))
    (sample,) = made.samples()
    caption, boxes = sample.parts
    assert caption == Text("Three people.")
    assert isinstance(boxes, Boxes) and (boxes.width, boxes.height) == (100, 50)
    assert [(one.label, one.x, one.width) for one in boxes.boxes] == [("person", 10.0 * n, 10.0) for n in range(3)]
    assert [part.digest for part in sample.references if isinstance(part, Image)] == [
        image_of(photo_like(1, 50, 100)).digest
    ]
    assert made.data.stamps == ("1 of the 5,000 images of val2017",)
    alone = built(tmp_path, {"caption": "none"}, data_dir=tmp_path / "coco")
    assert alone.samples()[0].parts == (boxes,)
    assert alone.data.digest != made.data.digest


def test_official_zips_are_read_in_place(tmp_path: Path) -> None:
    folder = built(tmp_path, data_dir=official_folder(tmp_path / "coco"))
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    for name, inner, there in (
        ("val2017.zip", "val2017", "val2017"),
        ("annotations_trainval2017.zip", "annotations", ""),
    ):
        with zipfile.ZipFile(zipped / name, "w") as archive:
            for path in (tmp_path / "coco" / inner).iterdir():
                archive.write(path, f"{there or 'annotations'}/{path.name}")
    made = built(tmp_path, data_dir=zipped)
    assert made.data == folder.data
    assert [one.parts for one in made.samples()] == [one.parts for one in folder.samples()]


def test_what_is_missing_says_the_next_step(tmp_path: Path) -> None:
    folder = official_folder(tmp_path / "coco")
    shutil.move(folder / "annotations" / "captions_val2017.json", tmp_path)
    with pytest.raises(DataError, match=r"captions_val2017\.json"):
        built(tmp_path, data_dir=folder)
    built(tmp_path, {"caption": "none"}, data_dir=folder)
    (folder / "val2017" / "000000000007.png").unlink()
    with pytest.raises(DataError, match=r"1 of the 1 images .* are missing, the first being 000000000007\.png"):
        built(tmp_path, {"caption": "none"}, data_dir=folder)
    with pytest.raises(DataError, match="evalkit fetch coco -a split=val2014"):
        built(tmp_path, {"split": "val2014"}, data_dir=folder)
    with pytest.raises(DataError, match="no image has 4 to 8 objects"):
        built(tmp_path, {"min_objects": "4"}, data_dir=official_folder(tmp_path / "other"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"detector": "oracle"}, "reads blocksworld's pictures only"),
        ({"detector": "yolo"}, "-t detector=yolo is not known"),
        ({"min_area": "2"}, "not a number from 0 to 1"),
        ({"min_objects": "none"}, "not a whole number"),
        ({"min_objects": "9"}, "no photo can have both"),
        ({"caption": "all"}, "-t caption=all is not known"),
    ],
)
def test_an_option_that_cannot_be_is_told(options: dict[str, str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=complaint):
        built(tmp_path, options, data_dir=official_folder(tmp_path / "coco"))


def test_other_categories_are_not_looked_at_with_a_coco_detector(tmp_path: Path) -> None:
    folder = official_folder(tmp_path / "coco")
    path = folder / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["categories"][3]["name"] = "motorbike"
    path.write_bytes(content(document))
    with pytest.raises(DataError, match="categories are not COCO's 80"):
        built(tmp_path, data_dir=folder)


def test_real_photos_have_37_layouts_and_fewer_at_three_per_cent(shared_data: Path, tmp_path: Path) -> None:
    here = Workspace(cache=tmp_path, offline=True, data_dir=shared_data / "coco-mini")
    chosen = choose_layouts(here, {})
    assert len(chosen.samples) == 37
    assert all(3 <= len(one.asked) <= 8 for one in chosen.layouts.values())
    assert len(choose_layouts(here, {"min_area": "0.03"}).samples) < 37
    first = chosen.samples[0]
    (boxes,) = (part for part in first.parts if isinstance(part, Boxes))
    (photo,) = (part for part in first.references if isinstance(part, Image))
    assert (boxes.width, boxes.height) == (photo.width, photo.height)


def test_requests_are_those_of_their_version(tmp_path: Path) -> None:
    made = built(tmp_path)
    asked = [made.request(s, sample_seed(made.name, s.id, 0, 0)) for s in made.samples()[:3]]
    rendered = json.loads(json.dumps([request_document(request) for request in asked]))
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert rendered == golden["object_to_image"], f"{made.name} asks otherwise: raise it"
    assert made.data.stamps == ("demo data",)


@dataclass
class Silent:
    """Fails the test if it is asked anything."""

    name: str = "silent"
    identity: Mapping[str, JsonScalar] = field(default_factory=lambda: {"model": "silent"})
    capabilities: frozenset[Job] = frozenset({"object-to-image"})

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        raise AssertionError("asked before the weights were found")


def test_missing_weights_are_told_of_before_anything_is_asked(tmp_path: Path) -> None:
    made = built(tmp_path, data_dir=official_folder(tmp_path / "coco"))
    assert [name for metric in made.metrics() for name in metric.names] == [
        *(f"ap[{FASTER}]", f"ap50[{FASTER}]", f"photo_ap[{FASTER}]", f"photo_ap50[{FASTER}]")
    ]
    with pytest.raises(WeightsError, match="dd69338a24b8d738"), Cache(tmp_path / "cache") as cache:
        run(made, Silent(), cache, RunSettings(), tmp_path / "runs")


def test_a_photo_of_another_size_than_the_file_says_is_an_error(tmp_path: Path) -> None:
    folder = official_folder(tmp_path / "coco")
    (folder / "val2017" / "000000000007.png").write_bytes(encode_png(photo_like(1, 40, 100)))
    made = built(tmp_path, {"detector": "yolo11n-onnx"}, data_dir=folder)
    (metric,) = made.metrics()
    assert isinstance(metric, BoxMetric)
    photo_only = metric.only(["photo_ap[yolo11n-onnx]"])
    scored = Scored(made.samples()[0], Generation((image_of(photo_like(0, 8, 8)),)))
    with pytest.raises(DataError, match=r"image 7 .* is of 100 x 40 pixels, but coco val2017 instances says 100 x 50"):
        photo_only.update(photo_only.start(), [scored])


def test_boxes_of_an_answer_are_stretched_to_the_photo_and_what_was_not_asked_is_ignored(tmp_path: Path) -> None:
    folder = official_folder(tmp_path / "coco", bbox=[0.0, 0.0, 5.0, 5.0])
    chosen = choose_layouts(Workspace(cache=tmp_path, data_dir=folder), {"min_objects": "2"})
    made = image_of(photo_like(0, 25, 25))
    scored = Scored(chosen.samples[0], Generation((made,)))
    assert answer(chosen.layouts, scored) == (made, 4.0, 2.0)
    objects = asked_objects(chosen.layouts, scored)
    assert objects.ignored.tolist() == [True, False, False]
    assert not objects.crowds.any()


def _answers(made: Task, model: object) -> list[Generation]:
    requests = [made.request(one, 0) for one in made.samples()[:30]]
    found = dict(model.generate(requests))  # type: ignore[attr-defined]
    return [found[place] for place in range(len(requests))]


def test_the_oracle_reaches_the_ceiling_and_shuffled_pictures_fall(tmp_path: Path) -> None:
    made = built(tmp_path, {"min_objects": "4"})
    model = oracle_model(made.workspace, "", {})
    with Cache(tmp_path / "cache") as cache:
        found, _ = run(made, model, cache, RunSettings(limit=30), tmp_path / "runs")
    values = {name: one.value for name, one in found.estimates.items() if isinstance(one, Estimate)}
    assert values["ap[oracle]"] == values["photo_ap[oracle]"] > 0.85
    assert values["ap50[oracle]"] > 0.98
    (metric,) = made.metrics()
    answers = _answers(made, model)
    shuffled = [Scored(one, answers[place - 1]) for place, one in enumerate(made.samples()[:30])]
    wrong = metric.finish(metric.update(metric.start(), shuffled)).estimates
    assert isinstance(lower := wrong["ap[oracle]"], Estimate) and lower.value < 0.2
    assert isinstance(same := wrong["photo_ap[oracle]"], Estimate) and same.value == values["photo_ap[oracle]"]
