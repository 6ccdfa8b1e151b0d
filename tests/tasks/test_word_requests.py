"""What the benchmarks of captions and questions ask is that of their version: three requests of each, as rendered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from evalkit.interfaces import Task
from evalkit.keys import request_document, sample_seed
from evalkit.registry import build_task
from evalkit.types import Json
from evalkit.workspace import Workspace
from evalkit_tasks import TASKS
from evalkit_tasks.prompts import CAPTION_PROMPTS, QUESTION_PROMPTS
from evalkit_tasks.word_specs import CAPTION_TASKS, QUESTION_TASKS
from tests.tasks.caption_files import write_flickr30k, write_nocaps
from tests.tasks.coco_files import write_split
from tests.tasks.question_files import write_gqa, write_okvqa, write_textvqa, write_vizwiz, write_vqa

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "word_requests.json"
SPECS = {spec.name: spec for spec in (*CAPTION_TASKS, *QUESTION_TASKS)}
WRITERS = {
    "nocaps": write_nocaps,
    "flickr30k_caption": write_flickr30k,
    "vqav2": write_vqa,
    "okvqa": write_okvqa,
    "textvqa": write_textvqa,
    "vizwiz": write_vizwiz,
    "gqa": write_gqa,
}


def small(name: str, folder: Path, options: Mapping[str, str] | None = None) -> Task:
    """Return the task on a small set in its official format."""
    directory = folder / name
    if name == "coco_caption":
        write_split(directory, "val2014", zipped=True)
    elif not directory.exists():
        WRITERS[name](directory)
    split = {"gqa": {"split": "val_balanced"}}.get(name, {})
    return build_task(name, Workspace(cache=folder / "cache", data_dir=directory), None, {**split, **(options or {})})


def rendered(task: Task) -> Json:
    asked = [task.request(sample, sample_seed(task.name, sample.id, 0, 0)) for sample in task.samples()[:3]]
    document: Json = json.loads(json.dumps([request_document(request) for request in asked]))
    return document


@pytest.mark.parametrize("name", [name for name in SPECS if name != "easy_vqa"])
def test_requests_are_those_of_their_version(name: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    task = small(name, tmp_path)
    assert task.name == f"{name}@{SPECS[name].version}"
    assert rendered(task) == golden[task.name], f"what {name} asks has changed: raise its version, then the golden file"


def test_the_words_of_every_prompt_are_those_of_its_name() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))["prompts"]
    texts = {name: one.text for name, one in {**CAPTION_PROMPTS, **QUESTION_PROMPTS}.items()}
    assert texts == golden, "another text is another prompt: give it a name of its own"


@pytest.mark.parametrize("name", [name for name in SPECS if name != "easy_vqa"])
def test_specs_name_what_there_is(name: str, tmp_path: Path) -> None:
    task, spec = small(name, tmp_path), SPECS[name]
    assert spec in TASKS
    assert task.job == spec.job
    made = [metric for one in task.metrics() for metric in one.names]
    assert [*made, *(["submission"] if "submission" in spec.metrics else [])] == list(spec.metrics)
    for protocol in spec.protocols:
        options = {"split": "val_balanced"} if name == "gqa" else {}
        again = build_task(name, Workspace(cache=tmp_path, data_dir=tmp_path / name), protocol, options)
        assert [metric for one in again.metrics() for metric in one.names] == made
    assert task.data.stamps, "a small set is a part of the official one and says so"
