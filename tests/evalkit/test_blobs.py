"""Pictures are known by their pixels: whoever encodes them, there is one file, and damage is found when it is read."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from evalkit.blobs import Blobs, digest_named
from evalkit.errors import CacheError
from evalkit.images import Pixels, image_of, pixel_digest, pixels, read_image
from evalkit.types import Image

ARRAY = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(array: Pixels, kind: str) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(array).save(file, kind)
    return file.getvalue()


def stored_file(blobs: Blobs, image: Image) -> Path:
    stored = blobs.put(image)
    assert isinstance(stored.content, Path)
    return stored.content


def test_a_stored_picture_has_the_pixels_that_were_put(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    image = image_of(ARRAY)
    stored = blobs.put(image)
    assert stored == image
    assert np.array_equal(pixels(stored), ARRAY)
    assert np.array_equal(blobs.read(image.digest), ARRAY)
    assert blobs.get(image.digest, 7, 5, "generated") == image


def test_two_encoders_give_one_picture_one_file(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    ours = stored_file(blobs, image_of(ARRAY))
    before = ours.read_bytes()
    theirs = stored_file(blobs, read_image(encoded(ARRAY, "PNG"), "theirs"))
    assert ours == theirs and ours.read_bytes() == before
    assert [digest_named(path) for path in blobs.files()] == [pixel_digest(ARRAY)]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "GIF"])
def test_what_is_no_rgb_png_is_stored_as_the_png_of_its_pixels(tmp_path: Path, kind: str) -> None:
    blobs = Blobs(tmp_path)
    image = read_image(encoded(ARRAY, kind), kind)
    path = stored_file(blobs, image)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert pixel_digest(blobs.read(image.digest)) == image.digest


def test_a_png_that_is_not_plain_rgb_is_encoded_anew(tmp_path: Path) -> None:
    file = io.BytesIO()
    PillowImage.fromarray(ARRAY).convert("RGBA").save(file, "PNG")
    path = stored_file(Blobs(tmp_path), read_image(file.getvalue(), "with alpha"))
    with PillowImage.open(path) as opened:
        assert opened.mode == "RGB"


def test_a_picture_read_from_a_file_is_stored_and_its_file_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(encoded(ARRAY, "PNG"))
    path = stored_file(Blobs(tmp_path / "blobs"), read_image(source, "source"))
    assert path != source and source.exists()


def test_a_sound_file_is_not_written_again_but_its_age_starts_anew(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = stored_file(blobs, image_of(ARRAY))
    inode = path.stat().st_ino
    os.utime(path, (0, 0))
    blobs.put(image_of(ARRAY))
    assert path.stat().st_ino == inode
    assert path.stat().st_mtime > 1_000_000


@pytest.mark.parametrize("left", [b"", b"\x89PNG\r\n\x1a\n", b"not a picture"])
def test_a_damaged_leftover_is_replaced_by_the_next_put(tmp_path: Path, left: bytes) -> None:
    blobs = Blobs(tmp_path)
    image = image_of(ARRAY)
    path = blobs.path(image.digest)
    path.parent.mkdir()
    path.write_bytes(left)
    blobs.put(image)
    assert np.array_equal(blobs.read(image.digest), ARRAY)


def test_another_picture_under_the_name_is_replaced_by_the_next_put(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = stored_file(blobs, image_of(ARRAY))
    path.write_bytes(encoded(255 - ARRAY, "PNG"))
    with pytest.raises(CacheError, match="holds other pixels than its name says; `evalkit cache verify --set-aside`"):
        blobs.read(pixel_digest(ARRAY))
    blobs.put(image_of(ARRAY))
    assert np.array_equal(blobs.read(pixel_digest(ARRAY)), ARRAY)


@pytest.mark.parametrize("position", range(0, 200, 7))
def test_a_flipped_bit_is_an_error_or_leaves_every_pixel(tmp_path: Path, position: int) -> None:
    blobs = Blobs(tmp_path)
    image = image_of(ARRAY)
    path = stored_file(blobs, image)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1
    path.write_bytes(content)
    try:
        assert np.array_equal(blobs.read(image.digest), ARRAY)
    except CacheError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("kept", [0, 1, 20, 60, -1])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path: Path, kept: int) -> None:
    blobs = Blobs(tmp_path)
    image = image_of(ARRAY)
    path = stored_file(blobs, image)
    path.write_bytes(path.read_bytes()[:kept])
    if kept == -1:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CacheError, match=path.name):
        blobs.read(image.digest)


def test_a_missing_or_empty_file_is_an_error(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    image = image_of(ARRAY)
    with pytest.raises(CacheError, match="missing from the store"):
        blobs.get(image.digest, 7, 5)
    stored_file(blobs, image).write_bytes(b"")
    with pytest.raises(CacheError, match="is empty"):
        blobs.get(image.digest, 7, 5)


@pytest.mark.parametrize("digest", ["", "../../../etc/passwd", "A" * 64, "0" * 63])
def test_what_is_no_digest_names_no_file(tmp_path: Path, digest: str) -> None:
    with pytest.raises(CacheError, match="not the digest of a picture"):
        Blobs(tmp_path).path(digest)


def test_nothing_is_left_beside_a_stored_picture(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = stored_file(blobs, image_of(ARRAY))
    assert list(blobs.files()) == [path]


def test_a_store_that_cannot_be_made_is_an_error_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match=r"cannot be stored .* free space or grant write access"):
        Blobs(tmp_path / "file").put(image_of(ARRAY))
