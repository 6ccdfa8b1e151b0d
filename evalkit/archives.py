"""Members of zip archives, read without unpacking."""

from __future__ import annotations

import functools
import os
import zipfile
import zlib
from pathlib import Path

from evalkit.errors import DataError
from evalkit.types import ZipPicture


def member_info(picture: ZipPicture) -> zipfile.ZipInfo:
    """Return what the archive says of the member.

    Raises:
        DataError: the archive or member is missing or damaged.
    """
    try:
        return _archive(picture.archive).getinfo(picture.member)
    except KeyError as error:
        raise DataError(f"{picture.archive} has no member {picture.member}; fetch the archive again") from error


def member_bytes(picture: ZipPicture) -> bytes:
    """Return the encoded picture as the archive holds it.

    Raises:
        DataError: the archive or member is missing or damaged.
    """
    info = member_info(picture)
    try:
        return _archive(picture.archive).read(info)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{picture} cannot be read ({error}); fetch the archive again") from error


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); put it back or drop it from the set") from error
    try:
        return _opened(path, stat.st_size, stat.st_mtime_ns, os.getpid())
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable zip archive ({error}); fetch it again") from error


@functools.lru_cache(maxsize=8)
def _opened(path: Path, _size: int, _mtime_ns: int, _process: int) -> zipfile.ZipFile:
    """Return the open archive; threads share it (reads take its lock), processes do not (they share an offset)."""
    return zipfile.ZipFile(path)
