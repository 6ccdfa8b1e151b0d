"""Pictures on disk, each named by the digest of its pixels.

    blobs/ab/abcdef....png      the picture of pixel digest abcdef...

Two encoders, machines or processes never give one picture two names. A file is written beside its place and renamed, so
that a name never stands for half a picture while the machine keeps running; a power cut may still leave one, which
reading finds and the next `put` of the same picture mends.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from evalkit.errors import CacheError, DataError
from evalkit.images import Pixels, decode, encode_png, pixel_digest, pixels
from evalkit.types import Image, ImageRole

MEND = "`evalkit cache verify --set-aside` puts it aside, and the next run makes it again"
"""What to do about a damaged entry of the store."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BIT_RGB = b"\x08\x02"
"""Bit depth and colour type in a PNG's header."""


class BlobStore(Protocol):
    """Pictures by the digest of their pixels: on disk (`Blobs`) or elsewhere (`evalkit.remote_blobs.RemoteBlobs`)."""

    def put(self, image: Image) -> Image:
        """Return `image` as it is stored from now on."""
        ...

    def get(self, digest: str, width: int, height: int, role: ImageRole = "generated") -> Image:
        """Return the stored picture, whose pixels are checked when they are read."""
        ...

    def has(self, digest: str) -> bool:
        """Return whether the picture is there."""
        ...

    def encoded(self, digest: str) -> bytes:
        """Return the PNG as it is stored."""
        ...

    def read(self, digest: str) -> Pixels:
        """Return the pixels `(H, W, 3)` of the stored picture, checked against its digest."""
        ...

    def place(self, digest: str) -> str:
        """Return where the picture lies, for people."""
        ...


@dataclass(frozen=True, slots=True)
class Blobs:
    """The pictures in one directory, which need not exist yet; many threads and processes may write."""

    directory: Path

    def path(self, digest: str) -> Path:
        """Return where the picture of that pixel digest lies, whether or not it is there.

        Raises:
            CacheError: `digest` is not 64 hexadecimal digits.
        """
        if not _DIGEST.fullmatch(digest):
            raise CacheError(f"{digest!r} is not the digest of a picture (64 hexadecimal digits); {MEND}")
        return self.directory / digest[:2] / f"{digest}.png"

    def put(self, image: Image) -> Image:
        """Return `image` as it is stored: the same noun, its content being the path of a PNG.

        What is not an 8-bit RGB PNG already is stored as the PNG of its pixels. A sound file that is there is kept, a
        damaged one replaced. The pixels of a PNG are not decoded here: reading checks them.

        Raises:
            CacheError: the picture has no readable content, or the store cannot be written.
        """
        target = self.path(image.digest)
        if image.content == target:
            return self.get(image.digest, image.width, image.height, image.role)
        encoded = as_png(image)
        try:
            if not _holds(target, encoded, image.digest):
                _write_renamed(target, encoded)
        except OSError as error:
            raise CacheError(
                f"picture {target} cannot be stored ({error}); free space or grant write access, then run again: what "
                "is stored stays"
            ) from error
        return replace(image, content=target)

    def get(self, digest: str, width: int, height: int, role: ImageRole = "generated") -> Image:
        """Return the stored picture; its pixels are checked when they are read, not here.

        Raises:
            CacheError: there is none, or its file is empty.
        """
        path = self.path(digest)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise CacheError(f"picture {path} is missing from the store ({error}); {MEND}") from error
        if size == 0:
            raise CacheError(f"picture {path} is empty; {MEND}")
        return Image(digest, width, height, role, path)

    def read(self, digest: str) -> Pixels:
        """Return the pixels `(H, W, 3)` of the stored picture, checked against its digest.

        Raises:
            CacheError: the file is missing, truncated, or holds other pixels.
        """
        path = self.path(digest)
        try:
            array = decode(path, str(path))
        except DataError as error:
            raise CacheError(f"picture {path} is missing or damaged ({error}); {MEND}") from error
        if pixel_digest(array) != digest:
            raise CacheError(f"picture {path} holds other pixels than its name says; {MEND}")
        return array

    def has(self, digest: str) -> bool:
        """Return whether the picture is there."""
        return self.path(digest).exists()

    def encoded(self, digest: str) -> bytes:
        """Return the PNG as it is stored.

        Raises:
            OSError: it cannot be read.
        """
        return self.path(digest).read_bytes()

    def place(self, digest: str) -> str:
        """Return where the picture lies, for people."""
        return str(self.path(digest))

    def files(self) -> Iterator[Path]:
        """Yield every file of the store, leftovers of interrupted writes among them."""
        yield from (path for path in self.directory.glob("*/*") if path.is_file())


def digest_named(path: Path) -> str | None:
    """Return the pixel digest that a stored file's name says, None for a file that is no picture of the store."""
    named = path.suffix == ".png" and _DIGEST.fullmatch(path.stem) and path.parent.name == path.stem[:2]
    return path.stem if named else None


def as_png(image: Image) -> bytes:
    """Return the picture as an 8-bit RGB PNG: as it is, if it is one already."""
    content = image.content
    if isinstance(content, bytes) and content.startswith(_PNG_SIGNATURE) and content[24:26] == _EIGHT_BIT_RGB:
        return content
    return encode_png(pixels(image))


def _holds(path: Path, encoded: bytes, digest: str) -> bool:
    """Return whether `path` holds the picture; its age starts anew, so that no clean-up takes it from under us."""
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return False
    if stored != encoded and not _is_sound(stored, digest):
        return False
    os.utime(path)
    return True


def _is_sound(stored: bytes, digest: str) -> bool:
    try:
        return pixel_digest(decode(stored, "the stored file")) == digest
    except DataError:
        return False


def _write_renamed(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.stem}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        beside.write_bytes(content)
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
