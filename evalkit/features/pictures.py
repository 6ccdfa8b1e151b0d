"""What can be fed to an extractor: a file, a member of a zip read in place, or an `Image`; and its identity.

The identity of a picture is a digest of its content. For files it is that of their bytes, remembered by size and times,
so that asking again for a whole reference set costs one `stat` a file.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from evalkit.archives import member_bytes, member_info
from evalkit.downloads import file_sha256
from evalkit.errors import DataError
from evalkit.features.cache import FeatureCache, FileState
from evalkit.images import Pixels, decode
from evalkit.images import pixels as image_pixels
from evalkit.types import Image, ZipPicture

__all__ = ["FilePicture", "Picture", "ZipPicture", "identities", "load", "member_bytes"]

SETTLED_SECONDS = 2.0
"""A file younger than this is not remembered: it may be written again within the resolution of its times."""


@dataclass(frozen=True, slots=True)
class FilePicture:
    """A picture in a file of its own."""

    path: Path


Picture: TypeAlias = FilePicture | ZipPicture | Image


def load(picture: Picture) -> Pixels:
    """Return the pixels `(H, W, 3)` of `picture`.

    Raises:
        DataError: the file or member is missing, or cannot be decoded.
        CacheError: an `Image` whose content is missing or does not match its digest.
    """
    if isinstance(picture, Image):
        return image_pixels(picture)
    if isinstance(picture, FilePicture):
        return decode(picture.path, str(picture.path))
    return decode(picture, str(picture))


def identities(pictures: Sequence[Picture], cache: FeatureCache | None) -> list[str]:
    """Return the identity of each picture: `pixels:DIGEST` of an `Image`, `file:SHA256` of the others.

    Digests of files are looked up in `cache` and added to it.

    Raises:
        DataError: a file or member is missing or cannot be read.
        CacheError: the cache cannot be read or written.
    """
    states = {picture: _state(picture) for picture in pictures if not isinstance(picture, Image)}
    known = cache.known_files(states.values()) if cache else {}
    unknown = [picture for picture, state in states.items() if state not in known]
    fresh = dict(zip((states[picture] for picture in unknown), _file_digests(unknown), strict=True))
    if cache and fresh:
        newest_settled = time.time_ns() - int(SETTLED_SECONDS * 1e9)
        cache.remember_files({s: d for s, d in fresh.items() if max(s.mtime_ns, s.ctime_ns) < newest_settled})
    digests = {**known, **fresh}
    return [
        f"pixels:{picture.digest}" if isinstance(picture, Image) else f"file:{digests[states[picture]]}"
        for picture in pictures
    ]


def _file_digests(pictures: Sequence[FilePicture | ZipPicture]) -> list[str]:
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(_file_digest, pictures))


def _file_digest(picture: FilePicture | ZipPicture) -> str:
    if isinstance(picture, ZipPicture):
        return hashlib.sha256(member_bytes(picture)).hexdigest()
    return file_sha256(picture.path)


def _state(picture: FilePicture | ZipPicture) -> FileState:
    if isinstance(picture, FilePicture):
        stat = _stat(picture.path)
        return FileState(os.path.abspath(picture.path), "", stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, 0)  # noqa: PTH100 - a third of Path.absolute's time, paid 40,000 times
    stat = _stat(picture.archive)
    info = member_info(picture)
    return FileState(
        os.path.abspath(picture.archive),  # noqa: PTH100
        picture.member,
        info.file_size,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
        info.CRC,
    )


def _stat(path: Path) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); put it back or drop it from the set") from error
