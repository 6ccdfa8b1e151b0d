"""Maps of pictures (edges, depth, classes), one byte a pixel, each made once and then kept as a grey PNG.

    planes/FINGERPRINT/AB/IDENTITY-WxH.png      in the feature cache's folder

A file is written beside its place and renamed, and a damaged one is an error that names it, never a miss. Where a map
is shown to a model, the file is the picture: nothing is kept in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from evalkit.errors import CacheError
from evalkit.images import Pixels, pixels
from evalkit.types import Image, JsonScalar
from evalkit.workspace import Workspace

BytePlane: TypeAlias = npt.NDArray[np.uint8]
"""`(H, W)`: a level of 255, or a class."""


class Annotator(Protocol):
    """What makes a map of a picture."""

    @property
    def name(self) -> str:
        """What stands in the name of a number that is made with it: `dpt-large`."""
        ...

    def prepare(self) -> None:
        """Find its weights.

        Raises:
            WeightsError: they cannot be had.
        """
        ...

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a map by more than rounding, once it is prepared."""
        ...

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides its maps."""
        ...

    def plane(self, picture: Pixels) -> BytePlane:
        """Return the map `(H, W)` of a picture `(H, W, 3)`."""
        ...


@dataclass(frozen=True, slots=True)
class PlaneCache:
    """Maps under one folder, which several processes may share."""

    directory: Path

    def path(self, identity: str, fingerprint: str) -> Path:
        """Return where the map of that picture by that annotator lies or will lie."""
        name = hashlib.sha256(identity.encode("utf-8")).hexdigest()
        return self.directory / fingerprint[:32] / name[:2] / f"{name}.png"

    def put(self, path: Path, plane: BytePlane) -> None:
        """Store a map at `path`.

        Raises:
            CacheError: it cannot be written.
        """
        encoded = io.BytesIO()
        PillowImage.fromarray(plane).save(encoded, "PNG")
        beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(encoded.getvalue())
            beside.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise CacheError(f"{path} cannot be written ({error}); free disk space or name another cache") from error

    def get(self, path: Path) -> BytePlane:
        """Return the map at `path`.

        Raises:
            CacheError: it is damaged.
        """
        try:
            with PillowImage.open(path) as opened:
                if opened.mode != "L":
                    raise ValueError(f"its mode is {opened.mode}")
                return np.array(opened, np.uint8)
        except (OSError, ValueError, SyntaxError) as error:
            raise CacheError(f"the map {path} is damaged ({error}); delete the file to make it again") from error


def plane_cache(workspace: Workspace) -> PlaneCache:
    """Return the cache of maps that all of the workspace's tasks and scores share."""
    return PlaneCache(workspace.cache / "features" / "planes")


def sized(picture: Pixels, width: int, height: int) -> Pixels:
    """Return a picture `(H, W, 3)` at another size, by Pillow's bicubic filter where it differs."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(PillowImage.fromarray(picture).resize((width, height), PillowImage.Resampling.BICUBIC))


def made_plane(annotator: Annotator, image: Image, width: int, height: int, cache: PlaneCache) -> Path:
    """Return the file of the map of `image`, first brought to `width` by `height`; it is made if it is not there.

    Raises:
        WeightsError: the annotator's weights cannot be had.
        CacheError: the picture cannot be read, or the map not written.
    """
    path = cache.path(f"{image.digest} {width}x{height}", annotator.fingerprint)
    if not path.is_file():
        cache.put(path, annotator.plane(sized(pixels(image), width, height)))
    return path


def plane_of(annotator: Annotator, image: Image, width: int, height: int, cache: PlaneCache) -> BytePlane:
    """Return the map `(height, width)` of `image`, from the cache or made.

    Raises:
        WeightsError: the annotator's weights cannot be had.
        CacheError: the picture or a map cannot be read or written.
    """
    return cache.get(made_plane(annotator, image, width, height, cache))
