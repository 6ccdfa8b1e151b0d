"""The laws of the pictures that models are shown: what is handled, what is refused, and what is remembered."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture
from evalkit.images import image_of, pixels, read_image
from evalkit.interfaces import Task
from evalkit.types import Image, Sample, Text, ZipPicture
from evalkit.workspace import Workspace
from evalkit_tasks.coco_caption import coco_caption
from evalkit_tasks.shown import NamedPicture, ShownSamples, named_picture, shown_images
from tests.tasks.coco_files import write_split
from tests.tasks.odd_pictures import BAD, ODD, RGB, encoded


def with_picture(folder: Path, content: bytes) -> Task:
    """The captioning task on three photos of val2017, of which the second holds `content`."""
    write_split(folder, "val2017")
    (folder / "val2017" / "000000000005.jpg").write_bytes(content)
    return coco_caption(Workspace(cache=folder / "cache", data_dir=folder), None, {})


def second(task: Task) -> np.ndarray:
    picture = task.samples()[1].parts[0]
    assert isinstance(picture, Image)
    return pixels(picture)


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=list(BAD))
def test_pictures_that_cannot_be_shown_are_errors_that_name_file_and_image(
    tmp_path: Path, content: bytes, message: str
) -> None:
    task = with_picture(tmp_path, content)
    with pytest.raises(DataError, match=rf"image 5 \(.*000000000005\.jpg\).*({message})"):
        task.samples()[:]


def test_odd_pictures_are_shown_as_the_documentation_says(tmp_path: Path) -> None:
    for name, (content, expected) in ODD.items():
        assert (second(with_picture(tmp_path / name, content)) == expected).all(), name


def test_digests_are_those_of_the_pixels_and_are_remembered(tmp_path: Path) -> None:
    content = encoded(PillowImage.fromarray(RGB), "PNG")
    (tmp_path / "a.png").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b.png", content)
    named = [
        NamedPicture("a", FilePicture(tmp_path / "a.png")),
        NamedPicture("b", ZipPicture(tmp_path / "b.zip", "b.png")),
        NamedPicture("a again", FilePicture(tmp_path / "a.png")),
    ]
    workspace = Workspace(cache=tmp_path / "cache")
    first, again = shown_images(named, workspace), shown_images(named, workspace)
    true = read_image(content, "a.png")
    assert first == again == [true] * 3
    assert [(pixels(image) == RGB).all() for image in again] == [True] * 3
    assert first[0].content == tmp_path / "a.png"


def test_a_changed_picture_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    workspace = Workspace(cache=tmp_path / "cache")
    path.write_bytes(encoded(PillowImage.fromarray(RGB), "PNG"))
    (before,) = shown_images([NamedPicture("a", FilePicture(path))], workspace)
    path.write_bytes(encoded(PillowImage.fromarray(RGB[::-1].copy()), "PNG"))
    (after,) = shown_images([NamedPicture("a", FilePicture(path))], workspace)
    assert before.digest != after.digest == image_of(RGB[::-1].copy()).digest


def test_samples_are_a_sequence_of_the_sample_with_its_picture(tmp_path: Path) -> None:
    for number in range(3):
        content = encoded(PillowImage.fromarray(np.full((2, 2, 3), number, np.uint8)), "PNG")
        (tmp_path / f"{number}.png").write_bytes(content)
    pictures = [named_picture(str(n), FilePicture(tmp_path / f"{n}.png")) for n in range(3)]
    samples = ShownSamples(Workspace(cache=tmp_path), [Sample(str(n), (Text("?"),)) for n in range(3)], pictures)
    assert [s.id for s in samples] == [samples[n].id for n in range(3)] == ["0", "1", "2"]
    assert samples[-1] == samples[2:][0]
    assert [type(part) for part in samples[1].parts] == [Image, Text]
    with pytest.raises(IndexError):
        samples[3]
    with pytest.raises(TypeError, match="lies in memory"):
        named_picture("x", image_of(RGB))


def test_a_caption_file_of_another_split_is_an_error(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017")
    path = tmp_path / "annotations" / "captions_val2017.json"
    document = json.loads(path.read_text())
    for image in document["images"]:
        image["coco_url"] = image["coco_url"].replace("val2017", "train2017")
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"captions_val2017\.json: image 42 is of train2017, not of val2017"):
        coco_caption(Workspace(cache=tmp_path, data_dir=tmp_path), None, {})
