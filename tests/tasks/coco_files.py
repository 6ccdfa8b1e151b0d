"""Small caption sets in COCO's official formats, made on the spot."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CAPTIONS: Mapping[int, tuple[tuple[int, str], ...]] = {
    42: ((7, "A red cat sleeps on the mat."), (3, "Cat on a mat"), (11, "a cat,  sleeping\n")),
    5: ((1, "Two dogs run over green grass."), (2, "dogs running")),
    900: ((20, "A blue boat on a lake."), (21, "The boat is blue.")),
}


def picture_bytes(image_id: int) -> bytes:
    """Return a small PNG that differs for each id."""
    rng = np.random.default_rng(image_id)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def file_name(split: str, image_id: int) -> str:
    """Return the official name of an image file."""
    year = split[-4:]
    return f"COCO_{split}_{image_id:012d}.jpg" if year == "2014" else f"{image_id:012d}.jpg"


def captions_json(split: str, captions: Mapping[int, Sequence[tuple[int, str]]] = CAPTIONS) -> dict[str, object]:
    """Return the content of an official captions file."""
    return {
        "info": {"description": "made on the spot"},
        "images": [
            {
                "id": image_id,
                "file_name": file_name(split, image_id),
                "coco_url": f"http://images.cocodataset.org/{split}/{file_name(split, image_id)}",
                "width": 30,
                "height": 20,
            }
            for image_id in captions
        ],
        "annotations": [
            {"id": id_, "image_id": image_id, "caption": text}
            for image_id, entries in captions.items()
            for id_, text in entries
        ],
    }


def write_split(
    directory: Path, split: str, captions: Mapping[int, Sequence[tuple[int, str]]] = CAPTIONS, zipped: bool = False
) -> Path:
    """Write one split into `directory` as folders or as the official zips, and return `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(captions_json(split, captions))
    pictures = {file_name(split, image_id): picture_bytes(image_id) for image_id in captions}
    if zipped:
        with zipfile.ZipFile(directory / f"annotations_trainval{split[-4:]}.zip", "a") as archive:
            archive.writestr(f"annotations/captions_{split}.json", text)
        with zipfile.ZipFile(directory / f"{split}.zip", "w") as archive:
            archive.writestr(f"{split}/", "")
            for name, content in pictures.items():
                archive.writestr(f"{split}/{name}", content)
        return directory
    (directory / "annotations").mkdir(exist_ok=True)
    (directory / "annotations" / f"captions_{split}.json").write_text(text, encoding="utf-8")
    (directory / split).mkdir()
    for name, content in pictures.items():
        (directory / split / name).write_bytes(content)
    return directory
