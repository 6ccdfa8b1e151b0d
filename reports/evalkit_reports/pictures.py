"""Pictures of a page: small copies inside it as long as they fit, links to the stored files for the others."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image as PillowImage

from evalkit.blobs import Blobs
from evalkit.errors import CacheError, DataError
from evalkit.images import Pixels, decode, pixel_digest
from evalkit.types import ZipPicture
from evalkit_reports.parts import Kind, Picture

SIDE = 128
"""Longest side of an embedded picture, in pixels, where the page asks for no other."""
MASK_COLOUR = (255, 40, 90, 120)
"""Red, green, blue and opacity of what a mask marks."""
MOST_EMBEDDED = 500
MOST_BYTES = 8_000_000
"""Characters of the page that embedded pictures may take together: the page must stay under 15 MB."""
NOT_STORED = "picture not in the cache"


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the pictures of a run may be: stores of the cache, and files of which the run noted the digests."""

    blobs: tuple[Blobs, ...]
    files: Mapping[str, Path | ZipPicture]

    def find(self, digest: str) -> Path | ZipPicture | None:
        """Return the file or archive member that should hold the picture of that digest; None where there is none."""
        places: list[Path | ZipPicture] = [store.path(digest) for store in self.blobs]
        if digest in self.files:
            places.append(self.files[digest])
        return next((place for place in places if _is_there(place)), None)


def _pixels(path: Path | ZipPicture, digest: str) -> Pixels:
    """Return the pixels `(H, W, 3)` of a file, checked against their digest.

    Raises:
        CacheError: they are others.
        DataError: the file cannot be decoded.
    """
    array = decode(path, str(path))
    if pixel_digest(array) != digest:
        raise CacheError(f"{path} holds other pixels than were shown; run the task again")
    return array


@dataclass(frozen=True, slots=True)
class PictureView:
    """One picture of a page.

    `source` goes into `src` and is empty where there is nothing to show; `note` then says why. `link` leads to the file
    in full size. `embedded` tells a copy inside the page from a link that is loaded when it is looked at.
    """

    source: str
    link: str
    alt: str
    role: str
    note: str = ""
    embedded: bool = False
    width: int = SIDE
    height: int = SIDE
    kind: Kind = "picture"

    @property
    def zoom(self) -> int:
        """How many times larger a small embedded picture is shown, so that its pixels can be told."""
        return max(1, SIDE // max(self.width, self.height, 1))


@dataclass(slots=True)
class Album:
    """Gives out pictures for one page until its share of embedded ones is used up.

    `page` is the file that is being written; a picture stored beside or below it is linked by a relative path. `side`
    is the longest side of an embedded picture in pixels. With `linked` False nothing leads out of the page.
    """

    page: Path
    left: int = MOST_EMBEDDED
    bytes_left: int = MOST_BYTES
    side: int = SIDE
    linked: bool = True
    made: dict[tuple[str, Kind], tuple[str, int, int]] = field(default_factory=dict)

    def view(self, picture: Picture, alt: str, stores: Stores) -> PictureView:
        """Return a picture from the first place that has it; never raises over a bad picture."""
        path, role, kind = stores.find(picture.digest), picture.role, picture.kind
        if path is None:
            return PictureView("", "", alt, role, NOT_STORED, kind=kind)
        link = self._link(path)
        if self.left <= 0:
            return PictureView(link, link, alt, role, "" if link else "not shown", kind=kind)
        try:
            source, width, height = self._thumbnail(picture, path)
        except (CacheError, DataError) as error:
            return PictureView("", link, alt, role, f"picture cannot be read: {error}", kind=kind)
        if len(source) > self.bytes_left:
            self.left = 0
            return PictureView(link, link, alt, role, "" if link else "not shown", kind=kind)
        self.left -= 1
        self.bytes_left -= len(source)
        return PictureView(source, link, alt, role, embedded=True, width=width, height=height, kind=kind)

    def _thumbnail(self, picture: Picture, path: Path | ZipPicture) -> tuple[str, int, int]:
        key = picture.digest, picture.kind
        if key not in self.made:
            self.made[key] = thumbnail(_pixels(path, picture.digest), self.side, picture.kind)
        return self.made[key]

    def _link(self, path: Path | ZipPicture) -> str:
        if not self.linked or isinstance(path, ZipPicture):
            return ""
        whole, beside = path.resolve(), self.page.resolve().parent
        return quote(whole.relative_to(beside).as_posix()) if whole.is_relative_to(beside) else whole.as_uri()


def thumbnail(pixels: Pixels, side: int = SIDE, kind: Kind = "picture") -> tuple[str, int, int]:
    """Return a data URI of pixels `(H, W, 3)`, made at most `side` pixels wide and high, and its width and height.

    A picture becomes a PNG or a JPEG, whichever is smaller: drawings the one, photos the other. Of a label map each
    class gets a colour of its own; a mask becomes a veil to lay over a picture.
    """
    if kind == "label map":
        return _embedded(
            _shrunk(PillowImage.fromarray(coloured(pixels)), side, PillowImage.Resampling.NEAREST), ["PNG"]
        )
    if kind == "mask":
        veil = np.zeros((*pixels.shape[:2], 4), np.uint8)
        veil[pixels[:, :, 0] >= 128] = MASK_COLOUR
        return _embedded(_shrunk(PillowImage.fromarray(veil), side, PillowImage.Resampling.NEAREST), ["PNG"])
    small = _shrunk(PillowImage.fromarray(pixels), side, PillowImage.Resampling.LANCZOS)
    return _embedded(small, ["JPEG", "PNG"])


def coloured(pixels: Pixels) -> Pixels:
    """Return a label map `(H, W, 3)` with a colour for each class id, black for id 0.

    Hues are a golden turn apart, so that neighbouring ids differ.
    """
    ids = pixels.astype(np.int64) @ np.array([1, 256, 65536])
    turn = 6 * (ids * 0.6180339887498949 % 1.0)[:, :, None]
    hue = np.clip(np.abs((turn + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    bright = np.where(ids % 2 == 1, 235.0, 190.0)[:, :, None]
    return np.where(ids[:, :, None] == 0, 0, bright * (0.25 + 0.75 * hue)).astype(np.uint8)


def _shrunk(picture: PillowImage.Image, side: int, filter_: PillowImage.Resampling) -> PillowImage.Image:
    picture.thumbnail((side, side), filter_)
    return picture


def _embedded(picture: PillowImage.Image, kinds: Sequence[str]) -> tuple[str, int, int]:
    """Return the picture as the data URI of the kind that makes it smallest."""
    made = {kind: _encoded(picture, kind) for kind in kinds}
    kind = min(made, key=lambda name: len(made[name]))
    text = base64.b64encode(made[kind]).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}", picture.width, picture.height


def _is_there(path: Path | ZipPicture) -> bool:
    try:
        return (path.archive if isinstance(path, ZipPicture) else path).is_file()
    except OSError:  # a run made elsewhere may name a cache that is no path here
        return False


def _encoded(picture: PillowImage.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, quality=82)
    return out.getvalue()
