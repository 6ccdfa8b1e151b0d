"""Pictures that are not as they should be: those that are refused, and those that are handled, and how."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

GREY = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)


def encoded(picture: PillowImage.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG whose header promises 20,000 x 20,000 pixels."""
    content = bytearray(encoded(PillowImage.new("RGB", (1, 1)), "PNG"))
    content[16:24] = (20_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def _odd() -> dict[str, tuple[bytes, npt.NDArray[np.uint8]]]:
    rotated = PillowImage.Exif()
    rotated[0x0112] = 6
    frames = [PillowImage.fromarray(np.full((4, 6, 3), value, np.uint8)) for value in (10, 200)]
    cmyk = PillowImage.fromarray(RGB).convert("CMYK")
    return {
        "one pixel": (encoded(PillowImage.new("RGB", (1, 1), (3, 4, 5)), "PNG"), np.array([[[3, 4, 5]]], np.uint8)),
        "grey": (encoded(PillowImage.fromarray(GREY), "PNG"), np.stack([GREY] * 3, axis=2)),
        "cmyk": (encoded(cmyk, "TIFF"), np.array(cmyk.convert("RGB"))),
        "rotated": (encoded(PillowImage.fromarray(RGB), "PNG", exif=rotated), RGB),
        "animated": (encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]), np.array(frames[0])),
    }


ODD: Mapping[str, tuple[bytes, npt.NDArray[np.uint8]]] = _odd()
"""The file of each, and the pixels that it is shown as."""
BAD: Mapping[str, tuple[bytes, str]] = {
    "truncated png": (encoded(PillowImage.fromarray(RGB), "PNG")[:-40], "cannot be decoded|truncated"),
    "truncated jpeg": (encoded(PillowImage.fromarray(RGB), "JPEG")[:-100], "truncated"),
    "16 bits": (encoded(PillowImage.fromarray(GREY.astype(np.uint16) * 257), "PNG"), "mode I;16, more than 8 bits"),
    "bomb": (bomb(), "20000 x 20000 pixels|decompression bomb"),
    "other": (b"<svg/>", "is not a picture"),
    "empty": (b"", "is not a picture"),
}
"""The file of each, and what the error says of it."""
