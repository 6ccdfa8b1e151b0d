"""Laws of the registry: every spec is listed, names clash loudly, a typo is answered with the nearest name."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from evalkit.errors import UsageError, WeightsError
from evalkit.interfaces import ModelSpec
from evalkit.models import MODELS
from evalkit.registry import (
    build_model,
    build_task,
    collect,
    data_specs,
    load_factory,
    model_specs,
    report_specs,
    task_spec,
    task_specs,
)
from evalkit.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(cache=tmp_path)


def test_every_factory_named_in_a_table_can_be_loaded() -> None:
    tables = (task_specs(), model_specs(), report_specs(), data_specs())
    factories = [spec.factory for table in tables for spec in table.values()]
    assert all(callable(load_factory(factory)) for factory in factories)
    assert len(factories) >= 6


def test_a_typo_in_a_task_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="no task named 'coco_fdi'; did you mean 'coco_fid'"):
        task_spec("coco_fdi")


def test_another_version_of_a_task_is_an_error() -> None:
    assert task_spec("coco_fid@1") is task_spec("coco_fid")
    with pytest.raises(UsageError, match="version 1 of coco_fid is installed"):
        task_spec("coco_fid@7")


def test_a_typo_in_a_model_is_answered_with_the_nearest_name(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="no model named 'nois'; did you mean 'noise'"):
        build_model("nois", workspace, {})


def test_a_typo_in_an_option_is_answered_with_the_nearest_name(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="model noise has no option 'siez'; did you mean 'size'"):
        build_model("noise", workspace, {"siez": "64"})
    with pytest.raises(UsageError, match="coco_fid has no protocol 'torch_fidelity'; did you mean 'torch-fidelity'"):
        build_task("coco_fid", workspace, "torch_fidelity", {})


def test_an_argument_stands_exactly_where_one_belongs(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="-m 'images' should read -m images:DIR"):
        build_model("images", workspace, {})
    with pytest.raises(UsageError, match="-m 'noise:x' should read -m noise"):
        build_model("noise:x", workspace, {})


def test_an_argument_in_brackets_may_be_left_out(workspace: Workspace, tmp_path: Path) -> None:
    assert model_specs()["cm3leon"].argument == "[NAME]"
    with pytest.raises(WeightsError, match=r"config\.json is missing"):
        build_model("cm3leon", workspace, {"weights": str(tmp_path)})
    with pytest.raises(UsageError, match="no weights named 'blockworld'; did you mean 'blocksworld'"):
        build_model("cm3leon:blockworld", workspace, {})


def test_two_specs_of_one_name_are_an_error_that_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other_models.py").write_text("from evalkit.models import MODELS\n")
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("evalkit", "evalkit.models:MODELS", "evalkit.models"),
        EntryPoint("other", "other_models:MODELS", "evalkit.models"),
    ]
    with pytest.raises(UsageError, match=r"other_models:MODELS and evalkit\.models:MODELS both announce 'images'"):
        collect(points, ModelSpec)


def test_a_table_that_cannot_be_imported_names_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_models.py").write_text("raise RuntimeError('half installed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"broken_models:MODELS cannot be imported.*half installed"):
        collect([EntryPoint("x", "broken_models:MODELS", "evalkit.models")], ModelSpec)


def test_a_table_of_something_else_is_an_error() -> None:
    with pytest.raises(UsageError, match="is not a tuple of ModelSpec"):
        collect([EntryPoint("x", "evalkit.types:IMAGE_JOBS", "evalkit.models")], ModelSpec)


OWN = """
from evalkit.models.noise import Noise

def factory(workspace, argument, options):
    return Noise(int(options.get("side", "8")))

def wrong(workspace):
    return None

def half(workspace, argument, options):
    return object()
"""


def test_a_model_of_the_users_own_is_found_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    (tmp_path / "my_own_model.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert build_model("my_own_model:factory", workspace, {"side": "4"}).identity["size"] == 4
    with pytest.raises(UsageError, match="could not be called as factory"):
        build_model("my_own_model:wrong", workspace, {})
    with pytest.raises(UsageError, match="without name, identity, capabilities, generate"):
        build_model("my_own_model:half", workspace, {})
    with pytest.raises(UsageError, match="has no callable 'factroy'; did you mean 'factory'"):
        build_model("my_own_model:factroy", workspace, {})


def test_the_built_in_table_is_announced() -> None:
    assert {spec.name for spec in MODELS} <= set(model_specs())
