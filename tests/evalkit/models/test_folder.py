"""Laws of the folder model: each sample gets its own picture, and what is missing is a failure that says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import DataError, UsageError
from evalkit.images import encode_png, pixels
from evalkit.models.folder import Folder, folder_model
from evalkit.types import Answer, Failure, Generation, Image, Request, Text
from evalkit.workspace import Workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    return made


def put(folder: Path, name: str, shade: int) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.full((4, 4, 3), shade, np.uint8)))


def model(folder: Path, **options: str) -> Folder:
    return folder_model(Workspace(cache=folder.parent / "cache"), str(folder), options)


def answer(model: Folder, sample_id: str) -> Answer:
    ((_, found),) = model.generate([Request("t@1", sample_id, "text-to-image", (Text("x"),), 0)])
    return found


def shade(found: Answer) -> int:
    assert isinstance(found, Generation)
    (part,) = found.parts
    assert isinstance(part, Image)
    return int(pixels(part)[0, 0, 0])


def test_files_are_found_by_sample_caption_or_image_id(folder: Path) -> None:
    put(folder, "397133-37.png", 1)
    put(folder, "000000000038.png", 2)
    put(folder, "deep/COCO_val2014_000000000139.png", 3)
    assert shade(answer(model(folder), "397133-37")) == 1
    assert shade(answer(model(folder), "397133-38")) == 2
    assert shade(answer(model(folder, by="image"), "139-99")) == 3


def test_a_manifest_wins_over_names(folder: Path) -> None:
    put(folder, "397133-37.png", 1)
    put(folder, "odd name.png", 9)
    (folder / "manifest.jsonl").write_text(json.dumps({"sample_id": "397133-37", "file": "odd name.png"}))
    assert shade(answer(model(folder), "397133-37")) == 9
    assert shade(answer(model(folder, by="sample"), "397133-37")) == 1


def test_a_missing_picture_is_a_failure_that_names_it(folder: Path) -> None:
    put(folder, "1.png", 1)
    found = answer(model(folder), "5-6")
    assert isinstance(found, Failure)
    assert found.kind == "missing"
    assert "no picture named 5-6 or 6 in" in found.message


def test_a_damaged_picture_is_a_failure_that_names_it(folder: Path) -> None:
    put(folder, "1.png", 1)
    (folder / "2.png").write_bytes(b"no picture")
    found = answer(model(folder), "2")
    assert isinstance(found, Failure)
    assert found.kind == "malformed"
    assert "2.png is not a picture" in found.message


def test_an_overwritten_picture_makes_another_model(folder: Path) -> None:
    put(folder, "1.png", 1)
    before = model(folder).identity
    assert model(folder).identity == before
    put(folder, "1.png", 2)
    assert model(folder).identity != before


def test_two_files_of_one_name_are_an_error(folder: Path) -> None:
    put(folder, "1.png", 1)
    put(folder, "again/001.png", 1)
    with pytest.raises(DataError, match="both answer '1'; keep one"):
        model(folder)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"sample_id": "1", "file": "../outside.png"}', "line 1, names '../outside.png', which lies outside"),
        ('{"sample_id": "1", "file": "/etc/hostname"}', "which lies outside the folder"),
        ('{"sample_id": "1", "file": "absent.png"}', "which does not exist"),
        ('{"sample": "1"}', 'line 1, should read {"sample_id"'),
        ("no json", "line 1, should read"),
    ],
)
def test_a_bad_manifest_is_an_error_that_names_the_line(folder: Path, line: str, complaint: str) -> None:
    put(folder.parent, "outside.png", 1)
    (folder / "manifest.jsonl").write_text(line)
    with pytest.raises(DataError) as raised:
        model(folder)
    assert complaint in str(raised.value)


def test_a_sample_answered_twice_is_an_error(folder: Path) -> None:
    put(folder, "a.png", 1)
    (folder / "manifest.jsonl").write_text('{"sample_id": "1", "file": "a.png"}\n' * 2)
    with pytest.raises(DataError, match="line 2, answers sample '1' a second time"):
        model(folder)


def test_a_folder_that_is_none_or_empty_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        model(folder)
    with pytest.raises(DataError, match="is not a folder"):
        model(folder / "absent")
    with pytest.raises(UsageError, match="by=smaple is not known; did you mean 'sample'"):
        model(folder, by="smaple")
