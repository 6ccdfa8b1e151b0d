"""The laws of `--data` and `--data-dir`."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.progress import Silent
from evalkit.workspace import Workspace
from evalkit_tasks.caption_sets import choose
from tests.tasks.coco_files import write_split


class Listener(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(autouse=True)
def no_data_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALKIT_DATA", raising=False)


def test_without_any_coco_the_embedded_data_are_used_and_say_so(tmp_path: Path) -> None:
    listener = Listener()
    choice = choose(Workspace(cache=tmp_path, progress=listener), {})
    assert choice.captions.name == "blocksworld val"
    assert choice.captions.stamps == ("demo data",)
    assert (choice.workspace.data, choice.workspace.data_dir) == ("blocksworld", None)
    (line,) = listener.lines
    assert "blocksworld" in line
    assert "demo data" in line
    assert "evalkit fetch coco" in line


def test_coco_that_was_fetched_is_found_without_being_named(tmp_path: Path) -> None:
    write_split(tmp_path / "datasets" / "coco", "val2017", zipped=True)
    listener = Listener()
    choice = choose(Workspace(cache=tmp_path, progress=listener), {})
    assert choice.captions.name == "coco val2017"
    assert (choice.workspace.data, choice.workspace.data_dir) == ("coco", tmp_path / "datasets" / "coco")
    assert "demo data" not in choice.captions.stamps
    assert listener.lines == []


@pytest.mark.parametrize("data", ["coco", None])
def test_data_that_were_named_never_fall_back(tmp_path: Path, data: str | None) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"no MS-COCO in .*empty: looked for annotations/captions_val2014\.json.*fetch coco"
    ):
        choose(Workspace(cache=tmp_path, data=data, data_dir=tmp_path / "empty"), {})
    with pytest.raises(DataError, match="no MS-COCO in"):
        choose(Workspace(cache=tmp_path, data="coco"), {})


def test_half_a_split_is_an_error_that_names_the_missing_half(tmp_path: Path) -> None:
    (tmp_path / "val2017").mkdir()
    with pytest.raises(DataError, match=r"no annotations/captions_val2017\.json"):
        choose(Workspace(cache=tmp_path, data_dir=tmp_path), {})


def test_2014_wins_unless_2017_is_asked_for(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017")
    write_split(tmp_path, "val2014", zipped=True)
    workspace = Workspace(cache=tmp_path, data="coco", data_dir=tmp_path)
    assert choose(workspace, {}).captions.name == "coco val2014"
    assert choose(workspace, {"split": "val2017"}).captions.name == "coco val2017"


def test_a_whole_2017_wins_over_half_of_2014(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017")
    (tmp_path / "val2014").mkdir()
    assert choose(Workspace(cache=tmp_path, data_dir=tmp_path), {}).captions.name == "coco val2017"


def test_the_training_split_is_never_taken_for_the_test_split(tmp_path: Path) -> None:
    write_split(tmp_path, "train2017")
    with pytest.raises(DataError, match="no MS-COCO in"):
        choose(Workspace(cache=tmp_path, data_dir=tmp_path), {})


def test_an_unknown_name_offers_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no data named 'cocoo'; did you mean 'coco'"):
        choose(Workspace(cache=tmp_path, data="cocoo"), {})


def test_the_embedded_data_take_no_folder_and_have_one_split(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no --data-dir"):
        choose(Workspace(cache=tmp_path, data="blocksworld", data_dir=tmp_path), {})
    with pytest.raises(UsageError, match="split val only"):
        choose(Workspace(cache=tmp_path, data="blocksworld"), {"split": "test"})
