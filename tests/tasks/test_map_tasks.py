"""Pictures from maps: what is asked of photos, what is refused, the ceiling, and runs to the end."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image as PillowImage

from evalkit.cache import Cache
from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.features.canny import canny
from evalkit.images import image_of, pixels
from evalkit.interfaces import Task
from evalkit.keys import request_document, sample_seed
from evalkit.registry import build_model, build_task
from evalkit.results import Run
from evalkit.runner import RunSettings, run
from evalkit.types import Answer, Estimate, Failure, Generation, Image, Job, JsonScalar, LabelMap, Request, Text
from evalkit.workspace import Workspace
from evalkit_tasks.label_names import ADE20K_COLOURS
from evalkit_tasks.label_sets import LABEL_SETS, UNKNOWN
from evalkit_tasks.map_specs import MAP_TASKS
from tests.evalkit.features.conftest import photo_like
from tests.tasks.coco_files import write_split
from tests.tasks.map_files import ADE_NAMES, ade_labels, write_ade, zip_ade

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "map_requests.json"
MIOU, ACCURACY = "miou[blocksworld-oracle]", "pixel_accuracy[blocksworld-oracle]"


def built(name: str, folder: Path, options: Mapping[str, str] | None = None, **data: str | Path) -> Task:
    where = Workspace(cache=folder / "cache", offline=True, **data)  # type: ignore[arg-type]
    return build_task(name, where, None, options or {})


def measured(task: Task, model: object, folder: Path, metrics: Sequence[str], limit: int | None = None) -> Run:
    settings = RunSettings(limit=limit, metrics=tuple(metrics))
    with Cache(folder / "cache") as cache:
        return run(task, model, cache, settings, folder / "runs")[0]  # type: ignore[arg-type]


def oracle(task: Task) -> object:
    return build_model("oracle", task.workspace, {})


def value(found: Run, name: str) -> float:
    one = found.estimates[name]
    assert isinstance(one, Estimate), (name, one)
    return one.value


@dataclass
class Drawing:
    """Answers by a function of the request, and notes what it was asked."""

    draw: Callable[[Request], Image | None]
    asked: list[str] = field(default_factory=list)
    name: str = "drawing"
    capabilities: frozenset[Job] = frozenset({"structure-to-image", "segmentation-to-image"})

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "drawing", "number": id(self.draw)}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            self.asked.append(request.sample_id)
            made = self.draw(request)
            yield position, Failure("refusal", "no") if made is None else Generation((made,))


def grey(request: Request) -> Image:
    return image_of(np.full((request.height or 64, request.width or 64, 3), 128, np.uint8))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task]:
    folder = tmp_path_factory.mktemp("embedded")
    return {spec.name: built(spec.name, folder, data="blocksworld") for spec in MAP_TASKS}


def test_requests_are_those_of_their_version(embedded: dict[str, Task], tmp_path: Path) -> None:
    ade = built("segmentation_to_image", tmp_path, data="ade20k", data_dir=write_ade(tmp_path / "ade"))
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for name, made in {**embedded, "segmentation_to_image on ADE20K": ade}.items():
        asked = [made.request(s, sample_seed(made.name, s.id, 0, 0)) for s in made.samples()[:3]]
        rendered = json.loads(json.dumps([request_document(request) for request in asked]))
        assert rendered == golden[name], f"what {made.name} asks has changed: raise its version, then the golden file"


def test_specs_name_what_there_is(embedded: dict[str, Task], tmp_path: Path) -> None:
    names = {name: {n for metric in made.metrics() for n in metric.names} for name, made in embedded.items()}
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps(dict.fromkeys(ADE_NAMES, "a field")))
    ade = write_ade(tmp_path / "ade")
    on_ade = built("segmentation_to_image", tmp_path, {"captions": str(captions)}, data="ade20k", data_dir=ade)
    names["segmentation_to_image"] |= {n for metric in on_ade.metrics() for n in metric.names}
    names["segmentation_to_image"] |= {f"{n}[deeplabv3-r101-coco-stuff]" for n in ("miou", "pixel_accuracy")}
    for condition in ("hed", "depth"):
        made = built("structure_to_image", tmp_path, {"condition": condition, "size": "512"}, data="blocksworld")
        names["structure_to_image"] |= {n for metric in made.metrics() for n in metric.names}
    for spec in MAP_TASKS:
        breakdowns = {name for name in names[spec.name] if name.endswith("_by_stratum")}
        assert names[spec.name] - breakdowns == {name for name in spec.metrics if not name.endswith("_by_stratum")}
        assert embedded[spec.name].job == spec.job


def test_a_photo_s_edges_are_asked_with_its_first_caption(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "coco", "val2017")
    made = built("structure_to_image", tmp_path, {"size": "24"}, data="coco", data_dir=folder)
    samples = made.samples()
    assert [sample.id for sample in samples] == ["42", "5", "900"]
    shown, caption = samples[0].parts
    assert isinstance(shown, Image)
    assert (shown.role, shown.width, shown.height, caption) == ("edges", 24, 24, Text("A red cat sleeps on the mat."))
    with PillowImage.open(folder / "val2017" / "000000000042.jpg") as opened:
        photo = np.asarray(opened.convert("RGB").resize((24, 24), PillowImage.Resampling.BICUBIC))
    np.testing.assert_array_equal(pixels(shown)[:, :, 0] > 127, canny(photo))
    request = made.request(samples[0], 7)
    assert (request.width, request.height) == (24, 24)
    native = built("structure_to_image", tmp_path, {"size": "native"}, data="coco", data_dir=folder)
    first = native.samples()[0].parts[0]
    assert isinstance(first, Image)
    assert (first.width, first.height, native.request(native.samples()[0], 7).width) == (30, 20, None)


def test_the_photo_itself_is_the_ceiling_and_grey_is_nothing(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "coco", "val2017")
    made = built("structure_to_image", tmp_path, {"size": "48"}, data="coco", data_dir=folder)
    best = measured(made, oracle(made), tmp_path / "a", ("canny_f1",))
    worst = measured(made, Drawing(grey), tmp_path / "b", ("canny_f1",))
    assert (value(best, "canny_f1"), value(worst, "canny_f1")) == (1, 0)
    assert best.coverage.failed == 0


def test_real_photos_are_asked_and_answered(shared_data: Path, tmp_path: Path) -> None:
    made = built("structure_to_image", tmp_path, data="coco", data_dir=shared_data / "coco-mini")
    assert len(made.samples()) == 197
    found = measured(made, oracle(made), tmp_path, ("canny_f1",), limit=3)
    assert value(found, "canny_f1") == 1
    following = {"first": made.samples()[3:6]}
    photos = {a.id: b for a, b in zip(made.samples()[:3], following["first"], strict=True)}
    model = oracle(made)

    def mistaken(request: Request) -> Image:
        ((_, answer),) = model.generate([made.request(photos[request.sample_id], 0)])  # type: ignore[attr-defined]
        part = answer.parts[0]
        assert isinstance(part, Image)
        return part

    assert value(measured(made, Drawing(mistaken), tmp_path / "b", ("canny_f1",), limit=3), "canny_f1") < 0.35


def test_blocksworld_s_ceilings_are_those_of_the_golden_values(embedded: dict[str, Task], tmp_path: Path) -> None:
    """A picture without any edge has an F1 of 0, every other one of 1."""
    task = embedded["structure_to_image"]
    found = measured(task, oracle(task), tmp_path, ("canny_f1",), limit=60)
    without = [s for s in task.samples()[:60] if isinstance(s.parts[0], Image) and not pixels(s.parts[0]).any()]
    assert value(found, "canny_f1") == pytest.approx(1 - len(without) / 60)
    assert "demo data" in found.stamps


def test_the_same_maps_as_blocksworld_segmentation_give_the_same_mean_iou(
    embedded: dict[str, Task], tmp_path: Path
) -> None:
    task, other = embedded["segmentation_to_image"], built("blocksworld_segmentation", tmp_path)
    found = measured(task, oracle(task), tmp_path / "a", (MIOU, ACCURACY, f"{MIOU}_by_stratum"), limit=60)
    same = measured(other, oracle(other), tmp_path / "b", ("miou", "miou_by_stratum"), limit=60)
    assert value(found, MIOU) == value(same, "miou") > 0.94
    assert value(found, f"{MIOU}[stratum=hard]") == value(same, "miou[stratum=hard]")
    assert [s.parts for s in task.samples()[:3]] == [s.parts for s in other.samples()[:3]]


def test_ade20k_is_read_from_its_folder_and_from_its_zip_in_place(tmp_path: Path) -> None:
    folder = write_ade(tmp_path / "ade")
    zipped = built("segmentation_to_image", tmp_path, data="ade20k", data_dir=zip_ade(folder, tmp_path))
    unpacked = built("segmentation_to_image", tmp_path, data_dir=folder)
    assert unpacked.samples()[:] == zipped.samples()[:]
    assert unpacked.data == zipped.data
    assert unpacked.data.stamps == ("3 of the 2,000 photos",)
    assert [sample.id for sample in unpacked.samples()] == list(ADE_NAMES)


def test_a_map_is_shown_in_the_benchmark_s_colours_or_as_ids(tmp_path: Path) -> None:
    folder = write_ade(tmp_path / "ade")
    options = {"size": "native"}
    made = built("segmentation_to_image", tmp_path, options, data="ade20k", data_dir=folder)
    first = made.samples()[0]
    (shown,) = first.parts
    assert isinstance(shown, Image)
    assert shown.role == "segmentation"
    labels = ade_labels(0)
    table = np.frombuffer(b"\0\0\0" + ADE20K_COLOURS, np.uint8).reshape(-1, 3)
    np.testing.assert_array_equal(pixels(shown), table[labels])
    as_ids = built("segmentation_to_image", tmp_path, {**options, "map": "ids"}, data="ade20k", data_dir=folder)
    (asked,) = as_ids.samples()[0].parts
    assert isinstance(asked, LabelMap)
    np.testing.assert_array_equal(pixels(asked.image)[:, :, 0], np.where(labels == 0, 255, labels - 1))
    assert asked.names == ((2, "sky"), (9, "grass"), (12, "person"), (255, "unlabelled"))
    assert asked in first.references


def test_maps_are_resized_by_the_nearest_label(tmp_path: Path) -> None:
    folder = write_ade(tmp_path / "ade")
    made = built("segmentation_to_image", tmp_path, {"size": "16", "map": "ids"}, data="ade20k", data_dir=folder)
    (asked,) = made.samples()[0].parts
    assert isinstance(asked, LabelMap)
    assert (asked.image.width, asked.image.height) == (16, 16)
    assert set(np.unique(pixels(asked.image)[:, :, 0])) <= {2, 9, 12, 255}


def test_captions_stand_beside_the_map_where_they_are_known(tmp_path: Path) -> None:
    folder = write_ade(tmp_path / "ade")
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({f"{name}.jpg": f"field {name[-1]}" for name in ADE_NAMES}))
    made = built("segmentation_to_image", tmp_path, {"captions": str(captions)}, data="ade20k", data_dir=folder)
    assert [sample.parts[1] for sample in made.samples()] == [Text("field 1"), Text("field 2"), Text("field 3")]
    captions.write_text(json.dumps({ADE_NAMES[0]: "only one"}))
    with pytest.raises(DataError, match=f"2 of 3 photos have no caption, the first being {ADE_NAMES[1]}"):
        built("segmentation_to_image", tmp_path, {"captions": str(captions)}, data="ade20k", data_dir=folder)
    for content, complaint in (("[1]", "no object of a caption"), ('{"x": "y"}', "names no photo"), ("{", "cannot be")):
        captions.write_text(content)
        with pytest.raises(DataError, match=complaint):
            built("segmentation_to_image", tmp_path, {"captions": str(captions)}, data="ade20k", data_dir=folder)


def test_captioned_ade20k_is_read_from_parquet_as_the_hub_gives_it(tmp_path: Path) -> None:
    folder = write_ade(tmp_path / "ade")
    plain = built("segmentation_to_image", tmp_path, data="ade20k", data_dir=folder)
    parts = {"image": "images/validation/{}.jpg", "seg_map": "annotations/validation/{}.png"}
    rows: dict[str, list[object]] = {
        column: [{"bytes": (folder / place.format(name)).read_bytes(), "path": None} for name in ADE_NAMES]
        for column, place in parts.items()
    }
    rows["prompt"] = ["a field ", "a man in  a field", "grass"]
    features = datasets.Features(dict.fromkeys(parts, datasets.Image()) | {"prompt": datasets.Value("string")})
    hub = tmp_path / "parquet"
    (hub / "data").mkdir(parents=True)
    datasets.Dataset.from_dict(rows, features).to_parquet(str(hub / "data" / "validation-00000-of-00001.parquet"))
    made = built("segmentation_to_image", tmp_path, {"split": "validation"}, data=f"hf:{hub}")
    assert [sample.id for sample in made.samples()] == ["0", "1", "2"]
    assert [sample.parts[0] for sample in made.samples()] == [sample.parts[0] for sample in plain.samples()]
    assert [sample.parts[1] for sample in made.samples()] == [*map(Text, ("a field", "a man in a field", "grass"))]
    assert made.data.name == "hf:parquet validation"
    rows["prompt"][1] = ""
    datasets.Dataset.from_dict(rows, features).to_parquet(str(hub / "data" / "validation-00000-of-00001.parquet"))
    with pytest.raises(DataError, match=r"row 1: its caption is empty"):
        built("segmentation_to_image", tmp_path, data=f"hf:{hub}")


def test_the_real_label_maps_hold_only_known_classes(shared_data: Path, tmp_path: Path) -> None:
    captions = {"captions": str(shared_data / "coco-captions" / "captions_val2017.json"), "size": "native"}
    stuff = built("segmentation_to_image", tmp_path, captions, data="coco-stuff", data_dir=shared_data / "coco-stuff")
    assert stuff.samples()[0].parts[1] == Text("A woman stands in the dining area at the table.")
    names = dict(stuff.samples()[0].parts[0].names)  # type: ignore[union-attr]
    assert {"person", "chair", "dining table", "wall-concrete"} & set(names.values()) >= {"person", "chair"}
    ade = built("segmentation_to_image", tmp_path, data_dir=shared_data / "ade20k")
    held = [set(dict(s.references[0].names).values()) for s in ade.samples()]  # type: ignore[union-attr]
    assert held[0] >= {"sky", "building", "road", "tree"}
    assert (len(stuff.samples()), len(held)) == (8, 3)


def test_coco_stuff_has_171_classes_and_every_byte_is_known_or_refused() -> None:
    for labels, classes in ((LABEL_SETS["coco-stuff"], 171), (LABEL_SETS["ade20k"], 150)):
        held = sorted(set(labels.classes) - {255, UNKNOWN})
        assert held == list(range(classes))
        assert len(labels.names) == classes
    stuff = LABEL_SETS["coco-stuff"]
    assert [stuff.names[stuff.classes[raw]] for raw in (0, 10, 12, 89, 91, 181)] == [
        *("person", "fire hydrant", "stop sign", "toothbrush", "banner", "wood")
    ]
    assert [stuff.classes[raw] for raw in (11, 90, 182, 254, 255)] == [UNKNOWN] * 4 + [255]


def _spoiled(path: Path, how: str) -> None:
    labels = ade_labels(0)
    picture = PillowImage.fromarray(labels)
    if how == "jpeg":
        picture.save(path, "JPEG")
    elif how == "16 bits":
        PillowImage.fromarray(labels.astype(np.uint16) * 200).save(path)
    elif how == "colours":
        PillowImage.fromarray(photo_like(1, 40, 60)).save(path)
    elif how == "size":
        picture.resize((30, 40)).save(path)
    elif how == "unknown":
        PillowImage.fromarray(np.where(labels == 13, 151, labels).astype(np.uint8)).save(path)
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:60])
    else:
        path.write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("jpeg", "is a JPEG, whose compression invents labels"),
        ("16 bits", "mode I;16, more than 8 bits a pixel"),
        ("colours", "has mode RGB, colours and no labels"),
        ("size", "has 60 x 40 pixels and its label map 30 x 40"),
        ("unknown", "holds the labels 151, which ade20k has not"),
        ("truncated", "cannot be read as a label map"),
        ("nothing", "cannot be read as a label map"),
    ],
)
def test_a_bad_label_map_is_told_of_with_file_and_item_before_anything_is_asked(
    how: str, complaint: str, tmp_path: Path
) -> None:
    folder = write_ade(tmp_path / "ade")
    _spoiled(folder / "annotations" / "validation" / f"{ADE_NAMES[1]}.png", how)
    made = built("segmentation_to_image", tmp_path, data="ade20k", data_dir=folder)
    model = Drawing(grey)
    with pytest.raises(DataError, match=complaint) as error:
        measured(made, model, tmp_path, ("fid",))
    assert ADE_NAMES[1] in str(error.value)
    assert model.asked == []
    assert [sample.id for sample in made.samples()[:1]] == [ADE_NAMES[0]], "what is not asked for is not looked at"


@pytest.mark.parametrize("task", ["structure_to_image", "segmentation_to_image"])
def test_a_truncated_photo_is_told_of_with_file_and_item(task: str, tmp_path: Path) -> None:
    if task == "structure_to_image":
        folder, data = write_split(tmp_path / "coco", "val2017"), "coco"
        path, item = folder / "val2017" / "000000000005.jpg", "photo 5 "
    else:
        folder, data = write_ade(tmp_path / "ade"), "ade20k"
        path, item = folder / "images" / "validation" / f"{ADE_NAMES[2]}.jpg", f"photo {ADE_NAMES[2]} "
    path.write_bytes(path.read_bytes()[:300])
    made = built(task, tmp_path, data=data, data_dir=folder)
    with pytest.raises(DataError, match=path.name) as error:
        made.samples()[:]
    assert item in str(error.value)


def test_a_photo_without_a_map_and_a_map_without_a_photo_are_missed(tmp_path: Path) -> None:
    folder = write_ade(tmp_path / "ade")
    (folder / "annotations" / "validation" / f"{ADE_NAMES[0]}.png").unlink()
    with pytest.raises(DataError, match=f"1 of 3 photos have no label map, the first being {ADE_NAMES[0]}"):
        built("segmentation_to_image", tmp_path, data="ade20k", data_dir=folder)
    for name in ADE_NAMES[:2]:
        (folder / "images" / "validation" / f"{name}.jpg").unlink()
    with pytest.raises(DataError, match=f"1 of 2 label maps have no photo, the first being {ADE_NAMES[1]}"):
        built("segmentation_to_image", tmp_path, data="ade20k", data_dir=folder)
    shutil.copy(folder / "images" / "validation" / f"{ADE_NAMES[2]}.jpg", folder / "images" / "validation" / "x.jpg")
    shutil.copy(folder / "images" / "validation" / "x.jpg", folder / "images" / "validation" / "x.jpeg")
    with pytest.raises(DataError, match="holds x twice"):
        built("segmentation_to_image", tmp_path, data="ade20k", data_dir=folder)


@pytest.mark.parametrize(
    ("name", "options", "metric"),
    [
        ("structure_to_image", {}, "clip_score[openai-vit-b16]"),
        ("structure_to_image", {"condition": "hed", "size": "512"}, "hed_ms_ssim[controlnet-hed]"),
        ("structure_to_image", {"condition": "depth"}, "depth_rmse[dpt-large]"),
        ("segmentation_to_image", {}, "miou[mask2former-swin-l-ade]"),
    ],
)
def test_missing_weights_are_told_of_before_anything_is_asked(
    name: str, options: Mapping[str, str], metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    data = {"data": "ade20k", "data_dir": write_ade(tmp_path / "ade")} if "seg" in name else {"data": "blocksworld"}
    made, model = built(name, tmp_path, options, **data), Drawing(grey)
    with pytest.raises(WeightsError, match=r"SHA-256 (?s:.*)from https://"):
        measured(made, model, tmp_path, (metric,), limit=2)
    assert model.asked == []


def test_unknown_data_and_options_are_usage_errors(tmp_path: Path) -> None:
    for name, options, data, complaint in (
        ("segmentation_to_image", {}, "ade", "no data named 'ade'; did you mean 'ade20k'"),
        ("segmentation_to_image", {"map": "colours"}, "blocksworld", "blocksworld's maps are asked as ids"),
        ("structure_to_image", {"condition": "hed"}, "blocksworld", "MS-SSIM needs 176 pixels"),
        ("structure_to_image", {"condition": "hed", "size": "175"}, "blocksworld", "MS-SSIM needs 176 pixels"),
        ("structure_to_image", {"condition": "pose"}, "blocksworld", "condition=pose is not known"),
        ("structure_to_image", {"size": "8"}, "blocksworld", "size=8 is neither native nor"),
    ):
        with pytest.raises(UsageError, match=complaint):
            built(name, tmp_path, options, data=data)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds none of ade20k, coco-stuff"):
        built("segmentation_to_image", tmp_path, data_dir=tmp_path / "empty")
    with pytest.raises(DataError, match=r"no coco-stuff in .*stuffthingmaps_trainval2017"):
        built("segmentation_to_image", tmp_path, data="coco-stuff", data_dir=tmp_path / "empty")


def test_the_oracle_knows_only_the_photos_of_its_data(tmp_path: Path) -> None:
    made = built(
        "segmentation_to_image", tmp_path, {"size": "native"}, data="ade20k", data_dir=write_ade(tmp_path / "a")
    )
    model = build_model("oracle", made.workspace, {})
    sample = made.samples()[0]
    asked = [made.request(sample, 0), Request(made.name, "ADE_val_00000009", made.job, sample.parts, 0)]
    (_, photo), (_, missing) = model.generate(asked)
    assert isinstance(photo, Generation)
    assert [part.digest for part in photo.parts if isinstance(part, Image)] == [sample.references[1].digest]  # type: ignore[union-attr]
    assert isinstance(missing, Failure)
    assert missing.kind == "missing"
    ((_, small),) = model.generate([dataclasses.replace(asked[0], width=16, height=12)])
    assert isinstance(small, Generation)
    assert [(part.width, part.height) for part in small.parts if isinstance(part, Image)] == [(16, 12)]
