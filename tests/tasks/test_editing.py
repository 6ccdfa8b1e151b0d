"""The editing tasks: what they ask, their official layouts, and runs to the end on blocksworld and real samples."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import numpy as np
import pytest

from evalkit.cache import Cache
from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.images import encode_png, image_of, pixels
from evalkit.interfaces import Task, TaskSpec
from evalkit.keys import request_document, sample_seed
from evalkit.models.turns import answers_in_turns
from evalkit.registry import build_task
from evalkit.results import Run
from evalkit.runner import RunSettings, run
from evalkit.types import Answer, Estimate, Failure, Generation, Image, Job, JsonScalar, Request, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.model import oracle_model
from evalkit_tasks.picture_specs import PICTURE_TASKS
from evalkit_tasks.pie_bench import decoded_mask, masked
from tests.evalkit.features.conftest import photo_like

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "editing_requests.json"
EDITING = tuple(spec for spec in PICTURE_TASKS if spec.job == "text-guided-editing")
WITHOUT_WEIGHTS = {"magicbrush": ("l1", "l2"), "emu_edit": ("l1",), "pie_bench": ("psnr", "mse", "ssim")}


def built(name: str, folder: Path, options: Mapping[str, str] | None = None, **data: str | Path) -> Task:
    where = Workspace(cache=folder / "cache", offline=True, **data)  # type: ignore[arg-type]
    return build_task(name, where, None, options or {})


def measured(task: Task, model: object, folder: Path, metrics: Sequence[str], limit: int | None = 8) -> Run:
    settings = RunSettings(limit=limit, metrics=tuple(metrics))
    with Cache(folder / "cache") as cache:
        return run(task, model, cache, settings, folder / "runs")[0]  # type: ignore[arg-type]


def value(found: Run, name: str) -> float:
    one = found.estimates[name]
    assert isinstance(one, Estimate), (name, one)
    return one.value


@dataclass
class Editor:
    """Answers by a function of source picture and instruction, and notes what it was asked."""

    edit: Callable[[Image, str], Image | None]
    asked: list[tuple[str, str]] = field(default_factory=list)
    name: str = "editor"
    capabilities: frozenset[Job] = frozenset({"text-guided-editing"})

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "editor", "number": id(self.edit)}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            source, text = request.parts
            assert isinstance(source, Image)
            assert isinstance(text, Text)
            self.asked.append((source.digest, text.text))
            made = self.edit(source, text.text)
            yield position, Failure("refusal", "no") if made is None else Generation((made,))


def darker(source: Image, _text: str) -> Image:
    return image_of((pixels(source) // 2).astype(np.uint8))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task]:
    """Every editing task on blocksworld, each built once."""
    folder = tmp_path_factory.mktemp("embedded")
    return {spec.name: built(spec.name, folder) for spec in EDITING}


@pytest.mark.parametrize("spec", EDITING, ids=lambda spec: spec.name)
def test_requests_are_those_of_their_version(spec: TaskSpec, embedded: dict[str, Task]) -> None:
    name = spec.name
    made = embedded[name]
    asked = [made.request(s, sample_seed(made.name, s.id, 0, 0)) for s in made.samples()[:3]]
    rendered = json.loads(json.dumps([request_document(request) for request in asked]))
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert rendered == golden[name], f"what {made.name} asks has changed: raise its version, then the golden file"


@pytest.mark.parametrize("spec", EDITING, ids=lambda spec: spec.name)
def test_metrics_are_those_that_the_spec_lists(spec: TaskSpec, embedded: dict[str, Task]) -> None:
    made = embedded[spec.name]
    listed = [name for metric in made.metrics() for name in metric.names if "_by_" not in name]
    assert tuple(listed) == spec.metrics
    assert made.data.stamps == ("demo data",)


@pytest.mark.parametrize("spec", [s for s in EDITING if s.weights], ids=lambda spec: spec.name)
def test_missing_weights_are_told_of_before_anything_is_asked(
    spec: TaskSpec, embedded: dict[str, Task], tmp_path: Path
) -> None:
    editor = Editor(darker)
    with pytest.raises(WeightsError, match="SHA-256"):
        measured(embedded[spec.name], editor, tmp_path, [name for name in spec.metrics if "clip" in name])
    assert editor.asked == []


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_the_other_metrics_run_to_the_end_without_weights(name: str, embedded: dict[str, Task], tmp_path: Path) -> None:
    found = measured(embedded[name], oracle_model(Workspace(), "", {}), tmp_path, WITHOUT_WEIGHTS[name])
    assert found.stamps[0] == "demo data"
    assert {name for name, one in found.estimates.items() if isinstance(one, Estimate)} >= (
        set(WITHOUT_WEIGHTS[name]) - {"psnr"}
    )


def test_magicbrush_s_target_scores_nothing_lost_and_a_darker_one_loses(
    embedded: dict[str, Task], tmp_path: Path
) -> None:
    task = embedded["magicbrush"]
    best = measured(task, oracle_model(Workspace(), "", {}), tmp_path / "a", ("l1", "l2"))
    worse = measured(task, Editor(darker), tmp_path / "b", ("l1", "l2"))
    assert value(best, "l1") == value(best, "l2") == 0
    assert value(worse, "l1") > 0.2 > value(worse, "l2") > 0


def test_multi_turn_asks_each_instruction_of_the_picture_before_and_scores_the_last(tmp_path: Path) -> None:
    task = built("magicbrush", tmp_path, {"turns": "multi"})
    editor = Editor(darker)
    found = measured(task, editor, tmp_path, ("l1",), limit=3)
    sessions = task.samples()[:3]
    assert [len(session.parts) - 1 for session in sessions] == [2, 1, 3]
    by_text = {text: digest for digest, text in editor.asked}
    for session in sessions:
        shown = session.parts[0]
        assert isinstance(shown, Image)
        for part in session.parts[1:]:
            assert isinstance(part, Text)
            assert by_text[part.text] == shown.digest, "a turn is asked about the answer to the turn before"
            shown = darker(shown, "")
    expected = []
    for session in sessions:
        picture, target = session.parts[0], session.references[0]
        assert isinstance(picture, Image)
        assert isinstance(target, Image)
        for _ in session.parts[1:]:
            picture = darker(picture, "")
        expected.append(np.abs(pixels(picture) / 255 - pixels(target) / 255).mean())
    assert value(found, "l1") == pytest.approx(float(np.mean(expected)))
    assert len(editor.asked) == 6


def test_a_failed_turn_ends_its_session_and_says_which(tmp_path: Path) -> None:
    task = built("magicbrush", tmp_path, {"turns": "multi"})
    three = task.samples()[2]
    second = three.parts[2]
    assert isinstance(second, Text)
    editor = Editor(lambda source, text: None if text == second.text else darker(source, text))
    request = task.request(three, 7)
    ((_, answer),) = answers_in_turns(editor, [request])
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.message) == ("refusal", "turn 2 of 3: no")
    assert len(editor.asked) == 2


def magicbrush_folder(folder: Path) -> Path:
    turn = {"input": "7-input.png", "mask": "7-mask1.png", "output": "7-output1.png", "instruction": "Put a cat on it."}
    again = {"input": "7-output1.png", "mask": "7-mask2.png", "output": "7-output2.png", "instruction": "Make it red."}
    (folder / "images" / "7").mkdir(parents=True)
    (folder / "edit_sessions.json").write_text(json.dumps({"7": [turn, again]}))
    texts = {"7-input.png": "a seat", "7-output1.png": "a cat", "7-output2.png": "a red cat"}
    (folder / "local_descriptions.json").write_text(json.dumps({"7": texts}))
    for number, name in enumerate(("input", "mask1", "output1", "mask2", "output2")):
        (folder / "images" / "7" / f"7-{name}.png").write_bytes(encode_png(photo_like(number, 40, 50)))
    return folder


def test_magicbrush_s_official_files_are_read_from_a_folder_and_from_a_zip_in_place(tmp_path: Path) -> None:
    folder = magicbrush_folder(tmp_path / "test")
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"test/{path.relative_to(folder)}")
    (tmp_path / "zips").mkdir()
    (tmp_path / "zipped.zip").rename(tmp_path / "zips" / "test.zip")
    unpacked = built("magicbrush", tmp_path, data="magicbrush", data_dir=tmp_path)
    zipped = built("magicbrush", tmp_path, data="magicbrush", data_dir=tmp_path / "zips")
    assert unpacked.samples() == zipped.samples()
    assert [sample.id for sample in unpacked.samples()] == ["7-1", "7-2"]
    assert unpacked.samples()[1].references[1] == Text("a red cat")
    assert unpacked.data.stamps == ()


def test_a_missing_picture_or_description_names_it(tmp_path: Path) -> None:
    folder = magicbrush_folder(tmp_path)
    (folder / "images" / "7" / "7-output2.png").unlink()
    with pytest.raises(DataError, match=r"7-output2\.png is missing"):
        built("magicbrush", tmp_path, data="magicbrush", data_dir=folder)
    (folder / "local_descriptions.json").write_text("{}")
    with pytest.raises(DataError, match="session 7 is malformed"):
        built("magicbrush", tmp_path, data="magicbrush", data_dir=folder)


def test_data_that_were_asked_for_and_are_not_there_are_missed(tmp_path: Path) -> None:
    for spec in EDITING:
        with pytest.raises(DataError, match=f"no {spec.name} in"):
            built(spec.name, tmp_path, data=spec.name)


def test_emu_edit_is_read_from_parquet_as_the_hub_gives_it(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "idx": datasets.Value("int64"),
            "instruction": datasets.Value("string"),
            "image": datasets.Image(),
            "task": datasets.Value("string"),
            "input_caption": datasets.Value("string"),
            "output_caption": datasets.Value("string"),
        }
    )
    rows = {
        "idx": [3, 4],
        "instruction": ["Add a hat", "Remove it"],
        "image": [{"bytes": encode_png(photo_like(n, 30, 40)), "path": None} for n in (1, 2)],
        "task": ["add", "remove"],
        "input_caption": ["a man", "a dog"],
        "output_caption": ["a man in a hat", "a dog"],
    }
    folder = tmp_path / "parquet" / "data"
    folder.mkdir(parents=True)
    datasets.Dataset.from_dict(rows, features).to_parquet(str(folder / "test-00000-of-00001.parquet"))
    made = built("emu_edit", tmp_path, data=f"hf:{tmp_path / 'parquet'}")
    assert [(s.id, dict(s.strata)["edit_type"]) for s in made.samples()] == [("3-1", "add"), ("4-1", "remove")]
    dropped = built("emu_edit", tmp_path, {"identical": "drop"}, data=f"hf:{tmp_path / 'parquet'}")
    assert [s.id for s in dropped.samples()] == ["3-1"]
    with pytest.raises(UsageError, match="no split 'validation'"):
        built("emu_edit", tmp_path, {"split": "validation"}, data=f"hf:{tmp_path / 'parquet'}")


def test_instructpix2pix_asks_the_test_split_at_every_image_guidance(tmp_path: Path) -> None:
    listed = [[f"{number:07}", ["11", "12"]] for number in range(40)]
    (tmp_path / "seeds.json").write_text(json.dumps(listed))
    for name, seeds in listed[38:]:
        folder = tmp_path / str(name)
        folder.mkdir()
        (folder / "prompt.json").write_text(
            json.dumps({"input": "a man", "edit": "make him old", "output": "an old man"})
        )
        for seed in seeds:
            (folder / f"{seed}_0.jpg").write_bytes(encode_png(photo_like(int(seed), 32, 32)))
    made = built("instructpix2pix", tmp_path, data="instructpix2pix", data_dir=tmp_path)
    assert len(made.samples()) == 2 * 7
    asked = [made.request(sample, 0) for sample in made.samples()[:7]]
    assert [request.image_guidance for request in asked] == [1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2]
    assert {(r.guidance, r.steps, r.width, r.height) for r in asked} == {(7.5, 100, 512, 512)}
    source = asked[0].parts[0]
    assert isinstance(source, Image)
    assert (source.width, source.height) == (512, 512)


def test_pie_bench_s_mask_is_runs_with_its_border_set(tmp_path: Path) -> None:
    (tmp_path / "annotation_images" / "0_random").mkdir(parents=True)
    (tmp_path / "annotation_images" / "0_random" / "0.png").write_bytes(encode_png(photo_like(1, 512, 512)))
    item = {
        "image_path": "0_random/0.png",
        "original_prompt": "a [red] cat",
        "editing_prompt": "a [blue] cat",
        "editing_instruction": "make it blue",
        "editing_type_id": "6",
        "mask": [512 * 100 + 50, 30],
    }
    (tmp_path / "mapping_file.json").write_text(json.dumps({"0": item}))
    made = built("pie_bench", tmp_path, data="pie_bench", data_dir=tmp_path)
    (sample,) = made.samples()
    assert dict(sample.strata)["edit_type"] == "change colour"
    assert sample.references == (Text("a blue cat"), Text("a red cat"))
    inside = decoded_mask([512 * 100 + 50, 30])
    assert inside[100, 50:80].all()
    assert inside.sum() == 4 * 512 - 4 + 30
    found = measured(made, Editor(darker), tmp_path, ("mse", "psnr"), limit=None)
    source = pixels(sample.parts[0]).astype(float) / 255  # type: ignore[arg-type]
    dark = (pixels(sample.parts[0]) // 2) / 255  # type: ignore[arg-type]
    expected = np.square((source - dark) * ~inside[:, :, None]).mean()
    assert value(found, "mse") == pytest.approx(expected)
    assert value(found, "psnr") == pytest.approx(-10 * np.log10(expected))


def test_mask_of_another_size_is_an_error() -> None:
    picture = image_of(photo_like(1, 20, 20))
    with pytest.raises(DataError, match="does not fit"):
        masked(picture, picture, np.ones((10, 20), np.bool_))


def test_tedbench_s_hundred_edits_of_real_photos_are_asked_and_measured(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(Workspace().weights))
    made = built("tedbench", tmp_path, data="tedbench", data_dir=shared_data / "editing")
    samples = made.samples()
    assert (len(samples), len({sample.cluster for sample in samples})) == (100, 40)
    assert samples[0].parts[1] == Text("A photo of a sitting dog.")
    try:
        next(metric for metric in made.metrics() if metric.names == ("lpips[alex]",)).prepare()
    except WeightsError as error:
        pytest.skip(f"no LPIPS weights: {error}")
    same = measured(made, Editor(lambda source, _text: source), tmp_path / "same", ("lpips[alex]",), limit=2)
    dark = measured(made, Editor(darker), tmp_path / "dark", ("lpips[alex]",), limit=2)
    assert value(same, "lpips[alex]") == 0 < value(dark, "lpips[alex]")


def test_an_unknown_backbone_offers_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="openai-vit-l14"):
        built("emu_edit", tmp_path, {"backbone": "openai-vit-l41"})
