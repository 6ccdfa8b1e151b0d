"""Maps of pictures: made once, kept by picture, size and annotator, and damage told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import CacheError
from evalkit.features.planes import BytePlane, PlaneCache, made_plane, plane_of, sized
from evalkit.images import Pixels, image_of
from evalkit.keys import digest
from evalkit.types import JsonScalar
from tests.evalkit.features.conftest import photo_like


@dataclass
class Red:
    """The red channel as a map; it counts what it is shown."""

    version: int = 1
    shown: list[tuple[int, int]] = field(default_factory=list)
    name: str = "red"

    def prepare(self) -> None:
        return None

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        return {"annotator": "red", "version": self.version}

    @property
    def fingerprint(self) -> str:
        return digest(dict(self.protocol_fields))

    def plane(self, picture: Pixels) -> BytePlane:
        self.shown.append(picture.shape[:2])
        return picture[:, :, 0].copy()


def test_a_map_is_made_once_for_a_picture_a_size_and_an_annotator(tmp_path: Path) -> None:
    cache, red = PlaneCache(tmp_path), Red()
    image = image_of(photo_like(1, 20, 30))
    first = plane_of(red, image, 30, 20, cache)
    np.testing.assert_array_equal(first, photo_like(1, 20, 30)[:, :, 0])
    np.testing.assert_array_equal(plane_of(Red(shown=red.shown), image, 30, 20, cache), first)
    assert red.shown == [(20, 30)]
    assert plane_of(red, image, 15, 10, cache).shape == (10, 15)
    plane_of(Red(2, red.shown), image, 30, 20, cache)
    plane_of(red, image_of(photo_like(2, 20, 30)), 30, 20, cache)
    assert red.shown == [(20, 30), (10, 15), (20, 30), (20, 30)]


def test_a_damaged_map_is_an_error_that_names_it(tmp_path: Path) -> None:
    cache, image = PlaneCache(tmp_path), image_of(photo_like(1, 20, 30))
    path = made_plane(Red(), image, 30, 20, cache)
    content = path.read_bytes()
    for damaged in (b"", content[:-30], content[:60] + b"\xff" + content[61:]):
        path.write_bytes(damaged)
        with pytest.raises(CacheError, match=f"{path.name} is damaged"):
            plane_of(Red(), image, 30, 20, cache)


def test_nothing_but_whole_files_is_left_behind(tmp_path: Path) -> None:
    made_plane(Red(), image_of(photo_like(1, 8, 8)), 8, 8, PlaneCache(tmp_path))
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".png"]


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CacheError, match="cannot be written"):
        made_plane(Red(), image_of(photo_like(1, 8, 8)), 8, 8, PlaneCache(tmp_path / "file"))


def test_a_picture_of_the_size_is_not_touched() -> None:
    picture = photo_like(1, 9, 7)
    assert sized(picture, 7, 9) is picture
    assert sized(picture, 4, 6).shape == (6, 4, 3)
