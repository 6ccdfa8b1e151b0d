"""PartiPrompts and DrawBench: the official tables, what is asked, and what a bad table says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.interfaces import Task
from evalkit.keys import request_document, sample_seed
from evalkit.registry import build_task
from evalkit.types import Text
from evalkit.workspace import Workspace

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "prompt_requests.json"


def built(name: str, folder: Path, **data: str | Path) -> Task:
    return build_task(name, Workspace(cache=folder / "cache", offline=True, **data), None, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["parti_prompts", "drawbench"])
def test_requests_are_those_of_their_version(name: str, tmp_path: Path) -> None:
    made = built(name, tmp_path)
    asked = [made.request(s, sample_seed(made.name, s.id, 0, 0)) for s in made.samples()[:3]]
    rendered = json.loads(json.dumps([request_document(request) for request in asked]))
    assert rendered == json.loads(GOLDEN.read_text(encoding="utf-8"))[name], f"{made.name} asks otherwise: raise it"
    assert made.data.stamps == ("demo data",)


def test_the_official_parti_prompts_are_1632_of_twelve_categories(shared_data: Path, tmp_path: Path) -> None:
    made = built("parti_prompts", tmp_path, data="parti_prompts", data_dir=shared_data / "prompts")
    samples = made.samples()
    assert (len(samples), made.data.stamps) == (1632, ())
    assert len({dict(sample.strata)["category"] for sample in samples}) == 12
    assert len({dict(sample.strata)["challenge"] for sample in samples}) == 11
    assert samples[1].parts == (Text("element"),)


def _table(folder: Path, content: str) -> Path:
    (folder / "drawbench.csv").write_text(content, encoding="utf-8")
    return folder


def test_a_part_of_the_prompts_is_stamped(tmp_path: Path) -> None:
    _table(tmp_path, 'Prompts,Category\nA red colored car.,Colors\n"One cat, two dogs.",Counting\n')
    made = built("drawbench", tmp_path, data="drawbench", data_dir=tmp_path)
    assert [sample.parts for sample in made.samples()] == [(Text("A red colored car."),), (Text("One cat, two dogs."),)]
    assert made.data.stamps == ("2 of the 200 prompts",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Prompt,Category\nx,y\n", "lacks the columns Prompts"),
        ("Prompts,Category\n,Colors\n", "prompt 1 is empty"),
        ("Prompts,Category\n" + "x" * 10_001 + ",Colors\n", "10,001 characters"),
        ("Prompts,Category\n", "holds no prompts"),
    ],
)
def test_a_bad_table_says_what_is_wrong(content: str, complaint: str, tmp_path: Path) -> None:
    _table(tmp_path, content)
    with pytest.raises(DataError, match=complaint):
        built("drawbench", tmp_path, data="drawbench", data_dir=tmp_path)


def test_other_data_are_offered_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data named 'coco'"):
        built("drawbench", tmp_path, data="coco")
