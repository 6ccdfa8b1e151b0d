from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from evalkit.blobs import Blobs
from evalkit.images import encode_png, image_of
from evalkit_reports.parts import Picture
from evalkit_reports.pictures import MASK_COLOUR, NOT_STORED, SIDE, Album, Stores, coloured, thumbnail
from tests.reports.drawn import Studio, grain, scene


def opened(source: str) -> PillowImage.Image:
    return PillowImage.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


def at(*stores: Blobs) -> Stores:
    return Stores(stores, {})


def test_a_thumbnail_fits_its_square_and_keeps_its_shape() -> None:
    source, width, height = thumbnail(scene(1, 256)[:128])
    assert (width, height) == (SIDE, SIDE // 2) == opened(source).size


def test_a_small_drawing_is_embedded_pixel_for_pixel() -> None:
    pixels = scene(3, 64)
    source, width, height = thumbnail(pixels)
    assert source.startswith("data:image/png") and (width, height) == (64, 64)
    assert np.array_equal(np.asarray(opened(source)), pixels)


def test_grain_is_embedded_as_jpeg() -> None:
    assert thumbnail(grain(1, 128))[0].startswith("data:image/jpeg")


def test_a_picture_that_is_not_stored_says_so(tmp_path: Path) -> None:
    view = Album(tmp_path / "page.html").view(Picture("ab" * 32, "generated"), "alt", at(Blobs(tmp_path / "blobs")))
    assert (view.source, view.link, view.note) == ("", "", NOT_STORED)


def test_a_cache_that_is_no_path_here_is_a_missing_picture(tmp_path: Path) -> None:
    stores = at(Blobs(Path("x" * 5000)), Blobs(Path("a\0b")), Blobs(Path("\ud800")))
    assert Album(tmp_path / "page.html").view(Picture("ab" * 32, "generated"), "alt", stores).note == NOT_STORED


def test_a_picture_in_a_file_of_its_own_is_found_and_checked(studio: Studio, tmp_path: Path) -> None:
    image, photo = image_of(scene(1, 64)), tmp_path / "photo.png"
    photo.write_bytes(encode_png(scene(1, 64)))
    album, stores = Album(tmp_path / "page.html"), Stores((Blobs(studio.cache / "blobs"),), {image.digest: photo})
    view = album.view(Picture(image.digest, "source"), "alt", stores)
    assert view.embedded and view.link == "photo.png" and view.zoom == 2
    photo.write_bytes(encode_png(scene(2, 64)))
    other = Album(tmp_path / "page.html").view(Picture(image.digest, "source"), "alt", stores)
    assert not other.embedded and "holds other pixels" in other.note


def test_a_mask_becomes_a_veil_and_a_label_map_gets_colours() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    veil = np.asarray(opened(thumbnail(pixels, kind="mask")[0]))
    assert (veil[0, 0] == MASK_COLOUR).all() and veil[7, 7, 3] == 0
    ids = np.zeros((1, 4, 3), np.uint8)
    ids[0, :, 0] = [0, 1, 2, 3]
    shades = [tuple(pixel) for pixel in coloured(ids)[0]]
    assert shades[0] == (0, 0, 0) and len(set(shades)) == 4 and all(max(shade) >= 150 for shade in shades[1:])


def test_a_damaged_picture_is_told_and_takes_no_place(studio: Studio) -> None:
    image = studio.picture(scene(1))
    store = Blobs(studio.cache / "blobs")
    path = store.path(image.digest)
    path.write_bytes(path.read_bytes()[:50])
    album = Album(studio.root / "page.html", left=1)
    assert "cannot be read" in album.view(Picture(image.digest, "generated"), "alt", at(store)).note
    assert album.left == 1


def test_after_the_last_place_pictures_are_linked(studio: Studio) -> None:
    store = Blobs(studio.cache / "blobs")
    digests = [studio.picture(scene(seed)).digest for seed in range(3)]
    album = Album(studio.root / "page.html", left=2)
    views = [album.view(Picture(digest, "generated"), "alt", at(store)) for digest in digests]
    assert [view.embedded for view in views] == [True, True, False]
    assert views[2].source == f"cache/blobs/{digests[2][:2]}/{digests[2]}.png"


def test_embedded_pictures_stay_within_their_bytes(studio: Studio) -> None:
    store = Blobs(studio.cache / "blobs")
    album = Album(studio.root / "page.html", bytes_left=60_000)
    views = [album.view(Picture(studio.picture(grain(s, 128)).digest, "generated"), "alt", at(store)) for s in range(9)]
    assert 0 < sum(len(view.source) for view in views if view.embedded) <= 60_000
    assert not views[-1].embedded and views[-1].source


def test_a_picture_outside_the_pages_folder_is_linked_by_its_whole_path(studio: Studio) -> None:
    image = studio.picture(scene(1))
    album = Album(studio.root / "a folder" / "page.html", left=0)
    view = album.view(Picture(image.digest, "generated"), "alt", at(Blobs(studio.cache / "blobs")))
    assert view.source == (studio.cache / "blobs" / image.digest[:2] / f"{image.digest}.png").resolve().as_uri()
