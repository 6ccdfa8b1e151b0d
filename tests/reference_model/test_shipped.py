"""The shipped model: whole, small, the same whatever it is asked beside, and refused where a file is not right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cm3leon.adapter import Cm3leon
from cm3leon.bundle import SHIPPED, read
from cm3leon.entry import cm3leon_model
from cm3leon.tensor_files import CheckpointError
from evalkit.errors import UsageError, WeightsError
from evalkit.registry import build_task
from evalkit.types import Generation, Request
from evalkit.workspace import Workspace

TASKS = ("blocksworld_vqa", "blocksworld_composition", "blocksworld_edit", "blocksworld_boxes")
MOST_BYTES = 25_000_000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def shipped(workspace: Workspace) -> Cm3leon:
    return cm3leon_model(workspace, "", {"device": "cpu"})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "copy"))


def asked(workspace: Workspace, task: str, count: int) -> list[Request]:
    built = build_task(task, workspace, None, {})
    return [built.request(sample, number) for number, sample in enumerate(built.samples()[:count])]


def answers(model: Cm3leon, requests: Sequence[Request]) -> dict[int, Generation]:
    found = dict(model.generate(requests))
    assert all(isinstance(answer, Generation) for answer in found.values())
    return {position: answer for position, answer in found.items() if isinstance(answer, Generation)}


def test_it_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= MOST_BYTES


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_depends_on_its_request_alone(shipped: Cm3leon, workspace: Workspace, task: str) -> None:
    requests = asked(workspace, task, 3)
    together, backwards = answers(shipped, requests), answers(shipped, requests[::-1])
    alone = {number: answers(shipped, [request])[0] for number, request in enumerate(requests)}
    assert [together[n].parts for n in range(3)] == [backwards[2 - n].parts for n in range(3)]
    assert [together[n].parts for n in range(3)] == [alone[n].parts for n in range(3)]


def test_retrieved_documents_are_part_of_the_identity_and_change_pictures(
    shipped: Cm3leon, workspace: Workspace
) -> None:
    bare = cm3leon_model(workspace, "blocksworld", {"documents": "0", "device": "cpu"})
    two = cm3leon_model(workspace, "blocksworld", {"documents": "2", "device": "cpu"})
    assert bare.identity != two.identity and shipped.identity in (bare.identity, two.identity)
    requests = asked(workspace, "blocksworld_composition", 2)
    assert answers(bare, requests)[0].parts != answers(two, requests)[0].parts


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"documents": "3"}, "documents=3 is more than the 2 that this model can retrieve"),
        ({"mode": "beam"}, "mode=beam is not known; known are cd, cd-k, mixture, top-p"),
        ({"alpha": "2"}, "alpha=2 is not a number from 0 to 1"),
        ({"precision": "fp8"}, "precision=fp8"),
    ],
)
def test_a_setting_out_of_its_range_says_what_may_be(
    workspace: Workspace, options: Mapping[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        cm3leon_model(workspace, "", options)


def test_an_unknown_name_is_refused(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="did you mean 'blocksworld'"):
        cm3leon_model(workspace, "blockworld", {})


@pytest.mark.parametrize("name", ["transformer.safetensors", "image_tokenizer.safetensors", "dual_encoder.safetensors"])
def test_a_truncated_file_is_an_error_that_names_it(workspace: Workspace, copy: Path, name: str) -> None:
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=name):
        cm3leon_model(workspace, "", {"weights": str(copy)})


def test_a_tensor_of_another_shape_is_named(workspace: Workspace, copy: Path) -> None:
    path = copy / "transformer.safetensors"
    tensors = load_file(path)
    tensors["layers.1.mlp.up_proj.weight"] = np.zeros((3, 5), np.float16)
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"layers\.1\.mlp\.up_proj\.weight is \[3, 5\]"):
        cm3leon_model(workspace, "", {"weights": str(copy)})


def test_a_config_of_another_model_is_refused(workspace: Workspace, copy: Path) -> None:
    path = copy / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["transformer"]["layers"] += 1
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"missing: layers\."):
        cm3leon_model(workspace, "", {"weights": str(copy)})


def test_a_damaged_list_of_documents_is_an_error(copy: Path) -> None:
    whole = bytearray((copy / "documents.npz").read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    (copy / "documents.npz").write_bytes(bytes(whole))
    with pytest.raises(CheckpointError, match=r"documents\.npz"):
        read(copy)


def test_a_model_without_retrieval_answers_without(workspace: Workspace, copy: Path) -> None:
    for name in ("dual_encoder.json", "dual_encoder.safetensors", "documents.npz"):
        (copy / name).unlink()
    bare = cm3leon_model(workspace, "", {"weights": str(copy)})
    assert bare.identity["documents"] is None
    assert answers(bare, asked(workspace, "blocksworld_composition", 1))
