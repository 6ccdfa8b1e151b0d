"""Laws of pictures: equal pixels have one digest, stored pixels come back exactly, and bad files are named."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as PillowImage

from evalkit.errors import CacheError, DataError
from evalkit.images import MAX_PIXELS, decode, encode_png, image_of, pixel_digest, pixels, read_image
from evalkit.types import Image

Pixels = npt.NDArray[np.uint8]
pictures = arrays(np.uint8, st.tuples(st.integers(1, 17), st.integers(1, 17), st.just(3)))


def encoded(array: npt.NDArray[np.generic], mode: str | None = None, kind: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    picture = PillowImage.fromarray(array)
    (picture.convert(mode) if mode else picture).save(buffer, kind, **options)
    return buffer.getvalue()


@given(pictures)
@settings(deadline=None)
def test_pixels_survive_the_stored_png(array: Pixels) -> None:
    assert np.array_equal(decode(encode_png(array), "x"), array)
    assert np.array_equal(pixels(image_of(array)), array)


@given(pictures)
@settings(deadline=None)
def test_the_digest_does_not_depend_on_the_file_format(array: Pixels) -> None:
    ours = read_image(encode_png(array), "x")
    theirs = read_image(encoded(array), "x")
    bitmap = read_image(encoded(array, kind="BMP"), "x")
    assert ours == theirs == bitmap


def test_the_digest_tells_pictures_of_equal_bytes_and_other_shape_apart() -> None:
    flat = np.zeros((2, 8, 3), np.uint8)
    assert pixel_digest(flat) != pixel_digest(flat.reshape(4, 4, 3))
    assert pixel_digest(flat) != pixel_digest(flat.reshape(8, 2, 3))


def test_the_digest_of_a_known_picture_never_changes() -> None:
    ramp = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert pixel_digest(ramp) == "da8dc9d2e2def61386ade3c0f06de1283da071db547ce1ef47ca6343e6769d75"


@pytest.mark.parametrize(("mode", "colour"), [("L", (99, 99, 99)), ("RGBA", (10, 20, 30)), ("P", (51, 102, 153))])
def test_other_modes_become_rgb(mode: str, colour: tuple[int, int, int]) -> None:
    array = np.full((3, 5, 3), colour, np.uint8)
    assert np.array_equal(decode(encoded(array, mode), "x"), array)


def test_cmyk_becomes_rgb_as_pillow_makes_it() -> None:
    array = np.full((8, 8, 3), (200, 40, 90), np.uint8)
    content = encoded(array, "CMYK", "TIFF")
    assert np.array_equal(decode(content, "x"), array)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [PillowImage.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert tuple(decode(buffer.getvalue(), "x")[0, 0]) == (255, 0, 0)


def test_exif_rotation_is_not_applied() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    PillowImage.new("RGB", (8, 4)).save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue(), "x").shape == (4, 8, 3)


def test_sixteen_bits_are_an_error_that_names_the_picture() -> None:
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4)
    with pytest.raises(DataError, match=r"depth\.png has mode I;16, more than 8 bits"):
        decode(encoded(deep), "depth.png")


def test_a_truncated_picture_is_an_error_that_names_it() -> None:
    content = encoded(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"a\.png cannot be decoded"):
        decode(content[: len(content) // 2], "a.png")


def test_something_else_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    with pytest.raises(DataError, match=r"notes\.png is not a picture"):
        decode(path, str(path))
    with pytest.raises(DataError, match=r"cannot be decoded.*No such file"):
        decode(tmp_path / "absent.png", "absent.png")


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    bomb = bytearray(encode_png(np.zeros((1, 1, 3), np.uint8)))
    bomb[16:24] = side.to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    with pytest.raises(DataError, match="more than the 100,000,000 that are decoded"):
        decode(bytes(bomb), "bomb.png")


def test_other_pixels_than_the_digest_says_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(np.zeros((2, 2, 3), np.uint8)))
    other = pixel_digest(np.ones((2, 2, 3), np.uint8))
    with pytest.raises(CacheError, match=r"a\.png does not hold picture"):
        pixels(Image(other, 2, 2, content=path))


def test_a_picture_without_content_is_an_error() -> None:
    with pytest.raises(CacheError, match="has no content here"):
        pixels(Image("0" * 64, 2, 2))


def test_where_pixels_are_stored_takes_no_part_in_equality() -> None:
    array = np.zeros((2, 2, 3), np.uint8)
    assert image_of(array) == Image(pixel_digest(array), 2, 2, "generated")
