"""The instance files of COCO, read strictly: what does not fit is an error that names file, item and next step.

The official `instances_val2017.json`:

    {"images": [{"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 426, ...}, ...],
     "annotations": [{"id": 1640, "image_id": 139, "category_id": 64, "bbox": [236.98, 142.51, 24.7, 69.5],
                      "iscrowd": 0, "segmentation": [...], ...}, ...],
     "categories": [{"id": 1, "name": "person", ...}, ...]}

A box is left, top, width and height in pixels. Official boxes have two decimals, so one may reach over the border by
less than half a pixel.

Source: Lin et al. 2014, arXiv:1405.0312.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, TypeAdapter

from evalkit.errors import DataError
from evalkit_tasks.coco_json import Strict, parsed, require_inside, require_new

OVERHANG = 0.5
"""Pixels by which a box may reach over the border of its image."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One object of an image: its id, its category's id, its box, and whether it is a crowd."""

    id: int
    category: int
    x: float
    y: float
    width: float
    height: float
    crowd: bool

    @property
    def area(self) -> float:
        """That of its box, in square pixels."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class InstancePhoto:
    """An image as an instance file lists it; `file` is its path below the folder that holds the pictures."""

    id: int
    file: str
    width: int
    height: int
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """The images of an instance file in its order, and the names of its categories by id."""

    photos: tuple[InstancePhoto, ...]
    categories: Mapping[int, str]


class _Image(Strict):
    id: int = Field(ge=0)
    file_name: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class _Annotation(Strict):
    id: int = Field(ge=0)
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: Literal[0, 1] = 0


class _Category(Strict):
    id: int = Field(ge=0)
    name: str = Field(min_length=1)


class _InstanceFile(Strict):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def official_instances(content: bytes, where: str, split: str) -> InstanceFile:
    """Return the images that an official instances file lists, with their objects in its order.

    Raises:
        DataError: the file is truncated or of another kind, an id, file or category stands twice, an object has no
            image, no listed category, or a box that is empty or lies outside its image.
    """
    file = parsed(TypeAdapter(_InstanceFile), content, where, f"the official instances_{split}.json")
    categories = _categories(file.categories, where)
    images = _images(file.images, where)
    objects: dict[int, list[Instance]] = {number: [] for number in images}
    seen: set[int] = set()
    for one in file.annotations:
        require_new(one.id, seen, f"{where}: object id")
        if one.image_id not in images:
            raise DataError(f"{where}: object {one.id} is of image {one.image_id}, which is not listed; fetch it again")
        if one.category_id not in categories:
            raise DataError(
                f"{where}: object {one.id} of image {one.image_id} has the category {one.category_id}, which is not "
                "listed; mend its category_id or fetch the file again"
            )
        _require_box(one, images[one.image_id], where)
        instance = Instance(one.id, one.category_id, *one.bbox, bool(one.iscrowd))
        objects[one.image_id].append(instance)
    photos = [InstancePhoto(i.id, i.file_name, i.width, i.height, tuple(objects[i.id])) for i in file.images]
    return InstanceFile(tuple(photos), categories)


def _categories(listed: Sequence[_Category], where: str) -> dict[int, str]:
    ids: set[int] = set()
    names: set[str] = set()
    for one in listed:
        require_new(one.id, ids, f"{where}: category id")
        require_new(one.name, names, f"{where}: category")
    return {one.id: one.name for one in listed}


def _images(listed: Sequence[_Image], where: str) -> dict[int, _Image]:
    ids: set[int] = set()
    files: set[str] = set()
    for image in listed:
        require_new(image.id, ids, f"{where}: image id")
        require_new(image.file_name, files, f"{where}: image file")
        require_inside(image.file_name, f"{where}: image {image.id}")
    if not listed:
        raise DataError(f"{where} lists no images; fetch it again")
    return {image.id: image for image in listed}


def _require_box(one: _Annotation, image: _Image, where: str) -> None:
    x, y, width, height = one.bbox
    said = f"{where}: object {one.id} of image {image.id} has the box {list(one.bbox)}"
    if not all(map(math.isfinite, one.bbox)):
        raise DataError(f"{said}, which is no box; mend or remove it")
    if width <= 0 or height <= 0:
        raise DataError(f"{said} of no size; mend or remove it")
    over = max(-x, -y, x + width - image.width, y + height - image.height)
    if over > OVERHANG:
        raise DataError(
            f"{said}, which lies outside the image of {image.width} x {image.height} pixels; mend or remove it"
        )
