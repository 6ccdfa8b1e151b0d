"""Pictures in any store that `fsspec` reaches (`s3://`, `gs://`, `az://`, ...), each named by the digest of its pixels.

The layout is that of `evalkit.blobs`. An object store shows an object whole or not at all, so nothing is renamed. Reads
check the digest, as on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.blobs import MEND, Blobs, as_png
from evalkit.errors import CacheError, DataError, UsageError
from evalkit.images import Pixels, pixels, remote_bytes
from evalkit.types import Image, ImageRole, RemoteFile


@dataclass(frozen=True, slots=True)
class RemoteBlobs:
    """The pictures below `address`; many processes and machines may write."""

    address: str

    def file(self, digest: str) -> RemoteFile:
        """Return where the picture of that pixel digest lies.

        Raises:
            CacheError: `digest` is not 64 hexadecimal digits.
        """
        below = Blobs(Path()).path(digest)
        return RemoteFile(f"{self.address.rstrip('/')}/{below.as_posix()}")

    def put(self, image: Image) -> Image:
        """Return `image` as it is stored; one that lies there already is not written again.

        Raises:
            CacheError: the picture has no readable content, or the store cannot be written.
        """
        target = self.file(image.digest)
        if image.content != target:
            encoded = as_png(image)
            with _guarded(f"picture {target} cannot be stored"):
                system, path = _system(target.url)
                system.pipe_file(path, encoded)
        return replace(image, content=target)

    def get(self, digest: str, width: int, height: int, role: ImageRole = "generated") -> Image:
        """Return the stored picture. Whether it is there is found out when it is read: asking takes a round trip."""
        return Image(digest, width, height, role, self.file(digest))

    def has(self, digest: str) -> bool:
        """Return whether the picture is there.

        Raises:
            CacheError: the store cannot be reached.
        """
        file = self.file(digest)
        with _guarded(f"picture {file} cannot be looked for"):
            system, path = _system(file.url)
            return bool(system.exists(path))

    def encoded(self, digest: str) -> bytes:
        """Return the PNG as it is stored.

        Raises:
            CacheError: it cannot be read.
        """
        try:
            return remote_bytes(self.file(digest))
        except DataError as error:
            raise CacheError(f"picture {error}; {MEND}") from error

    def read(self, digest: str) -> Pixels:
        """Return the pixels `(H, W, 3)` of the stored picture, checked against its digest.

        Raises:
            CacheError: it is missing, truncated, or holds other pixels.
        """
        return pixels(Image(digest, 0, 0, content=self.file(digest)))

    def place(self, digest: str) -> str:
        """Return where the picture lies, for people."""
        return self.file(digest).url


def is_remote(address: str) -> bool:
    """Return whether `address` is for `fsspec`, and not a folder that this machine sees.

    >>> is_remote("s3://bucket/blobs"), is_remote("/mnt/blobs")
    (True, False)
    """
    return "://" in address and not address.startswith("file://")


@contextmanager
def _guarded(what: str) -> Iterator[None]:
    """Turn what `fsspec` raises inside the block into a `CacheError`."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise CacheError(f"{what} ({error!r}); check its address and your access, then run again") from error


def _system(url: str) -> tuple[Any, str]:
    """Return the file system of `url`, and the path in it.

    Raises:
        UsageError: no such kind of store is known or installed.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{url} is no place for pictures ({error}); install what it names, or mend --blobs") from error
    return system, path
