"""Bad input across the benchmarks: each is an error that names file and item, or handled as documented; never skipped.

What one reader alone must refuse stands in that reader's test; here stands what all benchmarks owe.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pytest

from evalkit.errors import DataError
from evalkit.images import encode_png, pixels
from evalkit.interfaces import Task
from evalkit.registry import build_task
from evalkit.types import Image
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like
from tests.tasks.caption_files import write_flickr30k, write_nocaps
from tests.tasks.coco_files import write_split
from tests.tasks.odd_pictures import BAD, ODD
from tests.tasks.question_files import write_gqa, write_okvqa, write_textvqa, write_vizwiz, write_vqa
from tests.tasks.test_editing import magicbrush_folder


def write_tedbench(folder: Path) -> Path:
    """Write one edit in TEDBench's layout."""
    (folder / "originals").mkdir(parents=True)
    (folder / "originals" / "dog.png").write_bytes(encode_png(photo_like(1, 20, 30)))
    (folder / "input_list.json").write_text(json.dumps([{"img_name": "dog.png", "target_text": "A sitting dog."}]))
    return folder


def write_pie(folder: Path) -> Path:
    """Write one edit in PIE-Bench's layout."""
    (folder / "annotation_images" / "0").mkdir(parents=True)
    (folder / "annotation_images" / "0" / "a.png").write_bytes(encode_png(photo_like(1, 512, 512)))
    item = {
        "image_path": "0/a.png",
        "original_prompt": "a cat",
        "editing_prompt": "a dog",
        "editing_instruction": "make it a dog",
        "editing_type_id": "1",
        "mask": [0, 9],
    }
    (folder / "mapping_file.json").write_text(json.dumps({"77": item}))
    return folder


def unzipped_okvqa(folder: Path) -> Path:
    """Write OK-VQA's official files, unpacked."""
    for archive in write_okvqa(folder).glob("*.json.zip"):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        archive.unlink()
    return folder


class Family(NamedTuple):
    """A benchmark on a small set: what writes it, one of its pictures, and what an error calls that picture's item."""

    task: str
    write: Callable[[Path], object]
    picture: str
    item: str
    split: str = ""

    def built(self, folder: Path) -> Task:
        """The task on what was written."""
        options = {"split": self.split} if self.split else {}
        return build_task(self.task, Workspace(cache=folder / "cache", data_dir=folder), None, options)

    def with_picture(self, folder: Path, content: bytes) -> Task:
        """The task, one of its pictures holding `content`."""
        self.write(folder)
        assert (folder / self.picture).is_file()
        (folder / self.picture).write_bytes(content)
        return self.built(folder)


FAMILIES = (
    Family("nocaps", write_nocaps, f"val/{5:016x}.jpg", "image 5"),
    Family("vqav2", write_vqa, "val2014/COCO_val2014_000000000005.jpg", "question 5000"),
    Family("magicbrush", magicbrush_folder, "images/7/7-output1.png", "edit 7-1"),
    Family("tedbench", write_tedbench, "originals/dog.png", "edit "),
    Family("pie_bench", write_pie, "annotation_images/0/a.png", "edit 77-1"),
)
by_task = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.task)


@by_task
@pytest.mark.parametrize("name", BAD)
def test_a_picture_that_cannot_be_shown_is_an_error_that_names_file_and_item(
    family: Family, name: str, tmp_path: Path
) -> None:
    content, complaint = BAD[name]
    with pytest.raises(DataError, match=rf"(?s){family.item}.*{Path(family.picture).name}.*({complaint})"):
        _ = family.with_picture(tmp_path, content).samples()[:]


@by_task
@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_is_shown_as_documented(family: Family, name: str, tmp_path: Path) -> None:
    content, expected = ODD[name]
    shown = [
        pixels(part)
        for sample in family.with_picture(tmp_path, content).samples()
        for part in (*sample.parts, *sample.references)
        if isinstance(part, Image)
    ]
    assert any(np.array_equal(one, expected) for one in shown)


@by_task
def test_a_missing_picture_is_an_error_that_names_it(family: Family, tmp_path: Path) -> None:
    family.write(tmp_path)
    (tmp_path / family.picture).unlink()
    with pytest.raises(DataError, match=Path(family.picture).name):
        _ = family.built(tmp_path).samples()[:]


Change = Callable[[str], str]
FILES = (
    ("coco_caption", lambda at: write_split(at, "val2017"), "annotations/captions_val2017.json", "Cat on a mat"),
    ("nocaps", write_nocaps, "nocaps_val_4500_captions.json", "Cat on a mat"),
    ("vqav2", write_vqa, "v2_OpenEnded_mscoco_val2014_questions.json", "Is this a cat?"),
    ("okvqa", unzipped_okvqa, "OpenEnded_mscoco_val2014_questions.json", "Is this a cat?"),
    ("textvqa", write_textvqa, "TextVQA_0.5.1_val.json", "is this a cat?"),
    ("vizwiz", write_vizwiz, "val.json", "Is this a cat?"),
    ("magicbrush", magicbrush_folder, "edit_sessions.json", "Make it red."),
    ("tedbench", write_tedbench, "input_list.json", "A sitting dog."),
    ("pie_bench", write_pie, "mapping_file.json", "make it a dog"),
    ("pie_bench", write_pie, "mapping_file.json", "a cat"),
)


@pytest.mark.parametrize(("task", "write", "file", "text"), FILES, ids=[f"{row[0]}: {row[3]}" for row in FILES])
@pytest.mark.parametrize(
    ("bad", "complaint"), [("a\x00b", "NUL"), ("x" * 10_001, "10,001 characters")], ids=["NUL", "too long"]
)
def test_a_text_with_a_nul_or_ten_thousand_characters_is_an_error_that_names_it(
    task: str, write: Callable[[Path], object], file: str, text: str, bad: str, complaint: str, tmp_path: Path
) -> None:
    write(tmp_path)
    path = tmp_path / file
    content = path.read_text(encoding="utf-8")
    assert json.dumps(text) in content
    path.write_text(content.replace(json.dumps(text), json.dumps(bad)), encoding="utf-8")
    with pytest.raises(DataError, match=rf"(?s){complaint}"):
        _ = build_task(task, Workspace(cache=tmp_path / "cache", data_dir=tmp_path), None, {}).samples()[:]


def test_a_session_that_stands_twice_is_an_error_though_json_readers_take_the_last(tmp_path: Path) -> None:
    magicbrush_folder(tmp_path)
    path = tmp_path / "edit_sessions.json"
    sessions = path.read_text()
    path.write_text(sessions[:-1] + ", " + sessions[1:])
    with pytest.raises(DataError, match=r"edit_sessions\.json cannot be read \('7' stands twice\)"):
        build_task("magicbrush", Workspace(cache=tmp_path / "cache", data_dir=tmp_path), None, {})


def test_an_edit_of_the_hub_s_files_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    rows = {
        "idx": [3, 3],
        "instruction": ["Add a hat", "Remove it"],
        "image": [{"bytes": encode_png(photo_like(n, 8, 8)), "path": None} for n in (1, 2)],
        "task": ["add", "remove"],
        "input_caption": ["a man", "a dog"],
        "output_caption": ["a man in a hat", "a dog"],
    }
    kinds = {name: datasets.Value("int64" if name == "idx" else "string") for name in rows}
    features = datasets.Features({**kinds, "image": datasets.Image()})
    (tmp_path / "hub").mkdir()
    datasets.Dataset.from_dict(rows, features).to_parquet(str(tmp_path / "hub" / "test-00000-of-00001.parquet"))
    with pytest.raises(DataError, match="edit 3-1 stands twice"):
        build_task("emu_edit", Workspace(cache=tmp_path / "cache", data=f"hf:{tmp_path / 'hub'}"), None, {})


@pytest.mark.parametrize(
    ("task", "write", "file"),
    [
        ("okvqa", unzipped_okvqa, "mscoco_val2014_annotations.json"),
        ("vqav2", write_vqa, "v2_mscoco_val2014_annotations.json"),
    ],
)
def test_nine_people_s_answers_are_no_ten(
    task: str, write: Callable[[Path], object], file: str, tmp_path: Path
) -> None:
    write(tmp_path)
    document = json.loads((tmp_path / file).read_text())
    document["annotations"][2]["answers"].pop()
    (tmp_path / file).write_text(json.dumps(document))
    with pytest.raises(DataError, match=rf"{file}: question 5000 has 9 answers instead of 10"):
        build_task(task, Workspace(cache=tmp_path / "cache", data_dir=tmp_path), None, {})


def test_captions_and_photos_of_another_split_are_an_error(tmp_path: Path) -> None:
    write_flickr30k(tmp_path)
    here = Workspace(cache=tmp_path / "cache", data_dir=tmp_path)
    with pytest.raises(DataError, match="has no split 'val', only test, train"):
        build_task("flickr30k_caption", here, None, {"split": "val"})
    write_gqa(tmp_path / "gqa")
    there = Workspace(cache=tmp_path / "cache", data_dir=tmp_path / "gqa")
    with pytest.raises(DataError, match="testdev_balanced"):
        build_task("gqa", there, None, {"split": "testdev_balanced"})
