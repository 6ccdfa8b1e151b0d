"""PartiPrompts and DrawBench: the official tables, what is asked, and what a bad table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.images import image_of
from evalkit.interfaces import Scored, Task, TaskSpec
from evalkit.keys import request_document, sample_seed
from evalkit.metrics.optional import OptionalMetric
from evalkit.registry import build_task
from evalkit.scoring import Scoring
from evalkit.types import Generation, Text, Unavailable
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from evalkit_tasks.picture_specs import PICTURE_TASKS

PROMPT_TASKS = [spec for spec in PICTURE_TASKS if spec.name in {"parti_prompts", "drawbench"}]

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


@pytest.mark.parametrize("spec", PROMPT_TASKS, ids=lambda spec: spec.name)
def test_metrics_and_weights_are_those_that_the_spec_lists(spec: TaskSpec, tmp_path: Path) -> None:
    listed = [name for metric in built(spec.name, tmp_path).metrics() for name in metric.names if "_by_" not in name]
    assert tuple(listed) == spec.metrics
    assert set(spec.weights) <= set(WEIGHTS)


def _judges(made: Task) -> list[OptionalMetric[Any]]:
    return [metric for metric in made.metrics() if isinstance(metric, OptionalMetric)]


@pytest.mark.parametrize("name", ["parti_prompts", "drawbench"])
def test_scores_whose_weights_are_not_here_are_left_out_with_how_to_get_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # other tools may have left them in the real one
    made = built(name, tmp_path)
    answered = Scored(made.samples()[0], Generation((image_of(np.zeros((4, 4, 3), np.uint8)),)))
    with Scoring(_judges(made)) as scoring:
        scoring.add(answered)
        found = {name: one for result in scoring.finish() for name, one in result.estimates.items()}
    plain = {name: one.reason for name, one in found.items() if isinstance(one, Unavailable)}
    assert {name: reason.partition("the weights ")[2] for name, reason in plain.items()} == {
        "vqascore[clip-flant5-xl]": "clip-flant5-xl and flan-t5-tokens; get them with `evalkit fetch clip-flant5-xl` "
        "and `evalkit fetch flan-t5-tokens`",
        "pickscore[pickscore-v1]": "pickscore-v1 and clip-merges; get them with `evalkit fetch pickscore-v1` and "
        "`evalkit fetch clip-merges`",
        "hpsv2[hps-v2.1]": "hps-v2.1 and clip-merges; get them with `evalkit fetch hps-v2.1` and "
        "`evalkit fetch clip-merges`",
    }
    for metric in _judges(made):
        with pytest.raises(WeightsError, match="could not be fetched"):
            metric.only(metric.names[:1]).prepare()


def test_options_name_the_models_that_judge(tmp_path: Path) -> None:
    where = Workspace(cache=tmp_path / "cache", offline=True)
    made = build_task("drawbench", where, None, {"hps": "hps-v2.0", "backbone": "openai-vit-l14"})
    assert [metric.names[0] for metric in made.metrics()] == [
        "clip_t[openai-vit-l14]",
        "clipscore[openai-vit-l14]",
        "vqascore[clip-flant5-xl]",
        "pickscore[pickscore-v1]",
        "hpsv2[hps-v2.0]",
    ]
    with pytest.raises(UsageError, match="-t hps=hps-v3 is not known"):
        build_task("drawbench", where, None, {"hps": "hps-v3"})


def test_other_data_are_offered_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data named 'coco'"):
        built("drawbench", tmp_path, data="coco")
