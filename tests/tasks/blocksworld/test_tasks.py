"""The laws of the tasks on the held-out set: what they ask, their ceiling, and how they fall with worse answers."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import evalkit_tasks.blocksworld
from evalkit.cache import Cache
from evalkit.cli import main
from evalkit.errors import RunError, UsageError
from evalkit.images import image_of, pixels
from evalkit.interfaces import Scored, Task
from evalkit.keys import request_document, sample_seed
from evalkit.registry import build_task
from evalkit.results import Run, read_run, read_samples
from evalkit.runner import RunSettings, run
from evalkit.types import (
    Answer,
    Boxes,
    Estimate,
    Failure,
    Generation,
    Image,
    Job,
    JsonScalar,
    LabelMap,
    Part,
    Request,
    Text,
    Unavailable,
)
from evalkit.workspace import Workspace
from evalkit_tasks import TASKS
from evalkit_tasks.blocksworld.files import DIGEST
from evalkit_tasks.blocksworld.held_out import CAPTION_KINDS
from evalkit_tasks.blocksworld.judging import JUDGE, JUDGE_VERSION
from evalkit_tasks.blocksworld.model import Oracle, oracle_model
from evalkit_tasks.blocksworld.specs import BLOCKSWORLD_TASKS
from evalkit_tasks.retrieval import retrieval

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
NAMES = tuple(spec.name for spec in BLOCKSWORLD_TASKS)
DEPTH = {"condition": "depth"}
TEXT_JOBS = {"captioning", "vqa"}
JUDGED_BY = ("composition", "judging", "oracle", "parser", "render", "scene", "shapes", "truth", "words")
TASK_FILES = tuple(name for name in NAMES if name != "blocksworld_vqa")


def task(name: str, options: Mapping[str, str] | None = None, protocol: str | None = None) -> Task:
    return build_task(name, Workspace(), protocol, options or {})


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    """Every task, and the depth variant of `blocksworld_edges`, each built once."""
    return {**{name: task(name) for name in NAMES}, "depth": task("blocksworld_edges", DEPTH)}


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    built = oracle_model(Workspace(), "", {})
    assert isinstance(built, Oracle)
    return built


@dataclass
class Answering:
    """A model that answers each request by a function of it; None is a failure."""

    answer: Callable[[Request], Part | None]
    name: str = "answering"
    capabilities: Collection[Job] = field(default_factory=lambda: frozenset(spec.job for spec in BLOCKSWORLD_TASKS))

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "answering", "number": id(self.answer)}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            part = self.answer(request)
            yield position, Failure("refusal", "not this one") if part is None else Generation((part,))


def measured(made: Task, model: object, where: Path, limit: int | None = 60) -> Run:
    with Cache(where / "cache") as cache:
        return run(made, model, cache, RunSettings(limit=limit), where / "runs")[0]  # type: ignore[arg-type]


def value(found: Run, name: str) -> float:
    one = found.estimates[name]
    assert isinstance(one, Estimate), (name, one)
    return one.value


def test_requests_are_those_of_their_version(tasks: dict[str, Task]) -> None:
    golden = json.loads((GOLDEN / "blocksworld_requests.json").read_text(encoding="utf-8"))
    for name, made in tasks.items():
        asked = [made.request(s, sample_seed(made.name, s.id, 0, 0)) for s in made.samples()[:3]]
        rendered = json.loads(json.dumps([request_document(request) for request in asked]))
        assert rendered == golden[name], f"what {made.name} asks has changed: raise its version, then the golden file"


def _code(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _judging_code() -> str:
    folder = Path(next(iter(evalkit_tasks.blocksworld.__path__)))
    files = [*(folder / f"{name}.py" for name in JUDGED_BY), *(folder.parent / f"{name}.py" for name in TASK_FILES)]
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(f"{file.name}\n{_code(file.read_text(encoding='utf-8'))}\n".encode())
    return hasher.hexdigest()


def test_changed_judging_is_a_new_version() -> None:
    golden = json.loads((GOLDEN / "blocksworld_judge.json").read_text(encoding="utf-8"))
    assert [JUDGE_VERSION, _judging_code()] == [golden["version"], golden["digest"]], (
        "what judges blocksworld's answers has changed: if a number can move, raise JUDGE_VERSION in judging.py; then "
        f"record version {JUDGE_VERSION} and digest {_judging_code()} in blocksworld_judge.json"
    )


def test_specs_name_what_there_is(tasks: dict[str, Task]) -> None:
    for spec in BLOCKSWORLD_TASKS:
        assert spec in TASKS
        made = tasks[spec.name]
        assert (made.name, made.job) == (f"{spec.name}@{spec.version}", spec.job)
        names = [name for metric in made.metrics() for name in metric.names]
        if spec.name == "blocksworld_edges":
            names += [name for metric in tasks["depth"].metrics() for name in metric.names]
        assert tuple(names) == spec.metrics
        assert made.data.digest == DIGEST
        assert made.data.licence == spec.licence
        assert made.data.stamps == ()
        assert made.workspace.data == "blocksworld"


def test_all_is_asked_once_and_clustered_by_picture(tasks: dict[str, Task]) -> None:
    counts = {name: len(made.samples()) for name, made in tasks.items()}
    assert counts.pop("blocksworld_vqa") == 2000
    assert set(counts.values()) == {500}
    for name, made in tasks.items():
        samples = made.samples()
        assert len({sample.id for sample in samples}) == len(samples)
        clusters = Counter(sample.cluster for sample in samples)
        assert set(clusters.values()) == ({1, 2, 3} if name == "blocksworld_edit" else {len(samples) // 500})
        if name != "blocksworld_edit":
            strata = Counter(dict(sample.strata)["stratum"] for sample in samples)
            assert [strata[stratum] * 500 // len(samples) for stratum in ("easy", "medium", "hard")] == [150, 200, 150]


def test_each_task_asks_with_its_own_parts(tasks: dict[str, Task]) -> None:
    expected: dict[str, tuple[type, ...]] = {
        "blocksworld_caption": (Image,),
        "blocksworld_vqa": (Image, Text),
        "blocksworld_composition": (Text,),
        "blocksworld_edit": (Image, Text),
        "blocksworld_boxes": (Text, Boxes),
        "blocksworld_segmentation": (LabelMap,),
        "blocksworld_edges": (Image, Text),
        "depth": (Image, Text),
    }
    for name, kinds in expected.items():
        for sample in tasks[name].samples():
            assert tuple(map(type, sample.parts)) == kinds
    roles = {name: tasks[name].samples()[0].parts[0] for name in ("blocksworld_edges", "depth", "blocksworld_edit")}
    assert [part.role for part in roles.values() if isinstance(part, Image)] == ["edges", "depth", "source"]


def test_all_kinds_of_captions_are_asked(tasks: dict[str, Task]) -> None:
    kinds = Counter(dict(sample.strata)["caption_kind"] for sample in tasks["blocksworld_composition"].samples())
    assert set(kinds) == set(CAPTION_KINDS)
    assert min(kinds.values()) > 60


def test_boxes_are_labelled_and_lie_where_the_blocks_are(tasks: dict[str, Task]) -> None:
    first = tasks["blocksworld_boxes"].samples()[0]
    boxes = first.parts[1]
    assert isinstance(boxes, Boxes)
    assert [(box.label, box.x, box.y, box.width, box.height) for box in boxes.boxes] == [
        ("medium-sized red ring", 9, 10, 15, 15),
        ("small red ring", 12, 31, 11, 11),
    ]
    labels = {box.label for s in tasks["blocksworld_boxes"].samples() for box in s.parts[1].boxes}  # type: ignore[union-attr]
    assert "large striped red circle" in labels
    assert not any("solid" in label for label in labels)


CEILING: dict[str, dict[str, float]] = {
    "blocksworld_caption": {
        "attribute_precision": 1,
        "block_recall": 1,
        "parsed": 1,
        "cider": 2,
        "colour_precision": 1,
    },
    "blocksworld_vqa": {"vqa_accuracy": 100},
    "blocksworld_composition": {"composition": 1, "looks": 1, "background": 1, "geneval_counting": 1},
    "blocksworld_edit": {"edit_success": 1, "edit_done": 1, "preserved": 1},
    "blocksworld_boxes": {"box_iou": 0.94, "found": 1, "box_precision": 1},
    "blocksworld_segmentation": {"miou": 0.94, "iou_background": 0.99, "iou_star": 0.9},
    "blocksworld_edges": {"edge_f1": 0.999, "edge_precision": 0.999, "edge_recall": 0.999},
}


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_reaches_the_ceiling(name: str, tasks: dict[str, Task], oracle: Oracle, tmp_path: Path) -> None:
    found = measured(tasks[name], oracle, tmp_path)
    assert found.coverage.failed == 0
    for estimate, least in CEILING[name].items():
        assert value(found, estimate) >= least, estimate
    if name == "blocksworld_edit":
        assert value(found, "l1_outside") == 0


def test_boxes_are_found_from_half_an_iou_on(tasks: dict[str, Task], oracle: Oracle, tmp_path: Path) -> None:
    """Pictures shifted by 4 pixels: small blocks (11 pixels) overlap by less than half, large ones (20) by more."""

    def shifted(request: Request) -> Part | None:
        ((_, answer),) = oracle.generate([request])
        assert isinstance(answer, Generation)
        (made,) = answer.parts
        assert isinstance(made, Image)
        return image_of(np.roll(pixels(made), 4, axis=1))

    found = measured(tasks["blocksworld_boxes"], Answering(shifted), tmp_path)
    assert 0.3 < value(found, "box_iou") < 0.6
    assert 0.3 < value(found, "found") < 0.8
    assert value(found, "box_precision") == pytest.approx(value(found, "found"), abs=0.1)


def test_true_depth_is_near_and_a_blank_picture_far(tasks: dict[str, Task], oracle: Oracle, tmp_path: Path) -> None:
    near = measured(tasks["depth"], oracle, tmp_path / "oracle")
    far = measured(tasks["depth"], Answering(blank), tmp_path / "blank")
    assert value(near, "depth_rmse") < 12
    assert value(far, "depth_rmse") > 40
    assert set(near.estimates) == {"depth_rmse", *(f"depth_rmse[stratum={s}]" for s in ("easy", "medium", "hard"))}


def test_larger_pictures_are_judged_alike(tasks: dict[str, Task], oracle: Oracle, tmp_path: Path) -> None:
    def large(request: Request) -> Part | None:
        ((_, answer),) = oracle.generate([request])
        assert isinstance(answer, Generation)
        (made,) = answer.parts
        assert isinstance(made, Image)
        return image_of(np.repeat(np.repeat(pixels(made), 3, axis=0), 3, axis=1))

    found = measured(tasks["blocksworld_edit"], Answering(large), tmp_path, 12)
    assert value(found, "edit_success") == 1
    assert value(found, "l1_outside") < 0.02


def blank(request: Request) -> Part:
    return image_of(np.full((64, 64, 3), 255, np.uint8))


def silent(request: Request) -> Part:
    return Text("")


BLANK: dict[str, dict[str, float]] = {
    "blocksworld_composition": {"composition": 0, "objects": 0, "count": 0, "geneval_counting": 0},
    "blocksworld_edit": {"edit_success": 0, "preserved": 0},
    "blocksworld_boxes": {"box_iou": 0, "found": 0},
    "blocksworld_segmentation": {"iou_star": 0, "iou_square": 0},
    "blocksworld_edges": {"edge_f1": 0, "edge_recall": 0},
}


@pytest.mark.parametrize("name", BLANK)
def test_a_blank_picture_is_worth_nothing(name: str, tasks: dict[str, Task], tmp_path: Path) -> None:
    found = measured(tasks[name], Answering(blank), tmp_path)
    for estimate, worth in BLANK[name].items():
        assert value(found, estimate) == worth, estimate
    if name in {"blocksworld_boxes", "blocksworld_edges"}:
        empty = "box_precision" if name == "blocksworld_boxes" else "edge_precision"
        assert isinstance(found.estimates[empty], Unavailable), "of nothing no share is right or wrong"
    if name == "blocksworld_segmentation":
        assert value(found, "miou") < 0.13


def test_an_empty_caption_claims_nothing_and_tells_of_no_block(tasks: dict[str, Task], tmp_path: Path) -> None:
    found = measured(tasks["blocksworld_caption"], Answering(silent), tmp_path)
    assert [value(found, name) for name in ("cider", "block_recall", "parsed")] == [0, 0, 0]
    assert isinstance(found.estimates["attribute_precision"], Unavailable)


def test_one_caption_for_all_is_mostly_wrong(tasks: dict[str, Task], tmp_path: Path) -> None:
    found = measured(tasks["blocksworld_caption"], Answering(lambda _: Text("A red circle and a zebra.")), tmp_path)
    assert value(found, "attribute_precision") < 0.4
    assert value(found, "parsed") == 0
    assert value(found, "cider") < 0.5


def test_the_source_unchanged_is_kept_but_not_edited(tasks: dict[str, Task], tmp_path: Path) -> None:
    found = measured(tasks["blocksworld_edit"], Answering(lambda request: request.parts[0]), tmp_path)
    assert value(found, "edit_done") == value(found, "edit_success") == 0
    assert value(found, "preserved") == 1
    assert value(found, "l1_outside") == 0


def test_answers_to_other_samples_are_mostly_wrong(tasks: dict[str, Task], oracle: Oracle, tmp_path: Path) -> None:
    """Every fault that a model makes by mistaking its question: the true answer to the next sample."""
    for name, estimate, most in (
        ("blocksworld_composition", "composition", 0.15),
        ("blocksworld_boxes", "box_iou", 0.1),
        ("blocksworld_segmentation", "miou", 0.3),
        ("blocksworld_edges", "edge_f1", 0.35),
        ("blocksworld_edit", "edit_success", 0.0),
        ("blocksworld_caption", "attribute_precision", 0.5),
        ("blocksworld_vqa", "vqa_accuracy", 60.0),
    ):
        made = tasks[name]
        requests = [made.request(sample, 0) for sample in made.samples()[:61]]
        following = {a.sample_id: b for a, b in itertools.pairwise(requests)}

        def mistaken(request: Request, following: Mapping[str, Request] = following) -> Part:
            ((_, answer),) = oracle.generate([following[request.sample_id]])
            assert isinstance(answer, Generation)
            return answer.parts[0]

        assert value(measured(made, Answering(mistaken), tmp_path / name), estimate) <= most, name


def test_retrieval_is_far_below_the_ceiling(tasks: dict[str, Task], tmp_path: Path) -> None:
    model = retrieval(Workspace(data="blocksworld", cache=tmp_path), "", {"size": "300"})
    found = measured(tasks["blocksworld_composition"], model, tmp_path)
    assert 0 < value(found, "geneval_single") < 1
    assert value(found, "composition") < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_is_no_zero(name: str, tasks: dict[str, Task], oracle: Oracle, tmp_path: Path) -> None:
    made = tasks[name]
    refused = {sample.id for sample in made.samples()[:12:3]}

    def refusing(request: Request) -> Part | None:
        ((_, answer),) = oracle.generate([request])
        assert isinstance(answer, Generation)
        return None if request.sample_id in refused else answer.parts[0]

    found = measured(made, Answering(refusing), tmp_path, 12)
    assert (found.coverage.answered, found.coverage.failed) == (8, 4)
    assert "4 of 12 samples failed" in found.stamps
    first = next(iter(CEILING[name]))
    one = found.estimates[first]
    assert isinstance(one, Estimate)
    assert (one.n, one.value >= CEILING[name][first] - 0.02) == (8, True)


@pytest.mark.parametrize("name", NAMES)
def test_protocols_name_judge_data_and_prompt(
    name: str, tasks: dict[str, Task], oracle: Oracle, tmp_path: Path
) -> None:
    found = measured(tasks[name], oracle, tmp_path, 5)
    for one in found.estimates.values():
        if isinstance(one, Estimate):
            fields = dict(found.protocols[one.protocol].fields)
            assert fields["data_digest"] == DIGEST
            assert fields["prompt"]
            if found.protocols[one.protocol].name == "blocksworld-oracle":
                assert (fields["judge"], fields["judge_version"]) == (JUDGE, JUDGE_VERSION)


def test_an_answer_of_another_kind_stops_the_run(tasks: dict[str, Task]) -> None:
    for name in NAMES:
        sample = tasks[name].samples()[0]
        wrong: Part = blank(tasks[name].request(sample, 0)) if tasks[name].job in TEXT_JOBS else Text("no picture")
        fitting: Part = Text("red") if tasks[name].job in TEXT_JOBS else blank(tasks[name].request(sample, 0))
        for parts in ((wrong,), (), (fitting, fitting)):
            for metric in tasks[name].metrics():
                with pytest.raises(RunError, match="mend the model"):
                    metric.update(metric.start(), [Scored(sample, Generation(parts))])


@pytest.mark.parametrize("name", NAMES)
def test_other_data_are_refused(name: str, tmp_path: Path) -> None:
    for workspace in (Workspace(data="coco"), Workspace(data_dir=tmp_path)):
        with pytest.raises(UsageError, match="on the embedded blocksworld only"):
            build_task(name, workspace, None, {})


def test_an_unknown_condition_or_protocol_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="condition=dept is not known; did you mean 'depth'"):
        task("blocksworld_edges", {"condition": "dept"})
    with pytest.raises(UsageError, match="no protocol 'lms'"):
        task("blocksworld_vqa", protocol="lms")


def test_depth_is_another_question_than_edges(tasks: dict[str, Task]) -> None:
    edges, depth = tasks["blocksworld_edges"].samples(), tasks["depth"].samples()
    assert [sample.id for sample in edges] == [sample.id for sample in depth]
    assert all(a.parts != b.parts for a, b in zip(edges, depth, strict=True))


@pytest.mark.parametrize("words", [(name,) for name in NAMES] + [("blocksworld_edges", "-t", "condition=depth")])
def test_the_command_line_runs_it(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert main(["run", *words, "-m", "oracle", "--limit", "6", "--json"]) == 0
    (printed,) = json.loads(capsys.readouterr().out)["runs"]
    assert printed["coverage"] == {"asked": 6, "answered": 6, "failed": 0, "from_cache": 0}
    (folder,) = (tmp_path / "runs").iterdir()
    kept = read_run(folder)
    assert kept.stamps == (f"limited to 6 of {2000 if words[0] == 'blocksworld_vqa' else 500} samples",)
    assert set(printed["estimates"]) == set(kept.estimates)
    records = list(read_samples(folder))
    assert [len(record.scores) > 0 for record in records] == [True] * 6
    assert [record.references for record in records if not record.references] == []
