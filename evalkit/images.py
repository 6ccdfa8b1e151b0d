"""Pictures: decoding what others made, one digest for equal pixels, and the PNG that evalkit stores.

Pixels are `(H, W, 3)` arrays of uint8 throughout. EXIF rotation is not applied and an alpha channel is dropped, as
every FID tool does and as COCO's annotations assume.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from evalkit.archives import member_bytes
from evalkit.errors import CacheError, DataError
from evalkit.types import Image, ImageRole, RemoteFile, ZipPicture

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded; more is taken for a decompression bomb."""

_STORED = "where the cache holds it, `evalkit cache verify --set-aside` drops it and the next run makes it again"


def decode(content: bytes | Path | ZipPicture, where: str) -> Pixels:
    """Return the pixels `(H, W, 3)` of an encoded picture, converted to RGB as `PIL.Image.convert` does.

    Of an animated file the first frame is taken. `where` names the picture in errors.

    Raises:
        DataError: it cannot be read, is truncated, has 16 bits a channel, or more than `MAX_PIXELS` pixels.
    """
    encoded = member_bytes(content) if isinstance(content, ZipPicture) else content
    source = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
            with PillowImage.open(source) as opened:
                _require_decodable(opened, where)
                return np.array(opened.convert("RGB"), dtype=np.uint8)
    except UnidentifiedImageError as error:
        raise DataError(f"{where} is not a picture in a known format; replace or remove it") from error
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError) as error:
        raise DataError(f"{where} cannot be decoded ({error}); replace or remove it") from error


def _require_decodable(opened: PillowImage.Image, where: str) -> None:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{where} has {width} x {height} pixels, more than the {MAX_PIXELS:,} that are decoded; shrink it"
        )
    if opened.mode.startswith(("I", "F")):
        raise DataError(f"{where} has mode {opened.mode}, more than 8 bits a channel; convert it to 8 bits first")


def remote_bytes(file: RemoteFile) -> bytes:
    """Return what a remote file holds.

    Raises:
        DataError: it is missing, or its store cannot be reached.
    """
    import fsspec  # few stores need it

    try:
        with fsspec.open(file.url, "rb") as opened:
            return bytes(opened.read())
    except (OSError, ImportError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error!r}); check that its store can be reached") from error


def pixel_digest(array: Pixels) -> str:
    """Return the SHA-256 of size and pixels `(H, W, 3)`: equal for equal pictures, whatever their file format."""
    height, width, channels = array.shape
    if channels != 3 or array.dtype != np.uint8:
        raise ValueError(f"pixels must be (H, W, 3) uint8, not {array.shape} {array.dtype}")
    hasher = hashlib.sha256(b"RGB8" + struct.pack(">II", width, height))
    hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()


def encode_png(array: Pixels) -> bytes:
    """Return pixels `(H, W, 3)` as a PNG: each row filtered by the one above it, then run-length deflate.

    On 256 x 256 photos this takes a third of Pillow's time at its fastest level, and no more bytes.
    """
    height, width, _ = array.shape
    rows = np.empty((height, 1 + width * 3), np.uint8)
    flat = array.reshape(height, width * 3)
    rows[:, 0] = 2
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    deflate = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    data = deflate.compress(rows.data) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def image_of(array: Pixels, role: ImageRole = "generated") -> Image:
    """Return pixels `(H, W, 3)` as an `Image` that holds them as a PNG in memory."""
    height, width, _ = array.shape
    return Image(pixel_digest(array), width, height, role, encode_png(array))


def read_image(content: bytes | Path | ZipPicture, where: str, role: ImageRole = "source") -> Image:
    """Return an encoded picture as an `Image` whose content stays as it is.

    Raises:
        DataError: see `decode`.
    """
    array = decode(content, where)
    return Image(pixel_digest(array), array.shape[1], array.shape[0], role, content)


def pixels(image: Image) -> Pixels:
    """Return the pixels `(H, W, 3)` of `image`, checked against its digest.

    Raises:
        CacheError: its content is missing, cannot be decoded, or holds other pixels than its digest says.
    """
    if image.content is None:
        raise CacheError(f"picture {image.digest} has no content here; fetch it from its store first")
    where = f"picture {image.digest}" if isinstance(image.content, bytes) else str(image.content)
    try:
        content = remote_bytes(image.content) if isinstance(image.content, RemoteFile) else image.content
        array = decode(content, where)
    except DataError as error:
        raise CacheError(f"{error} (it should hold picture {image.digest}); {_STORED}") from error
    if pixel_digest(array) != image.digest:
        raise CacheError(f"{where} does not hold picture {image.digest}; {_STORED}")
    return array
