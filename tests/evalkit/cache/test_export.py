"""What is exported is read back by the model of a folder, picture by picture, whatever the samples are called."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cache import Cache, export
from evalkit.cache.export import file_name
from evalkit.errors import CacheError, UsageError
from evalkit.images import pixels
from evalkit.models.folder import folder_model
from evalkit.types import Failure, Generation, Image, Mask, Text
from evalkit.workspace import Workspace
from tests.evalkit.cache.entries import IDENTITY, commit, file_of, key, picture, request

ODD_IDS = [
    "a/b",
    "a:b",
    "a%2Fb",
    "..",
    ".hidden",
    "",
    "A",
    "a",
    "é",
    "007",
    "7",
    "x" * 300,
    "x" * 299 + "y",
    "~",
    "a b",
]


def test_the_folder_model_answers_with_the_exported_pictures(tmp_path: Path) -> None:
    requests = [dataclasses.replace(request(), sample_id=name) for name in ODD_IDS]
    with Cache(tmp_path / "cache") as cache:
        for number, asked in enumerate(requests):
            cache.commit(IDENTITY, asked, Generation((picture(number),)))
        (folder,) = export(cache, tmp_path / "out")
    assert (folder.task, folder.entries) == ("tiny@1", len(ODD_IDS))
    names = [path.name.casefold() for path in folder.directory.iterdir()]
    assert len(set(names)) == len(ODD_IDS) + 1  # on a file system that ignores case too
    model = folder_model(Workspace(cache=tmp_path / "cache"), str(folder.directory), {})
    for number, answer in model.generate(requests):
        assert not isinstance(answer, Failure)
        (part,) = answer.parts
        assert isinstance(part, Image)
        assert np.array_equal(pixels(part), pixels(picture(number)))


def lines(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / "manifest.jsonl").read_text().splitlines()]


def test_text_answers_stand_in_the_manifest(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        cache.commit(IDENTITY, request(), Generation((Text("a cat\n"), Text("and a dog")), "length"))
        (folder,) = export(cache, tmp_path / "out")
    (line,) = lines(folder.directory)
    assert (line["sample_id"], line["text"], line["key"]) == ("s0", "a cat\n\nand a dog", key())
    assert "file" not in line


def test_every_picture_of_an_answer_is_exported(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        cache.commit(IDENTITY, request(), Generation((picture(0), Mask(picture(1)))))
        (folder,) = export(cache, tmp_path / "out")
    (line,) = lines(folder.directory)
    assert line["file"] == "s0.png" and line["files"] == ["s0.png", "s0.1.png"]
    assert sorted(path.name for path in folder.directory.iterdir()) == ["manifest.jsonl", "s0.1.png", "s0.png"]


def test_tasks_models_settings_and_seeds_have_folders_of_their_own(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        for asked in [
            request(0),
            request(1),
            request(0, seed=1),
            request(0, task="other@1"),
            dataclasses.replace(request(0), steps=5),
        ]:
            cache.commit(IDENTITY, asked, Generation((picture(0),)))
        cache.commit({"model": "other"}, request(0), Generation((picture(0),)))
        folders = export(cache, tmp_path / "out")
    assert sorted(folder.entries for folder in folders) == [1, 1, 1, 1, 2]
    assert len({folder.directory for folder in folders}) == 5


def test_filters_choose(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        commit(cache, 0)
        commit(cache, 1)
        cache.commit({"model": "other"}, request(2, task="other@1"), Generation((Text("x"),)))
        (by_key,) = export(cache, tmp_path / "a", keys=[key(1)])
        (by_task,) = export(cache, tmp_path / "b", task="other@1")
        (by_model,) = export(cache, tmp_path / "c", model=by_key.model[:6])
        assert [line["sample_id"] for line in lines(by_key.directory)] == ["s1"]
        assert (by_task.entries, by_model.entries) == (1, 2)
        with pytest.raises(UsageError, match="no stored answer is of that task and model"):
            export(cache, tmp_path / "d", task="nothing@1")
        assert not (tmp_path / "d").exists()


def test_a_folder_that_holds_something_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with Cache(tmp_path / "cache") as cache:
        commit(cache)
        with pytest.raises(UsageError, match="is not an empty folder"):
            export(cache, tmp_path)
        with pytest.raises(UsageError, match="is not an empty folder"):
            export(cache, tmp_path / "mine")


def test_a_missing_picture_stops_the_export(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        file_of(commit(cache)).unlink()
        with pytest.raises(CacheError, match="lacks a picture"):
            export(cache, tmp_path / "out")


@given(st.text(), st.text())
def test_a_file_name_is_plain_and_its_own(one: str, other: str) -> None:
    name = file_name(one)
    assert (name == file_name(other)) == (one == other)
    assert name.isascii() and "/" not in name and not name.startswith(".") and 0 < len(name) < 140
